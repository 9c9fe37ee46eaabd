//! What a daemon is to do: `[watch]` and each service's share of it, read and checked by whoever has the configuration's file.

use pgmedic_model::{Secret, Timestamp};
use pgmedic_path::Service;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `[watch]`, resolved.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `interval`: from look to look. Default 1 s.
    pub interval: Duration,
    /// `walk`: from one walk by the door to the next. Default 5 s.
    pub walk: Duration,
    /// `timeout`: the longest that one look or walk may take. Default 5 s.
    pub timeout: Duration,
    /// `stable`: for how long a service must stay well before its incident is closed. Default 5 s.
    pub stable: Duration,
    /// `listen`: where metrics and the API are served. None serves nothing.
    pub listen: Option<SocketAddr>,
    /// `token`: who bears it may act. Without one nothing that acts is reachable, and `listen` is loopback.
    pub token: Option<Secret>,
    /// `read_token`: who bears it may read, and not act. Where others reach the address, reading takes one of the two.
    pub read_token: Option<Secret>,
    /// `store`.
    pub store: StoreAt,
    /// `keep`: how long a closed incident is kept. Default 90 days.
    pub keep: Duration,
    /// `keep_looks`: how long a look that found nothing is kept. Default 1 day. Failures are kept as long as incidents.
    pub keep_looks: Duration,
    /// `store_limit`: the most bytes of the store; the oldest history goes first. Default 256 MB.
    pub store_limit: u64,
    /// `alerts`.
    pub alerts: Vec<AlertTo>,
    /// `external_url`: where people reach this daemon, for links in alerts.
    pub external_url: Option<String>,
    /// `stop_file`: while it exists nothing is done by itself. Default `watch.stop` in the state folder.
    pub stop_file: PathBuf,
    /// Where the record is: the state folder.
    pub state: PathBuf,
    /// What tells services of one name apart in the record: the configuration's canonical path.
    pub home: String,
}

/// One service with what the daemon may do for it.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The service.
    pub service: Service,
    /// Labels that its alerts and metrics carry: `team`, `env`.
    pub labels: BTreeMap<String, String>,
    /// When and how often something may be done by itself.
    pub automatic: Automatic,
    /// A standing session is kept. Off where an open session keeps a database awake.
    pub standing: bool,
}

/// Bounds of what is done without asking, besides the policy's kinds and its cooldown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Automatic {
    /// `max_per_hour`: the most fixes that do something, in any hour. Default 3.
    pub per_hour: u32,
    /// `quiet`: times of day, in UTC, in which nothing is done by itself.
    pub quiet: Vec<Quiet>,
    /// `escalate_after`: fixes that failed in one incident, after which a person is called and nothing more is begun. Default 2.
    pub escalate_after: u32,
}

impl Default for Automatic {
    fn default() -> Self {
        Self { per_hour: 3, quiet: Vec::new(), escalate_after: 2 }
    }
}

/// A span of each day in minutes since midnight, UTC; one that ends before it begins goes over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// From this minute on.
    pub from: u16,
    /// Until before this one.
    pub until: u16,
}

impl Quiet {
    /// True at a time within it.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        let minute = at.0.div_euclid(60_000).rem_euclid(1440);
        let (from, until) = (i64::from(self.from), i64::from(self.until));
        if from <= until { (from..until).contains(&minute) } else { minute >= from || minute < until }
    }
}

/// Where the history is.
#[derive(Clone, Debug)]
pub enum StoreAt {
    /// A file of SQLite's.
    Sqlite(PathBuf),
    /// A Postgres that several watchers share.
    Postgres(Box<pgmedic_model::Target>),
    /// In memory alone: nothing is there after a restart.
    Memory,
}

/// Who is told of incidents.
#[derive(Clone, Debug)]
pub struct AlertTo {
    /// How it is told.
    pub kind: AlertKind,
    /// Where. It may hold a secret (a Slack webhook does).
    pub url: Secret,
    /// PagerDuty's routing key; what a webhook is signed with.
    pub key: Option<Secret>,
    /// Only from this severity on.
    pub from: pgmedic_model::Severity,
    /// `match`: only incidents whose labels match all of these, each by its label's name; a trailing `*` matches any ending. Of
    /// an incident of many services one has to match.
    pub only: BTreeMap<String, String>,
}

/// The kinds of receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertKind {
    /// Alertmanager's API v2.
    Alertmanager,
    /// One POST of `pgmedic.incident/1`, signed.
    Webhook,
    /// A Slack incoming webhook.
    Slack,
    /// PagerDuty Events API v2.
    PagerDuty,
}
