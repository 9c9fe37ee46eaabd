//! What a chain is worth, as OpenSSL judges it: webpki does the work, and what webpki does not take at all and OpenSSL
//! does (version-1 certificates as in the Postgres manual's own recipe, a CA's certificate used by a server) is walked
//! up here.

use crate::rooms::tls::certificate::{is_self_issued, is_weakly_signed, parse};
use crate::rooms::tls::evidence::ChainVerdict;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};
use x509_parser::prelude::{X509Certificate, X509Version};
use x509_parser::time::ASN1Time;

/// Most certificates on the way up from a server's to a root.
const DEPTH: usize = 8;

/// The certificates of a root file, or of the system.
pub(super) struct Trust {
    /// Those that issued themselves, as they are.
    anchors: Vec<CertificateDer<'static>>,
    /// The same for webpki.
    store: RootCertStore,
    /// The others: OpenSSL goes through them on the way up, and does not stop at them.
    between: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// Sorts the certificates of a root file. One that cannot be read is left out, as it can prove nothing.
    pub(super) fn new(certificates: Vec<CertificateDer<'static>>) -> Self {
        let (anchors, between): (Vec<_>, Vec<_>) =
            certificates.into_iter().partition(|der| parse(der).is_none_or(|c| is_self_issued(&c)));
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(anchors.iter().cloned());
        Self { anchors, store, between }
    }

    /// What a chain is worth.
    pub(super) fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        sent: &[CertificateDer<'_>],
        now: UnixTime,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> ChainVerdict {
        let between: Vec<CertificateDer<'_>> = sent.iter().chain(&self.between).cloned().collect();
        match parse(leaf) {
            Some(certificate) if self.anchors.iter().any(|a| a.as_ref() == leaf.as_ref()) => {
                in_date(&certificate, now).err().unwrap_or(ChainVerdict::Trusted)
            }
            Some(certificate) if beyond_webpki(&certificate) => {
                self.walk_up(certificate, &between, now).err().unwrap_or(ChainVerdict::Trusted)
            }
            _ => {
                let verified = ParsedCertificate::try_from(leaf).and_then(|parsed| {
                    verify_server_cert_signed_by_trust_anchor(
                        &parsed,
                        &self.store,
                        &between,
                        now,
                        algorithms.all,
                    )
                });
                verified.map_or_else(|error| verdict(&error), |()| ChainVerdict::Trusted)
            }
        }
    }

    /// From a server's certificate to an anchor, each signature and each date checked.
    fn walk_up(
        &self,
        leaf: X509Certificate<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), ChainVerdict> {
        let mut current = leaf;
        for _ in 0..DEPTH {
            in_date(&current, now)?;
            if is_weakly_signed(&current) {
                return Err(ChainVerdict::Invalid("signed with a hash that is no longer safe".to_owned()));
            }
            let issued = |candidate: &X509Certificate<'_>| {
                candidate.subject().as_raw() == current.issuer().as_raw()
                    && current.verify_signature(Some(candidate.public_key())).is_ok()
            };
            if let Some(anchor) = self.anchors.iter().filter_map(|der| parse(der)).find(|c| issued(c)) {
                return in_date(&anchor, now);
            }
            let next = between.iter().filter_map(|der| parse(der)).find(|c| c.is_ca() && issued(c));
            current = next.ok_or(ChainVerdict::UnknownIssuer)?;
        }
        Err(ChainVerdict::UnknownIssuer)
    }
}

/// True for a server's certificate that webpki takes for none: a version before 3, or a CA's.
fn beyond_webpki(certificate: &X509Certificate<'_>) -> bool {
    certificate.version() != X509Version::V3 || certificate.is_ca()
}

fn in_date(certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), ChainVerdict> {
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let Ok(now) = ASN1Time::from_timestamp(seconds) else { return Err(ChainVerdict::Expired) };
    if now < certificate.validity().not_before {
        Err(ChainVerdict::NotYetValid)
    } else if now > certificate.validity().not_after {
        Err(ChainVerdict::Expired)
    } else {
        Ok(())
    }
}

fn verdict(error: &Error) -> ChainVerdict {
    let Error::InvalidCertificate(error) = error else { return ChainVerdict::Invalid(error.to_string()) };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => ChainVerdict::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ChainVerdict::NotYetValid
        }
        CertificateError::UnknownIssuer => ChainVerdict::UnknownIssuer,
        CertificateError::Revoked => ChainVerdict::Revoked,
        // webpki's words for a signature by a key of the right name that is not the right key.
        CertificateError::BadSignature => ChainVerdict::UnknownIssuer,
        error => ChainVerdict::Invalid(error.to_string()),
    }
}
