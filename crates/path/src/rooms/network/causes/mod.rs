//! The causes of the room `network`, one file each.

use crate::cause::Cause;

pub mod accept_queue_full;
pub mod address_family_mismatch;
pub mod client_descriptors_exhausted;
pub mod client_ports_exhausted;
pub mod dead_address_among_answers;
pub mod firewall_rejects;
pub mod half_open_session;
pub mod idle_flow_forgotten;
pub mod listening_elsewhere;
pub mod lossy_network;
pub mod mtu_black_hole;
pub mod no_route;
pub mod packets_dropped;
pub mod port_closed;

/// Every cause of this room.
pub static ALL: &[&Cause] = &[
    &address_family_mismatch::CAUSE,
    &dead_address_among_answers::CAUSE,
    &port_closed::CAUSE,
    &listening_elsewhere::CAUSE,
    &packets_dropped::CAUSE,
    &mtu_black_hole::CAUSE,
    &lossy_network::CAUSE,
    &no_route::CAUSE,
    &firewall_rejects::CAUSE,
    &accept_queue_full::CAUSE,
    &half_open_session::CAUSE,
    &idle_flow_forgotten::CAUSE,
    &client_ports_exhausted::CAUSE,
    &client_descriptors_exhausted::CAUSE,
];
