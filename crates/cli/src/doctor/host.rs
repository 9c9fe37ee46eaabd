//! The window on this host: data directory, logs, and the processes of other users. What the configuration names is
//! needed; what pgmedic looks at by itself, because the target is a loopback address, is not.

use super::files::{self, Reach};
use super::{By, Check, Grant, Subject, shell};
use pgmedic_path::Seen;
use pgmedic_path::paste::argument;
use pgmedic_path::platform::evidence::HostEvidence;
use pgmedic_path::service::Window;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const WINDOW: &str = "see processes, listeners' queues, disks and logs while nobody can log in";
const DATA: &str =
    "see what fills the volume (WAL, temporary files), nor the server's state on disk when it is down";
const LOG: &str = "cite the server's log: crashes, refused logins, a start that fails";
const PROXY_LOG: &str = "cite the proxy's log: who hung up, timeouts, servers taken out";
const PROCESSES: &str =
    "see which process listens (a proxy, a pooler, the server), its descriptors and servers behind it";

pub(super) fn checks(s: Subject<'_>) -> Vec<Check> {
    let configured = match &s.service.window {
        Window::Host(paths) => Some(paths),
        Window::ByItself | Window::Off => None,
    };
    let host = match &s.evidence.host {
        Seen::Seen(host) => Some(host),
        Seen::NotSeen(_) if configured.is_none() => {
            return vec![Check::not_configured(
                "host-window",
                "this host (`platform.kind = \"host\"`)",
                WINDOW,
            )];
        }
        Seen::NotSeen(_) => None,
    };
    let mut all = Vec::new();
    let mut file = |right, given: Option<&PathBuf>, found: Option<String>, without| {
        let needed = given.is_some();
        if let Some(path) = given.cloned().or_else(|| found.map(PathBuf::from)) {
            let check = files::check(right, &path, &Reach::of(&path), s.user, without);
            all.push(check.needed(needed));
        }
    };
    let paths = configured.cloned().unwrap_or_default();
    let found = |pick: fn(&HostEvidence) -> Option<String>| host.and_then(pick);
    file("data-directory", paths.data_directory.as_ref(), found(|h| h.data_directory.clone()), DATA);
    file("server-log", paths.log.as_ref(), found(|h| h.log.as_ref().map(|log| log.path.clone())), LOG);
    file("proxy-log", paths.proxy_log.as_ref(), None, PROXY_LOG);
    for check in &mut all {
        as_the_servers_user(check);
    }
    if let Some(host) = host {
        all.extend(processes(host, configured.is_some(), s.user));
    }
    if configured.is_some_and(|paths| paths.log.is_none()) && host.is_some_and(|host| host.log.is_none()) {
        let said = "found neither by the server's configuration nor by `log`";
        all.push(Check::not_seen("server-log", "the server's log", said, LOG).needed(false).grant(
            By::File,
            "pgmedic.toml, [service.platform]",
            "log = \"/var/log/postgresql/postgresql-15-main.log\"",
        ));
    }
    if let (None, Seen::NotSeen(why)) = (host, &s.evidence.host) {
        all.push(Check::not_seen("host-window", "this host", why, WINDOW));
    }
    all
}

/// The server demands that nobody but its own user may write to its data directory, nor others read it: an ACL on the
/// folder is not enough for the files in it.
fn as_the_servers_user(check: &mut Check) {
    if check.right != "data-directory" || check.grants.is_empty() {
        return;
    }
    let owner = std::fs::metadata(Path::new(&check.looked)).ok().and_then(|found| files::user(found.uid()));
    check.grants = vec![as_user(owner.as_deref())];
    check.note = "the files in it are their owner's alone: run pgmedic as the server's user (in a unit: User=postgres)";
}

fn as_user(owner: Option<&str>) -> Grant {
    shell(format!("sudo -u {} pgmedic self doctor", argument(owner.unwrap_or("postgres"))))
}

/// Whether the descriptors of the processes that matter may be read: for that it takes their user, or two capabilities.
fn processes(host: &HostEvidence, needed: bool, user: &str) -> Vec<Check> {
    let each = [("postmaster", &host.postmaster), ("proxy", &host.proxy)];
    let known = each.into_iter().filter_map(|(name, process)| Some((name, process.as_ref()?)));
    let mut all: Vec<Check> = known
        .filter_map(|(name, process)| {
            let folder = PathBuf::from(format!("/proc/{}", process.pid));
            // It may have ended since.
            let owner = std::fs::metadata(&folder).ok()?.uid();
            let looked = format!("/proc/{} ({name}, {})", process.pid, process.program);
            let open = matches!(Reach::of(&folder.join("fd")), Reach::Readable);
            Some(process_check(looked, open, files::user(owner).as_deref(), user).needed(needed))
        })
        .collect();
    if all.is_empty() && host.blind.iter().any(|why| why.contains("which process listens")) {
        all.push(process_check("/proc: who listens".to_owned(), false, None, user).needed(needed));
    }
    all
}

fn process_check(looked: String, open: bool, owner: Option<&str>, user: &str) -> Check {
    if open {
        return Check::ok("processes", looked, "its descriptors can be read");
    }
    Check::missing("processes", looked, format!("{user} may not read its descriptors"), PROCESSES)
        .granted_by(vec![as_user(owner)])
        .grant(
            By::File,
            "pgmedic.service, [Service], in place of that",
            "AmbientCapabilities=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH",
        )
        .note("these two let it read every file and process of this host: another user is the smaller right")
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::fixture::Scene;
    use super::*;
    use pgmedic_path::service::HostPaths;

    #[test]
    fn no_window_is_no_lack_unless_it_is_configured() {
        let mut scene = Scene::default();
        assert_eq!(checks(scene.subject())[0].state, State::NotConfigured);
        scene.service.window = Window::Host(HostPaths::default());
        assert!(checks(scene.subject()).iter().any(|check| check.right == "host-window" && check.lacks()));
    }

    #[test]
    fn a_process_of_another_user_is_told_with_its_owner() {
        let check =
            process_check("/proc/7 (postmaster, postgres)".into(), false, Some("postgres"), "pgmedic");
        assert_eq!(check.grants[0].line, "sudo -u postgres pgmedic self doctor");
        assert!(check.said.starts_with("pgmedic may not"), "{check:?}");
    }
}
