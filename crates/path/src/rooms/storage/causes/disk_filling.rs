//! `disk-filling`: a volume has little space left.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::instances;
use crate::platform::evidence::VolumeView;
use crate::platform::told::MemberRole;
use crate::rooms::storage::volumes::{self, Shown};
use pgmedic_model::{Confidence, Fact, Finding, Room, Severity};

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
    /// A platform's measure or health check counts where this host shows none. Where the platform has a guard for it that
    /// has acted (Fly's Postgres turns read-only over 90 %, its older generation leaves its proxy without a server), the
    /// service is down because of it, and this is critical.
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
    let all = volumes::shown(e);
    let full = |v: &VolumeView| volumes::is_vital(v) && volumes::is_full(v);
    let filling = |s: &&Shown<'_>| {
        let contradicted =
            |other: &Shown<'_>| other.is_of(s) && (!volumes::is_filling(&other.view) || full(&other.view));
        volumes::is_filling(&s.view) && !full(&s.view) && !all.iter().any(contradicted)
    };
    let mut found: Vec<_> = all.iter().filter(filling).collect();
    found.sort_by(|a, b| b.view.used_share().total_cmp(&a.view.used_share()));
    let guard = guard(e);
    let Some(worst) = found.first().copied() else {
        return guard.filter(|_| all.is_empty()).map(|(what, fact)| by_the_guard_alone(e, what, fact));
    };
    let v = &*worst.view;
    let acted = guard.as_ref().map(|(what, _)| format!("; {what}")).unwrap_or_default();
    let summary = format!(
        "the {} volume {} is {:.0} % used, {} left{}{acted}",
        volumes::purpose(v),
        volumes::mount(v),
        v.used_share() * 100.0,
        volumes::bytes(v.available_bytes),
        volumes::holders(v)
    );
    let severity = if guard.is_some() { Severity::Critical } else { Severity::Warning };
    let others = found.iter().skip(1).map(|s| s.fact.clone());
    Some(
        Finding::new(CAUSE.id, Room::Storage, severity, Confidence::Certain, summary, worst.fact.clone())
            .and_all(others)
            .and_all(guard.map(|(_, fact)| fact))
            .mended_by(volumes::look(e, Some(v)))
            .mended_by(volumes::extend_by(e, Some(v), worst.extend_by)),
    )
}

/// What the platform's guard has done because of it, and the fact that shows it.
fn guard(e: &Evidence) -> Option<(&'static str, Fact)> {
    let said = "its role is read-only: its disk is over the platform's limit";
    let taken_out = instances::with_role(e, MemberRole::ReadOnly, said)
        .filter(|(i, _)| i.server.role.as_ref().is_some_and(|role| instances::is_fresh(e, role.at)));
    if let Some((_, fact)) = taken_out {
        return Some(("the platform's guard took the server out of service for it", fact));
    }
    instances::of_db(e).iter().find_map(|i| {
        let guard = i.server.guard.as_ref().filter(|guard| guard.value.contains("readonly"))?;
        let fact = instances::check_fact(e, i, guard, &format!("the guard's {} is set", guard.value));
        instances::is_fresh(e, guard.at)
            .then_some(("the platform's guard made its databases read-only for it", fact))
    })
}

/// The guard acts on the disk's figures, which nobody shows here.
fn by_the_guard_alone(e: &Evidence, what: &str, fact: Fact) -> Finding {
    let summary = format!("the server's disk is filling: {what}");
    Finding::new(CAUSE.id, Room::Storage, Severity::Critical, Confidence::Likely, summary, fact)
        .mended_by(volumes::look(e, None))
        .mended_by(volumes::extend(e, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::healthy;
    use crate::instances::tests::{checked, instance, platform_tells};
    use crate::platform::evidence::VolumeUse;
    use crate::rooms::storage::volumes::tests::{on_platform, volume, with_volumes};

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

    #[test]
    fn disk_filling_is_critical_where_the_platforms_guard_acted() {
        let found = |role, guard: Option<&str>| {
            let mut e = healthy();
            on_platform(&mut e, 8, Some(0.95), role);
            let crate::evidence::Seen::Seen(told) = &mut e.platform else { unreachable!() };
            let crate::evidence::Seen::Seen(db) = &mut told.db else { unreachable!() };
            db[0].server.guard = guard.and_then(|lock| checked(lock.to_owned()));
            find(&e).unwrap()
        };
        assert_eq!(found(MemberRole::Primary, None).severity, Severity::Warning);
        let acted = found(MemberRole::Primary, Some("readonly.lock"));
        assert_eq!(acted.severity, Severity::Critical);
        assert!(
            acted.summary.ends_with("; the platform's guard made its databases read-only for it"),
            "{}",
            acted.summary
        );
        assert_eq!(found(MemberRole::ReadOnly, None).severity, Severity::Critical);
        assert_eq!(found(MemberRole::Primary, Some("zombie.lock")).severity, Severity::Warning);
        let mut alone = healthy();
        let mut i = instance(crate::platform::told::InstanceState::Running, "started");
        i.server.role = checked(MemberRole::ReadOnly);
        platform_tells(&mut alone, vec![i]);
        assert_eq!(find(&alone).map(|f| f.confidence), Some(Confidence::Likely));
    }
}
