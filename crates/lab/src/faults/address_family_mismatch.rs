//! The name has an IPv6 address alone, at which the server listens; the API asks for IPv4.

use crate::dns::Zone;
use crate::postgres::Stop;
use crate::{Guard, Lab, LabError};
use std::net::Ipv6Addr;
use std::sync::Arc;

/// Injects it.
///
/// # Errors
/// Where the lab cannot, or this host has no IPv6 loopback.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = Arc::clone(lab.postgres());
    postgres.write("fault.conf", "listen_addresses = '127.0.0.1,::1'\n")?;
    postgres.set_hba("local all all trust\nhost all all samehost scram-sha-256\n")?;
    postgres.stop(Stop::Fast)?;
    postgres.up()?;
    let guard = super::serve_zone(lab, &Zone::Addresses(vec![Ipv6Addr::LOCALHOST.into()]))?;
    Ok(guard.and_undone_by(move || {
        postgres.remove("fault.conf")?;
        postgres.reset_hba()?;
        postgres.stop(Stop::Fast)?;
        postgres.up()
    }))
}
