//! The command line as it was given; a password in it does not stay in the list of processes.
//!
//! A process cannot change what `ps` shows of it without unsafe code, but it can start itself anew in its own place:
//! the true arguments go over in a memory file that only this process holds.

use std::ffi::OsString;

/// Says to the process that starts anew which descriptor holds its true arguments.
#[cfg(target_os = "linux")]
const HANDED_OVER: &str = "PGMEDIC_ARGUMENTS_IN";

/// The arguments, the program's name first. Where one holds a password, the process starts anew without it.
pub(crate) fn given() -> Vec<OsString> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    #[cfg(target_os = "linux")]
    {
        if let Some(handed) = std::env::var_os(HANDED_OVER) {
            return linux::taken_over(&handed).unwrap_or(arguments);
        }
        if arguments.iter().skip(1).any(|argument| holds_password(&argument.to_string_lossy())) {
            // Where this cannot be done (no /proc), the check matters more than the list of processes.
            let _not_possible = linux::hand_over(&arguments);
        }
    }
    arguments
}

/// True for a URL with a password before its `@`, and for `password=`.
#[cfg(target_os = "linux")]
fn holds_password(argument: &str) -> bool {
    let in_url = argument.split_once("://").is_some_and(|(_, rest)| {
        rest.rfind('@').is_some_and(|at| rest[..at].contains(':')) || rest.contains("password=")
    });
    in_url || argument.contains("password")
}

#[cfg(target_os = "linux")]
mod linux {
    use super::{HANDED_OVER, holds_password};
    use rustix::fs::{MemfdFlags, memfd_create};
    use std::ffi::{OsStr, OsString};
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    /// Starts anew with the passwords masked. Comes back only where that failed.
    pub(super) fn hand_over(arguments: &[OsString]) -> std::io::Result<()> {
        let mut memory = File::from(memfd_create("pgmedic-arguments", MemfdFlags::empty())?);
        for argument in arguments {
            memory.write_all(argument.as_bytes())?;
            memory.write_all(&[0])?;
        }
        let mut anew = Command::new("/proc/self/exe");
        anew.arg0(arguments.first().map_or(OsStr::new("pgmedic"), OsString::as_os_str));
        anew.args(arguments.iter().skip(1).map(|argument| masked(argument)));
        anew.env(HANDED_OVER, memory.as_raw_fd().to_string());
        Err(anew.exec())
    }

    /// The arguments that the process before this one handed over.
    pub(super) fn taken_over(descriptor: &OsStr) -> Option<Vec<OsString>> {
        let number: u32 = descriptor.to_str()?.parse().ok()?;
        let mut bytes = Vec::new();
        File::open(format!("/proc/self/fd/{number}")).ok()?.read_to_end(&mut bytes).ok()?;
        let mut arguments: Vec<_> =
            bytes.split(|b| *b == 0).map(|a| OsString::from_vec(a.to_vec())).collect();
        // The last separator is followed by nothing.
        arguments.pop();
        (!arguments.is_empty()).then_some(arguments)
    }

    /// `--option=***` or `***` in the place of an argument that holds a password.
    fn masked(argument: &OsStr) -> OsString {
        let text = argument.to_string_lossy();
        if !holds_password(&text) {
            return argument.to_owned();
        }
        match text.split_once('=') {
            Some((option, _)) if option.starts_with("--") => format!("{option}=***").into(),
            _ => "***".into(),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_place() {
        for with in [
            "postgres://u:hunter2@h/d",
            "postgres://u:hun@ter2@h",
            "--pooler=postgres://u:p@h",
            "host=h password=x",
            "postgres://h/d?password=x",
        ] {
            assert!(holds_password(with), "{with}");
        }
        for without in ["check", "shop", "postgres://u@h:5432/d", "http://api:3000/ready", "--timeout=3s"] {
            assert!(!holds_password(without), "{without}");
        }
    }
}
