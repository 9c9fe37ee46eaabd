//! The evidence of one walk: a serialisable value that `--record` writes, `--replay` diagnoses and tests are built on.

use crate::audit::facts::AuditFacts;
use crate::audit::growth::{Look, Series};
use crate::identity::Expected;
use crate::platform::evidence::HostEvidence;
use crate::platform::told::PlatformEvidence;
use crate::preflight::Preflight;
use crate::rooms::app::evidence::AppEvidence;
use crate::rooms::dns::evidence::DnsEvidence;
use crate::rooms::network::evidence::NetworkEvidence;
use crate::rooms::proxy::evidence::{PoolerEvidence, ProxyEvidence};
use crate::rooms::startup::evidence::{StartupEvidence, StartupOutcome};
use crate::rooms::tls::evidence::TlsEvidence;
use crate::sql::facts::SqlFacts;
use pgmedic_model::{BudgetPlan, Deed, Ms, Policy, ServerError, SqlState, SslMode, Timestamp};
use serde::{Deserialize, Serialize};

#[cfg(test)]
pub(crate) mod fixture;

/// Something that was looked at, or the reason why it was not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen<T> {
    /// What was seen.
    Seen(T),
    /// Why it was not looked at, and what would let pgmedic look.
    NotSeen(String),
}

impl<T> Seen<T> {
    /// What was seen, if it was.
    pub const fn get(&self) -> Option<&T> {
        match self {
            Self::Seen(value) => Some(value),
            Self::NotSeen(_) => None,
        }
    }
}

/// Everything one walk saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// `pgmedic.evidence/1`.
    pub schema: String,
    /// The version of pgmedic that walked.
    pub pgmedic: String,
    /// The service's name.
    pub service: String,
    /// The service stands in a configuration under that name.
    #[serde(default)]
    pub named: bool,
    /// When the walk began.
    pub started_at: Timestamp,
    /// How long the whole walk took.
    pub elapsed_ms: Ms,
    /// `--timeout`.
    pub timeout_ms: Ms,
    /// The target, without secrets.
    pub target: TargetView,
    /// The service's policy: thresholds that the diagnosis uses.
    pub policy: Policy,
    /// The server that is expected behind the service's name, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
    /// The API.
    pub app: AppEvidence,
    /// The way in that the API takes.
    pub front: RouteEvidence,
    /// The way around the proxy.
    pub direct: Seen<RouteEvidence>,
    /// The way in by a role that may use reserved slots; only tried when the ordinary way is refused for want of slots.
    pub rescue: Seen<RouteEvidence>,
    /// The standing session, where one is kept: its earlier stages are those of when it was opened; of one that is over,
    /// only the name and the network, with what it came to in the query's place.
    #[serde(default = "not_kept")]
    pub standing: Seen<RouteEvidence>,
    /// A rescue role is configured, whether it was needed or not.
    #[serde(default)]
    pub rescue_configured: bool,
    /// The pooler's console.
    pub pooler: Seen<PoolerEvidence>,
    /// What this host shows of the database or the API.
    pub host: Seen<HostEvidence>,
    /// What the platform tells of the API and the database.
    #[serde(default = "not_asked")]
    pub platform: Seen<PlatformEvidence>,
    /// What the server's next start would meet, where the walk was asked to look ahead.
    #[serde(default = "not_asked")]
    pub preflight: Seen<Preflight>,
    /// What would break a service that is well, where the walk was an audit's.
    #[serde(default = "not_asked")]
    pub audit: Seen<AuditFacts>,
    /// What the configuration says of the API's deployment.
    #[serde(default)]
    pub budget: BudgetPlan,
    /// Earlier looks at what grows, the oldest first; this walk's own is not among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Look>,
    /// What the daemon saw of what grows before these looks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Series>,
    /// What could be done for the service by whoever has hands for it. Nothing of it is asked for by a walk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<Deed>,
}

/// In a recording of a pgmedic that did not ask.
fn not_asked<T>() -> Seen<T> {
    Seen::NotSeen("the recording has none".to_owned())
}

/// In a recording of a pgmedic that kept no session.
fn not_kept<T>() -> Seen<T> {
    Seen::NotSeen("none is kept".to_owned())
}

impl Evidence {
    /// The schema's name.
    pub const SCHEMA: &'static str = "pgmedic.evidence/1";

    /// The routes that were walked, the front first, each with its name: `front`, `direct`, `rescue`; and `standing`, which
    /// was not walked but looked through.
    pub fn routes(&self) -> impl Iterator<Item = (&'static str, &RouteEvidence)> {
        std::iter::once(("front", &self.front))
            .chain(self.direct.get().map(|r| ("direct", r)))
            .chain(self.rescue.get().map(|r| ("rescue", r)))
            .chain(self.standing.get().map(|r| ("standing", r)))
    }

    /// The server's own account of itself: the latest, or of those that came together the first route's.
    #[must_use]
    pub fn facts(&self) -> Option<&SqlFacts> {
        self.told().map(|(facts, ..)| facts)
    }

    /// The same with when and where it was told, for citing it.
    #[must_use]
    pub fn told(&self) -> Option<(&SqlFacts, Timestamp, &str)> {
        let told = self.routes().filter_map(|(_, r)| match &r.query {
            Some(QueryEvidence { at, outcome: QueryOutcome::Answered(facts), .. }) => {
                Some((facts.as_ref(), *at, r.address.as_str()))
            }
            _ => None,
        });
        // Of one walk's, the ways were asked within its time, in the order of their worth; a warm look comes after it.
        told.reduce(
            |first, next| if next.1 >= self.started_at && first.1 < self.started_at { next } else { first },
        )
    }
}

/// A target as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetView {
    /// `postgres://user@host:port/database`.
    pub url: String,
    /// `host:port`, or the socket's path.
    pub address: String,
    /// The host alone.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The role.
    pub user: String,
    /// The database.
    pub database: String,
    /// `sslmode`.
    pub ssl_mode: SslMode,
    /// True where a password is known.
    pub has_password: bool,
    /// The target's own `options` set `default_transaction_read_only`.
    #[serde(default)]
    pub asks_read_only: bool,
    /// The target's `target_session_attrs` asks for a standby.
    #[serde(default)]
    pub wants_standby: bool,
}

/// One way in, from the name to the first query. A stage that was not reached is None.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteEvidence {
    /// `host:port`, or the socket's path.
    pub address: String,
    /// The name.
    pub dns: DnsEvidence,
    /// One attempt to each address.
    pub network: Option<NetworkEvidence>,
    /// The first bytes.
    pub proxy: Option<ProxyEvidence>,
    /// TLS.
    pub tls: Option<TlsEvidence>,
    /// Startup.
    pub startup: Option<StartupEvidence>,
    /// The one query.
    pub query: Option<QueryEvidence>,
}

impl RouteEvidence {
    /// What the server told of itself on this way.
    #[must_use]
    pub fn facts(&self) -> Option<&SqlFacts> {
        match &self.query {
            Some(QueryEvidence { outcome: QueryOutcome::Answered(facts), .. }) => Some(facts),
            _ => None,
        }
    }

    /// True where the way in led to ReadyForQuery.
    #[must_use]
    pub fn admitted(&self) -> bool {
        self.startup.as_ref().is_some_and(|s| s.outcome == StartupOutcome::Ready)
    }

    /// The error with which the server (or a pooler) refused the way in: in the first bytes, in the startup, or, where
    /// a pooler let its client in before it had asked the server, in the place of the first query's answer.
    #[must_use]
    pub fn refusal(&self) -> Option<&ServerError> {
        use crate::rooms::proxy::evidence::FirstBytes;
        match (&self.startup, &self.proxy) {
            (Some(StartupEvidence { outcome: StartupOutcome::Error(error), .. }), _)
            | (None, Some(ProxyEvidence { first: FirstBytes::Error(error), .. })) => Some(error),
            _ => self.late_refusal(),
        }
    }

    /// A pooler's refusal in the place of the first query's answer: PgBouncer welcomes a client by what it remembers of
    /// the server and logs in there only for the query. Postgres itself ends no query with FATAL 08P01, the code that
    /// PgBouncer puts on its own errors and, before 1.20, on the server's; from 1.20 on it forwards the server's code.
    #[must_use]
    pub fn late_refusal(&self) -> Option<&ServerError> {
        let QueryOutcome::Error(error) = &self.query.as_ref()?.outcome else { return None };
        let pooled = error.is(SqlState::PROTOCOL_VIOLATION)
            || self.startup.as_ref().is_some_and(|s| s.pooler.is_some());
        (pooled && error.severity == "FATAL").then_some(error)
    }

    /// When that refusal came.
    #[must_use]
    pub fn refused_at(&self) -> Timestamp {
        match (&self.startup, &self.proxy) {
            _ if self.late_refusal().is_some() => {
                self.query.as_ref().map_or(self.dns.at, |q| q.at.plus(q.elapsed_ms))
            }
            (Some(s), _) => s.at.plus(s.elapsed_ms),
            (None, Some(p)) => p.at.plus(p.elapsed_ms),
            _ => self.dns.at,
        }
    }
}

/// The one query on an admitted connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueryEvidence {
    /// When it was sent.
    pub at: Timestamp,
    /// How long it took.
    pub elapsed_ms: Ms,
    /// How it ended.
    pub outcome: QueryOutcome,
    /// NoticeResponses that came meanwhile, at most 16.
    pub notices: Vec<ServerError>,
    /// The error with which the account was refused, where a sign of life came in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<ServerError>,
    /// Bytes of the answer that had come by then.
    #[serde(default)]
    pub received_bytes: u64,
    /// What a second connection showed, where this one fell silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aftermath: Option<Aftermath>,
}

/// What a second connection showed after the first had let its client in and fallen silent on its query: whether the
/// server still answers, and whether answers of any size come through.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Aftermath {
    /// When it was begun.
    pub at: Timestamp,
    /// How long it took.
    pub elapsed_ms: Ms,
    /// It was let in.
    pub admitted: bool,
    /// A small question was answered.
    pub small: bool,
    /// `state` and `wait_event` of the first connection's backend, as the small answer told: `idle, ClientRead`. None
    /// where there was none of its process id.
    pub first_backend: Option<String>,
    /// Whether an answer of [`Aftermath::LARGE`] bytes came whole. None where it was not asked for.
    pub large: Option<bool>,
}

impl Aftermath {
    /// Bytes of the large answer: more than two segments of any network but a loopback.
    pub const LARGE: u32 = 8_000;
}

/// How the one query ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueryOutcome {
    /// The server's account of itself.
    Answered(Box<SqlFacts>),
    /// A minimal answer (`select 1`), where the account itself was refused: why.
    Alive(String),
    /// ErrorResponse.
    Error(ServerError),
    /// The peer hung up.
    Closed,
    /// No whole answer before the deadline; `received_bytes` says whether anything came.
    Silent,
    /// An answer that could not be read, with what is wrong.
    Unreadable(String),
}
