//! `temp-files-fill-disk`: what queries spill to disk uses it up.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::psql;
use crate::platform::evidence::VolumeView;
use crate::rooms::server::startup_process::data_directory;
use crate::rooms::storage::volumes;
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

/// Temporary files count from this part of their volume on.
const PART_OF_VOLUME: u64 = 5;
/// The folder of `held` that temporary files are in.
const FOLDER: &str = "pgsql_tmp";

cause! {
    /// Temporary files of queries fill the data volume.
    ///
    /// ## What it is
    /// A sort, a hash or a materialised result that does not fit `work_mem` goes to files in `base/pgsql_tmp`. One query
    /// can write until the volume is full; then it fails, its files go, and the next one begins.
    ///
    /// ## What proves it
    /// A volume that is filling or full, a fifth or more of it in `pgsql_tmp`. The names say whose they are:
    /// `pgsql_tmpPID.N`.
    ///
    /// ## What mends it
    /// Cancel that query (`pg_cancel_backend`): its files are removed with it. Then `temp_file_limit`, an index, or less to
    /// sort.
    ///
    /// ## What makes it worse
    /// Removing the files by hand under a running query. A restart: it removes them too, and on a full disk the server may
    /// not come back. Raising `work_mem` for everyone.
    ///
    /// ## What prevents it
    /// `temp_file_limit`; `log_temp_files`; `temp_tablespaces` on a volume of their own.
    ///
    /// ## References
    /// Postgres manual: "Resource Consumption" (`temp_file_limit`), "Database File Layout".
    "temp-files-fill-disk" in Storage, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let (v, temp) = volumes::seen(e)
        .iter()
        .filter(|v| volumes::is_filling(v) || volumes::is_full(v))
        .find_map(|v| Some((v, temporary(v)?)))?;
    let severity = if volumes::is_full(v) { Severity::Critical } else { Severity::Warning };
    let summary = format!(
        "temporary files of queries hold {} of the {} volume {}, {} left",
        volumes::bytes(temp),
        volumes::purpose(v),
        volumes::mount(v),
        volumes::bytes(v.available_bytes)
    );
    let data = data_directory(e);
    let sql = "select pid, usename, application_name, wait_event, now() - query_start as runs, left(query, 60) from \
               pg_stat_activity where state = 'active' and backend_type = 'client backend' order by query_start";
    Some(
        Finding::new(CAUSE.id, Room::Storage, severity, Confidence::Certain, summary, volumes::fact(e, v))
            .and_all(volumes::no_space(e))
            .mended_by(RemedyPlan::by_hand(
                "find-spilling-query",
                RemedyKind::Advice,
                "see whose files they are (pgsql_tmpPID.N) and what that session runs, then: select pg_cancel_backend(PID)",
                format!("ls -lS {data}/base/pgsql_tmp | head; {}", psql(e, sql)),
            )),
    )
}

fn temporary(v: &VolumeView) -> Option<u64> {
    let (_, bytes) = v.held.iter().find(|(what, _)| what == FOLDER)?;
    (bytes.saturating_mul(PART_OF_VOLUME) >= v.total_bytes).then_some(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::healthy;
    use crate::rooms::storage::volumes::tests::{MIB, volume, with_volumes};

    fn held(free: u64, temp_mib: u64) -> Evidence {
        let mut v = volume(1_000, free);
        v.held = vec![("base".into(), 700 * MIB), (FOLDER.into(), temp_mib * MIB)];
        with_volumes(healthy(), vec![v])
    }

    #[test]
    fn temp_files_fill_disk_before_and_after_it_is_full() {
        assert_eq!(find(&held(100, 400)).unwrap().severity, Severity::Warning);
        let found = crate::diagnose(&held(0, 400));
        let ids: Vec<_> = found.iter().map(|f| (f.cause.as_str(), f.role)).collect();
        use pgmedic_model::Role;
        assert_eq!(ids, [("temp-files-fill-disk", Role::Root), ("disk-full", Role::Symptom)]);
        assert!(find(&held(0, 40)).is_none());
        assert!(find(&held(600, 400)).is_none());
    }
}
