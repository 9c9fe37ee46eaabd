//! What the configuration promises, held against what pgmedic can see: each right with what was found, what cannot be done
//! without it, and the line that grants it. One file for each kind of right; what a walk saw is read by pure functions.
//! Not in here: walking (`commands::doctor`), and whether the service is well, which is `check`'s.

mod api;
mod commands;
mod files;
#[cfg(test)]
mod fixture;
mod here;
mod host;
mod login;
mod platform;
mod pooler;
mod rescue;
mod role;

pub(crate) use here::here;
use pgmedic_model::{Deed, Ms, RemedyKind, Timestamp};
use pgmedic_path::{Evidence, Service};
use serde::Serialize;

/// The whole account: `pgmedic.doctor/1`.
#[derive(Debug, Serialize)]
pub(crate) struct Account {
    pub(crate) schema: &'static str,
    pub(crate) pgmedic: &'static str,
    pub(crate) status: Standing,
    /// Each service, in the order of the configuration.
    pub(crate) services: Vec<Looked>,
    /// What belongs to no service: the state folder, and what `[watch]` names.
    pub(crate) here: Vec<Check>,
}

/// One service.
#[derive(Debug, Serialize)]
pub(crate) struct Looked {
    pub(crate) service: String,
    pub(crate) target: String,
    pub(crate) started_at: Timestamp,
    pub(crate) elapsed_ms: Ms,
    pub(crate) status: Standing,
    pub(crate) checks: Vec<Check>,
}

/// What the rights come to. In the order of how bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Standing {
    /// All that is promised is there.
    Ok,
    /// Something lacks.
    Lacking,
    /// No way in led to the server.
    Unreached,
}

/// How a right stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// It is there.
    Ok,
    /// It was looked for and is not there.
    Missing,
    /// It could not be found out.
    NotSeen,
    /// The configuration does not ask for it.
    NotConfigured,
}

/// One right.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    /// Which: kebab-case, stable.
    pub(crate) right: &'static str,
    /// What was looked at.
    pub(crate) looked: String,
    pub(crate) state: State,
    /// False where nothing that is promised hangs on it: then it does not count.
    pub(crate) needed: bool,
    /// What was found.
    pub(crate) said: String,
    /// What pgmedic cannot see or mend without it. Empty where it is there.
    pub(crate) without: &'static str,
    /// The lines that grant it.
    pub(crate) grants: Vec<Grant>,
    /// What to know before granting it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) note: &'static str,
}

/// A line that grants a right.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Grant {
    pub(crate) by: By,
    /// Where: a database, a file, this host.
    pub(crate) place: String,
    pub(crate) line: String,
}

/// Who takes a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum By {
    /// psql, as a superuser, in the database that `place` names.
    Sql,
    /// A shell.
    Shell,
    /// A file: the line is to stand in it.
    File,
}

/// What is read: a service, and what was seen of it.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) service: &'a Service,
    pub(crate) evidence: &'a Evidence,
    /// The walk by the rescue role.
    pub(crate) rescue: Option<&'a Evidence>,
    /// The commands of `[service.platform]`.
    pub(crate) commands: &'a [(Deed, Vec<String>)],
    /// The user that pgmedic runs as.
    pub(crate) user: &'a str,
}

impl Subject<'_> {
    /// The policy lets `watch` do this by itself.
    pub(crate) fn auto(&self, kind: RemedyKind) -> bool {
        self.service.policy.auto.contains(&kind)
    }
}

/// Everything of a service.
pub(crate) fn looked(subject: Subject<'_>) -> Looked {
    let e = subject.evidence;
    let mut checks = login::checks(subject);
    for more in [
        role::checks(subject),
        rescue::checks(subject),
        pooler::checks(subject),
        api::checks(subject),
        platform::checks(subject),
        host::checks(subject),
        commands::checks(subject),
    ] {
        checks.extend(more);
    }
    let status = if login::reached(e) { standing(&checks) } else { Standing::Unreached };
    Looked {
        service: e.service.clone(),
        target: e.target.url.clone(),
        started_at: e.started_at,
        elapsed_ms: e.elapsed_ms,
        status,
        checks,
    }
}

/// The worst of services and of what belongs to none.
pub(crate) fn account(services: Vec<Looked>, here: Vec<Check>) -> Account {
    let worst = services.iter().map(|looked| looked.status).max().unwrap_or(Standing::Ok);
    Account {
        schema: "pgmedic.doctor/1",
        pgmedic: env!("CARGO_PKG_VERSION"),
        status: worst.max(standing(&here)),
        services,
        here,
    }
}

fn standing(checks: &[Check]) -> Standing {
    if checks.iter().any(Check::lacks) { Standing::Lacking } else { Standing::Ok }
}

impl Check {
    fn new(right: &'static str, looked: impl Into<String>, state: State, said: impl Into<String>) -> Self {
        let (looked, said) = (looked.into(), said.into());
        Self { right, looked, state, needed: true, said, without: "", grants: Vec::new(), note: "" }
    }

    fn ok(right: &'static str, looked: impl Into<String>, said: impl Into<String>) -> Self {
        Self::new(right, looked, State::Ok, said)
    }

    fn missing(
        right: &'static str,
        looked: impl Into<String>,
        said: impl Into<String>,
        without: &'static str,
    ) -> Self {
        Self { without, ..Self::new(right, looked, State::Missing, said) }
    }

    fn not_seen(
        right: &'static str,
        looked: impl Into<String>,
        said: impl Into<String>,
        without: &'static str,
    ) -> Self {
        Self { without, ..Self::new(right, looked, State::NotSeen, said) }
    }

    fn not_configured(right: &'static str, looked: impl Into<String>, without: &'static str) -> Self {
        let check = Self::new(right, looked, State::NotConfigured, "not configured");
        Self { without, needed: false, ..check }
    }

    fn grant(mut self, by: By, place: impl Into<String>, line: impl Into<String>) -> Self {
        self.grants.push(Grant { by, place: place.into(), line: line.into() });
        self
    }

    fn granted_by(mut self, grants: Vec<Grant>) -> Self {
        self.grants.extend(grants);
        self
    }

    fn needed(self, needed: bool) -> Self {
        Self { needed, ..self }
    }

    fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    /// True where something that is promised is not there, or not known to be.
    pub(crate) fn lacks(&self) -> bool {
        self.needed && matches!(self.state, State::Missing | State::NotSeen)
    }
}

/// A line for a shell of this host.
fn shell(line: impl Into<String>) -> Grant {
    Grant { by: By::Shell, place: "this host".to_owned(), line: line.into() }
}
