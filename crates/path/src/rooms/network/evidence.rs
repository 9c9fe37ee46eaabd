//! What became of one TCP (or unix-socket) attempt to each address.

use pgmedic_model::{Errno, Ms, Timestamp};
use serde::{Deserialize, Serialize};

/// One attempt to each address, in the order of the addresses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkEvidence {
    /// Until an attempt had succeeded, or all had failed.
    pub elapsed_ms: Ms,
    /// The attempts.
    pub attempts: Vec<Attempt>,
    /// What the kernel tells of the connection that was walked on; asked only where the way was slow or fell silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// The address families that this host has; asked only where every attempt failed before a packet left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub families: Option<Families>,
}

/// Address families that lead beyond this host's loopback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Families {
    /// A route of IPv4.
    pub ipv4: bool,
    /// An IPv6 address of global scope.
    pub ipv6: bool,
}

/// The kernel's own account of one of the walk's connections (`struct tcp_info` of linux/tcp.h, by sock_diag(7)).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transport {
    /// When it was asked.
    pub at: Timestamp,
    /// The peer.
    pub peer: String,
    /// This side's address and port.
    pub local: String,
    /// Segments sent and not acknowledged.
    pub unacked: u32,
    /// How often in a row the oldest of them was sent again in vain.
    pub retransmits: u32,
    /// Segments sent again since the connection was made, its SYN included.
    pub retransmitted: u32,
    /// Segments that came while one before them was missing. None before Linux 5.5.
    pub out_of_order: Option<u32>,
    /// Bytes that came in order.
    pub bytes_received: u64,
    /// The largest segment that this side sends, in bytes.
    pub segment_bytes: u32,
    /// The smoothed round trip.
    pub round_trip_ms: Ms,
}

/// One attempt to one address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub elapsed_ms: Ms,
    /// `127.0.0.1:5432`, `[::1]:5432`, or the socket's path.
    pub address: String,
    /// How it ended.
    pub outcome: ConnectOutcome,
    /// The errno, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<Errno>,
}

/// How a connection attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectOutcome {
    /// Established.
    Connected,
    /// ECONNREFUSED: nothing listens there, or a firewall answers with a reset or port-unreachable.
    Refused,
    /// Neither yes nor no before the deadline (or ETIMEDOUT).
    Silent,
    /// ECONNRESET while connecting.
    Reset,
    /// EHOSTUNREACH: a router or firewall says no (ICMP), or the neighbour does not answer.
    Rejected,
    /// ENETUNREACH, or EINVAL of a blackhole route: this host has no way there.
    Unreachable,
    /// EPERM or EACCES: this host's own firewall, route or file mode forbids it.
    Forbidden,
    /// ENOENT: there is no such unix socket.
    NoSuchSocket,
    /// EADDRNOTAVAIL, EMFILE, ENFILE, EAFNOSUPPORT: this host cannot try.
    CannotTry,
    /// EAGAIN on a unix socket: the listener's queue is full.
    QueueFull,
    /// Any other errno; see it.
    Failed,
}
