//! `reconnect-storm`: clients that reconnect without a pause keep the server from serving any.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::platform::evidence::HostEvidence;
use crate::rooms::admission::slots;
use crate::said;
use pgmedic_model::pooler_words::{Words, says};
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// Clients reconnect without a pause, and their logins use the slots up that their work would need.
    ///
    /// ## What it is
    /// After an outage (a restart, a failover, a network that came back) every client connects at once, is turned away, and
    /// tries again at once. Each try costs a process and, with SCRAM, some milliseconds of CPU; whoever is let in is soon
    /// followed by the next. The first fault is long gone, and it does not get better. A client that connects for each
    /// request does the same under load.
    ///
    /// ## What proves it
    /// New logins are refused (53300), many a second by the server's log; and the sessions that hold the slots come and go:
    /// nearly all are a few seconds old, some less than one. Full slots whose holders stay are no storm, however many knock:
    /// then see `slots-exhausted`.
    ///
    /// ## What mends it
    /// 1. Let the clients in by and by: stop half of the instances, and start them again one at a time.
    /// 2. With PgBouncer in front: `PAUSE`, wait until the server is quiet, `RESUME`.
    /// 3. Give the clients a backoff with jitter.
    ///
    /// ## What makes it worse
    /// Restarting everything together; restarting the database: the storm begins anew, with recovery on top. Raising
    /// `max_connections`.
    ///
    /// ## What prevents it
    /// Exponential backoff with jitter in every client; pools instead of a connection for each request; instances restarted
    /// one after the other; PgBouncer, which queues instead of refusing.
    ///
    /// ## References
    /// Postgres manual: `log_connections`, error code 53300; PgBouncer manual: PAUSE.
    "reconnect-storm" in App, proved by Proof::Drill;
}

/// So many logins refused within [`WITHIN_MS`] are more than clients that wait a moment bring about.
const REFUSALS: u64 = 12;
const WITHIN_MS: i64 = 3_000;
/// Fewer sessions than this are no crowd.
const CROWD: u64 = 10;

fn find(e: &Evidence) -> Option<Finding> {
    let refused = said::errors(e).find(|s| s.says(Words::SlotsReserved) || s.says(Words::TooManyClients))?;
    let host = e.host.get()?;
    let (refusals, last) = refusals(e, host)?;
    let (all, proof) = coming_and_going(e).filter(|(all, _)| *all >= CROWD)?;
    let summary = format!(
        "clients log in again and again without a pause: {refusals} were turned away within {} s, while the {all} \
         sessions that are in come and go",
        WITHIN_MS / 1000
    );
    let slots = slots::count(e);
    Some(
        Finding::new(CAUSE.id, Room::App, Severity::Critical, Confidence::Likely, summary, last)
            .and(proof)
            .and(refused.fact())
            .and_all(slots.iter().flat_map(|s| s.facts(e).into_iter().take(2)))
            .or_else(
                "slots-exhausted",
                "whether the sessions are still as young in a minute: if they have grown old, nobody lets go of a slot",
            )
            .mended_by(RemedyPlan::by_hand(
                "restart-in-waves",
                RemedyKind::AppRestart,
                "stop half of the API's instances, see the others served, and start them again one at a time, with a backoff; \
                 leave the database alone",
                "select client_addr, count(*), max(now() - backend_start) as oldest from pg_stat_activity where backend_type = \
                 'client backend' group by 1 order by 2 desc;   -- until they grow old",
            )),
    )
}

/// How many logins were turned away just now by the server's log, where they are many; with the newest as a fact. The
/// walk's own is among them.
fn refusals(e: &Evidence, host: &HostEvidence) -> Option<(u64, Fact)> {
    let log = host.log.as_ref().filter(|log| log.turned_away >= REFUSALS)?;
    let words = [Words::SlotsReserved, Words::TooManyClients, Words::RoleLimit, Words::DatabaseLimit];
    let of_want = |message: &str| words.iter().any(|w| says(message, *w));
    let last = log.entries.iter().rev().find(|entry| of_want(&entry.message))?;
    let at = last.at.filter(|at| (at.0 - e.started_at.0).abs() <= WITHIN_MS)?;
    let said = format!(
        "{} logins refused within {} s, the last: {}",
        log.turned_away,
        WITHIN_MS / 1000,
        last.message
    );
    Some((log.turned_away, Fact::new(Source::Log, at, &log.path, said).value(log.turned_away)))
}

/// The sessions that hold the slots: how many, and that they come and go.
fn coming_and_going(e: &Evidence) -> Option<(u64, Fact)> {
    let Some((facts, at, place)) = e.told() else { return in_the_processes(e) };
    let a = &facts.admission;
    let (all, young, new) = (a.client_backends.saturating_sub(a.own), a.started_lately, a.started_just_now);
    // Slots that were filled a moment ago are held by young sessions too; but then nobody has come in since.
    if young * 4 < all * 3 || new * 20 < all {
        return None;
    }
    let said =
        format!("{young} of {all} sessions began within the last 10 s, {new} of them within the last second");
    Some((all, Fact::new(Source::Sql, at, format!("pg_stat_activity at {place}"), said).value(young)))
}

/// The same by the server's processes, where nobody can ask it: young, and not at rest.
fn in_the_processes(e: &Evidence) -> Option<(u64, Fact)> {
    let host = e.host.get()?;
    let groups = host.backends.as_ref()?;
    let all: u64 = groups.iter().map(|g| g.count).sum();
    let resting: u64 = groups.iter().filter(|g| g.activity.starts_with("idle")).map(|g| g.count).sum();
    let young = host.started_lately?.min(all);
    if young * 4 < all * 3 || resting * 2 >= all {
        return None;
    }
    let said = format!("{young} of {all} processes that serve clients were started within the last 10 s");
    let pid = host.postmaster.as_ref().map_or_else(String::new, |p| format!("children of pid {}", p.pid));
    Some((all, Fact::new(Source::Host, host.at, pid, said).value(young)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{healthy, log_of, refused as walk_refused, window, with_facts};
    use crate::platform::evidence::{ServerLogView, TitleGroup};
    use pgmedic_model::Role;

    const TOO_MANY: &str = "sorry, too many clients already";

    /// So many logins refused within the last three seconds of the log.
    fn refusing(e: &mut Evidence, count: u64) {
        window(e, |host| host.log = Some(ServerLogView { turned_away: count, ..log_of("53300", TOO_MANY) }));
    }

    fn storm(count: u64, young: u64, new: u64) -> Evidence {
        let mut e = walk_refused("53300", TOO_MANY);
        refusing(&mut e, count);
        e.rescue = Seen::Seen(
            with_facts(|f| {
                (f.admission.client_backends, f.admission.own) = (98, 1);
                (f.admission.started_lately, f.admission.started_just_now) = (young, new);
            })
            .front,
        );
        e
    }

    #[test]
    fn reconnect_storm_is_many_refused_and_all_holders_young() {
        let found = crate::diagnose(&storm(20, 96, 40));
        let told: Vec<_> = found.iter().map(|f| (f.cause.as_str(), f.role)).collect();
        assert_eq!(told, [(CAUSE.id, Role::Root), ("slots-exhausted", Role::Symptom)]);
        assert_eq!((found[0].severity, found[0].confidence), (Severity::Critical, Confidence::Likely));
        assert!(
            found[0].summary.contains("20 were turned away within 3 s, while the 97 sessions"),
            "{}",
            found[0].summary
        );
    }

    #[test]
    fn reconnect_storm_is_not_full_slots_at_which_somebody_knocks() {
        assert!(find(&storm(20, 30, 20)).is_none(), "the holders are old");
        assert!(find(&storm(3, 96, 40)).is_none(), "the slots were filled a moment ago");
        assert!(find(&storm(20, 96, 0)).is_none(), "nobody has come in since");
        assert!(find(&healthy()).is_none());
        let mut admitted = storm(20, 96, 40);
        admitted.front = healthy().front;
        assert!(find(&admitted).is_none(), "the walk was let in");
    }

    #[test]
    fn reconnect_storm_may_be_seen_in_the_processes_alone() {
        let mut e = walk_refused("53300", TOO_MANY);
        refusing(&mut e, 20);
        if let Seen::Seen(host) = &mut e.host {
            let busy = TitleGroup {
                role: "app".into(),
                activity: "SELECT".into(),
                count: 90,
                ..TitleGroup::default()
            };
            host.backends = Some(vec![busy]);
            (host.unstarted, host.started_lately) = (Some(6), Some(95));
        }
        assert!(find(&e).expect("found").evidence[1].fact.starts_with("90 of 90 processes"));
    }
}
