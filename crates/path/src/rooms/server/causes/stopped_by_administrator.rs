//! `stopped-by-administrator`: sessions are ended by a stop of the server, or by somebody's command.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::server::gone::{self, lets_in, nobody_there};
use crate::rooms::server::{log, startup_process};
use crate::said;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source, SqlState};

cause! {
    /// An administrator's command ended the session: a fast or immediate stop, or a terminated backend.
    ///
    /// ## What it is
    /// Someone or something stopped the server (a deploy, a supervisor, a memory policy) or terminated backends. A fast
    /// stop says so in an error; an immediate one in a WARNING that drivers drop, and leaves a recovery for the start.
    ///
    /// ## What proves it
    /// `FATAL 57P01 terminating connection due to administrator command`; as a notice before EOF: `57P01 … due to
    /// immediate shutdown command`. That other sessions live on tells a terminated backend from a stop. Of a server that
    /// stays stopped its host tells: no postmaster, no lock file, and the log ends in `received fast shutdown request`.
    /// Without that window it is `port-closed`.
    ///
    /// ## What mends it
    /// Ask who did it: deploys, unit files, cron, other operators' pg_terminate_backend. If it was a stop, look at free
    /// space and the log, then start the server.
    ///
    /// ## What makes it worse
    /// Starting it against whoever stopped it: they may be moving its disk.
    ///
    /// ## What prevents it
    /// One owner of starts and stops; announcements where alerts go.
    ///
    /// ## References
    /// Postgres manual: "Shutting Down the Server", "Server Signaling Functions", appendix "Error Codes" (57P01).
    "stopped-by-administrator" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    told(e).or_else(|| stays_stopped(e)).or_else(|| by_platform(e))
}

/// The platform says that somebody asked for its instances to be stopped.
fn by_platform(e: &Evidence) -> Option<Finding> {
    let gone = gone::seen(e).filter(|gone| gone.requested)?;
    let summary = format!("the server was stopped and stays stopped: {}", gone.what);
    let remedies = gone.remedies();
    let finding =
        Finding::new(CAUSE.id, Room::Server, Severity::Critical, gone.confidence, summary, gone.proof)
            .and_all(gone.facts);
    Some(remedies.into_iter().fold(finding, Finding::mended_by))
}

/// A session was told.
fn told(e: &Evidence) -> Option<Finding> {
    let told = said::errors(e)
        .chain(said::notices(e))
        .filter(|s| s.error.is(SqlState::ADMIN_SHUTDOWN) && !s.says(Words::PostmasterGone))
        // Where somebody is let in since, it was that one session which was ended.
        .find(|s| s.route != "standing" || !lets_in(e))?;
    let host = e.host.get();
    let stopping = said::error(e, Words::ShuttingDown).is_some()
        || told.error.says("shutdown")
        || log::recent(e, Words::ShutdownRequest).is_some()
        || host.is_some_and(|h| h.postmaster_status.as_deref().is_some_and(|s| s.trim() == "stopping"));
    let (confidence, what) = if stopping {
        (Confidence::Certain, "the server was stopped")
    } else {
        (Confidence::Likely, "the server was stopped, or somebody terminated the session")
    };
    let summary = format!("{what}: {}", told.error.message);
    Some(
        Finding::new(CAUSE.id, Room::Server, Severity::Critical, confidence, summary, told.fact())
            .and_all(log::last_word(e))
            .mended_by(ask(e)),
    )
}

/// Nobody was in to be told: the server's host and log show that it was stopped and stays so.
fn stays_stopped(e: &Evidence) -> Option<Finding> {
    if lets_in(e) {
        return None;
    }
    let host = e.host.get().filter(|h| h.postmaster.as_ref().is_none_or(|p| p.state == 'Z'))?;
    let (entry, logged) = log::stopped_in_good_order(e)?;
    let closed = nobody_there(e)?;
    let data = startup_process::data_directory(e);
    let summary = format!("the server was stopped and stays stopped: {}", entry.message);
    let gone = Fact::new(Source::Host, host.at, "/proc", format!("no postmaster runs in {data}"));
    let start = RemedyPlan::by_hand(
        "start-database",
        RemedyKind::DbRestart,
        "when whoever stopped it is done, and there is space: start it",
        format!(
            "df -h {data} {data}/pg_wal && pg_ctl -D {data} -w start   # as postgres; or systemctl start postgresql"
        ),
    );
    Some(
        Finding::new(CAUSE.id, Room::Server, Severity::Critical, Confidence::Certain, summary, logged)
            .and(gone)
            .and(closed)
            .mended_by(ask(e))
            .mended_by(start),
    )
}

/// Advice to ask.
fn ask(e: &Evidence) -> RemedyPlan {
    let data = startup_process::data_directory(e);
    RemedyPlan::by_hand(
        "ask-who-stopped-it",
        RemedyKind::Advice,
        "find out who stopped it and why; if nobody needs it stopped, check free space and start it",
        format!("journalctl -u 'postgresql*' -n 50 --no-pager; df -h {data}   # on the server's host"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{ADDRESS, fatal, healthy, log_of, refused, unconnected, window};
    use crate::rooms::network::evidence::ConnectOutcome;
    use pgmedic_model::Role;

    #[test]
    fn stopped_by_administrator_is_told_by_an_error() {
        let found = find(&refused("57P01", "terminating connection due to administrator command")).unwrap();
        assert_eq!(found.confidence, Confidence::Likely);
        assert!(
            find(&refused("57P01", "terminating connection due to unexpected postmaster exit")).is_none()
        );
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn stopped_by_administrator_is_told_by_a_notice_before_the_end() {
        let mut e = healthy();
        let notice = fatal("57P01", "terminating connection due to immediate shutdown command");
        e.front.query.as_mut().unwrap().notices.push(notice);
        assert_eq!(find(&e).unwrap().confidence, Confidence::Certain);
    }

    #[test]
    fn stopped_by_administrator_is_told_by_the_log_of_a_server_that_stays_stopped() {
        let mut e = unconnected(&[(ADDRESS, ConnectOutcome::Refused, Some(111))]);
        window(&mut e, |host| {
            host.data_directory = Some("/data".into());
            host.front_listener_sought = true;
            let mut log = log_of("00000", "received fast shutdown request");
            log.entries[0].severity = "LOG".into();
            host.log = Some(log);
        });
        let found = find(&e).unwrap();
        assert_eq!(found.confidence, Confidence::Certain);
        assert!(found.summary.ends_with("stays stopped: received fast shutdown request"));
        let roots: Vec<_> = crate::diagnose(&e).into_iter().filter(|f| f.role == Role::Root).collect();
        assert_eq!((roots.len(), roots[0].cause.as_str()), (1, CAUSE.id), "{roots:?}");
        let crate::evidence::Seen::Seen(host) = &mut e.host else { unreachable!() };
        let mut panic =
            log_of("53100", "could not write to file \"pg_wal/xlogtemp.29\": No space left on device");
        panic.entries[0].severity = "PANIC".into();
        host.log.as_mut().unwrap().entries.append(&mut panic.entries);
        assert!(find(&e).is_none(), "it died while it stopped");
    }
}
