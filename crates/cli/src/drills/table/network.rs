//! Drills of the room `network`.

use super::{API, PLAIN, by_own_address, drill};
use crate::drills::Drill;
use pgmedic_lab::{Lab, LabError, faults};
use pgmedic_path::Service;
use pgmedic_path::service::Window;

/// Every drill of the room.
pub(super) const DRILLS: &[Drill] = &[
    Drill {
        configure: from_outside,
        ..drill(
            API,
            "port-closed",
            "The server is stopped, and its host cannot be looked at: nothing listens on its port.",
            faults::port_closed::inject,
        )
    },
    Drill {
        root: Some("only root may drop packets"),
        programs: &["iptables"],
        ..drill(
            API,
            "packets-dropped",
            "A firewall swallows every packet to the database's port.",
            faults::packets_dropped::inject,
        )
    },
    Drill {
        root: Some("only root may take a route away"),
        programs: &["ip"],
        configure: by_own_address,
        ..drill(PLAIN, "no-route", "The route to the database's address is gone.", faults::no_route::inject)
    },
];

/// No window on the server's host.
fn from_outside(_: &Lab, service: &mut Service) -> Result<(), LabError> {
    service.window = Window::Off;
    Ok(())
}
