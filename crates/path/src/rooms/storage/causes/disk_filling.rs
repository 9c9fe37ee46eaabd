//! `disk-filling`: a volume has little space left.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::platform::evidence::VolumeView;
use crate::rooms::storage::volumes;
use pgmedic_model::{Confidence, Finding, Room, Severity};

cause! {
    /// A volume of the server is filling: less than 15 % and less than 50 GB of it are free.
    ///
    /// ## What it is
    /// Nothing is broken yet. The two thresholds count together: 15 % of a 10 TB volume are 1.5 TB and no cause for
    /// alarm, 15 % of 20 GB are one bad query away from `disk-full`. Data, WAL, tablespaces and logs are looked at.
    ///
    /// ## What proves it
    /// `f_bavail` against the size of the filesystem without root's reserve (statvfs(3)): the share that `df` shows.
    ///
    /// ## What mends it
    /// See what grows: WAL held by a replication slot or a failing archiver, temporary files of one query, a log, or the
    /// tables themselves. Mend that; then extend the volume before it is full, while nothing hurts.
    ///
    /// ## What makes it worse
    /// Waiting. `vacuum full` and large index builds: they need as much space again. Deleting from `pg_wal`.
    ///
    /// ## What prevents it
    /// A forecast in hours; `max_slot_wal_keep_size`, `temp_file_limit`, log rotation; a ballast file.
    ///
    /// ## References
    /// Postgres manual: "Monitoring Disk Usage", "Disk Full Failure"; statvfs(3).
    "disk-filling" in Storage, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let filling = |v: &&VolumeView| volumes::is_filling(v) && !(volumes::is_vital(v) && volumes::is_full(v));
    let mut found: Vec<_> = volumes::seen(e).iter().filter(filling).collect();
    found.sort_by(|a, b| b.used_share().total_cmp(&a.used_share()));
    let worst = *found.first()?;
    let summary = format!(
        "the {} volume {} is {:.0} % used, {} left{}",
        volumes::purpose(worst),
        volumes::mount(worst),
        worst.used_share() * 100.0,
        volumes::bytes(worst.available_bytes),
        volumes::holders(worst)
    );
    let proof = volumes::fact(e, worst);
    let others = found.iter().skip(1).map(|v| volumes::fact(e, v));
    Some(
        Finding::new(CAUSE.id, Room::Storage, Severity::Warning, Confidence::Certain, summary, proof)
            .and_all(others)
            .mended_by(volumes::look(e, Some(worst)))
            .mended_by(volumes::extend(e, Some(worst))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::healthy;
    use crate::platform::evidence::VolumeUse;
    use crate::rooms::storage::volumes::tests::{volume, with_volumes};

    fn with(volumes: Vec<VolumeView>) -> Option<Finding> {
        find(&with_volumes(healthy(), volumes))
    }

    #[test]
    fn disk_filling_before_it_is_full() {
        let found = with(vec![volume(10_000, 500)]).unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert_eq!(found.summary, "the data volume /data is 95 % used, 524 MB left");
        assert!(found.remedies[1].command.contains("-s 16 "));
        assert!(with(vec![volume(10_000, 1_500)]).is_none());
        assert!(with(vec![volume(160, 0)]).is_none(), "that is disk-full");
        assert!(with(vec![volume(10_000_000, 1_000_000)]).is_none(), "a tenth of 10 TB is plenty");
    }

    #[test]
    fn disk_filling_names_the_fullest_and_counts_logs() {
        let log = VolumeView { holds: VolumeUse::Log, mount: Some("/log".into()), ..volume(100, 0) };
        let found = with(vec![volume(10_000, 500), log]).unwrap();
        assert_eq!(found.summary, "the log volume /log is 100 % used, 0 bytes left");
        assert_eq!(found.evidence.len(), 2);
        assert!(find(&healthy()).is_none());
    }
}
