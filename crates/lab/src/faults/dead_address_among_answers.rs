//! The name has two addresses, and at one of them nobody is left.

use crate::dns::Zone;
use crate::{Guard, Lab, LabError};
use std::net::Ipv4Addr;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let [a, b, c, d] = lab.postgres().own_address().octets();
    let dead = Ipv4Addr::new(a, b + 1, c, d);
    super::serve_zone(lab, &Zone::Addresses(vec![dead.into(), Ipv4Addr::LOCALHOST.into()]))
}
