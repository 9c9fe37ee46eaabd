//! The TLS handshake with libpq's `sslmode` semantics. Whether a way without TLS is tried afterwards is the route's
//! affair; the first bytes before it are the room `proxy`'s.

use crate::clock::Stopwatch;
use crate::rooms::startup::probe::Channel;
use crate::rooms::startup::wire::{End, Held, Io};
use crate::rooms::tls::evidence::{TlsEvidence, TlsOutcome};
use crate::rooms::tls::files;
use crate::rooms::tls::verify::Witness;
use pgmedic_model::{Host, SslMode, Target};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The protocol's name in ALPN, which direct TLS demands (Postgres 17 manual, "SSL Session Encryption").
const ALPN: &[u8] = b"postgresql";

/// The address given to rustls where there is no name to send: with an address it sends no SNI.
const NO_NAME: std::net::Ipv4Addr = std::net::Ipv4Addr::LOCALHOST;

/// This side's half of a handshake, ready: files read, roots loaded.
pub struct Client {
    mode: SslMode,
    direct: bool,
    connector: TlsConnector,
    name: ServerName<'static>,
    witness: Arc<Witness>,
}

/// A handshake under way.
pub type Handshake = Pin<Box<dyn Future<Output = io::Result<TlsStream<Io>>> + Send>>;

/// What came of the TLS stage.
pub struct Shaken {
    /// What was seen.
    pub evidence: TlsEvidence,
    /// The encrypted stream: the proof of passage.
    pub passage: Option<(Io, Channel)>,
    /// The connection of a peer that fell silent.
    pub held: Option<Held>,
}

/// The evidence of a stage without TLS.
#[must_use]
pub fn plain(mode: SslMode, why: &str) -> TlsEvidence {
    ended(Stopwatch::start(), mode, TlsOutcome::Plain { why: why.to_owned() })
}

/// The evidence of a stage that ended without a handshake.
#[must_use]
pub fn ended(watch: Stopwatch, mode: SslMode, outcome: TlsOutcome) -> TlsEvidence {
    TlsEvidence {
        at: watch.at,
        elapsed_ms: watch.elapsed(),
        mode,
        outcome,
        certificate: None,
        verification: None,
        fell_back: None,
        first_refusal: None,
    }
}

impl Client {
    /// Reads the files of this side that a target names.
    ///
    /// # Errors
    /// [`TlsOutcome::LocalFile`] where one of them cannot be used.
    pub fn new(target: &Target) -> Result<Self, TlsOutcome> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let witness = Arc::new(Witness::new(
            target.tls.mode,
            target.host.clone(),
            files::roots(&target.tls)?,
            provider.signature_verification_algorithms,
        ));
        let unusable = |error: rustls::Error| TlsOutcome::LocalFile {
            path: target.tls.cert.clone().unwrap_or_else(|| "~/.postgresql/postgresql.crt".to_owned()),
            text: error.to_string(),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&witness) as _);
        let mut config = match files::identity(&target.tls)? {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(unusable)?,
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        config.enable_sni = !target.tls.no_sni;
        if target.tls.direct {
            config.alpn_protocols = vec![ALPN.to_vec()];
        }
        let name = match &target.host {
            Host::Name(name) => ServerName::try_from(name.clone()).ok(),
            Host::Address(_) | Host::Socket(_) => None,
        };
        Ok(Self {
            mode: target.tls.mode,
            direct: target.tls.direct,
            connector: TlsConnector::from(Arc::new(config)),
            name: name.unwrap_or_else(|| ServerName::from(std::net::IpAddr::from(NO_NAME))),
            witness,
        })
    }

    /// Begins a handshake on a stream on which TLS is the next thing to come.
    #[must_use]
    pub fn begin(&self, io: Io) -> Handshake {
        Box::pin(self.connector.connect(self.name.clone(), io))
    }

    /// Sees a handshake through.
    pub async fn finish(&self, mut handshake: Handshake, watch: Stopwatch, deadline: Instant) -> Shaken {
        let result = timeout_at(deadline, handshake.as_mut()).await;
        let held: Option<Held> = result.is_err().then(|| Box::new(handshake) as Held);
        let sighting = self.witness.sighting();
        let refused = sighting.verification.as_ref().is_some_and(|v| !v.accepted);
        let (outcome, stream) = match result {
            Err(_) => (TlsOutcome::Silent, None),
            Ok(Err(_)) if refused => (TlsOutcome::CertificateRefused, None),
            Ok(Err(error)) => (failed(&error), None),
            Ok(Ok(stream)) => match self.established(&stream) {
                Ok(outcome) => (outcome, Some(stream)),
                Err(outcome) => (outcome, None),
            },
        };
        let mut evidence = ended(watch, self.mode, outcome);
        evidence.certificate = sighting.certificate;
        evidence.verification = sighting.verification;
        Shaken { evidence, passage: stream.map(|stream| (Box::new(stream) as Io, sighting.channel)), held }
    }

    fn established(&self, stream: &TlsStream<Io>) -> Result<TlsOutcome, TlsOutcome> {
        let (_, session) = stream.get_ref();
        if self.direct && session.alpn_protocol() != Some(ALPN) {
            return Err(TlsOutcome::HandshakeFailed {
                text: "direct TLS came about without the protocol's name (ALPN postgresql)".to_owned(),
                alert: None,
            });
        }
        let version = session.protocol_version().map_or_else(String::new, |version| match version {
            rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
            rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
            version => format!("{version:?}"),
        });
        let cipher =
            session.negotiated_cipher_suite().map_or_else(String::new, |s| format!("{:?}", s.suite()));
        Ok(TlsOutcome::Established { version, cipher })
    }
}

/// How a handshake failed.
fn failed(error: &io::Error) -> TlsOutcome {
    match End::from_io(error) {
        End::Closed | End::Reset => TlsOutcome::Closed,
        End::Silent => TlsOutcome::Silent,
        End::TlsAlert(alert) => TlsOutcome::HandshakeFailed { text: error.to_string(), alert: Some(alert) },
        End::Protocol2(text) | End::Malformed(text) => TlsOutcome::HandshakeFailed { text, alert: None },
    }
}
