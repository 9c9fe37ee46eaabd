//! What the server tells of itself: the shape of the one statement's answer. Each field says which view it is from.
//! What the role may not see is None, and `unseen` says so.

use pgmedic_model::MaskedSql;
use serde::{Deserialize, Serialize};

/// The server's account of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SqlFacts {
    /// `server_version_num`, 150018.
    pub version_num: u32,
    /// `current_user`, and what it may see.
    pub me: Me,
    /// Slots and limits.
    pub admission: AdmissionFacts,
    /// The server's state.
    pub server: ServerFacts,
    /// Sessions and locks.
    pub sessions: SessionFacts,
    /// Storage, as the server sees it.
    pub storage: StorageFacts,
    /// Where the account is a brief one, what it tells of the sessions in place of their names: then no session is named, a
    /// group knows neither application nor client, and `database_bytes` is not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crowd: Option<CrowdFacts>,
}

/// Client backends as the server counts them by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CrowdFacts {
    /// Time since the oldest `xact_start`, in ms; pgmedic's own session included.
    pub longest_transaction_ms: Option<f64>,
    /// Time since the oldest `query_start` of those that wait for no client, in ms.
    pub longest_statement_ms: Option<f64>,
    /// Those that wait for their client since longer than policy `idle_after`.
    pub resting: u64,
    /// Those that write to a client which does not take it.
    pub writing: u64,
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// `current_user`.
    pub role: String,
    /// `current_database()`.
    pub database: String,
    /// `pg_backend_pid()`.
    pub pid: i32,
    /// Superuser.
    pub superuser: bool,
    /// May read all of pg_stat_activity (`pg_read_all_stats`, `pg_monitor`, superuser).
    pub sees_all: bool,
    /// May signal other roles' backends (`pg_signal_backend` or superuser).
    pub may_signal: bool,
}

/// Slots: who may have how many, and who has them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AdmissionFacts {
    /// `max_connections`.
    pub max_connections: u64,
    /// `superuser_reserved_connections`.
    pub superuser_reserved: u64,
    /// `reserved_connections` (Postgres 16+), else 0.
    pub reserved: u64,
    /// Backends that take an ordinary slot: `backend_type = 'client backend'`, pgmedic's own included. A plain role
    /// sees no backend_type of others; then this counts rows with a database, and `me.sees_all` is false.
    pub client_backends: u64,
    /// pgmedic's own sessions among them.
    pub own: u64,
    /// Those, not pgmedic's own, whose `backend_start` lies within the last ten seconds; in a brief account its own too.
    #[serde(default)]
    pub started_lately: u64,
    /// Those among them whose `backend_start` lies within the last second.
    #[serde(default)]
    pub started_just_now: u64,
    /// Roles that have a CONNECTION LIMIT, with their use.
    pub role_limits: Vec<LimitFacts>,
    /// Databases that have a CONNECTION LIMIT or refuse connections, with their use.
    pub database_limits: Vec<LimitFacts>,
    /// Client backends by application, role, database, client and state; largest first, at most 50 groups.
    pub groups: Vec<SessionGroup>,
}

impl AdmissionFacts {
    /// Slots for ordinary roles: `max_connections` less both reserves.
    #[must_use]
    pub const fn ordinary(&self) -> u64 {
        self.max_connections.saturating_sub(self.superuser_reserved).saturating_sub(self.reserved)
    }
}

/// A CONNECTION LIMIT and its use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitFacts {
    /// The role or the database.
    pub name: String,
    /// `rolconnlimit`, `datconnlimit`; -1 none, -2 an invalid database.
    pub limit: i64,
    /// Sessions of it.
    pub used: u64,
    /// `datallowconn`; true for a role.
    pub allows: bool,
}

/// Client backends that are alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionGroup {
    /// `application_name`, empty where none is set (or not seen).
    pub application: String,
    /// `usename`.
    pub role: String,
    /// `datname`.
    pub database: String,
    /// `client_addr`; `[local]` for a unix socket.
    pub client: String,
    /// `state`; None where the role may not see it.
    pub state: Option<String>,
    /// How many.
    pub count: u64,
    /// The longest time since `state_change` among them, in ms.
    pub oldest_state_ms: Option<f64>,
    /// How many of them have been in this state for longer than policy `idle_after`.
    pub over_idle_after: u64,
}

/// The server's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerFacts {
    /// Time since `pg_postmaster_start_time()`, in ms.
    pub uptime_ms: f64,
    /// `pg_is_in_recovery()`.
    pub in_recovery: bool,
    /// `transaction_read_only` of this very transaction.
    pub transaction_read_only: bool,
    /// `default_transaction_read_only` as this session got it.
    pub default_transaction_read_only: bool,
    /// Where it is set: (database or empty, role or empty) of `pg_db_role_setting`; both empty for ALTER ROLE ALL.
    pub read_only_set_for: Vec<(String, String)>,
    /// Time since the last replayed transaction, in ms; on a standby.
    pub replay_lag_ms: Option<f64>,
    /// A WAL receiver is streaming; on a standby.
    pub receiving: Option<bool>,
    /// What the startup process of a standby waits for, where that is a query in the way of replay: `wait_event` from
    /// `RecoveryConflict` on, or a lock. None too where the role may not see it.
    #[serde(default)]
    pub replay_waits: Option<String>,
    /// Names of settings with `pending_restart`.
    pub pending_restart: Vec<String>,
    /// `system_identifier` of `pg_control_system()`, as text.
    pub system_identifier: Option<String>,
    /// Greatest `age(datfrozenxid)`, with its database.
    pub oldest_xid: Option<(String, u64)>,
    /// Greatest `mxid_age(datminmxid)`, with its database.
    pub oldest_mxid: Option<(String, u64)>,
    /// `autovacuum_freeze_max_age`.
    pub freeze_max_age: u64,
}

/// Sessions worth naming, and locks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionFacts {
    /// Sessions worth naming: idle in transaction, active for over a second, waiting for a lock, blocking; and the
    /// longest idle. At most 200; the oldest of each class first.
    pub sessions: Vec<SessionView>,
    /// Sessions that wait for a lock, in all (also beyond those looked into).
    pub lock_waiters: u64,
    /// For each waiting session looked into: who blocks it (`pg_blocking_pids()`; 0 is a prepared transaction).
    pub waits: Vec<WaitView>,
    /// `pg_prepared_xacts`, oldest first, at most 50.
    pub prepared: Vec<PreparedView>,
    /// How many prepared transactions there are.
    pub prepared_total: u64,
    /// Client backends in `idle in transaction` or its aborted form.
    pub idle_in_transaction: u64,
    /// Client backends active.
    pub active: u64,
    /// Client backends idle.
    pub idle: u64,
    /// Why the locks were not told, where they were asked for: then `waits` is empty, and nobody is seen to hold any.
    #[serde(default)]
    pub locks_not_seen: Option<String>,
}

/// One session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionView {
    /// `pid`.
    pub pid: i32,
    /// `backend_start` as text with microseconds, UTC: with the pid, a session's identity.
    pub backend_start: String,
    /// `backend_type`.
    pub backend_type: Option<String>,
    /// `application_name`.
    pub application: String,
    /// `usename`.
    pub role: String,
    /// `datname`.
    pub database: String,
    /// `client_addr`; `[local]` for a unix socket.
    pub client: String,
    /// `client_port`; None for a unix socket.
    #[serde(default)]
    pub client_port: Option<u16>,
    /// `state`.
    pub state: Option<String>,
    /// `wait_event_type`.
    pub wait_event_type: Option<String>,
    /// `wait_event`.
    pub wait_event: Option<String>,
    /// Time since `state_change`, in ms.
    pub state_ms: Option<f64>,
    /// `state_change`, as `backend_start` is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_change: Option<String>,
    /// Time since `xact_start`, in ms.
    pub xact_ms: Option<f64>,
    /// Time since `query_start`, in ms.
    pub query_ms: Option<f64>,
    /// Its (last) query, masked.
    pub query: MaskedSql,
    /// Its role is a superuser.
    pub superuser: bool,
    /// Strongest relation lock it holds, with the relation: `AccessExclusiveLock on jobs`. Only for blockers.
    pub holds: Option<String>,
    /// It holds advisory locks. Known only where somebody waits for a lock or a transaction is prepared: else
    /// `pg_locks` is not read, and this is false.
    pub advisory: bool,
}

/// One waiting session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitView {
    /// Who waits.
    pub pid: i32,
    /// Who is in its way: holders, and those ahead in the queue. 0 stands for a prepared transaction.
    pub blocked_by: Vec<i32>,
    /// What it waits for: mode and relation or transaction.
    pub wants: Option<String>,
}

/// One prepared transaction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PreparedView {
    /// `gid`.
    pub gid: String,
    /// `owner`.
    pub owner: String,
    /// `database`.
    pub database: String,
    /// Time since `prepared`, in ms.
    pub age_ms: f64,
    /// Sessions that wait for a lock which this transaction holds (rows of `pg_locks` without a pid).
    pub blocks: u64,
}

/// Storage, as the server sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StorageFacts {
    /// `data_directory`; None where the role may not see it.
    pub data_directory: Option<String>,
    /// `pg_database_size` of this database, in bytes; None where it would be too dear (very many relations).
    pub database_bytes: Option<u64>,
    /// Sum of `temp_bytes` of `pg_stat_database` since its reset. 0 before Postgres 15, where it is not asked for: reading
    /// it waits for the statistics collector's file, for 10 s where the disk is full.
    pub temp_bytes: u64,
    /// `max_slot_wal_keep_size` in bytes; None is unlimited (-1, or before Postgres 13).
    pub max_slot_wal_keep_bytes: Option<u64>,
    /// `max_wal_size` in bytes.
    pub max_wal_bytes: u64,
    /// `pg_replication_slots`, those that retain most first, at most 50.
    pub slots: Vec<SlotView>,
    /// `pg_stat_archiver`, where archiving is on. None before Postgres 15, for the same reason as `temp_bytes`.
    pub archiver: Option<ArchiverView>,
    /// `archive_mode` is not `off`.
    #[serde(default)]
    pub archiving: bool,
}

impl StorageFacts {
    /// True where the server archives and does not tell how that goes: before Postgres 15 its archiver's title does.
    #[must_use]
    pub const fn archives_silently(&self) -> bool {
        self.archiving && self.archiver.is_none()
    }
}

/// One replication slot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SlotView {
    /// `slot_name`.
    pub name: String,
    /// `physical` or `logical`.
    pub kind: String,
    /// `database` of a logical slot.
    pub database: Option<String>,
    /// `active`.
    pub active: bool,
    /// `temporary`.
    pub temporary: bool,
    /// `wal_status` (Postgres 13+): `reserved`, `extended`, `unreserved`, `lost`.
    pub wal_status: Option<String>,
    /// `safe_wal_size` (Postgres 13+), in bytes.
    pub safe_wal_bytes: Option<i64>,
    /// WAL it keeps from removal: the current position less `restart_lsn`, in bytes.
    pub retained_bytes: Option<u64>,
    /// Time since it became inactive (Postgres 17+), in ms.
    pub inactive_ms: Option<f64>,
    /// Greatest age of its `xmin` and `catalog_xmin`.
    pub xmin_age: Option<u64>,
}

/// The archiver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ArchiverView {
    /// `archived_count`.
    pub archived: u64,
    /// `failed_count`.
    pub failed: u64,
    /// The last thing it did was to fail.
    pub failing: bool,
    /// Time since the last failure, in ms.
    pub last_failed_ms: Option<f64>,
    /// Time since the last success, in ms.
    pub last_archived_ms: Option<f64>,
}
