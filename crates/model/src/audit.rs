//! An audit: what will break a service that is well, nearest first, and the statement or line that mends it.
//! `schema: "pgmedic.audit/1"`. Not in here: what counts as weak (`pgmedic_path::audit`).

use crate::{Budget, Confidence, Fact, Ms, Room, Severity, Status, Timestamp};
use serde::{Deserialize, Serialize};

/// When it breaks: the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nearness {
    /// It is broken, or breaks while this is read.
    Now,
    /// Within a week, by a date or at the rate that was seen.
    Days,
    /// When the service does more of what it does: the next peak, scale-out or rolling deploy.
    Load,
    /// At the server's next start.
    Restart,
    /// Within two months.
    Weeks,
    /// When something else fails: a client that vanishes, a consumer that stays away, a query gone wild.
    Fault,
    /// Nobody knows when.
    SomeDay,
}

impl Nearness {
    /// In the words of a report.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Days => "within days",
            Self::Load => "at the next peak or deploy",
            Self::Restart => "at the server's next start",
            Self::Weeks => "within weeks",
            Self::Fault => "at the next fault of something else",
            Self::SomeDay => "some day",
        }
    }
}

/// What a change is made to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Object {
    /// The kind.
    pub kind: ObjectKind,
    /// Its name: the role, the database (`role in database` both), the file, the part. Empty for the server.
    pub name: String,
}

/// The kinds of object, in the order of a diff.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectKind {
    /// A role.
    Role,
    /// A database.
    Database,
    /// The server's own settings.
    Server,
    /// A file of configuration.
    File,
    /// The API, its pool, its deployment.
    Service,
}

impl ObjectKind {
    /// As a diff names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Database => "database",
            Self::Server => "server",
            Self::File => "file",
            Self::Service => "service",
        }
    }
}

/// Who or what makes a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// A statement of `audit --sql`.
    Sql,
    /// A line in a file.
    Line,
    /// A person who decides or does something that is no line.
    Person,
}

/// What a change needs to come into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Needs {
    /// Nothing: it holds at once.
    Nothing,
    /// Sessions that begin after it.
    NewSessions,
    /// A reload of the server's, or the proxy's, configuration.
    Reload,
    /// A restart of the server.
    ServerRestart,
    /// A deploy or a restart of the API.
    Deploy,
}

impl Needs {
    /// In the words of a report.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Nothing => "holds at once",
            Self::NewSessions => "holds for new sessions",
            Self::Reload => "needs a reload",
            Self::ServerRestart => "needs a restart of the server",
            Self::Deploy => "needs a deploy of the API",
        }
    }
}

/// How much a statement can upset: the order of `audit --sql`, safest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// It adds something that nobody uses yet.
    #[default]
    Adds,
    /// It bounds what only goes wrong: a connection that is dead, a transaction that idles.
    Bounds,
    /// It may refuse or end what was let be until now.
    Limits,
    /// It takes a right away.
    Privilege,
}

/// One change that mends a weakness, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What is changed.
    pub object: Object,
    /// The setting or attribute.
    pub setting: String,
    /// As it is.
    pub current: String,
    /// As it should be.
    pub advised: String,
    /// Who makes it.
    pub by: By,
    /// The statement, the line, or what a person does.
    pub statement: String,
    /// What takes it back. Empty where a person's change has no line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub undo: String,
    /// What it needs to come into force.
    pub needs: Needs,
    /// How much a statement can upset.
    #[serde(default)]
    pub risk: Risk,
    /// What to bear in mind. Empty where there is nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// One weakness that the evidence shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditFinding {
    /// The weakness's id; for what is broken already and for latent causes, the cause's.
    pub weakness: String,
    /// The room it is in.
    pub room: Room,
    /// `critical` where the service loses its database by it, `warning` where it loses time or a safeguard.
    pub severity: Severity,
    /// How sure that is.
    pub confidence: Confidence,
    /// When it breaks.
    pub nearness: Nearness,
    /// By when, where there is a date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaks_at: Option<Timestamp>,
    /// The weakness in one sentence, with names and numbers.
    pub summary: String,
    /// What breaks first, in one sentence.
    pub breaks: String,
    /// The facts that show it; never empty.
    pub evidence: Vec<Fact>,
    /// What mends it, the best first; never empty.
    pub changes: Vec<Change>,
}

impl AuditFinding {
    /// A finding on its first fact: a likely warning of some day, until more is said of it.
    #[must_use]
    pub fn new(weakness: &str, room: Room, summary: impl Into<String>, proof: Fact) -> Self {
        Self {
            weakness: weakness.to_owned(),
            room,
            severity: Severity::Warning,
            confidence: Confidence::Certain,
            nearness: Nearness::SomeDay,
            breaks_at: None,
            summary: summary.into(),
            breaks: String::new(),
            evidence: vec![proof],
            changes: Vec::new(),
        }
    }

    /// When it breaks, and what breaks first then.
    #[must_use]
    pub fn breaks(mut self, nearness: Nearness, what: impl Into<String>) -> Self {
        (self.nearness, self.breaks) = (nearness, what.into());
        self
    }

    /// It breaks by then. `now` is when it was looked at: the nearness follows from both.
    #[must_use]
    pub fn breaks_by(mut self, now: Timestamp, then: Timestamp, what: impl Into<String>) -> Self {
        const DAY_MS: i64 = 86_400_000;
        self.nearness = match then.0.saturating_sub(now.0) {
            left if left <= 0 => Nearness::Now,
            left if left <= 7 * DAY_MS => Nearness::Days,
            left if left <= 60 * DAY_MS => Nearness::Weeks,
            _ => Nearness::SomeDay,
        };
        (self.breaks_at, self.breaks) = (Some(then), what.into());
        self
    }

    /// How bad, and how sure.
    #[must_use]
    pub const fn weighs(mut self, severity: Severity, confidence: Confidence) -> Self {
        (self.severity, self.confidence) = (severity, confidence);
        self
    }

    /// Adds facts.
    #[must_use]
    pub fn and_all(mut self, facts: impl IntoIterator<Item = Fact>) -> Self {
        self.evidence.extend(facts);
        self
    }

    /// Adds what mends it.
    #[must_use]
    pub fn mended_by(mut self, changes: impl IntoIterator<Item = Change>) -> Self {
        self.changes.extend(changes);
        self
    }
}

/// Where a quantity that grows is going.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// What grows: `data volume /data`, `slot 'replica'`, `transaction age of database 'app'`.
    pub subject: String,
    /// The unit of the numbers: `bytes`, `transactions`.
    pub unit: String,
    /// As it was at the last look.
    pub value: f64,
    /// Where it ends. None where that is not seen.
    pub limit: Option<f64>,
    /// Growth in units a second over the looks. None of one look.
    pub per_second: Option<f64>,
    /// How many looks the rate is from.
    pub looks: u64,
    /// How many of them are from the daemon's history.
    #[serde(default)]
    pub watch_looks: u64,
    /// From the first of these looks to the last.
    pub over_ms: Ms,
    /// What it rests on, in words: `3.0 days of watch's history, 214 looks, and this one`.
    #[serde(default)]
    pub rests_on: String,
    /// When it ends at this rate. None where it does not grow, or within a year does not end, or that cannot be said.
    pub ends_at: Option<Timestamp>,
    /// Between when and when, by how unevenly it grew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub between: Option<(Timestamp, Timestamp)>,
    /// How sure that is; `certain` never.
    pub confidence: Option<Confidence>,
    /// In one sentence: `full on Thursday about 14:00 UTC at this rate`, or why it cannot be said.
    pub says: String,
}

/// The report of one audit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditReport {
    /// `pgmedic.audit/1`.
    pub schema: String,
    /// The service's name.
    pub service: String,
    /// The address that was walked, without secrets.
    pub target: String,
    /// When the walk began.
    pub started_at: Timestamp,
    /// How long it took, all looks together.
    pub elapsed_ms: Ms,
    /// The verdict.
    pub status: Status,
    /// What was found, nearest first.
    pub findings: Vec<AuditFinding>,
    /// The connection budget, as far as it is known.
    pub budget: Option<Budget>,
    /// Where what grows is going.
    pub forecast: Vec<Forecast>,
    /// What could not be seen, and what would let pgmedic see it.
    pub unseen: Vec<String>,
}

impl AuditReport {
    /// The schema's name.
    pub const SCHEMA: &'static str = "pgmedic.audit/1";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Source;

    #[test]
    fn a_date_decides_how_near_it_is() {
        let now = Timestamp(1_795_403_529_000);
        let fact = Fact::new(Source::Tls, now, "here", "it");
        let at = |days: i64| {
            let then = Timestamp(now.0 + days * 86_400_000);
            AuditFinding::new("x", Room::Tls, "it ends", fact.clone()).breaks_by(now, then, "all").nearness
        };
        assert_eq!(
            [at(-1), at(3), at(30), at(100)],
            [Nearness::Now, Nearness::Days, Nearness::Weeks, Nearness::SomeDay]
        );
        assert!(Nearness::Days < Nearness::Load && Nearness::Load < Nearness::Restart);
    }
}
