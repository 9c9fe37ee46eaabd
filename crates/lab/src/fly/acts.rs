//! What is done on request: a machine is restarted, started or stopped, with the real processes behind it, a volume gets
//! more room. A machine that goes takes everything in it along, as a VM does; Fly answers before it is back.
//!
//! Not in here: who may ask and in which form (`wire`).

use super::machine::Machine;
use super::{API_MACHINE, DB_MACHINE, SECOND_API_MACHINE, State, VOLUME, held};
use crate::api::Api;
use crate::dns::Zone;
use crate::error::LabError;
use crate::haproxy::Tuning;
use crate::{volume, wait};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A postmaster has so long to end by itself.
const GRACE: Duration = Duration::from_secs(3);
/// Processes that are killed are gone after this.
const GONE: Duration = Duration::from_secs(5);

/// What is done to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Restart,
    Start,
    Stop,
}

impl Act {
    pub(super) fn of(word: &str) -> Option<Self> {
        match word {
            "restart" => Some(Self::Restart),
            "start" => Some(Self::Start),
            "stop" => Some(Self::Stop),
            _ => None,
        }
    }
}

impl State {
    /// Begins it; what is done goes on after the answer.
    pub(super) fn act(self: &Arc<Self>, machine: &str, act: Act) {
        let (state, id) = (Arc::clone(self), machine.to_owned());
        if act != Act::Start {
            self.note(machine, |one| one.stop(true, None));
        }
        let work = std::thread::spawn(move || {
            let done = if id == DB_MACHINE { state.act_on_db(act) } else { state.act_on_api(&id, act) };
            // What went wrong is seen by what does not run then.
            drop(done);
        });
        held(&self.under_way).push(work);
    }

    pub(super) fn is_started(&self, id: &str) -> bool {
        match id {
            API_MACHINE => held(&self.api_machine).is_started,
            SECOND_API_MACHINE => held(&self.second_api).as_ref().is_some_and(|(one, _)| one.is_started),
            _ => held(&self.db_machine).is_started,
        }
    }

    /// Does something to a machine's own account of itself.
    fn note(&self, id: &str, change: impl Fn(&mut Machine)) {
        match id {
            API_MACHINE => change(&mut held(&self.api_machine)),
            SECOND_API_MACHINE => held(&self.second_api).iter_mut().for_each(|(one, _)| change(one)),
            _ => change(&mut held(&self.db_machine)),
        }
    }

    fn api_in(&self, id: &str) -> Option<Arc<Api>> {
        if id == SECOND_API_MACHINE {
            return held(&self.second_api).as_ref().map(|(_, api)| Arc::clone(api));
        }
        self.api.clone()
    }

    fn act_on_api(&self, id: &str, act: Act) -> Result<(), LabError> {
        let Some(api) = self.api_in(id) else { return Ok(()) };
        api.stop();
        if act != Act::Stop {
            api.restart();
            api.listen()?;
            self.note(id, Machine::start);
        }
        Ok(())
    }

    fn act_on_db(&self, act: Act) -> Result<(), LabError> {
        if act != Act::Start {
            self.end_postgres()?;
        }
        if act == Act::Stop {
            return self.dns.as_ref().map_or(Ok(()), |dns| dns.serve(&Zone::NoSuchName));
        }
        if !self.postgres.is_alive() {
            self.postgres.launch()?;
        }
        held(&self.db_machine).start();
        if act == Act::Start {
            let here = Zone::Addresses(vec![Ipv4Addr::LOCALHOST.into()]);
            self.dns.as_ref().map_or(Ok(()), |dns| dns.serve(&here))?;
        }
        // Its HAProxy is in the same machine.
        self.proxy.as_ref().map_or(Ok(()), |proxy| proxy.restart(Tuning::CALM))
    }

    /// Postgres is asked to end; then everything that is left of it is killed.
    fn end_postgres(&self) -> Result<(), LabError> {
        if self.postgres.is_alive() {
            self.postgres.signal(Signal::INT)?;
            let in_time = wait::until_true("the end of Postgres", GRACE, || !self.postgres.is_alive());
            if in_time.is_err() {
                self.postgres.signal(Signal::KILL)?;
            }
        }
        self.postgres.wait_stopped()?;
        wait::until_true("the end of what is left of Postgres", GONE, || {
            let left = in_folder(self.postgres.data());
            for pid in &left {
                let _gone = crate::process::send(*pid, Signal::KILL);
            }
            left.is_empty()
        })
    }

    /// Gives the volume more room.
    pub(super) fn extend(&self, id: &str, size_gb: u64) -> Result<Value, (u16, String)> {
        let Some(path) = self.data.as_ref().filter(|_| id == VOLUME) else {
            return Err((404, "volume not found".to_owned()));
        };
        let now = self.volume_gb().unwrap_or_default();
        if size_gb < now {
            return Err((422, format!("size_gb must be at least {now}")));
        }
        if size_gb > now {
            volume::remount(path, &format!("size={size_gb}g")).map_err(|why| (500, why.to_string()))?;
        }
        let volumes = self.volumes(super::DB_APP).unwrap_or_default();
        Ok(json!({ "volume": volumes[0], "needs_restart": self.needs_restart.load(Ordering::Acquire) }))
    }

    pub(super) fn volume_gb(&self) -> Option<u64> {
        self.volumes(super::DB_APP)?.get(0)?.get("size_gb")?.as_u64()
    }
}

/// Processes whose working directory is this folder: Postgres' are in its data directory.
fn in_folder(folder: &Path) -> Vec<u32> {
    let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder)).collect()
}
