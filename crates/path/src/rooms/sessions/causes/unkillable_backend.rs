//! `unkillable-backend`: a session's process does not run, so that nothing ends it.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::platform::evidence::{HostEvidence, ProcessView};
use crate::rooms::sessions::{ending, strain};
use crate::sql::facts::SessionView;
use pgmedic_model::{Confidence, Fact, Finding, Ms, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// A session cannot be ended: its process is stopped, or stuck in the kernel.
    ///
    /// ## What it is
    /// A backend acts on a signal when it runs again. One that was stopped (SIGSTOP, a debugger, a frozen container) or
    /// waits in the kernel for a disk that does not answer keeps its slot, its locks and its transaction for as long.
    ///
    /// ## What proves it
    /// `/proc/PID/status` of the backend: state `T` or `t`, or `D` each time it is looked at, without
    /// having run in between (its context switches stand still). `pg_terminate_backend` returns
    /// `t` and the session is still there: that `t` says only that a signal was sent.
    ///
    /// ## What mends it
    /// State `T`: `kill -CONT PID` on the server's host; a signal that was sent before takes effect then. State `t`: detach
    /// the debugger. State `D`: mend the storage that it waits for (`cat /proc/PID/wchan`, `dmesg`); last, fail over.
    ///
    /// ## What makes it worse
    /// `kill -9` of the backend: the server ends every session and goes through recovery, and a process in state `D` does
    /// not even take that. Terminating those who wait: they come back.
    ///
    /// ## What prevents it
    /// No debugger on a production backend; alerts on I/O pressure; storage that fails instead of hanging.
    ///
    /// ## References
    /// Postgres manual, "Server Signaling Functions"; proc(5) on process states.
    "unkillable-backend" in Sessions, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let host = e.host.get()?;
    // A postmaster that does not run either is `server-hung`: the whole server was stopped.
    if host.postmaster.as_ref().is_some_and(ProcessView::is_frozen) {
        return None;
    }
    let mut stuck: Vec<Stuck<'_>> = host.stuck.iter().map(|process| Stuck::of(e, process)).collect();
    stuck.sort_by_key(|s| std::cmp::Reverse(s.waiters));
    let worst = stuck.first()?;
    let waiting: usize = stuck.iter().map(|s| s.waiters).sum();
    let severity = if waiting > 0 && strain::is_critical(e) || waiting >= PILE {
        Severity::Critical
    } else {
        Severity::Warning
    };
    let confidence = if worst.process.state == 'D' { Confidence::Likely } else { Confidence::Certain };
    let more = if stuck.len() > 1 { format!("; {} more like it", stuck.len() - 1) } else { String::new() };
    let behind = if waiting > 0 { format!("; {waiting} sessions wait behind it") } else { String::new() };
    let summary = format!("{} {}, so that nothing ends it{behind}{more}", worst.named(), worst.how());
    let mut facts = stuck.iter().take(3).map(|s| s.fact(host));
    let mut finding =
        Finding::new(CAUSE.id, Room::Sessions, severity, confidence, summary, facts.next()?).and_all(facts);
    if confidence == Confidence::Likely {
        finding = finding.or_else(
            "long-queries",
            "`cat /proc/PID/wchan /proc/PID/io` twice: what reads a slow disk gets on",
        );
    }
    let pids: Vec<String> = stuck.iter().map(|s| s.process.pid.to_string()).collect();
    let (all, first) = (pids.join(","), worst.process.pid);
    Some(finding.mended_by(RemedyPlan::by_hand(
        "let-backend-run",
        RemedyKind::Advice,
        "on the server's host: continue it if it was stopped (T), find the storage that it waits for if it is stuck (D); never kill -9",
        format!("ps -o pid,stat,wchan:32,etime,args -p {all}; kill -CONT {first}   # if stat is T"),
    )))
}

/// From so many on, those who wait are a failure of their own.
const PILE: usize = 10;

/// A process that does not run, and the session that it is.
struct Stuck<'a> {
    process: &'a ProcessView,
    session: Option<&'a SessionView>,
    waiters: usize,
}

impl<'a> Stuck<'a> {
    fn of(e: &'a Evidence, process: &'a ProcessView) -> Self {
        let pid = i32::try_from(process.pid).unwrap_or(0);
        let facts = e.facts();
        let waits = facts.map_or(&[][..], |f| &f.sessions.waits);
        Self {
            process,
            session: facts.and_then(|f| ending::session(f, pid)),
            waiters: waits.iter().filter(|wait| wait.blocked_by.contains(&pid)).count(),
        }
    }

    fn how(&self) -> &'static str {
        match self.process.state {
            'T' => "is stopped by a signal",
            't' => "is held by a debugger",
            _ => "is stuck in the kernel",
        }
    }

    fn named(&self) -> String {
        match self.session {
            Some(s) if !s.application.is_empty() => format!("{} (pid {})", s.application, s.pid),
            _ => format!("{} (pid {})", self.process.command, self.process.pid),
        }
    }

    fn fact(&self, host: &HostEvidence) -> Fact {
        let state = self.process.state;
        let session = self.session.map(|s| {
            let doing = s.state.as_deref().unwrap_or("in a state that this role may not see");
            let since = s.state_ms.map(|ms| format!(" for {}", Ms(ms))).unwrap_or_default();
            format!("; the server says {doing}{since}")
        });
        let said = format!("state {state}: it {}{}", self.how(), session.unwrap_or_default());
        let place = format!("/proc/{}/status", self.process.pid);
        Fact::new(Source::Host, host.at, place, said).value(state.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, window, with_facts};
    use crate::sql::facts::WaitView;

    fn stopped(state: char, waiters: i32) -> Evidence {
        let mut e = with_facts(|f| {
            f.sessions.sessions = vec![SessionView {
                pid: 17,
                application: "migrate".into(),
                state: Some("idle in transaction".into()),
                state_ms: Some(90_000.0),
                ..SessionView::default()
            }];
            f.sessions.waits =
                (0..waiters).map(|n| WaitView { pid: 100 + n, blocked_by: vec![17], wants: None }).collect();
        });
        window(&mut e, |host| {
            host.stuck = vec![ProcessView {
                pid: 17,
                program: "postgres".into(),
                state,
                command: "postgres: app app [local] idle in transaction".into(),
                ..ProcessView::default()
            }];
        });
        e
    }

    #[test]
    fn unkillable_backend_says_who_it_is_and_who_waits() {
        let found = find(&stopped('T', 3)).unwrap();
        assert_eq!(
            found.summary,
            "migrate (pid 17) is stopped by a signal, so that nothing ends it; 3 sessions wait behind it"
        );
        assert_eq!((found.severity, found.confidence), (Severity::Warning, Confidence::Certain));
        assert_eq!(find(&stopped('T', 12)).unwrap().severity, Severity::Critical);
        assert_eq!(find(&stopped('D', 0)).unwrap().confidence, Confidence::Likely);
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn unkillable_backend_is_a_hung_server_where_the_postmaster_is_stopped_too() {
        let mut e = stopped('T', 0);
        window(&mut e, |host| {
            host.stuck = vec![ProcessView { pid: 17, state: 'T', ..ProcessView::default() }];
            host.postmaster = Some(ProcessView { pid: 9, state: 'T', ..ProcessView::default() });
        });
        assert!(find(&e).is_none());
    }
}
