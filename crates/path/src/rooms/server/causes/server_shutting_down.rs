//! `server-shutting-down`: a smart shutdown waits for clients.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::admission::slots;
use crate::rooms::server::startup_process::{data_directory, progress};
use crate::said;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// The server is shutting down: it lets nobody new in, and waits for those who are in.
    ///
    /// ## What it is
    /// A *smart* shutdown (SIGTERM; what a careless unit file or `docker stop` sends) waits until the last client has
    /// gone, for hours if one pool stays. Old sessions go on working, so half of the fleet looks healthy.
    ///
    /// ## What proves it
    /// `FATAL 57P03 the database system is shutting down`. `postmaster.pid` ends in `stopping`; the log says
    /// `received smart shutdown request`.
    ///
    /// ## What mends it
    /// A shutdown cannot be called off. Close the remaining clients, or finish it: `pg_ctl stop -m fast` ends them
    /// cleanly. Then start the server. Ask who stopped it, and why.
    ///
    /// ## What makes it worse
    /// `kill -9` of the postmaster: backends are orphaned, the next start recovers. Fast mode with a full disk: its
    /// checkpoint may fail.
    ///
    /// ## What prevents it
    /// Stop with SIGINT (fast mode) in unit files and container images.
    ///
    /// ## References
    /// Postgres manual: "Shutting Down the Server", `pg_ctl`.
    "server-shutting-down" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let refused = said::error(e, Words::ShuttingDown)?;
    let left = slots::count(e).filter(|s| s.taken > 0);
    let left = left.map_or_else(
        || "the sessions that are left".to_owned(),
        |s| match s.who(e) {
            Some(who) => format!("the {} sessions that are left; {who}", s.taken),
            None => format!("the {} sessions that are left", s.taken),
        },
    );
    let summary = format!("the server is shutting down: nobody new is let in, and it waits for {left}");
    let data = data_directory(e);
    Some(
        Finding::new(CAUSE.id, Room::Server, Severity::Critical, Confidence::Certain, summary, refused.fact())
            .and_all(progress(e))
            .mended_by(RemedyPlan::by_hand(
                "finish-shutdown",
                RemedyKind::DbRestart,
                "check free space first; then finish the shutdown in fast mode and start the server again",
                format!("df -h {data} && pg_ctl -D {data} stop -m fast && pg_ctl -D {data} -w start   # as postgres, on its host"),
            )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, refused};

    #[test]
    fn server_shutting_down_is_finished_only_with_an_eye_on_the_disk() {
        let found = find(&refused("57P03", "the database system is shutting down")).unwrap();
        assert_eq!(found.confidence, Confidence::Certain);
        assert!(found.remedies[0].command.starts_with("df -h \"$PGDATA\" && pg_ctl"));
        assert!(find(&healthy()).is_none());
        assert!(find(&refused("08P01", "pgbouncer is shutting down")).is_none());
    }
}
