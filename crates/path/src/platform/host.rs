//! The window on this host: may it be looked through, what is asked, and the look itself within its deadline.
//!
//! Two speeds. Where the way in was admitted the server tells of itself, and only the volumes are looked at. Where it
//! was not, the host is looked at from the listener to the log (`closed_door`). Not in here: what the evidence means.

use super::closed_door;
use super::evidence::HostEvidence;
use super::place::Place;
use super::postmaster;
use super::procfs;
use super::titles;
use super::volumes::{self, Care};
use crate::clock;
use crate::service::{Service, Window};
use pgmedic_model::{Host, Timestamp};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// The most time that an admitted walk spends on what holds a tight volume.
const BREAKDOWN_WHEN_ADMITTED: Duration = Duration::from_millis(30);

/// An address on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// An address of this host, and the port.
    Tcp(SocketAddr),
    /// A unix socket's path; an abstract one begins with `@`.
    Unix(PathBuf),
}

impl Endpoint {
    /// The port, or the number at the end of a unix socket's name.
    pub(super) fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(address) => Some(address.port()),
            Self::Unix(path) => path.extension()?.to_str()?.parse().ok(),
        }
    }
}

/// What is to be looked at.
#[derive(Clone, Debug, Default)]
pub struct HostQuestion {
    /// Why this host may be looked at, as [`may_look`] gave it.
    pub why: String,
    /// Addresses of the front target that are this host's.
    pub front: Vec<Endpoint>,
    /// Addresses of the `direct` target that are this host's.
    pub direct: Vec<Endpoint>,
    /// Every address of the front target, this host's or not.
    pub targets: Vec<SocketAddr>,
    /// This side of the walk's own connections.
    pub own: Vec<SocketAddr>,
    /// `pg_backend_pid()` of an admitted connection. Believed only where /proc bears it out.
    pub admitted_backend_pid: Option<u32>,
    /// `data_directory` of the configuration: a path on this host.
    pub data_directory: Option<PathBuf>,
    /// `data_directory` as SQL told it: a path where the server runs, which may be elsewhere.
    pub told_data_directory: Option<PathBuf>,
    /// The server's log, by configuration.
    pub log: Option<PathBuf>,
    /// The proxy's log, by configuration.
    pub proxy_log: Option<PathBuf>,
    /// Since when the server's log has a line of its refusal of this walk, which its collector may be about to write.
    pub refused_since: Option<Timestamp>,
    /// True where the ways in were admitted, the server told of itself and the API does not say otherwise: then the look
    /// is cheap.
    pub healthy: bool,
    /// Only the listeners, the proxy and the postmaster are wanted.
    pub doors_alone: bool,
    /// True where a cheap look shall include the titles of the server's own processes.
    pub titles: bool,
}

/// Whether this host may be looked at for a service: why, or why not.
///
/// # Errors
/// The reason why not, with what would let pgmedic look.
pub fn may_look(service: &Service) -> Result<String, String> {
    match &service.window {
        Window::Host(_) => Ok("platform.kind = \"host\"".to_owned()),
        Window::Off => Err("the window on this host is switched off".to_owned()),
        Window::ByItself => match (&service.target.host, service.target.hostaddr) {
            (Host::Socket(_), _) => Ok("the target is a unix socket".to_owned()),
            (_, Some(ip)) => may_look_at(ip),
            (Host::Address(ip), None) => may_look_at(*ip),
            (Host::Name(name), None) if is_localhost(name) => {
                Ok("the target is a loopback address".to_owned())
            }
            (Host::Name(name), None) => Err(format!("{name} is not known to be this host; {HOW}")),
        },
    }
}

/// What lets pgmedic look where it may not by itself.
const HOW: &str = "platform.kind = \"host\" lets pgmedic look here";

/// Whether this host may be looked at because an address, given or resolved, is its own: why, or why not.
///
/// # Errors
/// The reason why not, with what would let pgmedic look.
pub fn may_look_at(ip: IpAddr) -> Result<String, String> {
    if ip.to_canonical().is_loopback() {
        Ok("the target is a loopback address".to_owned())
    } else if is_of_this_host(ip) {
        Ok(format!("{ip} is an address of this host"))
    } else {
        Err(format!("{ip} is not an address of this host; {HOW}"))
    }
}

/// True where an address is this host's own: a datagram socket can be bound to it. Nothing is sent.
#[must_use]
pub fn is_of_this_host(ip: IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast() && UdpSocket::bind((ip, 0)).is_ok()
}

/// RFC 6761, section 6.3: `localhost` and names below it are loopback.
fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// The evidence while it grows, and the step that is being taken.
#[derive(Default)]
pub(super) struct Page {
    evidence: Mutex<HostEvidence>,
    step: Mutex<&'static str>,
}

impl Page {
    /// Says what is looked at next.
    pub(super) fn step(&self, name: &'static str) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = name;
    }

    /// The evidence so far.
    pub(super) fn evidence(&self) -> MutexGuard<'_, HostEvidence> {
        self.evidence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what could not be looked at.
    pub(super) fn blind(&self, reasons: Vec<String>) {
        self.evidence().blind.extend(reasons);
    }
}

/// Looks at this host. Blocks, but never beyond `until`: what was seen by then is what is seen.
///
/// The look runs on a thread of its own, because a read below a hung filesystem or of a hung process cannot be
/// interrupted; such a thread is left behind.
#[must_use]
pub fn look(question: &HostQuestion, until: Instant) -> HostEvidence {
    let (at, begun) = (clock::now(), Instant::now());
    let page = Arc::new(Page::default());
    let (done, wait) = mpsc::channel::<()>();
    let thread = {
        let (question, page) = (question.clone(), Arc::clone(&page));
        std::thread::Builder::new().name("pgmedic-host".to_owned()).spawn(move || {
            look_around(&question, &page, until);
            drop(done);
        })
    };
    match thread {
        Ok(_) => {
            if wait.recv_timeout(until.saturating_duration_since(begun)) == Err(RecvTimeoutError::Timeout) {
                let step = *page.step.lock().unwrap_or_else(PoisonError::into_inner);
                page.blind(vec![format!("the look at this host was cut off at {step}")]);
            }
        }
        Err(error) => page.blind(vec![format!("this host gave no thread to look with: {error}")]),
    }
    let mut evidence = page.evidence().clone();
    evidence.at = at;
    evidence.why.clone_from(&question.why);
    evidence.elapsed_ms = begun.elapsed().into();
    evidence
}

/// The look itself.
fn look_around(question: &HostQuestion, page: &Page, until: Instant) {
    if question.healthy {
        look_at_volumes(question, page, until);
    } else {
        closed_door::look(question, page, until);
    }
}

/// What an admitted walk looks at: the volumes of the postmaster that admitted it, nothing more.
fn look_at_volumes(question: &HostQuestion, page: &Page, until: Instant) {
    page.step("the postmaster");
    let told = question.told_data_directory.as_deref();
    let found = match question.admitted_backend_pid {
        Some(pid) => postmaster::of_backend(pid, told),
        None => Err("the server's backend is not known".to_owned()),
    };
    let place = match (&found, &question.data_directory) {
        (Ok(found), _) if told.is_some() => told.map(|told| Place::of_process(found.process.pid, told)),
        (Ok(found), None) => found.place(),
        (_, Some(given)) => Some(Place::here(given)),
        (Err(_), None) => None,
    };
    if let (true, Ok(found)) = (question.titles, &found) {
        page.step("the titles");
        let words = procfs::children(found.process.pid).into_iter().filter_map(procfs::arguments);
        let words: Vec<String> = words.filter_map(|words| words.into_iter().next()).collect();
        page.evidence().auxiliaries = titles::read(words.iter().map(String::as_str)).auxiliaries;
    }
    let (by, reason) = match found {
        Ok(found) => (Some(found.by), "the data directory is not known".to_owned()),
        Err(reason) => (None, reason),
    };
    let Some(place) = place else { return page.blind(vec![reason]) };
    page.evidence().postmaster_by = by;
    page.evidence().data_directory = Some(place.data().display().to_string());
    page.step("the volumes");
    let mut blind = Vec::new();
    let care = Care { mounts: false, breakdown: BREAKDOWN_WHEN_ADMITTED };
    let seen = volumes::volumes(&place, None, care, until, &mut blind);
    page.evidence().volumes = seen;
    page.blind(blind);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_own_address_is_of_this_host() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(is_of_this_host(ip("127.0.0.1")) && may_look_at(ip("::ffff:127.0.0.1")).is_ok());
        // TEST-NET-1 (RFC 5737) is nobody's.
        assert!(may_look_at(ip("192.0.2.1")).is_err_and(|why| why.contains("platform.kind")));
        assert!(!is_of_this_host(ip("0.0.0.0")) && !is_of_this_host(ip("224.0.0.1")));
    }

    #[test]
    fn localhost_is_known_by_its_name() {
        assert!(is_localhost("LOCALHOST.") && is_localhost("db.localhost"));
        assert!(!is_localhost("localhost.example.org") && !is_localhost("notlocalhost"));
    }

    #[test]
    fn a_look_never_outlasts_its_deadline() {
        for healthy in [true, false] {
            let begun = Instant::now();
            let question = HostQuestion { healthy, why: "test".to_owned(), ..HostQuestion::default() };
            let seen = look(&question, begun);
            assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
            assert_eq!(seen.why, "test");
        }
    }
}
