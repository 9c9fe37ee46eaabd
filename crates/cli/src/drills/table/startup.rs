//! Drills of the room `startup`.

use super::{API, drill};
use crate::drills::{Drill, Found};
use pgmedic_lab::postgres::{DATABASE, ROLE};
use pgmedic_lab::{Lab, LabError, faults};
use pgmedic_path::Service;

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
    Drill {
        configure: auditor,
        found: Found::Latent,
        ..drill(
            API,
            "configuration-broken",
            "A line of pg_hba.conf cannot be read; the running server keeps its old rules.",
            faults::configuration_broken::inject,
        )
    },
    drill(
        API,
        "password-expired",
        "The role's password was valid until a day that has passed.",
        faults::password_expired::inject,
    ),
    drill(
        API,
        "connect-privilege-missing",
        "CONNECT on the database was revoked from everybody.",
        faults::connect_privilege_missing::inject,
    ),
    Drill {
        configure: with_options,
        ..drill(
            API,
            "startup-option-rejected",
            "The service's URL asks for a role that was dropped.",
            faults::startup_option_rejected::inject,
        )
    },
];

/// Lets the API's role ask what the next start would meet: only superusers may by themselves.
fn auditor(lab: &Lab, _: &mut Service) -> Result<(), LabError> {
    let role = format!("\"{ROLE}\"");
    lab.postgres()
        .sql_in(
            DATABASE,
            &format!(
                "grant execute on function pg_hba_file_rules(), pg_show_all_file_settings() to {role}; \
                 grant pg_read_all_settings to {role}"
            ),
        )
        .map(drop)
}

/// A URL with `options`.
fn with_options(lab: &Lab, service: &mut Service) -> Result<(), LabError> {
    faults::startup_option_rejected::prepare(lab)?;
    service.target.options = Some(faults::startup_option_rejected::OPTIONS.to_owned());
    Ok(())
}
