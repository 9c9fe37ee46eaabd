//! `proxy-idle-shorter`: the proxy cuts sessions that the pool keeps.

use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::{AuditFinding, Confidence, Fact, Ms, Nearness, Needs, ObjectKind, Severity, Source};

weakness! {
    /// The proxy cuts connections that idle for less time than the pool keeps them.
    ///
    /// ## What it is
    /// `timeout client`, `server` or `tunnel` of HAProxy ends a session that is silent for so long, and keepalives do not count
    /// as words. A pool that keeps idle connections for longer hands out dead ones.
    ///
    /// ## What breaks
    /// The first request after a quiet time: `server closed the connection unexpectedly`. A retry works, which is why it lives
    /// for years.
    ///
    /// ## What proves it
    /// HAProxy's configuration on this host, against `pool_idle` of `[service.budget]`; without that, a timeout of under five
    /// minutes is possibly it.
    ///
    /// ## What mends it
    /// A timeout of more than the pool's idle time and its longest quiet query (30 min is what Fly has), or a shorter idle time
    /// of the pool.
    ///
    /// ## References
    /// HAProxy configuration manual, `timeout client`, `timeout server`, `timeout tunnel`.
    "proxy-idle-shorter" in Proxy, proved by Proof::Drill;
}

/// Without the pool's own word, a shorter one than this is worth a word.
const SHORT_MS: f64 = 300_000.0;

fn find(e: &Evidence) -> Option<AuditFinding> {
    let host = e.host.get()?;
    let haproxy = host.haproxy.as_ref()?;
    let Ms(cut) = haproxy.timeouts.idle_ms()?;
    let (kept, confidence) = match e.budget.pool_idle_ms {
        Some(idle) => (idle, Confidence::Certain),
        None => (SHORT_MS, Confidence::Possible),
    };
    if cut > kept {
        return None;
    }
    let pool = e.budget.pool_idle_ms.map_or_else(
        || "how long the pool keeps an idle one is not known (pool_idle in [service.budget])".to_owned(),
        |idle| format!("the pool keeps them for {}", Ms(idle)),
    );
    let summary = format!("HAProxy cuts connections that idle for {}, and {pool}", Ms(cut));
    let text = format!(
        "timeouts: client {}, server {}, tunnel {}",
        shown(haproxy.timeouts.client_ms),
        shown(haproxy.timeouts.server_ms),
        shown(haproxy.timeouts.tunnel_ms)
    );
    let fact = Fact::new(Source::Host, host.at, haproxy.socket.as_str(), text).value(cut);
    let current = format!("{cut:.0}ms");
    let lines = (
        &*format!("timeout client {current}; timeout server {current}"),
        "timeout client 30m; timeout server 30m",
    );
    let shorter = format!("or have the pool close what idles for longer than {}", Ms(cut / 2.0));
    let line = changes::line("haproxy.cfg", "idle timeouts", (&current, "30m"), lines, Needs::Reload);
    let pool = changes::person(
        ObjectKind::Service,
        "the API's pool",
        "idle time",
        (&kept_text(e), "shorter"),
        shorter,
        Needs::Deploy,
    );
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, summary, fact)
            .weighs(Severity::Warning, confidence)
            .breaks(Nearness::Fault, "the first request after a quiet time meets a dead connection")
            .mended_by([line, pool]),
    )
}

fn shown(timeout: Option<Ms>) -> String {
    timeout.map_or_else(|| "none".to_owned(), |ms| ms.to_string())
}

fn kept_text(e: &Evidence) -> String {
    e.budget.pool_idle_ms.map_or_else(|| "not known".to_owned(), |ms| Ms(ms).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::view::tests::audited;
    use crate::evidence::fixture::window;
    use crate::platform::evidence::{HaproxyTimeouts, HaproxyView};

    #[test]
    fn proxy_idle_shorter_than_the_pools() {
        let with = |cut: f64, idle: Option<f64>| {
            let mut e = audited(|_| {});
            let timeouts = HaproxyTimeouts { client_ms: Some(Ms(cut)), ..HaproxyTimeouts::default() };
            window(&mut e, |h| h.haproxy = Some(HaproxyView { timeouts, ..HaproxyView::default() }));
            e.budget.pool_idle_ms = idle;
            find(&e).map(|f| f.confidence)
        };
        assert_eq!(with(50_000.0, Some(20_000.0)), None);
        assert_eq!(with(50_000.0, Some(600_000.0)), Some(Confidence::Certain));
        assert_eq!(with(50_000.0, None), Some(Confidence::Possible));
        assert_eq!(with(1_800_000.0, None), None);
        assert!(find(&audited(|_| {})).is_none());
    }
}
