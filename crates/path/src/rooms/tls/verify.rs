//! The witness of a handshake: reads and judges the server's certificate whether or not the mode asks for it, refuses
//! it only where the mode does, and keeps what it saw.

use crate::rooms::startup::probe::Channel;
use crate::rooms::tls::certificate;
use crate::rooms::tls::evidence::{CertificateView, ChainVerdict, Verification};
use crate::rooms::tls::files::Roots;
use pgmedic_model::{Host, SslMode};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use std::sync::{Mutex, PoisonError};
use x509_parser::prelude::X509Version;

/// What was seen of the server's certificate.
#[derive(Clone, Default)]
pub(super) struct Sighting {
    pub(super) certificate: Option<CertificateView>,
    pub(super) verification: Option<Verification>,
    pub(super) channel: Channel,
}

/// A verifier for rustls that keeps what it sees.
pub(super) struct Witness {
    mode: SslMode,
    host: Host,
    roots: Option<Roots>,
    algorithms: WebPkiSupportedAlgorithms,
    sighting: Mutex<Sighting>,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Witness").field("mode", &self.mode).field("host", &self.host).finish_non_exhaustive()
    }
}

impl Witness {
    pub(super) fn new(
        mode: SslMode,
        host: Host,
        roots: Option<Roots>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self { mode, host, roots, algorithms, sighting: Mutex::default() }
    }

    /// What was seen so far.
    pub(super) fn sighting(&self) -> Sighting {
        self.sighting.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The certificate read, judged and noted.
    fn look(&self, leaf: &CertificateDer<'_>, sent: &[CertificateDer<'_>], now: UnixTime) -> Verification {
        let parsed = certificate::parse(leaf);
        let chain = self.roots.as_ref().map(|r| r.trust.judge(leaf, sent, now, &self.algorithms));
        let name_matches = match &parsed {
            Some(certificate) => certificate::carries_name(certificate, &self.host),
            None => Some(false),
        };
        // As in libpq a root file is checked against in every mode that it is there for (see "SSL Support", note on
        // sslmode=require).
        let chain_ok = match &chain {
            Some(verdict) => *verdict == ChainVerdict::Trusted,
            None => self.mode < SslMode::VerifyCa,
        };
        let name_ok = self.mode != SslMode::VerifyFull || name_matches == Some(true);
        let roots = self.roots.as_ref().map_or_else(|| "none configured".to_owned(), |r| r.label.clone());
        let verification = Verification { roots, chain, name_matches, accepted: chain_ok && name_ok };
        let end_point = parsed.as_ref().and_then(|certificate| certificate::end_point(certificate, leaf));
        *self.sighting.lock().unwrap_or_else(PoisonError::into_inner) = Sighting {
            certificate: parsed.as_ref().map(certificate::view),
            verification: Some(verification.clone()),
            channel: Channel { tls: true, end_point },
        };
        verification
    }
}

/// What the server is told where its certificate is refused.
fn refusal(verification: &Verification) -> CertificateError {
    match &verification.chain {
        Some(ChainVerdict::Expired) => CertificateError::Expired,
        Some(ChainVerdict::NotYetValid) => CertificateError::NotValidYet,
        Some(ChainVerdict::Revoked) => CertificateError::Revoked,
        Some(ChainVerdict::Trusted) => CertificateError::NotValidForName,
        _ => CertificateError::UnknownIssuer,
    }
}

/// True for certificates before version 3, which webpki does not read: their keys are taken out by hand.
fn is_before_version_3(der: &CertificateDer<'_>) -> bool {
    certificate::parse(der).is_some_and(|c| c.version() != X509Version::V3)
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verification = self.look(end_entity, intermediates, now);
        if verification.accepted {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(refusal(&verification)))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if !is_before_version_3(cert) {
            return verify_tls12_signature(message, cert, dss, &self.algorithms);
        }
        let parsed =
            certificate::parse(cert).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let key = parsed.public_key().subject_public_key.data.as_ref();
        let schemes = self.algorithms.mapping.iter().filter(|(scheme, _)| *scheme == dss.scheme);
        let valid = schemes
            .flat_map(|(_, algorithms)| algorithms.iter())
            .any(|algorithm| algorithm.verify_signature(key, message, dss.signature()).is_ok());
        if valid {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::BadSignature))
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if !is_before_version_3(cert) {
            return verify_tls13_signature(message, cert, dss, &self.algorithms);
        }
        let parsed =
            certificate::parse(cert).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let key = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
