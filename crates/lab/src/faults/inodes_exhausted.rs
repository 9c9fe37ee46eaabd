//! Somebody's small files took the last inode of the data directory's volume; bytes are free. Needs root.

use crate::error::Tried as _;
use crate::{Guard, Lab, LabError};

/// So many are left to be taken.
const LEFT: u64 = 200;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let volume = lab.volume()?;
    let (total, free) = volume.inodes()?;
    let limited = volume.limit_inodes(total - free + LEFT)?;
    let folder = volume.path().join("archive");
    std::fs::create_dir(&folder).tried(|| folder.display().to_string())?;
    let files = folder.clone();
    let guard =
        Guard::undone_by(move || std::fs::remove_dir_all(&files).tried(|| files.display().to_string()));
    let guard = guard.and_undone_by(limited);
    for n in 0..=LEFT {
        match std::fs::File::create(folder.join(n.to_string())) {
            Err(e) if e.kind() == std::io::ErrorKind::StorageFull => return Ok(guard),
            made => drop(made.tried(|| folder.display().to_string())?),
        }
    }
    Err(LabError::Late {
        what: "a volume without inodes".to_owned(),
        waited: std::time::Duration::ZERO,
        last: String::new(),
    })
}
