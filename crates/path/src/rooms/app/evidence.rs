//! What the API says of itself: readiness, pool metrics, log lines.

use crate::evidence::Seen;
use crate::rooms::dns::evidence::DnsEvidence;
use crate::rooms::network::evidence::ConnectOutcome;
pub use pgmedic_model::driver_words::LogPattern;
use pgmedic_model::{Ms, Timestamp};
use serde::{Deserialize, Serialize};

/// Everything seen of the API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppEvidence {
    /// The readiness endpoint.
    pub ready: Seen<ReadyEvidence>,
    /// The API's `pg_pool_*` metrics.
    pub metrics: Seen<PoolMetrics>,
    /// The API's log.
    pub log: Seen<LogEvidence>,
}

/// One GET of an endpoint, staged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadyEvidence {
    /// When it was asked.
    pub at: Timestamp,
    /// The whole exchange.
    pub elapsed_ms: Ms,
    /// The URL without credentials or query.
    pub url: String,
    /// The lookup of its name.
    pub dns: DnsEvidence,
    /// How it ended.
    pub outcome: HttpOutcome,
}

/// How an HTTP exchange ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpOutcome {
    /// A whole answer.
    Answered {
        /// Status code.
        status: u16,
        /// The `db` member of a JSON body: `connected`, `disconnected`, ….
        db: Option<String>,
        /// The `status` member of a JSON body.
        state: Option<String>,
        /// The `reason` member of a JSON body.
        reason: Option<String>,
        /// Start of the body, masked and at most 200 characters.
        body: String,
    },
    /// The name did not resolve; see the lookup.
    NotResolved,
    /// TCP did not come about.
    NotConnected(ConnectOutcome),
    /// Connected, and no (whole) answer before the deadline.
    Silent,
    /// Closed or reset without an answer.
    Closed,
    /// TLS failed, with its text.
    TlsFailed(String),
    /// What came is not HTTP, with its text.
    NotHttp(String),
}

/// The pool's own gauges and counters, summed over label sets. None where the metric is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolMetrics {
    /// When they were read.
    pub at: Timestamp,
    /// The exchange.
    pub elapsed_ms: Ms,
    /// The URL without credentials or query.
    pub url: String,
    /// Why there are no figures, if there are none.
    pub failure: Option<String>,
    /// `pg_pool_max`.
    pub max: Option<f64>,
    /// `pg_pool_size`.
    pub size: Option<f64>,
    /// `pg_pool_idle`.
    pub idle: Option<f64>,
    /// `pg_pool_in_use`.
    pub in_use: Option<f64>,
    /// `pg_pool_waiting`.
    pub waiting: Option<f64>,
    /// `pg_pool_timeouts_total`.
    pub timeouts_total: Option<f64>,
}

impl PoolMetrics {
    /// True where it has given out fewer connections than it may have, as far as it tells: what waits in front of it
    /// waits for one to be opened.
    #[must_use]
    pub fn may_grow(&self) -> bool {
        self.in_use.zip(self.max).is_some_and(|(in_use, max)| in_use < max)
    }
}

/// What the API's log says of its database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogEvidence {
    /// When it was read.
    pub at: Timestamp,
    /// The file, `stdin`, or the platform's name for it.
    pub place: String,
    /// Lines looked at, from the end.
    pub lines_read: u64,
    /// What was found, newest last.
    pub hits: Vec<LogHit>,
}

/// A known sentence in a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogHit {
    /// Which sentence.
    pub pattern: LogPattern,
    /// How many of the lines read hold it.
    pub count: u64,
    /// The newest such line, masked, at most 200 characters.
    pub last: String,
    /// True where a later line says that the API is connected again, or the line is older than ten minutes by its
    /// own time stamp: evidence of the past, not of now.
    pub stale: bool,
}
