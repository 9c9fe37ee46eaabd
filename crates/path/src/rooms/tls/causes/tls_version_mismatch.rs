//! `tls-version-mismatch`: client and server have no TLS version or cipher in common.

use crate::cause::Proof;
use crate::evidence::{Evidence, RouteEvidence};
use crate::paste::argument;
use crate::rooms::tls::evidence::TlsOutcome;
use crate::rooms::tls::reading::fact;
use crate::ways::{Around, struck};
use pgmedic_model::pooler_words::{Words, says};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan};

cause! {
    /// Client and server share no TLS version or cipher.
    ///
    /// ## What it is
    /// The server was told to use old versions only (`ssl_max_protocol_version`), or the client new ones
    /// only, or their cipher lists do not meet. The handshake ends with an alert; libpq says `SSL error:
    /// tlsv1 alert protocol version`. pgmedic itself speaks TLS 1.2 and 1.3.
    ///
    /// ## What proves it
    /// The alert `protocol_version` (a version), or `handshake_failure` and `insufficient_security` (mostly
    /// ciphers). `openssl s_client -starttls postgres -tls1_2 -connect HOST:PORT` tries one version at a
    /// time.
    ///
    /// ## What mends it
    /// `ALTER SYSTEM RESET ssl_max_protocol_version`, set `ssl_min_protocol_version` to `TLSv1.2`, put common
    /// suites into `ssl_ciphers`, and reload. On the client: `ssl_min_protocol_version` in the URL, or a
    /// newer TLS library.
    ///
    /// ## What makes it worse
    /// Allowing TLS 1.0 for everyone because of one client: let that client be updated.
    ///
    /// ## What prevents it
    /// A connection test from the oldest client in use before versions or ciphers are narrowed.
    ///
    /// ## References
    /// Postgres manual, "SSL" of "Connections and Authentication" (`ssl_min_protocol_version`,
    /// `ssl_ciphers`); RFC 8446 section 6.2 (alerts 40, 70, 71); openssl-s_client(1).
    "tls-version-mismatch" in Tls, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let way = struck(e, Around::Aside, |r| mismatch(r).is_some())?;
    let (confidence, what) = mismatch(way.route)?;
    let tls = way.route.tls.as_ref()?;
    let summary = format!("no TLS {what} in common with {}{}", way.route.address, way.on_the_way());
    let finding = Finding::new(CAUSE.id, CAUSE.room, way.severity, confidence, summary, fact(way.route, tls));
    let finding = if confidence == Confidence::Certain {
        finding
    } else {
        finding.or_else("certificate-untrusted", "the server's log: it says why it broke the handshake off")
    };
    let address = argument(&way.route.address);
    Some(finding.mended_by(RemedyPlan::by_hand(
        "widen-tls-versions",
        RemedyKind::Advice,
        "see which versions the server takes, then let ssl_min_protocol_version and ssl_max_protocol_version cover TLSv1.2",
        format!(
            "for v in tls1_2 tls1_3; do openssl s_client -starttls postgres -$v -brief -connect {address} </dev/null; done"
        ),
    )))
}

/// How surely a handshake failed for want of a common version or cipher, and which of the two.
fn mismatch(route: &RouteEvidence) -> Option<(Confidence, &'static str)> {
    let TlsOutcome::HandshakeFailed { text, alert } = &route.tls.as_ref()?.outcome else { return None };
    match alert.as_deref() {
        Some("ProtocolVersion") => Some((Confidence::Certain, "version")),
        Some("InsufficientSecurity") => Some((Confidence::Certain, "cipher")),
        Some("HandshakeFailure") => Some((Confidence::Likely, "cipher")),
        Some(_) => None,
        None => says(text, Words::PeerIncompatible).then_some((Confidence::Certain, "version or cipher")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, tls};
    use pgmedic_model::SslMode;

    fn failed(alert: Option<&str>, text: &str) -> Evidence {
        let alert = alert.map(str::to_owned);
        tls(SslMode::Require, TlsOutcome::HandshakeFailed { text: text.to_owned(), alert })
    }

    #[test]
    fn tls_version_mismatch_is_read_from_the_alert() {
        let found =
            find(&failed(Some("ProtocolVersion"), "received fatal alert: ProtocolVersion")).expect("found");
        assert_eq!(found.confidence, Confidence::Certain);
        assert_eq!(found.summary, "no TLS version in common with renderflow-db.internal:5432");
        let cipher =
            find(&failed(Some("HandshakeFailure"), "received fatal alert: HandshakeFailure")).expect("found");
        assert_eq!((cipher.confidence, cipher.alternatives.len()), (Confidence::Likely, 1));
    }

    #[test]
    fn tls_version_mismatch_is_read_from_this_sides_own_words_where_no_alert_came() {
        let own = "TLS: peer is incompatible: ServerDoesNotSupportTls12Or13";
        assert!(find(&failed(None, own)).is_some());
        assert!(find(&failed(Some("CertificateRequired"), "alert")).is_none());
        assert!(find(&failed(None, "TLS: received corrupt message")).is_none());
        assert!(find(&healthy()).is_none());
    }
}
