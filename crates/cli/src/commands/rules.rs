//! `pgmedic rules`: alert rules for Prometheus and a dashboard for Grafana, as files.

use crate::config::{Config, units};
use crate::failure::Failure;
use crate::output;
use crate::rules::{self, Limits, Named, Source, Wanted};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `pgmedic rules`.
#[derive(Debug, clap::Args)]
#[command(after_help = crate::help::RULES)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

/// What is written.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// Alert rules, as a file for Prometheus' rule_files
    Prometheus(Box<Prometheus>),
    /// A dashboard, as a file for Grafana's import or provisioning
    Grafana(Box<Common>),
}

/// What both take.
#[derive(Debug, clap::Args)]
struct Common {
    /// Only for these services of pgmedic.toml; without one, and without --config, for whichever there are
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Whose metrics Prometheus has
    #[arg(long, value_name = "SOURCE", default_value = "both")]
    from: Source,
    /// Write to this file instead of stdout; it is replaced whole or not at all
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The configuration instead of ./pgmedic.toml; all of its services where none is named
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the causes' pages are: a folder's URL, or one with {cause} in it
    #[arg(long, value_name = "URL", default_value = PAGES, value_parser = url)]
    runbook_base: String,
    /// The label by which Prometheus tells APIs apart on pg_pool_*; its value is the service's name
    #[arg(long, value_name = "LABEL", default_value = "job", value_parser = label)]
    api_label: String,
    /// How often Prometheus scrapes; the rules are evaluated as often
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = some_time)]
    scrape_interval: Duration,
    /// The job under which Prometheus scrapes pgmedic watch
    #[arg(long, value_name = "JOB", default_value = "pgmedic")]
    watch_job: String,
}

/// Where this version's pages are.
const PAGES: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/causes");

/// `pgmedic rules prometheus`.
#[derive(Debug, clap::Args)]
struct Prometheus {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    limits: Given,
}

/// When an alert fires, where that is not the default.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "When an alert fires")]
struct Given {
    /// DatabaseConnectionFailure: no connection for this long
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = units::duration)]
    failure_for: Duration,
    /// DatabaseConnectionsNearLimit: this share of a limit is used [default: 100% less the policy's keep_free, else 80%]
    #[arg(long, value_name = "SHARE", value_parser = part)]
    connections: Option<f64>,
    /// … for this long
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = units::duration)]
    connections_for: Duration,
    /// DatabasePoolSaturated: this share of a pool is in use
    #[arg(long, value_name = "SHARE", default_value = "90%", value_parser = part)]
    pool: f64,
    /// … for this long
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = units::duration)]
    pool_for: Duration,
    /// DatabasePoolWaiting: requests wait for a connection for this long
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = units::duration)]
    waiting_for: Duration,
    /// DatabaseStorageFilling, a warning: the volume is full within this time
    #[arg(long, value_name = "TIME", default_value = "4h", value_parser = some_time)]
    full_within: Duration,
    /// … critical: within this time
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = some_time)]
    full_soon: Duration,
    /// … a warning however slowly it fills: this share of the volume is used
    #[arg(long, value_name = "SHARE", default_value = "85%", value_parser = part)]
    storage: f64,
    /// DatabaseLocksPilingUp: so many sessions wait for locks
    #[arg(long, value_name = "COUNT", default_value = "5", value_parser = clap::value_parser!(u32).range(1..))]
    locks: u32,
    /// … for this long
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = units::duration)]
    locks_for: Duration,
    /// PgmedicDown: pgmedic watch is gone for this long
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = units::duration)]
    down_for: Duration,
}

impl From<&Given> for Limits {
    fn from(given: &Given) -> Self {
        Self {
            failure_for: given.failure_for,
            connections: given.connections,
            connections_for: given.connections_for,
            pool: given.pool,
            pool_for: given.pool_for,
            waiting_for: given.waiting_for,
            full_within: given.full_within,
            full_soon: given.full_soon,
            storage: given.storage,
            locks: given.locks,
            locks_for: given.locks_for,
            down_for: given.down_for,
        }
    }
}

/// Writes the file.
pub(crate) fn run(args: &Args) -> Result<i32, Failure> {
    let (text, output) = match &args.what {
        What::Prometheus(prometheus) => {
            let limits = Limits::from(&prometheus.limits);
            if limits.full_soon > limits.full_within {
                let problem = "--full-soon is critical, and so is no longer than --full-within, the warning";
                return Err(Failure::Usage(problem.to_owned()));
            }
            let wanted = wanted(&prometheus.common, limits)?;
            (rules::prometheus(&wanted), &prometheus.common.output)
        }
        What::Grafana(common) => (rules::grafana(&wanted(common, Limits::default())?), &common.output),
    };
    output::document(output.as_deref(), &text)?;
    Ok(0)
}

fn wanted(common: &Common, limits: Limits) -> Result<Wanted, Failure> {
    Ok(Wanted {
        source: common.from,
        services: services(common)?,
        limits,
        pages: common.runbook_base.clone(),
        api_label: common.api_label.clone(),
        watch_job: common.watch_job.clone(),
        every: common.scrape_interval,
    })
}

/// The services that are named, or all of the file that is.
fn services(common: &Common) -> Result<Vec<Named>, Failure> {
    if common.services.is_empty() && common.config.is_none() {
        return Ok(Vec::new());
    }
    let path = common.config.as_deref().unwrap_or(Path::new(crate::select::DEFAULT));
    let all: Vec<Named> =
        Config::load(path)?.kept_free().map(|(name, keep_free)| Named { name, keep_free }).collect();
    if common.services.is_empty() {
        return Ok(all);
    }
    let found = common.services.iter().map(|wanted| {
        all.iter().find(|known| known.name == *wanted).cloned().ok_or_else(|| {
            let shown = if crate::usage::may_hold_a_secret(wanted) {
                "of that name".to_owned()
            } else {
                format!("{wanted:?}")
            };
            let names: Vec<&str> = all.iter().map(|known| known.name.as_str()).collect();
            Failure::Usage(format!("no service {shown}; there is {}", names.join(", ")))
        })
    });
    found.collect()
}

/// A share above nothing.
fn part(text: &str) -> Result<f64, String> {
    match units::share(text)? {
        0.0 => Err("a share of 0% always fires".to_owned()),
        share => Ok(share),
    }
}

/// A span above nothing.
fn some_time(text: &str) -> Result<Duration, String> {
    match units::duration(text)? {
        Duration::ZERO => Err("longer than nothing, please".to_owned()),
        span => Ok(span),
    }
}

/// A label's name (Prometheus: `[a-zA-Z_][a-zA-Z0-9_]*`).
fn label(text: &str) -> Result<String, String> {
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if first && rest {
        Ok(text.to_owned())
    } else {
        Err("a label is made of letters, digits and underscores".to_owned())
    }
}

/// A page's address: one that a person can open.
fn url(text: &str) -> Result<String, String> {
    let is_web = text.starts_with("https://") || text.starts_with("http://");
    if is_web && !text.contains(char::is_whitespace) {
        Ok(text.to_owned())
    } else {
        Err("a URL that begins with https:// or http://".to_owned())
    }
}
