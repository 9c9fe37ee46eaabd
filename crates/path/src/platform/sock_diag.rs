//! Messages of sock_diag(7), in the host's byte order but for the port: what to ask, the exchange, and the answers.
//! Layouts are those of linux/inet_diag.h, linux/unix_diag.h and linux/tcp.h. Not in here: what the answers are for.

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub(super) const AF_INET: u8 = 2;
pub(super) const AF_INET6: u8 = 10;
const AF_UNIX: u8 = 1;
const IPPROTO_TCP: u8 = 6;
/// One bit a state; TCP_LISTEN is 10, for unix sockets too.
const LISTENING: u32 = 1 << 10;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// NLM_F_REQUEST | NLM_F_DUMP.
const DUMP: u16 = 0x301;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const UDIAG_SHOW_RQLEN: u32 = 0x10;
const UNIX_DIAG_RQLEN: u16 = 4;
const HEADER: usize = 16;
/// sizeof(struct unix_diag_msg).
const UNIX_MESSAGE: usize = 16;
/// sizeof(struct inet_diag_msg).
const INET_MESSAGE: usize = 72;
/// The attribute that holds a struct tcp_info; asked for by its bit in `idiag_ext`.
const INET_DIAG_INFO: u16 = 2;
/// Every state but listening and TIME-WAIT (6), whose sockets have no account.
const CONNECTED: u32 = 0xfff & !LISTENING & !(1 << 6);
/// Most bytes of an answer: some 8,000 listeners.
const MOST_BYTES: usize = 1 << 20;
/// The kernel answers at once.
const PATIENCE: Duration = Duration::from_millis(100);

fn request(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).unwrap_or_default();
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(DUMP.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// struct inet_diag_req_v2: listeners on a port.
pub(super) fn inet_request(family: u8, port: u16) -> Vec<u8> {
    let mut body = vec![family, IPPROTO_TCP, 0, 0];
    body.extend(LISTENING.to_ne_bytes());
    body.extend(port.to_be_bytes());
    body.resize(56, 0);
    request(&body)
}

/// struct inet_diag_req_v2: the connections between two ports, with their tcp_info.
pub(super) fn connection_request(local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    let family = if local.is_ipv4() { AF_INET } else { AF_INET6 };
    let mut body = vec![family, IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 0];
    body.extend(CONNECTED.to_ne_bytes());
    body.extend(local.port().to_be_bytes());
    body.extend(peer.port().to_be_bytes());
    body.resize(56, 0);
    request(&body)
}

/// struct unix_diag_req: listeners, with the lengths of their queues.
pub(super) fn unix_request() -> Vec<u8> {
    let mut body = vec![AF_UNIX, 0, 0, 0];
    body.extend(LISTENING.to_ne_bytes());
    body.extend([0; 4]);
    body.extend(UDIAG_SHOW_RQLEN.to_ne_bytes());
    body.resize(24, 0);
    request(&body)
}

/// Sends a request and takes the whole answer.
pub(super) fn exchange(request: &[u8]) -> Option<Vec<u8>> {
    let flags = SocketFlags::CLOEXEC;
    let kind = SocketType::DGRAM;
    let socket =
        rustix::net::socket_with(AddressFamily::NETLINK, kind, flags, Some(netlink::SOCK_DIAG)).ok()?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE)).ok()?;
    rustix::net::sendto(&socket, request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).ok()?;
    let mut answer = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    while answer.len() < MOST_BYTES {
        let (length, _) = rustix::net::recv(&socket, &mut buffer[..], RecvFlags::empty()).ok()?;
        let part = buffer.get(..length).filter(|part| !part.is_empty())?;
        answer.extend_from_slice(part);
        if messages(part).any(|(kind, _)| matches!(kind, NLMSG_DONE | NLMSG_ERROR)) {
            break;
        }
    }
    Some(answer)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The messages of an answer: kind and body. Ends at the first whose length makes no sense.
fn messages(answer: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    pieces(answer, HEADER, |bytes| Some((usize::try_from(u32_at(bytes, 0)?).ok()?, u16_at(bytes, 4)?)))
}

/// The attributes that follow a message: kind and value.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    pieces(bytes, 4, |bytes| Some((usize::from(u16_at(bytes, 0)?), u16_at(bytes, 2)?)))
}

/// Cuts bytes into pieces, each with a header that tells its whole length and its kind, aligned to four bytes.
fn pieces(
    bytes: &[u8],
    header: usize,
    read: fn(&[u8]) -> Option<(usize, u16)>,
) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, kind) = read(rest)?;
        let body = rest.get(header..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// `idiag_wqueue` of struct inet_diag_msg: for a listener, the most that may wait.
pub(super) fn inet_backlog(answer: &[u8], inode: u64) -> Option<u64> {
    let rows = messages(answer).filter(|(kind, _)| *kind == SOCK_DIAG_BY_FAMILY);
    let mut own = rows.filter(|(_, row)| u32_at(row, 68).is_some_and(|of_row| u64::from(of_row) == inode));
    own.find_map(|(_, row)| u32_at(row, 60)).map(u64::from)
}

/// What a struct tcp_info has; `None` for a member that the kernel does not know yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TcpInfo {
    pub(super) retransmits: u8,
    pub(super) send_mss: u32,
    pub(super) unacked: u32,
    pub(super) rtt_us: u32,
    pub(super) total_retrans: u32,
    pub(super) bytes_received: u64,
    pub(super) out_of_order: Option<u32>,
}

/// The tcp_info of the connection to `peer`.
pub(super) fn tcp_info(answer: &[u8], peer: SocketAddr) -> Option<TcpInfo> {
    let leads_to_peer = |row: &[u8]| match peer.ip() {
        IpAddr::V4(ip) => row.get(24..28) == Some(&ip.octets()[..]),
        IpAddr::V6(ip) => row.get(24..40) == Some(&ip.octets()[..]),
    };
    let rows = messages(answer).filter(|(kind, _)| *kind == SOCK_DIAG_BY_FAMILY);
    let (_, row) = rows.into_iter().find(|(_, row)| leads_to_peer(row))?;
    let info = attributes(row.get(INET_MESSAGE..)?).find(|(kind, _)| *kind == INET_DIAG_INFO)?.1;
    Some(TcpInfo {
        retransmits: *info.get(2)?,
        send_mss: u32_at(info, 16)?,
        unacked: u32_at(info, 24)?,
        rtt_us: u32_at(info, 68)?,
        total_retrans: u32_at(info, 100)?,
        bytes_received: u64::from_ne_bytes(info.get(128..136)?.try_into().ok()?),
        out_of_order: u32_at(info, 224),
    })
}

/// `udiag_wqueue` of the attribute UNIX_DIAG_RQLEN.
pub(super) fn unix_backlog(answer: &[u8], inode: u64) -> Option<u64> {
    let rows = messages(answer).filter(|(kind, _)| *kind == SOCK_DIAG_BY_FAMILY);
    let mut own = rows.filter(|(_, row)| u32_at(row, 4).is_some_and(|of_row| u64::from(of_row) == inode));
    own.find_map(|(_, row)| {
        let queues = attributes(row.get(UNIX_MESSAGE..)?).find(|(kind, _)| *kind == UNIX_DIAG_RQLEN)?.1;
        u32_at(queues, 4).map(u64::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_makes_no_sense_tells_nothing() {
        let mut endless = request(&[0; 72]);
        endless[..4].copy_from_slice(&0_u32.to_ne_bytes());
        let mut long = request(&[0; 72]);
        long[..4].copy_from_slice(&u32::MAX.to_ne_bytes());
        for answer in [vec![], vec![1, 2, 3], endless, long, request(&[0; 8])] {
            assert_eq!(inet_backlog(&answer, 7), None);
            assert_eq!(unix_backlog(&answer, 7), None);
            assert_eq!(tcp_info(&answer, SocketAddr::from(([0, 0, 0, 0], 7))), None);
        }
        assert_eq!(inet_backlog(&request(&[0; 72]), 0), Some(0));
    }
}
