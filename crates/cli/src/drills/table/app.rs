//! Drills of the room `app`.

use super::{API, OVER_A_SECOND, drill};
use crate::drills::{Drill, Found};
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
    )
    .mended_by(&["recycle-api-pool"]),
    Drill {
        root: Some("only root may set a firewall's rules"),
        programs: &["iptables"],
        ..drill(
            API,
            "stale-pooled-sockets",
            "The connection that the API's pool keeps is ended behind its back.",
            faults::stale_pooled_sockets::inject,
        )
        .on_a_stand_in()
        .mended_by(&["recycle-api-pool"])
    },
    drill(API, "api-unreachable", "Nothing listens on the API's port.", faults::api_unreachable::inject),
    drill(
        API,
        "pool-starved",
        "Every connection of the API's pool is at a slow statement, and requests wait for one.",
        |lab| faults::pool_starved::inject(lab, OVER_A_SECOND),
    )
    .mended_by(&["cancel-query"]),
    drill(
        API,
        "pool-leak",
        "Requests took every connection of the API's pool and never gave them back; others wait.",
        |lab| faults::pool_leak::inject(lab, OVER_A_SECOND),
    )
    .mended_by(&["recycle-api-pool"]),
    drill(
        API,
        "api-holds-stale-state",
        "The API's pool goes on handing out sockets that are gone; a new one would come about.",
        faults::api_holds_stale_state::inject,
    )
    .on_a_stand_in()
    .mended_by(&["recycle-api-pool"]),
    Drill {
        found: Found::Beside("server-down"),
        ..drill(
            API,
            "readiness-lies",
            "The server is down, and the API's readiness says connected without having asked.",
            faults::readiness_lies::inject,
        )
        .on_a_stand_in()
        .mended_by(&["start-database"])
    },
    drill(
        API,
        "pools-exceed-slots",
        "Ten instances of the API with a pool of ten each, and a server with 97 slots.",
        faults::pools_exceed_slots::inject,
    ),
    drill(
        API,
        "reconnect-storm",
        "More clients than slots, each of which connects for one question and, refused, tries again almost at once.",
        faults::reconnect_storm::inject,
    ),
];
