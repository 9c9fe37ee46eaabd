//! Drills of the room `startup`.

use super::{API, drill};
use crate::drills::Drill;
use pgmedic_lab::faults;

/// Every drill of the room.
pub(super) const DRILLS: &[Drill] = &[
    drill(
        API,
        "wrong-password",
        "The role's password was changed, and the API has the old one.",
        faults::wrong_password::inject,
    ),
    drill(API, "role-missing", "The API's role does not exist on this server.", faults::role_missing::inject),
    drill(API, "login-not-permitted", "The API's role may not log in.", faults::login_not_permitted::inject),
    drill(API, "hba-rejects", "No line of pg_hba.conf lets the API's role in.", faults::hba_rejects::inject),
    drill(
        API,
        "database-missing",
        "The database does not exist on this server.",
        faults::database_missing::inject,
    ),
];
