//! Why a certificate was refused, weighed once for the causes that share the question, and the facts that
//! they cite. Pure.

use super::evidence::{CertificateView, ChainVerdict, TlsEvidence, TlsOutcome, Verification};
use crate::evidence::RouteEvidence;
use crate::paste::argument;
use crate::ways::host_and_port;
use pgmedic_model::{Fact, Source};

/// Why a certificate was refused. The chain comes before the name: a stranger's certificate may carry any
/// name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Out of its dates.
    Dates,
    /// No trusted root vouches for it, or it is revoked or broken.
    Chain,
    /// It is another host's.
    Name,
}

/// Why a route's certificate was refused; None where it was not.
pub(crate) fn refusal(route: &RouteEvidence) -> Option<Refusal> {
    let tls = route.tls.as_ref().filter(|t| t.outcome == TlsOutcome::CertificateRefused)?;
    let verification = tls.verification.as_ref();
    Some(match verification.and_then(|v| v.chain.as_ref()) {
        Some(ChainVerdict::Expired | ChainVerdict::NotYetValid) => Refusal::Dates,
        Some(ChainVerdict::Trusted) => Refusal::Name,
        Some(_) | None => Refusal::Chain,
    })
}

/// How a route's TLS stage ended, as a fact.
pub(crate) fn fact(route: &RouteEvidence, tls: &TlsEvidence) -> Fact {
    let mode = tls.mode.as_str();
    let (said, value) = match &tls.outcome {
        TlsOutcome::Plain { why } => (format!("no TLS: {why}"), "plain"),
        TlsOutcome::Established { version, .. } => (format!("{version} established"), "established"),
        TlsOutcome::NotOffered => ("the answer to SSLRequest is N: no TLS is offered".to_owned(), "N"),
        TlsOutcome::HandshakeFailed { text, .. } => {
            (format!("the handshake failed: {text}"), "handshake-failed")
        }
        TlsOutcome::CertificateRefused => {
            ("this side refused the certificate".to_owned(), "certificate-refused")
        }
        TlsOutcome::LocalFile { path, text } => (format!("{path}: {text}"), "local-file"),
        TlsOutcome::Closed => ("the peer hung up in the handshake".to_owned(), "closed"),
        TlsOutcome::Silent => ("silence in the handshake".to_owned(), "silent"),
    };
    let fact = format!("sslmode={mode}: {said}");
    Fact::new(Source::Tls, tls.at.plus(tls.elapsed_ms), &route.address, fact).value(value)
}

/// What is in the certificate and what verification says of it, as facts.
pub(crate) fn certificate_facts(route: &RouteEvidence, tls: &TlsEvidence) -> Vec<Fact> {
    let new = |text: String| Fact::new(Source::Tls, tls.at.plus(tls.elapsed_ms), &route.address, text);
    let mut facts = Vec::new();
    if let Some(CertificateView { subject, issuer, names, not_before, not_after, .. }) = &tls.certificate {
        let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
        facts.push(new(format!("the certificate is of {subject}, issued by {issuer}, for {names}")));
        facts.push(new(format!("it is valid from {not_before} to {not_after}")).value(not_after.to_string()));
    }
    if let Some(Verification { roots, chain, .. }) = &tls.verification {
        let chain = chain.as_ref().map_or("not checked", words);
        facts.push(new(format!("checked against {roots}: {chain}")).value(chain));
    }
    facts
}

/// A verdict in few words.
pub(crate) const fn words(verdict: &ChainVerdict) -> &str {
    match verdict {
        ChainVerdict::Trusted => "trusted",
        ChainVerdict::Expired => "expired",
        ChainVerdict::NotYetValid => "not valid yet",
        ChainVerdict::UnknownIssuer => "unknown issuer",
        ChainVerdict::Revoked => "revoked",
        ChainVerdict::Invalid(text) => text.as_str(),
    }
}

/// Shows a route's certificate, for pasting.
pub(crate) fn show_certificate(route: &RouteEvidence) -> String {
    let (host, _) = host_and_port(&route.address);
    format!(
        "openssl s_client -starttls postgres -connect {} -servername {} </dev/null | \
         openssl x509 -noout -subject -issuer -dates -ext subjectAltName",
        argument(&route.address),
        argument(host)
    )
}
