//! Opening one connection, stage by stage, so that what it failed of and how far it came is known.
//!
//! Not in here: how often it is tried, and what follows from a failure (`opening`, `trouble`).

mod handshake;
mod stream;
mod tls;
mod transport;

pub(crate) use handshake::{Drive, Handshake, Plain, WithTls};
pub use stream::Stream;
pub use transport::{BoxFuture, Endpoint, System, Transport};

use crate::builder::BuildError;
use crate::progress::Progress;
use crate::reason::{Reason, Stage};
use crate::wire::Wire;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::config::{Host, LoadBalanceHosts, TargetSessionAttrs};
use tokio_postgres::{Client, Config};

/// One host of the configuration.
#[derive(Clone, Debug)]
struct Way {
    /// The name to look up, or a socket's path.
    host: Named,
    /// The name that TLS is asked for.
    tls_name: String,
    port: u16,
}

#[derive(Clone, Debug)]
enum Named {
    Name(String),
    Address(std::net::IpAddr),
    Socket(PathBuf),
}

/// Opens connections by one configuration.
pub(crate) struct Connector {
    config: Config,
    ways: Vec<Way>,
    transport: Box<dyn Transport>,
    handshake: Box<dyn Handshake>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("ways", &self.ways).finish_non_exhaustive()
    }
}

/// A connection that came about.
pub(crate) struct Fresh {
    pub(crate) client: Client,
    pub(crate) drive: Box<dyn Drive>,
    pub(crate) wire: Arc<Wire>,
    pub(crate) place: Arc<Place>,
}

/// Where a connection leads to.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) endpoint: Endpoint,
    pub(crate) tls_name: String,
}

impl Connector {
    /// Checks the configuration.
    pub(crate) fn new(
        config: Config,
        transport: Box<dyn Transport>,
        handshake: Box<dyn Handshake>,
    ) -> Result<Self, BuildError> {
        let ways = ways(&config)?;
        Ok(Self { config, ways, transport, handshake })
    }

    /// Opens a connection: every address of every host in turn, until one lets us in. What fails is noted in `progress`.
    /// `dial_at_most` bounds the time for one address to answer, so that a network that comes back is seen soon.
    pub(crate) async fn open(
        &self,
        progress: &Progress,
        deadline: Instant,
        dial_at_most: Option<Duration>,
        epoch: Instant,
    ) -> Option<Fresh> {
        let mut ways: Vec<&Way> = self.ways.iter().collect();
        let spread = self.config.get_load_balance_hosts() == LoadBalanceHosts::Random;
        if spread {
            crate::jitter::shuffle(&mut ways);
        }
        let count = ways.len();
        for (n, way) in ways.into_iter().enumerate() {
            // Each host gets its share of what is left, so that a silent one leaves time for the next.
            let share = share(deadline, count - n);
            let Some(mut endpoints) = self.resolve(way, progress, share).await else { continue };
            if spread {
                crate::jitter::shuffle(&mut endpoints);
            }
            let addresses = endpoints.len();
            for (n, endpoint) in endpoints.into_iter().enumerate() {
                let until = self::share(share, addresses - n);
                let fresh = self.one(way, endpoint, progress, (until, dial_at_most), epoch).await;
                if fresh.is_some() {
                    return fresh;
                }
            }
        }
        None
    }

    async fn resolve(&self, way: &Way, progress: &Progress, until: Instant) -> Option<Vec<Endpoint>> {
        let name = match &way.host {
            Named::Address(ip) => return Some(vec![Endpoint::Tcp((*ip, way.port).into())]),
            Named::Socket(folder) => {
                return Some(vec![Endpoint::Unix(folder.join(format!(".s.PGSQL.{}", way.port)))]);
            }
            Named::Name(name) => name,
        };
        progress.begin(&format!("{name}:{}", way.port), Stage::Dns);
        match timeout_at(until, self.transport.resolve(name, way.port)).await {
            Ok(Ok(found)) if !found.is_empty() => Some(found.into_iter().map(Endpoint::Tcp).collect()),
            Ok(Ok(_)) => progress.failed(Stage::Dns, Reason::Unresolved("it has no address".to_owned())),
            Ok(Err(e)) => progress
                .failed(Stage::Dns, Reason::Unresolved(pgmedic_model::mask::excerpt(&e.to_string(), 200))),
            Err(_) => progress.ran_out(Stage::Dns),
        }
    }

    async fn one(
        &self,
        way: &Way,
        endpoint: Endpoint,
        progress: &Progress,
        (until, dial_at_most): (Instant, Option<Duration>),
        epoch: Instant,
    ) -> Option<Fresh> {
        progress.begin(&endpoint.to_string(), Stage::Connect);
        let dial_until = dial_at_most.map_or(until, |most| until.min(Instant::now() + most));
        let stream = match timeout_at(dial_until, self.transport.dial(&endpoint, &self.config)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(e)) => return progress.failed(Stage::Connect, Reason::of_io(&e)),
            Err(_) => return progress.ran_out(Stage::Connect),
        };
        let wire = Arc::new(Wire::new(epoch));
        progress.follow(&wire);
        let stream = stream.watched(&wire);
        let startup = self.handshake.startup(stream, &way.tls_name, &self.config, &wire);
        let (client, drive) = match timeout_at(until, startup).await {
            Ok(Ok(parts)) => parts,
            Ok(Err(e)) => {
                let reason = Reason::of_driver(&e, wire.stage());
                return progress.failed(reason.stage(wire.stage()), reason);
            }
            Err(_) => return progress.ran_out(wire.stage()),
        };
        wire.reached(Stage::Recycle);
        let place = Arc::new(Place { endpoint, tls_name: way.tls_name.clone() });
        let mut fresh = Fresh { client, drive, wire, place };
        match timeout_at(until, self.demanded_role(&mut fresh)).await {
            Ok(Ok(())) => Some(fresh),
            Ok(Err(reason)) => progress.failed(Stage::Admission, reason),
            Err(_) => progress.ran_out(Stage::Admission),
        }
    }

    /// Holds the server against `target_session_attrs`.
    async fn demanded_role(&self, fresh: &mut Fresh) -> Result<(), Reason> {
        let wanted = match self.config.get_target_session_attrs() {
            TargetSessionAttrs::ReadWrite => "off",
            TargetSessionAttrs::ReadOnly => "on",
            _ => return Ok(()),
        };
        let asked = handshake::ask(fresh, "SHOW transaction_read_only").await;
        match asked.map_err(|e| Reason::of_driver(&e, Stage::Admission))?.as_deref() {
            Some(is) if is == wanted => Ok(()),
            _ if wanted == "off" => Err(Reason::WrongRole(
                "the server is read-only, and target_session_attrs=read-write demands one that is not",
            )),
            _ => Err(Reason::WrongRole(
                "the server is not read-only, and target_session_attrs=read-only demands one that is",
            )),
        }
    }

    /// Asks the server to cancel what a connection does, and waits until the server has taken that in: what comes on the
    /// connection afterwards is not hit.
    pub(crate) async fn cancel(&self, place: &Place, wire: &Wire) -> Result<(), Reason> {
        let stream =
            self.transport.dial(&place.endpoint, &self.config).await.map_err(|e| Reason::of_io(&e))?;
        self.handshake.cancel(stream, &place.tls_name, &self.config, wire).await
    }
}

fn share(deadline: Instant, among: usize) -> Instant {
    let now = Instant::now();
    let left = deadline.saturating_duration_since(now);
    now + left / u32::try_from(among.max(1)).unwrap_or(u32::MAX)
}

/// The hosts of a configuration, as libpq pairs hosts, addresses and ports.
fn ways(config: &Config) -> Result<Vec<Way>, BuildError> {
    let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let count = hosts.len().max(addresses.len());
    if count == 0 {
        return Err(BuildError::NoHost);
    }
    if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
        return Err(BuildError::Uneven { what: "hostaddr", given: addresses.len(), hosts: hosts.len() });
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(BuildError::Uneven { what: "port", given: ports.len(), hosts: count });
    }
    let way = |n: usize| {
        let port = ports.get(n).or_else(|| ports.first()).copied().unwrap_or(5432);
        let tls_name = match hosts.get(n) {
            Some(Host::Tcp(name)) => name.clone(),
            _ => String::new(),
        };
        let host = match (addresses.get(n), hosts.get(n)) {
            (Some(ip), _) => Named::Address(*ip),
            (None, Some(Host::Tcp(name))) => {
                name.parse().map_or_else(|_| Named::Name(name.clone()), Named::Address)
            }
            #[cfg(unix)]
            (None, Some(Host::Unix(folder))) => Named::Socket(folder.clone()),
            (None, _) => return Err(BuildError::NoHost),
        };
        Ok(Way { host, tls_name, port })
    };
    (0..count).map(way).collect()
}
