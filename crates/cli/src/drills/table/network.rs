//! Drills of the room `network`.

use super::{API, NAMED, PLAIN, by_own_address, drill};
use crate::drills::{Drill, Found};
use pgmedic_lab::{Guard, Lab, LabError, Parts, faults};
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
        configure: by_own_address,
        ..drill(
            PLAIN,
            "listening-elsewhere",
            "The server listens on another address than the one its clients know.",
            faults::listening_elsewhere::inject,
        )
    },
    filtered(
        API,
        "firewall-rejects",
        "A firewall answers with a reset in the server's place.",
        faults::firewall_rejects::inject,
    ),
    filtered(
        API,
        "mtu-black-hole",
        "Packets of 1400 bytes and more from the server vanish on the way.",
        faults::mtu_black_hole::inject,
    ),
    filtered(
        PLAIN,
        "lossy-network",
        "Every second packet to the server is lost.",
        faults::lossy_network::inject,
    ),
    Drill {
        found: Found::SymptomOf("server-hung"),
        ..drill(
            API,
            "accept-queue-full",
            "The server is stopped, and more clients wait at its door than the kernel keeps.",
            faults::accept_queue_full::inject,
        )
    },
    filtered(
        API,
        "half-open-session",
        "A client's machine goes away in the middle of an answer.",
        faults::half_open_session::inject,
    )
    .mended_by(&["terminate-half-open"]),
    filtered(
        API,
        "idle-flow-forgotten",
        "A firewall has forgotten the connection that the API's pool keeps.",
        faults::idle_flow_forgotten::inject,
    )
    .on_a_stand_in()
    .mended_by(&["recycle-api-pool"]),
    drill(
        NAMED,
        "address-family-mismatch",
        "The name has an IPv6 address alone, and the API asks for IPv4.",
        faults::address_family_mismatch::inject,
    )
    .on_a_stand_in(),
    Drill {
        root: Some("a network namespace of its own has no local port to give"),
        programs: &["unshare", "ip"],
        under: &["unshare", "--net", "--", "sh", "-c", WITHOUT_PORTS, "sh"],
        ..drill(PLAIN, "client-ports-exhausted", "The host of the check has no local port left.", |_| {
            Ok(Guard::default())
        })
    },
    Drill {
        programs: &["prlimit"],
        under: &["sh", "-c", WITH_FEW_DESCRIPTORS, "sh"],
        ..drill(PLAIN, "client-descriptors-exhausted", "The check may open no more files.", |_| {
            Ok(Guard::default())
        })
    },
    Drill {
        root: Some("only root may take a route away"),
        programs: &["ip"],
        configure: by_own_address,
        ..drill(PLAIN, "no-route", "The route to the database's address is gone.", faults::no_route::inject)
    },
];

/// What this process was given is closed: the limit leaves room for what a check opens before its first socket.
const WITH_FEW_DESCRIPTORS: &str =
    "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; exec prlimit --nofile=10 -- \"$@\"";

/// In a network namespace of its own every port that the kernel might choose is reserved, then the check runs.
const WITHOUT_PORTS: &str = "ip link set lo up && echo '40000 40002' > /proc/sys/net/ipv4/ip_local_port_range && \
     echo 40000-40002 > /proc/sys/net/ipv4/ip_local_reserved_ports && exec \"$@\"";

/// A drill that sets a rule of the packet filter.
const fn filtered(
    parts: Parts,
    name: &'static str,
    does: &'static str,
    inject: fn(&Lab) -> Result<Guard, LabError>,
) -> Drill {
    Drill {
        root: Some("only root may set a firewall's rules"),
        programs: &["iptables"],
        ..drill(parts, name, does, inject)
    }
}

/// No window on the server's host.
fn from_outside(_: &Lab, service: &mut Service) -> Result<(), LabError> {
    service.window = Window::Off;
    Ok(())
}
