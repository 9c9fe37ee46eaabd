//! A small volume that can be filled: a tmpfs, mounted in the lab's folder. Needs root.

use crate::error::{LabError, Tried as _};
use crate::janitor::Janitor;
use crate::process::{self, Account, is_root};
use crate::programs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// A mounted volume; dropped, it is unmounted.
#[derive(Debug)]
pub struct Volume {
    path: PathBuf,
}

impl Volume {
    /// Mounts one of `mb` MB in the lab's folder.
    ///
    /// # Errors
    /// [`LabError::NeedsRoot`], or where mount(8) fails.
    pub(crate) fn mount(folder: &Path, mb: u32, janitor: &Arc<Janitor>) -> Result<Self, LabError> {
        if !is_root() {
            return Err(LabError::NeedsRoot("a volume that can be filled is a mount"));
        }
        let path = folder.join("volume");
        std::fs::create_dir(&path).tried(|| path.display().to_string())?;
        janitor.note(&format!("umount -l '{}'", path.display()))?;
        let mut mount = Command::new(programs::find("mount")?);
        mount.args(["-t", "tmpfs", "-o", &format!("size={mb}m,mode=0700"), "pgmedic-lab"]).arg(&path);
        process::run("mount", &mut mount)?;
        let volume = Self { path };
        Account::give(Account::for_servers()?.as_ref(), &volume.path)?;
        Ok(volume)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that an ordinary user may still write (`f_bavail`).
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn available(&self) -> Result<u64, LabError> {
        let stat = rustix::fs::statvfs(&self.path).tried(|| self.path.display().to_string())?;
        Ok(stat.f_bavail * stat.f_frsize)
    }

    /// Bytes in all.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn total(&self) -> Result<u64, LabError> {
        let stat = rustix::fs::statvfs(&self.path).tried(|| self.path.display().to_string())?;
        Ok(stat.f_blocks * stat.f_frsize)
    }

    /// Writes a file that leaves `leave` bytes available.
    ///
    /// # Errors
    /// Where the system refuses before that.
    pub fn fill(&self, leave: u64) -> Result<Ballast, LabError> {
        let path = self.path.join("ballast");
        let what = || path.display().to_string();
        let ballast = Ballast { path: path.clone() };
        let mut file = std::fs::File::create(&path).tried(what)?;
        let block = vec![0; 64 * 1024];
        loop {
            let left = self.available()?.saturating_sub(leave);
            let length = usize::try_from(left).unwrap_or(block.len()).min(block.len());
            match file.write(&block[..length]) {
                Ok(0) => return Ok(ballast),
                Ok(_) => {}
                Err(e) if e.kind() == std::io::ErrorKind::StorageFull => return Ok(ballast),
                Err(source) => return Err(LabError::Io { what: what(), source }),
            }
        }
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: where something still works in it, the mount is out of the way at once and gone when that ends.
        let _said_nowhere = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// A file that takes room; dropped, it gives the room back.
#[derive(Debug)]
pub struct Ballast {
    path: PathBuf,
}

impl Drop for Ballast {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.path);
    }
}
