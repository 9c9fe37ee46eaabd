//! `pgmedic runbook`: the runbook for people, in Markdown. It connects to nothing and fetches no secret.

use crate::config::Config;
use crate::failure::Failure;
use crate::output;
use crate::runbook::{self, Subject};
use crate::select::DEFAULT;
use crate::surroundings::Surroundings;
use crate::usage::may_hold_a_secret;
use pgmedic_model::nearest::nearest;
use pgmedic_model::target::is_connection_string;
use pgmedic_path::paste::argument;
use std::path::{Path, PathBuf};

/// `pgmedic runbook`.
#[derive(Debug, clap::Args)]
#[command(after_help = crate::help::RUNBOOK)]
pub(crate) struct Args {
    /// A service of pgmedic.toml, or a connection string (a postgres:// URL or key=value pairs)
    #[arg(value_name = "SERVICE|URL")]
    what: Option<String>,
    /// The configuration instead of ./pgmedic.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write to this file instead of stdout; it is replaced whole or not at all
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes it.
pub(crate) fn run(args: &Args) -> Result<i32, Failure> {
    let text = runbook::markdown(&subject(args, &mut Surroundings::default())?);
    output::document(args.output.as_deref(), &text)?;
    Ok(0)
}

/// Whom it is about: as `check` chooses, but offline.
fn subject(args: &Args, around: &mut Surroundings) -> Result<Subject, Failure> {
    if let Some(url) = args.what.as_deref().filter(|what| is_connection_string(what)) {
        if args.config.is_some() {
            return Err(Failure::Usage("either a URL or --config, not both".to_owned()));
        }
        let target = around.target(Some(url)).map_err(|error| Failure::url("the URL", &error))?;
        return Ok(Subject::bare(&target, None));
    }
    let path = args.config.as_deref().or_else(|| Some(Path::new(DEFAULT)).filter(|path| path.exists()));
    match (path, &args.what) {
        (Some(path), what) => configured(path, what.as_deref(), args.config.is_some(), around),
        (None, Some(name)) => {
            let shown = shown(name);
            let problem = format!(
                "no service {shown}: there is no {DEFAULT} here; name one by --config, or give a URL"
            );
            Err(Failure::Usage(problem))
        }
        (None, None) => of_environment(around),
    }
}

fn configured(
    path: &Path,
    name: Option<&str>,
    named: bool,
    around: &mut Surroundings,
) -> Result<Subject, Failure> {
    let config = Config::load(path)?;
    let names: Vec<&str> = config.names().collect();
    let name = match (name, names.as_slice()) {
        (Some(name), _) => name,
        (None, [only]) => only,
        (None, _) => {
            let problem = format!("several services are configured; name one: {}", names.join(", "));
            return Err(Failure::Usage(problem));
        }
    };
    let Some(said) = config.said(name) else {
        let near =
            nearest(name, names.iter().copied()).map_or(String::new(), |near| format!("; nearest: {near}"));
        return Err(Failure::Usage(format!(
            "no service {}; there is {}{near}",
            shown(name),
            names.join(", ")
        )));
    };
    let options =
        if named { format!(" --config {}", argument(&path.display().to_string())) } else { String::new() };
    Subject::of(said, &options, around).map_err(|(key, error)| config.refused(name, key, &error).into())
}

/// What `DATABASE_URL` or libpq's environment names.
fn of_environment(around: &mut Surroundings) -> Result<Subject, Failure> {
    const NAME: &str = "DATABASE_URL";
    if let Some(url) = around.variable(NAME).filter(|url| !url.is_empty()) {
        let target =
            around.target(Some(&url)).map_err(|error| Failure::Environment(format!("{NAME}: {error}")))?;
        return Ok(Subject::bare(&target, Some(NAME)));
    }
    if !around.names_a_connection() && !around.has_default_socket() {
        let problem = "nothing to write a runbook for: name a service of ./pgmedic.toml, or give a URL, or set DATABASE_URL or PGHOST";
        return Err(Failure::Usage(problem.to_owned()));
    }
    let target = around.target(None).map_err(|error| Failure::Environment(error.to_string()))?;
    Ok(Subject::bare(&target, None))
}

fn shown(name: &str) -> String {
    if may_hold_a_secret(name) { "of that name".to_owned() } else { format!("{name:?}") }
}
