//! Listening sockets of this host: how many connections wait unaccepted, and which process holds them.
//!
//! From /proc/net/tcp, tcp6 and unix (proc(5), proc_net_tcp.txt of the kernel's documentation). In a row of a listener
//! `rx_queue` is the accept queue (`sk_ack_backlog`), `ss -ltn`'s Recv-Q. A connection not yet accepted has inode 0.

use super::evidence::ListenerView;
use super::flows::{Mute, parse_mute};
use super::host::Endpoint;
use super::procfs::{self, Process};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Instant;

/// Most bytes read of one table: some 100,000 rows.
const TABLE_BYTES: u64 = 16 << 20;
/// TCP_ESTABLISHED of the kernel's tcp_states.h.
const SYN_SENT: u8 = 2;
pub(super) const ESTABLISHED: u8 = 0x01;
/// This side has closed; its data and its FIN are not acknowledged yet.
const FIN_WAIT1: u8 = 4;
/// From so many tries in a row on a connection tries in vain.
const IN_VAIN: u64 = 2;
/// TCP_LISTEN.
const LISTEN: u8 = 0x0A;
/// SO_ACCEPTCON in the flags of a row of /proc/net/unix: it listens.
const ACCEPTS: u32 = 0x1_0000;

/// One row of /proc/net/tcp or tcp6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TcpRow {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    state: u8,
    rx_queue: u64,
    pub(super) inode: u64,
}

/// A connection with data that its other end does not acknowledge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unheard {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// Bytes in its send queue.
    pub(super) unacknowledged: u64,
    /// How often in a row it has tried again in vain.
    pub(super) tries: u64,
    /// The other end's window is shut: what is tried are probes of it.
    pub(super) window_shut: bool,
    /// 0 where its process has given it up.
    pub(super) inode: u64,
}

/// One row of /proc/net/unix that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct UnixRow {
    path: String,
    flags: u32,
    inode: u64,
}

/// The sockets of this network namespace.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    listening: Vec<TcpRow>,
    /// Established.
    pub(super) established: Vec<TcpRow>,
    /// Under way: the SYN is sent and nothing has come back.
    connecting: Vec<TcpRow>,
    /// Established or half closed, with data that is not acknowledged.
    pub(super) unheard: Vec<Unheard>,
    /// Established, at rest, and no answer to keepalive probes.
    pub(super) mute: Vec<Mute>,
    unix: Vec<UnixRow>,
    /// The tables were read: what is not in them does not listen.
    pub(super) whole: bool,
}

/// A listener found for an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    /// Its address as it is bound, or the socket's path.
    pub(super) address: String,
    /// Its port. None for a unix socket.
    pub(super) port: Option<u16>,
    pub(super) recv_q: u64,
    pub(super) inode: u64,
}

impl Listener {
    fn of(row: &TcpRow) -> Self {
        Self {
            address: row.local.to_string(),
            port: Some(row.local.port()),
            recv_q: row.rx_queue,
            inode: row.inode,
        }
    }

    /// As evidence shows it.
    pub(super) fn view(&self, process: Option<&Process>, backlog: Option<u64>) -> ListenerView {
        ListenerView {
            address: self.address.clone(),
            recv_q: self.recv_q,
            backlog,
            pid: process.map(|p| p.pid),
            program: process.map(|p| p.program.clone()),
        }
    }
}

/// Parses `0100007F:1538` or 32 hexadecimal digits and a port. The kernel prints words in the host's byte order.
pub(super) fn parse_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (group, chunk) in octets.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(group * 8)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip.to_canonical(), u16::from_str_radix(port, 16).ok()?))
}

/// Parses a row of /proc/net/tcp or tcp6.
fn parse_tcp(line: &str) -> Option<TcpRow> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = parse_address(fields.next()?)?;
    let remote = parse_address(fields.next()?)?;
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let (_, rx) = fields.next()?.split_once(':')?;
    let rx_queue = u64::from_str_radix(rx, 16).ok()?;
    let inode = fields.nth(4)?.parse().ok()?;
    Some(TcpRow { local, remote, state, rx_queue, inode })
}

/// Parses a row of /proc/net/tcp or tcp6 as a connection that tries in vain (proc_net_tcp.txt of the kernel: `tr` 1 is
/// the retransmission timer, `retrnsmt` its count; 4 is the probe of a shut window, `timeout` its count).
fn parse_unheard(line: &str) -> Option<Unheard> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = parse_address(fields.next()?)?;
    let remote = parse_address(fields.next()?)?;
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let unacknowledged = u64::from_str_radix(fields.next()?.split_once(':')?.0, 16).ok()?;
    let timer = u8::from_str_radix(fields.next()?.split_once(':')?.0, 16).ok()?;
    let retransmits = u64::from_str_radix(fields.next()?, 16).ok()?;
    let (_uid, probes) = (fields.next()?, fields.next()?.parse().ok()?);
    let inode = fields.next()?.parse().ok()?;
    let (tries, window_shut) = match timer {
        1 => (retransmits, false),
        4 => (probes, true),
        _ => return None,
    };
    let stands = matches!(state, ESTABLISHED | FIN_WAIT1) && unacknowledged > 0 && tries >= IN_VAIN;
    stands.then_some(Unheard { local, remote, unacknowledged, tries, window_shut, inode })
}

/// Parses a row of /proc/net/unix: `Num RefCount Protocol Flags Type St Inode Path`. Rows without a path give None.
fn parse_unix(line: &str) -> Option<UnixRow> {
    let mut rest = line;
    let mut next = || {
        let (field, tail) = rest.trim_start().split_once(' ')?;
        rest = tail;
        Some(field)
    };
    let (_number, _references, _protocol, flags) = (next()?, next()?, next()?, next()?);
    let (_kind, _state, inode) = (next()?, next()?, next()?);
    let flags = u32::from_str_radix(flags, 16).ok()?;
    Some(UnixRow { path: rest.trim_start().to_owned(), flags, inode: inode.parse().ok()? })
}

impl Sockets {
    /// Reads the tables. What could not be read is added to `blind`.
    pub(super) fn read(blind: &mut Vec<String>) -> Self {
        let mut table = |path: &str| {
            procfs::read_text(Path::new(path), TABLE_BYTES).unwrap_or_else(|error| {
                // A kernel without IPv6 has no tcp6.
                if error.kind() != std::io::ErrorKind::NotFound || !path.ends_with('6') {
                    blind.push(format!("{path}: {error}"));
                }
                String::new()
            })
        };
        let tcp = [table("/proc/net/tcp"), table("/proc/net/tcp6")];
        let sockets = Self::parse(&tcp, &table("/proc/net/unix"));
        Self { whole: tcp.iter().all(|t| (t.len() as u64) < TABLE_BYTES) && !tcp[0].is_empty(), ..sockets }
    }

    pub(super) fn parse(tcp: &[String], unix: &str) -> Self {
        let rows = || tcp.iter().flat_map(|table| table.lines().skip(1)).filter_map(parse_tcp);
        let listening: Vec<TcpRow> = rows().filter(|row| row.state == LISTEN).collect();
        let established = rows().filter(|row| row.state == ESTABLISHED).collect();
        Self {
            listening,
            established,
            connecting: rows().filter(|row| row.state == SYN_SENT).collect(),
            unheard: tcp.iter().flat_map(|t| t.lines().skip(1)).filter_map(parse_unheard).collect(),
            mute: tcp.iter().flat_map(|t| t.lines().skip(1)).filter_map(parse_mute).collect(),
            unix: unix.lines().skip(1).filter_map(parse_unix).collect(),
            whole: true,
        }
    }

    /// The listener that a connection to `endpoint` reaches. Of several on one port (SO_REUSEPORT) the fullest.
    pub(super) fn listener(&self, endpoint: &Endpoint) -> Option<Listener> {
        match endpoint {
            Endpoint::Tcp(address) => self.tcp_listener(*address),
            Endpoint::Unix(path) => self.unix_listener(path),
        }
    }

    /// Listeners on the port of `endpoint` that a connection to it does not reach: bound to another address.
    pub(super) fn elsewhere(&self, endpoint: &Endpoint) -> Vec<Listener> {
        let Endpoint::Tcp(address) = endpoint else { return Vec::new() };
        if self.tcp_listener(*address).is_some() {
            return Vec::new();
        }
        let others = self.listening.iter().filter(|row| row.local.port() == address.port());
        others.map(Listener::of).collect()
    }

    fn tcp_listener(&self, address: SocketAddr) -> Option<Listener> {
        let wanted = address.ip().to_canonical();
        let rank = |row: &TcpRow| match row.local.ip() {
            ip if ip == wanted => Some(0),
            IpAddr::V4(ip) if ip.is_unspecified() && wanted.is_ipv4() => Some(1),
            // A wildcard IPv6 listener takes IPv4 too, unless IPV6_V6ONLY is set, which the table does not tell.
            IpAddr::V6(ip) if ip.is_unspecified() => Some(2),
            _ => None,
        };
        self.listening
            .iter()
            .filter(|row| row.local.port() == address.port())
            .filter_map(|row| Some((rank(row)?, std::cmp::Reverse(row.rx_queue), row)))
            .min_by_key(|(rank, fullest, _)| (*rank, *fullest))
            .map(|(_, _, row)| Listener::of(row))
    }

    fn unix_listener(&self, path: &Path) -> Option<Listener> {
        let same = |row: &&UnixRow| is_same_socket(&row.path, path);
        let row = self.unix.iter().find(|row| row.flags & ACCEPTS != 0 && same(row))?;
        // Accepted ends and ends in the queue carry the listener's name; those in the queue have no inode yet.
        let waiting = self.unix.iter().filter(|r| r.path == row.path && r.inode == 0).count();
        Some(Listener { address: row.path.clone(), port: None, recv_q: waiting as u64, inode: row.inode })
    }

    /// Where those of `held` lead that were not accepted from a listener but made: distinct addresses.
    pub(super) fn made(&self, held: &HashSet<u64>) -> Vec<SocketAddr> {
        let ports: HashSet<u16> = self.listening.iter().map(|row| row.local.port()).collect();
        let made = |row: &&TcpRow| held.contains(&row.inode) && !ports.contains(&row.local.port());
        distinct(self.established.iter().filter(made))
    }

    /// Where those of `held` are on their way to, without an answer yet.
    pub(super) fn attempted(&self, held: &HashSet<u64>) -> Vec<SocketAddr> {
        distinct(self.connecting.iter().filter(|row| held.contains(&row.inode)))
    }

    /// Connections that were accepted from a listener.
    pub(super) fn accepted(&self, listener: &Listener) -> u64 {
        let count = match listener.port {
            Some(port) => self.established.iter().filter(|r| r.local.port() == port && r.inode != 0).count(),
            None => {
                let ends = self.unix.iter().filter(|r| r.path == listener.address && r.flags & ACCEPTS == 0);
                ends.filter(|r| r.inode != 0).count()
            }
        };
        count as u64
    }
}

/// The remote ends, each once.
fn distinct<'a>(rows: impl Iterator<Item = &'a TcpRow>) -> Vec<SocketAddr> {
    let mut remotes: Vec<SocketAddr> = rows.map(|row| row.remote).collect();
    remotes.sort_unstable();
    remotes.dedup();
    remotes
}

/// True where a socket's name in the table is that path: `/var/run/x` and `/run/x` are one. Abstract ones begin with `@`.
fn is_same_socket(name: &str, path: &Path) -> bool {
    let named = Path::new(name);
    if named == path || name.starts_with('@') || named.file_name() != path.file_name() {
        return named == path;
    }
    let folder = |p: &Path| p.parent().and_then(|folder| folder.canonicalize().ok());
    folder(named).is_some_and(|a| folder(path) == Some(a))
}

/// Which processes hold which of the wanted sockets.
#[derive(Debug, Default)]
pub(super) struct Holders {
    by_inode: HashMap<u64, Vec<Process>>,
    /// Processes whose descriptors may not be read.
    pub(super) denied: usize,
    /// The time ran out before every process was looked at.
    pub(super) cut: bool,
}

impl Holders {
    /// Looks for the holders of `wanted` sockets: those of proxies and servers first, and no further than needed.
    pub(super) fn find(wanted: &HashSet<u64>, processes: &[Process], until: Instant) -> Self {
        let mut holders = Self::default();
        let postgres: HashSet<u32> = processes.iter().filter(|p| p.is_postgres()).map(|p| p.pid).collect();
        // Children of a postmaster close its listeners at once (ClosePostmasterPorts), so they are asked last.
        let rank = |p: &Process| match p.program.as_str() {
            _ if p.is_postgres() => u8::from(postgres.contains(&p.parent)) * 3,
            "haproxy" | "pgbouncer" => 1,
            _ => 2,
        };
        let mut order: Vec<&Process> = processes.iter().collect();
        order.sort_by_key(|p| rank(p));
        for process in order {
            // Others of the same program are still asked: a master and its worker hold the same listener.
            let missing = wanted.iter().any(|inode| !holders.by_inode.contains_key(inode));
            if !missing && !holders.holds_any(&process.program) {
                continue;
            }
            if Instant::now() >= until {
                holders.cut = true;
                break;
            }
            holders.ask(process, wanted, until);
        }
        holders
    }

    fn holds_any(&self, program: &str) -> bool {
        program != "postgres" && self.by_inode.values().flatten().any(|p| p.program == program)
    }

    fn ask(&mut self, process: &Process, wanted: &HashSet<u64>, until: Instant) {
        match procfs::socket_inodes(process.pid, until) {
            Ok(held) => {
                for inode in held.intersection(wanted) {
                    self.by_inode.entry(*inode).or_default().push(process.clone());
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => self.denied += 1,
            Err(_) => {}
        }
    }

    /// A process that holds a socket: of a postmaster and its children the child.
    pub(super) fn last(&self, inode: u64) -> Option<&Process> {
        self.by_inode.get(&inode)?.last()
    }

    /// The process that serves a listener: of a postmaster and its children the postmaster, of a master and its workers
    /// (HAProxy -W) a worker.
    pub(super) fn server(&self, inode: u64) -> Option<&Process> {
        let all = self.by_inode.get(&inode)?;
        let has_parent_here = |p: &&Process| all.iter().any(|other| other.pid == p.parent);
        let postmaster = all.iter().find(|p| p.is_postgres() && !has_parent_here(p));
        let worker = || all.iter().find(|p| has_parent_here(p));
        postmaster.or_else(worker).or_else(|| all.first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Recorded on Linux 6.18: a listener with two connections in its queue and one accepted.
    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   1: 0100007F:CA9D 00000000:0000 0A 00000000:00000002 00:00000000 00000000     0        0 25708 3 00000000dbe2a7c8 100 0 0 10 0
   2: 0100007F:CA9D 0100007F:D904 01 00000000:00000000 00:00000000 00000000     0        0 25459 1 00000000daebc2da 20 0 0 10 -1
   3: 0100007F:CA9D 0100007F:D90E 01 00000000:00000000 00:00000000 00000000     0        0 0 1 00000000035211c6 20 0 0 10 -1
   5: 0100007F:D904 0100007F:CA9D 01 00000000:00000000 00:00000000 00000000     0        0 25456 2 00000000636818bd 20 0 0 10 -1
   6: 00000000:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 300 1 00000000636818bd 100 0 0 10 0
   7: cut";
    const TCP6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:1539 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 400 1 0000000000000000 100 0 0 10 0
   1: 00000000000000000000000001000000:1538 00000000000000000000000000000000:0000 0A 00000000:00000007 00:00000000 00000000   101        0 401 1 0000000000000000 100 0 0 10 0
   2: 0000000000000000FFFF00000100007F:CA9D 0000000000000000FFFF00000100007F:D999 01 00000000:00000000 00:00000000 00000000   101        0 402 1 0000000000000000 20 0 0 10 -1";
    const UNIX: &str = "Num       RefCount Protocol Flags    Type St Inode Path
00000000dd21d18b: 00000003 00000000 00000000 0001 03  1058
00000000cbf5dc35: 00000003 00000000 00000000 0001 03 25466 /tmp/a folder/.s.PGSQL.5432
000000007ff9e7d8: 00000003 00000000 00000000 0001 02     0 /tmp/a folder/.s.PGSQL.5432
000000006813edc6: 00000002 00000000 00010000 0001 01 25462 /tmp/a folder/.s.PGSQL.5432
000000006813edc7: 00000002 00000000 00010000 0001 01 25463 @abstract/.s.PGSQL.5432";

    fn recorded() -> Sockets {
        Sockets::parse(&[TCP.to_owned(), TCP6.to_owned()], UNIX)
    }

    fn tcp(address: &str) -> Endpoint {
        Endpoint::Tcp(address.parse().expect("an address"))
    }

    // Recorded on a little-endian machine; the tables are in the host's own byte order.
    #[cfg(target_endian = "little")]
    #[test]
    fn a_listener_is_found_by_its_own_the_wildcard_and_the_mapped_address() {
        let sockets = recorded();
        for (address, bound, recv_q, inode) in [
            ("127.0.0.1:51869", "127.0.0.1:51869", 2, 25_708),
            ("[::ffff:127.0.0.1]:51869", "127.0.0.1:51869", 2, 25_708),
            ("10.1.2.3:5432", "0.0.0.0:5432", 0, 300),
            ("[::1]:5432", "[::1]:5432", 7, 401),
            ("127.0.0.1:5433", "[::]:5433", 0, 400),
        ] {
            let found = sockets.listener(&tcp(address)).expect(address);
            assert_eq!((found.address.as_str(), found.recv_q, found.inode), (bound, recv_q, inode));
        }
        assert_eq!(sockets.listener(&tcp("127.0.0.1:9")), None);
        assert_eq!(sockets.listener(&tcp("10.1.2.3:51869")), None);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_listener_on_another_address_is_elsewhere() {
        let sockets = recorded();
        let found = sockets.elsewhere(&tcp("10.1.2.3:51869"));
        assert_eq!(found.iter().map(|l| l.address.as_str()).collect::<Vec<_>>(), ["127.0.0.1:51869"]);
        assert!(sockets.elsewhere(&tcp("127.0.0.1:51869")).is_empty(), "it is here");
        assert!(sockets.elsewhere(&tcp("127.0.0.1:9")).is_empty());
    }

    /// Recorded on Linux 6.18: a server whose client is cut off mid-answer, and one whose client does not read.
    #[cfg(target_endian = "little")]
    #[test]
    fn a_connection_that_tries_in_vain_is_told_by_its_timer() {
        let row = |timer: &str, counts: &str| {
            parse_unheard(&format!(
                "  7: 0100007F:1538 0900007F:A1B2 01 0001F4A0:00000000 {timer} {counts} 4711 2 0 0"
            ))
        };
        let cut = row("01:00000040", "00000004 101 0").expect("unheard");
        assert_eq!((cut.unacknowledged, cut.tries, cut.window_shut, cut.inode), (128_160, 4, false, 4711));
        assert_eq!(cut.remote.to_string(), "127.0.0.9:41394");
        let shut = row("04:00000040", "00000000 101 3").expect("unheard");
        assert_eq!((shut.tries, shut.window_shut), (3, true));
        assert_eq!(row("01:00000040", "00000001 101 0"), None, "once is chance");
        assert_eq!(row("04:00000040", "00000000 101 0"), None, "a slow reader answers the probes");
        assert_eq!(row("02:00000040", "00000000 101 9"), None, "a keepalive");
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn connections_in_the_queue_are_not_accepted_ones() {
        let sockets = recorded();
        let listener = sockets.listener(&tcp("127.0.0.1:51869")).expect("the listener");
        assert_eq!(sockets.accepted(&listener), 2, "one by IPv4, one by a mapped address");
    }

    #[test]
    fn a_unix_listener_counts_those_that_wait_by_their_missing_inode() {
        let sockets = recorded();
        let listener =
            sockets.listener(&Endpoint::Unix("/tmp/a folder/.s.PGSQL.5432".into())).expect("found");
        assert_eq!((listener.recv_q, listener.inode, sockets.accepted(&listener)), (1, 25_462, 1));
        let listener = sockets.listener(&Endpoint::Unix("@abstract/.s.PGSQL.5432".into())).expect("found");
        assert_eq!(listener.inode, 25_463);
        assert_eq!(sockets.listener(&Endpoint::Unix("/tmp/.s.PGSQL.5432".into())), None);
    }

    #[test]
    fn this_process_holds_its_listener_and_its_queue_is_seen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let clients: Vec<_> =
            (0..3).map(|_| std::net::TcpStream::connect(address).expect("connected")).collect();
        let (_first, _) = listener.accept().expect("accepted");
        let until = Instant::now() + Duration::from_secs(10);
        let mut blind = Vec::new();
        let sockets = Sockets::read(&mut blind);
        let found = sockets.listener(&Endpoint::Tcp(address)).expect("the listener");
        assert_eq!((found.recv_q, sockets.accepted(&found)), (2, 1), "{blind:?}");
        let holders = Holders::find(&HashSet::from([found.inode]), &procfs::processes(until).0, until);
        assert_eq!(holders.server(found.inode).map(|p| p.pid), Some(std::process::id()));
        drop(clients);
    }

    #[test]
    fn of_a_master_and_its_workers_a_worker_serves_and_of_postgres_the_postmaster() {
        let process = |pid, parent, program: &str| Process {
            pid,
            parent,
            state: 'S',
            program: program.to_owned(),
            start_ticks: 0,
        };
        let mut holders = Holders::default();
        holders.by_inode.insert(1, vec![process(10, 1, "haproxy"), process(11, 10, "haproxy")]);
        holders.by_inode.insert(2, vec![process(21, 20, "postgres"), process(20, 1, "postgres")]);
        assert_eq!(holders.server(1).map(|p| p.pid), Some(11));
        assert_eq!(holders.server(2).map(|p| p.pid), Some(20));
        assert_eq!(holders.server(3), None);
    }
}
