//! `disk-full`: the data volume has no space left.

use super::slot_retains_wal;
use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::literal;
use crate::platform::evidence::{VolumeUse, VolumeView};
use crate::rooms::storage::volumes::{self, By, Shown};
use crate::said;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// The data volume is full: writes fail, and the next checkpoint or restart takes the server down.
    ///
    /// ## What it is
    /// Zero bytes are survivable while nothing happens: logins and small reads still work. The next checkpoint fails and
    /// ends in a crash; a server that is restarted now goes round in a crash loop until space is added.
    ///
    /// ## What proves it
    /// Free bytes of the volume (`f_bavail`: root's reserve does not count): under 2 MiB, or under 1 % and 64 MiB. Or
    /// `53100 could not extend file "base/…": No space left on device`; at login on 15 `XX000 could not write init
    /// file` (likely). A full `/dev/shm` uses the same words, and is not this.
    ///
    /// ## What mends it
    /// 1. Delete the ballast file, if somebody was so wise; rotated logs.
    /// 2. Extend the volume: no restart is needed.
    /// 3. Drop a replication slot that holds WAL, once its consumer is *known* to be gone.
    /// 4. `truncate` or `drop` what is known to be garbage; mend a failing `archive_command`.
    ///
    /// ## What makes it worse
    /// **Restarting the database.** `rm pg_wal/*`: the data are then beyond repair. `delete` frees nothing, `vacuum full`
    /// needs space first.
    ///
    /// ## What prevents it
    /// An alert on *hours left*, not on percent; a ballast file; `max_slot_wal_keep_size`; `temp_file_limit`.
    ///
    /// ## References
    /// Postgres manual: "Disk Full Failure", "Monitoring Disk Usage", statvfs(3). Runbook, section 3.
    "disk-full" in Storage, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let vital =
        |s: &&Shown<'_>| volumes::is_vital(&s.view) && s.view.holds != VolumeUse::Wal && s.is_the_writers();
    let all = volumes::shown(e);
    let seen: Vec<_> = all.iter().filter(vital).collect();
    let full = seen.iter().copied().find(|s| is_full(s, &seen));
    let (confidence, proof) = match full {
        Some(s) => (certainty(e, s, &seen), s.fact.clone()),
        None => told(e, !seen.iter().any(|s| s.by == By::Host))?,
    };
    let summary = full.map(|s| &*s.view).map_or_else(
        || "the server says that no space is left on its disk".to_owned(),
        |v| {
            let (left, mount) = (volumes::bytes(v.available_bytes), volumes::mount(v));
            format!("the {} volume {mount} is full: {left} left{}", volumes::purpose(v), volumes::holders(v))
        },
    );
    let said = volumes::no_space(e).filter(|_| full.is_some());
    let other = full.and_then(|s| seen.iter().find(|other| other.is_of(s)).map(|other| other.fact.clone()));
    let volume = full.or_else(|| seen.first().copied());
    let view = volume.map(|s| &*s.view);
    let mut finding = Finding::new(CAUSE.id, Room::Storage, Severity::Critical, confidence, summary, proof)
        .and_all(other)
        .and_all(said)
        .mended_by(volumes::look(e, view))
        .mended_by(volumes::extend_by(e, view, volume.map_or("", |s| s.extend_by)));
    if seen.is_empty() && said::error(e, Words::WalUnwritable).is_some() {
        finding =
            finding.or_else("wal-volume-full", "`df` on the server's host: is pg_wal a volume of its own?");
    }
    Some(drop_slot(e).into_iter().fold(finding, Finding::mended_by))
}

/// Full, and by no other window's word of now with room: of two measures that contradict each other one is old.
fn is_full(s: &Shown<'_>, all: &[&Shown<'_>]) -> bool {
    let roomy =
        |other: &&&Shown<'_>| other.is_of(s) && !volumes::is_full(&other.view) && !is_nearly(&other.view);
    volumes::is_full(&s.view) && !all.iter().any(|other| roomy(&other))
}

/// As near to full as a check's three digits can tell.
fn is_nearly(v: &VolumeView) -> bool {
    v.used_share() > 0.98
}

/// What this host measures is certain; what a platform measures where the server or another measure bears it out.
fn certainty(e: &Evidence, s: &Shown<'_>, all: &[&Shown<'_>]) -> Confidence {
    let borne_out = all.iter().any(|other| other.is_of(s)) || volumes::no_space(e).is_some();
    if s.by == By::Host || borne_out { Confidence::Certain } else { Confidence::Likely }
}

/// What is said of a volume that does not look full, or was not looked at. Another cause's volume is left to it.
fn told(e: &Evidence, unseen: bool) -> Option<(Confidence, Fact)> {
    let other = |v: &VolumeView| volumes::is_out_of_inodes(v) || volumes::is_full(v) || v.read_only;
    if volumes::seen(e).iter().any(other) {
        return None;
    }
    if let Some(fact) = volumes::no_space(e) {
        let now = fact.source.way() != "window";
        let sure = if now && unseen { Confidence::Certain } else { Confidence::Likely };
        return (now || unseen).then_some((sure, fact));
    }
    let init_file = said::error(e, Words::InitFile).filter(|_| unseen)?;
    Some((Confidence::Likely, init_file.fact()))
}

fn drop_slot(e: &Evidence) -> Option<RemedyPlan> {
    let (slot, held) = slot_retains_wal::worst(e)?;
    if slot.active {
        return None;
    }
    let plan = format!(
        "only when its consumer is known to be gone: drop slot {}, which holds {} of WAL; a replica of it must be rebuilt",
        literal(&slot.name),
        volumes::bytes(held)
    );
    let command = slot_retains_wal::drop_command(e, slot);
    Some(RemedyPlan::by_hand("drop-verified-slot", RemedyKind::Advice, plan, command))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, refused};
    use crate::platform::told::MemberRole;
    use crate::rooms::storage::volumes::tests::{on_platform, volume, with_volumes};

    #[test]
    fn disk_full_is_seen_through_the_window_while_logins_still_work() {
        let mut v = volume(160, 0);
        v.held = vec![("base".into(), 20_000_000), ("pg_wal".into(), 110_000_000)];
        let found = find(&with_volumes(healthy(), vec![v])).unwrap();
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        assert_eq!(
            found.summary,
            "the data volume /data is full: 0 bytes left; largest: pg_wal 110 MB, base 20 MB"
        );
        let commands: String = found.remedies.iter().map(|r| r.command.as_str()).collect();
        assert!(!commands.contains("rm ") && !commands.contains("restart"), "{commands}");
        assert!(found.remedies.iter().all(|r| r.kind != RemedyKind::DbRestart));
        assert!(find(&with_volumes(healthy(), vec![volume(160, 90)])).is_none());
    }

    #[test]
    fn disk_full_is_told_at_login() {
        let told = |code, message| find(&refused(code, message)).map(|f| f.confidence);
        assert_eq!(
            told("53100", "could not write init file: No space left on device"),
            Some(Confidence::Certain)
        );
        assert_eq!(told("XX000", "could not write init file"), Some(Confidence::Likely));
        assert_eq!(told("42501", "could not open file \"base/5/2601\": Read-only file system"), None);
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn disk_full_leaves_inodes_and_wal_volumes_to_their_own_causes() {
        let error = refused("53100", "could not create file \"base/5/1\": No space left on device");
        let mut v = volume(160, 90);
        assert_eq!(
            find(&with_volumes(error.clone(), vec![v.clone()])).unwrap().confidence,
            Confidence::Likely
        );
        v.available_inodes = 0;
        assert!(find(&with_volumes(error, vec![v])).is_none());
        let mut wal = volume(64, 0);
        wal.holds = VolumeUse::Wal;
        assert!(find(&with_volumes(healthy(), vec![volume(160, 90), wal])).is_none());
    }

    #[test]
    fn disk_full_by_the_platforms_measure_is_likely_until_something_bears_it_out() {
        let found = |free: u64, checked_used: Option<f64>, role: MemberRole| {
            let mut e = healthy();
            on_platform(&mut e, free, checked_used, role);
            find(&e).map(|found| found.confidence)
        };
        let primary = MemberRole::Primary;
        assert_eq!(found(0, None, primary), Some(Confidence::Likely));
        assert_eq!(found(0, Some(0.999), primary), Some(Confidence::Certain));
        assert_eq!(found(0, Some(0.4), primary), None, "a check of now saw room: the volume's figure is old");
        assert_eq!(found(90, None, primary), None);
        assert_eq!(found(0, None, MemberRole::Replica), None, "not the server that the service writes to");
        let mut e = refused("53100", "could not extend file \"base/5/1\": No space left on device");
        on_platform(&mut e, 0, None, primary);
        let found = find(&e).unwrap();
        assert_eq!(found.confidence, Confidence::Certain);
        assert!(
            found.remedies.iter().any(|r| r.command == "fly volumes extend vol_1 -s 2 -a db"),
            "{found:?}"
        );
        on_platform(&mut e, 0, None, primary);
        let here = with_volumes(e, vec![volume(160, 90)]);
        assert_eq!(find(&here).map(|f| f.evidence[0].source), Some(pgmedic_model::Source::Startup));
    }
}
