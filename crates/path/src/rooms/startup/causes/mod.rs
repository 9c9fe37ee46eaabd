//! The causes of the room `startup`, one file each.

use crate::cause::Cause;

pub mod configuration_broken;
pub mod connect_privilege_missing;
pub mod database_missing;
pub mod hba_rejects;
pub mod login_not_permitted;
pub mod password_expired;
pub mod role_missing;
pub mod startup_option_rejected;
pub mod tls_required;
pub mod wrong_password;

/// Every cause of this room.
pub static ALL: &[&Cause] = &[
    &tls_required::CAUSE,
    &hba_rejects::CAUSE,
    &wrong_password::CAUSE,
    &password_expired::CAUSE,
    &role_missing::CAUSE,
    &login_not_permitted::CAUSE,
    &database_missing::CAUSE,
    &connect_privilege_missing::CAUSE,
    &startup_option_rejected::CAUSE,
    &configuration_broken::CAUSE,
];
