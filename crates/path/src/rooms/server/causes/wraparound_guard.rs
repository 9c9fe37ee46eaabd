//! `wraparound-guard`: transaction ids run out, and the server refuses to assign more.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::{literal, psql_in};
use crate::sql::facts::SqlFacts;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

/// Half of the id space: ids older than this would be in the future.
const WRAP: u64 = 2_147_483_647;

cause! {
    /// Transaction ids run out: the server refuses, or soon will, every command that needs a new one.
    ///
    /// ## What it is
    /// Ids are 32 bits; VACUUM must freeze old rows before 2 billion younger ids exist. Something held it back for weeks:
    /// a prepared transaction, a replication slot's xmin, a very old session, a table whose VACUUM keeps failing.
    /// 3 million ids before the end (1 million before 14) writes stop; reads go on. 40 million (11 million) before, the
    /// server warns.
    ///
    /// ## What proves it
    /// `select datname, age(datfrozenxid), mxid_age(datminmxid) from pg_database`. Writes fail with `54000 database is not
    /// accepting commands to avoid wraparound data loss` (17+: `… that assign new transaction IDs`).
    ///
    /// ## What mends it
    /// 1. Remove what holds VACUUM back: old prepared transactions, abandoned slots, sessions with an old `backend_xmin`.
    /// 2. `vacuum` in that database, in normal mode, the oldest tables first. Single-user mode is not needed.
    ///
    /// ## What makes it worse
    /// A restart or single-user mode: hours of downtime, and what holds VACUUM back is still there. Ending autovacuum
    /// workers `(to prevent wraparound)`. `vacuum full`: it needs an id and an exclusive lock.
    ///
    /// ## What prevents it
    /// An alert on `age(datfrozenxid)` over 1 billion; alerts on old prepared transactions and inactive slots.
    ///
    /// ## References
    /// Postgres manual: "Routine Vacuuming" (preventing transaction ID wraparound failures).
    "wraparound-guard" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let (facts, at, place) = e.told()?;
    // varsup.c and multixact.c, SetTransactionIdLimit and SetMultiXactIdLimit: wider margins since 14.
    let wide = facts.version_num >= 140_000;
    let (stop, warn) = if wide { (3_000_000, 40_000_000) } else { (1_000_000, 11_000_000) };
    let kinds = [
        ("age(datfrozenxid)", &facts.server.oldest_xid),
        ("mxid_age(datminmxid)", &facts.server.oldest_mxid),
    ];
    let oldest =
        kinds.into_iter().filter_map(|(what, oldest)| oldest.as_ref().map(|(db, age)| (what, db, *age)));
    let (what, database, age) =
        oldest.max_by_key(|(_, _, age)| *age).filter(|(_, _, age)| *age >= WRAP - warn)?;
    let left = (WRAP - stop).saturating_sub(age);
    let name = literal(database);
    let (severity, summary) = if left == 0 {
        (Severity::Critical, format!("the server takes no more writes: {what} of database {name} is {age}"))
    } else {
        (
            Severity::Warning,
            format!("{left} ids until the server takes no more writes: {what} of database {name} is {age}"),
        )
    };
    let proof =
        Fact::new(Source::Sql, at, format!("pg_database at {place}"), format!("{what} of {name}: {age}"))
            .value(age);
    let oldest_tables = "select oid::regclass, age(relfrozenxid), mxid_age(relminmxid) from pg_class where relkind in \
                         ('r', 'm', 't') order by 2 desc limit 10";
    Some(
        Finding::new(CAUSE.id, Room::Server, severity, Confidence::Certain, summary, proof)
            .and_all(held_back(facts).map(|text| Fact::new(Source::Sql, at, place, text)))
            .mended_by(RemedyPlan::by_hand(
                "see-oldest-tables",
                RemedyKind::Advice,
                "first end what holds VACUUM back (prepared transactions, slots, old sessions), then see which tables are oldest",
                psql_in(e, database, oldest_tables),
            ))
            .mended_by(RemedyPlan::by_hand(
                "vacuum-database",
                RemedyKind::Advice,
                "vacuum that database in normal mode, without a restart; it may run for hours",
                psql_in(e, database, "vacuum (freeze, verbose)"),
            )),
    )
}

/// What keeps VACUUM from freezing, as far as it was seen.
fn held_back(facts: &SqlFacts) -> impl Iterator<Item = String> {
    let prepared = facts
        .sessions
        .prepared
        .first()
        .map(|p| format!("prepared transaction {} keeps its xmin", literal(&p.gid)));
    let slot = facts.storage.slots.iter().filter(|s| s.xmin_age.is_some()).max_by_key(|s| s.xmin_age);
    let slot = slot.map(|s| {
        format!("slot {} keeps an xmin of age {}", literal(&s.name), s.xmin_age.unwrap_or_default())
    });
    prepared.into_iter().chain(slot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::with_facts;

    fn aged(version_num: u32, age: u64) -> Option<Severity> {
        let e = with_facts(|f| {
            f.version_num = version_num;
            f.server.oldest_xid = Some(("renderflow".into(), age));
            f.server.oldest_mxid = Some(("postgres".into(), 1_000));
        });
        find(&e).map(|f| f.severity)
    }

    #[test]
    fn wraparound_guard_stops_where_the_server_stops() {
        assert_eq!(aged(150_018, 2_107_483_646), None);
        assert_eq!(aged(150_018, 2_107_483_647), Some(Severity::Warning));
        assert_eq!(aged(150_018, 2_144_483_647), Some(Severity::Critical));
        assert_eq!(aged(130_000, 2_144_483_647), Some(Severity::Warning));
        assert_eq!(aged(130_000, 2_146_483_647), Some(Severity::Critical));
        assert_eq!(aged(150_018, 200_000_000), None);
    }
}
