//! `certificate-wrong-name`: the certificate is another host's.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::tls::reading::{Refusal, certificate_facts, fact, refusal, show_certificate};
use crate::ways::{Around, host_and_port, struck};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan};

cause! {
    /// The server's certificate does not carry the name that the client connects to.
    ///
    /// ## What it is
    /// The certificate is genuine and in date, but for other names. `verify-full` refuses it: `server
    /// certificate for "…" does not match host name "…"`. The URL uses an alias or an address that the
    /// certificate does not list, or the name leads to another server than it should.
    ///
    /// ## What proves it
    /// The names in the certificate (subjectAltName; the common name only where there is none) against the
    /// host in the URL.
    ///
    /// ## What mends it
    /// 1. Make sure that the server is the right one: is the certificate that of another cluster?
    /// 2. Use one of the certificate's names in the URL (with `hostaddr=` for the address where needed).
    /// 3. Or issue a certificate with the name, replace `ssl_cert_file`, and reload.
    ///
    /// ## What makes it worse
    /// Going down to `verify-ca` or `require`: that is the check which tells your server from another one.
    ///
    /// ## What prevents it
    /// Certificates that list every name and alias in use; a test with the API's own URL after a rename.
    ///
    /// ## References
    /// Postgres manual, "SSL Support" (client verification of server certificates); RFC 6125;
    /// openssl-x509(1).
    "certificate-wrong-name" in Tls, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let way = struck(e, Around::Aside, |r| refusal(r) == Some(Refusal::Name))?;
    let tls = way.route.tls.as_ref()?;
    let (host, _) = host_and_port(&way.route.address);
    let names = tls.certificate.as_ref().map_or_else(Vec::new, |c| c.names.clone());
    let theirs = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
    let summary = format!("the certificate is for {theirs}, not for {host}{}", way.on_the_way());
    let finding =
        Finding::new(CAUSE.id, CAUSE.room, way.severity, Confidence::Certain, summary, fact(way.route, tls))
            .and_all(certificate_facts(way.route, tls));
    Some(finding.mended_by(RemedyPlan::by_hand(
        "correct-certificate-name",
        RemedyKind::Advice,
        "make sure that this is the right server; then use a name of its certificate, or issue one with this name",
        show_certificate(way.route),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{AT, healthy, tls};
    use crate::rooms::tls::evidence::{CertificateView, ChainVerdict, TlsOutcome, Verification};
    use pgmedic_model::{Ms, Severity, SslMode};

    fn refused(chain: ChainVerdict) -> Evidence {
        let mut e = tls(SslMode::VerifyFull, TlsOutcome::CertificateRefused);
        if let Some(tls) = &mut e.front.tls {
            tls.certificate = Some(CertificateView {
                subject: "CN=other.internal".into(),
                issuer: "CN=ca".into(),
                names: vec!["other.internal".into()],
                not_before: AT.plus(Ms(-1000.0)),
                not_after: AT.plus(Ms(1000.0)),
                self_signed: false,
            });
            let (chain, name_matches) = (Some(chain), Some(false));
            tls.verification =
                Some(Verification { roots: "/ca.pem".into(), chain, name_matches, accepted: false });
        }
        e
    }

    #[test]
    fn certificate_wrong_name_is_certain_where_the_chain_is_trusted() {
        let found = find(&refused(ChainVerdict::Trusted)).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        assert_eq!(found.summary, "the certificate is for other.internal, not for renderflow-db.internal");
        assert!(found.remedies[0].command.contains("-connect renderflow-db.internal:5432"));
    }

    #[test]
    fn certificate_wrong_name_comes_after_a_stranger_and_after_a_mode_that_does_not_mind() {
        assert!(find(&refused(ChainVerdict::UnknownIssuer)).is_none());
        let mut e = refused(ChainVerdict::Trusted);
        if let Some(tls) = &mut e.front.tls {
            tls.outcome = TlsOutcome::Established { version: "TLSv1.3".into(), cipher: "x".into() };
        }
        assert!(find(&e).is_none());
        assert!(find(&healthy()).is_none());
    }
}
