//! Commands of this host: a script that writes down how it was called.

use crate::contract::{AMPLE, Case, Double, holds, run, until, within};
use pgmedic_model::Deed;
use pgmedic_path::hands::host::{Commands, key};
use pgmedic_path::hands::{Hands, Order, Target, Undone};
use pgmedic_path::platform::Part;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Committed, not written by a test: a file that was just written cannot always be executed (ETXTBSY).
const COMMAND: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hands/host/command");
/// A file that may not be executed.
const NO_COMMAND: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hands/host.rs");

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

fn commands(program: &str, folder: &Path, more: &[&str]) -> Commands {
    let list = |deed: Deed| {
        let words = [program, folder.to_str().unwrap(), key(deed)];
        let more = if deed == Deed::ExtendVolume { more } else { &more[..more.len().min(1)] };
        (deed, words.iter().chain(more).map(|&word| word.to_owned()).collect::<Vec<_>>())
    };
    Commands::new([Deed::RestartApi, Deed::RestartDb, Deed::StartDb, Deed::ExtendVolume].map(list)).unwrap()
}

const MORE: [&str; 4] = ["two words; $(rm -rf /)", "{size_gb}", "-L{size_gb}G", "{size_gb}{size_gb}"];

struct Host(TempDir);

impl Host {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn asked(&self) -> String {
        std::fs::read_to_string(self.0.path().join("asked")).unwrap_or_default()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // What still waits may end; its folder must be there until then.
        std::fs::write(self.0.path().join("over"), "").unwrap();
        if self.0.path().join("hangs").exists() {
            until("the end of what went on", || self.0.path().join("ended").exists());
        }
    }
}

fn double(case: Case) -> Double {
    let host = Host::new();
    let folder = host.0.path().to_owned();
    match case {
        Case::ActsAndHangs => std::fs::write(folder.join("hangs"), "").unwrap(),
        Case::ActsAndFails => std::fs::write(folder.join("fails"), "").unwrap(),
        Case::Willing | Case::Forbidden => {}
    }
    let program = if case == Case::Forbidden { NO_COMMAND } else { COMMAND };
    let hands = Arc::new(commands(program, &folder, &MORE));
    let (asked, changes) = (folder.join("asked"), folder.join("asked"));
    let life = move |part| {
        let deed = if part == Part::Api { Deed::RestartApi } else { Deed::RestartDb };
        lines(&folder.join(format!("{}.life", key(deed)))).to_string()
    };
    Double {
        hands,
        asked: Box::new(move || lines(&asked)),
        changes: Box::new(move || lines(&changes)),
        life: Box::new(life),
        runs: Box::new(|_| true),
        _alive: Box::new(host),
    }
}

#[test]
fn the_contract_by_commands() {
    holds(double);
}

#[test]
fn arguments_are_a_list_and_the_size_stands_where_it_is_wanted() {
    let host = Host::new();
    let hands = commands(COMMAND, host.0.path(), &MORE);
    let mut target = run(hands.targets(Deed::ExtendVolume, within(AMPLE))).unwrap().remove(0);
    assert_eq!(target, Target { id: "extend_volume".into(), name: "command".into(), size_gb: None });
    target.size_gb = Some(10);
    let done = run(hands.act(&Order::Extend(target, 12), within(AMPLE))).unwrap();
    assert_eq!(host.asked(), "<two words; $(rm -rf /)><12><-L12G><1212> extend_volume\n");
    assert_eq!(done.said, "command ended well: done with token=***");
}

#[test]
fn a_command_that_is_not_over_in_time_goes_on() {
    let host = Host::new();
    std::fs::write(host.0.path().join("hangs"), "").unwrap();
    let hands = commands(COMMAND, host.0.path(), &MORE);
    let target = run(hands.targets(Deed::RestartDb, within(AMPLE))).unwrap().remove(0);
    let end = run(hands.act(&Order::Restart(Part::Db, target), within(Duration::from_millis(300))));
    let Err(Undone::Unknown { why, .. }) = end else { panic!("{end:?}") };
    assert!(why.contains("was not killed and goes on"), "{why}");
    assert!(!host.0.path().join("ended").exists());
    std::fs::write(host.0.path().join("over"), "").unwrap();
    until("its own end", || host.0.path().join("ended").exists());
}

#[test]
fn what_cannot_be_started_and_what_failed_say_so() {
    let host = Host::new();
    let target = |hands: &Commands| run(hands.targets(Deed::RestartDb, within(AMPLE))).unwrap().remove(0);
    let gone = commands("/nowhere/at-all", host.0.path(), &MORE);
    let order = Order::Restart(Part::Db, target(&gone));
    let end = run(gone.act(&order, within(AMPLE))).unwrap_err().to_string();
    assert!(end.contains("restart_db: at-all was not started") && end.contains("No such file"), "{end}");
    std::fs::write(host.0.path().join("fails"), "").unwrap();
    let hands = commands(COMMAND, host.0.path(), &MORE);
    let end = run(hands.act(&Order::Restart(Part::Db, target(&hands)), within(AMPLE))).unwrap_err();
    assert!(end.to_string().contains("exit status: 3: password=*** is wrong"), "{end}");
}
