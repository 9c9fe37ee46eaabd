//! `pooler-rejects-parameter`: PgBouncer turns clients away for a startup parameter.

use super::console;
use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::platform::evidence::PoolerSide;
use crate::rooms::app::evidence::LogPattern;
use crate::rooms::app::readiness;
use crate::rooms::proxy::log;
use crate::rooms::startup::probe::names_own_setting;
use crate::rooms::startup::refusal::refused;
use pgmedic_model::pooler_words::{Words, says};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// PgBouncer turns clients away that bring a startup parameter which it neither tracks nor ignores.
    ///
    /// ## What it is
    /// A driver sends more than user and database at login: JDBC `extra_float_digits`, a URL's `options=-csearch_path=…`.
    /// PgBouncer passes on the few that it tracks and refuses the rest, so that only some clients fail, often after a
    /// driver's upgrade or where a pooler came in between. Before 1.20 it knows no `options` at all.
    ///
    /// ## What proves it
    /// `unsupported startup parameter: …` (08P01) at the walk's own login, in the API's log, or in PgBouncer's
    /// (`closing because: unsupported startup parameter: …`). With `options` in force: `unsupported startup parameter in
    /// options: …`.
    ///
    /// ## What mends it
    /// 1. Add the parameter to `ignore_startup_parameters` in `pgbouncer.ini`, then `RELOAD` on the console. It is then
    ///    ignored: what it was to set must be set otherwise.
    /// 2. Or set it on the server: `ALTER ROLE app SET search_path = …`, and take it out of the URL.
    /// 3. From 1.20 on `track_extra_parameters` passes some on.
    ///
    /// ## What makes it worse
    /// Restarting PgBouncer or the API: each login brings the same parameter again.
    ///
    /// ## What prevents it
    /// One login of each client through the pooler in CI.
    ///
    /// ## References
    /// PgBouncer manual: `ignore_startup_parameters`, `track_extra_parameters`; NEWS of 1.20 (`options`).
    "pooler-rejects-parameter" in Proxy, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let finding = at_the_walk(e).or_else(|| at_others(e))?;
    let command = e.pooler.get().map_or_else(
        || "grep -n ignore_startup_parameters /etc/pgbouncer/pgbouncer.ini   # add it there; then RELOAD on the console".to_owned(),
        |p| console::command(p, "SHOW CONFIG") + " | grep ignore_startup_parameters   # add it in pgbouncer.ini, then RELOAD",
    );
    let plan = "add the parameter to ignore_startup_parameters and RELOAD, or take it out of the client's URL and set it for \
                the role";
    Some(finding.mended_by(RemedyPlan::by_hand(
        "ignore-startup-parameter",
        RemedyKind::Advice,
        plan,
        command,
    )))
}

/// The walk's own login is turned away.
fn at_the_walk(e: &Evidence) -> Option<Finding> {
    let refusal = refused(e, |_, error| says(&error.message, Words::UnsupportedStartupParameter))?;
    let address = &refusal.way.route.address;
    let what = format!(
        "the pooler at {address} rejects what comes with the login: {}",
        refusal.error.message.trim_end()
    );
    Some(refusal.finding(e, &CAUSE, Confidence::Certain, &what))
}

/// Another client is: the API by its own log, or somebody by the pooler's. pgmedic asks for settings of its own, which it
/// then does without.
fn at_others(e: &Evidence) -> Option<Finding> {
    let names_it = |text: &str| says(text, Words::UnsupportedStartupParameter) && !names_own_setting(text);
    let failing = readiness::failing(e);
    let severity = if failing { Severity::Critical } else { Severity::Warning };
    if let Some((hit, fact)) =
        readiness::logged(e, LogPattern::ServerFatal).filter(|(hit, _)| names_it(&hit.last))
    {
        let summary = format!("the pooler rejects what the API sends at login: {}", parameter(&hit.last));
        return Some(Finding::new(CAUSE.id, Room::Proxy, severity, Confidence::Certain, summary, fact));
    }
    let (entry, fact) = log::pooler_says(e, PoolerSide::Client, Words::UnsupportedStartupParameter)
        .filter(|(entry, _)| names_it(&entry.message))?;
    let who = entry.user.as_ref().map_or_else(String::new, |user| format!(" of role {user}"));
    let summary = format!("the pooler turns a client{who} away for {}", parameter(&entry.message));
    Some(Finding::new(CAUSE.id, Room::Proxy, Severity::Warning, Confidence::Certain, summary, fact))
}

/// From a message the part that names the parameter.
fn parameter(text: &str) -> &str {
    let from = text.find("unsupported ").unwrap_or(0);
    let named = &text[from..];
    named.find(" (age=").map_or(named, |end| &named[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{AT, healthy, refused as walk_refused, window};
    use crate::platform::evidence::{PoolerLogEntry, PoolerLogView};
    use crate::rooms::app::causes::api_not_initialised::tests::log_line;
    use crate::rooms::app::readiness::tests::{answered, ready_says};

    /// Of 1.18; of 1.20 and later, which looks into `options`; and of an `options` that it cannot read.
    const FORMS: [&str; 3] = [
        "unsupported startup parameter: options",
        "unsupported startup parameter in options: search_path",
        "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed",
    ];

    #[test]
    fn pooler_rejects_parameter_in_the_words_of_each_generation() {
        for said in FORMS {
            let e = walk_refused("08P01", said);
            let found = crate::diagnose(&e);
            assert_eq!(found.iter().map(|f| f.cause.as_str()).collect::<Vec<_>>(), [CAUSE.id], "{said}");
            assert_eq!((found[0].severity, found[0].confidence), (Severity::Critical, Confidence::Certain));
            assert!(found[0].summary.ends_with(said));
        }
        assert!(find(&walk_refused("42704", "unrecognized configuration parameter \"nosuch\"")).is_none());
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn pooler_rejects_parameter_of_the_api_alone() {
        let mut e = healthy();
        let line = "ERROR FATAL 08P01: unsupported startup parameter: extra_float_digits";
        log_line(&mut e, LogPattern::ServerFatal, line);
        let found = find(&e).expect("found");
        assert_eq!(found.severity, Severity::Warning);
        assert!(found.summary.ends_with("at login: unsupported startup parameter: extra_float_digits"));
        ready_says(&mut e, answered(503, "disconnected"));
        assert_eq!(find(&e).expect("found").severity, Severity::Critical);
    }

    #[test]
    fn pooler_rejects_parameter_is_not_what_pgmedic_itself_asks_for() {
        let said = |parameter: &str| {
            let mut e = walk_refused("08P01", "no such database: renderflow");
            window(&mut e, |host| {
                let message = format!("closing because: unsupported startup parameter: {parameter} (age=0s)");
                let entry = PoolerLogEntry {
                    at: Some(AT),
                    level: "LOG".into(),
                    side: Some(PoolerSide::Client),
                    database: None,
                    user: None,
                    peer: None,
                    message,
                    count: 1,
                };
                host.pooler_log = Some(PoolerLogView { entries: vec![entry], ..PoolerLogView::default() });
            });
            find(&e)
        };
        assert!(said("statement_timeout").is_none());
        let found = said("extra_float_digits").expect("found");
        assert!(found.summary.ends_with("away for unsupported startup parameter: extra_float_digits"));
    }
}
