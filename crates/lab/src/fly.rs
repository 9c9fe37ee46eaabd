//! Fly's Machines API as a test double: its shapes (fly-go 22d6e51, superfly/docs), served over HTTP on loopback, and
//! behind them this lab's real parts. A machine's state and end are its process's, its checks are run when it is asked,
//! a volume's blocks are statvfs(3)'s, a log's lines are the file's: what it reports is true.
//!
//! One database machine (Postgres with whatever supervises it) and one API machine. It acts, too: a restart ends and starts
//! those processes, an extension gives the volume more room. Not in here: the wire (`wire`), what the checks do
//! (`flycheck`), the documents (`documents`), what is done (`acts`), under which lease and how often (`leases`).

mod acts;
mod documents;
mod flycheck;
mod leases;
mod machine;
mod wire;

use crate::api::Api;
use crate::dns::{Dns, Zone};
use crate::error::{LabError, Tried as _};
use crate::haproxy::Haproxy;
use crate::postgres::{Postgres, Stop};
use crate::{Guard, Lab, ports};
use leases::{Buckets, Leases};
use machine::Machine;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
pub use wire::{Asked, Misbehaviour};

/// A token that may read.
pub const TOKEN: &str = "FlyV1 fm2_only-for-the-lab-read";
/// A token that may read and act.
pub const ACTING_TOKEN: &str = "FlyV1 fm2_only-for-the-lab-deploy";
/// A token that the double knows, and that may read nothing here.
pub const FOREIGN_TOKEN: &str = "FlyV1 fm2_only-for-the-lab-foreign";
/// The API's app.
pub const API_APP: &str = "renderflow-api";
/// The database's app.
pub const DB_APP: &str = "renderflow-db";
/// The database machine's id.
pub const DB_MACHINE: &str = "148e21e7c22d89";
/// The API machine's id.
pub const API_MACHINE: &str = "d891234c567890";
/// The id of the API's second machine, where it has one.
pub const SECOND_API_MACHINE: &str = "e784079b449483";
/// The volume's id.
pub const VOLUME: &str = "vol_4y521w2zlp1po82v";

/// Which of Fly's Postgres images the database machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// postgres-flex: a dead postmaster is not started again and the machine goes on; over 90 % of disk it turns
    /// read-only.
    Flex,
    /// postgres-ha: over 90 % of disk its role is `readonly`, and its HAProxy has no server.
    Ha,
    /// An image whose main process is Postgres itself: the machine ends with it.
    Plain,
}

/// The double.
#[derive(Debug)]
pub struct Fly {
    address: SocketAddr,
    state: Arc<State>,
    over: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

/// What it serves.
#[derive(Debug)]
struct State {
    generation: Generation,
    postgres: Arc<Postgres>,
    /// Where the machine's volume is mounted. None in a lab without one: this host's own disk, however full, is no machine's.
    data: Option<PathBuf>,
    proxy: Option<Arc<Haproxy>>,
    dns: Option<Arc<Dns>>,
    api: Option<Arc<Api>>,
    db_machine: Mutex<Machine>,
    api_machine: Mutex<Machine>,
    /// The API's second machine, and the process in it.
    second_api: Mutex<Option<(Machine, Arc<Api>)>>,
    fenced: AtomicBool,
    read_only: AtomicBool,
    unreachable: AtomicBool,
    misbehaviour: Mutex<Option<Misbehaviour>>,
    asked: Mutex<Vec<Asked>>,
    leases: Leases,
    buckets: Buckets,
    needs_restart: AtomicBool,
    /// Changes so far, by which their answers' ids differ.
    changes: AtomicU64,
    /// What goes on after its answer.
    under_way: Mutex<Vec<JoinHandle<()>>>,
}

/// A lock that outlives a panic of who held it.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fly {
    /// Serves a lab's parts. Dropped before its lab.
    ///
    /// # Errors
    /// Where no port is free.
    pub fn start(lab: &Lab, generation: Generation) -> Result<Self, LabError> {
        let state = State {
            generation,
            postgres: Arc::clone(lab.postgres()),
            data: lab.volume().ok().map(|volume| volume.path().to_owned()),
            proxy: lab.proxy().ok().cloned(),
            dns: lab.dns().ok().cloned(),
            api: lab.api().ok().cloned(),
            db_machine: Mutex::new(Machine::started(DB_MACHINE, "muddy-sun-1")),
            api_machine: Mutex::new(Machine::started(API_MACHINE, "red-tree-2")),
            second_api: Mutex::default(),
            fenced: AtomicBool::new(false),
            read_only: AtomicBool::new(false),
            unreachable: AtomicBool::new(false),
            misbehaviour: Mutex::default(),
            asked: Mutex::default(),
            leases: Leases::default(),
            buckets: Buckets::default(),
            needs_restart: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            under_way: Mutex::default(),
        };
        let address: SocketAddr = (Ipv4Addr::LOCALHOST, ports::free()?).into();
        let listener = TcpListener::bind(address).tried(|| format!("Fly's double at {address}"))?;
        let (state, over) = (Arc::new(state), Arc::new(AtomicBool::new(false)));
        let (shared, ended) = (Arc::clone(&state), Arc::clone(&over));
        let listening = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::Acquire) {
                    return;
                }
                let state = Arc::clone(&shared);
                // Ends with its client: one that is kept waiting hangs up some day.
                std::thread::spawn(move || wire::serve(stream, &state));
            }
        });
        Ok(Self { address, state, over, listening: Some(listening) })
    }

    /// The API has a second machine from now on, with this process in it.
    pub fn scale_api(&self, api: Arc<Api>) {
        *held(&self.state.second_api) = Some((Machine::started(SECOND_API_MACHINE, "blue-moon-3"), api));
    }

    /// Its base, as `api_url` and `logs_url` take it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked so far: `GET /v1/apps/renderflow-db/machines`.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        held(&self.state.asked).iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    }

    /// The same with everything that is worth a look.
    #[must_use]
    pub fn requests(&self) -> Vec<Asked> {
        held(&self.state.asked).clone()
    }

    /// How often it was asked to change something, whatever it answered. Leases change nothing.
    #[must_use]
    pub fn changes(&self) -> usize {
        held(&self.state.asked).iter().filter(|asked| asked.is_change()).count()
    }

    /// Somebody else holds a lease on a machine.
    pub fn lease_to(&self, machine: &'static str, owner: &str) -> Guard {
        let state = Arc::clone(&self.state);
        let _nonce = state.leases.take(machine, 600, Some(owner));
        Guard::undone_by(move || {
            state.leases.end(machine);
            Ok(())
        })
    }

    /// True while anybody holds a lease on a machine.
    #[must_use]
    pub fn is_leased(&self, machine: &str) -> bool {
        self.state.leases.is_held(machine)
    }

    /// Whether an extension says that the machine has to be restarted before it is of use.
    pub fn extensions_need_restart(&self, yes: bool) {
        self.state.needs_restart.store(yes, Ordering::Release);
    }

    /// Waits until what was begun on request is done.
    pub fn settle(&self) {
        let begun = std::mem::take(&mut *held(&self.state.under_way));
        for work in begun {
            drop(work.join());
        }
    }

    /// Answers every request so from now on; None is its ordinary way.
    pub fn misbehave(&self, how: Option<Misbehaviour>) {
        *held(&self.state.misbehaviour) = how;
    }

    /// Stops the database machine, as somebody asked for: Postgres ends, and its name loses its address.
    ///
    /// # Errors
    /// Where it does not end in time.
    pub fn stop_db(&self) -> Result<Guard, LabError> {
        let state = Arc::clone(&self.state);
        state.postgres.stop(Stop::Fast)?;
        held(&state.db_machine).stop(true, state.postgres.ended());
        if let Some(dns) = &state.dns {
            dns.serve(&Zone::NoSuchName)?;
        }
        Ok(Guard::undone_by(move || {
            if !state.postgres.is_alive() {
                held(&state.db_machine).start();
                state.postgres.up()?;
            }
            let back = || Zone::Addresses(vec![Ipv4Addr::LOCALHOST.into()]);
            state.dns.as_ref().map_or(Ok(()), |dns| dns.serve(&back()))
        }))
    }

    /// Stops the API machine, as somebody asked for.
    ///
    /// # Errors
    /// Where the lab has no API.
    pub fn stop_api(&self) -> Result<Guard, LabError> {
        let state = Arc::clone(&self.state);
        let api = Arc::clone(state.api.as_ref().ok_or(LabError::PartAbsent("an API"))?);
        api.stop();
        held(&state.api_machine).stop(true, None);
        Ok(Guard::undone_by(move || {
            if state.is_started(API_MACHINE) {
                return Ok(());
            }
            held(&state.api_machine).start();
            api.listen()
        }))
    }

    /// The member is fenced: its role is `zombie`, so its HAProxy has no server, though Postgres is up.
    ///
    /// # Errors
    /// Where the proxy does not take it up.
    pub fn fence(&self) -> Result<Guard, LabError> {
        let state = Arc::clone(&self.state);
        state.fenced.store(true, Ordering::Release);
        state.heed()?;
        Ok(Guard::undone_by(move || {
            state.fenced.store(false, Ordering::Release);
            state.heed()
        }))
    }

    /// The machine's host cannot be reached by Fly, as far as its API says; its state is the last that was known.
    pub fn lose_host(&self) -> Guard {
        let state = Arc::clone(&self.state);
        state.unreachable.store(true, Ordering::Release);
        Guard::undone_by(move || {
            state.unreachable.store(false, Ordering::Release);
            Ok(())
        })
    }

    /// Has the checks run once, the guard act and the machine's HAProxy follow its role, as on Fly every few seconds.
    ///
    /// # Errors
    /// Where the proxy does not take it up.
    pub fn beat(&self) -> Result<(), LabError> {
        // Critical or not: it is the guard that acts in it.
        let _said = self.state.pg_check();
        self.state.heed()
    }
}

impl Drop for Fly {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        // Wakes the listener, which then sees that it is over.
        drop(TcpStream::connect(self.address));
        if let Some(listening) = self.listening.take() {
            drop(listening.join());
        }
        self.settle();
    }
}
