//! `logs-fill-disk`: the server's own log uses up a volume.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::{argument, psql_each};
use crate::platform::evidence::{VolumeUse, VolumeView};
use crate::rooms::server::startup_process::data_directory;
use crate::rooms::storage::volumes;
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};
use std::path::Path;

/// Logs count from this part of their volume on.
const PART_OF_VOLUME: u64 = 5;
/// The folder of `held` that logs are in.
const FOLDER: &str = "log";

cause! {
    /// The server's log files fill a volume.
    ///
    /// ## What it is
    /// Statements are logged in full, an error is repeated a thousand times a second, or nobody removes what was rotated. Where
    /// the logs lie beside the data, the server runs out of space with them.
    ///
    /// ## What proves it
    /// A volume that is filling or full, a fifth or more of it in the log folder (`current_logfiles` names it, else `log` in
    /// the data directory); or a volume of logs alone that is filling. The latter stops nobody but whoever reads logs.
    ///
    /// ## What mends it
    /// Remove rotated files, or compress them elsewhere; the one in use is emptied (`truncate -s 0`), not removed: the server
    /// holds it open. Then see what fills it, and turn that down.
    ///
    /// ## What makes it worse
    /// Restarting the server on a full disk. Removing the file in use: its space is given back at the next rotation only.
    /// Mistaking `pg_wal` for logs.
    ///
    /// ## What prevents it
    /// `log_filename` by weekday with `log_truncate_on_rotation`, or logrotate; a volume of their own; no
    /// `log_statement = all` in production; an alert on its growth.
    ///
    /// ## References
    /// Postgres manual: "Error Reporting and Logging", "Log File Maintenance".
    "logs-fill-disk" in Storage, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let tight = |v: &&VolumeView| volumes::is_filling(v) || volumes::is_full(v);
    let (v, held) = volumes::seen(e).iter().filter(tight).find_map(|v| Some((v, logs(v)?)))?;
    let severity =
        if volumes::is_full(v) && volumes::is_vital(v) { Severity::Critical } else { Severity::Warning };
    let summary = format!(
        "the server's logs hold {} of the {} volume {}, {} left",
        volumes::bytes(held),
        volumes::purpose(v),
        volumes::mount(v),
        volumes::bytes(v.available_bytes)
    );
    let folder = folder(e);
    Some(
        Finding::new(CAUSE.id, Room::Storage, severity, Confidence::Certain, summary, volumes::fact(e, v))
            .and_all(volumes::no_space(e))
            .mended_by(RemedyPlan::by_hand(
                "remove-rotated-logs",
                RemedyKind::Advice,
                "remove the rotated files, or move them elsewhere; empty the one in use, do not remove it",
                format!("ls -lhtr {folder} | tail -20; find {folder} -type f -mtime +1 -print   # then with -delete; the newest: truncate -s 0 FILE"),
            ))
            .mended_by(RemedyPlan::by_hand(
                "log-less",
                RemedyKind::Settings,
                "see what is logged so much, and turn it down: a reload, no restart",
                psql_each(
                    e,
                    &[
                        "select name, setting from pg_settings where name ~ '^log_(statement|min_duration|connections|lock|temp|autovacuum)|^debug_print' and setting not in ('off', 'none', '-1')",
                        "alter system set log_statement = 'none'",
                        "select pg_reload_conf()",
                    ],
                ),
            )),
    )
}

/// Bytes of logs in a volume, where they are worth naming: all that is used of one that holds nothing else.
fn logs(v: &VolumeView) -> Option<u64> {
    if v.holds == VolumeUse::Log {
        return Some(v.total_bytes.saturating_sub(v.reserved_bytes).saturating_sub(v.available_bytes));
    }
    let (_, bytes) = v.held.iter().find(|(what, _)| what == FOLDER)?;
    (bytes.saturating_mul(PART_OF_VOLUME) >= v.total_bytes).then_some(*bytes)
}

/// The log folder, as an argument: that of the log that was read, else of the volume of logs, else Postgres' default.
fn folder(e: &Evidence) -> String {
    let of_log = volumes::seen(e).iter().find(|v| v.holds == VolumeUse::Log).map(|v| v.path.clone());
    let read = || {
        let host = e.host.get()?;
        let folder = Path::new(&host.log.as_ref()?.path).parent()?;
        let of_logs = host.data_directory.as_ref().is_none_or(|data| !Path::new(data).starts_with(folder));
        of_logs.then(|| folder.display().to_string())
    };
    of_log.or_else(read).map_or_else(|| format!("{}/log", data_directory(e)), |folder| argument(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::healthy;
    use crate::rooms::storage::volumes::tests::{MIB, volume, with_volumes};

    fn held(free: u64, log_mib: u64) -> Evidence {
        let mut v = volume(1_000, free);
        v.held = vec![("base".into(), 300 * MIB), (FOLDER.into(), log_mib * MIB)];
        with_volumes(healthy(), vec![v])
    }

    #[test]
    fn logs_fill_disk_before_and_after_it_is_full() {
        assert_eq!(find(&held(100, 600)).unwrap().severity, Severity::Warning);
        let found = crate::diagnose(&held(0, 600));
        let ids: Vec<_> = found.iter().map(|f| (f.cause.as_str(), f.role)).collect();
        use pgmedic_model::Role;
        assert_eq!(ids, [("logs-fill-disk", Role::Root), ("disk-full", Role::Symptom)]);
        assert!(found[0].remedies[0].command.contains("/data/pg/log"));
        assert!(find(&held(0, 40)).is_none() && find(&held(600, 400)).is_none());
    }

    #[test]
    fn logs_fill_disk_of_their_own_and_stop_nobody() {
        let mut own = volume(100, 0);
        own.holds = VolumeUse::Log;
        let found = crate::diagnose(&with_volumes(healthy(), vec![volume(1_000, 600), own]));
        assert_eq!((found[0].cause.as_str(), found[0].severity), ("logs-fill-disk", Severity::Warning));
        assert!(found[1..].iter().all(|f| f.role == pgmedic_model::Role::Symptom), "{found:?}");
    }
}
