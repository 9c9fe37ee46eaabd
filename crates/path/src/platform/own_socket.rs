//! The kernel's account of a connection that this process holds: what was sent and not acknowledged, what had to be sent
//! again, what came out of order. Any process may ask this of its own sockets; a sandbox may forbid it, and then it is
//! not known. Not in here: what the account means, which the room `network` says.

use crate::rooms::network::evidence::Transport;
use std::net::SocketAddr;

/// Asks the kernel (NETLINK_SOCK_DIAG, one bounded dump; it answers from memory). None where it does not say, or the
/// connection is gone.
#[cfg(target_os = "linux")]
pub(crate) fn transport(local: SocketAddr, peer: SocketAddr) -> Option<Transport> {
    use super::sock_diag::{connection_request, exchange, tcp_info};
    use crate::clock;
    use pgmedic_model::Ms;
    let at = clock::now();
    let info = tcp_info(&exchange(&connection_request(local, peer))?, peer)?;
    Some(Transport {
        at,
        peer: peer.to_string(),
        local: local.to_string(),
        unacked: info.unacked,
        retransmits: u32::from(info.retransmits),
        retransmitted: info.total_retrans,
        out_of_order: info.out_of_order,
        bytes_received: info.bytes_received,
        segment_bytes: info.send_mss,
        round_trip_ms: Ms(f64::from(info.rtt_us) / 1000.0),
    })
}

/// Asks the kernel: only Linux says.
#[cfg(not(target_os = "linux"))]
pub(crate) const fn transport(_local: SocketAddr, _peer: SocketAddr) -> Option<Transport> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_connection_of_this_process_has_its_account() {
        for loopback in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(loopback) else { continue };
            let peer = listener.local_addr().expect("an address");
            let mut client = TcpStream::connect(peer).expect("connected");
            let (mut server, local) = listener.accept().expect("accepted");
            server.write_all(b"hello").expect("sent");
            client.read_exact(&mut [0; 5]).expect("received");
            let seen = transport(local, peer).expect("the kernel says");
            assert_eq!((seen.bytes_received, seen.unacked, seen.retransmitted), (5, 0, 0), "{seen:?}");
            assert!(seen.segment_bytes > 500 && seen.round_trip_ms.0 > 0.0, "{seen:?}");
            drop(client);
            drop(server);
            assert!(transport(local, SocketAddr::from(([127, 9, 9, 9], peer.port()))).is_none());
        }
    }
}
