//! The thorough look, for when the way in was not admitted: listener, proxy, postmaster, backends, volumes, log.
//!
//! Each step adds to the page what it saw, so that a look that is cut off still tells the rest. Not in here: how each
//! thing is read, which its own module knows.

use super::host::{Endpoint, HostQuestion, Page};
use super::listeners::{Holders, Listener, Sockets};
use super::place::Place;
use super::postmaster::Postmaster;
use super::procfs::{self, Process};
use super::volumes::{self, Care};
use std::time::{Duration, Instant};

/// The most time spent on what holds a tight volume.
const BREAKDOWN: Duration = Duration::from_millis(300);

/// Looks at everything, in the order of the path.
pub(super) fn look(question: &HostQuestion, page: &Page, until: Instant) {
    let mut blind = Vec::new();
    page.step("the processes");
    let (processes, cut) = procfs::processes(until);
    if processes.is_empty() {
        return page.blind(vec!["this host has no /proc to look at".to_owned()]);
    }
    if cut {
        blind.push("not every process was looked at".to_owned());
    }
    page.step("the listeners");
    let blind_before = blind.len();
    let sockets = Sockets::read(&mut blind);
    let read = blind.len() == blind_before;
    page.evidence().front_listener_sought = read && !question.front.is_empty();
    page.evidence().direct_listener_sought = read && !question.direct.is_empty();
    let front = fullest(&sockets, &question.front);
    let direct = fullest(&sockets, &question.direct);
    let wanted = front.iter().chain(&direct).map(|listener| listener.inode).collect();
    let holders = Holders::find(&wanted, &processes, until);
    if holders.denied > 0 {
        blind.push(format!(
            "descriptors of {} processes: permission denied (root would see them)",
            holders.denied
        ));
    }
    page.blind(blind);
    let behind =
        |listener: &Option<Listener>| listener.as_ref().and_then(|l| holders.server(l.inode)).cloned();
    let (front_process, direct_process) = (behind(&front), behind(&direct));
    let view = |listener: &Option<Listener>, process: &Option<Process>| {
        listener.as_ref().map(|l| l.view(process.as_ref().map(|p| p.pid), None))
    };
    page.evidence().front_listener = view(&front, &front_process);
    page.evidence().direct_listener = view(&direct, &direct_process);
    let postmaster =
        [(&direct, direct_process), (&front, front_process)].into_iter().find_map(|(listener, process)| {
            let (listener, process) = (listener.as_ref()?, process.filter(Process::is_postgres)?);
            Some(Postmaster::new(process, format!("listens on {}", listener.address)))
        });
    let place = postmaster.as_ref().and_then(Postmaster::place);
    let place = place.or_else(|| question.data_directory.as_deref().map(Place::here));
    if let Some(found) = postmaster {
        page.evidence().postmaster = Some(procfs::view(&found.process, None));
        page.evidence().postmaster_by = Some(found.by);
    }
    if let Some(place) = place {
        page.step("the volumes");
        page.evidence().data_directory = Some(place.data().display().to_string());
        let mut blind = Vec::new();
        let care = Care { mounts: true, breakdown: BREAKDOWN };
        let seen = volumes::volumes(&place, None, care, until, &mut blind);
        page.evidence().volumes = seen;
        page.blind(blind);
    }
}

/// The listener of several addresses that has the most waiting.
fn fullest(sockets: &Sockets, endpoints: &[Endpoint]) -> Option<Listener> {
    endpoints.iter().filter_map(|endpoint| sockets.listener(endpoint)).max_by_key(|listener| listener.recv_q)
}
