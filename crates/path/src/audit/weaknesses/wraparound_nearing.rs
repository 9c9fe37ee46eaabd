//! `wraparound-nearing`: transaction ids are not freed as fast as they should.

use crate::audit::view::View;
use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::literal;
use pgmedic_model::{AuditFinding, Confidence, Nearness, Needs, ObjectKind, Severity};

weakness! {
    /// Transaction ids are older than autovacuum lets them become: something holds it back.
    ///
    /// ## What it is
    /// From `autovacuum_freeze_max_age` (200 million) on autovacuum freezes by force. An age of twice that says that it does
    /// not get through: a prepared transaction, a slot's xmin, a very old session, or tables too large for its pace.
    ///
    /// ## What breaks
    /// At 2.1 billion the server takes no more writes, and vacuuming then takes hours (`wraparound-guard`).
    ///
    /// ## What proves it
    /// `age(datfrozenxid)` and `mxid_age(datminmxid)` of every database.
    ///
    /// ## What mends it
    /// End what holds it back; then `vacuum (freeze)` the oldest tables at a quiet time. Not `vacuum full`.
    ///
    /// ## References
    /// Postgres manual: "Preventing Transaction ID Wraparound Failures".
    "wraparound-nearing" in Server, proved by Proof::None("an age of 400 million takes hours to make; the drill wraparound-guard moves the counter itself");
}

fn find(e: &Evidence) -> Option<AuditFinding> {
    let view = View::of(e)?;
    let server = &view.facts.server;
    let due = server.freeze_max_age.max(200_000_000).saturating_mul(2);
    let kinds = [("age(datfrozenxid)", &server.oldest_xid), ("mxid_age(datminmxid)", &server.oldest_mxid)];
    let ages =
        kinds.into_iter().filter_map(|(what, oldest)| oldest.as_ref().map(|(db, age)| (*age, what, db)));
    // From 2 billion on it is the cause wraparound-guard.
    let (age, what, database) = ages.max().filter(|(age, ..)| (due..2_000_000_000).contains(age))?;
    let name = literal(database);
    let summary = format!(
        "{what} of database {name} is {age}: vacuum does not get through, and at 2.1 billion writes stop"
    );
    let how = "end what holds it back (old prepared transactions, unread slots, sessions of days); then vacuum (freeze, verbose) the \
               oldest tables: select oid::regclass, age(relfrozenxid) from pg_class where relkind in ('r', 'm', 't') order by 2 desc limit 10";
    Some(
        AuditFinding::new(
            WEAKNESS.id,
            WEAKNESS.room,
            summary,
            view.fact("pg_database", format!("{what} of {name}: {age}")).value(age),
        )
        .weighs(if age > 1_000_000_000 { Severity::Critical } else { Severity::Warning }, Confidence::Certain)
        .breaks(Nearness::SomeDay, "the server takes no more writes until hours of vacuum are over")
        .mended_by([changes::person(
            ObjectKind::Database,
            database,
            "age",
            (&age.to_string(), "under 200 million"),
            how,
            Needs::Nothing,
        )]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::view::tests::audited;
    use crate::evidence::{QueryEvidence, QueryOutcome};

    #[test]
    fn wraparound_nearing_long_before_the_guard() {
        let with = |age| {
            let mut e = audited(|_| {});
            if let Some(QueryEvidence { outcome: QueryOutcome::Answered(facts), .. }) = &mut e.front.query {
                facts.server.oldest_xid = Some(("shop".into(), age));
                facts.server.freeze_max_age = 200_000_000;
            }
            find(&e).map(|f| f.severity)
        };
        assert_eq!(with(300_000_000), None);
        assert_eq!(with(500_000_000), Some(Severity::Warning));
        assert_eq!(with(1_500_000_000), Some(Severity::Critical));
        assert_eq!(with(2_140_000_000), None, "that is wraparound-guard");
    }
}
