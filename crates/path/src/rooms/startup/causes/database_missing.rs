//! `database-missing`: the database does not exist.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste;
use crate::rooms::startup::refusal::{refused, says};
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, ServerError, SqlState};

cause! {
    /// The database that the service asks for does not exist on this server.
    ///
    /// ## What it is
    /// The login got as far as the name of the database, and there is none of that name: a typing error, a
    /// dropped or renamed database, or an address that leads to another cluster than it should. A PgBouncer
    /// may lack the entry while the server has the database.
    ///
    /// ## What proves it
    /// 3D000 `database "…" does not exist`; `SELECT datname FROM pg_database`. PgBouncer: `no such database:
    /// …`. A DETAIL of a missing subdirectory means lost files: stop, and look at storage.
    ///
    /// ## What mends it
    /// 1. First make sure that this is the right server: its `system_identifier`, its databases, its age.
    /// 2. Correct the name in the service's URL (names are case-sensitive), or the entry in PgBouncer's
    ///    `[databases]`.
    /// 3. Restore the database from its backup.
    ///
    /// ## What makes it worse
    /// `CREATE DATABASE` on the spot: the API boots on an empty schema, runs its migrations and takes orders
    /// into nowhere.
    ///
    /// ## What prevents it
    /// A check of the server's identity at boot; DROP DATABASE granted to nobody who deploys.
    ///
    /// ## References
    /// Postgres manual, error code 3D000, "pg_database", "System Information Functions"
    /// (`pg_control_system`); PgBouncer manual, section `[databases]`.
    "database-missing" in Startup, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let refusal = refused(e, |_, error| missing(error))?;
    let database = refusal.database;
    let by_pooler = says(refusal.error, Words::NoSuchDatabase);
    let (confidence, what) = if by_pooler {
        (
            Confidence::Certain,
            format!("the pooler at {} knows no database {database}", refusal.way.route.address),
        )
    } else {
        (refusal.confidence(), format!("database {database} does not exist at {}", refusal.way.route.address))
    };
    let look = "select inet_server_addr(), pg_postmaster_start_time(), (select string_agg(datname, ' ') from pg_database \
                where not datistemplate) as databases";
    let finding = refusal.finding(e, &CAUSE, confidence, &what).mended_by(RemedyPlan::by_hand(
        "check-server-identity",
        RemedyKind::Advice,
        "first make sure that this is the right server, and see which databases it has",
        refusal.login("postgres", look),
    ));
    let (remedy, plan, command) = if by_pooler {
        let entry =
            format!("grep -n '^\\[databases\\]' -A 20 /etc/pgbouncer/pgbouncer.ini   # lacks {database}");
        (
            "add-pooler-database",
            "add the database to PgBouncer's [databases], then RELOAD on its console",
            entry,
        )
    } else {
        let create = paste::psql(e, &format!("create database {}", paste::identifier(database)));
        let plan = "correct the name in the service's URL, or restore the backup; on the right server only, and only for \
                    an empty start, create it";
        ("restore-database", plan, create)
    };
    Some(finding.mended_by(RemedyPlan::by_hand(remedy, RemedyKind::Advice, plan, command)))
}

fn missing(error: &ServerError) -> bool {
    let relayed = error.is(SqlState::PROTOCOL_VIOLATION)
        && (says(error, Words::DatabaseDoesNotExist) || says(error, Words::NoSuchDatabase));
    error.is(SqlState::INVALID_CATALOG_NAME) || relayed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, refused as walk_refused};
    use pgmedic_model::Severity;

    #[test]
    fn database_missing_is_certain_by_its_code() {
        let found = find(&walk_refused("3D000", "database \"renderflow\" does not exist")).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        let ids: Vec<_> = found.remedies.iter().map(|r| r.remedy.as_str()).collect();
        assert_eq!(
            ids,
            ["check-server-identity", "restore-database"],
            "identity comes before any CREATE DATABASE"
        );
        assert!(
            found.remedies[0]
                .command
                .starts_with("psql -h renderflow-db.internal -p 5432 -U app -d postgres -c ")
        );
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn database_missing_tells_the_poolers_list_from_the_servers() {
        let pooler = find(&walk_refused("08P01", "no such database: renderflow")).expect("found");
        assert_eq!(pooler.confidence, Confidence::Certain);
        assert!(pooler.summary.starts_with("the pooler at"));
        let relayed = find(&walk_refused("08P01", "database \"renderflow\" does not exist")).expect("found");
        assert_eq!(relayed.confidence, Confidence::Likely);
        assert!(find(&walk_refused("08P01", "database \"renderflow\" is disabled")).is_none());
    }
}
