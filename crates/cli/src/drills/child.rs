//! A check as a process of its own, under limits that this process must not have: pgmedic's own binary, whose recording
//! is read back and diagnosed here.

use pgmedic_path::{Evidence, Service, record};
use std::path::Path;
use std::process::{Command, Stdio};

/// `--timeout` of the check.
const WITHIN: &str = "3s";

/// Runs the check of a service's own way in under a command, and gives what it saw. The recording lies in `folder`.
///
/// # Errors
/// Where the command cannot be run, or leaves no recording that can be read.
pub(super) fn walked(service: &Service, folder: &Path, under: &[&str]) -> Result<Evidence, std::io::Error> {
    let file = folder.join("evidence.json");
    let [program, arguments @ ..] = under else { return Err(std::io::Error::other("no command")) };
    let mut command = Command::new(program);
    command.args(arguments).arg(std::env::current_exe()?);
    command.arg("check").arg(service.target.display()).args(["--timeout", WITHIN, "--record"]).arg(&file);
    if let Some(password) = &service.target.password {
        command.env("PGPASSWORD", password.reveal());
    }
    let output = command.current_dir(folder).stdin(Stdio::null()).output()?;
    let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let text = std::fs::read_to_string(&file).map_err(|error| {
        std::io::Error::other(format!("{program}: {}: {error}: {}", output.status, said()))
    })?;
    record::read(&text).map_err(std::io::Error::other)
}
