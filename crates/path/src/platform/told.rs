//! What a platform tells of the API's and the database's instances, volumes and logs, in words of no platform.

use super::evidence::{ServerLogView, VolumeView};
use crate::evidence::Seen;
use crate::rooms::app::evidence::LogEvidence;
use pgmedic_model::{Ms, Timestamp};
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
}
