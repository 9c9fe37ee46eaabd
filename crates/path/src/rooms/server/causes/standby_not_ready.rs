//! `standby-not-ready`: a standby that does not let readers in.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::server::startup_process::{at_work_on, data_directory, follows_an_archive, progress};
use crate::said;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// The server is a standby (or restores a backup) and does not let readers in.
    ///
    /// ## What it is
    /// Either `hot_standby` is off, or recovery has not reached a consistent state yet: its WAL source (the primary, or
    /// the archive behind `restore_command`) is slow, wrong or silent.
    ///
    /// ## What proves it
    /// `FATAL 57P03 the database system is not accepting connections`, DETAIL `Hot standby mode is disabled.`; or, since
    /// 14, `… is not yet accepting connections`, DETAIL `Consistent recovery state has not been yet reached.`, with
    /// `standby.signal` or `recovery.signal` in the data directory: since 15 a primary that recovers from a crash says
    /// the same (`server-recovering`). Before 14 the second reads `starting up`.
    ///
    /// ## What mends it
    /// First: should the service reach this server at all? A name or proxy that leads to a standby is the usual story.
    /// If so, mend its WAL source (`primary_conninfo`, `restore_command`, the archive), or set `hot_standby = on` and
    /// restart it.
    ///
    /// ## What makes it worse
    /// Promoting a standby that lags: what it has not replayed is lost, and the old primary may still live.
    ///
    /// ## What prevents it
    /// Health checks that ask for the role; an alert on replay lag and on restores that stand still.
    ///
    /// ## References
    /// Postgres manual: "Hot Standby", "Recovery" (`restore_command`), "Standby Servers".
    "standby-not-ready" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    // Since 15 a primary that recovers from a crash says "not yet" as well.
    let not_yet = || said::error(e, Words::NotYetAccepting).filter(|_| follows_an_archive(e) == Some(true));
    let not = said::error(e, Words::NotAcceptingConnections).filter(|_| follows_an_archive(e) != Some(false));
    let refused = not.or_else(not_yet)?;
    // Only the DETAIL tells the two apart, and PgBouncer before 1.20 does not pass it on.
    let why =
        refused.error.detail.as_deref().map(|d| format!(": {}", d.trim_end_matches('.'))).unwrap_or_default();
    let summary =
        format!("the server is a standby or restores a backup, and lets no reader in{why}{}", at_work_on(e));
    let data = data_directory(e);
    Some(
        Finding::new(CAUSE.id, Room::Server, Severity::Critical, Confidence::Certain, summary, refused.fact())
            .and_all(progress(e))
            .mended_by(RemedyPlan::by_hand(
                "mend-standby",
                RemedyKind::Advice,
                "check that the service is meant to reach this server; then its settings and where its WAL comes from",
                format!("grep -hE 'hot_standby|primary_conninfo|restore_command' {data}/postgresql*.conf; ls {data}/*.signal"),
            )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{ended, fatal, healthy, refused, window};
    use crate::rooms::startup::evidence::StartupOutcome;

    #[test]
    fn standby_not_ready_says_which_of_the_two_it_is() {
        let mut error = fatal("57P03", "the database system is not accepting connections");
        error.detail = Some("Hot standby mode is disabled.".into());
        let found = find(&ended(StartupOutcome::Error(error))).unwrap();
        assert!(
            found.summary.ends_with("lets no reader in: Hot standby mode is disabled"),
            "{}",
            found.summary
        );
        let mut not_yet = refused("57P03", "the database system is not yet accepting connections");
        assert!(find(&not_yet).is_none(), "a primary may recover from a crash");
        window(&mut not_yet, |host| host.recovery_signal = Some(true));
        assert!(find(&not_yet).is_some());
        assert!(find(&refused("57P03", "the database system is starting up")).is_none());
        assert!(find(&healthy()).is_none());
    }
}
