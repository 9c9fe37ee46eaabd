//! `role-missing`: the role does not exist.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste;
use crate::rooms::startup::refusal::{
    Refusal, Told, is, password_refused, raised_in, refused, says, told_by_log,
};
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, ServerError, SqlState};

cause! {
    /// The role that the service logs in as does not exist.
    ///
    /// ## What it is
    /// The server has no such role: it was dropped, renamed, or never came along in a restore or failover. Or
    /// the address leads to another cluster than it should. With password authentication the client is told
    /// `password authentication failed` (28P01) all the same; with trust or peer it is told `role "…" does
    /// not exist` (28000).
    ///
    /// ## What proves it
    /// `SELECT rolname FROM pg_roles`; in the server's log the DETAIL `Role "…" does not exist.` A PgBouncer
    /// with `auth_type=trust` says `"trust" authentication failed` for a role that its `auth_file` lacks.
    ///
    /// ## What mends it
    /// 1. First make sure that this is the right server: its `system_identifier`, its databases, its roles.
    /// 2. Restore the role with its grants: `pg_dumpall --globals-only` of the old cluster has both.
    /// 3. Or correct the role's name in the service's URL.
    ///
    /// ## What makes it worse
    /// Creating an empty role on the spot: it hides that the API talks to the wrong server, and it has none
    /// of the grants.
    ///
    /// ## What prevents it
    /// Roles restored together with data (`--globals-only`), and a check of the server's identity after each
    /// failover.
    ///
    /// ## References
    /// Postgres manual, "Authentication Problems", "pg_roles", pg_dumpall; error code 28000; PgBouncer
    /// manual, `auth_file`.
    "role-missing" in Startup, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    if let Some(refusal) = refused(e, |_, error| says(error, Words::RoleUnknownToPooler)) {
        return Some(unknown_to_the_pooler(e, &refusal));
    }
    if let Some(refusal) = refused(e, |_, error| unknown_role(error)) {
        let localised = !says(refusal.error, Words::RoleDoesNotExist);
        let confidence = if localised { Confidence::Likely } else { refusal.confidence() };
        let finding = report(e, &refusal, confidence);
        let decider = "`select rolcanlogin from pg_roles`: a role that is there and may not log in";
        return Some(if localised { finding.or_else("login-not-permitted", decider) } else { finding });
    }
    let refusal = password_refused(e)?;
    let (_, fact) = told_by_log(e, refusal.user).filter(|(told, _)| *told == Told::RoleMissing)?;
    Some(report(e, &refusal, Confidence::Certain).and(fact))
}

/// Said by its words, or in a language that is not ours: the routine raises this and one other error.
fn unknown_role(error: &ServerError) -> bool {
    let code = SqlState::INVALID_AUTHORIZATION_SPECIFICATION;
    let by_routine = error.is(code)
        && raised_in(error, "InitializeSessionUserId")
        && !says(error, Words::RoleNotPermittedToLogIn);
    by_routine || is(error, code, Words::RoleDoesNotExist)
}

/// The pooler's own list lacks the role; what the server has is not known.
fn unknown_to_the_pooler(e: &Evidence, refusal: &Refusal<'_>) -> Finding {
    let what = format!("the pooler at {} does not know role {}", refusal.way.route.address, refusal.user);
    refusal.finding(e, &CAUSE, Confidence::Certain, &what).mended_by(RemedyPlan::by_hand(
        "add-pooler-role",
        RemedyKind::Advice,
        "add the role to PgBouncer's auth_file (or mend its auth_query), then RELOAD on its console",
        "grep -nE '^(auth_type|auth_file|auth_query|auth_user)' /etc/pgbouncer/pgbouncer.ini",
    ))
}

fn report(e: &Evidence, refusal: &Refusal<'_>, confidence: Confidence) -> Finding {
    let by = if refusal.pooled { "the pooler or the server behind it" } else { "the server" };
    let what = format!("role {} does not exist at {by} ({})", refusal.user, refusal.way.route.address);
    let look = "select system_identifier, pg_is_in_recovery(), (select string_agg(rolname, ' ') from pg_roles \
                where rolcanlogin) as roles from pg_control_system()";
    let create = format!("create role {} login", paste::identifier(refusal.user));
    refusal
        .finding(e, &CAUSE, confidence, &what)
        .mended_by(RemedyPlan::by_hand(
            "check-server-identity",
            RemedyKind::Advice,
            "first make sure that this is the right server: its identifier, and which roles it has",
            paste::psql(e, look),
        ))
        .mended_by(RemedyPlan::by_hand(
            "create-role",
            RemedyKind::Advice,
            "only on the right server: restore the role with its grants from `pg_dumpall --globals-only`; this alone \
             creates it without password and grants",
            paste::psql(e, &create),
        ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{ended, fatal, healthy, log_of, refused as walk_refused, window};
    use crate::rooms::startup::evidence::StartupOutcome;
    use pgmedic_model::Severity;

    #[test]
    fn role_missing_is_certain_by_the_servers_words() {
        let found = find(&walk_refused("28000", "role \"app\" does not exist")).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        assert_eq!(found.remedies[0].remedy, "check-server-identity");
        assert!(found.remedies[1].command.contains("create role \"app\" login"));
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn role_missing_is_certain_by_the_log_where_a_password_was_refused() {
        let failed = "password authentication failed for user \"app\"";
        let mut e = walk_refused("28P01", failed);
        assert!(find(&e).is_none(), "the client is not told");
        window(&mut e, |host| {
            host.log = Some(log_of("28P01", &format!("{failed} DETAIL: Role \"app\" does not exist.")));
        });
        let found = find(&e).expect("found");
        assert_eq!((found.confidence, found.evidence.len()), (Confidence::Certain, 2));
    }

    #[test]
    fn role_missing_tells_the_poolers_list_from_the_servers() {
        let pooler = find(&walk_refused("08P01", "\"trust\" authentication failed")).expect("found");
        assert_eq!(pooler.confidence, Confidence::Certain);
        assert_eq!(pooler.remedies[0].remedy, "add-pooler-role");
        let relayed = find(&walk_refused("08P01", "role \"app\" does not exist")).expect("found");
        assert_eq!(relayed.confidence, Confidence::Likely);
    }

    #[test]
    fn role_missing_is_likely_in_another_language() {
        let mut error = fatal("28000", "Rolle »app« existiert nicht");
        error.routine = Some("InitializeSessionUserId".to_owned());
        let found = find(&ended(StartupOutcome::Error(error))).expect("found");
        assert_eq!(found.alternatives[0].cause, "login-not-permitted");
    }
}
