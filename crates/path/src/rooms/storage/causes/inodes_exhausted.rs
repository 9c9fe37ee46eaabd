//! `inodes-exhausted`: a volume has bytes left and no inode for another file.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::argument;
use crate::platform::evidence::VolumeView;
use crate::rooms::storage::volumes;
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// A volume of the server has no inodes left: no new file can be made, though bytes are free.
    ///
    /// ## What it is
    /// Millions of small files used up the table of inodes: very many tables and indexes, an archive or a log directory
    /// on the same volume, something else altogether. Postgres needs new files for WAL, relations and sorting.
    ///
    /// ## What proves it
    /// `df -i`: under 100 inodes free (`f_favail`) on a filesystem that counts them, while `df` shows bytes. The server
    /// says `53100 could not create file …: No space left on device`.
    ///
    /// ## What mends it
    /// Find the directory with the most files and remove what is not Postgres' own: old logs, archives that were copied
    /// away, dumps. An ext4 volume that is extended gets more inodes with it.
    ///
    /// ## What makes it worse
    /// Restarting the database: recovery needs new files. Removing files of the data directory by hand.
    ///
    /// ## What prevents it
    /// An alert on `f_favail`; archives and logs on a volume of their own; mkfs with enough inodes, or xfs.
    ///
    /// ## References
    /// statvfs(3), mke2fs(8) `-i`, Postgres manual "Disk Full Failure".
    "inodes-exhausted" in Storage, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let out = |v: &&VolumeView| volumes::is_vital(v) && volumes::is_out_of_inodes(v);
    let v = volumes::seen(e).iter().find(out)?;
    let mount = volumes::mount(v);
    let summary = format!(
        "the {} volume {mount} has {} of {} inodes left, though {} are free",
        volumes::purpose(v),
        v.available_inodes,
        v.total_inodes,
        volumes::bytes(v.available_bytes)
    );
    let path = argument(mount);
    Some(
        Finding::new(
            CAUSE.id,
            Room::Storage,
            Severity::Critical,
            Confidence::Certain,
            summary,
            volumes::fact(e, v),
        )
        .and_all(volumes::no_space(e))
        .mended_by(RemedyPlan::by_hand(
            "see-where-files-are",
            RemedyKind::Advice,
            "see which directory has the most files; remove what is not Postgres' own, and do not restart",
            format!("df -i {path}; du -x --inodes {path} | sort -n | tail -20"),
        ))
        .mended_by(volumes::extend(e, Some(v))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::healthy;
    use crate::rooms::storage::volumes::tests::{volume, with_volumes};

    #[test]
    fn inodes_exhausted_though_bytes_are_free() {
        let mut v = volume(160, 90);
        assert!(find(&with_volumes(healthy(), vec![v.clone()])).is_none());
        v.available_inodes = 0;
        let found = find(&with_volumes(healthy(), vec![v.clone()])).unwrap();
        assert_eq!(found.summary, "the data volume /data has 0 of 65536 inodes left, though 94 MB are free");
        assert_eq!(found.severity, Severity::Critical);
        v.total_inodes = 0;
        assert!(find(&with_volumes(healthy(), vec![v])).is_none(), "btrfs does not count inodes");
    }
}
