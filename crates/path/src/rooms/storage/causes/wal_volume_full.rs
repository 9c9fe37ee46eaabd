//! `wal-volume-full`: pg_wal's own volume has no space left.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::platform::evidence::VolumeUse;
use crate::rooms::server::{log, startup_process};
use crate::rooms::storage::volumes;
use pgmedic_model::pooler_words::{Words, says};
use pgmedic_model::{Action, Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// The volume of pg_wal is full: the server stops with a PANIC and cannot start until there is space.
    ///
    /// ## What it is
    /// WAL has a volume of its own, and it ran full: a slot or a failing archiver keeps segments. The server must be able
    /// to write WAL, so it stops; recovery hits the same error, and the postmaster stays down.
    ///
    /// ## What proves it
    /// Free bytes of that volume, and `PANIC 53100 could not write to file "pg_wal/xlogtemp.N": No space left on
    /// device` in the log. Clients see only "connection refused", 41 ms later.
    ///
    /// ## What mends it
    /// Extend the volume, then start the server: it recovers by itself. Afterwards remove what kept the WAL: an abandoned
    /// slot, a failing `archive_command`.
    ///
    /// ## What makes it worse
    /// Deleting files of `pg_wal`, or `pg_resetwal`: committed data are lost and the cluster may be beyond repair. Starting
    /// it again and again without space.
    ///
    /// ## What prevents it
    /// `max_slot_wal_keep_size`; an alert on this volume by itself; an alert on failed archiving.
    ///
    /// ## References
    /// Postgres manual: "WAL Configuration", "Disk Full Failure", `max_slot_wal_keep_size`.
    "wal-volume-full" in Storage, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let volume = volumes::seen(e).iter().find(|v| v.holds == VolumeUse::Wal)?;
    let logged = log::recent(e, Words::WalUnwritable).filter(|(n, _)| says(&n.message, Words::NoSpaceLeft));
    let full = volumes::is_full(volume);
    // It died of this and nobody has started it since, though there is space again.
    let died = logged.is_some() && !e.front.admitted();
    if !full && !died {
        return None;
    }
    let mount = volumes::mount(volume);
    let left = volumes::bytes(volume.available_bytes);
    let (confidence, summary) = if full {
        (Confidence::Certain, format!("the WAL volume {mount} is full: {left} left"))
    } else {
        (
            Confidence::Likely,
            format!("the server stopped on a full WAL volume {mount}; {left} are free by now"),
        )
    };
    let data = startup_process::data_directory(e);
    let start = RemedyPlan::by_hand(
        "start-database",
        RemedyKind::DbRestart,
        "once there is space: start the server, it recovers by itself",
        format!("df -h {data}/pg_wal && pg_ctl -D {data} -w start   # as postgres"),
    )
    .doing(Action::StartDb);
    let finding = Finding::new(
        CAUSE.id,
        Room::Storage,
        Severity::Critical,
        confidence,
        summary,
        volumes::fact(e, volume),
    )
    .and_all(logged.map(|(_, fact)| fact))
    .mended_by(volumes::extend(e, Some(volume)));
    Some(if e.facts().is_none() { finding.mended_by(start) } else { finding })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{ADDRESS, healthy, log_of, unconnected};
    use crate::platform::evidence::VolumeView;
    use crate::rooms::network::evidence::ConnectOutcome;
    use crate::rooms::storage::volumes::tests::{volume, with_volumes};

    fn wal(free: u64) -> Vec<VolumeView> {
        vec![
            volume(160, 90),
            VolumeView { holds: VolumeUse::Wal, mount: Some("/wal".into()), ..volume(64, free) },
        ]
    }

    #[test]
    fn wal_volume_full_is_seen_apart_from_the_data_volume() {
        let found = find(&with_volumes(healthy(), wal(0))).unwrap();
        assert_eq!(found.summary, "the WAL volume /wal is full: 0 bytes left");
        assert_eq!(found.confidence, Confidence::Certain);
        assert!(
            found.remedies.iter().all(|r| r.kind == RemedyKind::Storage),
            "a server that lives is not restarted"
        );
        assert!(find(&with_volumes(healthy(), wal(40))).is_none());
        assert!(find(&with_volumes(healthy(), vec![volume(160, 0)])).is_none());
    }

    #[test]
    fn wal_volume_full_explains_a_dead_server_after_space_was_made() {
        let mut e = with_volumes(unconnected(&[(ADDRESS, ConnectOutcome::Refused, Some(111))]), wal(40));
        assert!(find(&e).is_none());
        if let Seen::Seen(host) = &mut e.host {
            host.log = Some(log_of(
                "53100",
                "could not write to file \"pg_wal/xlogtemp.29\": No space left on device",
            ));
        }
        let found = find(&e).unwrap();
        assert_eq!(found.confidence, Confidence::Likely);
        assert_eq!(found.remedies[1].remedy, "start-database");
    }
}
