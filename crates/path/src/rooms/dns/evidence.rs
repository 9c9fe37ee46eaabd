//! What the resolvers said of a name.

use pgmedic_model::{Errno, Ms, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// Everything seen of one name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DnsEvidence {
    /// When the lookup began.
    pub at: Timestamp,
    /// Until an address was there to go on with, or the lookup had failed.
    pub elapsed_ms: Ms,
    /// The name, or why none is needed.
    pub subject: Subject,
    /// The system's resolver, as the API sees it. None where no lookup is needed.
    pub system: Option<SystemLookup>,
    /// Who was believed while the system's resolver still waited for another nameserver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<StandIn>,
    /// Each nameserver asked by itself.
    pub nameservers: Vec<NameserverEvidence>,
    /// Why no nameserver was asked by itself, where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nameservers_skipped: Option<String>,
}

impl DnsEvidence {
    /// The addresses to go on with, in the order that the system gave.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        match (&self.subject, &self.system) {
            (Subject::Address(ip), _) => vec![*ip],
            (_, Some(SystemLookup { outcome: SystemOutcome::Resolved(addresses), .. })) => addresses.clone(),
            _ => self.stand_in.as_ref().map_or_else(Vec::new, |other| other.addresses.clone()),
        }
    }
}

/// A nameserver of the system's own list that had answered while the system's resolver was silent: glibc waits 5 s for
/// one before it asks the next, so the name does resolve, late (resolv.conf(5), `timeout`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandIn {
    /// Which.
    pub server: SocketAddr,
    /// What it answered, as the system would order it.
    pub addresses: Vec<IpAddr>,
}

/// What was to be looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// A name.
    Name(String),
    /// A literal address: no lookup.
    Address(IpAddr),
    /// A unix socket: no lookup.
    Socket(String),
}

/// getaddrinfo(3), once for both families.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SystemLookup {
    /// How long it took.
    pub elapsed_ms: Ms,
    /// How it ended.
    pub outcome: SystemOutcome,
}

/// How getaddrinfo(3) ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SystemOutcome {
    /// Addresses, in the order that the system prefers.
    Resolved(Vec<IpAddr>),
    /// An EAI code by name (`EAI_NONAME`, `EAI_AGAIN`, …) and its text.
    Failed {
        /// The code's name.
        code: String,
        /// gai_strerror(3).
        text: String,
    },
    /// No answer before the deadline.
    Silent,
}

/// One nameserver, asked by itself over UDP (TCP where truncated), each family apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NameserverEvidence {
    /// Which.
    pub server: SocketAddr,
    /// Where it is configured: `/etc/resolv.conf`, `pgmedic.toml`.
    pub configured_in: String,
    /// The name asked for, fully qualified.
    pub asked: String,
    /// IPv4.
    pub a: Answer,
    /// IPv6.
    pub aaaa: Answer,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// How long it took.
    pub elapsed_ms: Ms,
    /// What it was.
    pub outcome: AnswerOutcome,
    /// The question was sent a second time, the first having been answered by nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resent: bool,
}

/// What a nameserver answered (RFC 1035 section 4.1.1, RFC 2308 for NODATA).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerOutcome {
    /// Addresses, and the least TTL in seconds.
    Addresses {
        /// The addresses.
        addresses: Vec<IpAddr>,
        /// Least TTL among them, in seconds.
        ttl_s: u32,
    },
    /// The name does not exist.
    NxDomain,
    /// The name exists, without an address of this family.
    NoData,
    /// The server failed.
    ServFail,
    /// The server refuses to answer.
    Refused,
    /// Another response code.
    OtherCode(u16),
    /// No answer before the deadline.
    Silent,
    /// The datagram could not be delivered.
    Unreachable(Errno),
    /// An answer that is not one, with what is wrong.
    Malformed(String),
}
