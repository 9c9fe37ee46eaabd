//! What the platform tells with the token, socket, group or account that pgmedic has there, and what it would take to act.
//! What may be done can be found out only by doing it: that is said, and does not count. Not in here: this host (`host`).

use super::{By, Check, Grant, Subject, shell};
use pgmedic_model::{Deed, RemedyKind};
use pgmedic_path::Seen;
use pgmedic_path::paste::argument;
use pgmedic_path::platform::told::PlatformEvidence;

const LOOK: &str =
    "see machines, volumes and logs while nobody can log in: a stopped server, a full disk, a crash";
const ACT: &str = "restart, start or extend there (`fix`, and `watch` where policy.auto has it)";

/// Words with which a platform says that it has no such thing, or that the part is not named: no right is missing.
const NO_RIGHT: [&str; 2] = ["not configured", "tells nothing of"];

pub(super) fn checks(s: Subject<'_>) -> Vec<Check> {
    let Some(platform) = &s.service.platform else {
        return vec![Check::not_configured(
            "platform",
            "what runs API and database (`[service.platform]`)",
            LOOK,
        )];
    };
    let kind = platform.kind();
    let told = match &s.evidence.platform {
        Seen::Seen(told) => told,
        Seen::NotSeen(why) => return vec![Check::not_seen("platform", kind, why, LOOK)],
    };
    let mut all = looks(kind, told, s.user);
    all.extend(acts(s, kind));
    all
}

/// One check for what is told, and one for each reason for which something is not.
fn looks(kind: &str, told: &PlatformEvidence, user: &str) -> Vec<Check> {
    let parts = [
        ("the API's instances", why(&told.api)),
        ("the database's instances", why(&told.db)),
        ("volumes", why(&told.volumes)),
        ("the API's log", why(&told.api_log)),
        ("the database's log", why(&told.db_log)),
    ];
    let mut open = Vec::new();
    let mut shut: Vec<(&str, Vec<&str>)> = Vec::new();
    for (part, why) in parts {
        match why {
            None => open.push(part),
            Some(why) if NO_RIGHT.iter().any(|words| why.contains(words)) => {}
            Some(why) => match shut.iter_mut().find(|(other, _)| *other == why) {
                Some((_, with)) => with.push(part),
                None => shut.push((why, vec![part])),
            },
        }
    }
    let mut all = Vec::new();
    if !open.is_empty() {
        all.push(Check::ok("platform", format!("{kind}: {}", open.join(", ")), "told"));
    }
    for (why, parts) in shut {
        all.push(refused(kind, &parts.join(", "), why, user));
    }
    all
}

fn why<T>(seen: &Seen<T>) -> Option<&str> {
    match seen {
        Seen::Seen(_) => None,
        Seen::NotSeen(why) => Some(why),
    }
}

/// A right that lacks where the platform's words name one; else it is not known what lacks.
fn refused(kind: &str, parts: &str, why: &str, user: &str) -> Check {
    let looked = format!("{kind}: {parts}");
    let note = if kind == "docker" {
        "who may write to the engine's socket is root on its host: give this group with that in mind"
    } else {
        ""
    };
    match line(kind, why, user) {
        Some(grant) => Check::missing("platform", looked, why, LOOK).granted_by(vec![grant]).note(note),
        None => Check::not_seen("platform", looked, why, LOOK),
    }
}

/// The line for a refusal, by the next step that the platform's window says.
fn line(kind: &str, why: &str, user: &str) -> Option<Grant> {
    let says = |words: &str| why.contains(words);
    match kind {
        "fly" if says("fly tokens create readonly") => {
            Some(shell("export FLY_API_TOKEN=\"$(fly tokens create readonly ORG)\""))
        }
        "docker" => {
            let (_, rest) = why.split_once("usermod -aG ")?;
            let group = rest.split(' ').next()?;
            Some(shell(format!("sudo usermod -aG {} {}", argument(group), argument(user))))
        }
        "systemd" if says("systemd-journal") => {
            Some(shell(format!("sudo usermod -aG systemd-journal {}", argument(user))))
        }
        "kubernetes" if says("built without Kubernetes") => {
            Some(shell("cargo install --path crates/cli --features kubernetes"))
        }
        "kubernetes" => {
            let (before, rest) = why.split_once('{')?;
            let rule = rest.split('}').next()?;
            let place =
                if before.contains("ClusterRole") { "rules of a ClusterRole" } else { "rules of a Role" };
            Some(Grant { by: By::File, place: place.to_owned(), line: format!("- {{{rule}}}") })
        }
        _ => None,
    }
}

/// What it takes to act, where somebody has hands there.
fn acts(s: Subject<'_>, kind: &str) -> Option<Check> {
    let by_command = |deed: &Deed| s.commands.iter().any(|(own, _)| own == deed);
    let deeds: Vec<Deed> = s.evidence.offers.iter().copied().filter(|deed| !by_command(deed)).collect();
    if deeds.is_empty() {
        return None;
    }
    let kinds =
        [RemedyKind::Storage, RemedyKind::AppRestart, RemedyKind::ProxyRestart, RemedyKind::DbRestart];
    let said = if kinds.iter().any(|kind| s.auto(*kind)) {
        "found out only by acting; policy.auto has what needs it"
    } else {
        "found out only by acting"
    };
    let check = Check::not_seen("platform-acts", format!("{kind}: to act"), said, ACT).needed(false);
    Some(match kind {
        "fly" => check
            .granted_by(vec![shell("export FLY_API_TOKEN=\"$(fly tokens create deploy -a APP)\"")])
            .note("a deploy token is for one app; one for both is made with fly tokens create org"),
        "kubernetes" => {
            let rule = |line: &str| Grant {
                by: By::File,
                place: "rules of a Role".to_owned(),
                line: line.to_owned(),
            };
            check.granted_by(vec![
                rule("- {apiGroups: [\"apps\"], resources: [\"deployments\", \"statefulsets\"], verbs: [\"patch\"]}"),
                rule("- {apiGroups: [\"\"], resources: [\"pods\"], verbs: [\"delete\"]}"),
                rule("- {apiGroups: [\"\"], resources: [\"persistentvolumeclaims\"], verbs: [\"patch\"]}"),
            ])
        }
        "systemd" if rustix::process::geteuid().is_root() => {
            Check::ok("platform-acts", "systemd: to act", "pgmedic runs as root")
        }
        "systemd" => check.note("root, or a polkit rule for org.freedesktop.systemd1.manage-units"),
        "docker" => check.note("the same socket: who may look may act"),
        _ => check,
    })
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn of(kind: &str, why: &str) -> Check {
        refused(kind, "volumes", why, "pgmedic")
    }

    #[test]
    fn each_refusal_has_its_line_and_dockers_its_danger() {
        let docker = of(
            "docker",
            "permission denied; the socket belongs to the group docker: sudo usermod -aG docker USER and log in anew",
        );
        assert_eq!(docker.grants[0].line, "sudo usermod -aG docker pgmedic");
        assert!(docker.note.contains("root"), "{docker:?}");
        let token = of(
            "fly",
            "no token: set FLY_API_TOKEN, or `token` in [service.platform] (`fly tokens create readonly`)",
        );
        assert_eq!(token.grants[0].line, "export FLY_API_TOKEN=\"$(fly tokens create readonly ORG)\"");
        let journal = of("systemd", "add pgmedic's user to the group systemd-journal (sudo usermod …)");
        assert_eq!(journal.grants[0].line, "sudo usermod -aG systemd-journal pgmedic");
        let rule = of(
            "kubernetes",
            "status 403; missing in a Role of pgmedic's account in the namespace shop: {apiGroups: [\"\"], resources: [\"pods\"], verbs: [\"list\"]}",
        );
        assert_eq!(rule.grants[0].line, "- {apiGroups: [\"\"], resources: [\"pods\"], verbs: [\"list\"]}");
    }

    #[test]
    fn a_platform_that_does_not_answer_lacks_no_right_that_is_known() {
        let silent = of("fly", "the platform did not answer in time");
        assert_eq!((silent.state, silent.grants.len(), silent.lacks()), (State::NotSeen, 0, true));
    }

    #[test]
    fn one_reason_is_said_once_and_what_is_not_offered_is_no_lack() {
        let not = |why: &str| why.to_owned();
        let no_token = "no token: set FLY_API_TOKEN (`fly tokens create readonly`)";
        let told = PlatformEvidence {
            at: Default::default(),
            elapsed_ms: pgmedic_model::Ms(1.0),
            platform: "fly".into(),
            api: Seen::NotSeen(not("not configured (`platform.api`)")),
            db: Seen::NotSeen(not(no_token)),
            volumes: Seen::NotSeen(not(no_token)),
            api_log: Seen::NotSeen(not("this platform tells nothing of logs")),
            db_log: Seen::NotSeen(not(no_token)),
        };
        let all = looks("fly", &told, "pgmedic");
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!(all[0].looked, "fly: the database's instances, volumes, the database's log");
    }
}
