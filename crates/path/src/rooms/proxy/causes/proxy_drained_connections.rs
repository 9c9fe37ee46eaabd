//! `proxy-drained-connections`: the proxy was restarted or reloaded and has cut the sessions that went through it.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::app::readiness;
use crate::rooms::proxy::log::event;
use pgmedic_model::haproxy_words::HaproxyWords;
use pgmedic_model::{Confidence, Fact, Finding, Ms, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// The proxy was restarted or reloaded, and the connections that went through it were cut.
    ///
    /// ## What it is
    /// A proxy that is replaced lets its old process finish for a while (a drain: `hard-stop-after` of HAProxy, 10 minutes of
    /// Fly's proxy in front of `.flycast` names), then cuts what is left. Pools that hold connections for longer meet
    /// `ECONNRESET`, `tcp recv (idle): closed` or `server closed the connection unexpectedly`. Fresh connections work.
    ///
    /// ## What proves it
    /// The API tells of lost connections while a fresh one works, and HAProxy's own account says that it was started less than
    /// ten minutes ago; its log has `Proxy … stopped`. Before Fly's proxy only the way shows: connections by `.flycast` are
    /// cut and those by `.internal` are not.
    ///
    /// ## What mends it
    /// 1. Retry: the pool drops the dead connection and opens a fresh one.
    /// 2. Where it goes on failing: restart the API's instances one at a time.
    ///
    /// ## What makes it worse
    /// Restarting the database, or the proxy once more: it cuts the fresh connections too.
    ///
    /// ## What prevents it
    /// `max_lifetime` of the pool below the drain (10 min on Fly), a test on checkout; reloads instead of restarts, with a
    /// drain longer than the pool's lifetime.
    ///
    /// ## References
    /// HAProxy management guide, 4 (`-sf`) and configuration manual, `hard-stop-after`; Fly, "Managed Postgres: client
    /// configuration". Fly's proxy itself cannot be had on a development machine: the drill reloads a HAProxy.
    "proxy-drained-connections" in Proxy, proved by Proof::Drill;
}

/// A proxy that came up so recently may have cut what its forerunner had.
const RECENT_S: u64 = 600;

fn find(e: &Evidence) -> Option<Finding> {
    let lost = readiness::lost_connections(e).filter(|_| e.front.admitted())?;
    reloaded(e, &lost).or_else(|| behind_flycast(e, lost))
}

fn severity(e: &Evidence) -> Severity {
    if readiness::failing(e) { Severity::Critical } else { Severity::Warning }
}

/// HAProxy says itself that it is new, and nothing can have idled out through it yet.
fn reloaded(e: &Evidence, lost: &Fact) -> Option<Finding> {
    let host = e.host.get()?;
    let view = host.haproxy.as_ref()?;
    let up = view.uptime_s.filter(|s| *s < RECENT_S)?;
    #[expect(clippy::cast_precision_loss, reason = "at most ten minutes")]
    let up_ms = up as f64 * 1000.0;
    if view.timeouts.idle_ms().is_some_and(|Ms(idle)| up_ms + 1000.0 >= idle) {
        return None;
    }
    let summary = format!(
        "the proxy was started {} ago; the API's connections through its forerunner were cut",
        Ms(up_ms)
    );
    let said = format!("HAProxy's own account: up for {}", Ms(up_ms));
    let proof = Fact::new(Source::Host, host.at, &view.socket, said).value(up);
    let stopped = event(e, HaproxyWords::ProxyStopped).map(|(_, fact)| fact);
    let finding = Finding::new(CAUSE.id, Room::Proxy, severity(e), Confidence::Likely, summary, proof)
        .and(lost.clone())
        .and_all(stopped);
    let decider = "whether the API's errors began with the proxy's start";
    Some(finding.or_else("stale-pooled-sockets", decider).mended_by(recycle(e)))
}

/// The way leads through Fly's proxy, whose drains nobody outside sees.
fn behind_flycast(e: &Evidence, lost: Fact) -> Option<Finding> {
    let host = e.target.host.trim_end_matches('.').to_ascii_lowercase();
    if !host.ends_with(".flycast") {
        return None;
    }
    let summary =
        format!("the API lost connections through Fly's proxy ({host}), which cuts what outlives its drain");
    let finding = Finding::new(CAUSE.id, Room::Proxy, severity(e), Confidence::Possible, summary, lost);
    let decider = "the age at which connections die: about 10 min after a drain, or a fixed time of idling";
    Some(finding.or_else("idle-flow-forgotten", decider).mended_by(recycle(e)))
}

fn recycle(e: &Evidence) -> RemedyPlan {
    let restart = RemedyPlan::by_hand(
        "recycle-api-pool",
        RemedyKind::AppRestart,
        "retry; where it goes on failing, restart the API's instances one at a time; then max_lifetime below the drain",
        "psql \"$DATABASE_URL\" -c 'select 1'   # a fresh connection works",
    );
    readiness::unless_connected(e, restart)
}

#[cfg(test)]
mod tests {
    use super::super::proxy_idle_timeout::tests::cut;
    use super::*;
    use crate::evidence::fixture::healthy;
    use crate::rooms::app::causes::api_not_initialised::tests::log_says;
    use crate::rooms::app::evidence::LogPattern;
    use pgmedic_model::Role;

    #[test]
    fn proxy_drained_connections_where_the_proxy_is_new() {
        let found = crate::diagnose(&cut(3_600_000.0, 42));
        let roots: Vec<_> = found.iter().filter(|f| f.role == Role::Root).collect();
        assert_eq!(roots.len(), 1, "{found:?}");
        assert_eq!((roots[0].cause.as_str(), roots[0].confidence), (CAUSE.id, Confidence::Likely));
        assert!(roots[0].summary.starts_with("the proxy was started 42.0 s ago"), "{}", roots[0].summary);
        assert!(find(&cut(3_600_000.0, 86_400)).is_none(), "it has run for a day");
        assert!(find(&cut(5_000.0, 42)).is_none(), "they may have idled out");
    }

    #[test]
    fn proxy_drained_connections_is_possible_behind_flycast() {
        let mut e = healthy();
        log_says(&mut e, LogPattern::ConnectionLost, false);
        assert!(find(&e).is_none());
        e.target.host = "renderflow-db.flycast".into();
        assert_eq!(find(&e).expect("found").confidence, Confidence::Possible);
        e.app = healthy().app;
        assert!(find(&e).is_none());
    }
}
