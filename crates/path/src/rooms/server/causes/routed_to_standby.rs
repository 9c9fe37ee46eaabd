//! `routed-to-standby`: the service's way in leads to a standby.

use crate::cause::Proof;
use crate::evidence::{Evidence, RouteEvidence};
use pgmedic_model::{Confidence, Fact, Finding, Ms, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// The service is led to a standby: it reads, and cannot write.
    ///
    /// ## What it is
    /// A name, a proxy or a failover left the service's way in at a server in recovery. Logins work, `select 1` works,
    /// readiness is green, and every write fails. A service that means to read from a standby looks the same: unless
    /// its URL says so (`target_session_attrs=standby`, `prefer-standby`, `read-only`), this is `likely`, and `certain` only
    /// where the way around the proxy leads to a primary.
    ///
    /// ## What proves it
    /// `select pg_is_in_recovery()` is true on the service's own way in (`in_hot_standby` at login, since 14). Writes
    /// fail with `25006 cannot execute … in a read-only transaction`.
    ///
    /// ## What mends it
    /// Find the primary (`select pg_is_in_recovery()` on each server), then put the proxy or the name right and let the
    /// API reconnect. If there is no primary any more, that is a failover to be decided by a person.
    ///
    /// ## What makes it worse
    /// Promoting this standby while the old primary lives: two primaries, two truths.
    ///
    /// ## What prevents it
    /// `target_session_attrs=read-write` in the API's URL; a proxy whose health check asks for the role.
    ///
    /// ## References
    /// Postgres manual: "Hot Standby", libpq's `target_session_attrs`, `pg_is_in_recovery()`.
    "routed-to-standby" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let proof = standby(&e.front).filter(|_| !e.target.wants_standby)?;
    let primary = e.direct.get().filter(|r| is_primary(r));
    let confidence = if primary.is_some() { Confidence::Certain } else { Confidence::Likely };
    let lag = e.front.facts().and_then(|f| f.server.replay_lag_ms);
    let lag = lag.map(|ms| format!("; its last replayed transaction is {} old", Ms(ms))).unwrap_or_default();
    let elsewhere = primary.map(|r| format!("; the primary is at {}", r.address)).unwrap_or_default();
    let summary =
        format!("{} leads to a standby: the service reads and cannot write{elsewhere}{lag}", e.front.address);
    let around = primary.and_then(|r| match (&r.query, &r.startup) {
        (Some(query), _) => Some(
            Fact::new(Source::Sql, query.at, r.address.as_str(), "pg_is_in_recovery() = false").value(false),
        ),
        (None, Some(startup)) => Some(
            Fact::new(Source::Startup, startup.at, r.address.as_str(), "in_hot_standby = off").value(false),
        ),
        (None, None) => None,
    });
    Some(
        Finding::new(CAUSE.id, Room::Server, Severity::Critical, confidence, summary, proof)
            .and_all(around)
            .mended_by(RemedyPlan::by_hand(
                "route-to-primary",
                RemedyKind::Advice,
                "put the name or the proxy right, so that the service is led to the primary; promote nothing blindly",
                "psql \"$DATABASE_URL\" -Atc \"select pg_is_in_recovery(), inet_server_addr(), inet_server_port()\"",
            )),
    )
}

/// The server behind this way in says that it is not in recovery: by SQL, else in its greeting (14+).
fn is_primary(route: &RouteEvidence) -> bool {
    route.facts().map_or_else(
        || route.query.is_none() && route.startup.as_ref().is_some_and(|s| s.in_hot_standby == Some(false)),
        |facts| !facts.server.in_recovery,
    )
}

/// The server behind this way in says that it is in recovery: by SQL, else in its greeting.
fn standby(route: &RouteEvidence) -> Option<Fact> {
    let place = route.address.as_str();
    if let (Some(facts), Some(query)) = (route.facts(), &route.query) {
        let fact = Fact::new(Source::Sql, query.at, place, "pg_is_in_recovery() = true").value(true);
        return facts.server.in_recovery.then_some(fact);
    }
    let startup = route.startup.as_ref().filter(|s| s.in_hot_standby == Some(true))?;
    Some(Fact::new(Source::Startup, startup.at, place, "in_hot_standby = on").value(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{admitted, with_facts};

    #[test]
    fn routed_to_standby_is_likely_until_the_primary_is_seen() {
        let mut e = with_facts(|f| {
            f.server.in_recovery = true;
            f.server.replay_lag_ms = Some(3_000.0);
        });
        let found = find(&e).unwrap();
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Likely));
        assert!(found.summary.ends_with("cannot write; its last replayed transaction is 3.0 s old"));
        e.target.wants_standby = true;
        assert!(find(&e).is_none(), "it means to be there");
        e.target.wants_standby = false;
        e.direct = Seen::Seen(admitted("renderflow-db.internal:5433"));
        let found = find(&e).unwrap();
        assert_eq!(found.confidence, Confidence::Certain);
        assert!(found.summary.contains("the primary is at renderflow-db.internal:5433"));
        let mut greeted = admitted("renderflow-db.internal:5433");
        greeted.query = None;
        greeted.startup.as_mut().unwrap().in_hot_standby = Some(false);
        e.direct = Seen::Seen(greeted);
        let found = find(&e).unwrap();
        assert_eq!(found.confidence, Confidence::Certain);
        assert_eq!(found.evidence[1].source, Source::Startup);
        assert!(find(&with_facts(|_| ())).is_none());
    }

    #[test]
    fn routed_to_standby_is_told_in_the_greeting_too() {
        let mut e = with_facts(|_| ());
        e.front.query = None;
        e.front.startup.as_mut().unwrap().in_hot_standby = Some(true);
        assert_eq!(find(&e).unwrap().evidence[0].source, Source::Startup);
    }
}
