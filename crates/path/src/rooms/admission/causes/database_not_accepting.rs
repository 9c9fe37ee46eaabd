//! `database-not-accepting`: the database was told to refuse connections.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::{identifier, psql_in};
use crate::said;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// The database has ALLOW_CONNECTIONS false: it refuses every new login, superusers' too.
    ///
    /// ## What it is
    /// Someone fenced it (`alter database x allow_connections false`), by hand, in a migration or in a failover
    /// script. Sessions that were in stay in.
    ///
    /// ## What proves it
    /// `FATAL 55000 database "x" is not currently accepting connections`; `pg_database.datallowconn` is false.
    ///
    /// ## What mends it
    /// Ask who fenced it and why: a restore, a move to another server, a split brain. If nobody needs the fence:
    /// `alter database x allow_connections true`, from another database of the same server.
    ///
    /// ## What makes it worse
    /// Lifting a fence that keeps the old primary from taking writes: two truths, merged by hand later.
    ///
    /// ## What prevents it
    /// Fences that say who, why and until when (a comment on the database), and that their script lifts.
    ///
    /// ## References
    /// Postgres manual: "ALTER DATABASE" (ALLOW_CONNECTIONS), `pg_database`.
    "database-not-accepting" in Admission, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let refused = said::errors_of_the_database(e).find(|s| s.says(Words::DatabaseNotAccepting))?;
    let name = identifier(&e.target.database);
    let summary = format!("database {name} refuses every connection: ALLOW_CONNECTIONS is false");
    let lift = format!("alter database {name} allow_connections true");
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
            "lift-the-fence",
            RemedyKind::Advice,
            "ask who fenced it; if nobody did on purpose, let it accept connections again",
            psql_in(e, "postgres", &lift),
        )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, refused};

    #[test]
    fn database_not_accepting_is_the_servers_own_word() {
        let e = refused("55000", "database \"renderflow\" is not currently accepting connections");
        let found = find(&e).unwrap();
        assert_eq!(found.confidence, Confidence::Certain);
        assert_eq!(
            found.remedies[0].command,
            "psql \"$RESCUE_DATABASE_URL\" -c '\\connect \"postgres\"' \
             -c 'alter database \"renderflow\" allow_connections true'"
        );
        assert!(find(&refused("55000", "cannot connect to invalid database \"renderflow\"")).is_none());
        assert!(find(&healthy()).is_none());
    }
}
