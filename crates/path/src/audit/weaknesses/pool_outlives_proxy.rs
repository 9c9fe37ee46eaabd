//! `pool-outlives-proxy`: the pool keeps connections for longer than a platform's proxy drains.

use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::{AuditFinding, Confidence, Fact, Ms, Nearness, Needs, ObjectKind, Severity, Source};

weakness! {
    /// The pool keeps connections for longer than the platform's proxy drains: its restarts cut them.
    ///
    /// ## What it is
    /// Fly's proxy stands before `.flycast` names and Managed Postgres. When it is restarted it drains for ten minutes and then
    /// closes what is left. Names in `.internal` do not pass through it.
    ///
    /// ## What breaks
    /// Connections that are older than the drain, all at once: `ECONNRESET`, `tcp recv (idle): closed`.
    ///
    /// ## What proves it
    /// The name that the API connects to, against `pool_lifetime` of `[service.budget]`.
    ///
    /// ## What mends it
    /// A lifetime of at most 600 s with jitter, an idle time of at most 300 s (Fly's own advice). Many drivers default to 30
    /// minutes or for ever.
    ///
    /// ## References
    /// Fly documentation, Managed Postgres, client configuration.
    "pool-outlives-proxy" in Proxy, proved by Proof::None("Fly's proxy cannot be had on loopback");
}

/// How long Fly's proxy drains.
const DRAIN_MS: f64 = 600_000.0;

fn find(e: &Evidence) -> Option<AuditFinding> {
    let host = e.target.host.as_str();
    let drained = host.ends_with(".flycast") || host.ends_with(".flympg.net");
    let lifetime = e.budget.pool_lifetime_ms;
    if !drained || lifetime.is_some_and(|ms| ms <= DRAIN_MS) {
        return None;
    }
    let (now, confidence) = match lifetime {
        Some(ms) => (Ms(ms).to_string(), Confidence::Certain),
        None => ("not known".to_owned(), Confidence::Possible),
    };
    let summary =
        format!("{host} leads through Fly's proxy, which drains for 10 min; the pool's lifetime is {now}");
    let fact = Fact::new(Source::Dns, e.started_at, host, "a name that leads through Fly's proxy");
    let how = "max_lifetime 600 s with jitter; say so in [service.budget]: pool_lifetime = \"10m\"";
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, summary, fact)
            .weighs(Severity::Warning, confidence)
            .breaks(
                Nearness::Fault,
                "when the proxy is restarted, connections older than ten minutes are cut at once",
            )
            .mended_by([changes::person(
                ObjectKind::Service,
                "the API's pool",
                "max lifetime",
                (&now, "600 s"),
                how,
                Needs::Deploy,
            )]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::view::tests::audited;

    #[test]
    fn pool_outlives_proxy_where_flys_proxy_stands_before_it() {
        let with = |host: &str, lifetime: Option<f64>| {
            let mut e = audited(|_| {});
            e.target.host = host.to_owned();
            e.budget.pool_lifetime_ms = lifetime;
            find(&e).map(|f| f.confidence)
        };
        assert_eq!(with("renderflow-db.internal", None), None);
        assert_eq!(with("renderflow-db.flycast", Some(600_000.0)), None);
        assert_eq!(with("renderflow-db.flycast", Some(1_800_000.0)), Some(Confidence::Certain));
        assert_eq!(with("pgbouncer.x.flympg.net", None), Some(Confidence::Possible));
    }
}
