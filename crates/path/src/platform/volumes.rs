//! The filesystems that a Postgres server writes to: free bytes and inodes, read-only or not, and what holds them.
//!
//! Not in here: where the data directory is (`postmaster`). Symbolic links are followed only where Postgres itself puts
//! one (pg_wal, pg_tblspc); nothing below is followed.

use super::evidence::{VolumeUse, VolumeView};
use super::place::Place;
use super::procfs;
use rustix::fs::StatVfsMountFlags;
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Most tablespaces looked at.
const MOST_TABLESPACES: usize = 64;
/// Most folder entries counted for one answer of what holds a volume.
const MOST_ENTRIES: usize = 200_000;
/// Above this share of bytes or inodes used, what holds a volume is worth its price.
const TIGHT: f64 = 0.8;
/// Bytes of a mount table read.
const MOUNT_TABLE_BYTES: u64 = 1 << 20;

/// The folders whose size is told besides that of logs, with the path below the data directory.
const HOLDERS: [(&str, &str); 4] =
    [("pg_wal", "pg_wal"), ("pg_replslot", "pg_replslot"), ("pgsql_tmp", "base/pgsql_tmp"), ("base", "base")];

/// How thoroughly to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Care {
    /// Also tell the mount point, the type and read-only flags that only the mount table has. Of a tight volume they
    /// are told anyway: whoever mends it needs its name.
    pub(super) mounts: bool,
    /// The most time spent on what holds a tight volume.
    pub(super) breakdown: Duration,
}

/// The volumes of a server: data, then WAL, tablespaces and the log's folder where they are filesystems of their own.
/// What could not be looked at is added to `blind`.
pub(super) fn volumes(
    place: &Place,
    log_folder: Option<&Path>,
    care: Care,
    until: Instant,
    blind: &mut Vec<String>,
) -> Vec<VolumeView> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for (holds, path) in paths(place, log_folder) {
        if Instant::now() >= until {
            blind.push("not every volume was looked at: no time was left".to_owned());
            break;
        }
        let at = place.locate(&path);
        match std::fs::metadata(&at).map(|m| m.dev()).and_then(|dev| Ok((dev, statvfs(&at)?))) {
            Ok((dev, _)) if !seen.insert(dev) => {}
            Ok((_, view)) => found.push(VolumeView { holds, path: path.display().to_string(), ..view }),
            Err(error) if holds == VolumeUse::Data => {
                blind.push(format!("the volume of {}: {error}", path.display()));
            }
            Err(_) => {}
        }
    }
    if care.mounts || found.iter().any(is_tight) {
        tell_mounts(place, &mut found);
    }
    if found.iter().any(is_tight) {
        let until = until.min(Instant::now() + care.breakdown);
        tell_holders(place, log_folder, &mut found, until, blind);
    }
    found
}

/// Every path whose filesystem matters, by use, as the server names it.
fn paths(place: &Place, log_folder: Option<&Path>) -> Vec<(VolumeUse, PathBuf)> {
    let data = place.data();
    let mut all =
        vec![(VolumeUse::Data, data.to_owned()), (VolumeUse::Wal, place.resolve_link(&data.join("pg_wal")))];
    let links = std::fs::read_dir(place.locate(&data.join("pg_tblspc"))).into_iter().flatten().flatten();
    all.extend(links.take(MOST_TABLESPACES).map(|link| {
        let named = data.join("pg_tblspc").join(link.file_name());
        (VolumeUse::Tablespace, place.resolve_link(&named))
    }));
    all.extend(log_folder.map(|folder| (VolumeUse::Log, folder.to_owned())));
    all
}

/// statvfs(3) of a path.
fn statvfs(path: &Path) -> std::io::Result<VolumeView> {
    let vfs = rustix::fs::statvfs(path)?;
    Ok(VolumeView {
        total_bytes: vfs.f_blocks.saturating_mul(vfs.f_frsize),
        available_bytes: vfs.f_bavail.saturating_mul(vfs.f_frsize),
        reserved_bytes: vfs.f_bfree.saturating_sub(vfs.f_bavail).saturating_mul(vfs.f_frsize),
        total_inodes: vfs.f_files,
        available_inodes: vfs.f_favail,
        read_only: vfs.f_flag.contains(StatVfsMountFlags::RDONLY),
        ..VolumeView::default()
    })
}

/// Measures volumes anew that an earlier look has found: nothing but statvfs(3) of each. One that is not there any more,
/// or is of another size (another mount namespace's, say), stays as it was.
pub(crate) fn measured_anew(found: &[VolumeView]) -> Vec<VolumeView> {
    let at = crate::clock::now();
    let anew = |v: &VolumeView| match statvfs(Path::new(&v.path)) {
        Ok(now) if (now.total_bytes, now.total_inodes) == (v.total_bytes, v.total_inodes) => VolumeView {
            available_bytes: now.available_bytes,
            reserved_bytes: now.reserved_bytes,
            available_inodes: now.available_inodes,
            read_only: now.read_only,
            measured_at: Some(at),
            ..v.clone()
        },
        _ => v.clone(),
    };
    found.iter().map(anew).collect()
}

/// True where bytes or inodes are short.
fn is_tight(volume: &VolumeView) -> bool {
    volume.used_share() > TIGHT || volume.used_inodes_share() > TIGHT
}

/// One row of /proc/PID/mountinfo.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    point: PathBuf,
    kind: String,
    read_only: bool,
}

/// Parses a row of mountinfo (proc(5)): `36 35 98:0 /root /mnt rw,noatime master:1 - ext4 /dev/sda rw,errors=continue`.
pub(super) fn parse_mount(line: &str) -> Option<Mount> {
    let (mount, superblock) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(4);
    let (point, options) = (fields.next()?, fields.next()?);
    let mut fields = superblock.split(' ');
    let (kind, of_superblock) = (fields.next()?, fields.nth(1).unwrap_or_default());
    // ext4 since Linux 6.15 goes to `emergency_ro` after an error and leaves the flag of statvfs alone.
    let read_only =
        options.split(',').chain(of_superblock.split(',')).any(|o| matches!(o, "ro" | "emergency_ro"));
    Some(Mount { point: PathBuf::from(unescape(point)), kind: kind.to_owned(), read_only })
}

/// Undoes the kernel's escapes of space, tab, newline and backslash: `\040`.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        match after.get(..3).and_then(|octal| u8::from_str_radix(octal, 8).ok()) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &after[3..];
            }
            None => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out + rest
}

/// Adds mount point, type and the mount table's read-only flags to volumes.
fn tell_mounts(place: &Place, volumes: &mut [VolumeView]) {
    let Ok(table) = procfs::read_text(&place.mount_table(), MOUNT_TABLE_BYTES) else { return };
    let mounts: Vec<Mount> = table.lines().filter_map(parse_mount).collect();
    for volume in volumes {
        let path = place.canonical(Path::new(&volume.path));
        // Of mounts on the same point, the last covers the others.
        let over =
            mounts.iter().filter(|m| path.starts_with(&m.point)).max_by_key(|m| m.point.as_os_str().len());
        if let Some(mount) = over {
            volume.mount = Some(mount.point.display().to_string());
            volume.kind = Some(mount.kind.clone());
            volume.read_only |= mount.read_only;
        }
    }
}

/// Adds to each volume how many bytes the folders of Postgres hold in it.
fn tell_holders(
    place: &Place,
    log_folder: Option<&Path>,
    volumes: &mut [VolumeView],
    until: Instant,
    blind: &mut Vec<String>,
) {
    let mut left = MOST_ENTRIES;
    let below = HOLDERS.map(|(name, below)| (name, place.data().join(below)));
    // Logs first: their folder is the smallest to count.
    for (name, folder) in std::iter::once(("log", log_place(place, log_folder))).chain(below) {
        let folder = place.locate(&place.resolve_link(&folder));
        let Ok(root) = std::fs::metadata(&folder) else { continue };
        let Some(bytes) = held_below(&folder, name, &mut left, until) else {
            blind.push(format!("what {name} holds: too many files to count in time"));
            continue;
        };
        let volume = volumes.iter_mut().find(|v| {
            std::fs::metadata(place.locate(Path::new(&v.path))).is_ok_and(|m| m.dev() == root.dev())
        });
        if let Some(volume) = volume {
            volume.held.push((name.to_owned(), bytes));
            if name == "pg_wal" {
                volume.to_archive = Some(to_archive(&folder, left, until));
            }
        }
    }
}

/// WAL files that wait to be archived: so many `.ready` files, as far as they were counted.
fn to_archive(wal: &Path, most: usize, until: Instant) -> u64 {
    let entries = std::fs::read_dir(wal.join("archive_status")).into_iter().flatten().flatten();
    let mut count = 0;
    for entry in entries.take(most) {
        if Instant::now() >= until {
            break;
        }
        count += u64::from(entry.file_name().to_str().is_some_and(|name| name.ends_with(".ready")));
    }
    count
}

/// The folder of the server's logs: the one given, else the one that its collector says it writes to, else its default. A
/// folder that the data directory lies in holds other things besides.
fn log_place(place: &Place, given: Option<&Path>) -> PathBuf {
    let data = place.data();
    let current = || {
        let text = procfs::read_text(&place.locate(&data.join("current_logfiles")), 4096).ok()?;
        // `stderr log/postgresql-2026-11-23_140000.log`
        let file = data.join(text.lines().next()?.split_once(' ')?.1);
        file.parent().map(Path::to_owned)
    };
    given
        .map(Path::to_owned)
        .filter(|folder| !data.starts_with(folder))
        .or_else(current)
        .unwrap_or_else(|| data.join("log"))
}

/// Bytes allocated below a folder, on its own filesystem. `base` leaves pgsql_tmp out, which is told by itself.
/// None where the time or the count ran out.
fn held_below(folder: &Path, name: &str, left: &mut usize, until: Instant) -> Option<u64> {
    let mut bytes = 0_u64;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            *left = left.checked_sub(1)?;
            if Instant::now() >= until {
                return None;
            }
            // DirEntry::metadata does not follow symbolic links.
            let Ok(meta) = entry.metadata() else { continue };
            if !meta.is_dir() {
                bytes = bytes.saturating_add(meta.blocks().saturating_mul(512));
            } else if name != "base" || entry.file_name() != "pgsql_tmp" {
                folders.push(entry.path());
            }
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARE: Care = Care { mounts: true, breakdown: Duration::from_secs(5) };

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn a_mount_row_tells_point_type_and_read_only() {
        let mount =
            |line: &str| parse_mount(line).map(|m| (m.point.display().to_string(), m.kind, m.read_only));
        for (line, expected) in [
            ("36 35 98:0 / /mnt/a\\040b rw,noatime master:1 - ext4 /dev/sda rw", ("/mnt/a b", "ext4", false)),
            ("36 35 98:0 / /data ro,relatime - xfs /dev/sda rw", ("/data", "xfs", true)),
            (
                "36 35 98:0 / /data rw - ext4 /dev/sda rw,emergency_ro,errors=continue",
                ("/data", "ext4", true),
            ),
        ] {
            let (point, kind, read_only) = expected;
            assert_eq!(mount(line), Some((point.to_owned(), kind.to_owned(), read_only)));
        }
        assert_eq!(mount("cut off"), None);
        assert_eq!(unescape("a\\134b\\x"), "a\\b\\x");
    }

    #[test]
    fn a_tight_volume_is_short_of_bytes_or_of_inodes() {
        let volume = |total_bytes, available_bytes, total_inodes, available_inodes| VolumeView {
            total_bytes,
            available_bytes,
            total_inodes,
            available_inodes,
            ..VolumeView::default()
        };
        assert!(!is_tight(&volume(100, 20, 100, 20)));
        assert!(is_tight(&volume(100, 19, 100, 20)));
        assert!(is_tight(&volume(100, 90, 100, 1)));
        assert!(!is_tight(&volume(100, 90, 0, 0)), "btrfs counts no inodes");
        let mostly_roots = VolumeView { reserved_bytes: 60, ..volume(100, 20, 0, 0) };
        assert!(!is_tight(&mostly_roots), "half of what an ordinary user may use is free");
    }

    #[test]
    fn folders_of_one_filesystem_are_one_volume_with_its_mount() {
        let folder = tempfile::tempdir().expect("a folder");
        for below in ["pg_wal", "pg_tblspc", "base/5"] {
            std::fs::create_dir_all(folder.path().join(below)).expect("a folder");
        }
        let mut blind = Vec::new();
        let seen = volumes(&Place::here(folder.path()), None, CARE, soon(), &mut blind);
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!(seen[0].holds, VolumeUse::Data);
        assert!(seen[0].mount.is_some() && seen[0].kind.is_some() && seen[0].total_bytes > 0);
        assert!(blind.is_empty(), "{blind:?}");
    }

    #[test]
    fn a_missing_data_directory_is_said() {
        let mut blind = Vec::new();
        assert!(volumes(&Place::here(Path::new("/nowhere/data")), None, CARE, soon(), &mut blind).is_empty());
        assert_eq!(blind.len(), 1, "{blind:?}");
    }

    #[test]
    fn what_holds_a_volume_is_counted_without_following_links_and_within_bounds() {
        let folder = tempfile::tempdir().expect("a folder");
        let outside = tempfile::tempdir().expect("a folder");
        std::fs::write(outside.path().join("big"), vec![1; 1 << 20]).expect("a file");
        for below in ["base/5", "base/pgsql_tmp", "pg_wal"] {
            std::fs::create_dir_all(folder.path().join(below)).expect("a folder");
        }
        std::fs::write(folder.path().join("base/5/1"), vec![1; 256 << 10]).expect("a file");
        std::fs::write(folder.path().join("base/pgsql_tmp/t"), vec![1; 512 << 10]).expect("a file");
        std::fs::create_dir(folder.path().join("pg_wal/archive_status")).expect("a folder");
        for name in ["1.ready", "2.ready", "3.done"] {
            std::fs::write(folder.path().join("pg_wal/archive_status").join(name), "").expect("a file");
        }
        std::os::unix::fs::symlink(outside.path(), folder.path().join("base/away")).expect("a link");

        let place = Place::here(folder.path());
        let mut views =
            vec![VolumeView { path: folder.path().display().to_string(), ..VolumeView::default() }];
        let mut blind = Vec::new();
        tell_holders(&place, None, &mut views, soon(), &mut blind);
        let held = |name: &str| views[0].held.iter().find(|(n, _)| n == name).map(|(_, b)| b >> 10);
        assert_eq!((held("base"), held("pgsql_tmp"), held("pg_wal")), (Some(256), Some(512), Some(0)));

        assert_eq!(views[0].to_archive, Some(2));

        assert_eq!(held_below(folder.path(), "data", &mut 2, soon()), None, "the count is bounded");
        let past = Instant::now();
        assert_eq!(held_below(folder.path(), "data", &mut 100, past), None, "the time is bounded");
    }
}
