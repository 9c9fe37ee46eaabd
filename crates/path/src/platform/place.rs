//! Where a server's files are, seen from here: a server in a container names its paths in its own mount namespace.
//!
//! `/proc/PID/root` leads into it (proc(5)). Not in here: how the data directory was learnt (`postmaster`).

use super::procfs;
use std::path::{Component, Path, PathBuf};

/// A data directory, with the way into its mount namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    data: PathBuf,
    /// The process in whose mount namespace the paths are, where that is not ours.
    within: Option<u32>,
}

impl Place {
    /// A data directory on this host's own filesystems.
    pub(super) fn here(data: &Path) -> Self {
        Self { data: data.to_owned(), within: None }
    }

    /// A data directory as process `pid` names it.
    pub(super) fn of_process(pid: u32, data: &Path) -> Self {
        let namespace = |path: PathBuf| std::fs::read_link(path).ok();
        let theirs = namespace(procfs::of(pid, "ns/mnt"));
        let within =
            (theirs.is_some() && theirs != namespace(PathBuf::from("/proc/self/ns/mnt"))).then_some(pid);
        Self { data: data.to_owned(), within }
    }

    /// The data directory as the server names it.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// Where a path of the server is for us.
    pub(super) fn locate(&self, path: &Path) -> PathBuf {
        match self.within {
            Some(pid) => procfs::of(pid, "root").join(path.strip_prefix("/").unwrap_or(path)),
            None => path.to_owned(),
        }
    }

    /// The target of a symbolic link, as the server names it; the path itself where it is none.
    pub(super) fn resolve_link(&self, path: &Path) -> PathBuf {
        match (std::fs::read_link(self.locate(path)), path.parent()) {
            (Ok(target), Some(folder)) => folder.join(target),
            _ => path.to_owned(),
        }
    }

    /// The server's table of mounts.
    pub(super) fn mount_table(&self) -> PathBuf {
        self.within.map_or_else(|| PathBuf::from("/proc/self/mountinfo"), |pid| procfs::of(pid, "mountinfo"))
    }

    /// A path without symbolic links, as the mount table would name it; as far as it can be told from here.
    pub(super) fn canonical(&self, path: &Path) -> PathBuf {
        match self.within {
            None => path.canonicalize().unwrap_or_else(|_| path.to_owned()),
            // canonicalize() would leave the namespace at the first absolute link.
            Some(_) => path.components().filter(|part| *part != Component::CurDir).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_this_host_stay_as_they_are() {
        let place = Place::of_process(std::process::id(), Path::new("/data"));
        assert_eq!(place, Place::here(Path::new("/data")));
        assert_eq!(place.locate(Path::new("/data/pg_wal")), Path::new("/data/pg_wal"));
        assert_eq!(place.mount_table(), Path::new("/proc/self/mountinfo"));
    }

    #[test]
    fn paths_of_a_container_lead_through_its_root() {
        let place = Place { data: "/data".into(), within: Some(17) };
        assert_eq!(place.locate(Path::new("/data/base")), Path::new("/proc/17/root/data/base"));
        assert_eq!(place.mount_table(), Path::new("/proc/17/mountinfo"));
    }

    #[test]
    fn a_link_is_resolved_against_its_own_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("wal", folder.path().join("pg_wal")).expect("a link");
        let place = Place::here(folder.path());
        assert_eq!(place.resolve_link(&folder.path().join("pg_wal")), folder.path().join("wal"));
        assert_eq!(place.resolve_link(&folder.path().join("none")), folder.path().join("none"));
    }
}
