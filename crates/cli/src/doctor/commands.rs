//! The commands of `[service.platform]`: whether each program is there and may be run, and whether anybody can do what
//! `policy.auto` promises. None is run.

use super::{By, Check, Subject};
use pgmedic_model::{Deed, RemedyKind};
use pgmedic_path::hands::host::key;
use pgmedic_path::paste::argument;
use rustix::fs::{Access, access};
use std::path::{Path, PathBuf};

const RUN: &str = "do what the command is for";
const PROMISED: &str = "do by itself what policy.auto says";

/// What `policy.auto` may say, and any of the deeds that somebody has to offer for it.
const KINDS: [(RemedyKind, &[Deed]); 4] = [
    (RemedyKind::Storage, &[Deed::ExtendVolume]),
    (RemedyKind::AppRestart, &[Deed::RestartApi]),
    (RemedyKind::ProxyRestart, &[Deed::RestartProxy]),
    (RemedyKind::DbRestart, &[Deed::RestartDb, Deed::StartDb]),
];

pub(super) fn checks(s: Subject<'_>) -> Vec<Check> {
    let commands = s.commands.iter().filter_map(|(deed, list)| Some((*deed, list.first()?)));
    let mut all: Vec<Check> =
        commands.map(|(deed, program)| command(deed, program, found(program))).collect();
    all.extend(
        KINDS
            .into_iter()
            .filter(|(kind, _)| s.auto(*kind))
            .filter_map(|(kind, deeds)| promised(s, kind, deeds)),
    );
    all
}

/// A program, by the way that a shell would find it.
enum Program {
    Runs(PathBuf),
    Denied(PathBuf),
    Nowhere,
}

fn found(program: &str) -> Program {
    let runs = |path: &Path| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    if program.contains('/') {
        let path = PathBuf::from(program);
        return match (runs(&path), path.exists()) {
            (true, _) => Program::Runs(path),
            (false, true) => Program::Denied(path),
            (false, false) => Program::Nowhere,
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = std::env::split_paths(&path).map(|folder| folder.join(program));
    all.find(|path| runs(path)).map_or(Program::Nowhere, Program::Runs)
}

fn command(deed: Deed, program: &str, found: Program) -> Check {
    let looked = format!("{}: {program}", key(deed));
    match found {
        Program::Runs(path) => Check::ok("command", looked, format!("{} may be run", path.display())),
        Program::Denied(path) => {
            let line = format!("sudo chmod a+x {}", argument(&path.display().to_string()));
            Check::missing("command", looked, "it is there and may not be run", RUN).grant(
                By::Shell,
                "this host",
                line,
            )
        }
        Program::Nowhere if program.contains('/') => {
            Check::missing("command", looked, "there is no such program", RUN)
        }
        Program::Nowhere => Check::missing("command", looked, "no such program in PATH", RUN),
    }
}

/// What `policy.auto` allows and nobody offers to do, or what a bound forbids that is not set.
fn promised(s: Subject<'_>, kind: RemedyKind, deeds: &[Deed]) -> Option<Check> {
    let looked = format!("policy.auto: {}", kind.as_str());
    if !deeds.iter().any(|deed| s.evidence.offers.contains(deed)) {
        let name = deeds.first().map_or("", |deed| key(*deed));
        return Some(Check::missing("auto", looked, "nobody offers to do it", PROMISED).grant(
            By::File,
            "pgmedic.toml, [service.platform]",
            format!("{name} = [\"PROGRAM\", \"ARGUMENT\"]"),
        ));
    }
    (kind == RemedyKind::Storage && s.service.policy.max_volume_gb.is_none()).then(|| {
        Check::missing("auto", looked, "max_volume_gb is not set: no volume is extended", PROMISED).grant(
            By::File,
            "pgmedic.toml, [service.policy]",
            "max_volume_gb = 100",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::fixture::Scene;
    use super::*;

    #[test]
    fn a_program_is_found_as_a_shell_finds_it_and_none_is_run() {
        assert!(matches!(found("sh"), Program::Runs(_)) && matches!(found("/bin/sh"), Program::Runs(_)));
        assert!(matches!(found("no-such-program-at-all"), Program::Nowhere));
        assert!(matches!(found("/etc/passwd"), Program::Denied(_)));
        assert_eq!(command(Deed::RestartDb, "nope", Program::Nowhere).state, State::Missing);
    }

    #[test]
    fn what_auto_allows_and_nobody_can_do_is_missing() {
        let mut scene = Scene::default();
        scene.service.policy.auto = vec![RemedyKind::DbRestart, RemedyKind::Storage];
        let all = checks(scene.subject());
        assert_eq!(all.iter().filter(|check| check.lacks()).count(), 2, "{all:#?}");
        scene.evidence.offers = vec![Deed::StartDb, Deed::ExtendVolume];
        let all = checks(scene.subject());
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].grants[0].line, "max_volume_gb = 100");
        scene.service.policy.max_volume_gb = Some(100);
        assert!(checks(scene.subject()).is_empty());
    }
}
