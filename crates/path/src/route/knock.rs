//! From a fresh connection to ReadyForQuery, and the second connections that libpq would make: without TLS (`prefer`),
//! with it (`allow`), or without the settings of pgmedic's own that a pooler refuses. Each is made once at most, and the
//! connection before it is closed first.

use super::Way;
use crate::aside;
use crate::clock::Stopwatch;
use crate::rooms::network::probe::{Address, Connected, attempt};
use crate::rooms::proxy::evidence::ProxyEvidence;
use crate::rooms::proxy::probe::{Opening, Passage, open};
use crate::rooms::startup::evidence::{StartupEvidence, StartupOutcome};
use crate::rooms::startup::probe::{
    Bounds, Channel, exchange, pooler_of, refuses_own_settings, startup_message, unsent,
};
use crate::rooms::startup::session::Session;
use crate::rooms::startup::wire::{Held, Wire};
use crate::rooms::tls::evidence::{TlsEvidence, TlsOutcome};
use crate::rooms::tls::probe::{Client, Handshake, ended, plain};
use futures_util::FutureExt;
use pgmedic_model::{Room, ServerError, SslMode, Target};
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;

/// What came of knocking.
#[derive(Default)]
pub(super) struct Knock {
    pub(super) proxy: Option<ProxyEvidence>,
    pub(super) tls: Option<TlsEvidence>,
    pub(super) startup: Option<StartupEvidence>,
    pub(super) session: Option<Session>,
    pub(super) held: Option<Held>,
    /// Both ends of its TCP connection, this side's first.
    pub(super) ends: Option<(SocketAddr, SocketAddr)>,
}

/// With what a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// A StartupMessage in clear.
    Plain,
    /// An SSLRequest.
    SslRequest,
    /// A ClientHello.
    Direct,
}

impl Manner {
    /// libpq's first choice. On a unix socket there is no TLS.
    fn first(target: &Target, address: &Address) -> Self {
        match (address, target.tls.mode) {
            (Address::Unix(_), _) | (_, SslMode::Disable | SslMode::Allow) => Self::Plain,
            (_, mode) if target.tls.direct && mode >= SslMode::Require => Self::Direct,
            _ => Self::SslRequest,
        }
    }
}

/// Why a connection of another manner is made.
struct Fallback {
    manner: Manner,
    why: String,
    refusal: Option<ServerError>,
}

/// Knocks, and once more where libpq would.
pub(super) async fn enter(way: &Way<'_>, connected: Connected) -> Knock {
    let address = connected.address.clone();
    let manner = Manner::first(way.target, &address);
    let (first, bounds) = unless_own_settings_are_refused(way, connected, manner, way.bounds).await;
    let Some(fallback) = fallback(way.target, manner, &first) else { return first };
    let (_, Some(connected)) = attempt(&address, way.deadlines.end).await else { return first };
    let (second, _) = unless_own_settings_are_refused(way, connected, fallback.manner, bounds).await;
    told_together(first, second, fallback)
}

/// Knocks; where pgmedic's own settings are refused, once again without them. Gives the settings to go on with.
async fn unless_own_settings_are_refused(
    way: &Way<'_>,
    connected: Connected,
    manner: Manner,
    bounds: Option<Bounds>,
) -> (Knock, Option<Bounds>) {
    let address = connected.address.clone();
    let mut first = unharmed(way, connected, manner, bounds).await;
    let refused = match &first.startup {
        Some(StartupEvidence { outcome: StartupOutcome::Error(error), .. }) if bounds.is_some() => {
            refuses_own_settings(error).then(|| pooler_of(error))
        }
        _ => None,
    };
    let Some(pooler) = refused else { return (first, bounds) };
    let answered = first.proxy.take();
    drop(first);
    let (again, connected) = attempt(&address, way.deadlines.end).await;
    let mut second = match connected {
        Some(connected) => unharmed(way, connected, manner, None).await,
        None => Knock::lost(way.target, &format!("no second connection: {:?}", again.outcome)),
    };
    if pooler.is_some() && second.startup.is_none() && second.held.is_some() {
        // The pooler answered at the door a moment ago: what it is silent about is the login.
        let waiting_for = "authentication request".to_owned();
        let mut silent = unsent(way.target, StartupOutcome::Silent { waiting_for });
        if let Some(proxy) = second.proxy.take() {
            (silent.at, silent.elapsed_ms) = (proxy.at, proxy.elapsed_ms);
        }
        (second.proxy, second.startup) = (answered, Some(silent));
    }
    if let Some(startup) = &mut second.startup {
        startup.pooler = startup.pooler.take().or(pooler);
    }
    (second, None)
}

/// Knocks. A panic on the way becomes what the startup came to.
async fn unharmed(way: &Way<'_>, connected: Connected, manner: Manner, bounds: Option<Bounds>) -> Knock {
    match AssertUnwindSafe(once(way, connected, manner, bounds)).catch_unwind().await {
        Ok(knock) => knock,
        Err(_) => Knock::lost(way.target, "a defect in pgmedic: the probe panicked"),
    }
}

async fn once(way: &Way<'_>, mut connected: Connected, manner: Manner, bounds: Option<Bounds>) -> Knock {
    if let Some(door) = way.door {
        connected.io = door.guard(connected.io);
    }
    let message = match startup_message(way.target, bounds) {
        Ok(message) => message,
        Err(text) => return Knock::lost(way.target, &text),
    };
    let door = Door { way, address: connected.address.clone(), message: &message, bounded: bounds.is_some() };
    let client = match manner {
        Manner::Direct => match tls_client(way).await {
            Ok(client) => Some(client),
            Err(outcome) => return Knock::without_client(way, outcome),
        },
        Manner::Plain | Manner::SslRequest => None,
    };
    let opening = match &client {
        Some(client) => Opening::ClientHello(client),
        None if manner == Manner::Plain => Opening::Startup(&message),
        None => Opening::SslRequest,
    };
    way.entered(Room::Proxy);
    let ends = connected.ends();
    let opened = open(connected, opening, way.deadlines.end).await;
    way.left(Room::Proxy, opened.passage.is_some(), opened.evidence.elapsed_ms);
    let mut knock = Knock { proxy: Some(opened.evidence), held: opened.held, ends, ..Knock::default() };
    match (opened.passage, client) {
        (None, _) => {}
        (Some(Passage::Hello(handshake, watch)), Some(client)) => {
            door.shake(&mut knock, &client, handshake, watch).await;
        }
        (Some(Passage::Offered(io)), _) => match tls_client(way).await {
            Ok(client) => {
                let handshake = client.begin(io);
                door.shake(&mut knock, &client, handshake, Stopwatch::start()).await;
            }
            Err(outcome) => knock.tls = Knock::without_client(way, outcome).tls,
        },
        (Some(Passage::NotOffered(wire)), _) if way.target.tls.mode == SslMode::Prefer => {
            knock.tls =
                Some(plain(way.target.tls.mode, "the server offers no TLS, and sslmode=prefer does without"));
            door.send_and_start(&mut knock, wire, &Channel::default()).await;
        }
        (Some(Passage::NotOffered(_)), _) => {
            way.entered(Room::Tls);
            let evidence = ended(Stopwatch::start(), way.target.tls.mode, TlsOutcome::NotOffered);
            way.left(Room::Tls, false, evidence.elapsed_ms);
            knock.tls = Some(evidence);
        }
        (Some(Passage::Answered(wire, watch)), _) => {
            knock.tls = Some(plain(way.target.tls.mode, why_plain(way.target, &door.address)));
            door.start(&mut knock, wire, &Channel::default(), watch).await;
        }
        // A ClientHello is only ever sent by a client.
        (Some(Passage::Hello(..)), None) => {}
    }
    knock
}

/// This side's half of TLS. Its files may lie on a share that hangs.
async fn tls_client(way: &Way<'_>) -> Result<Client, TlsOutcome> {
    let target = way.target.clone();
    aside::call("tls-files", way.deadlines.end, move || Client::new(&target)).await.unwrap_or_else(|error| {
        let path = way.target.tls.root_cert.clone().unwrap_or_else(|| "~/.postgresql".to_owned());
        Err(TlsOutcome::LocalFile { path, text: error.to_string() })
    })
}

fn why_plain(target: &Target, address: &Address) -> &'static str {
    match (address, target.tls.mode) {
        (Address::Unix(_), _) => "there is no TLS on a unix socket",
        (_, SslMode::Disable) => "sslmode=disable",
        (_, SslMode::Allow) => "sslmode=allow tries without TLS first",
        _ => "without TLS, after TLS did not come about",
    }
}

/// What stays the same while a connection is led through TLS and startup.
struct Door<'a> {
    way: &'a Way<'a>,
    address: Address,
    message: &'a [u8],
    bounded: bool,
}

impl Door<'_> {
    async fn shake(&self, knock: &mut Knock, client: &Client, handshake: Handshake, watch: Stopwatch) {
        self.way.entered(Room::Tls);
        let shaken = client.finish(handshake, watch, self.way.deadlines.end).await;
        self.way.left(Room::Tls, shaken.passage.is_some(), shaken.evidence.elapsed_ms);
        knock.tls = Some(shaken.evidence);
        knock.held = shaken.held;
        if let Some((io, channel)) = shaken.passage {
            self.send_and_start(knock, Wire::new(io), &channel).await;
        }
    }

    async fn send_and_start(&self, knock: &mut Knock, mut wire: Wire, channel: &Channel) {
        let watch = Stopwatch::start();
        // A peer that does not take the message is silent; the exchange says so.
        let _ = wire.send(self.message, self.way.deadlines.end).await;
        self.start(knock, wire, channel, watch).await;
    }

    /// The exchange. The StartupMessage was sent when `watch` was started.
    async fn start(&self, knock: &mut Knock, mut wire: Wire, channel: &Channel, watch: Stopwatch) {
        self.way.entered(Room::Startup);
        let startup = exchange(&mut wire, self.way.target, channel, watch, self.way.deadlines.end).await;
        let ready = startup.evidence.outcome == StartupOutcome::Ready;
        self.way.left(Room::Startup, ready, startup.evidence.elapsed_ms);
        if let (Some(alert), Some(tls)) = (startup.tls_alert, &mut knock.tls) {
            let text = format!("the server broke TLS off after the handshake: {alert}");
            tls.outcome = TlsOutcome::HandshakeFailed { text, alert: Some(alert) };
            return;
        }
        if ready {
            let last = self.way.deadlines.last;
            knock.session = Some(Session::new(wire, self.address.clone(), startup.key, self.bounded, last));
        } else if matches!(startup.evidence.outcome, StartupOutcome::Silent { .. }) {
            knock.held = Some(Box::new(wire));
        }
        knock.startup = Some(startup.evidence);
    }
}

impl Knock {
    /// Ended by something that is not the peer's doing.
    fn lost(target: &Target, text: &str) -> Self {
        let outcome = StartupOutcome::Protocol(text.to_owned());
        Self { startup: Some(unsent(target, outcome)), ..Self::default() }
    }

    /// Ended by a file of this side.
    fn without_client(way: &Way<'_>, outcome: TlsOutcome) -> Self {
        way.entered(Room::Tls);
        let evidence = ended(Stopwatch::start(), way.target.tls.mode, outcome);
        way.left(Room::Tls, false, evidence.elapsed_ms);
        Self { tls: Some(evidence), ..Self::default() }
    }

    /// The error that refused the startup before the credentials were accepted: libpq tries the other manner then.
    fn refusal(&self) -> Option<&ServerError> {
        match &self.startup {
            Some(StartupEvidence { outcome: StartupOutcome::Error(error), authenticated: false, .. }) => {
                Some(error)
            }
            _ => None,
        }
    }

    /// How far it came: TLS not tried or failed, refused unasked, refused after the server had asked who comes.
    fn distance(&self) -> (bool, bool, bool) {
        let startup = self.startup.as_ref();
        (
            startup.is_some(),
            startup.is_some_and(|s| s.auth.is_some()),
            startup.is_some_and(|s| s.authenticated),
        )
    }

    fn is_under_tls(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| matches!(tls.outcome, TlsOutcome::Established { .. }))
    }
}

/// The second connection that libpq would make (`fe-connect.c`; Postgres manual, "SSL Support", on `allow` and
/// `prefer`): none where the peer fell silent.
fn fallback(target: &Target, manner: Manner, first: &Knock) -> Option<Fallback> {
    let refused = |manner, text: &str| {
        first.refusal().map(|error| Fallback {
            manner,
            why: format!("{text}: {error}"),
            refusal: Some(error.clone()),
        })
    };
    match (manner, target.tls.mode, first.tls.as_ref().map(|tls| &tls.outcome)?) {
        (Manner::SslRequest, SslMode::Prefer, TlsOutcome::Established { .. }) => {
            refused(Manner::Plain, "refused under TLS")
        }
        (Manner::SslRequest, SslMode::Prefer, outcome) => {
            handshake_failure(outcome).map(|why| Fallback { manner: Manner::Plain, why, refusal: None })
        }
        (Manner::Plain, SslMode::Allow, _) => refused(Manner::SslRequest, "refused without TLS"),
        _ => None,
    }
    .filter(|_| !target.tls.direct && !matches!(target.host, pgmedic_model::Host::Socket(_)))
}

fn handshake_failure(outcome: &TlsOutcome) -> Option<String> {
    match outcome {
        TlsOutcome::HandshakeFailed { text, .. } => Some(format!("the TLS handshake failed: {text}")),
        TlsOutcome::CertificateRefused => Some("the server's certificate was refused".to_owned()),
        TlsOutcome::Closed => Some("the server hung up in the TLS handshake".to_owned()),
        TlsOutcome::LocalFile { path, text } => Some(format!("{path}: {text}")),
        TlsOutcome::Plain { .. }
        | TlsOutcome::Established { .. }
        | TlsOutcome::NotOffered
        | TlsOutcome::Silent => None,
    }
}

/// Two connections told as one. The second stands where it was admitted; where both were refused, the one that came
/// further, and of two that came equally far the one under TLS: its refusal is not for want of encryption.
fn told_together(first: Knock, mut second: Knock, fallback: Fallback) -> Knock {
    let second_stands = second.session.is_some()
        || second.held.is_some()
        || second.distance() > first.distance()
        || (second.distance() == first.distance() && second.is_under_tls());
    if !second_stands {
        return first;
    }
    if let (Some(tls), Some(before)) = (&mut second.tls, first.tls) {
        tls.fell_back = Some(fallback.why);
        tls.first_refusal = fallback.refusal;
        tls.certificate = tls.certificate.take().or(before.certificate);
        tls.verification = tls.verification.take().or(before.verification);
    }
    second
}
