//! `pgmedic pause` and `resume`: the file that holds the daemon's hands. Not in here: heeding it (`pgmedic_watch::hold`).

use crate::args::{PauseArgs, ResumeArgs, Scope};
use crate::config::Config;
use crate::failure::Failure;
use crate::output;
use crate::render::text::visible;
use crate::surroundings::{Surroundings, os_user};
use crate::usage::may_hold_a_secret;
use pgmedic_model::nearest::nearest;
use pgmedic_path::clock;
use pgmedic_watch::hold::{ALL, HoldError, Pause, Pauses};
use std::path::{Path, PathBuf};

/// The configuration that is read where none is named.
const DEFAULT: &str = "pgmedic.toml";

/// Pauses, or shows what is paused.
pub(crate) fn pause(args: &PauseArgs) -> Result<i32, Failure> {
    let state = state()?;
    if args.list {
        output::stdout(&list(&Pauses::read(&state).map_err(kept)?));
        return Ok(0);
    }
    let name = whom(&args.scope)?;
    let now = clock::now();
    let by = os_user().unwrap_or_else(|| "somebody".to_owned());
    let pause = Pause::new(now, args.span, args.reason.clone(), by);
    let told = format!("{} paused by {}", shown(&name), pause.phrase());
    let changed = Pauses::change(&state, now, |pauses| {
        pauses.pauses.insert(name, pause);
    });
    changed.map_err(kept)?;
    output::stdout(&format!("{}\n", visible(&told)));
    Ok(0)
}

/// Ends a pause.
pub(crate) fn resume(args: &ResumeArgs) -> Result<i32, Failure> {
    let state = state()?;
    let name = whom(&args.scope)?;
    let mut was = None;
    let left = Pauses::change(&state, clock::now(), |pauses| was = pauses.pauses.remove(&name));
    let left = left.map_err(kept)?;
    let still = left.of(&name, clock::now()).map(Pause::phrase);
    let told = match (was, still) {
        (_, Some(by)) => {
            format!("{} is still paused with all others, by {by}: pgmedic resume --all", shown(&name))
        }
        (Some(_), None) => format!("{} may be mended again", shown(&name)),
        (None, None) => format!("{} was not paused", shown(&name)),
    };
    output::stdout(&format!("{}\n", visible(&told)));
    Ok(0)
}

/// The folder that the daemon watches.
fn state() -> Result<PathBuf, Failure> {
    Surroundings::default().state_folder().ok_or_else(|| {
        let why = "there is no place for a pause: set PGMEDIC_STATE to the daemon's state folder";
        Failure::Environment(why.to_owned())
    })
}

fn kept(error: HoldError) -> Failure {
    Failure::Record(format!("{error}; the stop file holds the daemon's hands, too (`stop_file` in [watch])"))
}

/// Whom it is for: the service named, all, or the only one there is.
fn whom(scope: &Scope) -> Result<String, Failure> {
    if scope.all {
        return Ok(ALL.to_owned());
    }
    let config = match &scope.config {
        Some(path) => Some(Config::load(path)?),
        None if Path::new(DEFAULT).exists() => Some(Config::load(Path::new(DEFAULT))?),
        None => None,
    };
    let names: Vec<&str> = config.iter().flat_map(Config::names).collect();
    match (&scope.service, names.as_slice()) {
        (Some(name), names) if names.contains(&name.as_str()) => Ok(name.clone()),
        (Some(name), []) if !may_hold_a_secret(name) => {
            output::stderr(&format!(
                "pgmedic: there is no {DEFAULT} here: whether it has {name} is not looked at\n"
            ));
            Ok(name.clone())
        }
        (Some(name), names) => {
            let near =
                nearest(name, names.iter().copied()).map_or(String::new(), |n| format!("; nearest: {n}"));
            let word = if may_hold_a_secret(name) { "that name".to_owned() } else { format!("{name:?}") };
            Err(Failure::Usage(format!("no service {word}; there is {}{near}", names.join(", "))))
        }
        (None, [name]) => Ok((*name).to_owned()),
        (None, []) => Err(Failure::Usage("name a service, or --all".to_owned())),
        (None, names) => Err(Failure::Usage(format!(
            "several services are configured; name one, or --all: {}",
            names.join(", ")
        ))),
    }
}

fn shown(name: &str) -> &str {
    if name == ALL { "every service" } else { name }
}

fn list(pauses: &Pauses) -> String {
    let now = clock::now();
    let lines: Vec<String> = pauses
        .names(now)
        .filter_map(|name| Some(format!("{} paused by {}\n", shown(name), pauses.pauses.get(name)?.phrase())))
        .map(|line| format!("{}\n", visible(line.trim_end())))
        .collect();
    if lines.is_empty() { "nothing is paused\n".to_owned() } else { lines.concat() }
}
