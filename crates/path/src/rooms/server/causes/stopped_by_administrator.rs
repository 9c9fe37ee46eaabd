//! `stopped-by-administrator`: sessions are ended by a stop of the server, or by somebody's command.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::server::{log, startup_process};
use crate::said;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity, SqlState};

cause! {
    /// An administrator's command ended the session: a fast or immediate stop, or a terminated backend.
    ///
    /// ## What it is
    /// Someone or something stopped the server (a deploy, a supervisor, a memory policy) or terminated backends. A fast
    /// stop says so in an error; an immediate one in a WARNING that drivers drop, and leaves a recovery for the start.
    ///
    /// ## What proves it
    /// `FATAL 57P01 terminating connection due to administrator command`; as a notice before EOF: `57P01 … due to
    /// immediate shutdown command`. The log says `received fast shutdown request`. That other sessions live on
    /// tells a terminated backend from a stop.
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
    let told = said::errors(e)
        .chain(said::notices(e))
        .find(|s| s.error.is(SqlState::ADMIN_SHUTDOWN) && !s.says(Words::PostmasterGone))?;
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
    let data = startup_process::data_directory(e);
    Some(
        Finding::new(CAUSE.id, Room::Server, Severity::Critical, confidence, summary, told.fact())
            .and_all(log::last_word(e))
            .mended_by(RemedyPlan::by_hand(
                "ask-who-stopped-it",
                RemedyKind::Advice,
                "find out who stopped it and why; if nobody needs it stopped, check free space and start it",
                format!(
                    "journalctl -u 'postgresql*' -n 50 --no-pager; df -h {data}   # on the server's host"
                ),
            )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{fatal, healthy, refused};

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
}
