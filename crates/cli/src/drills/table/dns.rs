//! Drills of the room `dns`.

use super::{NAMED, drill};
use crate::drills::Drill;
use pgmedic_lab::faults;

/// Every drill of the room.
pub(super) const DRILLS: &[Drill] = &[
    drill(
        NAMED,
        "name-not-found",
        "The database's name is gone from the DNS.",
        faults::name_not_found::inject,
    ),
    drill(
        NAMED,
        "name-without-address",
        "The database's name is there and has no address.",
        faults::name_without_address::inject,
    ),
    drill(NAMED, "resolver-failing", "The resolver refuses to answer.", faults::resolver_failing::inject),
    drill(
        NAMED,
        "resolver-silent",
        "The resolver is stopped and answers nothing.",
        faults::resolver_silent::inject,
    ),
    drill(
        NAMED,
        "dead-address-among-answers",
        "The name has two addresses, and nobody lives at one of them.",
        faults::dead_address_among_answers::inject,
    ),
];
