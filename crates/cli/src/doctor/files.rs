//! Whether this user may read a file or folder, and the line that lets it. The look is apart from the judgement.

use super::{Check, Grant, shell};
use pgmedic_path::paste::argument;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What a look came to.
#[derive(Debug)]
pub(super) enum Reach {
    /// It can be read.
    Readable,
    /// A folder on the way may not be entered.
    Shut(PathBuf),
    /// It stands there and may not be read; the group that may, by name, where its mode lets one.
    Denied(Option<String>),
    /// Nothing is there, or it cannot be read for another reason.
    Gone(String),
}

impl Reach {
    /// Looks, by opening it; nothing is read of it.
    pub(super) fn of(path: &Path) -> Self {
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Self::Shut(shut(path)),
            Err(error) => return Self::Gone(error.to_string()),
        };
        let opened = if metadata.is_dir() {
            std::fs::read_dir(path).map(|_| ())
        } else {
            std::fs::File::open(path).map(|_| ())
        };
        match opened {
            Ok(()) => Self::Readable,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let by_group = metadata.mode() & 0o040 != 0 && metadata.gid() != 0;
                Self::Denied(by_group.then(|| group(metadata.gid())).flatten())
            }
            Err(error) => Self::Gone(error.to_string()),
        }
    }
}

/// The outermost folder on the way that may not be entered: what is below it cannot be looked at.
fn shut(path: &Path) -> PathBuf {
    let mut above: Vec<&Path> =
        path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()).collect();
    above.reverse();
    let enters = |folder: &&&Path| {
        // A name that is not there is told from one that may not be asked for.
        std::fs::metadata(folder.join("pgmedic-is-looking"))
            .is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    };
    above.iter().find(enters).map_or_else(|| path.to_path_buf(), |folder| folder.to_path_buf())
}

/// A group's name by /etc/group.
fn group(gid: u32) -> Option<String> {
    name_of("/etc/group", gid)
}

/// A user's name by /etc/passwd.
pub(super) fn user(uid: u32) -> Option<String> {
    name_of("/etc/passwd", uid)
}

fn name_of(file: &str, id: u32) -> Option<String> {
    let (text, id) = (std::fs::read_to_string(file).ok()?, id.to_string());
    let line = text.lines().find(|line| line.split(':').nth(2) == Some(id.as_str()))?;
    line.split(':').next().map(str::to_owned)
}

/// What a look at a file comes to.
pub(super) fn check(
    right: &'static str,
    path: &Path,
    reach: &Reach,
    user: &str,
    without: &'static str,
) -> Check {
    let shown = path.display().to_string();
    match reach {
        Reach::Readable => Check::ok(right, shown, "can be read"),
        Reach::Gone(why) => Check::missing(right, shown, format!("cannot be read: {why}"), without),
        Reach::Shut(folder) => {
            let said = format!("{user} may not enter {}", folder.display());
            Check::missing(right, shown, said, without).granted_by(opened(path, folder, user))
        }
        Reach::Denied(Some(group)) => Check::missing(right, shown, format!("{user} may not read it"), without)
            .granted_by(vec![shell(format!("sudo usermod -aG {} {}", argument(group), argument(user)))])
            .note("a new group holds from the next login on"),
        Reach::Denied(None) => Check::missing(right, shown, format!("{user} may not read it"), without)
            .granted_by(vec![shell(acl(user, "r", path))])
            .note("a log that is rotated is a new file: let logrotate's `create` give it a group, and join that"),
    }
}

fn opened(path: &Path, folder: &Path, user: &str) -> Vec<Grant> {
    vec![shell(acl(user, "x", folder)), shell(acl(user, "r", path))]
}

fn acl(user: &str, rights: &str, path: &Path) -> String {
    format!("sudo setfacl -m u:{}:{rights} {}", argument(user), argument(&path.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn the_line_names_the_real_file_and_the_group_that_may() {
        let path = Path::new("/var/log/post gresql.log");
        let of = |reach| check("log", path, &reach, "pgmedic", "see it");
        assert_eq!(of(Reach::Denied(Some("adm".into()))).grants[0].line, "sudo usermod -aG adm pgmedic");
        assert_eq!(
            of(Reach::Denied(None)).grants[0].line,
            "sudo setfacl -m u:pgmedic:r '/var/log/post gresql.log'"
        );
        let shut = of(Reach::Shut(PathBuf::from("/var/log")));
        assert_eq!(shut.grants[0].line, "sudo setfacl -m u:pgmedic:x /var/log");
        assert_eq!((of(Reach::Readable).state, shut.state), (State::Ok, State::Missing));
    }

    #[test]
    fn a_file_that_is_not_there_is_said_with_the_reason() {
        let reach = Reach::of(Path::new("/nowhere/at/all"));
        assert!(matches!(&reach, Reach::Gone(why) if why.contains("No such file")), "{reach:?}");
    }
}
