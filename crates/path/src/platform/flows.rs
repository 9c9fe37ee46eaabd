//! Connections of this host on which data is sent and not acknowledged, again and again: their other end is gone, or
//! the way to it. From the same tables as the listeners (`listeners`). Not in here: what follows from them.

use super::evidence::{FlowEnd, FlowView, MuteView};
use super::listeners::{ESTABLISHED, Holders, Listener, Sockets, Unheard, parse_address};
use super::procfs::Process;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Most flows that are told.
const MOST: usize = 32;

/// Most mute connections that are told.
const MOST_MUTE: usize = 500;
/// From so many keepalive probes without an answer on, none was lost by chance.
const PROBES: u64 = 2;

/// A connection at rest whose other end answers no keepalive probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mute {
    local: SocketAddr,
    remote: SocketAddr,
    probes: u64,
}

/// Parses a row of /proc/net/tcp or tcp6 as such (proc_net_tcp.txt of the kernel: `tr` 2 is the keepalive timer; `timeout`
/// is `icsk_probes_out`, which each probe raises and any answer sets to 0: tcp_timer.c, `tcp_keepalive_timer`).
pub(super) fn parse_mute(line: &str) -> Option<Mute> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = parse_address(fields.next()?)?;
    let remote = parse_address(fields.next()?)?;
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let (_queues, timer) = (fields.next()?, fields.next()?);
    let (_retransmits, _uid, probes) = (fields.next()?, fields.next()?, fields.next()?.parse().ok()?);
    let stands = state == ESTABLISHED && timer.starts_with("02:") && probes >= PROBES;
    stands.then_some(Mute { local, remote, probes })
}

/// The service's mute connections, by the ports at which its proxy and server listen on this host.
pub(super) fn mute(sockets: &Sockets, sought: &Sought<'_>) -> Vec<MuteView> {
    let ours = sockets.mute.iter().filter(|row| sought.ports.contains(&row.local.port()));
    let view = |row: &Mute| MuteView {
        local: row.local.to_string(),
        remote: row.remote.to_string(),
        probes: row.probes,
    };
    ours.take(MOST_MUTE).map(view).collect()
}

/// Most addresses of clients that are told.
const MOST_PEERS: usize = 10;

impl Sockets {
    /// The addresses that the connections accepted from a listener come from, with how many; the most first.
    pub(super) fn peers(&self, listener: &Listener) -> Vec<(String, u64)> {
        let mut counts: HashMap<IpAddr, u64> = HashMap::new();
        for row in self.established.iter().filter(|row| Some(row.local.port()) == listener.port) {
            *counts.entry(row.remote.ip()).or_default() += 1;
        }
        let mut peers: Vec<(String, u64)> = counts.into_iter().map(|(ip, n)| (ip.to_string(), n)).collect();
        peers.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        peers.truncate(MOST_PEERS);
        peers
    }
}

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
            // What a backend that has ended leaves in the kernel's queue is nobody's session.
            (row.inode != 0 && sought.ports.contains(&row.local.port())).then_some(FlowEnd::Server)
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
            orphan: row.inode == 0,
        }
    };
    found.into_iter().map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded on Linux 6.18: an idle session whose client's packets are dropped, after three keepalive probes; and the
    /// same while its client answers.
    #[cfg(target_endian = "little")]
    #[test]
    fn a_client_that_answers_no_probes_is_told_by_its_socket() {
        let row = |tail: &str| {
            format!("   4: 0100007F:CA9D 0900007F:D904 {tail} 25459 2 00000000daebc2da 20 4 30 10 -1")
        };
        let mute =
            parse_mute(&row("01 00000000:00000000 02:00000060 00000000   101        3")).expect("mute");
        assert_eq!((mute.remote.to_string().as_str(), mute.probes), ("127.0.0.9:55556", 3));
        for not in [
            "01 00000000:00000000 02:00000060 00000000   101        0",
            "01 00000000:00000000 02:00000060 00000000   101        1",
            "01 00000010:00000000 01:00000060 00000004   101        3",
            "08 00000000:00000000 02:00000060 00000000   101        3",
        ] {
            assert_eq!(parse_mute(&row(not)), None, "{not}");
        }
        assert_eq!(parse_mute("   7: cut"), None);
    }

    #[test]
    fn what_an_ended_backend_left_in_the_queue_is_no_session() {
        let row = |inode: u64, local: u16, remote: u16| Unheard {
            local: SocketAddr::from(([127, 0, 0, 1], local)),
            remote: SocketAddr::from(([127, 0, 0, 9], remote)),
            unacknowledged: 4096,
            tries: 4,
            window_shut: false,
            inode,
        };
        let target = SocketAddr::from(([127, 0, 0, 9], 5432));
        let sought = Sought { ports: HashSet::from([5432]), targets: HashSet::from([target]), own: &[] };
        let mut sockets = Sockets::default();
        sockets.unheard = vec![row(4711, 5432, 50_000), row(0, 5432, 50_001), row(0, 50_002, 5432)];
        let seen = unheard(&sockets, &sought, &[], Instant::now());
        let ends: Vec<_> = seen.iter().map(|flow| (flow.end, flow.remote.as_str())).collect();
        // A client's tells what its pool met, also when that has let go of it.
        assert_eq!(ends, [(FlowEnd::Server, "127.0.0.9:50000"), (FlowEnd::Client, "127.0.0.9:5432")]);
    }

    #[test]
    fn only_connections_at_the_services_ports_are_its_own() {
        let mute_at = |port: u16| Mute {
            local: SocketAddr::from(([127, 0, 0, 1], port)),
            remote: SocketAddr::from(([127, 0, 0, 9], 50_000)),
            probes: 2,
        };
        let mut sockets = Sockets::default();
        sockets.mute = vec![mute_at(5432), mute_at(6379)];
        let sought = Sought { ports: HashSet::from([5432]), targets: HashSet::new(), own: &[] };
        let seen = mute(&sockets, &sought);
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].remote.as_str(), seen[0].probes), ("127.0.0.9:50000", 2));
    }
}
