//! One attempt to one address: no retries, no racing of families. Which address is walked on is not decided here.

use crate::clock::Stopwatch;
use crate::rooms::network::evidence::{Attempt, ConnectOutcome};
use crate::rooms::startup::wire::Io;
use pgmedic_model::{Errno, Host, Target};
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};

/// Where one attempt goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix socket's path; an abstract one begins with `@`.
    Unix(String),
}

impl Address {
    /// The addresses of a target whose name, if it has one, resolved to `resolved`.
    #[must_use]
    pub fn of(target: &Target, resolved: &[IpAddr]) -> Vec<Self> {
        match &target.host {
            Host::Socket(_) => vec![Self::Unix(target.address())],
            Host::Name(_) | Host::Address(_) => {
                resolved.iter().map(|ip| Self::Tcp(SocketAddr::new(*ip, target.port))).collect()
            }
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => f.write_str(path),
        }
    }
}

/// A fresh connection to an address: the proof of passage through the network.
pub struct Connected {
    /// The stream; nothing has been sent or read.
    pub io: Io,
    /// The peer.
    pub address: Address,
    /// This side's address and port, of a TCP connection.
    pub local: Option<SocketAddr>,
}

impl Connected {
    /// Both ends of a TCP connection, this side's first.
    #[must_use]
    pub const fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        match (self.local, &self.address) {
            (Some(local), Address::Tcp(peer)) => Some((local, *peer)),
            _ => None,
        }
    }
}

/// Tries an address once.
pub async fn attempt(address: &Address, deadline: Instant) -> (Attempt, Option<Connected>) {
    let watch = Stopwatch::start();
    let result = timeout_at(deadline, connect(address)).await;
    let elapsed_ms = watch.elapsed();
    let (outcome, errno, made) = match result {
        Ok(Ok(made)) => (ConnectOutcome::Connected, None, Some(made)),
        Ok(Err(error)) => {
            let errno = error.raw_os_error();
            (classify(errno), errno.map(Errno::from_number), None)
        }
        Err(_) => (ConnectOutcome::Silent, None, None),
    };
    let attempt = Attempt { at: watch.at, elapsed_ms, address: address.to_string(), outcome, errno };
    (attempt, made.map(|(io, local)| Connected { io, address: address.clone(), local }))
}

async fn connect(address: &Address) -> io::Result<(Io, Option<SocketAddr>)> {
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let local = stream.local_addr().ok();
            Ok((Box::new(stream), local))
        }
        Address::Unix(path) => {
            // libpq's spelling of an abstract address: the `@` stands for the NUL (`UNIXSOCK_PATH`, unix(7)).
            let path = path.strip_prefix('@').map_or_else(|| path.clone(), |name| format!("\0{name}"));
            Ok((Box::new(UnixStream::connect(path).await?), None))
        }
    }
}

/// What an errno of connect(2) says (Linux numbers; `man 2 connect`, `man 7 ip`).
fn classify(errno: Option<i32>) -> ConnectOutcome {
    match errno {
        Some(111) => ConnectOutcome::Refused,
        Some(110) => ConnectOutcome::Silent,
        Some(104) => ConnectOutcome::Reset,
        Some(113) => ConnectOutcome::Rejected,
        Some(101 | 22) => ConnectOutcome::Unreachable,
        Some(1 | 13) => ConnectOutcome::Forbidden,
        Some(2) => ConnectOutcome::NoSuchSocket,
        Some(99 | 24 | 23 | 97) => ConnectOutcome::CannotTry,
        Some(11) => ConnectOutcome::QueueFull,
        _ => ConnectOutcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(2)
    }

    #[tokio::test]
    async fn a_listener_is_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = Address::Tcp(listener.local_addr().expect("bound"));
        let (attempt, connected) = attempt(&address, soon()).await;
        assert_eq!(attempt.outcome, ConnectOutcome::Connected);
        assert_eq!(attempt.errno, None);
        assert!(connected.is_some());
    }

    #[tokio::test]
    async fn a_closed_port_refuses_with_its_errno() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = Address::Tcp(listener.local_addr().expect("bound"));
        drop(listener);
        let (attempt, connected) = attempt(&address, soon()).await;
        assert_eq!(attempt.outcome, ConnectOutcome::Refused);
        assert_eq!(attempt.errno.map(|e| e.name), Some("ECONNREFUSED".to_owned()));
        assert!(connected.is_none());
    }

    #[tokio::test]
    async fn unix_sockets_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(".s.PGSQL.1").display().to_string();
        let (missing, _) = attempt(&Address::Unix(path.clone()), soon()).await;
        assert_eq!(missing.outcome, ConnectOutcome::NoSuchSocket);

        let listener = tokio::net::UnixListener::bind(&path).expect("bound");
        let (there, _) = attempt(&Address::Unix(path.clone()), soon()).await;
        assert_eq!(there.outcome, ConnectOutcome::Connected);
        drop(listener);
        let (dead, _) = attempt(&Address::Unix(path), soon()).await;
        assert_eq!(dead.outcome, ConnectOutcome::Refused);

        let name = format!("pgmedic-test-{}/.s.PGSQL.1", std::process::id());
        let _listener = tokio::net::UnixListener::bind(format!("\0{name}")).expect("bound");
        let (abstract_name, _) = attempt(&Address::Unix(format!("@{name}")), soon()).await;
        assert_eq!(abstract_name.outcome, ConnectOutcome::Connected);
    }

    #[test]
    fn every_errno_of_the_table_has_its_class() {
        for (errno, outcome) in [
            (1, ConnectOutcome::Forbidden),
            (13, ConnectOutcome::Forbidden),
            (22, ConnectOutcome::Unreachable),
            (24, ConnectOutcome::CannotTry),
            (99, ConnectOutcome::CannotTry),
            (101, ConnectOutcome::Unreachable),
            (104, ConnectOutcome::Reset),
            (110, ConnectOutcome::Silent),
            (113, ConnectOutcome::Rejected),
            (11, ConnectOutcome::QueueFull),
            (5, ConnectOutcome::Failed),
        ] {
            assert_eq!(classify(Some(errno)), outcome, "{errno}");
        }
    }
}
