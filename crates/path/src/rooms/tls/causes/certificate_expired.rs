//! `certificate-expired`: the server's certificate is out of its dates.

use crate::cause::Proof;
use crate::evidence::{Evidence, RouteEvidence};
use crate::rooms::tls::evidence::{CertificateView, ChainVerdict, TlsEvidence, TlsOutcome};
use crate::rooms::tls::reading::{Refusal, certificate_facts, fact, refusal, show_certificate};
use crate::ways::{Around, struck};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Severity};

cause! {
    /// The server's certificate has expired, or is not valid yet.
    ///
    /// ## What it is
    /// Today lies outside the dates of the certificate or of one above it. `verify-ca` and `verify-full`
    /// refuse it (`certificate verify failed`); `require` and `prefer` go on, and then this is a warning. A
    /// certificate that is not valid yet mostly means that this host's clock is wrong.
    ///
    /// ## What proves it
    /// The dates in the certificate: `openssl x509 -noout -dates`, and `date -u` here.
    ///
    /// ## What mends it
    /// 1. Compare `date -u` on this host with another clock.
    /// 2. Renew the certificate, put it in place of `ssl_cert_file`, and reload: `SELECT pg_reload_conf()`.
    ///    No restart is needed; new connections get the new certificate.
    ///
    /// ## What makes it worse
    /// Switching verification off to "get through": it stays off, and nobody notices the next stranger.
    /// Restarting the database.
    ///
    /// ## What prevents it
    /// Renewal by a machine, an alert 30 days ahead, a reload in the renewal's hook.
    ///
    /// ## References
    /// Postgres manual, "Secure TCP/IP Connections with SSL" (`ssl_cert_file`, reload), "SSL Support"; RFC
    /// 5280 section 4.1.2.5; openssl-x509(1).
    "certificate-expired" in Tls, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let refused = struck(e, Around::Aside, |r| refusal(r) == Some(Refusal::Dates));
    let tolerated = || struck(e, Around::Aside, |r| out_of_date(r).is_some());
    let (way, severity) = match refused {
        Some(way) => {
            let severity = way.severity;
            (way, severity)
        }
        None => (tolerated()?, Severity::Warning),
    };
    let tls = way.route.tls.as_ref()?;
    let dates = tls.certificate.as_ref().map_or_else(|| "is out of its dates".to_owned(), |c| dates(tls, c));
    let works = if severity == Severity::Warning && refusal(way.route).is_none() {
        format!("; sslmode={} works all the same, a verifying client does not", tls.mode.as_str())
    } else {
        String::new()
    };
    let summary = format!("the certificate of {} {dates}{works}{}", way.route.address, way.on_the_way());
    let finding =
        Finding::new(CAUSE.id, CAUSE.room, severity, Confidence::Certain, summary, fact(way.route, tls))
            .and_all(certificate_facts(way.route, tls));
    Some(finding.mended_by(RemedyPlan::by_hand(
        "renew-certificate",
        RemedyKind::Advice,
        "renew the certificate, put it in place of ssl_cert_file and reload; no restart is needed",
        format!("date -u; {}", show_certificate(way.route)),
    )))
}

/// A certificate that is out of its dates although the walk went on (with it, or without TLS).
fn out_of_date(route: &RouteEvidence) -> Option<&CertificateView> {
    let tls = route.tls.as_ref().filter(|t| t.outcome != TlsOutcome::CertificateRefused)?;
    let chain = tls.verification.as_ref().and_then(|v| v.chain.as_ref());
    let by_chain = matches!(chain, Some(ChainVerdict::Expired | ChainVerdict::NotYetValid));
    tls.certificate.as_ref().filter(|c| by_chain || c.not_after < tls.at || c.not_before > tls.at)
}

/// What is wrong with the dates.
fn dates(tls: &TlsEvidence, certificate: &CertificateView) -> String {
    if certificate.not_before > tls.at {
        format!("is not valid before {}; this host's clock says {}", certificate.not_before, tls.at)
    } else if certificate.not_after < tls.at {
        format!("expired on {}", certificate.not_after)
    } else {
        "hangs on another that is out of its dates".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{AT, healthy, tls};
    use crate::rooms::tls::evidence::Verification;
    use pgmedic_model::{Ms, SslMode};

    fn certificate(days_left: f64) -> CertificateView {
        CertificateView {
            subject: "CN=renderflow-db.internal".into(),
            issuer: "CN=ca".into(),
            names: vec!["renderflow-db.internal".into()],
            not_before: AT.plus(Ms(-400.0 * 86_400_000.0)),
            not_after: AT.plus(Ms(days_left * 86_400_000.0)),
            self_signed: false,
        }
    }

    fn shown(mut e: Evidence, days_left: f64, chain: Option<ChainVerdict>) -> Evidence {
        if let Some(tls) = &mut e.front.tls {
            tls.certificate = Some(certificate(days_left));
            let accepted = chain.is_none();
            tls.verification =
                Some(Verification { roots: "/ca.pem".into(), chain, name_matches: Some(true), accepted });
        }
        e
    }

    #[test]
    fn certificate_expired_is_critical_where_the_mode_verifies() {
        let e = shown(
            tls(SslMode::VerifyFull, TlsOutcome::CertificateRefused),
            -1.0,
            Some(ChainVerdict::Expired),
        );
        let found = find(&e).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        assert!(found.summary.ends_with("expired on 2026-11-22T03:12:09.000Z"), "{}", found.summary);
        assert_eq!(found.evidence.len(), 4);
    }

    #[test]
    fn certificate_expired_is_a_warning_where_it_works_today() {
        let mut e = healthy();
        if let Some(tls) = &mut e.front.tls {
            tls.mode = SslMode::Require;
            tls.outcome = TlsOutcome::Established { version: "TLSv1.3".into(), cipher: "x".into() };
        }
        let found = find(&shown(e.clone(), -1.0, None)).expect("found");
        assert_eq!(found.severity, Severity::Warning);
        assert!(found.summary.contains("sslmode=require works all the same"));
        assert!(find(&shown(e, 5.0, None)).is_none(), "soon to expire is for the audit");
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn certificate_expired_is_not_an_unknown_issuer() {
        let refused = tls(SslMode::VerifyFull, TlsOutcome::CertificateRefused);
        assert!(find(&shown(refused, -1.0, Some(ChainVerdict::UnknownIssuer))).is_none());
    }
}
