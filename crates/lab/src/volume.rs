//! Small volumes that can be filled or can fail: a tmpfs, or an ext4 on a loop device. They need root.

use crate::error::{LabError, Tried as _};
use crate::janitor::Janitor;
use crate::process::{self, Account, is_root};
use crate::programs;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A mounted volume; dropped, it is unmounted.
#[derive(Debug)]
pub struct Volume {
    path: PathBuf,
}

impl Volume {
    /// Mounts a tmpfs of `mb` MB in the lab's folder.
    ///
    /// # Errors
    /// [`LabError::NeedsRoot`], or where mount(8) fails.
    pub(crate) fn mount(
        folder: &Path,
        name: &str,
        mb: u32,
        janitor: &Arc<Janitor>,
    ) -> Result<Self, LabError> {
        let path = folder.join(name);
        let options = format!("size={mb}m,mode=0700");
        let arguments = ["-t", "tmpfs", "-o", &options, "pgmedic-lab"].map(OsString::from);
        let volume = Self::make(&path, &arguments, janitor)?;
        Account::give(Account::for_servers()?.as_ref(), &volume.path)?;
        Ok(volume)
    }

    /// Mounts an ext4 of `mb` MB, which goes read-only where it meets an error, over a folder whose content it has. What
    /// lies beneath comes to light again when it is dropped.
    ///
    /// # Errors
    /// [`LabError::NeedsRoot`], or where mkfs.ext4(8), mount(8) or cp(1) fails.
    pub(crate) fn mount_over(
        folder: &Path,
        over: &Path,
        mb: u32,
        janitor: &Arc<Janitor>,
    ) -> Result<Self, LabError> {
        let image = folder.join("ext4.img");
        let file = std::fs::File::create(&image).tried(|| image.display().to_string())?;
        file.set_len(u64::from(mb) << 20).tried(|| image.display().to_string())?;
        let mut mkfs = Command::new(programs::find("mkfs.ext4")?);
        process::run("mkfs.ext4", mkfs.args(["-q", "-m", "0"]).arg(&image))?;
        let arguments = [OsStr::new("-o"), OsStr::new("loop,errors=remount-ro"), image.as_os_str()];
        let arguments = arguments.map(OsStr::to_owned);
        {
            let beside = Self::make(&folder.join("beside"), &arguments, janitor)?;
            let found = beside.path.join("lost+found");
            std::fs::remove_dir(&found).tried(|| found.display().to_string())?;
            let mut cp = Command::new("cp");
            process::run("cp", cp.arg("-a").arg(over.join(".")).arg(beside.path.join(".")))?;
        }
        Self::make(over, &arguments, janitor)
    }

    /// Mounts something at `path`, which is made where it is not there.
    fn make(path: &Path, arguments: &[OsString], janitor: &Arc<Janitor>) -> Result<Self, LabError> {
        if !is_root() {
            return Err(LabError::NeedsRoot("a volume of its own is a mount"));
        }
        if !path.is_dir() {
            std::fs::create_dir(path).tried(|| path.display().to_string())?;
        }
        janitor.note(&format!("umount -l '{}'", path.display()))?;
        let mut mount = Command::new(programs::find("mount")?);
        process::run("mount", mount.args(arguments).arg(path))?;
        Ok(Self { path: path.to_owned() })
    }

    /// Gives a tmpfs another size.
    ///
    /// # Errors
    /// Where mount(8) fails.
    pub fn enlarge(&self, mb: u32) -> Result<(), LabError> {
        remount(&self.path, &format!("size={mb}m"))
    }

    /// Allows a tmpfs so many inodes; gives what allows it so many again as it has now.
    ///
    /// # Errors
    /// Where mount(8) fails.
    pub(crate) fn limit_inodes(
        &self,
        to: u64,
    ) -> Result<impl FnOnce() -> Result<(), LabError> + use<>, LabError> {
        let (before, _) = self.inodes()?;
        remount(&self.path, &format!("nr_inodes={to}"))?;
        let path = self.path.clone();
        Ok(move || remount(&path, &format!("nr_inodes={before}")))
    }

    /// Inodes in all, and those that an ordinary user may still take (`f_favail`).
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn inodes(&self) -> Result<(u64, u64), LabError> {
        let stat = rustix::fs::statvfs(&self.path).tried(|| self.path.display().to_string())?;
        Ok((stat.f_files, stat.f_favail))
    }

    /// The folder below /sys/fs/ext4 of an ext4's device.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub(crate) fn device(&self) -> Result<PathBuf, LabError> {
        let meta = std::fs::metadata(&self.path).tried(|| self.path.display().to_string())?;
        let (major, minor) = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
        let link = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
        let device = std::fs::canonicalize(&link).tried(|| link.display().to_string())?;
        Ok(Path::new("/sys/fs/ext4").join(device.file_name().unwrap_or_default()))
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

/// The volumes of a lab that are mounted now.
#[derive(Clone, Debug, Default)]
pub struct Mounted(Arc<Mutex<Vec<Weak<Volume>>>>);

impl Mounted {
    /// Counts one in, for as long as it is mounted.
    pub(crate) fn add(&self, volume: &Arc<Volume>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(volume));
    }

    /// Those that are there.
    #[must_use]
    pub fn volumes(&self) -> Vec<Arc<Volume>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }
}

/// Mounts what is mounted again, with other options.
pub(crate) fn remount(path: &Path, options: &str) -> Result<(), LabError> {
    let mut mount = Command::new(programs::find("mount")?);
    let options = format!("remount,{options}");
    process::run("mount", mount.arg("-o").arg(options).arg(path)).map(drop)
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
