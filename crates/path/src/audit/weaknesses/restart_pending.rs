//! `restart-pending`: the next restart changes settings that nobody has tried yet.

use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::{AuditFinding, Confidence, Fact, Nearness, Needs, ObjectKind, Severity, Source};

weakness! {
    /// Settings wait for a restart: the next one, whenever it comes, changes how the server runs.
    ///
    /// ## What it is
    /// Somebody changed `max_connections`, `shared_buffers` or the like, and did not restart. The change has never been
    /// tried.
    ///
    /// ## What breaks
    /// The restart of an incident brings it in force: a `shared_buffers` that the machine has no memory for ends that start,
    /// a smaller `max_connections` lets fewer in.
    ///
    /// ## What proves it
    /// `pg_settings.pending_restart`.
    ///
    /// ## What mends it
    /// A restart at a time of your choosing (drain first, one member at a time), or the old value back.
    ///
    /// ## References
    /// Postgres manual: `pg_settings` (`pending_restart`), "Setting Parameters".
    "restart-pending" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<AuditFinding> {
    let (facts, at, place) = e.told()?;
    let ahead = e.preflight.get().map(|p| p.pending_restart.as_slice()).unwrap_or_default();
    let mut names: Vec<&str> = facts.server.pending_restart.iter().chain(ahead).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let first = names.first()?;
    let summary =
        format!("{} wait(s) for a restart: the next one changes how the server runs", names.join(", "));
    let fact =
        Fact::new(Source::Sql, at, format!("pg_settings at {place}"), format!("{first}: pending_restart"));
    let how = "restart at a time of your choosing, or put the old value back; pgmedic explain configuration-broken for what to ask first";
    let change = |name: &&str| {
        changes::person(ObjectKind::Server, "", name, ("waits", "in force"), how, Needs::ServerRestart)
    };
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, summary, fact)
            .weighs(Severity::Warning, Confidence::Certain)
            .breaks(Nearness::Restart, "what nobody has tried comes in force in the middle of an incident")
            .mended_by(names.iter().map(change)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, preflight};

    #[test]
    fn restart_pending_names_each_setting_once() {
        let mut e = healthy();
        preflight(&mut e, |ahead| {
            ahead.pending_restart = vec!["shared_buffers".into(), "max_connections".into()]
        });
        let found = find(&e).unwrap();
        assert_eq!((found.changes.len(), found.nearness), (2, Nearness::Restart));
        assert!(find(&healthy()).is_none());
    }
}
