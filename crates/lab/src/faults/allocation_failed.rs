//! The server's processes may have no more memory than a login needs (RLIMIT_AS): allocations fail.

use crate::error::Tried as _;
use crate::limit::{Lowered, Resource};
use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};
use std::net::Ipv4Addr;

/// How far above the postmaster's own size the search for the limit begins, and its step; in bytes.
const ABOVE: u64 = 16 << 20;
const STEP: u64 = 128 << 10;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let postgres = lab.postgres();
    let size = address_space(postgres.pid()?)?;
    let login = Login { from: Ipv4Addr::LOCALHOST, ..Login::of_api(postgres) }.named("visitor");
    let mut last = String::new();
    // How much a login takes differs by version and build: go down until one fails for want of memory.
    let mut to = size + ABOVE;
    while to > size / 2 {
        let lowered = Lowered::set(postgres, Resource::AddressSpace, to)?;
        match Sessions::open(postgres, &login, 1) {
            Ok(session) => drop(session),
            Err(LabError::Sql { code: Some(code), .. }) if code == "53200" => {
                lab.restart_api();
                return Ok(Guard::holding(lowered));
            }
            Err(other) => last = format!(": {other}"),
        }
        drop(lowered);
        to -= STEP;
    }
    let what = "a login that gets no memory (53200)".to_owned();
    Err(LabError::Late { what, waited: std::time::Duration::ZERO, last })
}

/// Bytes of a process' address space (proc(5), `VmSize`).
fn address_space(pid: u32) -> Result<u64, LabError> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).tried(|| path.clone())?;
    let size = status
        .lines()
        .find_map(|l| l.strip_prefix("VmSize:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(size.unwrap_or_default() << 10)
}
