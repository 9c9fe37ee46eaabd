//! `proxy-outgrown`: the pools may open more connections than the proxy takes.

use crate::audit::view::View;
use crate::audit::{budget, changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::{AuditFinding, Change, Confidence, Fact, Nearness, Needs, Severity, Source};

weakness! {
    /// The pools may open more connections than the proxy or the pooler takes.
    ///
    /// ## What it is
    /// HAProxy's `maxconn` and PgBouncer's `max_client_conn` stand before the server's limit. PgBouncer's default is 100.
    ///
    /// ## What breaks
    /// HAProxy lets further clients connect and says nothing, exactly as a proxy that hangs; PgBouncer refuses them (`no more
    /// connections allowed`).
    ///
    /// ## What proves it
    /// The budget's sum of the API's pools against `show info` of HAProxy's stats socket, and `SHOW CONFIG` of the pooler's console.
    ///
    /// ## What mends it
    /// A limit that is more than the sum (and as many descriptors for its process), or smaller pools.
    ///
    /// ## References
    /// HAProxy configuration manual, `maxconn`; pgbouncer(5), `max_client_conn`.
    "proxy-outgrown" in Proxy, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<AuditFinding> {
    let view = View::of(e)?;
    let wanted = budget::wanted_by_the_api(&view)?;
    let haproxy =
        e.host.get().and_then(|h| h.haproxy.as_ref()).and_then(|h| Some((h.max?, h.socket.as_str())));
    let pooler = e.pooler.get().and_then(|p| Some((p.max_client_conn?, p.address.as_str())));
    let advised = (wanted + wanted / 2).next_multiple_of(100).to_string();
    let mut facts: Vec<Fact> = Vec::new();
    let mut all: Vec<Change> = Vec::new();
    if let Some((max, socket)) = haproxy.filter(|(max, _)| *max < wanted) {
        let at = e.host.get().map_or(e.started_at, |h| h.at);
        facts.push(Fact::new(Source::Host, at, socket, format!("Maxconn {max}")).value(max));
        let lines = (&*format!("maxconn {max}"), &*format!("maxconn {advised}"));
        all.push(changes::line("haproxy.cfg", "maxconn", (&max.to_string(), &advised), lines, Needs::Reload));
    }
    if let Some((max, address)) = pooler.filter(|(max, _)| *max < wanted) {
        let at = e.pooler.get().map_or(e.started_at, |p| p.at);
        facts.push(Fact::new(Source::Pooler, at, address, format!("max_client_conn {max}")).value(max));
        let lines = (&*format!("max_client_conn = {max}"), &*format!("max_client_conn = {advised}"));
        all.push(changes::line(
            "pgbouncer.ini",
            "max_client_conn",
            (&max.to_string(), &advised),
            lines,
            Needs::Reload,
        ));
    }
    let mut facts = facts.into_iter();
    let first = facts.next()?;
    let summary = format!(
        "the API opens up to {wanted} connections, and {} is all that is taken before the server",
        first.fact
    );
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, summary, first)
            .and_all(facts)
            .weighs(Severity::Critical, Confidence::Certain)
            .breaks(Nearness::Load, "at a peak or during a deploy new connections hang before the proxy, or are refused by the pooler")
            .mended_by(all),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::budget::tests::planned;
    use crate::evidence::Seen;
    use crate::evidence::fixture::window;
    use crate::platform::evidence::HaproxyView;
    use crate::rooms::proxy::evidence::PoolerEvidence;

    #[test]
    fn proxy_outgrown_by_haproxy_and_by_the_pooler() {
        let with = |haproxy: u64, pooler: u64| {
            let mut e = planned(100, Some(10), 80);
            window(&mut e, |h| {
                h.haproxy = Some(HaproxyView { max: Some(haproxy), ..HaproxyView::default() })
            });
            e.pooler =
                Seen::Seen(PoolerEvidence { max_client_conn: Some(pooler), ..PoolerEvidence::default() });
            find(&e).map(|f| f.changes.into_iter().map(|c| c.statement).collect::<Vec<_>>())
        };
        assert_eq!(with(1000, 100), None);
        assert_eq!(with(20, 100).unwrap(), ["maxconn 100"]);
        assert_eq!(with(20, 40).unwrap(), ["maxconn 100", "max_client_conn = 100"]);
    }
}
