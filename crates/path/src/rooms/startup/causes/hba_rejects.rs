//! `hba-rejects`: pg_hba.conf turns the client down.

use super::tls_required::for_want_of_tls;
use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste;
use crate::rooms::startup::refusal::{Refusal, raised_in, refused, says};
use crate::rooms::tls::evidence::TlsOutcome;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Finding, RemedyKind, RemedyPlan, ServerError, SqlState};

cause! {
    /// The server's pg_hba.conf does not let this client in.
    ///
    /// ## What it is
    /// No line of `pg_hba.conf` matches the client's address, role and database, a `reject` line does, or the
    /// matching line asks for something other than a password (peer, ident, cert, LDAP, PAM) and that failed.
    /// Behind a proxy the address is the proxy's.
    ///
    /// ## What proves it
    /// 28000 with `no pg_hba.conf entry for host …` or `pg_hba.conf rejects connection for host …`. The
    /// message names the address as the server sees it. `SELECT * FROM pg_hba_file_rules` shows the lines,
    /// and errors in them.
    ///
    /// ## What mends it
    /// Add one narrow line (this database, this role, this network, `scram-sha-256`) above the one that
    /// rejects, and reload: `SELECT pg_reload_conf()`. Read `pg_hba_file_rules.error` before: a broken file
    /// is ignored on reload and stops the next start.
    ///
    /// ## What makes it worse
    /// `host all all 0.0.0.0/0 trust`: everyone on the network is then anyone they like. Restarting with a
    /// broken file.
    ///
    /// ## What prevents it
    /// Lines for networks, not for single machines; a login test from each subnet after a change.
    ///
    /// ## References
    /// Postgres manual, "The pg_hba.conf File", "pg_hba_file_rules", "Authentication Problems"; PgBouncer
    /// manual, `auth_hba_file`.
    "hba-rejects" in Startup, proved by Proof::Drill;
}

/// True where the lines of pg_hba.conf themselves turned the client down.
pub(super) fn turned_down_by_hba(error: &ServerError) -> bool {
    let words = [Words::NoHbaEntry, Words::HbaRejects, Words::ClientCertificateDemanded];
    let own =
        error.is(SqlState::INVALID_AUTHORIZATION_SPECIFICATION) && raised_in(error, "ClientAuthentication");
    own || words.iter().any(|w| says(error, *w))
}

/// True where a method other than a password turned the client down.
fn turned_down_by_method(error: &ServerError) -> bool {
    !error.is(SqlState::INVALID_PASSWORD)
        && !says(error, Words::PasswordFailed)
        && says(error, Words::MethodFailed)
}

fn find(e: &Evidence) -> Option<Finding> {
    let refusal = refused(e, |route, error| {
        let ours = turned_down_by_hba(error) || turned_down_by_method(error);
        (ours || says(error, Words::PoolerRejectsLogin)) && !for_want_of_tls(route, error)
    })?;
    let whom = format!("role {} on database {}", refusal.user, refusal.database);
    let from = host_in(&refusal.error.message).map_or(String::new(), |host| format!(" from {host}"));
    let what = if says(refusal.error, Words::PoolerRejectsLogin) {
        format!("the pooler's own auth_hba_file does not let {whom} in")
    } else if turned_down_by_method(refusal.error) {
        format!("the method that pg_hba.conf asks of {whom} turned it down")
    } else if says(refusal.error, Words::ClientCertificateDemanded) {
        format!("pg_hba.conf demands a client certificate of {whom}")
    } else if says(refusal.error, Words::NoHbaEntry) {
        format!("pg_hba.conf has no line for {whom}{from}")
    } else {
        format!("pg_hba.conf rejects {whom}{from}")
    };
    let finding = refusal.finding(e, &CAUSE, refusal.confidence(), &what);
    let (plan, command) = if says(refusal.error, Words::PoolerRejectsLogin) {
        let command = "grep -nE '^(auth_type|auth_hba_file)' /etc/pgbouncer/pgbouncer.ini".to_owned();
        ("add a narrow line to the pooler's auth_hba_file, and RELOAD on its console".to_owned(), command)
    } else {
        let sql = "select line_number, type, database, user_name, address, auth_method, error from pg_hba_file_rules";
        let plan = format!("add `{}` above the line that rejects, and reload", line(&refusal));
        (plan, paste::psql(e, sql))
    };
    Some(finding.mended_by(RemedyPlan::by_hand("add-hba-line", RemedyKind::Advice, plan, command)))
}

/// The client's address as the server sees it, out of its message.
fn host_in(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("host \"")?;
    rest.split_once('"').map(|(host, _)| host)
}

/// A narrow line of pg_hba.conf for this client, as it came: with TLS or without. Quoted names have no
/// special meaning there.
fn line(refusal: &Refusal<'_>) -> String {
    let (database, role) = (paste::identifier(refusal.database), paste::identifier(refusal.user));
    let tls = refusal.way.route.tls.as_ref();
    let kind = match tls.map(|t| &t.outcome) {
        Some(TlsOutcome::Established { .. }) => "hostssl",
        _ => "host",
    };
    let client = match host_in(&refusal.error.message) {
        Some("[local]") => return format!("local {database} {role} scram-sha-256"),
        Some(host) if host.contains(':') => format!("{host}/128"),
        Some(host) => format!("{host}/32"),
        None => "samenet".to_owned(),
    };
    format!("{kind} {database} {role} {client} scram-sha-256")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{ended, fatal, healthy, refused as walk_refused};
    use crate::rooms::startup::evidence::StartupOutcome;
    use pgmedic_model::{Confidence, Severity};

    const NO_ENTRY: &str =
        "no pg_hba.conf entry for host \"10.0.0.3\", user \"app\", database \"renderflow\", no encryption";

    #[test]
    fn hba_rejects_is_certain_by_the_servers_words() {
        let found = find(&walk_refused("28000", NO_ENTRY)).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        assert_eq!(
            found.summary,
            "pg_hba.conf has no line for role app on database renderflow from 10.0.0.3"
        );
        assert!(found.remedies[0].plan.contains("host \"renderflow\" \"app\" 10.0.0.3/32 scram-sha-256"));
        let rejects = "pg_hba.conf rejects connection for host \"fdaa::3\", user \"app\", database \"renderflow\", SSL encryption";
        assert!(
            find(&walk_refused("28000", rejects)).expect("found").remedies[0].plan.contains("fdaa::3/128")
        );
    }

    #[test]
    fn hba_rejects_is_known_by_the_routine_in_any_language() {
        let mut error = fatal("28000", "kein pg_hba.conf-Eintrag für Host »10.0.0.3«");
        error.routine = Some("ClientAuthentication".to_owned());
        assert!(find(&ended(StartupOutcome::Error(error))).is_some());
    }

    #[test]
    fn hba_rejects_covers_methods_without_a_password_and_poolers() {
        for (code, message, start) in [
            ("28000", "Peer authentication failed for user \"app\"", "the method that pg_hba.conf asks"),
            (
                "28000",
                "connection requires a valid client certificate",
                "pg_hba.conf demands a client certificate",
            ),
            ("08P01", "login rejected", "the pooler's own auth_hba_file"),
        ] {
            let found = find(&walk_refused(code, message)).expect("found");
            assert!(found.summary.starts_with(start), "{}", found.summary);
        }
    }

    #[test]
    fn hba_rejects_is_not_a_wrong_password() {
        assert!(find(&walk_refused("28P01", "password authentication failed for user \"app\"")).is_none());
        assert!(find(&walk_refused("08P01", "password authentication failed for user \"app\"")).is_none());
        assert!(find(&healthy()).is_none());
    }
}
