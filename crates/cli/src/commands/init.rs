//! `pgmedic init`: looks, drafts a `pgmedic.toml`, holds it against the reader of configurations, and writes it.

use crate::config::Config;
use crate::failure::Failure;
use crate::init::{Found, Place, look};
use crate::output;
use crate::render::text::visible;
use std::path::{Path, PathBuf};

/// `pgmedic init`.
#[derive(Debug, clap::Args)]
#[command(after_help = crate::help::INIT)]
pub(crate) struct Args {
    /// The folder to look in and to write pgmedic.toml to, instead of this one
    #[arg(long, value_name = "DIR", default_value = ".", hide_default_value = true)]
    dir: PathBuf,
    /// Write the file to stdout and nothing to disk
    #[arg(long, visible_alias = "dry-run")]
    print: bool,
    /// Write over a pgmedic.toml that is there
    #[arg(long, conflicts_with = "print")]
    force: bool,
    /// Look in the folder and the environment only, not at this host
    #[arg(long)]
    no_host: bool,
    /// Where this host's files begin: for tests, and for the mounted image of another host
    #[arg(long, value_name = "DIR", default_value = "/", hide = true, conflicts_with = "no_host")]
    root: PathBuf,
}

/// The exit code where nothing was found, and an empty form was written.
const NOTHING_FOUND: i32 = 1;

/// Looks and writes.
pub(crate) fn run(args: &Args) -> Result<i32, Failure> {
    let folder = args.dir.clone();
    let shown = visible(&folder.display().to_string());
    if !folder.is_dir() {
        return Err(Failure::Usage(format!("--dir {shown} is no folder")));
    }
    let path = folder.join(crate::select::DEFAULT);
    if path.symlink_metadata().is_ok() && !args.force && !args.print {
        return Err(Failure::Usage(format!(
            "{} is there already, and is left as it is: --print shows what would be written, --force writes over it",
            visible(&path.display().to_string())
        )));
    }
    let host = if args.no_host { None } else { Some(args.root.clone()) };
    let found = look(&Place {
        folder: folder.clone(),
        host,
        environment: std::env::vars_os().filter_map(text).collect(),
    });
    accepted(&path, &found)?;
    if args.print {
        output::document(None, &found.text)?;
        output::stderr(&found.account());
        output::stderr(&next(&found, &path, false));
    } else {
        written(&path, &found.text, args.force)?;
        output::stdout(&found.account());
        output::stdout(&next(&found, &path, true));
    }
    Ok(if found.nothing() { NOTHING_FOUND } else { 0 })
}

/// A variable that is text.
fn text((name, value): (std::ffi::OsString, std::ffi::OsString)) -> Option<(String, String)> {
    Some((name.into_string().ok()?, value.into_string().ok()?))
}

/// The reader of configurations takes it, or pgmedic is wrong: then nothing is written.
fn accepted(path: &Path, found: &Found) -> Result<(), Failure> {
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    match Config::parse(crate::select::DEFAULT.to_owned(), folder, found.text.clone()) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::Defect(format!("the draft would be refused: {}", error.one_line()))),
    }
}

/// Writes the file whole or not at all; without `--force` never over another.
fn written(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::Usage(format!("{} cannot be written: {error}", visible(&path.display().to_string())))
    };
    output::whole(path, text, force).map_err(failed)
}

/// What was written, and what comes next.
fn next(found: &Found, path: &Path, on_disk: bool) -> String {
    let shown = visible(&path.display().to_string());
    let names: Vec<&str> = found.services().collect();
    let did = if on_disk { format!("Wrote {shown}") } else { "Not written to disk".to_owned() };
    let Some(first) = names.first() else {
        return format!(
            "Nothing was found: no connection string in the environment or in .env, no fly.toml, no compose file, no unit, \
             no Postgres.\n{did}: an empty form. Set DATABASE_URL, then: pgmedic check\n"
        );
    };
    let mut out = format!("{did}, with {}: {}\n", counted(names.len()), names.join(", "));
    let needs = found.needs();
    if !needs.is_empty() {
        out.push_str("Before the first check\n");
        out.push_str(&needs);
    }
    let dir = path.parent().filter(|dir| dir.as_os_str() != "." && !dir.as_os_str().is_empty());
    let config = dir.map_or_else(String::new, |_| format!(" --config {shown}"));
    out.push_str(&format!("Next: pgmedic self doctor{config}, then: pgmedic check {first}{config}\n"));
    out
}

fn counted(services: usize) -> String {
    if services == 1 { "1 service".to_owned() } else { format!("{services} services") }
}
