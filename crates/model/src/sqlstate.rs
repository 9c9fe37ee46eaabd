//! SQLSTATEs: the five characters, and the ones that a diagnosis branches on, by their names in the manual.

use serde::{Deserialize, Serialize};

/// A SQLSTATE (Postgres manual, appendix "PostgreSQL Error Codes").
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SqlState(String);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        impl SqlState {
            $($(#[$doc])* pub const $name: &'static str = $code;)*
        }
    };
}

codes! {
    /// protocol_violation; also every error that PgBouncer raises or relays before 1.20.
    PROTOCOL_VIOLATION = "08P01";
    /// read_only_sql_transaction
    READ_ONLY_SQL_TRANSACTION = "25006";
    /// idle_in_transaction_session_timeout
    IDLE_IN_TRANSACTION_SESSION_TIMEOUT = "25P03";
    /// invalid_authorization_specification
    INVALID_AUTHORIZATION_SPECIFICATION = "28000";
    /// invalid_password
    INVALID_PASSWORD = "28P01";
    /// invalid_catalog_name
    INVALID_CATALOG_NAME = "3D000";
    /// undefined_object; an unknown configuration parameter among them.
    UNDEFINED_OBJECT = "42704";
    /// insufficient_privilege; also a read-only filesystem at login.
    INSUFFICIENT_PRIVILEGE = "42501";
    /// disk_full
    DISK_FULL = "53100";
    /// out_of_memory
    OUT_OF_MEMORY = "53200";
    /// too_many_connections
    TOO_MANY_CONNECTIONS = "53300";
    /// object_not_in_prerequisite_state
    OBJECT_NOT_IN_PREREQUISITE_STATE = "55000";
    /// query_canceled
    QUERY_CANCELED = "57014";
    /// admin_shutdown
    ADMIN_SHUTDOWN = "57P01";
    /// crash_shutdown
    CRASH_SHUTDOWN = "57P02";
    /// cannot_connect_now
    CANNOT_CONNECT_NOW = "57P03";
    /// internal_error
    INTERNAL_ERROR = "XX000";
}

impl SqlState {
    /// Takes the five characters as the server sent them, cut to five.
    #[must_use]
    pub fn new(code: &str) -> Self {
        Self(code.chars().take(5).collect())
    }

    /// The five characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for SqlState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl std::fmt::Debug for SqlState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
