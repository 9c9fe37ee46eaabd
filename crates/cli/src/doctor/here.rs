//! What belongs to no service: pgmedic's own state folder, the store's folder, and the secrets that `[watch]` names. No
//! alert is sent, and nothing is written.

use super::{By, Check};
use crate::config::Promised;
use pgmedic_path::paste::argument;
use rustix::fs::{Access, access};
use std::path::Path;

const STATE: &str =
    "fix anything, remember which server is whose, nor pause the daemon: all is written down there first";
const STORE: &str = "keep the history of `watch`";
const SECRET: &str = "start `watch` at all: it refuses a configuration that names what is not there";

/// The state folder, and what `[watch]` promises.
pub(crate) fn here(state: Option<&Path>, promised: Vec<Promised>, user: &str) -> Vec<Check> {
    let mut all = vec![match state {
        Some(folder) => folder_check("state-folder", folder, user, STATE),
        None => Check::missing("state-folder", "the state folder", "there is no home to have it in", STATE)
            .grant(By::Shell, "this host", "export PGMEDIC_STATE=/var/lib/pgmedic"),
    }];
    all.extend(promised.into_iter().map(|promised| of(promised, user)));
    all
}

fn of(promised: Promised, user: &str) -> Check {
    match promised {
        Promised::Store(path) => {
            let folder =
                path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let check = folder_check("store", folder, user, STORE);
            let denied = path.exists() && access(&path, Access::READ_OK | Access::WRITE_OK).is_err();
            if !denied {
                return check;
            }
            let shown = path.display().to_string();
            let line = format!("sudo chown {} {}", argument(user), argument(&shown));
            Check::missing("store", shown, format!("{user} may not write to it"), STORE).grant(
                By::Shell,
                "this host",
                line,
            )
        }
        Promised::Kept { right, key } => Check::ok(right, key, "there"),
        Promised::Lacks { right, key, why, line } => {
            let check = Check::missing(right, key, why, SECRET);
            match line {
                Some((by, place, line)) => check.grant(by, place, line),
                None => check,
            }
        }
    }
}

/// Whether a folder may be written to, or, where it is not there yet, made.
fn folder_check(right: &'static str, folder: &Path, user: &str, without: &'static str) -> Check {
    let shown = folder.display().to_string();
    let standing = folder.ancestors().map(|at| if at.as_os_str().is_empty() { Path::new(".") } else { at });
    let nearest = standing.into_iter().find(|at| at.exists());
    let writable =
        nearest.is_some_and(|at| at.is_dir() && access(at, Access::WRITE_OK | Access::EXEC_OK).is_ok());
    match (writable, folder.is_dir()) {
        (true, true) => Check::ok(right, shown, "may be written to"),
        (true, false) => Check::ok(right, shown, "not there yet, and may be made"),
        (false, _) => {
            let line = format!("sudo install -d -m 0700 -o {} {}", argument(user), argument(&shown));
            let said = match nearest {
                Some(at) if !at.is_dir() => format!("{} is no folder", at.display()),
                _ => format!("{user} may not write to it"),
            };
            Check::missing(right, shown, said, without).grant(By::Shell, "this host", line)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_state_folder_that_can_be_made_is_enough_and_none_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state/pgmedic");
        let all = here(Some(&folder), Vec::new(), "pgmedic");
        assert_eq!((all[0].state, folder.exists()), (State::Ok, false));
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let all = here(Some(&file.join("pgmedic")), Vec::new(), "pgmedic");
        assert_eq!(all[0].state, State::Missing);
        assert!(all[0].said.ends_with("is no folder"), "{all:?}");
    }

    #[test]
    fn without_a_home_the_variable_is_named() {
        assert_eq!(
            here(None, Vec::new(), "pgmedic")[0].grants[0].line,
            "export PGMEDIC_STATE=/var/lib/pgmedic"
        );
    }

    #[test]
    fn a_secret_that_is_not_there_is_named_by_its_key() {
        let lacks = Promised::Lacks {
            right: "alert",
            key: "alerts[1].url".into(),
            why: "the environment variable SLACK is not set".into(),
            line: Some((By::Shell, "pgmedic's environment".into(), "export SLACK=…".into())),
        };
        let all = here(None, vec![lacks], "pgmedic");
        assert_eq!((all[1].state, all[1].right, all[1].grants.len()), (State::Missing, "alert", 1));
    }
}
