//! systemd: units of this host, by `systemctl show` and `journalctl`. Both are asked with argument lists, bounded in time
//! and bytes.
//!
//! Debian's `postgresql.service` is a wrapper (`active (exited)` whatever its clusters do); the units of its clusters,
//! `postgresql@15-main.service`, are asked in its place. Not in here: this host's processes, disks and log files, which
//! the host's window shows beside, and what changes something (`hands/systemd`).

#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod journal;
mod unit;

use super::command::{self, Said, Unsaid};
use super::told::{Instance, PlatformVolume};
use super::{Asked, Part, Platform, Untold};
use std::path::{Path, PathBuf};
use tokio::time::Instant;
use unit::{ASKED, Unit};

/// Bytes read of `systemctl show`. A unit's properties are about 1 KiB.
const SHOWN: usize = 256 * 1024;
/// Bytes read of the journal.
const JOURNAL: usize = 1024 * 1024;
/// Lines of the journal that are asked for.
const LINES: &str = "400";

/// Words of systemctl and journalctl under `LC_ALL=C` for which they have no code, and the next step. From systemd's
/// source: bus-util.c (`bus_log_connect_error`), journal-util.c (`journal_access_check_and_warn`); as 252 and 255 say them.
const WORDS: [(&str, &str); 5] = [
    (
        "has not been booted with systemd",
        "platform.kind = \"systemd\" is for a host that systemd runs; in a container \"host\" or \"docker\" fits",
    ),
    ("Failed to connect to", "is systemd's bus reachable from here? in a container it is not"),
    ("insufficient permissions", JOURNAL_GROUP),
    ("not seeing messages from other users", JOURNAL_GROUP),
    ("Access denied", "run pgmedic as a user that polkit lets read units, or as root"),
];

const JOURNAL_GROUP: &str =
    "add pgmedic's user to the group systemd-journal (sudo usermod -aG systemd-journal USER) and log in anew";

/// The units of the API and the database on this host.
#[derive(Clone, Debug)]
pub struct Systemd {
    api: Option<String>,
    db: Option<String>,
    systemctl: PathBuf,
    journalctl: PathBuf,
}

impl Systemd {
    /// The units by name: `renderflow-api`, `postgresql@15-main`. The suffix `.service` may be left out.
    #[must_use]
    pub fn new(api: Option<String>, db: Option<String>) -> Self {
        Self { api, db, systemctl: "systemctl".into(), journalctl: "journalctl".into() }
    }

    /// Other programs in the place of `systemctl` and `journalctl`.
    #[must_use]
    pub fn with_programs(self, systemctl: PathBuf, journalctl: PathBuf) -> Self {
        Self { systemctl, journalctl, ..self }
    }

    /// The program.
    pub(crate) fn systemctl(&self) -> &Path {
        &self.systemctl
    }

    pub(crate) fn unit(&self, part: Part) -> Result<&str, Untold> {
        match part {
            Part::Api => self.api.as_deref().ok_or(Untold::NotNamed("api")),
            Part::Db => self.db.as_deref().ok_or(Untold::NotNamed("db")),
        }
    }

    /// The units that a name stands for, as instances.
    pub(crate) async fn named(
        &self,
        name: &str,
        part: Part,
        until: Instant,
    ) -> Result<Vec<Instance>, Untold> {
        Ok(self.units_of(name, until).await?.iter().map(|unit| unit.instance(part)).collect())
    }

    /// The units of a part.
    async fn units(&self, part: Part, until: Instant) -> Result<Vec<Unit>, Untold> {
        self.units_of(self.unit(part)?, until).await
    }

    /// The units that a name stands for: itself, or what a wrapper wraps.
    async fn units_of(&self, name: &str, until: Instant) -> Result<Vec<Unit>, Untold> {
        let units = self.show(&[name], until).await?;
        let wrapped: Vec<String> =
            units.iter().filter(|unit| unit.is_wrapper()).flat_map(Unit::wraps).collect();
        if wrapped.is_empty() {
            return Ok(units);
        }
        let names: Vec<&str> = wrapped.iter().map(String::as_str).collect();
        self.show(&names, until).await
    }

    /// `systemctl show` of units. One that does not exist is an error.
    async fn show(&self, names: &[&str], until: Instant) -> Result<Vec<Unit>, Untold> {
        let mut arguments = vec!["show", "--no-pager", "-p", ASKED, "--"];
        arguments.extend(names);
        let said = ask(&self.systemctl, &arguments, SHOWN, until).await?;
        let nonsense = |what: &str| Untold::Failed(format!("systemctl show {}: {what}", names.join(" ")));
        if !said.whole {
            return Err(nonsense("its answer has no end"));
        }
        let units = unit::read(&String::from_utf8_lossy(&said.text));
        if units.is_empty() {
            return Err(nonsense("its answer tells of no unit"));
        }
        match units.iter().find(|unit| !unit.is_loaded()) {
            None => Ok(units),
            Some(missing) => Err(Untold::Failed(missing.not_loaded())),
        }
    }

    async fn journal(&self, part: Part, until: Instant) -> Result<String, Untold> {
        let units = self.units(part, until).await?;
        let names: Vec<String> = units.iter().map(|unit| format!("--unit={}", unit.name())).collect();
        // The newest first: what is cut off are the oldest.
        let mut arguments = vec!["--no-pager", "--output=json", "--reverse", "-n", LINES];
        arguments.push("--output-fields=MESSAGE,_PID");
        arguments.extend(names.iter().map(String::as_str));
        let said = ask(&self.journalctl, &arguments, JOURNAL, until).await?;
        let text = journal::read(&said.text, part);
        if !text.is_empty() || said.complaint.trim().is_empty() {
            return Ok(text);
        }
        Err(Untold::Failed(format!("journalctl: {}", with_next_step(&said.words()))))
    }
}

impl Platform for Systemd {
    fn kind(&self) -> &'static str {
        "systemd"
    }

    fn instances(&self, part: Part, until: Instant) -> Asked<'_, Vec<Instance>> {
        Box::pin(async move {
            let units = self.units(part, until).await?;
            Ok(units.iter().map(|unit| unit.instance(part)).collect())
        })
    }

    fn volumes(&self, _until: Instant) -> Asked<'_, Vec<PlatformVolume>> {
        Box::pin(async {
            Err(Untold::NotOffered("systemd tells nothing of volumes; this host's window does"))
        })
    }

    fn log(&self, part: Part, until: Instant) -> Asked<'_, String> {
        Box::pin(self.journal(part, until))
    }
}

/// Runs one of the two; its refusal, with the next step, is an error.
async fn ask(program: &Path, arguments: &[&str], limit: usize, until: Instant) -> Result<Said, Untold> {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    match command::run(program, arguments, limit, until).await {
        Ok(said) if said.status.is_none_or(|status| status.success()) => Ok(said),
        Ok(said) => Err(Untold::Failed(format!("{name}: {}", with_next_step(&said.words())))),
        Err(Unsaid::Missing(_)) => Err(Untold::Failed(format!(
            "{name} is not on PATH: platform.kind = \"systemd\" is for a host that systemd runs"
        ))),
        Err(other) => Err(Untold::Failed(other.to_string())),
    }
}

fn with_next_step(words: &str) -> String {
    match WORDS.iter().find(|(said, _)| words.contains(said)) {
        Some((_, step)) => format!("{words}; {step}"),
        None => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_its_next_step() {
        // As systemd 252 says it (recorded in a container).
        let said = "System has not been booted with systemd as init system (PID 1). Can't operate.";
        assert!(with_next_step(said).contains("\"docker\""));
        let said = "Hint: You are currently not seeing messages from other users and the system.";
        assert!(with_next_step(said).contains("systemd-journal"));
        assert_eq!(with_next_step("Unit name x is not valid."), "Unit name x is not valid.");
    }
}
