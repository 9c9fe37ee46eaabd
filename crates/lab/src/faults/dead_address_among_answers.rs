//! The name has two addresses, and at one of them nobody is left.

use crate::dns::Zone;
use crate::{Guard, Lab, LabError};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    super::serve_zone(lab, &Zone::Addresses(vec![elsewhere(), Ipv4Addr::LOCALHOST.into()]))
}

/// An address besides loopback at which the lab's server does not listen: this host's own on its network, so that
/// nothing leaves the host; without a network, one that nobody has (RFC 5737).
fn elsewhere() -> IpAddr {
    let nobody = Ipv4Addr::new(192, 0, 2, 77);
    // Connecting a datagram socket sends nothing; it chooses the local address.
    let own = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((nobody, 9))?;
        socket.local_addr()
    });
    own.map(|address| address.ip()).ok().filter(|ip| !ip.is_loopback()).unwrap_or(nobody.into())
}
