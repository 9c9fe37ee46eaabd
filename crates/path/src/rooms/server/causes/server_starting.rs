//! `server-starting`: the server is not up yet.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::instances;
use crate::platform::told::InstanceState;
use crate::rooms::server::startup_process::{at_work_on, data_directory, progress, wait};
use crate::said;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// The server is starting up and lets nobody in yet.
    ///
    /// ## What it is
    /// The postmaster listens, its startup process replays WAL from the last checkpoint. After a clean stop that takes
    /// moments; after a crash or a power loss as long as the WAL since that checkpoint; with a `restore_command` as
    /// long as the archive takes to answer.
    ///
    /// ## What proves it
    /// `FATAL 57P03 the database system is starting up`. On the host the title `postgres: startup recovering 0000…`
    /// moves on, or `waiting for 0000…` stands still: then the archive is what hangs. `postmaster.pid` ends in
    /// `starting`.
    ///
    /// ## What mends it
    /// Wait while the WAL file in the title moves on. If it stands still: the server's log, free space of data and WAL
    /// volumes, then the `restore_command`.
    ///
    /// ## What makes it worse
    /// Restarting: recovery begins again from the same checkpoint. Failover scripts that give up too soon do the same
    /// in a loop. On a full disk each start fails again until space is added.
    ///
    /// ## What prevents it
    /// Fast shutdowns instead of kills; a smaller `max_wal_size` or `checkpoint_timeout` bounds the replay.
    ///
    /// ## References
    /// Postgres manual: "Reliability and the Write-Ahead Log" (WAL configuration), "Starting the Database Server".
    "server-starting" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let Some(refused) = said::error(e, Words::StartingUp) else { return instance_starting(e) };
    let summary = format!("the server is starting up and lets nobody in yet{}", at_work_on(e));
    let finding = Finding::new(
        CAUSE.id,
        Room::Server,
        Severity::Critical,
        Confidence::Certain,
        summary,
        refused.fact(),
    )
    .and_all(progress(e));
    let patience = "wait while the startup process moves on; a restart begins recovery anew";
    Some(match waits_for_archive(e) {
        Some(file) => finding.mended_by(see_restore(e, file)).mended_by(wait(e, patience)),
        None => finding.mended_by(wait(e, patience)),
    })
}

/// The WAL file that a standby's or a restore's startup process waits for: by its title (xlogrecovery.c, `XLogFileRead`), and
/// its signal file. A server that recovers from a crash has no archive to wait for.
fn waits_for_archive(e: &Evidence) -> Option<&str> {
    let host = e.host.get().filter(|h| h.recovery_signal == Some(true))?;
    host.auxiliaries.iter().find_map(|title| title.strip_prefix("startup waiting for "))
}

/// Waiting alone does not help where the archive is what hangs.
fn see_restore(e: &Evidence, file: &str) -> RemedyPlan {
    let data = data_directory(e);
    RemedyPlan::by_hand(
        "mend-restore-source",
        RemedyKind::Advice,
        format!(
            "it restores from an archive and waits for {file}: see twice whether the name changes; where it stands still, run the \
             restore_command by hand as postgres and mend its source"
        ),
        format!(
            "grep -hE '^ *(restore_command|primary_conninfo)' {data}/postgresql*.conf; ps -e -o pid,ppid,etime,args | \
             grep -A2 '[s]tartup waiting'; ls -l {data}/*.signal"
        ),
    )
}

/// The platform is starting its instance, and nobody is met there yet.
fn instance_starting(e: &Evidence) -> Option<Finding> {
    let list = instances::of_db(e);
    let starting = list.iter().find(|i| i.state == InstanceState::Starting)?;
    let met = e.routes().any(|(_, route)| route.admitted() || route.refusal().is_some());
    if met || list.iter().any(|i| i.state == InstanceState::Running) {
        return None;
    }
    let summary = format!("the server is starting up: {}", instances::state(e, starting));
    let proof = instances::fact(e, starting);
    Some(
        Finding::new(CAUSE.id, Room::Server, Severity::Critical, Confidence::Likely, summary, proof)
            .or_else("server-cannot-start", "the instance's log: does its server come up, or end again?")
            .mended_by(wait(e, "wait until its instance is up")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, refused, window};

    #[test]
    fn server_starting_shows_what_it_is_at() {
        let mut e = refused("57P03", "the database system is starting up");
        window(&mut e, |host| host.auxiliaries = vec!["startup recovering 000000010000000000000003".into()]);
        let found = find(&e).unwrap();
        assert_eq!(
            found.summary,
            "the server is starting up and lets nobody in yet, recovering 000000010000000000000003"
        );
        assert_eq!(found.evidence.len(), 2);
        assert!(found.remedies.iter().all(|r| r.remedy == "wait-for-server"));
        assert!(find(&healthy()).is_none());
        assert!(find(&refused("57P03", "the database system is in recovery mode")).is_none());
    }

    #[test]
    fn server_starting_is_told_by_an_instance_on_its_way_up() {
        use crate::instances::tests::{instance, platform_tells};
        let starting = |mut e: Evidence, states: &[InstanceState]| {
            platform_tells(&mut e, states.iter().map(|s| instance(*s, "starting")).collect());
            find(&e).map(|found| found.confidence)
        };
        let shut =
            || crate::evidence::fixture::first_bytes(crate::rooms::proxy::evidence::FirstBytes::Closed);
        assert_eq!(starting(shut(), &[InstanceState::Starting]), Some(Confidence::Likely));
        assert_eq!(starting(shut(), &[InstanceState::Starting, InstanceState::Running]), None);
        assert_eq!(starting(healthy(), &[InstanceState::Starting]), None);
    }

    #[test]
    fn server_starting_that_waits_for_its_archive_is_not_told_to_wait_alone() {
        let mut e = refused("57P03", "the database system is starting up");
        let first = |e: &Evidence| find(e).unwrap().remedies[0].remedy.clone();
        for (signal, remedy) in [(true, "mend-restore-source"), (false, "wait-for-server")] {
            window(&mut e, |host| {
                host.recovery_signal = Some(signal);
                host.auxiliaries = vec!["startup waiting for 000000010000000000000003".into()];
            });
            assert_eq!(first(&e), remedy);
        }
    }
}
