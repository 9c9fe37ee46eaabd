//! `connect-privilege-missing`: the role may not connect to the database.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste;
use crate::rooms::startup::refusal::{is, raised_in, refused};
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Finding, RemedyKind, RemedyPlan, SqlState};

cause! {
    /// The role lacks the CONNECT privilege on the database.
    ///
    /// ## What it is
    /// Role and database exist and the password is right, but CONNECT was revoked (mostly from PUBLIC, by a
    /// hardening script or during a move) and not granted to this role.
    ///
    /// ## What proves it
    /// 42501 `permission denied for database "…"` with the DETAIL `User does not have CONNECT privilege.`
    /// `SELECT has_database_privilege('ROLE', 'DATABASE', 'CONNECT')` is false. The same SQLSTATE with
    /// `Read-only file system` is another fault altogether (`filesystem-read-only`).
    ///
    /// ## What mends it
    /// `GRANT CONNECT ON DATABASE … TO …`; it acts on the next login. Ask first whether it was revoked to
    /// keep the application out.
    ///
    /// ## What makes it worse
    /// Making the role a superuser: it then takes the slots that are reserved for rescue.
    ///
    /// ## What prevents it
    /// Grants kept in migrations, and restored with the database (`pg_dump --create`, `pg_dumpall
    /// --globals-only`).
    ///
    /// ## References
    /// Postgres manual, "Privileges" (CONNECT), GRANT, "Access Privilege Inquiry Functions"; error code
    /// 42501.
    "connect-privilege-missing" in Startup, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let code = SqlState::INSUFFICIENT_PRIVILEGE;
    let refusal = refused(e, |_, error| {
        is(error, code, Words::ConnectNotGranted) || (error.is(code) && raised_in(error, "CheckMyDatabase"))
    })?;
    let what = format!("role {} may not connect to database {}", refusal.user, refusal.database);
    let (database, role) = (paste::identifier(refusal.database), paste::identifier(refusal.user));
    let sql = format!("grant connect on database {database} to {role}");
    Some(refusal.finding(e, &CAUSE, refusal.confidence(), &what).mended_by(RemedyPlan::by_hand(
        "grant-connect",
        RemedyKind::Advice,
        "ask whether it was revoked to keep the application out; if not, grant it again",
        paste::psql(e, &sql),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{ended, fatal, healthy, refused as walk_refused};
    use crate::rooms::startup::evidence::StartupOutcome;
    use pgmedic_model::Confidence;

    const DENIED: &str = "permission denied for database \"renderflow\"";

    #[test]
    fn connect_privilege_missing_is_certain_by_code_and_words() {
        let found = find(&walk_refused("42501", DENIED)).expect("found");
        assert_eq!(found.confidence, Confidence::Certain);
        assert_eq!(found.summary, "role app may not connect to database renderflow");
        assert!(found.remedies[0].command.contains("grant connect on database \"renderflow\" to \"app\""));
        assert_eq!(find(&walk_refused("08P01", DENIED)).expect("found").confidence, Confidence::Likely);
    }

    #[test]
    fn connect_privilege_missing_is_known_by_the_routine_in_any_language() {
        let mut error = fatal("42501", "keine Berechtigung für Datenbank »renderflow«");
        error.routine = Some("CheckMyDatabase".to_owned());
        assert!(find(&ended(StartupOutcome::Error(error))).is_some());
    }

    #[test]
    fn connect_privilege_missing_is_not_a_filesystem_that_is_read_only() {
        let read_only = "could not open file \"base/5/2601\": Read-only file system";
        assert!(find(&walk_refused("42501", read_only)).is_none());
        assert!(find(&healthy()).is_none());
    }
}
