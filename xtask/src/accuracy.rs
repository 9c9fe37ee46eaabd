//! `cargo xtask accuracy`: runs every drill on every Postgres, the pairs, and the healthy checks, each in a process of
//! its own, keeps what each wrote, and renders `docs/accuracy.md` from that. No figure on the page is typed by hand.
//!
//! What has been run since the binary was built is not run again. Not in here: how the page looks (`page`).

mod document;
mod page;

use crate::Outcome;
use document::Document;
use page::{Accuracy, Edition, Ran};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// The longest that one drill may take before it counts as crashed.
const DRILL_WITHIN: Duration = Duration::from_secs(180);
/// The same for the healthy checks.
const HEALTHY_WITHIN: Duration = Duration::from_secs(3600);
/// Time between two looks at whether a run has ended.
const STEP: Duration = Duration::from_millis(20);

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Every version, 10,000 healthy checks; writes `docs/accuracy.md`.
    Whole,
    /// One version, 200 healthy checks; writes `target/accuracy/quick.md`, and fails on any miss.
    Quick,
}

impl Extent {
    const fn healthy_checks(self) -> u32 {
        match self {
            Self::Whole => 10_000,
            Self::Quick => 200,
        }
    }

    fn page(self, root: &Path, home: &Path) -> PathBuf {
        match self {
            Self::Whole => root.join("docs/accuracy.md"),
            Self::Quick => home.join("quick.md"),
        }
    }
}

/// Runs what has not been run, and writes the page.
pub(crate) fn run(root: &Path, extent: Extent) -> Outcome {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let home = target.join("accuracy");
    let binary = std::env::var_os("PGMEDIC").map_or_else(|| target.join("release/pgmedic"), PathBuf::from);
    let built = std::fs::metadata(&binary).and_then(|m| m.modified());
    let built =
        built.map_err(|e| vec![format!("{}: {e}; cargo build --release makes it", binary.display())])?;
    let runner = Runner { binary, built, home: home.clone() };
    let own = Server { major: "own".to_owned(), folder: None };
    let servers = match extent {
        Extent::Whole => servers()?,
        Extent::Quick => vec![own.clone()],
    };
    let (drills, pairs) = (runner.names(&[])?, runner.names(&["--pairs"])?);
    let mut editions = Vec::new();
    for server in &servers {
        let drills = runner.each(server, &drills);
        // The statement and the words differ by version, and how causes explain each other does not: the pairs are
        // run on the oldest and on the newest.
        let ends = [servers.first(), servers.last()].into_iter().flatten();
        let with_pairs = ends.map(|end| &end.major).any(|major| *major == server.major);
        let pairs = if with_pairs { runner.each(server, &pairs) } else { Vec::new() };
        editions.push(Edition { major: server.major.clone(), drills, pairs });
    }
    // Base backups, dumps and a replica are part of the load: this machine's own Postgres has the programs for them.
    let checks = extent.healthy_checks().to_string();
    let healthy = runner.one(&own, "healthy", &["--healthy", &checks], HEALTHY_WITHIN);
    let accuracy = Accuracy { editions, healthy };
    let path = extent.page(root, &home);
    let failed = |e: std::io::Error| vec![format!("{}: {e}", path.display())];
    std::fs::write(&path, page::render(&accuracy, extent == Extent::Quick)).map_err(failed)?;
    let misses = accuracy.misses();
    if misses.is_empty() { Ok(format!("wrote {}", path.display())) } else { Err(misses) }
}

/// A Postgres to run on.
#[derive(Clone, Debug)]
struct Server {
    /// `14`; `own` for this machine's own.
    major: String,
    /// Its programs' folder; None for what the lab finds by itself.
    folder: Option<PathBuf>,
}

/// The servers of `PGMEDIC_PG_BINS`, by major.
fn servers() -> Result<Vec<Server>, Vec<String>> {
    let named = std::env::var("PGMEDIC_PG_BINS").unwrap_or_default();
    let mut servers: Vec<Server> = std::env::split_paths(&named)
        .filter(|folder| !folder.as_os_str().is_empty())
        .map(|folder| Ok(Server { major: major(&folder)?, folder: Some(folder) }))
        .collect::<Result<_, Vec<String>>>()?;
    servers.sort_by_key(|server| server.major.parse().unwrap_or(0_u32));
    if servers.is_empty() {
        return Err(vec!["PGMEDIC_PG_BINS names no Postgres; `make accuracy` gets them".to_owned()]);
    }
    Ok(servers)
}

/// `14`, of a folder of Postgres' programs.
fn major(folder: &Path) -> Result<String, Vec<String>> {
    let program = folder.join("postgres");
    let failed = |why: String| vec![format!("{}: {why}", program.display())];
    let output = Command::new(&program).arg("-V").output().map_err(|e| failed(e.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = said.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let major = version.and_then(|version| version.split(|c: char| !c.is_ascii_digit()).next());
    major.map(str::to_owned).ok_or_else(|| failed(format!("no version in {said:?}")))
}

/// Who runs the binary and keeps what it wrote.
struct Runner {
    binary: PathBuf,
    built: SystemTime,
    home: PathBuf,
}

impl Runner {
    /// The names that `drill --list` gives.
    fn names(&self, more: &[&str]) -> Result<Vec<String>, Vec<String>> {
        let failed = |why: String| vec![format!("{} drill --list: {why}", self.binary.display())];
        let mut command = Command::new(&self.binary);
        command.args(["drill", "--list", "--format", "json"]).args(more);
        let output = command.output().map_err(|e| failed(e.to_string()))?;
        document::listed(&output.stdout).map_err(|e| failed(e.to_string()))
    }

    /// Each of these names in a process of its own.
    fn each(&self, server: &Server, names: &[String]) -> Vec<Ran> {
        names.iter().map(|name| self.one(server, name, &[name], DRILL_WITHIN)).collect()
    }

    /// What one run wrote: now, or the last time since the binary was built.
    fn one(&self, server: &Server, name: &str, arguments: &[&str], within: Duration) -> Ran {
        let path = self.home.join(&server.major).join(format!("{name}.json"));
        let kept = std::fs::metadata(&path).and_then(|m| m.modified()).is_ok_and(|at| at > self.built);
        let document = if kept { read(&path) } else { Err(String::new()) };
        let document = document.or_else(|_| {
            println!("Postgres {}: {name}", server.major);
            self.now(server, arguments, &path, within)
        });
        Ran { name: name.to_owned(), document }
    }

    fn now(
        &self,
        server: &Server,
        arguments: &[&str],
        path: &Path,
        within: Duration,
    ) -> Result<Document, String> {
        let failed = |e: std::io::Error| format!("{}: {e}", path.display());
        let folder = path.parent().unwrap_or(path);
        std::fs::create_dir_all(folder).map_err(failed)?;
        let unfinished = path.with_extension("unfinished");
        let out = std::fs::File::create(&unfinished).map_err(failed)?;
        let mut command = Command::new(&self.binary);
        command.arg("drill").args(arguments).args(["--format", "json"]);
        command.stdin(Stdio::null()).stdout(out).stderr(Stdio::piped());
        if let Some(folder) = &server.folder {
            command.env("PGMEDIC_PG_BIN", folder);
        }
        let mut child = command.spawn().map_err(failed)?;
        ended(&mut child, within)?;
        match read(&unfinished) {
            Ok(document) => {
                std::fs::rename(&unfinished, path).map_err(failed)?;
                Ok(document)
            }
            Err(why) => Err(format!("{why}: {}", stderr_of(child))),
        }
    }
}

/// Waits for a run to end; one that does not is ended, and its lab with it (the lab's janitor sees to that).
fn ended(child: &mut Child, within: Duration) -> Result<(), String> {
    let from = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(_)) => return Ok(()),
            Ok(None) if from.elapsed() < within => std::thread::sleep(STEP),
            Ok(None) => {
                let killed = child.kill().and_then(|()| child.wait());
                return Err(format!("did not end within {within:?} ({killed:?})"));
            }
            Err(e) => return Err(e.to_string()),
        }
    }
}

/// The end of what it said on stderr.
fn stderr_of(child: Child) -> String {
    let said = child.wait_with_output().map(|output| output.stderr).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    said.lines().last().unwrap_or("it said nothing").to_owned()
}

fn read(path: &Path) -> Result<Document, String> {
    let text = std::fs::read(path).map_err(|e| e.to_string())?;
    serde_json::from_slice(&text).map_err(|e| format!("no document: {e}"))
}
