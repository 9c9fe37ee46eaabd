//! A finding: a cause that the evidence shows, with the facts that show it and what mends it.

use crate::{Room, Timestamp};
use serde::{Deserialize, Serialize};

/// How bad it is. Ordered: `Critical` is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Works, but needs mending.
    Warning,
    /// The service cannot use its database.
    Critical,
}

/// How sure the diagnosis is. Ordered: `Certain` is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// The evidence fits, and fits other causes as well.
    Possible,
    /// The evidence fits this best; something that would prove it was not seen.
    Likely,
    /// The evidence proves it.
    Certain,
}

/// A finding's place among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The failure itself; one for each independent failure.
    Root,
    /// Explained by a root.
    Symptom,
    /// Made a root worse or nearer, without being it.
    Contributing,
}

/// Where a fact comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Walked: a lookup of a name.
    Dns,
    /// Walked: a TCP or unix-socket attempt.
    Tcp,
    /// Walked: the first bytes of the peer.
    Bytes,
    /// Walked: the TLS handshake.
    Tls,
    /// Walked: the startup exchange.
    Startup,
    /// Reported: the server's views.
    Sql,
    /// Reported: the API over HTTP.
    Http,
    /// Reported: the pooler's console.
    Pooler,
    /// Window: log lines.
    Log,
    /// Window: this host (`/proc`, filesystems).
    Host,
    /// Window: a platform's API.
    Platform,
}

impl Source {
    /// How evidence of this source was come by: `walked`, `reported` or `window`.
    #[must_use]
    pub const fn way(self) -> &'static str {
        match self {
            Self::Dns | Self::Tcp | Self::Bytes | Self::Tls | Self::Startup => "walked",
            Self::Sql | Self::Http | Self::Pooler => "reported",
            Self::Log | Self::Host | Self::Platform => "window",
        }
    }
}

/// One piece of evidence: what was seen, where, when, and how it was come by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// What told it.
    pub source: Source,
    /// `walked`, `reported` or `window`.
    pub way: String,
    /// When it was seen.
    pub at: Timestamp,
    /// Where: an address, a path, a view.
    pub place: String,
    /// The fact, in one sentence.
    pub fact: String,
    /// The value in it that a machine would compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
}

impl Fact {
    /// A fact without a value.
    #[must_use]
    pub fn new(source: Source, at: Timestamp, place: impl Into<String>, fact: impl Into<String>) -> Self {
        let way = source.way().to_owned();
        Self { source, way, at, place: place.into(), fact: fact.into(), value: None }
    }

    /// The same with the value that a machine would compare.
    #[must_use]
    pub fn value(mut self, value: impl Into<serde_json::Value>) -> Self {
        self.value = Some(value.into());
        self
    }
}

/// A cause that the evidence cannot rule out, and what would decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alternative {
    /// The other cause's id.
    pub cause: String,
    /// What would decide between the two.
    pub decided_by: String,
}

/// The kinds of remedy, least disruptive first. Permission is by name, never by rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemedyKind {
    /// A command for a person.
    Advice,
    /// Cancel or terminate chosen sessions, resume a pooler.
    Sessions,
    /// A reloadable setting.
    Settings,
    /// Extend a volume.
    Storage,
    /// Restart the API, one machine at a time.
    AppRestart,
    /// Restart the proxy.
    ProxyRestart,
    /// Restart the database.
    DbRestart,
}

impl RemedyKind {
    /// Every kind, least disruptive first.
    pub const ALL: [Self; 7] = [
        Self::Advice,
        Self::Sessions,
        Self::Settings,
        Self::Storage,
        Self::AppRestart,
        Self::ProxyRestart,
        Self::DbRestart,
    ];

    /// The kind's name in configuration and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Advice => "advice",
            Self::Sessions => "sessions",
            Self::Settings => "settings",
            Self::Storage => "storage",
            Self::AppRestart => "app-restart",
            Self::ProxyRestart => "proxy-restart",
            Self::DbRestart => "db-restart",
        }
    }
}

/// What would mend a finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemedyPlan {
    /// The remedy's id, `terminate-idle-sessions`.
    pub remedy: String,
    /// Its kind.
    pub kind: RemedyKind,
    /// True where pgmedic can apply it by itself.
    pub automatic: bool,
    /// What it would do, in one sentence with numbers.
    pub plan: String,
    /// A command to paste: `pgmedic fix … --only …` where pgmedic can apply it by itself.
    pub command: String,
    /// The same without pgmedic, where `command` is pgmedic's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by_hand: String,
    /// What it does, exactly. None where only a person may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<crate::Action>,
}

impl RemedyPlan {
    /// A remedy for a person to apply by hand.
    #[must_use]
    pub fn by_hand(
        remedy: &str,
        kind: RemedyKind,
        plan: impl Into<String>,
        command: impl Into<String>,
    ) -> Self {
        let (plan, command) = (plan.into(), command.into());
        Self {
            remedy: remedy.to_owned(),
            kind,
            automatic: false,
            plan,
            command,
            by_hand: String::new(),
            action: None,
        }
    }

    /// The same, where it can be done for a person. Whether it can be here is for `pgmedic_path::able` to say.
    #[must_use]
    pub fn doing(mut self, action: crate::Action) -> Self {
        self.action = Some(action);
        self
    }
}

/// A cause that the evidence shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The cause's id.
    pub cause: String,
    /// The room it is in.
    pub room: Room,
    /// Its place among the others; given by the diagnosis, `Root` until then.
    pub role: Role,
    /// How bad it is.
    pub severity: Severity,
    /// How sure the diagnosis is.
    pub confidence: Confidence,
    /// The cause in one sentence, with names and numbers.
    pub summary: String,
    /// The facts that show it; never empty.
    pub evidence: Vec<Fact>,
    /// Ids of the findings that this one explains.
    pub explains: Vec<String>,
    /// Other causes that the evidence cannot rule out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
    /// What would mend it, least disruptive first.
    pub remedies: Vec<RemedyPlan>,
}

impl Finding {
    /// A finding on its first fact: without one there is no finding.
    #[must_use]
    pub fn new(
        cause: &str,
        room: Room,
        severity: Severity,
        confidence: Confidence,
        summary: impl Into<String>,
        proof: Fact,
    ) -> Self {
        Self {
            cause: cause.to_owned(),
            room,
            role: Role::Root,
            severity,
            confidence,
            summary: summary.into(),
            evidence: vec![proof],
            explains: Vec::new(),
            alternatives: Vec::new(),
            remedies: Vec::new(),
        }
    }

    /// Adds a fact.
    #[must_use]
    pub fn and(mut self, fact: Fact) -> Self {
        self.evidence.push(fact);
        self
    }

    /// Adds facts.
    #[must_use]
    pub fn and_all(mut self, facts: impl IntoIterator<Item = Fact>) -> Self {
        self.evidence.extend(facts);
        self
    }

    /// Adds a cause that cannot be ruled out.
    #[must_use]
    pub fn or_else(mut self, cause: &str, decided_by: impl Into<String>) -> Self {
        self.alternatives.push(Alternative { cause: cause.to_owned(), decided_by: decided_by.into() });
        self
    }

    /// Adds a remedy.
    #[must_use]
    pub fn mended_by(mut self, remedy: RemedyPlan) -> Self {
        self.remedies.push(remedy);
        self
    }
}
