//! `certificate-untrusted`: no root that this side trusts vouches for the server.

use crate::cause::Proof;
use crate::evidence::{Evidence, RouteEvidence};
use crate::rooms::tls::evidence::{ChainVerdict, TlsEvidence, TlsOutcome};
use crate::rooms::tls::reading::{Refusal, certificate_facts, fact, refusal, show_certificate, words};
use crate::ways::{Around, struck};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan};

cause! {
    /// The server's certificate leads to no root certificate that this side trusts.
    ///
    /// ## What it is
    /// `verify-ca` and `verify-full` look for a chain from the server's certificate to a root in
    /// `sslrootcert` (by default `~/.postgresql/root.crt`), and find none: the server's certificate was
    /// issued anew by another authority, an intermediate is missing, the root file is old or missing, or the
    /// server is a stranger. A TLS file of this side that cannot be used ends in the same place.
    ///
    /// ## What proves it
    /// The issuer in the certificate against the subjects in the root file: `openssl verify -CAfile ROOT
    /// server.crt`.
    ///
    /// ## What mends it
    /// 1. Make sure that the server is the right one: who issued its certificate, and when?
    /// 2. Give the client the authority's current root (`sslrootcert=`), or `sslrootcert=system` with a
    ///    public authority.
    /// 3. If an intermediate is missing, append it to the server's `ssl_cert_file` and reload.
    ///
    /// ## What makes it worse
    /// Switching verification off: a machine in the middle then reads every password and row.
    ///
    /// ## What prevents it
    /// Roots rolled out before certificates; both checked with the API's own settings after each renewal.
    ///
    /// ## References
    /// Postgres manual, "SSL Support" (`sslrootcert`, protection provided in different modes), "Secure TCP/IP
    /// Connections with SSL"; RFC 5280 section 6; openssl-verify(1).
    "certificate-untrusted" in Tls, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let way = struck(e, Around::Aside, |r| refusal(r) == Some(Refusal::Chain) || local_file(r).is_some())?;
    let tls = way.route.tls.as_ref()?;
    let address = &way.route.address;
    let what = match local_file(way.route) {
        Some((path, text)) => format!("{path} cannot be used to trust {address}: {text}"),
        None => format!("the certificate of {address} is not trusted: {}", verdict(tls)),
    };
    let summary = format!("{what}{}", way.on_the_way());
    let finding =
        Finding::new(CAUSE.id, CAUSE.room, way.severity, Confidence::Certain, summary, fact(way.route, tls))
            .and_all(certificate_facts(way.route, tls));
    Some(finding.mended_by(RemedyPlan::by_hand(
        "trust-the-right-root",
        RemedyKind::Advice,
        "make sure that this is the right server; then give the client the root that issued its certificate",
        show_certificate(way.route),
    )))
}

/// The file of this side that could not be used.
fn local_file(route: &RouteEvidence) -> Option<(&str, &str)> {
    match &route.tls.as_ref()?.outcome {
        TlsOutcome::LocalFile { path, text } => Some((path, text)),
        _ => None,
    }
}

/// Why the chain is worth nothing.
fn verdict(tls: &TlsEvidence) -> String {
    let issuer = tls.certificate.as_ref().map_or("its issuer", |c| c.issuer.as_str());
    let verification = tls.verification.as_ref();
    let roots = verification.map_or("the roots", |v| v.roots.as_str());
    match verification.and_then(|v| v.chain.as_ref()) {
        Some(ChainVerdict::UnknownIssuer) => format!("{issuer} issued it, which is not in {roots}"),
        Some(chain) => format!("{} (checked against {roots})", words(chain)),
        None => "there is no root certificate to check it against".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{AT, healthy, tls};
    use crate::rooms::tls::evidence::{CertificateView, Verification};
    use pgmedic_model::{Ms, Severity, SslMode};

    #[test]
    fn certificate_untrusted_names_the_issuer_and_the_roots() {
        let mut e = tls(SslMode::VerifyCa, TlsOutcome::CertificateRefused);
        if let Some(tls) = &mut e.front.tls {
            tls.certificate = Some(CertificateView {
                subject: "CN=db".into(),
                issuer: "CN=new ca".into(),
                names: vec!["db".into()],
                not_before: AT.plus(Ms(-1000.0)),
                not_after: AT.plus(Ms(1000.0)),
                self_signed: false,
            });
            let chain = Some(ChainVerdict::UnknownIssuer);
            tls.verification =
                Some(Verification { roots: "/ca.pem".into(), chain, name_matches: None, accepted: false });
        }
        let found = find(&e).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        assert!(found.summary.ends_with("not trusted: CN=new ca issued it, which is not in /ca.pem"));
    }

    #[test]
    fn certificate_untrusted_tells_of_a_file_that_cannot_be_used() {
        let file = TlsOutcome::LocalFile { path: "/root.crt".into(), text: "it holds no certificate".into() };
        let found = find(&tls(SslMode::VerifyFull, file)).expect("found");
        assert!(found.summary.starts_with("/root.crt cannot be used to trust renderflow-db.internal:5432"));
        assert!(find(&healthy()).is_none());
    }
}
