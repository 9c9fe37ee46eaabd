//! `database-invalid`: a DROP DATABASE was interrupted.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::{identifier, literal, psql_in};
use crate::said;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// The database is marked invalid: a DROP DATABASE of it began and did not finish.
    ///
    /// ## What it is
    /// `drop database` marks the database (`datconnlimit` -2) before it removes files. Interrupted, it leaves a
    /// database whose files may be partly gone; the server lets nobody in, superusers neither.
    ///
    /// ## What proves it
    /// `FATAL 55000 cannot connect to invalid database "x"`; `pg_database.datconnlimit` is -2.
    ///
    /// ## What mends it
    /// First make sure that this is the right server and the right name: a service seldom lives in a database that
    /// someone drops. Keep a copy of the data directory. Then restore the database from its backup under another name
    /// and point the service there.
    ///
    /// ## What makes it worse
    /// Following the server's own HINT, `DROP DATABASE`, before anyone has looked at the backup: it removes what is
    /// left. Resetting `datconnlimit` by hand opens a damaged database.
    ///
    /// ## What prevents it
    /// An application role that owns no database; drops only by a script that names the server.
    ///
    /// ## References
    /// Postgres manual: "DROP DATABASE", `pg_database`; release notes of 15.4, 14.9, 13.12, 12.16.
    "database-invalid" in Admission, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let refused = said::errors_of_the_database(e).find(|s| s.says(Words::DatabaseInvalid))?;
    let name = &e.target.database;
    let summary = format!("database {} is invalid: a DROP DATABASE of it was interrupted", identifier(name));
    let look = format!(
        "select datname, oid, datconnlimit, pg_get_userbyid(datdba) as owner from pg_database where datname = {}",
        literal(name)
    );
    Some(
        Finding::new(
            CAUSE.id,
            Room::Admission,
            Severity::Critical,
            Confidence::Certain,
            summary,
            refused.fact(),
        )
        .mended_by(RemedyPlan::by_hand(
            "restore-database",
            RemedyKind::Advice,
            "do not run the DROP of the server's HINT; confirm server and name, then restore from the backup",
            psql_in(e, "postgres", &look),
        )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{healthy, refused};

    #[test]
    fn database_invalid_never_advises_the_servers_hint() {
        let mut e = refused("55000", "cannot connect to invalid database \"renderflow\"");
        e.target.database = "o'neil".into();
        let found = find(&e).unwrap();
        assert_eq!(found.severity, Severity::Critical);
        let command = &found.remedies[0].command;
        assert!(command.contains("o''neil") && !command.to_lowercase().contains("drop"), "{command}");
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn database_invalid_is_heard_by_the_rescue_role_where_the_slots_are_full() {
        let mut e = refused("53300", "sorry, too many clients already");
        let heard = refused("55000", "cannot connect to invalid database \"renderflow\"").front;
        e.target.database.clone_from(&heard.startup.as_ref().unwrap().database);
        e.rescue = Seen::Seen(heard);
        assert!(find(&e).is_some());
        e.target.database = "another".into();
        assert!(find(&e).is_none(), "the rescue role goes to a database of its own");
    }
}
