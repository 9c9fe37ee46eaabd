//! What a platform tells of the API's and the database's instances, volumes and logs, in words of no platform.

use super::evidence::{ServerLogView, VolumeView};
use crate::evidence::Seen;
use crate::rooms::app::evidence::LogEvidence;
use pgmedic_model::{Ms, ServerError, Timestamp};
use serde::{Deserialize, Serialize};

/// Everything that a platform told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlatformEvidence {
    /// When it was asked.
    pub at: Timestamp,
    /// How long it took to tell.
    pub elapsed_ms: Ms,
    /// `fly`, `docker`, `systemd`, `kubernetes`.
    pub platform: String,
    /// The API's instances.
    pub api: Seen<Vec<Instance>>,
    /// The database's instances.
    pub db: Seen<Vec<Instance>>,
    /// The database's volumes.
    pub volumes: Seen<Vec<PlatformVolume>>,
    /// What the API's log says of its database.
    pub api_log: Seen<LogEvidence>,
    /// What the server's log says.
    pub db_log: Seen<ServerLogView>,
}

/// A machine, a container, a unit or a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// What the platform knows it by; actions name it so.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its state.
    pub state: InstanceState,
    /// The platform's own word for that state: `started`, `Exited (137)`, `active (running)`, `CrashLoopBackOff`.
    pub word: String,
    /// Where it runs: a region, a node. Empty where the platform does not say.
    pub place: String,
    /// When it was last started.
    pub started_at: Option<Timestamp>,
    /// How often the platform has restarted it by itself.
    pub restarts: Option<u64>,
    /// How it last ended.
    pub exit: Option<Exit>,
    /// Its health checks.
    pub checks: Vec<Check>,
    /// What else the platform says is amiss with it: `host unreachable`, `cordoned`, an event's message. Masked.
    pub remarks: Vec<String>,
    /// The platform cannot reach what it runs on: its state is the last that was known.
    #[serde(default)]
    pub unreachable: bool,
    /// What its health checks tell of the server in it, where the platform's checks are made for Postgres.
    #[serde(default)]
    pub server: ServerReport,
    /// What a person would type.
    #[serde(default)]
    pub by_hand: ByHand,
}

/// Commands for a person, each empty where the platform has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHand {
    /// Shows the instance, its checks and its last events.
    pub look: String,
    /// Starts it where it is stopped.
    pub start: String,
    /// Restarts it.
    pub restart: String,
}

/// What health checks that log in to a server tell of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerReport {
    /// How the check's own login, a superuser's, went.
    pub login: Option<Checked<CheckLogin>>,
    /// Its part in its cluster.
    pub role: Option<Checked<MemberRole>>,
    /// Its connections.
    pub connections: Option<Checked<CheckConnections>>,
    /// Its data directory's filesystem.
    pub disk: Option<Checked<CheckDisk>>,
    /// The platform's own guard holds writes back, in its words: `readonly.lock`.
    pub guard: Option<Checked<String>>,
    /// Whether a postmaster that died is started again within its instance, where that is known.
    pub revived: Option<bool>,
}

/// What a check told, and which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked<T> {
    /// What it told.
    pub value: T,
    /// The check.
    pub check: String,
    /// When it last ran, or last came to another result: platforms do not say which.
    pub at: Option<Timestamp>,
}

/// How a health check's login went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckLogin {
    /// It was let in.
    Admitted,
    /// Nothing listens on the server's port, in the check's words.
    NothingListens(String),
    /// The server refused, as far as the check repeats its error.
    Refused(ServerError),
    /// It did not come to an end in time.
    Silent,
}

/// A server's part in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberRole {
    /// It takes writes.
    Primary,
    /// It follows.
    Replica,
    /// It would take writes, and the platform's guard has taken it out of service: its disk is over a limit.
    ReadOnly,
    /// It was the primary and is fenced, for it cannot tell whether another one is.
    Fenced,
    /// It only votes.
    Witness,
}

/// Connections as a check counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckConnections {
    /// Rows of pg_stat_activity: the server's own processes count too.
    pub used: u64,
    /// `superuser_reserved_connections`.
    pub reserved: u64,
    /// `max_connections`.
    pub max: u64,
}

/// A filesystem as a check tells of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckDisk {
    /// The path that it measures.
    pub path: String,
    /// Used share, from 0 to 1.
    pub used: f64,
    /// Free bytes, where it tells.
    pub available_bytes: Option<u64>,
}

/// The state of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// It runs, as far as the platform knows.
    Running,
    /// It is being started, or restarted.
    Starting,
    /// It is being stopped.
    Stopping,
    /// It does not run.
    Stopped,
    /// The platform gave up on it, or it ended with an error.
    Failed,
    /// The platform's word is not one that pgmedic knows.
    #[default]
    Unknown,
}

/// How an instance ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// When.
    pub at: Option<Timestamp>,
    /// Exit code.
    pub code: Option<i64>,
    /// The signal that ended it.
    pub signal: Option<i64>,
    /// The kernel killed something in it for want of memory.
    pub out_of_memory: bool,
    /// Somebody asked for it.
    pub requested: bool,
}

/// A health check of the platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub status: CheckStatus,
    /// What it printed, masked, at most 400 characters.
    pub output: String,
    /// When it last ran.
    pub updated_at: Option<Timestamp>,
}

/// How a health check stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckStatus {
    /// Well.
    Passing,
    /// Not quite.
    Warning,
    /// Not well.
    Critical,
    /// Another word.
    #[default]
    Unknown,
}

/// A volume of a platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformVolume {
    /// What the platform knows it by; actions name it so.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The instance that it is attached to.
    pub instance: Option<String>,
    /// The platform's own word for its state.
    pub word: String,
    /// The size that is paid for, in bytes.
    pub size_bytes: Option<u64>,
    /// The filesystem in it, where the platform tells.
    pub filesystem: Option<VolumeView>,
    /// What a person would type to extend it; `{size_gb}` stands for the new size. Empty where there is none.
    #[serde(default)]
    pub extend_by: String,
}
