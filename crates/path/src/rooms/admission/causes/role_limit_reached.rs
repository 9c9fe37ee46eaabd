//! `role-limit-reached`: a role's CONNECTION LIMIT is used up.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::admission::limits::{Limited, judge};
use pgmedic_model::Finding;
use pgmedic_model::pooler_words::Words;

cause! {
    /// The role has as many sessions as its CONNECTION LIMIT allows; its next login is refused.
    ///
    /// ## What it is
    /// `pg_roles.rolconnlimit` caps one role across all databases. Other roles are admitted, slots are free, and only
    /// this role hears no. Superusers are exempt.
    ///
    /// ## What proves it
    /// `FATAL 53300 too many connections for role "x"`; `rolconnlimit` against the sessions of that `usename`. Where
    /// another role than the service's is at its limit, it is a warning.
    ///
    /// ## What mends it
    /// Find the leak: whose sessions of this role are they, and what do they do? Then, if the limit is really too low,
    /// raise it: `alter role x connection limit n` works at once, for the next login, without a restart.
    ///
    /// ## What makes it worse
    /// Raising `max_connections`: it does nothing here, and costs a restart. Lifting the limit under a leak moves the
    /// failure to everyone (`slots-exhausted`).
    ///
    /// ## What prevents it
    /// Machines x pool max below the limit, deploy overlap included.
    ///
    /// ## References
    /// Postgres manual: "CREATE ROLE" (CONNECTION LIMIT), `pg_roles`.
    "role-limit-reached" in Admission, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    judge(
        e,
        &Limited {
            id: CAUSE.id,
            what: "role",
            column: "usename",
            words: Words::RoleLimit,
            own: |e| &e.target.user,
            asking: |facts| &facts.me.role,
            limits: |a| &a.role_limits,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{healthy, refused, with_facts};
    use crate::sql::facts::LimitFacts;
    use pgmedic_model::Severity;

    fn limit(name: &str, limit: i64, used: u64) -> LimitFacts {
        LimitFacts { name: name.into(), limit, used, allows: true }
    }

    #[test]
    fn role_limit_reached_with_limit_and_use_where_the_rescue_way_shows_them() {
        let mut e = refused("53300", "too many connections for role \"app\"");
        assert!(find(&e).unwrap().summary.contains("cannot be seen from outside"));
        e.rescue = Seen::Seen(
            with_facts(|f| {
                f.me.role = "postgres".into();
                f.admission.role_limits = vec![limit("app", 10, 10)];
            })
            .front,
        );
        let found = find(&e).unwrap();
        assert_eq!(found.severity, Severity::Critical);
        assert_eq!(found.summary, "role \"app\" has used up its CONNECTION LIMIT: 10 of 10 sessions");
        assert_eq!(
            found.remedies[1].command,
            "psql \"$RESCUE_DATABASE_URL\" -c 'alter role \"app\" connection limit 15'"
        );
        assert!(found.remedies[0].command.contains("where usename = 'app'"));
        assert!(found.remedies[1].action.is_some());
    }

    #[test]
    fn role_limit_reached_of_zero_is_a_fence_that_nobody_takes_down_unasked() {
        let mut e = refused("53300", "too many connections for role \"app\"");
        e.rescue = Seen::Seen(
            with_facts(|f| {
                f.me.role = "postgres".into();
                f.admission.role_limits = vec![limit("app", 0, 0)];
            })
            .front,
        );
        assert!(find(&e).unwrap().remedies.iter().all(|r| r.action.is_none()));
    }

    #[test]
    fn role_limit_reached_by_another_role_is_a_warning() {
        let e = with_facts(|f| f.admission.role_limits = vec![limit("fenced", 0, 0), limit("cron", 4, 4)]);
        let found = find(&e).unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert!(found.summary.contains("\"cron\""));
    }

    #[test]
    fn role_limit_reached_does_not_count_pgmedic() {
        assert!(find(&with_facts(|f| f.admission.role_limits = vec![limit("app", 10, 10)])).is_none());
        assert!(find(&with_facts(|f| f.admission.role_limits = vec![limit("cron", 10, 9)])).is_none());
        assert!(find(&healthy()).is_none());
    }
}
