//! The causes of the room `network`, one file each.

use crate::cause::Cause;

pub mod client_descriptors_exhausted;
pub mod client_ports_exhausted;
pub mod dead_address_among_answers;
pub mod firewall_rejects;
pub mod no_route;
pub mod packets_dropped;
pub mod port_closed;

/// Every cause of this room.
pub static ALL: &[&Cause] = &[
    &dead_address_among_answers::CAUSE,
    &port_closed::CAUSE,
    &packets_dropped::CAUSE,
    &no_route::CAUSE,
    &firewall_rejects::CAUSE,
    &client_ports_exhausted::CAUSE,
    &client_descriptors_exhausted::CAUSE,
];
