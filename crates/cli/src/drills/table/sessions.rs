//! Drills of the room `sessions`.

use super::{API, OVER_A_SECOND, PAST, drill, impatient};
use crate::drills::{Drill, Found};
use pgmedic_lab::faults;

/// Every drill of the room.
pub(super) const DRILLS: &[Drill] = &[
    Drill {
        configure: impatient,
        found: Found::ContributingTo("slots-exhausted"),
        ..drill(
            API,
            "idle-sessions",
            "Sessions that have idled for too long take every ordinary slot.",
            |lab| faults::idle_sessions::inject(lab, PAST),
        )
        .mended_by(&["terminate-idle-sessions"])
    },
    Drill {
        configure: impatient,
        ..drill(
            API,
            "idle-in-transaction",
            "A session began a transaction, wrote, and forgot about it.",
            |lab| faults::idle_in_transaction::inject(lab, PAST),
        )
        .mended_by(&["terminate-idle-in-transaction"])
    },
    drill(
        API,
        "lock-pile-up",
        "Twenty sessions queue behind one that locked a table and went idle.",
        |lab| faults::lock_pile_up::inject(lab, PAST),
    )
    .mended_by(&["terminate-lock-root"]),
    Drill {
        configure: impatient,
        ..drill(
            API,
            "unkillable-backend",
            "A backend that holds a lock is stopped: told to end, it is still there, and others wait for it.",
            |lab| faults::unkillable_backend::inject(lab, OVER_A_SECOND),
        )
    },
    drill(
        API,
        "orphan-prepared-transaction",
        "A prepared transaction was left behind with its locks.",
        |lab| faults::orphan_prepared_transaction::inject(lab, PAST),
    ),
    Drill {
        configure: impatient,
        ..drill(API, "long-queries", "Three queries run and run.", |lab| {
            faults::long_queries::inject(lab, OVER_A_SECOND)
        })
        .mended_by(&["cancel-query"])
    },
    Drill {
        programs: &["iptables"],
        root: Some("what a client would answer is taken by the host's packet filter"),
        ..drill(
            API,
            "ghost-sessions",
            "The API's machines vanish without a word, and their sessions keep every ordinary slot.",
            faults::ghost_sessions::inject,
        )
        .mended_by(&["terminate-ghost-sessions"])
    },
];
