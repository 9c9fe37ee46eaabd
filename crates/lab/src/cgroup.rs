//! A control group of the lab's own, in which a server gets less memory or CPU than it wants. Needs root, and a hierarchy that
//! may be written to: in most containers it may not.

use crate::error::{LabError, Tried as _};
use crate::janitor::Janitor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Why a lab without it says that it needs root.
pub const NEEDED: &str =
    "a control group with limits of its own is made below /sys/fs/cgroup, which must be writable";

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many MB of memory.
    MemoryMb(u64),
    /// So many hundredths of one CPU.
    CpuPercent(u64),
}

impl Limit {
    const fn controller(self) -> &'static str {
        match self {
            Self::MemoryMb(_) => "memory",
            Self::CpuPercent(_) => "cpu",
        }
    }

    /// The file that sets it, of version 1 and of version 2 (kernel documentation, "Control Group v2"; "Memory Resource
    /// Controller"; "CFS Bandwidth Control"), with its text. Version 1's period is 100 ms unless it is set.
    fn files(self) -> [(&'static str, String); 2] {
        match self {
            Self::MemoryMb(mb) => {
                let bytes = (mb << 20).to_string();
                [("memory.limit_in_bytes", bytes.clone()), ("memory.max", bytes)]
            }
            Self::CpuPercent(percent) => {
                let quota = percent * 1000;
                [("cpu.cfs_quota_us", quota.to_string()), ("cpu.max", format!("{quota} 100000"))]
            }
        }
    }
}

/// A control group; dropped, whoever is in it goes back to where we are.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    home: PathBuf,
}

impl Cgroup {
    /// Makes one with a limit.
    ///
    /// # Errors
    /// [`LabError::NeedsRoot`] where it may not be made.
    pub(crate) fn limited(limit: Limit, janitor: &Arc<Janitor>) -> Result<Self, LabError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let home = home(limit.controller()).ok_or(LabError::NeedsRoot(NEEDED))?;
        let name = format!("pgmedic-lab-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = home.join(name);
        std::fs::create_dir(&path).map_err(|_| LabError::NeedsRoot(NEEDED))?;
        let group = Self { path, home };
        let (here, back) = (group.path.display(), group.home.display());
        janitor.note(&format!(
            "while read -r p; do echo $p > '{back}/cgroup.procs'; done < '{here}/cgroup.procs'; rmdir '{here}'"
        ))?;
        let set = limit.files().into_iter().find(|(file, _)| group.path.join(file).exists());
        let (file, text) = set.ok_or(LabError::NeedsRoot(NEEDED))?;
        write(&group.path.join(file), &text)?;
        Ok(group)
    }

    /// Puts a process in. Its children to come are born there.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn add(&self, pid: u32) -> Result<(), LabError> {
        write(&self.path.join("cgroup.procs"), &pid.to_string())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let inside = std::fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        for pid in inside.lines() {
            // One that has ended by now needs no place.
            let _gone = std::fs::write(self.home.join("cgroup.procs"), pid);
        }
        let _left_to_the_janitor = std::fs::remove_dir(&self.path);
    }
}

/// Our own group in the hierarchy that has a controller: version 1's own one, else the unified one.
fn home(controller: &str) -> Option<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let rows: Vec<Vec<&str>> = text.lines().map(|row| row.splitn(3, ':').collect()).collect();
    let row = |test: &dyn Fn(&str) -> bool| rows.iter().find(|row| row.len() == 3 && test(row[1]));
    let mount = Path::new("/sys/fs/cgroup");
    match row(&|all| all.split(',').any(|one| one == controller)) {
        Some(first) => Some(mount.join(first[1]).join(first[2].trim_start_matches('/'))),
        None => row(&str::is_empty).map(|unified| mount.join(unified[2].trim_start_matches('/'))),
    }
}

fn write(path: &Path, text: &str) -> Result<(), LabError> {
    std::fs::write(path, text).tried(|| path.display().to_string())
}
