//! `stale-lock-file`: a start is given up because of a lock file that no server holds.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::argument;
use crate::platform::evidence::{HostEvidence, LockFileView};
use crate::rooms::server::gone::lets_in;
use crate::rooms::server::{log, startup_process};
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// The server does not come up because of `postmaster.pid`, which a server that is gone has left.
    ///
    /// ## What it is
    /// A server that was killed leaves its lock file. A start takes it for stale where no process has its pid, or one of
    /// another user; where the pid lives again under the server's own user (a container starts with the same pids each
    /// time), or the old postmaster was never reaped, or the file is empty after a full disk, the start is given up.
    ///
    /// ## What proves it
    /// The log's last FATAL: `F0001 lock file "postmaster.pid" already exists`, or `… is empty`; no postmaster runs in the
    /// directory; and the process with that pid is no Postgres of it. Where a process of Postgres has that pid, this is
    /// only likely: look before anything is removed.
    ///
    /// ## What mends it
    /// 1. See that no process uses the data directory (`fuser`, `ls -l /proc/*/cwd`), from inside its container too.
    /// 2. A zombie postmaster goes when its parent reaps it: restart the container, give it an init.
    /// 3. Only then remove `postmaster.pid` and start the server.
    ///
    /// ## What makes it worse
    /// Removing the file while any process of Postgres uses the directory: two servers on one directory destroy it. Doing
    /// it in a start script, without looking.
    ///
    /// ## What prevents it
    /// An init in the container that reaps; stops in good order; free space.
    ///
    /// ## References
    /// Postgres manual, "Starting the Database Server"; `CreateLockFile` (miscinit.c).
    "stale-lock-file" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    if lets_in(e) {
        return None;
    }
    let host = e.host.get().filter(|h| h.postmaster.as_ref().is_none_or(|p| p.state == 'Z'))?;
    let (entry, proof) = log::recent(e, Words::LockFileStands)?;
    // What a later start was given up for is what keeps it down now.
    if log::start_given_up(e).is_some_and(|(later, _)| later.at > entry.at) {
        return None;
    }
    let holder = Holder::of(host);
    let data = startup_process::data_directory(e);
    let summary = format!("the server does not come up: {}; {}", entry.message, holder.said);
    let fact = Fact::new(Source::Host, host.at, "postmaster.pid", holder.said);
    let file = argument(&format!("{}/postmaster.pid", host.data_directory.as_deref().unwrap_or("$PGDATA")));
    let mut finding =
        Finding::new(CAUSE.id, Room::Server, Severity::Critical, holder.confidence, summary, proof).and(fact);
    if holder.confidence != Confidence::Certain {
        finding = finding.or_else(
            "server-cannot-start",
            "whether a process of Postgres still uses the directory: `fuser -v` on it, on its host and in its container",
        );
    }
    Some(
        finding
            .mended_by(RemedyPlan::by_hand(
                "see-who-holds-directory",
                RemedyKind::Advice,
                "see that no process of Postgres uses the data directory; reap a zombie by its parent first",
                format!(
                    "head -1 {file}; ps -o pid,ppid,user,stat,lstart,args -p \"$(head -1 {file})\"; ls -l /proc/[0-9]*/cwd 2>/dev/null | grep -F {data}"
                ),
            ))
            .mended_by(RemedyPlan::by_hand(
                "remove-stale-lock-file",
                RemedyKind::DbRestart,
                "only when nobody uses the directory: remove the lock file and start the server, where there is space",
                format!("df -h {data} && rm {file} && pg_ctl -D {data} -w start   # as postgres; or systemctl start postgresql"),
            )),
    )
}

/// Who has the lock file's pid, and what that makes of the finding.
struct Holder {
    said: String,
    confidence: Confidence,
}

impl Holder {
    fn of(host: &HostEvidence) -> Self {
        let sure = |said: String| Self { said, confidence: Confidence::Certain };
        let Some(LockFileView { pid, process }) = &host.lock_file else {
            let said = "no postmaster runs, and the file could not be read".to_owned();
            return Self { said, confidence: Confidence::Likely };
        };
        match (pid, process) {
            (None, _) => sure("the file names no process, and no postmaster runs".to_owned()),
            (Some(pid), None) => sure(format!("no process has its pid {pid} any more")),
            (Some(pid), Some(p)) if p.state == 'Z' => {
                sure(format!("its pid {pid} is a dead {} that its parent has not reaped", p.program))
            }
            (Some(pid), Some(p)) if is_postgres(&p.program) => Self {
                said: format!("its pid {pid} is a process of Postgres ({})", p.command),
                confidence: Confidence::Likely,
            },
            (Some(pid), Some(p)) => sure(format!("its pid {pid} is now {}, which is no Postgres", p.program)),
        }
    }
}

fn is_postgres(program: &str) -> bool {
    matches!(program, "postgres" | "postmaster" | "edb-postgres")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{ADDRESS, healthy, log_of, unconnected, window};
    use crate::platform::evidence::ProcessView;
    use crate::rooms::network::evidence::ConnectOutcome;

    fn left_behind(said: &[&str], process: Option<(&str, char)>) -> Evidence {
        let mut e = unconnected(&[(ADDRESS, ConnectOutcome::Refused, Some(111))]);
        window(&mut e, |host| {
            host.data_directory = Some("/data".into());
            let process = process.map(|(program, state)| ProcessView {
                pid: 17,
                program: program.into(),
                state,
                ..ProcessView::default()
            });
            host.lock_file = Some(LockFileView { pid: Some(17), process });
            let mut log = log_of("F0001", said[0]);
            log.entries.extend(said[1..].iter().flat_map(|text| log_of("F0000", text).entries));
            host.log = Some(log);
        });
        e
    }

    const STANDS: &str = "lock file \"postmaster.pid\" already exists";

    #[test]
    fn stale_lock_file_is_certain_unless_a_postgres_has_the_pid() {
        for (process, confidence) in [
            (Some(("sleep", 'S')), Confidence::Certain),
            (Some(("postgres", 'Z')), Confidence::Certain),
            (Some(("postgres", 'S')), Confidence::Likely),
            (None, Confidence::Certain),
        ] {
            let found = crate::diagnose(&left_behind(&[STANDS], process));
            assert_eq!(found[0].cause, "stale-lock-file", "{found:?}");
            assert_eq!(found[0].confidence, confidence, "{process:?}");
            assert_eq!(found.iter().filter(|f| f.role == pgmedic_model::Role::Root).count(), 1, "{found:?}");
        }
    }

    #[test]
    fn stale_lock_file_is_over_when_the_server_was_up() {
        let up = "database system is ready to accept connections";
        assert!(find(&left_behind(&[STANDS, up], None)).is_none());
        assert!(find(&healthy()).is_none());
    }
}
