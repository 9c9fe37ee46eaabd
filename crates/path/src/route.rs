//! One way in, from the name to ReadyForQuery: each room takes the one before's proof of passage. The statement, and what
//! happens beside the way, are not in here.

mod door;
mod knock;

use crate::events::{Event, Observer};
use crate::evidence::RouteEvidence;
use crate::rooms::dns::evidence::{DnsEvidence, Subject, SystemLookup, SystemOutcome};
use crate::rooms::dns::probe::{Lookup, Resolver, look};
use crate::rooms::network::evidence::{NetworkEvidence, Transport};
use crate::rooms::network::probe::Address;
use crate::rooms::network::reach::{Reach, reach};
use crate::rooms::proxy::evidence::{FirstBytes, ProxyEvidence};
use crate::rooms::startup::evidence::{StartupEvidence, StartupOutcome};
use crate::rooms::startup::probe::Bounds;
use crate::rooms::startup::session::Session;
use crate::rooms::startup::wire::Held;
pub use door::Door;
use futures_util::FutureExt;
use knock::Knock;
use pgmedic_model::{Host, Ms, Room, ServerError, Target, Timestamp};
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use tokio::time::Instant;

/// From here on a stage may have waited for a packet to be sent again (`TCP_RTO_MIN` of the kernel's tcp.h: 200 ms).
pub(crate) const DRAGGED_MS: f64 = 200.0;

/// A way to be walked.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// `front`, `direct`, `rescue`; `pooler` for its console.
    pub name: &'static str,
    /// Where to.
    pub target: &'a Target,
    /// How names are looked up.
    pub resolver: &'a Resolver,
    /// The settings to ask for at startup. None where the peer is known to refuse them.
    pub bounds: Option<Bounds>,
    /// When its stages end.
    pub deadlines: Deadlines,
    /// Is told of each room.
    pub observer: Observer<'a>,
    /// Where it is watched from the side, if it is.
    pub door: Option<&'a Door>,
}

/// When the stages of a way end.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// The lookup.
    pub dns: Instant,
    /// The attempts to connect.
    pub network: Instant,
    /// The rest, to ReadyForQuery.
    pub end: Instant,
    /// Cancel requests and farewells.
    pub last: Instant,
}

impl Deadlines {
    /// Two fifths of the time for the lookup, three for the lookup and the attempts, and all of it for the whole.
    #[must_use]
    pub fn until(end: Instant, last: Instant) -> Self {
        let now = Instant::now();
        let span = end.saturating_duration_since(now);
        Self { dns: now + span * 2 / 5, network: now + span * 3 / 5, end, last }
    }
}

/// A way that has been walked as far as it goes. Nameservers and further addresses may still be thinking.
pub struct Walked {
    address: String,
    dns: DnsEvidence,
    /// The nameservers, while they think. None where the lookup panicked.
    lookup: Option<Lookup>,
    reach: Option<Reach>,
    knock: Knock,
    transport: Option<Transport>,
}

impl Way<'_> {
    pub(crate) fn entered(&self, room: Room) {
        (self.observer)(&Event::Entered { route: self.name, room });
    }

    pub(crate) fn left(&self, room: Room, passed: bool, elapsed: Ms) {
        (self.observer)(&Event::Left { route: self.name, room, passed, elapsed });
    }

    /// Walks it to its end.
    pub async fn walk(&self) -> Walked {
        let (dns, lookup) = self.resolve().await;
        if let Some(door) = self.door {
            door.leads_to(&dns.addresses());
        }
        let addresses = Address::of(self.target, &dns.addresses());
        let mut walked = Walked {
            address: self.target.address(),
            dns,
            lookup,
            reach: None,
            knock: Knock::default(),
            transport: None,
        };
        if addresses.is_empty() {
            return walked;
        }
        self.entered(Room::Network);
        let (reach, connected) = reach(addresses, self.deadlines.network).await;
        self.left(Room::Network, connected.is_some(), reach.elapsed());
        walked.reach = Some(reach);
        if let Some(connected) = connected {
            let waits = |waiting| self.door.into_iter().for_each(|door| door.waits(waiting));
            waits(true);
            walked.knock = knock::enter(self, connected).await;
            waits(false);
        }
        walked
    }

    /// The name, to addresses. A unix socket has none and needs none.
    async fn resolve(&self) -> (DnsEvidence, Option<Lookup>) {
        self.entered(Room::Dns);
        let Target { host, hostaddr, .. } = self.target;
        let looking = AssertUnwindSafe(look(host, *hostaddr, self.resolver, self.deadlines.dns));
        let (dns, lookup) = match looking.catch_unwind().await {
            Ok(lookup) => (lookup.evidence.clone(), Some(lookup)),
            Err(_) => (lookup_panicked(host), None),
        };
        let passed = !dns.addresses().is_empty() || matches!(host, Host::Socket(_));
        self.left(Room::Dns, passed, dns.elapsed_ms);
        (dns, lookup)
    }
}

fn lookup_panicked(host: &Host) -> DnsEvidence {
    let text = "a defect in pgmedic: the lookup panicked".to_owned();
    DnsEvidence {
        at: crate::clock::now(),
        elapsed_ms: Ms::default(),
        subject: match host {
            Host::Name(name) => Subject::Name(name.clone()),
            Host::Address(ip) => Subject::Address(*ip),
            Host::Socket(directory) => Subject::Socket(directory.clone()),
        },
        system: Some(SystemLookup {
            elapsed_ms: Ms::default(),
            outcome: SystemOutcome::Failed { code: "EAI_SYSTEM".to_owned(), text: text.clone() },
        }),
        stand_in: None,
        nameservers: Vec::new(),
        nameservers_skipped: Some(text),
    }
}

impl Walked {
    /// `host:port`, or the socket's path.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The addresses that the name led to.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.dns.addresses()
    }

    /// The error that refused the way in, in the first bytes or in the startup.
    #[must_use]
    pub fn refusal(&self) -> Option<&ServerError> {
        match (&self.knock.startup, &self.knock.proxy) {
            (Some(StartupEvidence { outcome: StartupOutcome::Error(error), .. }), _)
            | (None, Some(ProxyEvidence { first: FirstBytes::Error(error), .. })) => Some(error),
            _ => None,
        }
    }

    /// When the startup began that a server (no pooler of its own accord) refused: its log tells of it since.
    #[must_use]
    pub fn refused_since(&self) -> Option<Timestamp> {
        let said_by_a_pooler =
            |error: &ServerError| error.code.as_ref().is_some_and(|c| c.as_str() == "08P01");
        self.refusal().filter(|error| !said_by_a_pooler(error))?;
        Some(self.knock.startup.as_ref()?.at)
    }

    /// The admitted connection, once.
    pub fn take_session(&mut self) -> Option<Session> {
        self.knock.session.take()
    }

    /// The version that the server told at startup.
    #[must_use]
    pub fn server_version(&self) -> Option<&str> {
        self.knock.startup.as_ref()?.server_version.as_deref()
    }

    /// What the server is, where it said that it is no Postgres.
    #[must_use]
    pub fn product(&self) -> Option<&str> {
        self.knock.startup.as_ref()?.product.as_deref()
    }

    /// The backend's process id.
    #[must_use]
    pub fn backend_pid(&self) -> Option<u32> {
        self.knock.startup.as_ref()?.backend_pid
    }

    /// Both ends of the TCP connection that was walked on, this side's first.
    #[must_use]
    pub const fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.knock.ends
    }

    /// True where some stage took as long as a lost packet costs at the least, or was not answered at all.
    #[must_use]
    pub fn dragged(&self) -> bool {
        let Knock { proxy, tls, startup, .. } = &self.knock;
        let spans = [
            self.reach.as_ref().map(Reach::elapsed),
            proxy.as_ref().map(|p| p.elapsed_ms),
            tls.as_ref().map(|t| t.elapsed_ms),
            startup.as_ref().map(|s| s.elapsed_ms),
        ];
        spans.into_iter().flatten().any(|span| span.0 >= DRAGGED_MS)
    }

    /// Adds what the kernel tells of the connection.
    pub fn add_transport(&mut self, transport: Option<Transport>) {
        self.transport = transport;
    }

    /// The connection of a peer that fell silent, once.
    pub fn take_held(&mut self) -> Option<Held> {
        self.knock.held.take()
    }

    /// The evidence, once nameservers and further addresses have had their time. Closes what is still open.
    pub async fn settle(self) -> RouteEvidence {
        let transport = self.transport;
        let network = async {
            match self.reach {
                Some(reach) => Some(NetworkEvidence { transport, ..reach.settle().await }),
                None => None,
            }
        };
        let dns = async {
            match self.lookup {
                // What the system said stands, whatever becomes of the nameservers.
                Some(lookup) => AssertUnwindSafe(lookup.settled()).catch_unwind().await.unwrap_or(self.dns),
                None => self.dns,
            }
        };
        let (dns, network) = tokio::join!(dns, network);
        RouteEvidence {
            address: self.address,
            dns,
            network,
            proxy: self.knock.proxy,
            tls: self.knock.tls,
            startup: self.knock.startup,
            query: None,
        }
    }
}

/// Opens a session on a target: the whole way in, walked once. The evidence says how far it came.
pub async fn open(
    target: &Target,
    resolver: &Resolver,
    bounds: Option<Bounds>,
    deadline: Instant,
) -> (RouteEvidence, Option<Session>) {
    let deadlines = Deadlines::until(deadline, deadline);
    let way = Way { name: "pooler", target, resolver, bounds, deadlines, observer: &|_| {}, door: None };
    let mut walked = way.walk().await;
    let session = walked.take_session();
    (walked.settle().await, session)
}
