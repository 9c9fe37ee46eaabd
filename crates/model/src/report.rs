//! The report: the path, room by room, and the findings. `schema: "pgmedic.report/1"`.

use crate::{Finding, Ms, Role, Room, RoomStatus, Severity, Timestamp};
use serde::{Deserialize, Serialize};

/// The verdict on a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Everything that could be seen is well.
    Ok,
    /// Works, with something to mend.
    Warning,
    /// The service cannot use its database.
    Critical,
    /// Too little could be seen to say.
    Unknown,
}

impl Status {
    /// The status as it stands in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }
}

/// One room of the path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoomReport {
    /// The room.
    pub room: Room,
    /// What was found in it.
    pub status: RoomStatus,
    /// Time spent in it; 0 where it was not entered.
    pub elapsed_ms: Ms,
    /// One line.
    pub summary: String,
}

/// The report of one check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `pgmedic.report/1`.
    pub schema: String,
    /// The service's name.
    pub service: String,
    /// The address that was walked, without secrets.
    pub target: String,
    /// When the walk began.
    pub started_at: Timestamp,
    /// How long it took.
    pub elapsed_ms: Ms,
    /// The verdict.
    pub status: Status,
    /// The ten rooms, outside in.
    pub path: Vec<RoomReport>,
    /// The same walk around the proxy, where `direct` is configured: the rooms from dns to startup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub direct: Vec<RoomReport>,
    /// What was found: roots first, then contributing, then symptoms.
    pub findings: Vec<Finding>,
    /// What could not be seen, and what would let pgmedic see it.
    pub unseen: Vec<String>,
}

impl Report {
    /// The schema's name.
    pub const SCHEMA: &'static str = "pgmedic.report/1";

    /// The root findings, worst first.
    pub fn roots(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.role == Role::Root)
    }

    /// The verdict that findings give: the worst severity among them.
    #[must_use]
    pub fn verdict(findings: &[Finding]) -> Status {
        match findings.iter().map(|f| f.severity).max() {
            None => Status::Ok,
            Some(Severity::Warning) => Status::Warning,
            Some(Severity::Critical) => Status::Critical,
        }
    }
}
