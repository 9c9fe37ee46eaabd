//! How many connections may wait at a listener: `ss -ltn`'s Send-Q, which /proc does not have.
//!
//! Asked of the kernel by NETLINK_SOCK_DIAG (sock_diag(7); linux/inet_diag.h and linux/unix_diag.h), one bounded dump
//! of listeners. Any user may ask; a sandbox may forbid it, and then the number is not known.

use super::listeners::Listener;
#[cfg(target_os = "linux")]
use super::sock_diag;

/// The backlog of a listener. None where the kernel does not say.
#[cfg(target_os = "linux")]
pub(super) fn of(listener: &Listener) -> Option<u64> {
    match listener.port {
        Some(port) => {
            let ask = |family| sock_diag::exchange(&sock_diag::inet_request(family, port));
            let found = |answer: Vec<u8>| sock_diag::inet_backlog(&answer, listener.inode);
            [sock_diag::AF_INET, sock_diag::AF_INET6]
                .into_iter()
                .find_map(|family| ask(family).and_then(found))
        }
        None => sock_diag::exchange(&sock_diag::unix_request())
            .and_then(|a| sock_diag::unix_backlog(&a, listener.inode)),
    }
}

/// The backlog of a listener: only Linux says.
#[cfg(not(target_os = "linux"))]
pub(super) const fn of(_listener: &Listener) -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::platform::host::Endpoint;
    use crate::platform::listeners::Sockets;
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
    use std::net::{Ipv4Addr, SocketAddrV4};

    #[test]
    fn the_kernel_tells_the_backlog_of_tcp_and_unix_listeners() {
        let tcp = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        rustix::net::bind(&tcp, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a port");
        rustix::net::listen(&tcp, 7).expect("listens");
        let address = std::net::TcpListener::from(tcp.try_clone().expect("a clone")).local_addr();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(".s.PGSQL.1");
        let unix = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).expect("a socket");
        rustix::net::bind(&unix, &SocketAddrUnix::new(&path).expect("a path")).expect("bound");
        rustix::net::listen(&unix, 9).expect("listens");
        let sockets = Sockets::read(&mut Vec::new());
        for (endpoint, backlog) in
            [(Endpoint::Tcp(address.expect("an address")), 7), (Endpoint::Unix(path.clone()), 9)]
        {
            let listener = sockets.listener(&endpoint).expect("the listener");
            assert_eq!(of(&listener), Some(backlog), "{endpoint:?}");
        }
    }
}
