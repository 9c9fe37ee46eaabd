//! The API of the lab: `renderflow`, the example that ships, as a process of its own; or a stand-in inside of this one,
//! where a drill is about a defect that `renderflow` has not, and where `renderflow` is not here.
//!
//! Here is what both are asked for. What each is: `renderflow` and `stand_in`.

mod client;
mod relay;
mod renderflow;
mod stand_in;

use crate::error::LabError;
use crate::fault::Guard;
use crate::sessions::Sockets;
pub use relay::Relay;
use renderflow::Renderflow;
pub use stand_in::{CheckedOut, StandIn};
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// The pool's size, as the runbook's Prevention has it.
pub(crate) const POOL_MAX: usize = 10;
/// Until an API that was started is ready.
const UP_WITHIN: Duration = Duration::from_secs(10);

/// Which API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `renderflow`, where it is here.
    Renderflow,
    /// The stand-in: for a defect that `renderflow` has not.
    StandIn,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Renderflow => "renderflow",
            Self::StandIn => "stand-in",
        })
    }
}

/// Where the API finds its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At an address.
    At(SocketAddr),
    /// At a name, which it asks a nameserver for.
    Named {
        /// The nameserver.
        nameserver: SocketAddr,
        /// The port.
        port: u16,
    },
    /// Nowhere: the pool was never made.
    Uninitialised,
}

/// The API.
#[derive(Debug)]
pub struct Api {
    run: Run,
    /// Why it is not the one that was asked for.
    instead: Option<String>,
    /// Sessions that are its own without being its pool's.
    owned: Mutex<Vec<Sockets>>,
    runtime: Handle,
}

#[derive(Debug)]
enum Run {
    Renderflow(Renderflow),
    StandIn(StandIn),
}

impl Api {
    /// Starts one, and waits until it serves; `renderflow` until it is ready. Where that does not come about, for whatever
    /// reason, it is the stand-in, and [`Self::instead`] says why.
    ///
    /// # Errors
    /// Where the stand-in cannot listen or write its log.
    pub fn start(kind: Kind, folder: &Path, place: Place, runtime: Handle) -> Result<Self, LabError> {
        let (run, instead) = match kind {
            Kind::StandIn => (None, None),
            Kind::Renderflow => match Renderflow::start(folder, place.clone(), runtime.clone()) {
                Ok(renderflow) => (Some(Run::Renderflow(renderflow)), None),
                Err(why) => (None, Some(why.to_string())),
            },
        };
        let run = match run {
            Some(run) => run,
            None => Run::StandIn(StandIn::start(folder, place, runtime.clone())?),
        };
        Ok(Self { run, instead, owned: Mutex::default(), runtime })
    }

    /// Which it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self.run {
            Run::Renderflow(_) => Kind::Renderflow,
            Run::StandIn(_) => Kind::StandIn,
        }
    }

    /// Why it is the stand-in where `renderflow` was asked for. None where it is what was asked for.
    #[must_use]
    pub fn instead(&self) -> Option<&str> {
        self.instead.as_deref()
    }

    /// The stand-in, for its defects.
    ///
    /// # Errors
    /// [`LabError::PartAbsent`] where it is `renderflow`.
    pub const fn stand_in(&self) -> Result<&StandIn, LabError> {
        match &self.run {
            Run::StandIn(stand_in) => Ok(stand_in),
            Run::Renderflow(_) => Err(LabError::PartAbsent("an API with defects")),
        }
    }

    /// Listens again, after [`Self::stop`].
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn listen(&self) -> Result<(), LabError> {
        match &self.run {
            Run::Renderflow(renderflow) => renderflow.start_anew(),
            Run::StandIn(stand_in) => stand_in.listen(),
        }
    }

    /// It is gone, as far as anybody can tell.
    pub fn stop(&self) {
        match &self.run {
            Run::Renderflow(renderflow) => renderflow.stop(),
            Run::StandIn(stand_in) => stand_in.stop(),
        }
    }

    /// Gives it another place to find its database at, and takes its open connections away: a new `DATABASE_URL`
    /// and a restart.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn redeploy(&self, place: Place) -> Result<(), LabError> {
        match &self.run {
            Run::Renderflow(renderflow) => renderflow.redeploy(place),
            Run::StandIn(stand_in) => {
                stand_in.redeploy(place);
                Ok(())
            }
        }
    }

    /// The same, and waits until it is ready there.
    ///
    /// # Errors
    /// Where it does not come to be.
    pub fn move_to(&self, place: Place) -> Result<(), LabError> {
        self.redeploy(place)?;
        crate::wait::until("an API that is ready", UP_WITHIN, || Ok(self.is_ready()))
    }

    /// It runs on as one whose pool was never made, until it is started anew: it was started with settings that lead
    /// nowhere, and they have been put right since.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn lose_pool(&self) -> Result<(), LabError> {
        match &self.run {
            Run::Renderflow(renderflow) => renderflow.lose_pool(),
            Run::StandIn(stand_in) => {
                stand_in.lose_pool();
                Ok(())
            }
        }
    }

    /// Says that these sessions end with its process.
    pub(crate) fn own(&self, sockets: Sockets) {
        locked(&self.owned).push(sockets);
    }

    /// Ends its process and starts it anew: whatever it had is gone, its settings and its defects are not.
    ///
    /// # Errors
    /// Where it cannot listen again.
    pub fn start_anew(&self) -> Result<(), LabError> {
        self.stop();
        std::mem::take(&mut *locked(&self.owned)).iter().for_each(Sockets::close);
        match &self.run {
            Run::Renderflow(renderflow) => renderflow.start_anew(),
            Run::StandIn(stand_in) => stand_in.start_anew(),
        }
    }

    /// Takes its open connections away; it finds its database where it did.
    pub fn restart(&self) {
        match &self.run {
            Run::Renderflow(renderflow) => renderflow.renew(),
            Run::StandIn(stand_in) => stand_in.restart(),
        }
    }

    /// Whether it calls itself ready, with its reason where it does not.
    ///
    /// # Errors
    /// Its reason.
    pub fn is_ready(&self) -> Result<(), String> {
        match &self.run {
            Run::Renderflow(renderflow) => renderflow.is_ready(),
            Run::StandIn(stand_in) => stand_in.is_ready(),
        }
    }

    /// Has requests check out every connection of its pool and never give one back.
    ///
    /// # Errors
    /// Where they do not come to hold them all.
    pub fn leak(&self) -> Result<Guard, LabError> {
        match &self.run {
            Run::Renderflow(renderflow) => renderflow.leak().map(Guard::holding),
            Run::StandIn(stand_in) => stand_in.check_out_all().map(Guard::holding),
        }
    }

    /// Has requests keep every connection of its pool at a statement that sleeps. Where they were `renderflow`'s, `slow`
    /// has made its inserts so.
    ///
    /// # Errors
    /// Where they cannot be begun.
    pub fn work(&self, slow: impl FnOnce() -> Result<(), LabError>) -> Result<Guard, LabError> {
        match &self.run {
            Run::Renderflow(renderflow) => {
                slow()?;
                Ok(Guard::holding(renderflow.insert()))
            }
            Run::StandIn(stand_in) => {
                let out = stand_in.check_out_all()?;
                out.begin("select pg_sleep(600)");
                Ok(Guard::holding(out))
            }
        }
    }

    /// So many requests at a time, each followed by another, and waits until as many wait for a connection.
    ///
    /// # Errors
    /// Where they do not come to wait.
    pub fn keep_asking(&self, requests: usize) -> Result<Guard, LabError> {
        match &self.run {
            Run::Renderflow(renderflow) => renderflow.keep_asking(requests).map(Guard::holding),
            Run::StandIn(stand_in) => stand_in.keep_asking(requests).map(Guard::holding),
        }
    }

    fn address(&self) -> SocketAddr {
        match &self.run {
            Run::Renderflow(renderflow) => renderflow.address(),
            Run::StandIn(stand_in) => stand_in.address(),
        }
    }

    /// Its readiness endpoint.
    #[must_use]
    pub fn ready_url(&self) -> String {
        format!("http://{}/api/v1/ready", self.address())
    }

    /// Its metrics endpoint.
    #[must_use]
    pub fn metrics_url(&self) -> String {
        format!("http://{}/metrics", self.address())
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &Path {
        match &self.run {
            Run::Renderflow(renderflow) => renderflow.log(),
            Run::StandIn(stand_in) => stand_in.log(),
        }
    }

    /// A way of its own to a port of this host, which can be taken away.
    ///
    /// # Errors
    /// Where no port is free.
    pub fn way_to(&self, port: u16) -> Result<Relay, LabError> {
        Relay::start(&self.runtime, port)
    }
}

/// What a mutex holds, also after a panic of whoever held it.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
