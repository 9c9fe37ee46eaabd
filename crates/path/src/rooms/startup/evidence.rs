//! What became of the startup exchange: authentication, errors, notices, and what the server told of itself.

use pgmedic_model::{Ms, ServerError, Timestamp};
use serde::{Deserialize, Serialize};

/// The startup stage, from StartupMessage to ReadyForQuery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartupEvidence {
    /// When the StartupMessage was sent.
    pub at: Timestamp,
    /// How long it took.
    pub elapsed_ms: Ms,
    /// The role asked for.
    pub user: String,
    /// The database asked for.
    pub database: String,
    /// What the server asked for, if it got that far.
    pub auth: Option<AuthMethod>,
    /// True where the server accepted the credentials.
    pub authenticated: bool,
    /// How it ended.
    pub outcome: StartupOutcome,
    /// NoticeResponses that came on the way, oldest first, at most 16.
    pub notices: Vec<ServerError>,
    /// `server_version` as the server told it.
    pub server_version: Option<String>,
    /// What the server is where it is no Postgres and says so by a setting of its own: `CockroachDB (crdb_version …)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// `in_hot_standby` (Postgres 14+).
    pub in_hot_standby: Option<bool>,
    /// `default_transaction_read_only` (Postgres 14+).
    pub default_transaction_read_only: Option<bool>,
    /// `is_superuser`.
    pub is_superuser: Option<bool>,
    /// The backend's process id.
    pub backend_pid: Option<u32>,
    /// Why the peer is known to be a pooler, where it is: it refused a startup parameter as PgBouncer does, ….
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooler: Option<String>,
    /// Bytes that came since the StartupMessage was sent.
    #[serde(default)]
    pub received_bytes: u64,
}

impl StartupEvidence {
    /// How it was waited in vain: in silence, or while bytes came that made no whole answer.
    #[must_use]
    pub fn waited(&self, waiting_for: &str) -> String {
        match self.received_bytes {
            0 => format!("silence: waited {} for {waiting_for}", self.elapsed_ms),
            bytes => format!("{bytes} bytes came, and no whole {waiting_for} within {}", self.elapsed_ms),
        }
    }
}

/// What the server asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthMethod {
    /// Nothing.
    Trust,
    /// The password in clear.
    Cleartext,
    /// MD5.
    Md5,
    /// SCRAM-SHA-256.
    ScramSha256,
    /// SCRAM-SHA-256-PLUS: bound to the TLS channel.
    ScramSha256Plus,
    /// A method that pgmedic does not speak (GSSAPI, SSPI, OAuth, …).
    Unsupported(String),
}

/// How the startup exchange ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartupOutcome {
    /// ReadyForQuery.
    Ready,
    /// ErrorResponse.
    Error(ServerError),
    /// A protocol-2 error: a text without SQLSTATE.
    ErrorV2(String),
    /// The peer hung up.
    Closed,
    /// The peer reset the connection.
    Reset,
    /// No whole message (more) before the deadline; `received_bytes` says whether anything came.
    Silent {
        /// What was waited for: `authentication request`, `answer to the password`, `ready for query`.
        waiting_for: String,
    },
    /// The server asks for a password and none is configured.
    NoPassword,
    /// The server asks for a method that pgmedic does not speak, or that the target forbids.
    Unsupported(String),
    /// The server did not prove that it knows the password (SCRAM), or broke the protocol.
    Protocol(String),
}
