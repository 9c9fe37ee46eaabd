//! `pooler-database-disabled`: a DISABLE was left on.

use super::console;
use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::pooler_words::{Words, says};
use pgmedic_model::{Action, Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// PgBouncer refuses new clients of this database: it is disabled on the console.
    ///
    /// ## What it is
    /// Somebody ran `DISABLE` for maintenance, and nobody ran `ENABLE`.
    ///
    /// ## What proves it
    /// The refusal `database "…" is disabled` (08P01), or `disabled = 1` in `SHOW DATABASES`.
    ///
    /// ## What mends it
    /// `ENABLE renderflow;` on the console, once you know why it was disabled.
    ///
    /// ## What makes it worse
    /// Restarting PgBouncer: it drops every client of every database.
    ///
    /// ## What prevents it
    /// Maintenance scripts that enable in their exit trap.
    ///
    /// ## References
    /// PgBouncer manual, "Admin console": DISABLE, ENABLE.
    "pooler-database-disabled" in Proxy, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let database = &e.target.database;
    let console = e
        .pooler
        .get()
        .and_then(|p| Some((p, p.databases.iter().find(|d| d.disabled && &d.name == database)?)));
    let refusal = e.front.refusal().filter(|r| says(&r.message, Words::DatabaseDisabled));
    let proof = match (refusal, console) {
        (Some(refusal), _) => console::refusal_fact(&e.front, refusal),
        (None, Some((pooler, row))) => {
            console::fact(pooler, "SHOW DATABASES", format!("{} is disabled", row.name))
        }
        (None, None) => return None,
    };
    let command = e.pooler.get().map_or_else(
        || format!("ENABLE {};   -- on PgBouncer's admin console", console::identifier(database)),
        |p| console::command(p, &format!("ENABLE {}", console::identifier(database))),
    );
    let summary = format!("PgBouncer's database {database} is disabled: new clients are refused");
    let finding =
        Finding::new(CAUSE.id, Room::Proxy, Severity::Critical, Confidence::Certain, summary, proof);
    let plan = format!("enable {database} once you know why it was disabled");
    Some(
        finding.mended_by(
            RemedyPlan::by_hand("enable-pooler-database", RemedyKind::Sessions, plan, command)
                .doing(Action::EnablePooler { database: database.to_owned() }),
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, refused};

    #[test]
    fn pooler_database_disabled_is_read_from_the_refusal() {
        let found = find(&refused("08P01", "database \"renderflow\" is disabled")).expect("found");
        assert_eq!(found.confidence, Confidence::Certain);
        assert!(find(&healthy()).is_none());
    }
}
