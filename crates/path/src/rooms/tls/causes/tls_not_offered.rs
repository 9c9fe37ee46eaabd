//! `tls-not-offered`: the client demands TLS and the server has none.

use crate::cause::Proof;
use crate::evidence::{Evidence, RouteEvidence};
use crate::paste;
use crate::rooms::proxy::evidence::{FirstBytes, Sent};
use crate::rooms::tls::evidence::TlsOutcome;
use crate::rooms::tls::reading::fact;
use crate::ways::{Around, struck};
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Source};

cause! {
    /// The client demands TLS and the server (or the proxy in front of it) offers none.
    ///
    /// ## What it is
    /// The answer to SSLRequest is `N`. With `sslmode=require` or a verifying mode the client stops there;
    /// libpq says `server does not support SSL, but SSL was required`. `ssl` is off at the server, or a
    /// PgBouncer or HAProxy in front ends the question.
    ///
    /// ## What proves it
    /// The one byte `N`. `SHOW ssl` on the server says `off`; PgBouncer has `client_tls_sslmode = disable`
    /// (its default).
    ///
    /// ## What mends it
    /// 1. At the server: certificate and key in place, `ALTER SYSTEM SET ssl = on`, reload. No restart is
    ///    needed.
    /// 2. At PgBouncer: `client_tls_sslmode`, `client_tls_key_file`, `client_tls_cert_file`.
    /// 3. Is the address the right one? A server that had TLS yesterday may not be the one that answers
    ///    today.
    ///
    /// ## What makes it worse
    /// Going down to `sslmode=disable` in silence: the password and the data then cross the network in clear.
    ///
    /// ## What prevents it
    /// `sslmode` and the server's `ssl` changed together; a connection test with the API's own URL after each
    /// change.
    ///
    /// ## References
    /// Postgres manual, "SSL Session Encryption" (protocol), "Secure TCP/IP Connections with SSL", "SSL
    /// Support"; PgBouncer manual, `client_tls_sslmode`.
    "tls-not-offered" in Tls, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let way = struck(e, Around::Aside, |r| answered_n(r) || hung_up_on_direct_tls(r))?;
    let route = way.route;
    let by_hanging_up = hung_up_on_direct_tls(route);
    let proof = match &route.tls {
        Some(tls) if !by_hanging_up => fact(route, tls),
        _ => {
            let said = "a TLS handshake without SSLRequest (sslnegotiation=direct) was not answered with TLS";
            Fact::new(Source::Bytes, route.proxy.as_ref()?.at, &route.address, said)
        }
    };
    let mode = route.tls.as_ref().map_or(e.target.ssl_mode, |t| t.mode).as_str();
    let summary = if by_hanging_up {
        format!("{} does not speak direct TLS (Postgres 17 and later do){}", route.address, way.on_the_way())
    } else {
        format!("sslmode={mode} demands TLS and {} offers none{}", route.address, way.on_the_way())
    };
    let confidence = if by_hanging_up { Confidence::Likely } else { Confidence::Certain };
    let mut finding = Finding::new(CAUSE.id, CAUSE.room, way.severity, confidence, summary, proof);
    if by_hanging_up {
        let decider = "walk without `sslnegotiation=direct`: a proxy without a server hangs up then as well";
        finding = finding.or_else("proxy-without-backend", decider);
    }
    Some(finding.mended_by(offer_tls(e)))
}

/// Advice to switch TLS on: at the pooler where one is known to answer, else at the server.
fn offer_tls(e: &Evidence) -> RemedyPlan {
    let program = e.host.get().and_then(|h| h.proxy.as_ref()).map(|p| p.program.as_str());
    let (plan, command) = if program.is_some_and(|p| p.starts_with("pgbouncer")) || e.pooler.get().is_some() {
        let plan =
            "set client_tls_sslmode, client_tls_key_file and client_tls_cert_file at PgBouncer, then RELOAD";
        (plan, "grep -n '^client_tls' /etc/pgbouncer/pgbouncer.ini".to_owned())
    } else {
        let plan =
            "switch TLS on at the server; certificate and key must be in place first (`show ssl_cert_file`)";
        let steps = ["alter system set ssl = on", "select pg_reload_conf()"].map(|sql| paste::psql(e, sql));
        (plan, steps.join(" && "))
    };
    RemedyPlan::by_hand("offer-tls", RemedyKind::Advice, plan, command)
}

fn answered_n(route: &RouteEvidence) -> bool {
    route.tls.as_ref().is_some_and(|t| t.outcome == TlsOutcome::NotOffered)
}

/// A server before Postgres 17 takes a ClientHello for a broken startup message and hangs up.
fn hung_up_on_direct_tls(route: &RouteEvidence) -> bool {
    route.proxy.as_ref().is_some_and(|p| {
        let no_tls = matches!(p.first, FirstBytes::Closed | FirstBytes::Reset | FirstBytes::Error(_));
        p.sent == Sent::ClientHello && no_tls
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{first_bytes, healthy, tls, window};
    use crate::platform::evidence::ProcessView;
    use pgmedic_model::{Severity, SslMode};

    #[test]
    fn tls_not_offered_is_certain_by_the_byte_n() {
        let found = find(&tls(SslMode::Require, TlsOutcome::NotOffered)).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        assert_eq!(found.summary, "sslmode=require demands TLS and renderflow-db.internal:5432 offers none");
        assert!(found.remedies[0].command.contains("-c 'alter system set ssl = on' && psql"));
    }

    #[test]
    fn tls_not_offered_by_a_pooler_is_mended_there() {
        let mut e = tls(SslMode::Require, TlsOutcome::NotOffered);
        window(&mut e, |host| {
            host.proxy = Some(ProcessView { program: "pgbouncer".into(), ..ProcessView::default() });
        });
        assert!(find(&e).expect("found").remedies[0].plan.contains("client_tls_sslmode"));
    }

    #[test]
    fn tls_not_offered_is_no_fault_where_the_mode_does_without() {
        assert!(find(&healthy()).is_none());
        assert!(find(&first_bytes(FirstBytes::Closed)).is_none());
    }

    #[test]
    fn tls_not_offered_is_likely_where_direct_tls_is_hung_up_on() {
        let mut e = first_bytes(FirstBytes::Closed);
        if let Some(proxy) = &mut e.front.proxy {
            proxy.sent = Sent::ClientHello;
        }
        let found = find(&e).expect("found");
        assert_eq!((found.confidence, found.alternatives.len()), (Confidence::Likely, 1));
    }
}
