//! What a remedy does: a value that names its exact targets, so that it can be shown before it is done, written down, and
//! held to what was looked at. Not in here: whether it may be done (`pgmedic_path::plan`), and doing it.

use serde::{Deserialize, Serialize};

/// A session, by what was seen of it. The pid is reused, the pair with `backend_start` is not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionRef {
    /// `pid`.
    pub pid: i32,
    /// `backend_start`, UTC, with its zone.
    pub backend_start: String,
    /// `application_name`.
    pub application_name: String,
    /// `usename`.
    pub usename: String,
    /// `state`, as it was seen.
    pub state: String,
    /// How long it had been in that state, in ms.
    pub state_ms: f64,
    /// `state_change`, UTC, with its zone: whatever it does sets it anew.
    #[serde(default)]
    pub state_change: String,
}

/// The class of sessions that a remedy ends: one that has left it between the look and the act is let live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionClass {
    /// `idle`, without advisory locks.
    Idle,
    /// `idle in transaction` or its aborted form.
    IdleInTransaction,
    /// `active`, at the statement that was seen.
    Active,
    /// At rest, and its client is known to be gone.
    Ghost,
}

/// A limit that a statement can raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitOf {
    /// `ALTER ROLE … CONNECTION LIMIT`.
    Role,
    /// `ALTER DATABASE … CONNECTION LIMIT`.
    Database,
}

/// What a remedy does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Action {
    /// `pg_cancel_backend` on exactly these sessions, while each runs what it was seen to run.
    Cancel {
        /// Whose statements.
        sessions: Vec<SessionRef>,
    },
    /// `pg_terminate_backend` on exactly these sessions, while each is still of the class.
    Terminate {
        /// Which.
        sessions: Vec<SessionRef>,
        /// Of which class.
        class: SessionClass,
        /// No more are ended once no more than so many client backends, pgmedic's own not counted, are left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        down_to: Option<u64>,
    },
    /// PgBouncer's `RESUME`, of one database or of all.
    ResumePooler {
        /// The database; None for all.
        database: Option<String>,
    },
    /// PgBouncer's `ENABLE`.
    EnablePooler {
        /// The database.
        database: String,
    },
    /// A CONNECTION LIMIT, raised. The old value is kept for the undo.
    RaiseLimit {
        /// Whose.
        of: LimitOf,
        /// The role or the database.
        name: String,
        /// What it is.
        from: i64,
        /// What it becomes.
        to: i64,
    },
    /// The API's instances, one after the other, the next only when the one before is ready.
    RestartApi,
    /// The proxy or pooler.
    RestartProxy,
    /// The database, which does not run.
    StartDb,
    /// The database, which runs.
    RestartDb,
    /// A volume, grown. It never shrinks again.
    ExtendVolume {
        /// What the platform knows it by.
        volume: String,
        /// Its size, in GB, as far as it is known.
        from_gb: Option<u64>,
        /// What it becomes, in GB.
        to_gb: u64,
        /// It holds the data directory. Hands that know one volume alone, under a name of their own, mean that one.
        #[serde(default)]
        of_data: bool,
    },
}

/// What somebody with hands can be asked to do: a platform, or commands of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// Restart an instance of the API.
    RestartApi,
    /// Restart the proxy or pooler.
    RestartProxy,
    /// Start the database.
    StartDb,
    /// Restart the database.
    RestartDb,
    /// Extend the database's volume.
    ExtendVolume,
}

impl Action {
    /// The deed that it needs somebody's hands for. None where a session or a console does it.
    #[must_use]
    pub const fn deed(&self) -> Option<Deed> {
        match self {
            Self::RestartApi => Some(Deed::RestartApi),
            Self::RestartProxy => Some(Deed::RestartProxy),
            Self::StartDb => Some(Deed::StartDb),
            Self::RestartDb => Some(Deed::RestartDb),
            Self::ExtendVolume { .. } => Some(Deed::ExtendVolume),
            Self::Cancel { .. }
            | Self::Terminate { .. }
            | Self::ResumePooler { .. }
            | Self::EnablePooler { .. }
            | Self::RaiseLimit { .. } => None,
        }
    }

    /// The sessions that it ends or cancels; empty for what touches none by itself.
    #[must_use]
    pub fn sessions(&self) -> &[SessionRef] {
        match self {
            Self::Cancel { sessions } | Self::Terminate { sessions, .. } => sessions,
            _ => &[],
        }
    }

    /// Whom it acts on, in words.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::Cancel { sessions } | Self::Terminate { sessions, .. } => match sessions.as_slice() {
                [one] => format!("pid {} of {} as {}", one.pid, one.application(), one.usename),
                several => format!("{} sessions", several.len()),
            },
            Self::ResumePooler { database: None } => "the pooler".to_owned(),
            Self::ResumePooler { database: Some(name) } | Self::EnablePooler { database: name } => {
                format!("the pooler's database {name}")
            }
            Self::RaiseLimit { of: LimitOf::Role, name, .. } => format!("role {name}"),
            Self::RaiseLimit { of: LimitOf::Database, name, .. } => format!("database {name}"),
            Self::RestartApi => "the API".to_owned(),
            Self::RestartProxy => "the proxy".to_owned(),
            Self::StartDb | Self::RestartDb => "the database".to_owned(),
            Self::ExtendVolume { volume, .. } => format!("volume {volume}"),
        }
    }
}

impl SessionRef {
    /// `application_name`, or words for none.
    #[must_use]
    pub fn application(&self) -> &str {
        if self.application_name.is_empty() { "no application_name" } else { &self.application_name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_reads_back_as_it_was_written() {
        let one = SessionRef { pid: 7, usename: "app".into(), ..SessionRef::default() };
        for action in [
            Action::Terminate { sessions: vec![one.clone()], class: SessionClass::Idle, down_to: None },
            Action::RestartApi,
            Action::ExtendVolume { volume: "vol_1".into(), from_gb: Some(3), to_gb: 5, of_data: true },
        ] {
            let text = serde_json::to_string(&action).unwrap();
            assert_eq!(serde_json::from_str::<Action>(&text).unwrap(), action);
        }
        assert_eq!(Action::Cancel { sessions: vec![one] }.target(), "pid 7 of no application_name as app");
    }
}
