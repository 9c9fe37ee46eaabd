//! What the server's next start would meet: files that a running server has read once and a start reads anew.
//!
//! A reload passes a broken file over in silence; a start ends at it. So this is asked before anything is restarted and
//! by an audit, never by a check. Prepared transactions and settings that wait for a restart stand in
//! [`crate::sql::facts`], free bytes and inodes and the key file in [`crate::platform::evidence`]. Not in here: asking
//! (`sql::preflight`), and what follows from it (the latent causes).

use crate::evidence::Seen;
use pgmedic_model::{Ms, Timestamp};
use serde::{Deserialize, Serialize};

/// What the server tells of its files and of what a restart would interrupt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preflight {
    /// When it was asked.
    pub at: Timestamp,
    /// How long that took.
    pub elapsed_ms: Ms,
    /// The way in that it was asked on: an address.
    pub place: String,
    /// Lines of pg_hba.conf that cannot be read (`pg_hba_file_rules.error`), or why the file cannot.
    pub hba: Seen<Vec<BrokenLine>>,
    /// Settings of the configuration files that a start would refuse (`pg_file_settings.error`). One that is good and
    /// merely waits for a restart is not among them.
    pub settings: Seen<Vec<BrokenLine>>,
    /// Names of settings that are on disk and come into force with a restart (`pg_settings.pending_restart`).
    pub pending_restart: Vec<String>,
    /// Base backups that a restart would end (`pg_stat_progress_basebackup`, Postgres 13+).
    pub base_backups: Seen<Vec<BaseBackup>>,
    /// The role may ask for the rules of pg_hba.conf.
    #[serde(default)]
    pub may_hba: bool,
}

/// A line of a configuration file that a start would refuse.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenLine {
    /// The file, as the server names it. None where it does not say (pg_hba.conf before Postgres 16).
    pub file: Option<String>,
    /// The line, counted from 1.
    pub line: Option<u64>,
    /// The setting. None for pg_hba.conf and for what is no setting. Its value is not kept: it may be a secret.
    pub setting: Option<String>,
    /// What the server says of it.
    pub error: String,
}

/// A base backup under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseBackup {
    /// The walsender's pid.
    pub pid: i32,
    /// Bytes streamed so far. None where the role may not see it.
    pub streamed_bytes: Option<u64>,
    /// Bytes in all, where the backup estimates them.
    pub total_bytes: Option<u64>,
}
