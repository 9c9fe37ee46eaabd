//! `stale-pooled-sockets`: the API's pool hands out connections that were closed while they idled.

use crate::cause::Proof;
use crate::evidence::{Evidence, QueryOutcome};
use crate::paste::argument;
use crate::rooms::app::evidence::LogPattern;
use crate::rooms::app::readiness;
use pgmedic_model::{Confidence, Fact, Finding, Ms, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// The API's pool hands out connections that were closed or reset while they idled.
    ///
    /// ## What it is
    /// Something ended a pooled connection while nobody used it (a proxy's idle timeout, a restart, a load balancer, the
    /// server itself), and the pool did not notice. The first query on it fails: `server closed the connection
    /// unexpectedly`, `ECONNRESET`, `CONNECTION_CLOSED`, `tcp recv (idle): closed`. The retry takes a fresh connection and
    /// works, so it looks like chance.
    ///
    /// ## What proves it
    /// A fresh connection on the API's own way in logs in and is answered, while the API's log (or readiness) tells of
    /// connections that were lost, and the server's log has no FATAL for them. The errors fall on connections older than
    /// some age; that age names what closes them.
    ///
    /// ## What mends it
    /// 1. Retry once: the pool drops the dead one.
    /// 2. Where it goes on failing: restart the API's instances one at a time; leave the database alone.
    /// 3. Give the pool an idle timeout and a `max_lifetime` below what closes them (5 and 10 minutes behind Fly's proxy),
    ///    and a test before use (`test_before_acquire`, `pool_pre_ping`).
    ///
    /// ## What makes it worse
    /// Restarting the database or the proxy: every pooled connection is stale then.
    ///
    /// ## What prevents it
    /// `max_lifetime` ≤ 600 s, idle ≤ 300 s, keepalives of 60 s, a test on checkout.
    ///
    /// ## References
    /// Fly, "Managed Postgres: client configuration"; sqlx `test_before_acquire`; SQLAlchemy `pool_pre_ping`; HikariCP
    /// `maxLifetime`. Runbook: "Prevention" (`idle_timeout: 20`).
    "stale-pooled-sockets" in App, proved by Proof::Drill;
}

/// A server that came up so recently has itself ended every older connection.
const FRESH_SERVER_MS: f64 = 600_000.0;

/// From so many failures on, with no success between them, a pool keeps what is dead.
const AGAIN_AND_AGAIN: u64 = 5;

fn find(e: &Evidence) -> Option<Finding> {
    let query = e.front.query.as_ref().filter(|q| matches!(q.outcome, QueryOutcome::Answered(_)))?;
    let told = readiness::told(e).filter(|t| t.failing());
    let said = told.as_ref().filter(|t| t.meaning() == Some(LogPattern::ConnectionLost));
    // One line may tell of a client that was stopped itself.
    let logged =
        readiness::logged(e, LogPattern::ConnectionLost).filter(|(hit, _)| hit.count >= 2 || said.is_some());
    let count = logged.as_ref().map_or(1, |(hit, _)| hit.count);
    // A pool that drops what has failed does not fail again and again: one that does holds on to it.
    if said.is_some() && count >= AGAIN_AND_AGAIN {
        return None;
    }
    let mut proofs = said.map(|t| t.fact()).into_iter().chain(logged.map(|(_, fact)| fact));
    let proof = proofs.next()?;
    let severity = if said.is_some() { Severity::Critical } else { Severity::Warning };
    let up = e.facts().map(|f| f.server.uptime_ms).filter(|ms| *ms > 0.0 && *ms < FRESH_SERVER_MS);
    let by = up.map_or_else(String::new, |ms| format!("; the server came up {} ago", Ms(ms)));
    let times = if count == 1 { "a connection".to_owned() } else { format!("{count} connections") };
    let summary = format!("the API lost {times} of its pool, while a fresh one is answered{by}");
    let fresh = format!("a fresh connection logs in and is answered in {}", query.elapsed_ms);
    let fresh = Fact::new(Source::Sql, query.at, e.front.address.as_str(), fresh);
    let finding = Finding::new(CAUSE.id, Room::App, severity, Confidence::Likely, summary, proof)
        .and_all(proofs)
        .and(fresh);
    let finding = if up.is_some() {
        finding
    } else {
        finding
            .or_else(
                "idle-flow-forgotten",
                "`ss -tnoi` on the API's host: a pooled connection that sends and is not heard",
            )
            .or_else("proxy-idle-timeout", "the proxy's configured idle timeouts and its log (`cD`, `sD`)")
    };
    let command = told.map_or_else(
        || "psql \"$DATABASE_URL\" -c 'select 1'   # works; then one API instance after the other".to_owned(),
        |t| {
            format!(
                "curl -sS -i -m 5 {}   # twice: the second takes a fresh connection",
                argument(&t.ready.url)
            )
        },
    );
    let recycle = RemedyPlan::by_hand(
        "recycle-api-pool",
        RemedyKind::AppRestart,
        "retry; if it goes on failing, restart the API's instances one at a time",
        command,
    );
    Some(finding.mended_by(readiness::unless_connected(e, recycle)))
}

#[cfg(test)]
mod tests {
    use super::super::api_not_initialised::tests::{log_says, not_ready};
    use super::*;
    use crate::evidence::fixture::{healthy, refused, with_facts};
    use crate::rooms::app::readiness::tests::{answered, ready_says};
    use pgmedic_model::{Action, Role};

    #[test]
    fn stale_pooled_sockets_by_the_apis_own_words() {
        let mut e = healthy();
        log_says(&mut e, LogPattern::ConnectionLost, false);
        let found = crate::diagnose(&e);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].cause.as_str(), found[0].severity), (CAUSE.id, Severity::Warning));
        assert_eq!(found[0].confidence, Confidence::Likely);
        assert_eq!(found[0].remedies[0].action, Some(Action::RestartApi));
        let mut well = e.clone();
        ready_says(&mut well, answered(200, "connected"));
        let found = find(&well).expect("the log still tells of it");
        assert_eq!(found.remedies[0].action, None, "the pool has let go: a restart would be in vain");
        log_says(&mut e, LogPattern::ConnectionLost, true);
        assert!(find(&e).is_none(), "that is over");
    }

    #[test]
    fn stale_pooled_sockets_explain_a_readiness_that_fails_with_those_words() {
        let mut e = with_facts(|f| f.server.uptime_ms = 20_000.0);
        ready_says(&mut e, not_ready("Connection terminated unexpectedly"));
        let found = crate::diagnose(&e);
        let roots: Vec<_> = found.iter().filter(|f| f.role == Role::Root).collect();
        assert_eq!(roots.len(), 1, "{found:?}");
        assert_eq!((roots[0].cause.as_str(), roots[0].severity), (CAUSE.id, Severity::Critical));
        assert!(roots[0].summary.ends_with("; the server came up 20.0 s ago"), "{}", roots[0].summary);
        assert!(roots[0].alternatives.is_empty());
    }

    #[test]
    fn stale_pooled_sockets_not_where_a_fresh_connection_fails_too() {
        let mut e = refused("53300", "sorry, too many clients already");
        log_says(&mut e, LogPattern::ConnectionLost, false);
        assert!(find(&e).is_none());
        assert!(find(&healthy()).is_none());
    }
}
