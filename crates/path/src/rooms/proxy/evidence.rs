//! What the peer's first bytes say, and what a pooler's console says.

use pgmedic_model::{Ms, ServerError, Timestamp};
use serde::{Deserialize, Serialize};

/// The first exchange on a fresh connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProxyEvidence {
    /// When the first bytes were sent.
    pub at: Timestamp,
    /// Until the first byte came, the peer hung up, or the deadline passed.
    pub elapsed_ms: Ms,
    /// What was sent.
    pub sent: Sent,
    /// What came.
    pub first: FirstBytes,
}

/// What was sent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sent {
    /// An SSLRequest.
    SslRequest,
    /// A StartupMessage, without TLS.
    Startup,
    /// A TLS ClientHello at once (direct TLS of Postgres 17).
    ClientHello,
}

/// What came first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstBytes {
    /// `S`: TLS is offered.
    TlsOffered,
    /// `N`: TLS is not offered.
    TlsNotOffered,
    /// A protocol-3 message by its tag: any but an error after an SSLRequest; any, `E` included, after a
    /// StartupMessage, whose answer is the room `startup`'s to read.
    Message(char),
    /// A protocol-3 ErrorResponse.
    Error(ServerError),
    /// A protocol-2 error: a text without SQLSTATE.
    ErrorV2(String),
    /// A TLS record, after a ClientHello.
    TlsRecord,
    /// FIN with no bytes.
    Closed,
    /// RST with no bytes.
    Reset,
    /// Nothing before the deadline.
    Silent,
    /// Another protocol, with what it seems to be and its start.
    Foreign(String),
}

/// A PgBouncer's admin console.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolerEvidence {
    /// When it was read.
    pub at: Timestamp,
    /// The whole visit.
    pub elapsed_ms: Ms,
    /// The console's address.
    pub address: String,
    /// Why it could not be read, if it could not: stage and words.
    pub failure: Option<String>,
    /// True where TCP connected and then nothing came before the deadline.
    pub silent: bool,
    /// `SHOW VERSION`.
    pub version: Option<String>,
    /// `SHOW POOLS`.
    pub pools: Vec<PoolRow>,
    /// `SHOW DATABASES`.
    pub databases: Vec<PoolerDatabase>,
    /// `max_client_conn` of `SHOW CONFIG`.
    pub max_client_conn: Option<u64>,
    /// `used_clients` of `SHOW LISTS`.
    pub used_clients: Option<u64>,
    /// `query_wait_timeout` of `SHOW CONFIG`, in seconds.
    pub query_wait_timeout_s: Option<f64>,
    /// `default_pool_size` of `SHOW CONFIG`.
    pub default_pool_size: Option<u64>,
    /// `max_prepared_statements` of `SHOW CONFIG` (1.21+).
    #[serde(default)]
    pub max_prepared_statements: Option<u64>,
    /// `admin_users` of `SHOW CONFIG`: who may RESUME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_users: Option<String>,
    /// `auth_type` of `SHOW CONFIG`; with `any` everybody is an admin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_type: Option<String>,
}

/// One row of `SHOW POOLS`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolRow {
    /// Database as clients name it.
    pub database: String,
    /// Role.
    pub user: String,
    /// Clients that have a server connection or need none.
    pub cl_active: u64,
    /// Clients that wait for one.
    pub cl_waiting: u64,
    /// Server connections in use.
    pub sv_active: u64,
    /// Server connections free.
    pub sv_idle: u64,
    /// Server connections free but used lately.
    pub sv_used: u64,
    /// Server connections being reset or tested.
    pub sv_tested: u64,
    /// Server connections logging in.
    pub sv_login: u64,
    /// How long the first client in the queue has waited, in seconds.
    pub maxwait_s: f64,
    /// `session`, `transaction` or `statement`.
    pub pool_mode: String,
}

/// One row of `SHOW DATABASES`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolerDatabase {
    /// Database as clients name it.
    pub name: String,
    /// Upstream host.
    pub host: Option<String>,
    /// Upstream port.
    pub port: u16,
    /// Upstream database.
    pub database: String,
    /// `pool_size`.
    pub pool_size: u64,
    /// Server connections of it.
    pub current_connections: u64,
    /// `PAUSE`d.
    pub paused: bool,
    /// `DISABLE`d.
    pub disabled: bool,
}
