//! `pooler-paused`: a PAUSE was left on.

use super::console;
use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::{Action, Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// PgBouncer's pool for this database is paused: clients log in and their queries wait for ever.
    ///
    /// ## What it is
    /// Somebody ran `PAUSE` (or `SUSPEND`), for a restart or a failover, and nobody ran `RESUME`.
    ///
    /// ## What proves it
    /// `SHOW DATABASES` on the console has `paused = 1`. Clients log in, and the first query hangs until `query_wait_timeout`.
    ///
    /// ## What mends it
    /// `RESUME renderflow;` on the console, once you know that the maintenance it was for is over.
    ///
    /// ## What makes it worse
    /// Restarting PgBouncer drops every client; resuming while the failover it was set for still runs sends writes astray.
    ///
    /// ## What prevents it
    /// Maintenance scripts that resume in their exit trap; an alert on `paused`.
    ///
    /// ## References
    /// PgBouncer manual, "Admin console": PAUSE, RESUME. With nothing paused `RESUME` answers `ERROR: pooler is not
    /// paused/suspended`.
    "pooler-paused" in Proxy, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let pooler = e.pooler.get()?;
    let mut paused = pooler.databases.iter().filter(|d| d.paused);
    let ours = pooler.databases.iter().find(|d| d.paused && d.name == e.target.database);
    let database = ours.or_else(|| paused.next())?;
    let severity = if ours.is_some() { Severity::Critical } else { Severity::Warning };
    let proof = console::fact(pooler, "SHOW DATABASES", format!("{} is paused", database.name)).value(true);
    let summary = format!(
        "PgBouncer's database {} is paused: its clients wait until somebody resumes it",
        database.name
    );
    let finding = Finding::new(CAUSE.id, Room::Proxy, severity, Confidence::Certain, summary, proof)
        .and_all(console::waiting(pooler, &database.name));
    Some(
        finding.mended_by(
            RemedyPlan::by_hand(
                "resume-pooler",
                RemedyKind::Sessions,
                format!("resume {} once the maintenance that it was paused for is over", database.name),
                console::command(pooler, &format!("RESUME {}", console::identifier(&database.name))),
            )
            .doing(Action::ResumePooler { database: Some(database.name.clone()) }),
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::proxy::causes::console::fixture::with_database;

    #[test]
    fn pooler_paused_is_read_from_the_console() {
        let found = find(&with_database("renderflow", |d| d.paused = true)).expect("found");
        assert_eq!(found.severity, Severity::Critical);
        assert!(found.remedies[0].command.contains("RESUME renderflow"));
        assert!(find(&with_database("renderflow", |_| ())).is_none());
    }

    #[test]
    fn pooler_paused_for_another_database_is_a_warning() {
        let found = find(&with_database("reports", |d| d.paused = true)).expect("found");
        assert_eq!(found.severity, Severity::Warning);
    }
}
