//! `filesystem-read-only`: the server's filesystem takes no writes.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::argument;
use crate::platform::evidence::VolumeView;
use crate::rooms::storage::volumes;
use crate::said;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// The server's filesystem is read-only: every new login fails, and a restart will too.
    ///
    /// ## What it is
    /// The kernel remounted it read-only after an error of the disk (`errors=remount-ro`), or somebody mounted it so.
    /// Sessions that are in may go on reading for a while.
    ///
    /// ## What proves it
    /// `FATAL 42501 could not open file "base/…": Read-only file system` on every login: the code looks like a missing
    /// GRANT and is none. On the host `/proc/mounts` says `ro` or `emergency_ro`, `dmesg` has the filesystem's error.
    ///
    /// ## What mends it
    /// No writes, no restart. Read `dmesg`. Fail over to a replica, or take a snapshot of the volume and check the
    /// filesystem on a *copy*; then decide between repair and restore.
    ///
    /// ## What makes it worse
    /// Remounting `rw` and restarting on a failing disk: damage is written on. Removing `postmaster.pid`, as the server's
    /// HINT says.
    ///
    /// ## What prevents it
    /// An alert on mount flags and on disk errors; a replica; backups that were restored once.
    ///
    /// ## References
    /// mount(8) `errors=`, proc(5) `/proc/mounts`; Postgres manual, "File Locations".
    "filesystem-read-only" in Storage, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let mounted = volumes::seen(e).iter().find(|v: &&VolumeView| v.read_only && volumes::is_vital(v));
    let told = said::error(e, Words::ReadOnlyFileSystem);
    let summary = mounted.map_or_else(
        || "the server's filesystem is read-only: new logins fail".to_owned(),
        |v| format!("the {} volume {} is mounted read-only", volumes::purpose(v), volumes::mount(v)),
    );
    let mut facts = mounted.map(|v| volumes::fact(e, v)).into_iter().chain(told.map(|s| s.fact()));
    let proof = facts.next()?;
    let mount = mounted.map_or_else(
        || crate::rooms::server::startup_process::data_directory(e),
        |v| argument(volumes::mount(v)),
    );
    Some(
        Finding::new(CAUSE.id, Room::Storage, Severity::Critical, Confidence::Certain, summary, proof)
            .and_all(facts)
            .mended_by(RemedyPlan::by_hand(
                "save-then-repair",
                RemedyKind::Advice,
                "write nothing and restart nothing: read the kernel's words, fail over or snapshot, repair a copy",
                format!("dmesg -T | grep -i -e ext4 -e xfs -e 'i/o error' | tail -20; findmnt -T {mount}   # on the server's host"),
            )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, refused};
    use crate::rooms::storage::volumes::tests::{volume, with_volumes};

    #[test]
    fn filesystem_read_only_is_not_a_missing_grant() {
        let found =
            find(&refused("42501", "could not open file \"base/5/2601\": Read-only file system")).unwrap();
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        assert!(found.remedies.iter().all(|r| r.kind == RemedyKind::Advice));
        assert!(find(&refused("42501", "permission denied for database \"app\"")).is_none());
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn filesystem_read_only_is_seen_in_the_mount_table() {
        let mut v = volume(160, 90);
        assert!(find(&with_volumes(healthy(), vec![v.clone()])).is_none());
        v.read_only = true;
        let found = find(&with_volumes(healthy(), vec![v])).unwrap();
        assert_eq!(found.summary, "the data volume /data is mounted read-only");
        assert!(found.remedies[0].command.contains("findmnt -T /data"));
    }
}
