//! `login-not-permitted`: the role has NOLOGIN.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste;
use crate::rooms::startup::refusal::{is, refused};
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Finding, RemedyKind, RemedyPlan, SqlState};

cause! {
    /// The role exists and is not permitted to log in.
    ///
    /// ## What it is
    /// The role has `NOLOGIN`. Either it is a group role that was never meant to log in, or somebody fenced
    /// the application off on purpose: during a migration, a failover, an incident.
    ///
    /// ## What proves it
    /// 28000 `role "…" is not permitted to log in`; `rolcanlogin` is false in `pg_roles`.
    ///
    /// ## What mends it
    /// 1. Ask who set it, and why, before anything else.
    /// 2. When the reason is over: `ALTER ROLE … LOGIN`. It acts on the next login, without reload or
    ///    restart.
    ///
    /// ## What makes it worse
    /// Undoing a deliberate fence: the application then writes into a database that is being moved or mended.
    ///
    /// ## What prevents it
    /// Fences announced where on-call reads; roles for groups and roles for logins named apart.
    ///
    /// ## References
    /// Postgres manual, "Role Attributes" (login privilege), ALTER ROLE, "pg_roles"; error code 28000.
    "login-not-permitted" in Startup, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let code = SqlState::INVALID_AUTHORIZATION_SPECIFICATION;
    let refusal = refused(e, |_, error| is(error, code, Words::RoleNotPermittedToLogIn))?;
    let what = format!(
        "role {} is not permitted to log in (NOLOGIN); somebody may have fenced it off",
        refusal.user
    );
    let sql = format!("alter role {} login", paste::identifier(refusal.user));
    Some(refusal.finding(e, &CAUSE, refusal.confidence(), &what).mended_by(RemedyPlan::by_hand(
        "permit-login",
        RemedyKind::Advice,
        "ask first whether somebody fenced the application off on purpose; when that is over, permit the login again",
        paste::psql(e, &sql),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, refused as walk_refused};
    use pgmedic_model::{Confidence, Severity};

    #[test]
    fn login_not_permitted_is_certain_by_the_servers_words() {
        let found = find(&walk_refused("28000", "role \"app\" is not permitted to log in")).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        assert!(found.remedies[0].command.contains("alter role \"app\" login"));
        assert!(found.remedies[0].plan.starts_with("ask first"));
    }

    #[test]
    fn login_not_permitted_is_likely_through_a_pooler() {
        let found = find(&walk_refused("08P01", "role \"app\" is not permitted to log in")).expect("found");
        assert_eq!(found.confidence, Confidence::Likely);
        assert!(find(&walk_refused("28000", "role \"app\" does not exist")).is_none());
        assert!(find(&healthy()).is_none());
    }
}
