//! `proxy-idle-timeout`: the proxy closes sessions that idle, and the API's pool keeps them.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::app::readiness;
use crate::rooms::proxy::log::endings;
use pgmedic_model::haproxy_words::Ended;
use pgmedic_model::{Confidence, Fact, Finding, Ms, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// The proxy closes sessions that idle, and the API meets dead connections in its pool.
    ///
    /// ## What it is
    /// HAProxy ends a session on which nothing was sent for `timeout client`, `timeout server` or `timeout tunnel`, whichever
    /// holds. Debian's example sets 50 s. A pool that keeps connections for longer hands out dead ones: the first query
    /// after a quiet spell fails, its retry works. A query that runs for longer than the timeout is cut as well.
    ///
    /// ## What proves it
    /// The API tells of lost connections while a fresh one works; HAProxy's configuration has a timeout shorter than the
    /// pool's idle time, and HAProxy has run for longer than it; its log ends sessions with the flags `cD` or `sD` after
    /// just that time.
    ///
    /// ## What mends it
    /// 1. `timeout client` and `timeout server` (or `timeout tunnel`) above the pool's `max_lifetime`, then reload.
    /// 2. Or the pool's idle timeout below the proxy's.
    /// 3. `option clitcpka` and `option srvtcpka` keep the path alive; they do not count as activity for these timeouts.
    ///
    /// ## What makes it worse
    /// Restarting the database. A larger pool: more connections idle for longer.
    ///
    /// ## What prevents it
    /// The pool's idle timeout (20 s) below the proxy's (30 min); a test on checkout.
    ///
    /// ## References
    /// HAProxy configuration manual, `timeout client`, `timeout server`, `timeout tunnel`, 8.5 (`cD`, `sD`).
    "proxy-idle-timeout" in Proxy, proved by Proof::Drill;
}

/// A timeout longer than this is no pool's trouble.
const LONG_MS: f64 = 3_600_000.0;

fn find(e: &Evidence) -> Option<Finding> {
    let lost = readiness::lost_connections(e).filter(|_| e.front.admitted())?;
    let host = e.host.get()?;
    let view = host.haproxy.as_ref()?;
    let Ms(idle) = view.timeouts.idle_ms().filter(|Ms(idle)| *idle < LONG_MS)?;
    // Nothing has idled for longer than the proxy has run.
    #[expect(clippy::cast_precision_loss, reason = "an uptime in seconds")]
    let possible = view.uptime_s.is_none_or(|s| (s + 1) as f64 * 1000.0 >= idle);
    if !possible {
        return None;
    }
    let logged: Vec<Fact> = endings(e, &[Ended::ClientIdle, Ended::ServerIdle])
        .into_iter()
        .map(|(_, fact)| fact)
        .take(3)
        .collect();
    let confidence = if logged.is_empty() { Confidence::Likely } else { Confidence::Certain };
    let severity = if readiness::failing(e) { Severity::Critical } else { Severity::Warning };
    let summary =
        format!("the proxy closes sessions that idle for {}; the API's pool keeps them for longer", Ms(idle));
    let said = format!("sessions of this frontend end after {} without traffic", Ms(idle));
    let configured = Fact::new(Source::Host, host.at, "HAProxy's configuration", said).value(idle);
    let mut finding = Finding::new(CAUSE.id, Room::Proxy, severity, confidence, summary, configured)
        .and(lost)
        .and_all(fresh(e))
        .and_all(logged);
    if confidence != Confidence::Certain {
        finding =
            finding.or_else("stale-pooled-sockets", "HAProxy's log: sessions that end with `cD` or `sD`");
    }
    Some(
        finding
            .mended_by(RemedyPlan::by_hand(
                "align-idle-timeouts",
                RemedyKind::Settings,
                "the pool's idle timeout below the proxy's, or the proxy's above the pool's lifetime; then reload the proxy",
                "grep -n 'timeout' /etc/haproxy/haproxy.cfg; haproxy -c -f /etc/haproxy/haproxy.cfg && systemctl reload haproxy",
            ))
            // For a person: until the timeouts agree, what is restarted idles out again.
            .mended_by(RemedyPlan::by_hand(
                "recycle-api-pool",
                RemedyKind::AppRestart,
                "restart the API's instances one at a time, if requests go on failing",
                "psql \"$DATABASE_URL\" -c 'select 1'   # a fresh connection works",
            )),
    )
}

/// A fresh session is let in: the way itself is well.
fn fresh(e: &Evidence) -> Option<Fact> {
    let startup = e.front.startup.as_ref()?;
    let (at, place) = (startup.at.plus(startup.elapsed_ms), e.front.address.as_str());
    Some(Fact::new(Source::Startup, at, place, "a fresh session is let in"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::evidence::fixture::{AT, healthy, window};
    use crate::platform::evidence::{HaproxyEnding, HaproxyLogView, HaproxyTimeouts, HaproxyView};
    use crate::rooms::app::causes::api_not_initialised::tests::log_says;
    use crate::rooms::app::evidence::LogPattern;
    use pgmedic_model::Role;

    /// The API lost connections through a HAProxy that closes idle ones after so long and has run for so long.
    pub(crate) fn cut(idle_ms: f64, uptime_s: u64) -> Evidence {
        let mut e = healthy();
        log_says(&mut e, LogPattern::ConnectionLost, false);
        window(&mut e, |host| {
            let timeouts = HaproxyTimeouts { client_ms: Some(Ms(idle_ms)), ..HaproxyTimeouts::default() };
            host.haproxy = Some(HaproxyView { timeouts, uptime_s: Some(uptime_s), ..HaproxyView::default() });
        });
        e
    }

    #[test]
    fn proxy_idle_timeout_is_likely_by_the_configuration_and_certain_by_the_log() {
        let mut e = cut(50_000.0, 86_400);
        let found = crate::diagnose(&e);
        let roots: Vec<_> = found.iter().filter(|f| f.role == Role::Root).collect();
        assert_eq!(roots.len(), 1, "{found:?}");
        assert_eq!((roots[0].cause.as_str(), roots[0].confidence), (CAUSE.id, Confidence::Likely));
        assert!(roots[0].explains.contains(&"stale-pooled-sockets".to_owned()));
        assert!(roots[0].remedies.iter().all(|r| r.action.is_none()), "a restart mends no timeout");
        if let crate::evidence::Seen::Seen(host) = &mut e.host {
            let ending =
                HaproxyEnding { flags: "cD".into(), at: Some(AT), count: 4, ..HaproxyEnding::default() };
            host.haproxy_log = Some(HaproxyLogView { endings: vec![ending], ..HaproxyLogView::default() });
        }
        assert_eq!(find(&e).expect("found").confidence, Confidence::Certain);
    }

    #[test]
    fn proxy_idle_timeout_needs_a_loss_a_short_time_and_a_proxy_that_ran_for_longer() {
        assert!(find(&cut(7_200_000.0, 86_400)).is_none());
        assert!(find(&cut(50_000.0, 20)).is_none(), "nothing has idled for so long through it");
        let mut quiet = cut(50_000.0, 86_400);
        quiet.app = healthy().app;
        assert!(find(&quiet).is_none(), "nobody has lost anything");
        assert!(find(&healthy()).is_none());
    }
}
