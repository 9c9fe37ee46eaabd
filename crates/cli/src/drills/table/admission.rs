//! Drills of the room `admission`.

use super::{API, drill, roomy};
use crate::drills::Drill;
use pgmedic_lab::faults;

/// Every drill of the room.
pub(super) const DRILLS: &[Drill] = &[
    drill(
        API,
        "slots-exhausted",
        "The API's sessions take every ordinary slot.",
        faults::slots_exhausted::inject,
    )
    .mended_by(&["terminate-idle-sessions"]),
    drill(
        API,
        "all-slots-exhausted",
        "Every slot is taken, those reserved for superusers as well.",
        faults::all_slots_exhausted::inject,
    )
    .mended_by(&["restart-largest-holder"]),
    drill(
        API,
        "role-limit-reached",
        "The API's role has a CONNECTION LIMIT, and has reached it.",
        faults::role_limit_reached::inject,
    )
    .mended_by(&["raise-role-limit"]),
    drill(
        API,
        "database-limit-reached",
        "The database has a CONNECTION LIMIT, and has reached it.",
        faults::database_limit_reached::inject,
    )
    .mended_by(&["raise-database-limit"]),
    drill(
        API,
        "database-not-accepting",
        "The database takes no connections: ALLOW_CONNECTIONS false.",
        faults::database_not_accepting::inject,
    ),
    drill(
        API,
        "database-invalid",
        "The database's DROP was interrupted halfway.",
        faults::database_invalid::inject,
    ),
    Drill {
        configure: roomy,
        ..drill(
            API,
            "slots-nearly-exhausted",
            "Nine of ten ordinary slots are taken.",
            faults::slots_nearly_exhausted::inject,
        )
        .mended_by(&["terminate-idle-sessions"])
    },
    drill(
        API,
        "unauthenticated-flood",
        "Clients connect and say nothing, until the server turns everybody away.",
        faults::unauthenticated_flood::inject,
    ),
    drill(
        API,
        "self-inflicted",
        "Sessions of pgmedic itself take every ordinary slot.",
        faults::self_inflicted::inject,
    ),
];
