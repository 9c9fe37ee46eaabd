//! Connections of this host on which data is sent and not acknowledged, again and again: their other end is gone, or
//! the way to it. From the same tables as the listeners (`listeners`). Not in here: what follows from them.

use super::evidence::{FlowEnd, FlowView};
use super::listeners::{Holders, Sockets, Unheard};
use super::procfs::Process;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Instant;

/// Most flows that are told.
const MOST: usize = 32;

/// Which flows are the service's.
pub(super) struct Sought<'a> {
    /// Ports at which the service's proxy and server listen on this host.
    pub(super) ports: HashSet<u16>,
    /// Where the service's clients on this host connect to: the target's addresses, and the servers behind a proxy.
    pub(super) targets: HashSet<SocketAddr>,
    /// This side of the walk's own connections.
    pub(super) own: &'a [SocketAddr],
}

/// The service's unheard flows, the walk's own left out, with the processes that hold them.
pub(super) fn unheard(
    sockets: &Sockets,
    sought: &Sought<'_>,
    processes: &[Process],
    until: Instant,
) -> Vec<FlowView> {
    let end = |row: &Unheard| {
        if sought.own.contains(&row.local) || sought.own.contains(&row.remote) {
            None
        } else if sought.targets.contains(&row.remote) {
            Some(FlowEnd::Client)
        } else {
            sought.ports.contains(&row.local.port()).then_some(FlowEnd::Server)
        }
    };
    let found: Vec<(&Unheard, FlowEnd)> =
        sockets.unheard.iter().filter_map(|row| Some((row, end(row)?))).take(MOST).collect();
    let wanted: HashSet<u64> = found.iter().map(|(row, _)| row.inode).filter(|inode| *inode != 0).collect();
    let holders =
        if wanted.is_empty() { Holders::default() } else { Holders::find(&wanted, processes, until) };
    let view = |(row, end): (&Unheard, FlowEnd)| {
        let holder = holders.last(row.inode);
        FlowView {
            end,
            local: row.local.to_string(),
            remote: row.remote.to_string(),
            unacknowledged_bytes: row.unacknowledged,
            tries: row.tries,
            window_shut: row.window_shut,
            pid: holder.map(|process| process.pid),
            program: holder.map(|process| process.program.clone()),
        }
    };
    found.into_iter().map(view).collect()
}
