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
