//! `database-limit-reached`: a database's CONNECTION LIMIT is used up.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::admission::limits::{Limited, judge};
use pgmedic_model::Finding;
use pgmedic_model::pooler_words::Words;

cause! {
    /// The database has as many sessions as its CONNECTION LIMIT allows; the next login to it is refused.
    ///
    /// ## What it is
    /// `pg_database.datconnlimit` caps one database over all roles. Other databases of the server are reached, slots
    /// are free, and only this one says no. Superusers are exempt.
    ///
    /// ## What proves it
    /// `FATAL 53300 too many connections for database "x"`; `datconnlimit` against the sessions of that `datname`.
    /// Where another database than the service's is at its limit, it is a warning.
    ///
    /// ## What mends it
    /// Find the leak: who has sessions there, and what do they do? Then, if the limit is really too low, raise it:
    /// `alter database x connection limit n` works at once, for the next login, without a restart.
    ///
    /// ## What makes it worse
    /// Raising `max_connections`: it does nothing here, and costs a restart.
    ///
    /// ## What prevents it
    /// The budget of all applications that use the database below its limit; PgBouncer.
    ///
    /// ## References
    /// Postgres manual: "CREATE DATABASE" (CONNECTION LIMIT), `pg_database`.
    "database-limit-reached" in Admission, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    judge(
        e,
        &Limited {
            id: CAUSE.id,
            what: "database",
            column: "datname",
            words: Words::DatabaseLimit,
            own: |e| &e.target.database,
            asking: |facts| &facts.me.database,
            limits: |a| &a.database_limits,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{healthy, refused, with_facts};
    use crate::sql::facts::LimitFacts;
    use pgmedic_model::{Confidence, Severity};

    #[test]
    fn database_limit_reached_by_the_refusal() {
        let found = find(&refused("53300", "too many connections for database \"renderflow\"")).unwrap();
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        assert!(found.remedies[0].command.contains("where datname = 'renderflow'"));
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn database_limit_reached_counts_without_the_rescue_session() {
        let mut e = refused("53300", "too many connections for database \"renderflow\"");
        let limit = LimitFacts { name: "renderflow".into(), limit: 4, used: 5, allows: true };
        e.rescue = Seen::Seen(with_facts(|f| f.admission.database_limits = vec![limit]).front);
        assert!(find(&e).unwrap().summary.ends_with("4 of 4 sessions"));
    }

    #[test]
    fn database_limit_reached_elsewhere_is_a_warning_and_an_invalid_database_is_not() {
        let at = |limit| {
            find(&with_facts(|f| {
                f.admission.database_limits =
                    vec![LimitFacts { name: "reports".into(), limit, used: 4, allows: true }];
            }))
        };
        assert_eq!(at(4).unwrap().severity, Severity::Warning);
        assert!(at(5).is_none());
        assert!(at(-2).is_none());
    }
}
