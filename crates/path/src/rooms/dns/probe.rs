//! The lookup of one name: by the system's resolver, as the API does it, and at each nameserver by itself meanwhile. The
//! walk goes on as soon as the system has answered; the nameservers are collected at its end.
//!
//! Not in here: trying the addresses, and any judgement of the answers.

use super::asking::Asking;
use super::evidence::{DnsEvidence, StandIn, Subject, SystemLookup, SystemOutcome};
use super::nameserver::Nameserver;
use super::resolv_conf::{DEFAULT_SERVER, RESOLV_CONF, ResolvConf, answered_without};
pub use super::system::system;
use crate::clock::Stopwatch;
use crate::service::Service;
use pgmedic_model::Host;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// How long a nameserver has, from the start of the lookup, once the system's resolver has answered.
const BESIDE_AN_ANSWER: Duration = Duration::from_secs(1);
/// A system's resolver that is silent for so long has lost its first question: it asks again, or the next nameserver, only
/// after whole seconds (`RES_TIMEOUT` of resolv.h: 5 s).
const LONG_SILENT: Duration = Duration::from_millis(1500);
/// Nameservers asked for one name.
const MAX_NAMESERVERS: usize = 8;

/// How names are looked up for a service.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    /// Nameservers of the configuration.
    pub nameservers: Vec<SocketAddr>,
    /// Look up at these alone: the API's resolver is not this host's.
    pub here: bool,
}

impl Resolver {
    /// A service's.
    #[must_use]
    pub fn of(service: &Service) -> Self {
        Self { nameservers: service.nameservers.clone(), here: service.resolve_here }
    }

    /// True where the configured nameservers stand in for the system's resolver.
    const fn stands_in(&self) -> bool {
        self.here && !self.nameservers.is_empty()
    }

    /// The nameservers to ask, and the names to ask them for.
    fn plan(&self, name: &str) -> (Vec<Nameserver>, Vec<String>) {
        let of =
            |address: &SocketAddr, place: &str| Nameserver { address: *address, configured_in: place.into() };
        let given = self.nameservers.iter().map(|address| of(address, "pgmedic.toml"));
        if self.stands_in() {
            // The search list is this host's; another host's is not known.
            return (given.take(MAX_NAMESERVERS).collect(), vec![name.trim_end_matches('.').to_owned()]);
        }
        let conf = ResolvConf::load();
        let mut servers: Vec<Nameserver> = conf.servers.iter().map(|a| of(a, RESOLV_CONF)).collect();
        if servers.is_empty() {
            servers.push(of(&DEFAULT_SERVER, "the resolver's own default"));
        }
        for server in given {
            if servers.iter().all(|known| known.address != server.address) && servers.len() < MAX_NAMESERVERS
            {
                servers.push(server);
            }
        }
        (servers, conf.candidates(name))
    }
}

/// A lookup that has come to addresses or to an end, while single nameservers may still be thinking.
#[derive(Debug)]
pub struct Lookup {
    /// What is known so far: all but the nameservers.
    pub evidence: DnsEvidence,
    asking: Option<Asking>,
}

impl Lookup {
    /// Waits for the nameservers, each within its limit, and gives the whole evidence.
    pub async fn settled(mut self) -> DnsEvidence {
        if let Some(asking) = self.asking.take() {
            self.evidence.nameservers = asking.all().await;
        }
        self.evidence
    }

    fn without_nameservers(mut evidence: DnsEvidence, why: impl Into<String>) -> Self {
        evidence.nameservers_skipped = Some(why.into());
        Self { evidence, asking: None }
    }
}

/// Looks a host up. Returns when the system's resolver has answered or failed, at the latest at the deadline.
pub async fn look(host: &Host, hostaddr: Option<IpAddr>, resolver: &Resolver, deadline: Instant) -> Lookup {
    let watch = Stopwatch::start();
    let subject = subject(host, hostaddr);
    let mut evidence = DnsEvidence {
        at: watch.at,
        elapsed_ms: pgmedic_model::Ms(0.0),
        subject: subject.clone(),
        system: None,
        stand_in: None,
        nameservers: Vec::new(),
        nameservers_skipped: None,
    };
    let name = match subject {
        Subject::Name(name) => name,
        Subject::Address(_) => {
            return Lookup::without_nameservers(evidence, "a literal address needs no lookup");
        }
        Subject::Socket(_) => return Lookup::without_nameservers(evidence, "a unix socket needs no lookup"),
    };
    if let Some(why) = answered_without(&name) {
        evidence.system = Some(system(&name, deadline).await);
        evidence.elapsed_ms = watch.elapsed();
        return Lookup::without_nameservers(evidence, why);
    }
    let started = Instant::now();
    let (servers, names) = resolver.plan(&name);
    let mut asking = Asking::start(servers, &name, names, deadline);
    let found = if resolver.stands_in() {
        asking.stand_in(deadline).await
    } else {
        let (found, other) = system_or_another(&name, &mut asking, started, deadline).await;
        evidence.stand_in = other;
        found
    };
    if answered(&found.outcome) || evidence.stand_in.is_some() {
        asking.bring_nearer(deadline.min(Instant::now().max(started + BESIDE_AN_ANSWER)));
    }
    evidence.system = Some(found);
    evidence.elapsed_ms = watch.elapsed();
    Lookup { evidence, asking: Some(asking) }
}

/// The system's answer; or, where it is still silent when it should long have come, a nameserver of its list that has
/// answered meanwhile. The system would ask that one too, after 5 s, for which no walk can wait.
async fn system_or_another(
    name: &str,
    asking: &mut Asking,
    started: Instant,
    deadline: Instant,
) -> (SystemLookup, Option<StandIn>) {
    let watch = Stopwatch::start();
    let patience = LONG_SILENT.min(deadline.saturating_duration_since(started).mul_f64(0.75));
    let another = async {
        tokio::time::sleep_until(started + patience).await;
        asking.some_addresses(RESOLV_CONF).await
    };
    tokio::select! {
        biased;
        found = system(name, deadline) => (found, None),
        other = another => {
            let silent = SystemLookup { elapsed_ms: watch.elapsed(), outcome: SystemOutcome::Silent };
            (silent, Some(other))
        }
    }
}

/// The lookup of a side door's name (the API's): the system's answer alone, or the configured nameservers' where they
/// stand in for it.
pub async fn look_aside(host: &Host, resolver: &Resolver, deadline: Instant) -> DnsEvidence {
    if resolver.stands_in() {
        return look(host, None, resolver, deadline).await.settled().await;
    }
    let watch = Stopwatch::start();
    let subject = subject(host, None);
    let system = match &subject {
        Subject::Name(name) => Some(system(name, deadline).await),
        Subject::Address(_) | Subject::Socket(_) => None,
    };
    DnsEvidence {
        at: watch.at,
        elapsed_ms: watch.elapsed(),
        subject,
        system,
        stand_in: None,
        nameservers: Vec::new(),
        nameservers_skipped: Some(
            "nameservers are asked by themselves for the database's name only".to_owned(),
        ),
    }
}

/// What is to be looked up: `hostaddr` goes before the host's name, as in libpq.
fn subject(host: &Host, hostaddr: Option<IpAddr>) -> Subject {
    match (host, hostaddr) {
        (Host::Socket(directory), _) => Subject::Socket(directory.clone()),
        (_, Some(ip)) => Subject::Address(ip),
        (Host::Address(ip), None) => Subject::Address(*ip),
        (Host::Name(name), None) => Subject::Name(name.clone()),
    }
}

/// True where the resolver has said something of the name, be it that there is none.
fn answered(outcome: &SystemOutcome) -> bool {
    match outcome {
        SystemOutcome::Resolved(_) => true,
        SystemOutcome::Failed { code, .. } => code == "EAI_NONAME" || code == "EAI_NODATA",
        SystemOutcome::Silent => false,
    }
}
