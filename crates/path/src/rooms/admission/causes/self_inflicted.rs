//! `self-inflicted`: pgmedic's own sessions are in the way.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::psql;
use crate::rooms::admission::slots;
use crate::said;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// Sessions of pgmedic itself take the slots that the service needs.
    ///
    /// ## What it is
    /// One walk holds at most two sessions, for a moment. Where many of them stand in `pg_stat_activity`, many checks run at
    /// once (a watcher on each machine, a probe that is started again before it has ended), or something kept their sessions
    /// open after they had gone: a proxy or pooler in between, a network that lost the farewell.
    ///
    /// ## What proves it
    /// Sessions with `application_name = 'pgmedic'`, besides those of this walk, take a fifth of the ordinary slots or more;
    /// or without them a slot would be free.
    ///
    /// ## What mends it
    /// 1. Stop the other checks, or have them run one after the other.
    /// 2. Terminate the sessions that are older than any check's timeout.
    ///
    /// ## What makes it worse
    /// Checking more often to see whether it gets better.
    ///
    /// ## What prevents it
    /// One watcher for each service; an interval longer than the timeout; `ALTER ROLE … CONNECTION LIMIT 5` for a monitoring
    /// role of its own.
    ///
    /// ## References
    /// Postgres manual: `pg_stat_activity`, `ALTER ROLE`. pgmedic's ARCHITECTURE.md, invariant 6.
    "self-inflicted" in Admission, proved by Proof::Drill;
}

/// So many other sessions of pgmedic are not yet in anybody's way.
const FEW: u64 = 3;

fn find(e: &Evidence) -> Option<Finding> {
    let (facts, at, place) = e.told()?;
    let slots = slots::count(e)?;
    // Each way in that was admitted may still have its session.
    let walk = e.routes().filter(|(_, route)| route.admitted()).count() as u64;
    let others = facts.admission.own.saturating_sub(walk);
    let tips = slots.taken < slots.ordinary && slots.taken + others >= slots.ordinary;
    if others <= FEW || !(tips || others * 5 >= slots.ordinary) {
        return None;
    }
    let refused = said::errors(e).any(|s| s.says(Words::SlotsReserved) || s.says(Words::TooManyClients));
    let severity = if refused && tips { Severity::Critical } else { Severity::Warning };
    let summary = format!(
        "{others} sessions are pgmedic's own, besides those of this walk; all others take {} of {} ordinary slots",
        slots.taken, slots.ordinary
    );
    let said = format!(
        "{} sessions with application_name pgmedic, {walk} of them of this walk",
        facts.admission.own
    );
    let fact = Fact::new(Source::Sql, at, format!("pg_stat_activity at {place}"), said).value(others);
    let sql = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgmedic' and pid <> \
               pg_backend_pid() and backend_start < now() - interval '1 minute'";
    Some(
        Finding::new(CAUSE.id, Room::Admission, severity, Confidence::Certain, summary, fact)
            .and_all(slots.facts(e).into_iter().take(1))
            .mended_by(RemedyPlan::by_hand(
                "stop-other-checks",
                RemedyKind::Advice,
                "see where pgmedic's sessions come from, and stop the checks that run at once",
                psql(e, "select client_addr, state, count(*), min(backend_start) from pg_stat_activity where application_name = \
                         'pgmedic' group by 1, 2 order by 3 desc"),
            ))
            .mended_by(RemedyPlan::by_hand(
                "terminate-old-checks",
                RemedyKind::Sessions,
                "terminate pgmedic's own sessions that are older than a minute; no check takes so long",
                psql(e, sql),
            )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{healthy, refused as walk_refused, with_facts};
    use pgmedic_model::Role;

    const RESERVED: &str = "remaining connection slots are reserved for roles with the SUPERUSER attribute";

    fn own(own: u64, all: u64) -> Evidence {
        with_facts(|f| (f.admission.own, f.admission.client_backends) = (own, all))
    }

    #[test]
    fn self_inflicted_where_pgmedic_takes_a_fifth_of_the_slots() {
        assert!(find(&own(20, 40)).is_none());
        let found = find(&own(21, 40)).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Warning, Confidence::Certain));
        assert!(found.summary.starts_with("20 sessions are pgmedic's own"));
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn self_inflicted_slots_are_nobody_elses() {
        let mut e = walk_refused("53300", RESERVED);
        e.rescue = Seen::Seen(own(95, 98).front);
        let found = crate::diagnose(&e);
        let told: Vec<_> = found.iter().map(|f| (f.cause.as_str(), f.role, f.severity)).collect();
        let critical = Severity::Critical;
        assert_eq!(told, [(CAUSE.id, Role::Root, critical), ("slots-exhausted", Role::Symptom, critical)]);
    }

    #[test]
    fn self_inflicted_by_the_last_few_only_contributes() {
        let mut e = walk_refused("53300", RESERVED);
        e.rescue = Seen::Seen(own(7, 98).front);
        let found = crate::diagnose(&e);
        let told: Vec<_> = found.iter().map(|f| (f.cause.as_str(), f.role)).collect();
        assert!(told.contains(&("slots-exhausted", Role::Root)), "{told:?}");
        assert!(told.contains(&(CAUSE.id, Role::Contributing)), "{told:?}");
        e.rescue = Seen::Seen(own(3, 98).front);
        assert!(find(&e).is_none());
    }
}
