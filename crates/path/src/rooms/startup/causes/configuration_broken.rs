//! `configuration-broken`: the next start will not take the server's configuration.

use crate::cause::Proof;
use crate::evidence::{Evidence, Seen};
use crate::paste::psql;
use crate::preflight::{BrokenLine, Preflight};
use crate::rooms::server::log;
use crate::rooms::server::startup_process::data_directory;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

/// Most broken lines cited.
const CITED: usize = 5;

cause! {
    /// A configuration file is broken on disk: the running server passes it over, its next start will not.
    ///
    /// ## What it is
    /// A line was changed and cannot be read, or a setting has a value that is no value of it. A reload keeps the old
    /// configuration and says so in the log alone; the next start, for whatever reason it comes, ends with FATAL.
    ///
    /// ## What proves it
    /// `pg_hba_file_rules.error` and `pg_file_settings.error`. A setting that is good and waits for a restart shows an
    /// error in that view as well, and is not this. Where the role may not ask them, the log of the last minutes: `pg_hba.conf
    /// was not reloaded`, `configuration file "…" contains errors` (likely: it may have been mended since).
    ///
    /// ## What mends it
    /// Take the line back, `select pg_reload_conf()`, and ask the views again.
    ///
    /// ## What makes it worse
    /// **Restarting the server**: `FATAL could not load pg_hba.conf`, and it stays down. Replacing the file by an open one
    /// (`0.0.0.0/0 trust`) to be rid of the error.
    ///
    /// ## What prevents it
    /// Ask the views after each change and before each restart (`pgmedic audit`); files under version control.
    ///
    /// ## References
    /// Postgres manual: `pg_hba_file_rules`, `pg_file_settings`, "Setting Parameters".
    "configuration-broken" in Startup, latent, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let ahead = e.preflight.get()?;
    let told = facts(ahead);
    let (confidence, summary, proof, rest) = if told.is_empty() {
        let (summary, fact) = logged(e, ahead)?;
        (Confidence::Likely, summary, fact, Vec::new())
    } else {
        let (first, more) = (told.first()?.0.clone(), told.len() - 1);
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        let summary = format!(
            "the server's next start ends at {first}{more}; until then it runs on the old configuration"
        );
        let mut facts = told.into_iter().take(CITED).map(|(_, fact)| fact);
        (Confidence::Certain, summary, facts.next()?, facts.collect())
    };
    let data = data_directory(e);
    let sql = "select file_name, line_number, error from pg_hba_file_rules where error is not null";
    let sql = if e.facts().is_some_and(|f| f.version_num < 160_000) {
        sql.replace("file_name, ", "")
    } else {
        sql.to_owned()
    };
    Some(
        Finding::new(CAUSE.id, Room::Startup, Severity::Warning, confidence, summary, proof)
            .and_all(rest)
            .mended_by(RemedyPlan::by_hand(
                "take-back-broken-line",
                RemedyKind::Advice,
                "take the broken line back, reload, and ask again, before anything restarts the server",
                format!(
                    "{}; postgres -D {data} -C data_directory   # the second as postgres: it reads the settings without a start",
                    psql(e, &sql)
                ),
            )),
    )
}

/// Every broken line: in a clause, and as a fact.
fn facts(ahead: &Preflight) -> Vec<(String, Fact)> {
    let of = |view: &'static str, file: &'static str, lines: &Seen<Vec<BrokenLine>>| {
        let lines = lines.get().cloned().unwrap_or_default().into_iter();
        let told = lines.map(move |line| {
            let clause = clause(file, &line);
            let fact = Fact::new(Source::Sql, ahead.at, format!("{view} at {}", ahead.place), clause.clone());
            (
                clause,
                match line.line {
                    Some(number) => fact.value(number),
                    None => fact,
                },
            )
        });
        told.collect::<Vec<_>>()
    };
    let mut all = of("pg_hba_file_rules", "pg_hba.conf", &ahead.hba);
    all.extend(of("pg_file_settings", "postgresql.conf", &ahead.settings));
    all
}

/// `line 9 of pg_hba.conf: invalid connection type "hots"`.
fn clause(file: &str, line: &BrokenLine) -> String {
    let file = line.file.as_deref().unwrap_or(file);
    let place = line.line.map_or_else(|| file.to_owned(), |number| format!("line {number} of {file}"));
    let setting = line.setting.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    format!("{place}{setting}: {}", line.error)
}

/// What the log of the last minutes says of a view that could not be asked.
fn logged(e: &Evidence, ahead: &Preflight) -> Option<(String, Fact)> {
    let unasked = [
        (&ahead.hba, Words::NotReloaded, "pg_hba.conf"),
        (&ahead.settings, Words::ConfigurationErrors, "postgresql.conf"),
    ];
    unasked.into_iter().filter(|(view, ..)| view.get().is_none()).find_map(|(_, words, file)| {
        let (_, fact) = log::of_late(e, words)?;
        Some((format!("the server's log says that {file} is broken: its next start will end at it"), fact))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, log_of, preflight, window};

    fn line(number: u64, setting: Option<&str>, error: &str) -> BrokenLine {
        BrokenLine {
            file: None,
            line: Some(number),
            setting: setting.map(str::to_owned),
            error: error.into(),
        }
    }

    #[test]
    fn configuration_broken_names_the_line() {
        let mut e = healthy();
        preflight(&mut e, |_| {});
        assert!(find(&e).is_none());
        preflight(&mut e, |p| {
            p.hba = Seen::Seen(vec![line(9, None, "invalid connection type \"hots\"")]);
            p.settings = Seen::Seen(vec![line(3, Some("work_mem"), "setting could not be applied")]);
        });
        let found = find(&e).unwrap();
        assert_eq!(
            found.summary,
            "the server's next start ends at line 9 of pg_hba.conf: invalid connection type \"hots\" (and 1 more); until \
             then it runs on the old configuration"
        );
        assert_eq!((found.confidence, found.evidence.len()), (Confidence::Certain, 2));
        assert!(found.evidence[1].fact.contains("(work_mem)"));
        assert!(crate::diagnose(&e).is_empty(), "nothing is broken yet");
    }

    #[test]
    fn configuration_broken_by_the_log_where_the_view_is_refused() {
        let mut e = healthy();
        window(&mut e, |host| host.log = Some(log_of("F0000", "pg_hba.conf was not reloaded")));
        preflight(&mut e, |p| p.hba = Seen::NotSeen("app may not ask".into()));
        assert_eq!(find(&e).unwrap().confidence, Confidence::Likely);
        preflight(&mut e, |_| {});
        assert!(find(&e).is_none(), "the view was asked, and knows better");
    }
}
