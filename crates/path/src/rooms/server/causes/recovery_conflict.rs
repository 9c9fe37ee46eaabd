//! `recovery-conflict`: queries on a standby and its replay are in each other's way.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::psql;
use crate::rooms::server::log;
use crate::said;
use pgmedic_model::pooler_words::{Words, says};
use pgmedic_model::{Confidence, Fact, Finding, Ms, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// Queries on a standby stand in the way of its replay, and the server cancels them.
    ///
    /// ## What it is
    /// The primary removed row versions, dropped a table or took a lock that a query on the standby still needs. Replay
    /// waits for at most `max_standby_streaming_delay` (30 s); then the query is cancelled, or its session ended where it
    /// idles in its transaction. With -1 replay waits for ever, and the standby falls behind.
    ///
    /// ## What proves it
    /// `40001 canceling statement due to conflict with recovery` (or `terminating connection …`; `57P04` where the database was
    /// dropped), to pgmedic, in the API's log or in the server's; or the startup process waits for a query right now:
    /// `wait_event` `RecoveryConflictSnapshot` or `RecoveryConflictTablespace` (13+), or a lock. `pg_stat_database_conflicts`
    /// counts them by kind.
    ///
    /// ## What mends it
    /// Run the query again: it is safe. A long one on the primary or on a standby of its own. `hot_standby_feedback = on` (a
    /// reload) keeps row versions at the primary, at the price of bloat there.
    ///
    /// ## What makes it worse
    /// Restarting the standby. A delay of -1 on a standby that is meant to take over.
    ///
    /// ## What prevents it
    /// `hot_standby_feedback`; a delay as long as the longest report; a retry for 40001 in the API; DDL in quiet hours.
    ///
    /// ## References
    /// Postgres manual: "Handling Query Conflicts", `pg_stat_database_conflicts`, `max_standby_streaming_delay`.
    "recovery-conflict" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let told = said::errors(e).chain(said::notices(e)).find(|s| s.says(Words::RecoveryConflict));
    let waits = replay_waits(e);
    let logged = log::of_late(e, Words::RecoveryConflict).map(|(_, fact)| fact);
    let heard = heard_by_the_api(e);
    let severity =
        if told.is_some_and(|s| s.to_the_service()) { Severity::Critical } else { Severity::Warning };
    let now = waits.as_ref().map(|(what, _)| what.clone());
    let mut facts =
        told.iter().map(said::Said::fact).chain(waits.map(|(_, fact)| fact)).chain(logged).chain(heard);
    let proof = facts.next()?;
    let lag = e
        .facts()
        .and_then(|f| f.server.replay_lag_ms)
        .map(|ms| format!("; its last replayed transaction is {} old", Ms(ms)));
    let summary = match (&told, now) {
        (None, Some(what)) => format!(
            "replay on the standby waits for a query ({what}), which the server will cancel{}",
            lag.unwrap_or_default()
        ),
        _ => "the standby cancels queries that stand in the way of its replay".to_owned(),
    };
    let sql = "select datname, confl_tablespace, confl_lock, confl_snapshot, confl_bufferpin, confl_deadlock from \
               pg_stat_database_conflicts order by confl_snapshot + confl_lock desc limit 3";
    let oldest = "select pid, usename, application_name, state, now() - xact_start as age, left(query, 60) from \
                  pg_stat_activity where xact_start is not null and backend_type = 'client backend' order by xact_start limit 5";
    Some(
        Finding::new(CAUSE.id, Room::Server, severity, Confidence::Certain, summary, proof)
            .and_all(facts)
            .mended_by(RemedyPlan::by_hand(
                "see-whose-query",
                RemedyKind::Advice,
                "see which kind of conflict it is and whose transaction is old; run the query again, elsewhere if it is long",
                format!("{}; {}   # on the standby", psql(e, sql), psql(e, oldest)),
            ))
            .mended_by(RemedyPlan::by_hand(
                "send-standby-feedback",
                RemedyKind::Settings,
                "where snapshots conflict: have the primary keep the row versions that the standby's queries need (they bloat it)",
                format!(
                    "{}   # on the standby",
                    crate::paste::psql_each(e, &["alter system set hot_standby_feedback = on", "select pg_reload_conf()"])
                ),
            )),
    )
}

/// The startup process waits for a query: what for, and the fact.
fn replay_waits(e: &Evidence) -> Option<(String, Fact)> {
    let (facts, at, place) = e.told()?;
    let what = facts.server.replay_waits.clone()?;
    let said = format!("the startup process waits: {what}");
    Some((what, Fact::new(Source::Sql, at, format!("pg_stat_activity at {place}"), said)))
}

/// The API's log has the server's words.
fn heard_by_the_api(e: &Evidence) -> Option<Fact> {
    let log = e.app.log.get()?;
    let hit = log.hits.iter().find(|hit| !hit.stale && says(&hit.last, Words::RecoveryConflict))?;
    Some(Fact::new(Source::Log, log.at, log.place.as_str(), hit.last.as_str()).value(hit.count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::QueryOutcome;
    use crate::evidence::fixture::{fatal, healthy, log_of, window, with_facts};

    #[test]
    fn recovery_conflict_while_replay_waits() {
        let e = with_facts(|f| {
            f.server.in_recovery = true;
            f.server.replay_lag_ms = Some(42_000.0);
            f.server.replay_waits = Some("RecoveryConflictSnapshot".into());
        });
        let found = find(&e).unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert_eq!(
            found.summary,
            "replay on the standby waits for a query (RecoveryConflictSnapshot), which the server will cancel; its last \
             replayed transaction is 42.0 s old"
        );
    }

    #[test]
    fn recovery_conflict_at_the_walks_own_query_and_in_the_log() {
        let mut e = healthy();
        let query = e.front.query.as_mut().unwrap();
        query.outcome =
            QueryOutcome::Error(fatal("40001", "terminating connection due to conflict with recovery"));
        assert_eq!(find(&e).unwrap().severity, Severity::Critical);
        let mut e = healthy();
        assert!(find(&e).is_none());
        window(&mut e, |host| {
            host.log = Some(log_of("40001", "canceling statement due to conflict with recovery"))
        });
        assert_eq!(find(&e).unwrap().severity, Severity::Warning);
    }
}
