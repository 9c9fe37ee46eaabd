//! The command line: verbs, options, and help that teaches. Parsed without effects.

use clap::{Args, Parser, Subcommand, ValueEnum};
use pgmedic_model::RemedyKind;
use std::path::PathBuf;
use std::time::Duration;

/// First response for Postgres connection failures.
///
/// Walks the path that a connection takes from the API to the disk (app, dns, network, proxy, tls, startup,
/// admission, server, sessions, storage), says where it breaks and why, and what mends it.
#[derive(Debug, Parser)]
#[command(name = "pgmedic", version, propagate_version = true, disable_help_subcommand = true)]
#[command(after_help = crate::help::TOP)]
pub(crate) struct Cli {
    /// Colours: only on a terminal, always, or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    pub(crate) color: When,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Walk to the database and say where the path breaks, and why
    Check(Box<CheckArgs>),
    /// Mend what is found: plan, ask, apply, and prove it by walking again
    Fix(Box<FixArgs>),
    /// Say what will break a service that is well, nearest first, and what mends it; nothing is changed
    Audit(Box<AuditArgs>),
    /// Watch every service of pgmedic.toml: metrics, alerts, what the policy lets mend, history
    Watch(WatchArgs),
    /// Hold the daemon's hands: nothing is done by itself until it is resumed
    Pause(PauseArgs),
    /// Let the daemon act again
    Resume(ResumeArgs),
    /// The record: what was found, what was done, and what came of it
    Incidents(IncidentsArgs),
    /// Break a throwaway Postgres for real, and hold the diagnosis to what was broken
    Drill(crate::commands::drill::Args),
    /// What a cause means, what proves it, what mends it, what prevents it
    Explain(ExplainArgs),
    /// Write alert rules for Prometheus or a dashboard for Grafana
    Rules(crate::commands::rules::Args),
    /// Write the runbook for people, with this service's names, thresholds and commands
    Runbook(crate::commands::runbook::Args),
    /// Write a first pgmedic.toml from what is found here, without secrets
    Init(crate::commands::init::Args),
    /// Write completions for a shell to stdout
    Completions(CompletionsArgs),
    /// What concerns pgmedic itself
    #[command(name = "self", subcommand)]
    Itself(SelfCommand),
}

/// `pgmedic self`.
#[derive(Debug, Subcommand)]
pub(crate) enum SelfCommand {
    /// Say what pgmedic lacks to see and do what the configuration promises, with the lines that grant it
    Doctor(Box<DoctorArgs>),
    /// Write the manual pages
    Man(crate::commands::man::Args),
}

/// When to do something that suits terminals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// One screen for a person
    Human,
    /// One document, schema pgmedic.report/1
    Json,
    /// One line with perfdata, as monitoring plugins write it
    Nagios,
    /// For a chat or an issue
    Markdown,
}

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PageFormat {
    /// For a terminal
    Human,
    /// One document
    Json,
    /// As it stands in the documentation
    Markdown,
}

/// `pgmedic check`.
#[derive(Debug, Args)]
#[command(after_help = crate::help::CHECK)]
pub(crate) struct CheckArgs {
    /// A service of pgmedic.toml, or a connection string (a postgres:// URL or key=value pairs)
    #[arg(value_name = "SERVICE|URL")]
    pub(crate) what: Option<String>,
    /// How the report is written
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: ReportFormat,
    /// The longest that the whole walk may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = timeout)]
    pub(crate) timeout: Duration,
    /// Save the evidence, to be replayed or attached to a report; it holds no secrets
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// The server was replaced on purpose: remember the one that answers now as the service's
    #[arg(long)]
    pub(crate) accept_identity: bool,
    /// Diagnose saved evidence and touch nothing (- reads stdin)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["what", "record", "config", "timeout", "accept_identity", "Sides"])]
    pub(crate) replay: Option<PathBuf>,
    /// The configuration instead of ./pgmedic.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sides: Sides,
}

/// What else to look at. Each overrides the configuration's.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What else to look at (each overrides pgmedic.toml)")]
#[group(id = "Sides", multiple = true)]
pub(crate) struct Sides {
    /// The way around the proxy
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) direct: Option<String>,
    /// PgBouncer's admin console
    #[arg(long, value_name = "URL")]
    pub(crate) pooler: Option<String>,
    /// A role that may use reserved slots; tried only when the ordinary one is refused for want of slots
    #[arg(long, value_name = "URL")]
    pub(crate) rescue: Option<String>,
    /// The API's readiness endpoint
    #[arg(long, value_name = "URL")]
    pub(crate) ready: Option<String>,
    /// The API's metrics (pg_pool_*)
    #[arg(long, value_name = "URL")]
    pub(crate) metrics: Option<String>,
    /// The API's log (- reads stdin)
    #[arg(long, value_name = "FILE")]
    pub(crate) api_log: Option<PathBuf>,
    /// A nameserver to ask by itself; may be given several times
    #[arg(long, value_name = "ADDR")]
    pub(crate) nameserver: Vec<String>,
    /// Look names up at the nameservers given, not at this host's resolver
    #[arg(long)]
    pub(crate) resolve_here: bool,
    /// Do not look at this host's processes, listeners, disks and logs
    #[arg(long)]
    pub(crate) no_window: bool,
}

/// `pgmedic fix`.
#[derive(Debug, Args)]
#[command(after_help = crate::help::FIX)]
pub(crate) struct FixArgs {
    /// A service of pgmedic.toml, or a connection string (a postgres:// URL or key=value pairs)
    #[arg(value_name = "SERVICE|URL")]
    pub(crate) what: Option<String>,
    /// Show the plan and its blast radius, and do nothing
    #[arg(long, conflicts_with = "yes")]
    pub(crate) plan: bool,
    /// Do not ask: apply what is allowed
    #[arg(long)]
    pub(crate) yes: bool,
    /// Kinds that may be applied; with --yes the default is the policy's `auto`, else sessions
    #[arg(long, value_name = "KIND,…", value_delimiter = ',', value_parser = kind)]
    pub(crate) allow: Vec<RemedyKind>,
    /// This remedy and no other
    #[arg(long, value_name = "REMEDY")]
    pub(crate) only: Option<String>,
    /// How it is written
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: FixFormat,
    /// The longest that each walk may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = timeout)]
    pub(crate) timeout: Duration,
    /// For how long the service must stay well before it counts as mended
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = crate::config::units::duration)]
    pub(crate) stable: Duration,
    /// The configuration instead of ./pgmedic.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sides: Sides,
}

/// `pgmedic self doctor`.
#[derive(Debug, Args)]
#[command(after_help = crate::help::DOCTOR)]
pub(crate) struct DoctorArgs {
    /// A service of pgmedic.toml, or a connection string; without it every service there
    #[arg(value_name = "SERVICE|URL")]
    pub(crate) what: Option<String>,
    /// How it is written
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: DoctorFormat,
    /// The longest that the look at each service may take; as long again for its rescue role
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = timeout)]
    pub(crate) timeout: Duration,
    /// The configuration instead of ./pgmedic.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// How a doctor's account is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DoctorFormat {
    /// For a person
    Human,
    /// One document, schema pgmedic.doctor/1
    Json,
}

/// How a fix is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FixFormat {
    /// For a person, as it happens
    Human,
    /// One document, schema pgmedic.fix/1
    Json,
}

/// `pgmedic audit`.
#[derive(Debug, Args)]
#[command(after_help = crate::help::AUDIT)]
pub(crate) struct AuditArgs {
    /// A service of pgmedic.toml, or a connection string (a postgres:// URL or key=value pairs)
    #[arg(value_name = "SERVICE|URL")]
    pub(crate) what: Option<String>,
    /// How the report is written
    #[arg(long, value_name = "FORMAT", default_value = "human", conflicts_with_all = ["sql", "diff"])]
    pub(crate) format: AuditFormat,
    /// Write the statements as one script for psql, safest first, each with its undo
    #[arg(long, conflicts_with = "diff")]
    pub(crate) sql: bool,
    /// Write what is and what is advised as a diff, object by object
    #[arg(long)]
    pub(crate) diff: bool,
    /// Look again and again for so long, so that the forecast has a rate
    #[arg(long, value_name = "TIME", value_parser = watch_for)]
    pub(crate) watch_for: Option<Duration>,
    /// The longest that each walk may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = timeout)]
    pub(crate) timeout: Duration,
    /// Save the evidence, to be replayed or attached to a report; it holds no secrets
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Audit saved evidence and touch nothing (- reads stdin)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["what", "record", "config", "timeout", "watch_for", "Sides"])]
    pub(crate) replay: Option<PathBuf>,
    /// The configuration instead of ./pgmedic.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sides: Sides,
}

/// How an audit is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuditFormat {
    /// For a person
    Human,
    /// One document, schema pgmedic.audit/1
    Json,
    /// One line with perfdata, as monitoring plugins write it
    Nagios,
    /// For a chat or an issue
    Markdown,
}

/// `--watch-for`: from two seconds to a day.
fn watch_for(text: &str) -> Result<Duration, String> {
    let span = crate::config::units::duration(text)?;
    if span < Duration::from_secs(2) || span > Duration::from_secs(86_400) {
        return Err("looks lie from 2s to 1d apart".to_owned());
    }
    Ok(span)
}

/// `pgmedic watch`.
#[derive(Debug, Args)]
#[command(after_help = crate::help::WATCH)]
pub(crate) struct WatchArgs {
    /// The configuration instead of ./pgmedic.toml
    #[arg(long, value_name = "FILE", default_value = "pgmedic.toml", hide_default_value = true)]
    pub(crate) config: PathBuf,
    /// Read the configuration and all that it names, say what would be watched, and leave
    #[arg(long)]
    pub(crate) check: bool,
    /// How what happens is written to stderr
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) log: LogFormat,
}

/// How a daemon tells what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One line for a person
    Human,
    /// One JSON object a line, schema pgmedic.log/1
    Json,
}

/// Which services a pause is for.
#[derive(Debug, Args)]
pub(crate) struct Scope {
    /// A service of pgmedic.toml; the only one there where none is named
    #[arg(value_name = "SERVICE", conflicts_with = "all")]
    pub(crate) service: Option<String>,
    /// Every service, of whatever configuration, that is watched with this state folder
    #[arg(long)]
    pub(crate) all: bool,
    /// The configuration instead of ./pgmedic.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// `pgmedic pause`.
#[derive(Debug, Args)]
#[command(after_help = crate::help::PAUSE)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    pub(crate) scope: Scope,
    /// For how long; without it, until it is resumed
    #[arg(long = "for", value_name = "TIME", value_parser = crate::config::units::duration)]
    pub(crate) span: Option<Duration>,
    /// Why, for whoever finds it paused
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Show what is paused, and change nothing
    #[arg(long, conflicts_with_all = ["service", "all", "span", "reason"])]
    pub(crate) list: bool,
}

/// `pgmedic resume`.
#[derive(Debug, Args)]
#[command(after_help = crate::help::PAUSE)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    pub(crate) scope: Scope,
}

/// `pgmedic incidents`.
#[derive(Debug, Args)]
#[command(after_help = crate::help::INCIDENTS)]
pub(crate) struct IncidentsArgs {
    #[command(subcommand)]
    pub(crate) what: Option<IncidentsVerb>,
    /// How it is written
    #[arg(long, value_name = "FORMAT", default_value = "human", global = true)]
    pub(crate) format: PageFormat,
    /// The configuration instead of ./pgmedic.toml: its daemon's incidents are shown, too
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
}

/// What to show of the record.
#[derive(Debug, Subcommand)]
pub(crate) enum IncidentsVerb {
    /// Every incident on a line, the newest last (the default)
    List,
    /// One incident: timeline, evidence, actions, outcome
    Show {
        /// Its id, or as much of its beginning as tells it apart; without one, the newest
        #[arg(value_name = "ID")]
        id: Option<String>,
    },
}

/// A kind of remedy by its name.
fn kind(text: &str) -> Result<RemedyKind, String> {
    let kinds = RemedyKind::ALL;
    kinds.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
        let all: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
        let near = pgmedic_model::nearest::nearest(text, all.iter().copied());
        let near = near.map_or_else(String::new, |near| format!("; nearest: {near}"));
        format!("a kind is one of {}{near}", all.join(", "))
    })
}

/// `pgmedic explain`.
#[derive(Debug, Args)]
#[command(after_help = crate::help::EXPLAIN)]
pub(crate) struct ExplainArgs {
    /// The cause's id; without it, every cause by room
    #[arg(value_name = "CAUSE")]
    pub(crate) cause: Option<String>,
    /// How the page is written
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: PageFormat,
}

/// `pgmedic completions`.
#[derive(Debug, Args)]
#[command(after_help = crate::help::COMPLETIONS)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// `--timeout`: from 100 ms to an hour.
fn timeout(text: &str) -> Result<Duration, String> {
    let span = crate::config::units::duration(text)?;
    if span < Duration::from_millis(100) || span > Duration::from_secs(3600) {
        return Err("a walk takes from 100ms to 1h".to_owned());
    }
    Ok(span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
