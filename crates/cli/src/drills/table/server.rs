//! Drills of the room `server`.

use super::{API, PROXY, drill};
use crate::drills::Drill;
use pgmedic_lab::faults;

/// Every drill of the room.
pub(super) const DRILLS: &[Drill] = &[
    drill(
        API,
        "server-starting",
        "The server starts, and its recovery waits for the archive.",
        faults::server_starting::inject,
    ),
    drill(
        API,
        "server-recovering",
        "A backend was killed, and the server's recovery does not get on.",
        faults::server_recovering::inject,
    ),
    drill(
        API,
        "server-shutting-down",
        "A smart shutdown waits for a client that does not go.",
        faults::server_shutting_down::inject,
    ),
    drill(
        API,
        "read-only-by-setting",
        "Every transaction in the database begins read-only, by a setting.",
        faults::read_only_by_setting::inject,
    ),
    drill(PROXY, "routed-to-standby", "The proxy leads to a hot standby.", faults::routed_to_standby::inject),
    drill(
        PROXY,
        "standby-not-ready",
        "The proxy leads to a standby that lets no reader in.",
        faults::standby_not_ready::inject,
    ),
    drill(
        API,
        "server-down",
        "The postmaster was killed: its lock file is left, and nobody listens.",
        faults::server_down::inject,
    ),
    drill(
        API,
        "server-hung",
        "The postmaster is stopped; the kernel still accepts its connections.",
        faults::server_hung::inject,
    ),
];
