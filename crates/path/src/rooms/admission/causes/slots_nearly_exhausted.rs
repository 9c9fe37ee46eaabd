//! `slots-nearly-exhausted`: four fifths of the ordinary slots are taken.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::admission::slots;
use crate::rooms::sessions::ending;
use crate::said;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Finding, Room, Severity};

/// Below so many ordinary slots a share says nothing: one session more or less is a fifth.
const FEWEST: u64 = 5;

cause! {
    /// Four fifths or more of the ordinary connection slots are taken.
    ///
    /// ## What it is
    /// Everyone is still admitted, but one deploy, one slow query or one leaking instance uses up the rest; then new
    /// logins fail with 53300 (`slots-exhausted`). From nine tenths on the summary says so. pgmedic's own session is
    /// not counted, and servers with fewer than five ordinary slots are not judged.
    ///
    /// ## What proves it
    /// Client backends in `pg_stat_activity` against `max_connections` less both reserves.
    ///
    /// ## What mends it
    /// See who holds them. Sessions idle for minutes: their pool has no idle timeout, mend that first. Too many
    /// instances: shrink each pool, or put PgBouncer between. Only then raise `max_connections` (a restart).
    ///
    /// ## What makes it worse
    /// Raising the pools' size. A rolling deploy now: for its time old and new instances both hold their pools.
    ///
    /// ## What prevents it
    /// The budget: machines x pool max, deploy overlap and cron jobs included, below four fifths of the slots.
    ///
    /// ## References
    /// Postgres manual: "Connections and Authentication", `pg_stat_activity`.
    "slots-nearly-exhausted" in Admission, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let refused = [Words::SlotsReserved, Words::TooManyClients].iter().any(|w| said::error(e, *w).is_some());
    let slots = slots::count(e).filter(|s| s.ordinary >= FEWEST && s.short())?;
    let exhausted = slots.exact && slots.taken >= slots.ordinary;
    if refused || exhausted {
        return None;
    }
    let confidence = if slots.exact { Confidence::Certain } else { Confidence::Likely };
    let how = if slots.taken * 10 >= slots.ordinary * 9 { ", over nine tenths" } else { "" };
    let who = slots.who(e).map(|who| format!("; {who}")).unwrap_or_default();
    let summary = format!("{} ordinary slots taken{how}, {} left{who}", slots.ratio(), slots.free());
    let mut facts = slots.facts(e).into_iter();
    let proof = facts.next()?;
    let finding =
        Finding::new(CAUSE.id, Room::Admission, Severity::Warning, confidence, summary, proof).and_all(facts);
    Some(ending::terminate_idle(e).into_iter().chain([slots::look(e)]).fold(finding, Finding::mended_by))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::with_facts;

    fn taken(n: u64) -> Option<Finding> {
        find(&with_facts(|f| f.admission.client_backends = n + 1))
    }

    #[test]
    fn slots_nearly_exhausted_from_four_fifths_to_all_but_one() {
        assert!(taken(77).is_none());
        assert_eq!(taken(78).unwrap().summary, "78 of 97 ordinary slots taken, 19 left");
        let found = taken(96).unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert_eq!(found.summary, "96 of 97 ordinary slots taken, over nine tenths, 1 left");
        assert!(taken(97).is_none());
    }

    #[test]
    fn slots_nearly_exhausted_does_not_judge_a_handful_of_slots() {
        let e = with_facts(|f| {
            f.admission.max_connections = 7;
            f.admission.client_backends = 5;
        });
        assert!(find(&e).is_none());
    }
}
