//! Drills of the room `network`.

use super::{API, PLAIN, by_own_address, drill};
use crate::drills::Drill;
use pgmedic_lab::faults;

/// Every drill of the room.
pub(super) const DRILLS: &[Drill] = &[
    drill(
        API,
        "port-closed",
        "The server is stopped: nothing listens on its port.",
        faults::port_closed::inject,
    ),
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
