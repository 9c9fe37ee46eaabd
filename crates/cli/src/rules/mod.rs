//! Prometheus alert rules and a Grafana dashboard as text: from what `pgmedic watch` exports, from an API's own
//! `pg_pool_*` metrics, or from both. Pure: the command line is `commands/rules`, the daemon's metrics are `pgmedic_watch`'s.

mod alert;
mod dashboard;
mod from_pool;
mod from_watch;
mod on_pgmedic;
mod promql;
mod yaml;

use std::time::Duration;

/// Whose metrics there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Source {
    /// Those of `pgmedic watch`
    Watch,
    /// Those of the API's pool (pg_pool_*)
    Pool,
    /// Both
    Both,
}

impl Source {
    fn has_watch(self) -> bool {
        self != Self::Pool
    }

    fn has_pool(self) -> bool {
        self != Self::Watch
    }
}

/// What is written, and for whom.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Whose metrics there are.
    pub(crate) source: Source,
    /// The services by name; empty for whichever there are.
    pub(crate) services: Vec<Named>,
    /// When an alert fires.
    pub(crate) limits: Limits,
    /// Where the causes' pages are: a folder's URL, or one with `{cause}` in it.
    pub(crate) pages: String,
    /// The label by which Prometheus tells one API from another on `pg_pool_*`.
    pub(crate) api_label: String,
    /// The job under which Prometheus scrapes `pgmedic watch`.
    pub(crate) watch_job: String,
    /// How often Prometheus scrapes; as often are the rules evaluated.
    pub(crate) every: Duration,
}

/// A service of `pgmedic.toml`, as far as rules differ by service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Named {
    /// Its name: the label `service` of the daemon's metrics, and of every alert.
    pub(crate) name: String,
    /// The share of the slots that its policy keeps free.
    pub(crate) keep_free: f64,
}

/// When an alert fires.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limits {
    /// How long no connection can be had before `DatabaseConnectionFailure`.
    pub(crate) failure_for: Duration,
    /// The share of a limit's connections that is near it. None: 1 - the policy's `keep_free`, else 80 %.
    pub(crate) connections: Option<f64>,
    /// How long it is near.
    pub(crate) connections_for: Duration,
    /// The share of a pool's connections in use that is its all but all.
    pub(crate) pool: f64,
    /// How long.
    pub(crate) pool_for: Duration,
    /// How long requests wait for a connection of the pool.
    pub(crate) waiting_for: Duration,
    /// The volume is full within this time: a warning.
    pub(crate) full_within: Duration,
    /// And this time: critical.
    pub(crate) full_soon: Duration,
    /// The share of the volume in use that is too much however slowly it fills.
    pub(crate) storage: f64,
    /// So many sessions wait for locks.
    pub(crate) locks: u32,
    /// How long.
    pub(crate) locks_for: Duration,
    /// How long pgmedic is not there.
    pub(crate) down_for: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            failure_for: seconds(15),
            connections: None,
            connections_for: seconds(60),
            pool: 0.9,
            pool_for: seconds(120),
            waiting_for: seconds(60),
            full_within: seconds(4 * 3600),
            full_soon: seconds(3600),
            storage: 0.85,
            locks: 5,
            locks_for: seconds(60),
            down_for: seconds(60),
        }
    }
}

impl Limits {
    /// The share of a limit's connections that is near it, for a service.
    fn connections_of(&self, service: Option<&Named>) -> f64 {
        self.connections.unwrap_or_else(|| service.map_or(0.8, |service| 1.0 - service.keep_free))
    }
}

impl Wanted {
    /// The URL of a cause's page. The cause may be a template of Prometheus'.
    fn page(&self, cause: &str) -> String {
        if self.pages.contains("{cause}") {
            return self.pages.replace("{cause}", cause);
        }
        format!("{}/{cause}.md", self.pages.trim_end_matches('/'))
    }

    /// The page on `pgmedic watch` itself.
    fn own_page(&self) -> String {
        match self.pages.strip_suffix("/causes") {
            Some(docs) if docs.starts_with(env!("CARGO_PKG_REPOSITORY")) => {
                format!("{docs}/rules.md#pgmedicdown")
            }
            _ => self.page("pgmedic-down"),
        }
    }

    /// How far back is "lately": four scrapes, for `increase` needs two samples and one scrape may fail.
    fn window(&self) -> Duration {
        (self.every * 4).max(Duration::from_secs(60))
    }

    /// Whom each set of rules is for: each service, or whichever there is.
    fn scopes(&self) -> Vec<Scope<'_>> {
        if self.services.is_empty() {
            return vec![Scope { wanted: self, service: None }];
        }
        self.services.iter().map(|service| Scope { wanted: self, service: Some(service) }).collect()
    }
}

/// One service, or whichever there is.
#[derive(Clone, Copy)]
struct Scope<'a> {
    wanted: &'a Wanted,
    service: Option<&'a Named>,
}

impl Scope<'_> {
    fn limits(&self) -> &Limits {
        &self.wanted.limits
    }

    /// The label that names the API on `pg_pool_*`.
    fn api(&self) -> &str {
        &self.wanted.api_label
    }

    /// A selector of a metric of the API's pool, with further matchers.
    fn pool(&self, metric: &str, matchers: &str) -> String {
        let own = self.service.map(|service| promql::matcher(self.api(), &service.name));
        promql::selector(metric, own.as_deref(), matchers)
    }

    /// A selector of a metric of the daemon's, with further matchers.
    fn watch(&self, metric: &str, matchers: &str) -> String {
        let own = self.service.map(|service| promql::matcher("service", &service.name));
        promql::selector(metric, own.as_deref(), matchers)
    }
}

/// The alert rules as a file for Prometheus' `rule_files`.
pub(crate) fn prometheus(wanted: &Wanted) -> String {
    let mut groups = Vec::new();
    for scope in wanted.scopes() {
        let name = scope.service.map_or_else(|| "pgmedic".to_owned(), |s| format!("pgmedic-{}", s.name));
        let mut alerts = Vec::new();
        if wanted.source.has_watch() {
            alerts.extend(from_watch::alerts(&scope));
        }
        if wanted.source.has_pool() {
            alerts.extend(from_pool::alerts(&scope));
        }
        groups.push(alert::Group { name, every: wanted.every, alerts });
    }
    if wanted.source.has_watch() {
        groups.push(alert::Group {
            name: "pgmedic-itself".to_owned(),
            every: wanted.every,
            alerts: on_pgmedic::alerts(wanted),
        });
    }
    yaml::rules(wanted, &groups)
}

/// The dashboard as a file for Grafana's import or provisioning.
pub(crate) fn grafana(wanted: &Wanted) -> String {
    dashboard::document(wanted)
}
