//! `renderflow` as the lab's API: the program that ships, started by its environment, asked over HTTP, told by signals.
//! Nothing in it is bent for the lab but that it may be made to leak (`RENDERFLOW_DRILL`).

use super::client::{Answer, ask, ask_within};
use super::{POOL_MAX, Place, UP_WITHIN, locked};
use crate::error::{LabError, Tried as _};
use crate::postgres::{DATABASE, PASSWORD, ROLE};
use crate::process::{Launch, Server, is_root};
use crate::{dns, ports, programs, wait};
use rustix::process::Signal;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// What one question may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// What the pool may take to let go of what idles.
const RENEWED_WITHIN: Duration = Duration::from_secs(2);
/// Gives a program a resolv.conf(5) of its own, where glibc looks for its nameserver: `$1` is it, the rest the program. In a
/// mount namespace, which ends with it.
const WITH_RESOLV_CONF: &str = "mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"";

/// The process, or none while it is stopped.
#[derive(Debug)]
pub(super) struct Renderflow {
    program: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
    log: PathBuf,
    server: Mutex<Option<Server>>,
    /// Where its settings say: what it finds when it starts.
    configured: Mutex<Place>,
    runtime: Handle,
}

impl Renderflow {
    /// Starts it and waits until it is ready.
    pub(super) fn start(folder: &Path, place: Place, runtime: Handle) -> Result<Self, LabError> {
        let program = programs::renderflow().ok_or(LabError::PartAbsent(
            "renderflow: there is none beside pgmedic or on PATH, and PGMEDIC_RENDERFLOW names none",
        ))?;
        if let Place::Named { nameserver, .. } = &place
            && !(is_root() && nameserver.port() == 53)
        {
            return Err(LabError::NeedsRoot(
                "a program's nameserver is asked on port 53, which only root may have",
            ));
        }
        let renderflow = Self {
            program,
            folder: folder.to_owned(),
            address: (Ipv4Addr::LOCALHOST, ports::free()?).into(),
            log: folder.join("api.log"),
            server: Mutex::default(),
            configured: Mutex::new(place.clone()),
            runtime,
        };
        renderflow.launch(&place)?;
        wait::until("renderflow that is ready", UP_WITHIN, || {
            renderflow.expect_alive()?;
            Ok(renderflow.is_ready())
        })?;
        Ok(renderflow)
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    pub(super) fn stop(&self) {
        drop(locked(&self.server).take());
    }

    /// Ends it, and starts it with the settings as they are.
    pub(super) fn start_anew(&self) -> Result<(), LabError> {
        let place = locked(&self.configured).clone();
        self.launch(&place)
    }

    pub(super) fn redeploy(&self, place: Place) -> Result<(), LabError> {
        *locked(&self.configured) = place;
        self.start_anew()
    }

    pub(super) fn lose_pool(&self) -> Result<(), LabError> {
        self.launch(&Place::Uninitialised)
    }

    /// Has it let go of what idles in its pool, and waits for that.
    pub(super) fn renew(&self) {
        let told = locked(&self.server).as_ref().map(|server| server.signal(Signal::HUP));
        if told.is_some_and(|told| told.is_ok()) {
            // What is in use stays until it comes back.
            let _busy = wait::until_true("a pool without connections", RENEWED_WITHIN, || {
                self.gauge("pg_pool_size").is_ok_and(|size| size == 0)
            });
        }
    }

    pub(super) fn is_ready(&self) -> Result<(), String> {
        let Answer { status, body } = self.get("/api/v1/ready")?;
        if status == 200 { Ok(()) } else { Err(format!("{status} {body}")) }
    }

    /// Starts it in place of what runs, and waits until it listens.
    fn launch(&self, place: &Place) -> Result<(), LabError> {
        self.stop();
        let (host, port) = match place {
            Place::At(at) => (at.ip().to_string(), at.port()),
            Place::Named { port, .. } => (dns::NAME.to_owned(), *port),
            // A port that nobody listens on.
            Place::Uninitialised => (Ipv4Addr::LOCALHOST.to_string(), ports::free()?),
        };
        let url =
            format!("postgres://{ROLE}:{PASSWORD}@{host}:{port}/{DATABASE}?application_name=renderflow-api");
        let environment = [
            ("DATABASE_URL", url),
            ("HOST", self.address.ip().to_string()),
            ("PORT", self.address.port().to_string()),
            ("RENDERFLOW_DRILL", "1".to_owned()),
        ];
        let launch = Launch {
            name: "renderflow",
            program: self.program.clone(),
            arguments: Vec::new(),
            folder: &self.folder,
            log: &self.log,
            // Whoever built it may have done so where the servers' account cannot look.
            account: None,
            end: Signal::KILL,
        };
        *locked(&self.server) = Some(launch.start_in(&self.wrapper(place)?, &environment)?);
        wait::until("renderflow that listens", UP_WITHIN, || {
            self.expect_alive()?;
            Ok(self.get("/api/v1/health"))
        })?;
        Ok(())
    }

    /// What starts it where it asks the lab's nameserver.
    fn wrapper(&self, place: &Place) -> Result<Vec<OsString>, LabError> {
        let Place::Named { nameserver, .. } = place else { return Ok(Vec::new()) };
        let file = self.folder.join("resolv.conf");
        let text = format!("nameserver {}\noptions timeout:1 attempts:1\n", nameserver.ip());
        std::fs::write(&file, text).tried(|| file.display().to_string())?;
        let unshare = programs::find("unshare")?;
        let shell = ["--mount", "--propagation", "private", "--", "/bin/sh", "-c", WITH_RESOLV_CONF, "sh"];
        let words = shell.iter().map(OsString::from);
        Ok([unshare.into()].into_iter().chain(words).chain([file.into()]).collect())
    }

    fn expect_alive(&self) -> Result<(), LabError> {
        match locked(&self.server).as_mut() {
            Some(server) => server.expect_alive(),
            None => Err(LabError::PartAbsent("a running renderflow")),
        }
    }

    fn get(&self, path: &str) -> Result<Answer, String> {
        self.runtime.block_on(ask_within(ANSWER_WITHIN, self.address, path))
    }

    /// A gauge of its metrics, as a whole number.
    fn gauge(&self, name: &str) -> Result<u64, String> {
        let page = self.get("/metrics")?.body;
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).ok_or_else(|| format!("no {name}"))
    }

    /// One request for each connection of the pool, not waited for.
    fn begin(&self, path: &'static str, body: &'static str) -> Requests {
        let at = self.address;
        let one = |_| self.runtime.spawn(async move { drop(ask(at, "POST", path, body).await) });
        Requests((0..POOL_MAX).map(one).collect())
    }

    pub(super) fn leak(&self) -> Result<Requests, LabError> {
        let held = self.begin("/api/v1/drill/hold", "");
        self.wait_gauge("pg_pool_in_use", POOL_MAX as u64)?;
        Ok(held)
    }

    pub(super) fn insert(&self) -> Requests {
        self.begin("/api/v1/jobs", r#"{"scene":"harbour","frames":240}"#)
    }

    pub(super) fn keep_asking(&self, requests: usize) -> Result<Requests, LabError> {
        let at = self.address;
        let one = |_| {
            self.runtime.spawn(async move {
                // Refused, it asks again, and not at once: its API may be gone for a moment.
                while ask(at, "GET", "/api/v1/jobs?limit=1", "").await.is_ok_and(|answer| answer.status > 0)
                    || pause().await
                {}
            })
        };
        let asking = Requests((0..requests).map(one).collect());
        self.wait_gauge("pg_pool_waiting", requests as u64)?;
        Ok(asking)
    }

    fn wait_gauge(&self, name: &str, least: u64) -> Result<(), LabError> {
        wait::until(&format!("{name} of {least}"), UP_WITHIN, || {
            Ok(self.gauge(name).and_then(|n| if n >= least { Ok(()) } else { Err(n.to_string()) }))
        })
    }
}

async fn pause() -> bool {
    tokio::time::sleep(Duration::from_millis(20)).await;
    true
}

/// Requests under way. Dropped, their clients are gone.
#[derive(Debug)]
pub(super) struct Requests(Vec<JoinHandle<()>>);

impl Drop for Requests {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}
