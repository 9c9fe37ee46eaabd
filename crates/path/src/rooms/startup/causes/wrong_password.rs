//! `wrong-password`: the password is not the role's.

use crate::cause::Proof;
use crate::evidence::{Evidence, Seen};
use crate::paste;
use crate::rooms::startup::evidence::{AuthMethod, StartupOutcome};
use crate::rooms::startup::refusal::{Refusal, Told, password_refused, told_by_log};
use crate::ways::{Around, struck};
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Source};

cause! {
    /// The password that the service uses is not the role's.
    ///
    /// ## What it is
    /// The server (or the pooler in front of it) turns the password down: it was rotated on one side only,
    /// the wrong secret was deployed, or the URL has none. A client is told the same for a role that does not
    /// exist and for a password that expired.
    ///
    /// ## What proves it
    /// 28P01, and in the server's log the DETAIL `Password does not match for user …` (with SCRAM only the
    /// line of pg_hba.conf that matched). A PgBouncer says `password authentication failed` or `SASL
    /// authentication failed` for its own list.
    ///
    /// ## What mends it
    /// 1. Log in by hand with the password that you believe in: `psql -h HOST -U ROLE -d DATABASE`.
    /// 2. If it works: put it into the secret that the API reads, and restart one API instance.
    /// 3. If the server accepts it and the pooler does not: mend the pooler's `auth_file` and `RELOAD`.
    ///
    /// ## What makes it worse
    /// Setting a new password in the database at once: every other client of the role is locked out too.
    /// Retry loops: they flood the log and may trip a lockout.
    ///
    /// ## What prevents it
    /// Secrets with versions; two roles in turn for a rotation; the API's login tested before the old secret
    /// goes.
    ///
    /// ## References
    /// Postgres manual, "Password Authentication", "Authentication Problems", error code 28P01; PgBouncer
    /// manual, `auth_file`, `auth_query`.
    "wrong-password" in Startup, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let Some(refusal) = password_refused(e) else { return none_configured(e) };
    let told = told_by_log(e, refusal.user);
    if matches!(told, Some((Told::RoleMissing | Told::Expired, _))) {
        return None;
    }
    let user = refusal.user;
    let accepted = accepted_directly(e, &refusal);
    let what = match (&told, &accepted) {
        (_, Some(place)) => {
            format!("the server at {place} accepts role {user}'s password, the hop in front does not")
        }
        (Some((Told::NoPassword, _)), None) => format!("role {user} has no password, so none can be right"),
        (Some((Told::NoScramSecret, _)), None) => format!(
            "role {user}'s password is stored as MD5 and pg_hba.conf demands SCRAM: it must be set anew"
        ),
        (_, None) => format!("the password for role {user} is turned down"),
    };
    let certain = told.is_some() || accepted.is_some();
    let confidence = if certain { Confidence::Certain } else { Confidence::Likely };
    let mut finding = refusal.finding(e, &CAUSE, confidence, &what).and_all(told.map(|(_, fact)| fact));
    if !certain {
        let decider = "the DETAIL in the server's log, which the client is not told: `Role … does not exist`";
        finding = finding.or_else("role-missing", decider);
        let decider =
            "the DETAIL in the server's log: `User … has an expired password`; or pg_roles.rolvaliduntil";
        finding = finding.or_else("password-expired", decider);
    }
    let reset = paste::psql(e, &format!("\\password {}", paste::identifier(user)));
    Some(finding.mended_by(correct_password(refusal.login(refusal.database, "select 1"))).mended_by(
        RemedyPlan::by_hand(
            "set-password",
            RemedyKind::Advice,
            "only if no secret has it: set a new one (psql asks for it) and give it to every client of the role",
            reset,
        ),
    ))
}

/// Where the way around the hop in front admitted the same role by the same password.
fn accepted_directly<'a>(e: &'a Evidence, refusal: &Refusal<'_>) -> Option<&'a str> {
    let Seen::Seen(direct) = &e.direct else { return None };
    let startup = direct.startup.as_ref()?;
    let by_password = !matches!(startup.auth, None | Some(AuthMethod::Trust | AuthMethod::Unsupported(_)));
    let same = refusal.way.name == "front" && startup.user == refusal.user;
    (same && by_password && startup.authenticated).then_some(direct.address.as_str())
}

/// The server asks for a password and the service has none.
fn none_configured(e: &Evidence) -> Option<Finding> {
    let asked =
        |s: &crate::rooms::startup::evidence::StartupEvidence| s.outcome == StartupOutcome::NoPassword;
    let way = struck(e, Around::Behind, |r| r.startup.as_ref().is_some_and(asked))?;
    let startup = way.route.startup.as_ref()?;
    let user = &startup.user;
    let summary =
        format!("the server asks for role {user}'s password and the service has none{}", way.on_the_way());
    let said = "the server asks for a password; none is in the URL, PGPASSWORD or the password file";
    let proof = Fact::new(Source::Startup, startup.at.plus(startup.elapsed_ms), &way.route.address, said);
    let finding = Finding::new(CAUSE.id, CAUSE.room, way.severity, Confidence::Certain, summary, proof);
    let (host, port) = crate::ways::host_and_port(&way.route.address);
    let [host, role, database] = [host, user, &startup.database].map(paste::argument);
    let login = format!("psql -h {host} -p {port} -U {role} -d {database} -c 'select 1'");
    Some(finding.mended_by(correct_password(login)))
}

fn correct_password(login: String) -> RemedyPlan {
    let plan = "log in by hand with the password that you believe in (psql asks for it); if it works, correct the secret \
                that the API reads and restart one API instance";
    RemedyPlan::by_hand("correct-password", RemedyKind::Advice, plan, login)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{admitted, ended, healthy, log_of, refused, window};
    use pgmedic_model::Severity;

    const FAILED: &str = "password authentication failed for user \"app\"";

    #[test]
    fn wrong_password_is_likely_where_only_the_client_was_told() {
        for (code, message) in [("28P01", FAILED), ("08P01", FAILED), ("08P01", "SASL authentication failed")]
        {
            let found = find(&refused(code, message)).expect("found");
            assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Likely));
            let others: Vec<_> = found.alternatives.iter().map(|a| a.cause.as_str()).collect();
            assert_eq!(others, ["role-missing", "password-expired"]);
        }
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn wrong_password_is_decided_by_the_log() {
        for (detail, found) in [
            ("Connection matched pg_hba.conf line 3: \"host all all all scram-sha-256\"", true),
            ("User \"app\" has no password assigned.", true),
            ("User \"app\" does not have a valid SCRAM secret.", true),
            ("Role \"app\" does not exist.", false),
            ("User \"app\" has an expired password.", false),
        ] {
            let mut e = refused("28P01", FAILED);
            window(&mut e, |host| host.log = Some(log_of("28P01", &format!("{FAILED} DETAIL: {detail}"))));
            let confidence = find(&e).map(|f| f.confidence);
            assert_eq!(confidence, found.then_some(Confidence::Certain), "{detail}");
        }
    }

    #[test]
    fn wrong_password_is_the_hops_where_the_server_accepts_it() {
        let mut e = refused("08P01", "SASL authentication failed");
        e.direct = Seen::Seen(admitted("renderflow-db.internal:5433"));
        let found = find(&e).expect("found");
        assert_eq!(found.confidence, Confidence::Certain);
        assert!(
            found
                .summary
                .starts_with("the server at renderflow-db.internal:5433 accepts role app's password")
        );
    }

    #[test]
    fn wrong_password_is_certain_where_there_is_none() {
        let found = find(&ended(StartupOutcome::NoPassword)).expect("found");
        assert_eq!(found.confidence, Confidence::Certain);
        assert_eq!(found.summary, "the server asks for role app's password and the service has none");
    }
}
