//! Drills of the room `app`.

use super::{API, drill};
use crate::drills::Drill;
use pgmedic_lab::faults;

/// Every drill of the room.
pub(super) const DRILLS: &[Drill] = &[
    drill(
        API,
        "readiness-failing",
        "The API's own settings point to a database that is not there; the real one is well.",
        faults::readiness_failing::inject,
    ),
    drill(
        API,
        "api-not-initialised",
        "The API serves, and never made its pool.",
        faults::api_not_initialised::inject,
    ),
    Drill {
        root: Some("only root may set a firewall's rules"),
        programs: &["iptables"],
        ..drill(
            API,
            "stale-pooled-sockets",
            "The connection that the API's pool keeps is ended behind its back.",
            faults::stale_pooled_sockets::inject,
        )
    },
    drill(API, "api-unreachable", "Nothing listens on the API's port.", faults::api_unreachable::inject),
];
