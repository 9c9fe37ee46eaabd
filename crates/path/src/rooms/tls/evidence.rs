//! What became of the TLS handshake, and what certificate the server showed.

use pgmedic_model::{Ms, ServerError, SslMode, Timestamp};
use serde::{Deserialize, Serialize};

/// The TLS stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TlsEvidence {
    /// When it began.
    pub at: Timestamp,
    /// How long the handshake took.
    pub elapsed_ms: Ms,
    /// What the target asks for.
    pub mode: SslMode,
    /// How it ended.
    pub outcome: TlsOutcome,
    /// The server's own certificate, read even where it is not verified.
    pub certificate: Option<CertificateView>,
    /// What verification says of it, whether or not the mode asks for it.
    pub verification: Option<Verification>,
    /// Why the walk then went on without TLS (`prefer`) or with it (`allow`), if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fell_back: Option<String>,
    /// What the server said to the first way that was tried, where a second was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_refusal: Option<ServerError>,
}

/// How the TLS stage ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsOutcome {
    /// No TLS was asked for (`disable`, a unix socket, `allow`), or the server offers none and the mode does without.
    Plain {
        /// Why.
        why: String,
    },
    /// Established.
    Established {
        /// `TLSv1.3`.
        version: String,
        /// The cipher suite.
        cipher: String,
    },
    /// The server offers none and the mode demands it.
    NotOffered,
    /// The handshake ended in an error, with rustls' words.
    HandshakeFailed {
        /// The words.
        text: String,
        /// The TLS alert that the peer sent, if it did.
        alert: Option<String>,
    },
    /// The certificate was refused by this side, as the mode demands; see `verification`.
    CertificateRefused,
    /// A certificate or key file of this side could not be used: path and words.
    LocalFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        text: String,
    },
    /// The peer hung up in the handshake.
    Closed,
    /// Nothing came before the deadline.
    Silent,
}

/// What is in a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateView {
    /// Subject.
    pub subject: String,
    /// Issuer.
    pub issuer: String,
    /// DNS names and addresses of subjectAltName; the common name where there is none.
    pub names: Vec<String>,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid until.
    pub not_after: Timestamp,
    /// Issuer equals subject.
    pub self_signed: bool,
}

/// What verification says of the chain and the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// Against which roots: a path, `system`, or `none configured`.
    pub roots: String,
    /// The chain. None where there are no roots to check against.
    pub chain: Option<ChainVerdict>,
    /// True where the certificate carries the host's name. None for an address-less host.
    pub name_matches: Option<bool>,
    /// What the mode demands was met.
    pub accepted: bool,
}

/// What the chain is worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainVerdict {
    /// It leads to a trusted root, and is in date.
    Trusted,
    /// A certificate in it has expired.
    Expired,
    /// A certificate in it is not valid yet (or this host's clock is wrong).
    NotYetValid,
    /// It leads to no trusted root.
    UnknownIssuer,
    /// A certificate was revoked.
    Revoked,
    /// Anything else, in the verifier's words.
    Invalid(String),
}
