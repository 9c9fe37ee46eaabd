//! The postmaster has no descriptor left for a connection (RLIMIT_NOFILE).

use crate::error::Tried as _;
use crate::limit::{Lowered, Resource};
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let pid = lab.postgres().pid()?;
    lab.restart_api();
    let folder = format!("/proc/{pid}/fd");
    let entries = std::fs::read_dir(&folder).tried(|| folder.clone())?;
    let open: Vec<u64> = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    // The lowest number that is not taken is the one that accept(2) would give.
    let next = (0..).find(|n| !open.contains(n)).unwrap_or_default();
    Ok(Guard::holding(Lowered::set(lab.postgres(), Resource::Descriptors, next)?))
}
