//! `archiver-failing`: WAL is not archived, and so not removed.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::psql;
use crate::rooms::server::startup_process::data_directory;
use crate::rooms::storage::volumes;
use crate::sql::facts::ArchiverView;
use pgmedic_model::{Confidence, Fact, Finding, Ms, RemedyKind, RemedyPlan, Room, Severity, Source};

/// The archiver tries three times in a row before it rests for a minute: fewer failures are a hiccup,
const FAILURES: u64 = 3;
/// and so is a success of less than this ago, in ms.
const SUCCESS_OF_LATE_MS: f64 = 60_000.0;

/// So many WAL files wait where the archiver fails or lags for long: a working one leaves a few.
const WAITING: u64 = 32;

cause! {
    /// Archiving of WAL fails: the server keeps every segment until it succeeds, and the disk fills.
    ///
    /// ## What it is
    /// `archive_command` (or the archive library) fails again and again: its target is full, gone or refuses the
    /// credentials. Nothing breaks yet; `pg_wal` grows with every write, and point-in-time recovery ends where the archive
    /// does.
    ///
    /// ## What proves it
    /// `pg_stat_archiver`: the last failure is later than the last success, three failures or more, and no success for a
    /// minute. `pg_wal/archive_status/*.ready` counts what waits. Before 15 that view waits for a file that a full disk
    /// keeps from being written: there pgmedic reads the archiver's title on its host, `failed on …`, and is less sure.
    ///
    /// ## What mends it
    /// Run the command by hand as postgres on the oldest waiting segment, read what it says, mend its target. The
    /// archiver goes on by itself within a minute, and the WAL goes with the next checkpoint.
    ///
    /// ## What makes it worse
    /// `archive_command = 'true'`: the gap in the archive is for ever, so take a base backup at once if it was done.
    /// Deleting files of `pg_wal` or of `archive_status`.
    ///
    /// ## What prevents it
    /// An alert on `last_failed_time > last_archived_time`; a target with room of its own.
    ///
    /// ## References
    /// Postgres manual: "Continuous Archiving", `pg_stat_archiver`.
    "archiver-failing" in Storage, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    counted(e).or_else(|| shown(e)).or_else(|| waiting(e))
}

/// By the archiver's title, where the server archives and does not tell how that goes.
fn shown(e: &Evidence) -> Option<Finding> {
    let host = e.host.get()?;
    e.facts().filter(|facts| facts.storage.archives_silently())?;
    // pgarch.c, pgarch_archiveXlog: `archiving FILE`, `failed on FILE`, `last was FILE`.
    let title = host.auxiliaries.iter().find(|title| title.starts_with("archiver failed on "))?;
    let segment = title.trim_start_matches("archiver failed on ").trim_end();
    let summary = format!(
        "WAL is not archived: the last attempt, at {segment}, failed; pg_wal grows until it succeeds"
    );
    let proof = Fact::new(Source::Host, host.at, "process titles", format!("process: {title}"));
    Some(
        Finding::new(CAUSE.id, Room::Storage, Severity::Warning, Confidence::Likely, summary, proof)
            .and_all(volumes::of_wal(e).map(|v| volumes::fact(e, v)))
            .mended_by(mend(e)),
    )
}

/// Before Postgres 15 the view is not asked, and where nobody is let in it cannot be: of a volume that is filling the window
/// counts the WAL files that wait. They wait for an archiver that fails, or for one that is too slow.
fn waiting(e: &Evidence) -> Option<Finding> {
    if e.facts().is_some_and(|f| f.storage.archiver.is_some()) {
        return None;
    }
    let (host, v) = (e.host.get()?, volumes::of_wal(e)?);
    let files = v.to_archive.filter(|n| *n >= WAITING && (volumes::is_filling(v) || volumes::is_full(v)))?;
    let summary = format!("{files} WAL files wait to be archived, and pg_wal grows until they are");
    let said = format!("{files} files pg_wal/archive_status/*.ready");
    let proof = Fact::new(Source::Host, host.at, v.path.as_str(), said).value(files);
    let data = data_directory(e);
    Some(
        Finding::new(CAUSE.id, Room::Storage, Severity::Warning, Confidence::Likely, summary, proof)
            .and(volumes::fact(e, v))
            .or_else("disk-filling", "`failed_count` of pg_stat_archiver, twice: one that only lags has no failures")
            .mended_by(RemedyPlan::by_hand(
                "mend-archive-target",
                RemedyKind::Advice,
                "run the archive command by hand as postgres, and mend its target; the server's log has its words",
                format!("grep -hE '^ *archive_(command|library)' {data}/postgresql*.conf; ls {data}/pg_wal/archive_status | grep -c ready"),
            )),
    )
}

/// By the server's own count.
fn counted(e: &Evidence) -> Option<Finding> {
    let (facts, at, place) = e.told()?;
    let archiver = facts.storage.archiver.as_ref().filter(|a| is_failing(a))?;
    let since = |ms: Option<f64>| ms.map_or_else(|| "never".to_owned(), |ms| format!("{} ago", Ms(ms)));
    let last = since(archiver.last_archived_ms);
    let summary = format!(
        "WAL is not archived: {} failures, the last success {last}; pg_wal grows until it succeeds",
        archiver.failed
    );
    let text = format!(
        "failed_count {}, last failure {}; archived_count {}, last success {last}",
        archiver.failed,
        since(archiver.last_failed_ms),
        archiver.archived
    );
    let proof =
        Fact::new(Source::Sql, at, format!("pg_stat_archiver at {place}"), text).value(archiver.failed);
    Some(
        Finding::new(CAUSE.id, Room::Storage, Severity::Warning, Confidence::Certain, summary, proof)
            .and_all(volumes::of_wal(e).map(|v| volumes::fact(e, v)))
            .mended_by(mend(e)),
    )
}

fn mend(e: &Evidence) -> RemedyPlan {
    let look = "select last_failed_wal, last_failed_time, failed_count, last_archived_time, \
                current_setting('archive_command') from pg_stat_archiver";
    RemedyPlan::by_hand(
        "mend-archive-target",
        RemedyKind::Advice,
        "see what fails, run the archive command by hand as postgres, and mend its target; the server's log has its words",
        psql(e, look),
    )
}

fn is_failing(a: &ArchiverView) -> bool {
    a.failing && a.failed >= FAILURES && a.last_archived_ms.is_none_or(|ms| ms > SUCCESS_OF_LATE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{window, with_facts};

    fn archiver(failed: u64, failing: bool, last_archived_ms: Option<f64>) -> Option<Finding> {
        find(&with_facts(|f| {
            f.storage.archiver = Some(ArchiverView {
                archived: 7,
                failed,
                failing,
                last_failed_ms: Some(2_000.0),
                last_archived_ms,
            });
        }))
    }

    #[test]
    fn archiver_failing_is_more_than_a_hiccup() {
        let found = archiver(12, true, Some(3_600_000.0)).unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert_eq!(
            found.summary,
            "WAL is not archived: 12 failures, the last success 60 min ago; pg_wal grows until it succeeds"
        );
        assert!(archiver(3, true, None).unwrap().summary.contains("the last success never"));
        assert!(archiver(2, true, None).is_none());
        assert!(archiver(3, true, Some(5_000.0)).is_none());
        assert!(archiver(3, false, Some(900_000.0)).is_none());
    }

    #[test]
    fn archiver_failing_by_its_title_where_the_server_does_not_tell() {
        let titled = |archiving: bool, title: &str| {
            let mut e = with_facts(|f| f.storage.archiving = archiving);
            window(&mut e, |host| host.auxiliaries = vec![title.into(), "checkpointer".into()]);
            find(&e)
        };
        let found = titled(true, "archiver failed on 00000001000000000000000A").unwrap();
        assert_eq!(found.confidence, Confidence::Likely);
        assert!(found.summary.contains("at 00000001000000000000000A, failed"), "{}", found.summary);
        assert!(titled(true, "archiver last was 00000001000000000000000A").is_none());
        assert!(titled(false, "archiver failed on 00000001000000000000000A").is_none());
    }

    #[test]
    fn archiver_failing_is_counted_in_the_window_where_the_view_is_not_told() {
        use crate::rooms::storage::volumes::tests::{volume, with_volumes};
        let waits = |free: u64, files: u64| {
            let mut v = volume(1_000, free);
            v.to_archive = Some(files);
            find(&with_volumes(with_facts(|_| ()), vec![v])).map(|f| f.confidence)
        };
        assert_eq!(waits(50, 400), Some(Confidence::Likely));
        assert_eq!((waits(50, 3), waits(600, 400)), (None, None));
    }
}
