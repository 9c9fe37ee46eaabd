//! This room's readers, for the fuzz targets.

use super::certificate as reader;
use pgmedic_model::Host;

/// A server's certificate.
pub fn certificate(der: &[u8]) {
    let Some(certificate) = reader::parse(der) else { return };
    let _view = reader::view(&certificate);
    let _weak = reader::is_weakly_signed(&certificate);
    let _binding = reader::end_point(&certificate, der);
    for host in [Host::Name("db.internal".to_owned()), Host::Address(std::net::Ipv4Addr::LOCALHOST.into())] {
        let _carries = reader::carries_name(&certificate, &host);
    }
}
