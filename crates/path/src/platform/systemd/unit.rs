//! What `systemctl show` tells of a unit (org.freedesktop.systemd1(5), systemd.service(5)). Not in here: asking.

use crate::paste;
use crate::platform::Part;
use crate::platform::told::{ByHand, Exit, Instance, InstanceState};
use pgmedic_model::{Timestamp, mask};
use std::collections::HashMap;

/// The properties that are asked for.
pub(super) const ASKED: &str = "Id,LoadState,LoadError,ActiveState,SubState,Result,Type,RemainAfterExit,MainPID,\
    ExecMainCode,ExecMainStatus,ExecMainStartTimestamp,ExecMainExitTimestamp,ActiveEnterTimestamp,NRestarts,StatusText,\
    Wants,ConsistsOf";

/// Most units that are read.
const MOST: usize = 64;
/// Characters of a status text that are shown.
const WORDS: usize = 200;
/// SIGTERM, by which systemd asks for an end.
const SIGTERM: i64 = 15;

/// A unit's properties.
#[derive(Debug, Default)]
pub(super) struct Unit(HashMap<String, String>);

/// The units of an answer: `Key=value` lines, an empty line between two units.
pub(super) fn read(text: &str) -> Vec<Unit> {
    let unit = |part: &str| {
        let pair = |line: &str| line.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
        Unit(part.lines().filter_map(pair).collect())
    };
    text.split("\n\n").map(unit).filter(Unit::is_one).take(MOST).collect()
}

impl Unit {
    fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    /// Its full name: `postgresql@15-main.service`.
    pub(super) fn name(&self) -> &str {
        self.get("Id")
    }

    fn is_one(&self) -> bool {
        !self.name().is_empty() && !self.get("ActiveState").is_empty()
    }

    /// False where there is no such unit, or systemd cannot read it.
    pub(super) fn is_loaded(&self) -> bool {
        !matches!(self.get("LoadState"), "not-found" | "error" | "bad-setting" | "masked")
    }

    /// Why it is not loaded, with the next step.
    pub(super) fn not_loaded(&self) -> String {
        let name = self.name();
        match self.get("LoadState") {
            "not-found" => {
                format!(
                    "systemd knows no unit {name}; systemctl list-units --all 'postgres*' lists what there is"
                )
            }
            state => {
                let why = mask::excerpt(self.get("LoadError"), WORDS);
                format!("the unit {name} is {state}; systemctl cat {} shows it. {why}", paste::argument(name))
            }
        }
    }

    /// True for a unit that only holds others together: its own program ended at once, and it stays `active (exited)`
    /// whatever becomes of them.
    pub(super) fn is_wrapper(&self) -> bool {
        self.get("Type") == "oneshot" && self.get("RemainAfterExit") == "yes"
    }

    /// What a wrapper wraps: the units of its own template that it wants or that are part of it, as Debian's
    /// `postgresql.service` has `postgresql@15-main.service`.
    pub(super) fn wraps(&self) -> Vec<String> {
        let Some(stem) = self.name().strip_suffix(".service") else { return Vec::new() };
        let template = format!("{stem}@");
        let named = [self.get("Wants"), self.get("ConsistsOf")].into_iter().flat_map(str::split_whitespace);
        let mut names: Vec<String> =
            named.filter(|name| name.starts_with(&template)).map(str::to_owned).take(MOST).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The unit as an instance.
    pub(super) fn instance(&self, part: Part) -> Instance {
        let name = self.name();
        let quoted = paste::argument(name);
        Instance {
            id: name.to_owned(),
            name: name.to_owned(),
            state: self.state(),
            word: self.word(),
            started_at: self.time("ExecMainStartTimestamp").or_else(|| self.time("ActiveEnterTimestamp")),
            restarts: self.get("NRestarts").parse().ok(),
            exit: self.exit(part),
            remarks: self.remarks(),
            by_hand: ByHand {
                look: format!("systemctl status --no-pager {quoted}"),
                start: format!("systemctl start {quoted}"),
                restart: format!("systemctl restart {quoted}"),
            },
            ..Instance::default()
        }
    }

    fn state(&self) -> InstanceState {
        match (self.get("ActiveState"), self.get("SubState")) {
            // That a program has run says nothing of what it left behind.
            ("active", "exited") => InstanceState::Unknown,
            ("active" | "reloading" | "refreshing", _) => InstanceState::Running,
            ("activating", _) => InstanceState::Starting,
            ("deactivating", _) => InstanceState::Stopping,
            ("inactive" | "maintenance", _) => InstanceState::Stopped,
            ("failed", _) => InstanceState::Failed,
            _ => InstanceState::Unknown,
        }
    }

    /// systemd's words: `active (running)`, `failed (Result: oom-kill)`.
    fn word(&self) -> String {
        let state = self.get("ActiveState");
        match (state, self.get("Result")) {
            ("failed", result) if !result.is_empty() => format!("failed (Result: {result})"),
            _ => format!("{state} ({})", self.get("SubState")),
        }
    }

    /// How its main process ended; None while it runs or where it never ran.
    fn exit(&self, part: Part) -> Option<Exit> {
        // The properties are of the process that runs where one does.
        if self.get("MainPID") != "0" || self.is_wrapper() {
            return None;
        }
        let result = self.get("Result");
        let number = self.get("ExecMainStatus").parse::<i64>().ok();
        // waitid(2): CLD_EXITED 1, CLD_KILLED 2, CLD_DUMPED 3; 0 where there was no process.
        let (code, signal) = match self.get("ExecMainCode") {
            "1" | "exited" => (number, None),
            "2" | "3" | "killed" | "dumped" => (None, number),
            _ if matches!(result, "" | "success") => return None,
            _ => (None, None),
        };
        // A postmaster ends with 0 only where it was told to; another program may have had nothing left to do.
        let orderly = code == Some(0) && part == Part::Db;
        Some(Exit {
            at: self.time("ExecMainExitTimestamp"),
            code,
            signal,
            out_of_memory: result == "oom-kill",
            requested: result == "success" && (orderly || signal == Some(SIGTERM)),
        })
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.is_wrapper() {
            let name = self.name();
            remarks.push(format!(
                "{name} is a wrapper that is active whatever its clusters do, and none is known to it; name the \
                 cluster's own unit, as in postgresql@15-main"
            ));
        }
        let text = mask::excerpt(self.get("StatusText"), WORDS);
        if !text.is_empty() {
            remarks.push(text);
        }
        remarks
    }

    /// `Mon 2026-11-23 03:12:09 UTC`, as it is written under `TZ=UTC`; empty or `n/a` where it never was.
    fn time(&self, key: &str) -> Option<Timestamp> {
        let mut words = self.get(key).split(' ').skip(1);
        let (date, clock, zone) = (words.next()?, words.next()?, words.next()?);
        (zone == "UTC").then(|| format!("{date}T{clock}Z").parse().ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Instance {
        read(&text.replace("; ", "\n")).remove(0).instance(Part::Db)
    }

    #[test]
    fn a_unit_that_runs() {
        let seen = of(
            "Type=forking; NRestarts=2; MainPID=812; ExecMainStatus=0; ExecMainCode=0; Id=postgresql@15-main.service; \
             ActiveState=active; SubState=running; Result=success; ExecMainStartTimestamp=Mon 2026-11-23 03:12:09 UTC",
        );
        assert_eq!((seen.state, seen.word.as_str()), (InstanceState::Running, "active (running)"));
        assert_eq!(seen.started_at, Some("2026-11-23T03:12:09Z".parse().unwrap()));
        assert_eq!((seen.restarts, seen.exit), (Some(2), None));
        assert_eq!(seen.by_hand.start, "systemctl start postgresql@15-main.service");
    }

    #[test]
    fn ends_are_told_apart() {
        let exit = |rest: &str| {
            let seen = of(&format!("Id=a.service; MainPID=0; ExecMainExitTimestamp=; {rest}"));
            (seen.state, seen.word, seen.exit)
        };
        let stopped =
            exit("ActiveState=inactive; SubState=dead; Result=success; ExecMainCode=1; ExecMainStatus=0");
        assert_eq!(stopped.0, InstanceState::Stopped);
        assert!(stopped.2.is_some_and(|e| e.requested && e.code == Some(0)));
        let killed =
            exit("ActiveState=failed; SubState=failed; Result=signal; ExecMainCode=2; ExecMainStatus=9");
        assert_eq!((killed.0, killed.1.as_str()), (InstanceState::Failed, "failed (Result: signal)"));
        assert!(killed.2.is_some_and(|e| e.signal == Some(9) && !e.requested && !e.out_of_memory));
        let oom =
            exit("ActiveState=failed; SubState=failed; Result=oom-kill; ExecMainCode=2; ExecMainStatus=9");
        assert!(oom.2.is_some_and(|e| e.out_of_memory));
        // Debian's start by pg_ctlcluster failed: there never was a main process.
        let no_start =
            exit("ActiveState=failed; SubState=failed; Result=protocol; ExecMainCode=0; ExecMainStatus=0");
        assert_eq!(no_start.2, Some(Exit::default()));
        let never =
            exit("ActiveState=inactive; SubState=dead; Result=success; ExecMainCode=0; ExecMainStatus=0");
        assert_eq!((never.0, never.2), (InstanceState::Stopped, None));
        let loops = exit(
            "ActiveState=activating; SubState=auto-restart; Result=exit-code; ExecMainCode=1; ExecMainStatus=3",
        );
        assert_eq!((loops.0, loops.1.as_str()), (InstanceState::Starting, "activating (auto-restart)"));
        assert_eq!(loops.2.and_then(|e| e.code), Some(3));
    }

    #[test]
    fn debians_wrapper_says_nothing_by_itself() {
        let text = "Id=postgresql.service\nType=oneshot\nRemainAfterExit=yes\nActiveState=active\nSubState=exited\n\
                    ConsistsOf=postgresql@15-main.service\nWants=postgresql@15-main.service postgresql@13-old.service x.service\n";
        let unit = read(text).remove(0);
        assert!(unit.is_wrapper());
        assert_eq!(unit.wraps(), ["postgresql@13-old.service", "postgresql@15-main.service"]);
        let alone = of(
            "Id=postgresql.service; Type=oneshot; RemainAfterExit=yes; ActiveState=active; SubState=exited; MainPID=0",
        );
        assert_eq!((alone.state, alone.exit), (InstanceState::Unknown, None));
        assert!(alone.remarks[0].contains("postgresql@15-main"));
    }

    #[test]
    fn garbage_names_no_unit() {
        for text in ["", "\n\n\n", "==\u{0}=", "ActiveState=active", "Id=a.service"] {
            assert!(read(text).is_empty(), "{text:?}");
        }
    }
}
