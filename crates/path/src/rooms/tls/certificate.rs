//! One certificate, read: what is in it, whether it carries a host's name by libpq's rules, and the hash that binds a
//! SCRAM exchange to it. Whether it is to be trusted is not in here.

use crate::rooms::startup::wire::readable;
use crate::rooms::tls::evidence::CertificateView;
use pgmedic_model::{Host, Timestamp};
use ring::digest;
use std::net::IpAddr;
use x509_parser::der_parser::Oid;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry as oid;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::signature_algorithm::SignatureAlgorithm;

/// Most names that are kept of one certificate.
const NAME_LIMIT: usize = 50;

/// Reads a certificate. None where it is no X.509 that can be read.
pub(super) fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate)
}

/// What is in a certificate.
pub(super) fn view(certificate: &X509Certificate<'_>) -> CertificateView {
    let names = Names::of(certificate);
    let mut shown: Vec<String> = names.dns.iter().map(|name| readable(name.as_bytes())).collect();
    shown.extend(names.addresses.iter().map(ToString::to_string));
    if shown.is_empty() {
        shown.extend(names.common.iter().map(|name| readable(name.as_bytes())));
    }
    shown.truncate(NAME_LIMIT);
    CertificateView {
        subject: readable(certificate.subject().to_string().as_bytes()),
        issuer: readable(certificate.issuer().to_string().as_bytes()),
        names: shown,
        not_before: Timestamp(certificate.validity().not_before.timestamp().saturating_mul(1000)),
        not_after: Timestamp(certificate.validity().not_after.timestamp().saturating_mul(1000)),
        self_signed: is_self_issued(certificate),
    }
}

/// Issuer equals subject.
pub(super) fn is_self_issued(certificate: &X509Certificate<'_>) -> bool {
    certificate.issuer().as_raw() == certificate.subject().as_raw()
}

/// The names a certificate is made out to.
struct Names<'a> {
    dns: Vec<&'a str>,
    addresses: Vec<IpAddr>,
    common: Option<&'a str>,
}

impl<'a> Names<'a> {
    fn of(certificate: &'a X509Certificate<'_>) -> Self {
        let mut names = Self { dns: Vec::new(), addresses: Vec::new(), common: None };
        names.common = certificate.subject().iter_common_name().find_map(|name| name.as_str().ok());
        let Ok(Some(extension)) = certificate.subject_alternative_name() else { return names };
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(name) => names.dns.push(name),
                GeneralName::IPAddress(bytes) => names.addresses.extend(address(bytes)),
                _ => {}
            }
        }
        names
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

/// Whether a certificate carries the host's name, by libpq's rules (Postgres manual, "SSL Support", "Client
/// Verification of Server Certificates"). None for a host without a name.
pub(super) fn carries_name(certificate: &X509Certificate<'_>, host: &Host) -> Option<bool> {
    let names = Names::of(certificate);
    match host {
        Host::Socket(_) => None,
        Host::Name(host) => Some(if names.dns.is_empty() {
            names.common.is_some_and(|pattern| name_matches(pattern, host))
        } else {
            names.dns.iter().any(|pattern| name_matches(pattern, host))
        }),
        Host::Address(ip) => {
            let text = ip.to_string();
            let listed =
                names.addresses.contains(ip) || names.dns.iter().any(|name| name_matches(name, &text));
            let by_common =
                names.addresses.is_empty() && names.common.is_some_and(|c| name_matches(c, &text));
            Some(listed || by_common)
        }
    }
}

/// A name against a host: equal but for case, or a leading `*.` that stands for one label.
fn name_matches(pattern: &str, host: &str) -> bool {
    if pattern.contains('\0') {
        return false;
    }
    if pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    let Some(tail) = pattern.strip_prefix('*').filter(|tail| tail.starts_with('.')) else { return false };
    let Some((label, rest)) = host.find('.').map(|dot| host.split_at(dot)) else { return false };
    !label.is_empty() && rest.eq_ignore_ascii_case(tail)
}

/// `tls-server-end-point`: the certificate's hash by its signature's hash function, where MD5 and SHA-1 give way to
/// SHA-256 (RFC 5929 section 4.1). None where the signature has no single hash function or one that is not at hand.
pub(super) fn end_point(certificate: &X509Certificate<'_>, der: &[u8]) -> Option<Vec<u8>> {
    let signature = &certificate.signature_algorithm;
    let algorithm = match SignatureAlgorithm::try_from(signature) {
        Ok(SignatureAlgorithm::RSASSA_PSS(parameters)) => hash_of(parameters.hash_algorithm_oid()),
        _ => hash_of(&signature.algorithm),
    }?;
    Some(digest::digest(algorithm, der).as_ref().to_vec())
}

fn hash_of(algorithm: &Oid<'_>) -> Option<&'static digest::Algorithm> {
    let is = |known: &[Oid<'static>]| known.contains(algorithm);
    if is(&[
        oid::OID_PKCS1_MD5WITHRSAENC,
        oid::OID_PKCS1_SHA1WITHRSA,
        oid::OID_SHA1_WITH_RSA,
        oid::OID_HASH_SHA1,
        oid::OID_PKCS1_SHA256WITHRSA,
        oid::OID_SIG_ECDSA_WITH_SHA256,
        oid::OID_NIST_HASH_SHA256,
    ]) {
        Some(&digest::SHA256)
    } else if is(&[oid::OID_PKCS1_SHA384WITHRSA, oid::OID_SIG_ECDSA_WITH_SHA384, oid::OID_NIST_HASH_SHA384]) {
        Some(&digest::SHA384)
    } else if is(&[oid::OID_PKCS1_SHA512WITHRSA, oid::OID_SIG_ECDSA_WITH_SHA512, oid::OID_NIST_HASH_SHA512]) {
        Some(&digest::SHA512)
    } else {
        None
    }
}

/// True for SHA-1 and MD5, with which OpenSSL at its default security level takes no signature.
pub(super) fn is_weakly_signed(certificate: &X509Certificate<'_>) -> bool {
    [oid::OID_PKCS1_MD5WITHRSAENC, oid::OID_PKCS1_SHA1WITHRSA, oid::OID_SHA1_WITH_RSA]
        .contains(&certificate.signature_algorithm.algorithm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        for (pattern, host, matches) in [
            ("db.internal", "DB.Internal", true),
            ("*.internal", "db.internal", true),
            ("*.internal", "a.db.internal", false),
            ("*.internal", ".internal", false),
            ("*.internal", "internal", false),
            ("*", "internal", false),
            ("d*.internal", "db.internal", false),
            ("db.internal\0.evil", "db.internal", false),
            ("10.0.0.1", "10.0.0.1", true),
        ] {
            assert_eq!(name_matches(pattern, host), matches, "{pattern} {host}");
        }
    }

    #[test]
    fn rubbish_is_no_certificate() {
        for der in [&b""[..], b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x03\x02\x01\x01", &[0xff; 64]] {
            assert!(parse(der).is_none());
        }
    }
}
