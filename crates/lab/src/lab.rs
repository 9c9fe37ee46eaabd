//! One lab: the parts that were asked for, in one folder, wired to each other.

use crate::api::{Api, Kind, Place};
use crate::certificates::Authority;
use crate::dns::{Dns, Zone};
use crate::error::{LabError, Tried as _};
use crate::haproxy::Haproxy;
use crate::janitor::Janitor;
use crate::pgbouncer::Pgbouncer;
use crate::postgres::Postgres;
use crate::process::Account;
use crate::programs;
use crate::sessions::Sessions;
use crate::volume::{Mounted, Volume};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};

/// What a lab has besides its Postgres.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// A HAProxy in front, with room for so many clients.
    pub proxy: Option<u32>,
    /// A PgBouncer in front.
    pub pooler: Option<PoolerSize>,
    /// A DNS server that knows the database's name.
    pub dns: bool,
    /// The API, and which.
    pub api: Option<Kind>,
    /// TLS, with a certificate by an authority of the lab's own.
    pub tls: bool,
    /// The data directory on a volume of its own, of so many MB. Needs root.
    pub volume_mb: Option<u32>,
}

/// How much room a pooler has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolerSize {
    /// `default_pool_size`.
    pub pool: u32,
    /// `max_client_conn`.
    pub clients: u32,
}

/// True for parts that one lab cannot have together.
type Clash = fn(&Parts) -> bool;

/// Parts that one lab cannot have together, and why.
const APART: &[(Clash, &str)] =
    &[(|parts| parts.tls && parts.pooler.is_some(), "the lab's pooler offers its clients no TLS")];

impl Parts {
    /// The parts of two labs in one; where they differ in size, the smaller.
    ///
    /// # Errors
    /// Why one lab cannot have both.
    pub fn united(self, other: Self) -> Result<Self, &'static str> {
        let pooler = |a: PoolerSize, b: PoolerSize| PoolerSize {
            pool: a.pool.min(b.pool),
            clients: a.clients.min(b.clients),
        };
        let both = Self {
            proxy: either(self.proxy, other.proxy, u32::min),
            pooler: either(self.pooler, other.pooler, pooler),
            dns: self.dns || other.dns,
            api: either(self.api, other.api, Kind::max),
            tls: self.tls || other.tls,
            volume_mb: either(self.volume_mb, other.volume_mb, u32::min),
        };
        APART.iter().find(|(apart, _)| apart(&both)).map_or(Ok(both), |(_, why)| Err(why))
    }

    /// The programs that these parts need besides Postgres' own.
    #[must_use]
    pub fn programs(&self) -> Vec<&'static str> {
        let wanted = [
            (self.proxy.is_some(), "haproxy"),
            (self.pooler.is_some(), "pgbouncer"),
            (self.dns, "dnsmasq"),
            (self.volume_mb.is_some(), "mount"),
        ];
        wanted.iter().filter(|(needed, _)| *needed).map(|(_, program)| *program).collect()
    }

    /// What is not installed of what these parts need, each with what to install.
    #[must_use]
    pub fn missing(&self) -> Vec<LabError> {
        let programs = self.programs().into_iter().chain(["setpriv"]).filter_map(|p| programs::find(p).err());
        programs.chain(programs::postgres_folder().err()).collect()
    }
}

/// The one that is there, or what `both` makes of two.
fn either<T>(a: Option<T>, b: Option<T>, both: impl FnOnce(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(both(a, b)),
        (a, b) => a.or(b),
    }
}

/// A running lab. Its fields end in the order in which they stand: clients before servers, the janitor last.
#[derive(Debug)]
pub struct Lab {
    api: Option<Arc<Api>>,
    proxy: Option<Arc<Haproxy>>,
    pooler: Option<Arc<Pgbouncer>>,
    dns: Option<Arc<Dns>>,
    postgres: Arc<Postgres>,
    authority: Option<Arc<Authority>>,
    volume: Option<Arc<Volume>>,
    mounted: Mounted,
    runtime: Runtime,
    folder: tempfile::TempDir,
    janitor: Arc<Janitor>,
}

impl Lab {
    /// Builds a lab and waits until every part of it answers.
    ///
    /// # Errors
    /// Where a program is missing, root is needed, or a part does not come up.
    pub fn build(parts: Parts) -> Result<Self, LabError> {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.tried(|| "the lab's runtime".to_owned())?;
        let folder = tempfile::Builder::new().prefix("pgmedic-lab-").tempdir();
        let folder = folder.tried(|| "the lab's folder".to_owned())?;
        let janitor = Arc::new(Janitor::start(folder.path())?);
        Account::give(Account::for_servers()?.as_ref(), folder.path())?;
        let volume =
            parts.volume_mb.map(|mb| Volume::mount(folder.path(), "volume", mb, &janitor)).transpose()?;
        let volume = volume.map(Arc::new);
        let mounted = Mounted::default();
        volume.iter().for_each(|volume| mounted.add(volume));
        let data = volume.as_ref().map(|volume| volume.path());
        let postgres = Arc::new(Postgres::start(folder.path(), data, runtime.handle().clone())?);
        let mut lab = Self {
            api: None,
            pooler: None,
            proxy: None,
            dns: None,
            postgres,
            authority: None,
            volume,
            mounted,
            runtime,
            folder,
            janitor,
        };
        lab.add(parts)?;
        Ok(lab)
    }

    /// Adds the parts around the server.
    fn add(&mut self, parts: Parts) -> Result<(), LabError> {
        let folder = self.folder.path();
        if parts.tls {
            let authority = Arc::new(Authority::new(folder)?);
            self.postgres.offer_tls(&authority)?;
            self.authority = Some(authority);
        }
        if parts.dns {
            let zone = Zone::Addresses(vec![Ipv4Addr::LOCALHOST.into()]);
            self.dns = Some(Arc::new(Dns::start(folder, &zone)?));
        }
        if let Some(PoolerSize { pool, clients }) = parts.pooler {
            self.pooler = Some(Arc::new(Pgbouncer::start(folder, &self.postgres, pool, clients)?));
        }
        if let Some(room) = parts.proxy {
            self.proxy = Some(Arc::new(Haproxy::start(folder, self.behind_proxy(), room, false)?));
        }
        if let Some(kind) = parts.api {
            let runtime = self.runtime.handle().clone();
            self.api = Some(Arc::new(Api::start(kind, folder, self.place(), runtime)?));
        }
        Ok(())
    }

    /// Where the API finds its database: by name where there is a DNS server, through whatever stands in front.
    #[must_use]
    pub fn place(&self) -> Place {
        match &self.dns {
            Some(dns) => Place::Named { nameserver: dns.address(), port: self.front_port() },
            None => Place::At((IpAddr::V4(Ipv4Addr::LOCALHOST), self.front_port()).into()),
        }
    }

    /// The port that the API connects to: the proxy's, the pooler's, or the server's own.
    #[must_use]
    pub fn front_port(&self) -> u16 {
        self.proxy.as_ref().map_or_else(|| self.behind_proxy(), |proxy| proxy.port())
    }

    /// The port that a proxy leads to: the pooler's, or the server's own.
    #[must_use]
    pub fn behind_proxy(&self) -> u16 {
        self.pooler.as_ref().map_or_else(|| self.postgres.port(), |pooler| pooler.port())
    }

    /// The server.
    #[must_use]
    pub fn postgres(&self) -> &Arc<Postgres> {
        &self.postgres
    }

    /// The HAProxy.
    ///
    /// # Errors
    /// [`LabError::PartAbsent`].
    pub fn proxy(&self) -> Result<&Arc<Haproxy>, LabError> {
        self.proxy.as_ref().ok_or(LabError::PartAbsent("a proxy"))
    }

    /// The PgBouncer.
    ///
    /// # Errors
    /// [`LabError::PartAbsent`].
    pub fn pooler(&self) -> Result<&Arc<Pgbouncer>, LabError> {
        self.pooler.as_ref().ok_or(LabError::PartAbsent("a pooler"))
    }

    /// The DNS server.
    ///
    /// # Errors
    /// [`LabError::PartAbsent`].
    pub fn dns(&self) -> Result<&Arc<Dns>, LabError> {
        self.dns.as_ref().ok_or(LabError::PartAbsent("a DNS server"))
    }

    /// The API.
    ///
    /// # Errors
    /// [`LabError::PartAbsent`].
    pub fn api(&self) -> Result<&Arc<Api>, LabError> {
        self.api.as_ref().ok_or(LabError::PartAbsent("an API"))
    }

    /// Restarts the API, where there is one: it lets go of its connections and must open new ones.
    pub fn restart_api(&self) {
        if let Some(api) = &self.api {
            api.restart();
        }
    }

    /// Says that these sessions are the API's own: they lose their sockets when its process ends. Where there is no API,
    /// nothing.
    pub fn api_owns(&self, sessions: &Sessions) {
        if let Some(api) = &self.api {
            api.own(sessions.sockets());
        }
    }

    /// The authority that signed the server's certificate.
    ///
    /// # Errors
    /// [`LabError::PartAbsent`].
    pub fn authority(&self) -> Result<&Arc<Authority>, LabError> {
        self.authority.as_ref().ok_or(LabError::PartAbsent("TLS"))
    }

    /// The volume that the data directory is on.
    ///
    /// # Errors
    /// [`LabError::PartAbsent`].
    pub fn volume(&self) -> Result<&Volume, LabError> {
        self.volume.as_deref().ok_or(LabError::PartAbsent("a volume"))
    }

    /// The server's volumes that are mounted, those of faults as well.
    #[must_use]
    pub fn mounted(&self) -> &Mounted {
        &self.mounted
    }

    /// The lab's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Who cleans up if we are killed.
    pub(crate) fn janitor(&self) -> &Arc<Janitor> {
        &self.janitor
    }

    /// The lab's runtime, for parts that a fault adds.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }
}
