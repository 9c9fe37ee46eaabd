//! `password-expired`: the role's password was valid until a time that has passed.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste;
use crate::rooms::startup::refusal::{Told, password_refused, told_by_log};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan};

cause! {
    /// The role's password has expired.
    ///
    /// ## What it is
    /// The role has `VALID UNTIL`, and that time has passed. The client is told `password authentication
    /// failed` (28P01), as for a wrong password; only the server's log says more. The role and its grants are
    /// untouched, running sessions go on.
    ///
    /// ## What proves it
    /// The log's DETAIL `User "…" has an expired password.`, or `rolvaliduntil` in `pg_roles`. Without either
    /// of them pgmedic reports `wrong-password` and names this as what it may be.
    ///
    /// ## What mends it
    /// `ALTER ROLE … VALID UNTIL 'infinity'` (or a later day). The password stays the same, no client must
    /// change.
    ///
    /// ## What makes it worse
    /// Setting a new password: it does not help while VALID UNTIL stays, and it locks out every other client
    /// of the role.
    ///
    /// ## What prevents it
    /// An alert on `rolvaliduntil` within 30 days; no VALID UNTIL for roles that machines use, but rotation.
    ///
    /// ## References
    /// Postgres manual, CREATE ROLE (`VALID UNTIL`), "pg_roles", "Authentication Problems".
    "password-expired" in Startup, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let refusal = password_refused(e)?;
    let (_, fact) = told_by_log(e, refusal.user).filter(|(told, _)| *told == Told::Expired)?;
    let what = format!("the password of role {} has expired", refusal.user);
    let role = paste::identifier(refusal.user);
    let sql = format!("alter role {role} valid until 'infinity'");
    Some(refusal.finding(e, &CAUSE, Confidence::Certain, &what).and(fact).mended_by(RemedyPlan::by_hand(
        "extend-validity",
        RemedyKind::Advice,
        "let the password be valid again (or until a later day); it stays the same, no client must change",
        paste::psql(e, &sql),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{log_of, refused, window};

    const FAILED: &str = "password authentication failed for user \"app\"";

    #[test]
    fn password_expired_is_certain_by_the_log_alone() {
        let mut e = refused("28P01", FAILED);
        assert!(find(&e).is_none(), "the client is not told");
        window(&mut e, |host| {
            host.log =
                Some(log_of("28P01", &format!("{FAILED} DETAIL: User \"app\" has an expired password.")));
        });
        let found = find(&e).expect("found");
        assert_eq!(found.confidence, Confidence::Certain);
        assert_eq!(found.summary, "the password of role app has expired");
        assert!(found.remedies[0].command.contains("valid until"));
    }

    #[test]
    fn password_expired_is_not_what_the_log_says_of_another_role() {
        let mut e = refused("28P01", FAILED);
        window(&mut e, |host| {
            let other =
                "password authentication failed for user \"x\" DETAIL: User \"x\" has an expired password.";
            host.log = Some(log_of("28P01", other));
        });
        assert!(find(&e).is_none());
    }
}
