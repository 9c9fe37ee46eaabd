//! `out-of-memory-kill`: the kernel ended a process of the server for want of memory.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::instances;
use crate::platform::evidence::{HostEvidence, OomKill, ServerLogEntry};
use crate::platform::told::Instance;
use crate::rooms::server::log;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

/// The kernel's record and the server's entry of one death lie at most this far apart, in ms.
const SAME_DEATH_MS: i64 = 10_000;

cause! {
    /// The kernel's OOM killer ended a process of the server, and every session with it.
    ///
    /// ## What it is
    /// The server's container (its control group) or the whole host was out of memory, and the kernel chose a process to
    /// kill. A backend's death makes the server end all sessions and recover; the postmaster's takes it down. It comes
    /// again with the next query of the kind.
    ///
    /// ## What proves it
    /// The kernel's log: `Killed process PID (postgres)`, with the pid that the server's log names (`server process (PID n)
    /// was terminated by signal 9: Killed`) or that its lock file names, or within seconds of it. Where the kernel's log may
    /// not be read, `oom_kill` of the group's `memory.events` (likely: it counts since the group was made); or the
    /// platform's word for how an instance ended.
    ///
    /// ## What mends it
    /// The server recovers by itself; wait. Then find what took the memory (the log's DETAIL has the query), and lower
    /// `work_mem`, `hash_mem_multiplier` or the number of sessions; or give it more memory.
    ///
    /// ## What makes it worse
    /// Restarting: a second recovery. Raising `max_connections`, `work_mem` or `shared_buffers`. `oom_score_adj` of -1000 for
    /// backends: the kernel then kills the postmaster, or hangs.
    ///
    /// ## What prevents it
    /// `shared_buffers` plus `work_mem` times sessions well below the limit; PgBouncer; `vm.overcommit_memory = 2` on a host of
    /// its own, where the query fails with 53200 instead.
    ///
    /// ## References
    /// Postgres manual, "Managing Kernel Resources" (Linux memory overcommit); kernel documentation, "Control Group v2"
    /// (`memory.events`).
    "out-of-memory-kill" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let witness = e.host.get().and_then(|host| by_host(e, host)).or_else(|| by_platform(e))?;
    let severity = if e.front.admitted() { Severity::Warning } else { Severity::Critical };
    let mut finding =
        Finding::new(CAUSE.id, Room::Server, severity, witness.confidence, witness.summary, witness.proof)
            .and_all(witness.facts);
    if witness.confidence != Confidence::Certain {
        finding = finding.or_else(
            "backend-crashed",
            "somebody's kill -9 looks the same: `dmesg -T | grep -i 'killed process'` on the server's host",
        );
    }
    let group = e.host.get().and_then(|h| h.resources.as_ref()).map(|r| r.group.clone());
    let look = group.map(|g| {
        format!(
            "; cat /sys/fs/cgroup{g}/memory.events /sys/fs/cgroup/memory{g}/memory.oom_control 2>/dev/null"
        )
    });
    Some(finding.mended_by(RemedyPlan::by_hand(
        "find-memory-eater",
        RemedyKind::Advice,
        "the server recovers by itself; find the query that took the memory (the log's DETAIL), then lower work_mem or the sessions, or give it more",
        format!("dmesg -T | grep -i -A1 'killed process' | tail; free -m{}   # on the server's host", look.unwrap_or_default()),
    )))
}

/// What shows it, and how surely.
struct Witness {
    confidence: Confidence,
    summary: String,
    proof: Fact,
    facts: Vec<Fact>,
}

fn by_host(e: &Evidence, host: &HostEvidence) -> Option<Witness> {
    let look = if e.front.admitted() { log::of_late } else { log::recent };
    let logged =
        look(e, Words::TerminatedBySignal).filter(|(entry, _)| entry.message.contains("by signal 9"));
    let kills = host.oom_killed.as_deref().unwrap_or_default();
    let cited = |kill: &OomKill| {
        let of = if kill.by_group { "its control group" } else { "the host" };
        let said = format!(
            "the kernel's log: {of} was out of memory, and process {} ({}) was killed",
            kill.pid, kill.program
        );
        Fact::new(Source::Host, kill.at, "/dev/kmsg", said).value(kill.pid)
    };
    let limit = host
        .resources
        .as_ref()
        .and_then(|r| r.memory_limit)
        .map(|n| format!(" (limit {})", crate::rooms::storage::volumes::bytes(n)));
    let limit = limit.unwrap_or_default();
    let of_log = |(entry, fact)| Some((kills.iter().rev().find(|kill| is_of(host, kill, entry))?, fact));
    if let Some((kill, fact)) = logged.clone().and_then(of_log) {
        let of = if kill.by_group { format!("its control group{limit}") } else { "the host".to_owned() };
        let pid = kill.pid;
        let summary = format!(
            "{of} was out of memory: the kernel killed backend {pid} and the server ended every session"
        );
        return Some(Witness {
            confidence: Confidence::Certain,
            summary,
            proof: cited(kill),
            facts: vec![fact],
        });
    }
    let gone = host.postmaster.as_ref().is_none_or(|p| p.state == 'Z');
    let postmaster = host.lock_file.as_ref().and_then(|file| file.pid).filter(|_| gone);
    if let Some(kill) = kills.iter().find(|kill| Some(kill.pid) == postmaster) {
        let summary = format!(
            "the kernel killed the postmaster (pid {}) for want of memory: the server is down",
            kill.pid
        );
        return Some(Witness {
            confidence: Confidence::Certain,
            summary,
            proof: cited(kill),
            facts: Vec::new(),
        });
    }
    // The kernel's log was read and knows of no such kill: then it was somebody's signal.
    let (_, fact) = logged.filter(|_| host.oom_killed.is_none())?;
    let group = host.resources.as_ref()?;
    let count = group.oom_kills.filter(|n| *n > 0)?;
    let said = format!("oom_kill {count} in the server's control group {}{limit}", group.group);
    let summary = format!(
        "a backend was killed, and the OOM killer has ended {count} processes of the server's control group{limit}"
    );
    let counted = Fact::new(Source::Host, host.at, "memory.events", said).value(count);
    Some(Witness { confidence: Confidence::Likely, summary, proof: fact, facts: vec![counted] })
}

/// True where the kernel's record and the server's entry tell of one death: by the pid, or, where the server may live in
/// a pid namespace of its own, by the time.
fn is_of(host: &HostEvidence, kill: &OomKill, entry: &ServerLogEntry) -> bool {
    // Its status is told only where postmaster.pid names the postmaster by the pid that it has here.
    let same_pids = host.postmaster_status.is_some();
    let near = !same_pids && entry.at.is_some_and(|at| (at.0 - kill.at.0).abs() <= SAME_DEATH_MS);
    near || entry.message.contains(&format!("(PID {})", kill.pid))
}

/// The platform says that the database's instance ended so, and it is not up again.
fn by_platform(e: &Evidence) -> Option<Witness> {
    if e.front.admitted() {
        return None;
    }
    let told = e.platform.get()?;
    let of = |instance: &&Instance| {
        instances::ended_lately(e, instance) && instance.exit.as_ref().is_some_and(|exit| exit.out_of_memory)
    };
    let instance = told.db.get()?.iter().find(of)?;
    let said = format!("{} {}: {}; it ended for want of memory", told.platform, instance.name, instance.word);
    let summary = format!("{} was ended for want of memory ({})", instance.name, instance.word);
    let proof = Fact::new(Source::Platform, told.at, instance.id.as_str(), said);
    Some(Witness { confidence: Confidence::Certain, summary, proof, facts: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{AT, healthy, log_of, refused, window};
    use crate::platform::evidence::{LockFileView, ResourceView};
    use pgmedic_model::{Role, Timestamp};

    fn killed(kills: Option<Vec<(u32, i64)>>, counted: u64) -> Evidence {
        let mut e = refused("57P03", "the database system is in recovery mode");
        window(&mut e, |host| {
            host.log = Some(log_of("00000", "server process (PID 4711) was terminated by signal 9: Killed"));
            host.postmaster =
                Some(crate::platform::evidence::ProcessView { pid: 9, state: 'S', ..Default::default() });
            host.oom_killed = kills.map(|all| {
                let one = |(pid, before): (u32, i64)| OomKill {
                    pid,
                    program: "postgres".into(),
                    at: Timestamp(AT.0 - before),
                    by_group: true,
                };
                all.into_iter().map(one).collect()
            });
            host.resources = Some(ResourceView {
                group: "/pg".into(),
                oom_kills: Some(counted),
                memory_limit: Some(256 << 20),
                ..ResourceView::default()
            });
        });
        e
    }

    #[test]
    fn out_of_memory_kill_by_the_kernels_log_explains_the_recovery() {
        for kills in [vec![(4711, 60_000)], vec![(17, 2_000)]] {
            let found = crate::diagnose(&killed(Some(kills), 0));
            let roots: Vec<_> =
                found.iter().filter(|f| f.role == Role::Root).map(|f| f.cause.as_str()).collect();
            assert_eq!(roots, ["out-of-memory-kill"], "{found:?}");
            assert_eq!(found[0].confidence, Confidence::Certain);
            assert!(
                found[0].summary.starts_with("its control group (limit 268 MB) was out of memory"),
                "{}",
                found[0].summary
            );
        }
    }

    #[test]
    fn out_of_memory_kill_by_the_count_only_where_the_log_may_not_be_read() {
        let found = find(&killed(None, 1)).unwrap();
        assert_eq!(
            (found.confidence, found.alternatives[0].cause.as_str()),
            (Confidence::Likely, "backend-crashed")
        );
        assert!(find(&killed(Some(vec![]), 1)).is_none(), "the kernel knows of no kill");
        assert!(find(&killed(Some(vec![(17, 300_000)]), 1)).is_none(), "that was another one");
        assert!(find(&killed(None, 0)).is_none() && find(&healthy()).is_none());
    }

    #[test]
    fn out_of_memory_kill_of_another_server_moments_before_proves_nothing() {
        let found = |status: Option<&str>, kill| {
            let mut e = killed(Some(vec![(kill, 2_000)]), 1);
            let crate::evidence::Seen::Seen(host) = &mut e.host else { unreachable!() };
            host.postmaster_status = status.map(str::to_owned);
            find(&e).is_some()
        };
        assert!(found(None, 17), "postmaster.pid names another pid than it has here: its pids are not ours");
        assert!(!found(Some("ready"), 17), "its pids are ours, and 17 was not the one that the log tells of");
        assert!(found(Some("ready"), 4711));
    }

    #[test]
    fn out_of_memory_kill_of_the_postmaster() {
        let mut e = killed(Some(vec![(9, 1_000)]), 1);
        let crate::evidence::Seen::Seen(host) = &mut e.host else { unreachable!() };
        (host.postmaster, host.log) = (None, None);
        host.lock_file = Some(LockFileView { pid: Some(9), process: None });
        assert!(find(&e).unwrap().summary.ends_with("the server is down"));
    }

    #[test]
    fn out_of_memory_kill_by_the_platform_is_of_an_end_of_now() {
        use crate::instances::tests::{instance, platform_tells};
        use crate::platform::told::{Exit, InstanceState};
        let ended = |state, ago: i64| {
            let mut e =
                crate::evidence::fixture::first_bytes(crate::rooms::proxy::evidence::FirstBytes::Closed);
            let mut i = instance(state, "started");
            let at = Some(Timestamp(AT.0 - ago));
            i.exit = Some(Exit { at, code: Some(137), out_of_memory: true, ..Exit::default() });
            platform_tells(&mut e, vec![i]);
            find(&e).is_some()
        };
        assert!(ended(InstanceState::Failed, 86_400_000) && ended(InstanceState::Running, 60_000));
        assert!(!ended(InstanceState::Running, 86_400_000), "it got over that yesterday");
    }
}
