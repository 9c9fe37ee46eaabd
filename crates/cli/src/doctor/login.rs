//! The ways in with the service's own role: by its front, and around the proxy. A refusal is read by its SQLSTATE, and
//! mended by the line that lets the role in. Not in here: what the role may see once it is in (`role`).

use super::{By, Check, Grant, Subject};
use pgmedic_model::pooler_words::{Words, meaning};
use pgmedic_model::{Room, RoomReport, RoomStatus, ServerError, Target};
use pgmedic_path::evidence::RouteEvidence;
use pgmedic_path::paste::identifier;
use pgmedic_path::rooms::startup::evidence::{StartupEvidence, StartupOutcome};
use pgmedic_path::{Evidence, Seen, diagnose, report};

const WITHOUT: &str =
    "see anything that only the server knows: slots, sessions, locks, slots of replication, age";
const AROUND: &str =
    "tell a proxy that hangs from a server that does, nor get in where the proxy is what is broken";

/// SQLSTATEs of a server that is there and cannot let anybody in for now (class 57: shutting down, starting up).
const NOT_NOW: &str = "57";

pub(super) fn checks(s: Subject<'_>) -> Vec<Check> {
    let e = s.evidence;
    let report = report(e, diagnose(e));
    let front = way("login", &e.front, &s.service.target, &report.path, WITHOUT);
    let direct = match (&s.service.direct, &e.direct) {
        (Some(target), Seen::Seen(route)) => way("direct", route, target, &report.direct, AROUND),
        (Some(target), Seen::NotSeen(why)) => Check::not_seen("direct", place(target), why, AROUND),
        (None, _) => Check::not_configured("direct", "the way around the proxy (`direct`)", AROUND),
    };
    vec![front, direct]
}

/// True where some way in led to a server that let pgmedic in, or that refused it for a reason that a right mends.
pub(super) fn reached(e: &Evidence) -> bool {
    let answered = |route: &RouteEvidence| {
        let refused = route.refusal().is_some_and(|error| !not_now(error));
        let asked = route.startup.as_ref().is_some_and(|s| lacks_a_password(s).is_some());
        route.admitted() && route.late_refusal().is_none() || refused || asked
    };
    e.facts().is_some() || e.routes().any(|(_, route)| answered(route))
}

fn not_now(error: &ServerError) -> bool {
    error.code.as_ref().is_none_or(|code| code.as_str().starts_with(NOT_NOW))
}

fn lacks_a_password(startup: &StartupEvidence) -> Option<&'static str> {
    match &startup.outcome {
        StartupOutcome::NoPassword => Some("the server asks for a password, and none is configured"),
        StartupOutcome::Unsupported(_) => Some("the server asks for a method that pgmedic does not speak"),
        _ => None,
    }
}

/// `app at 127.0.0.1:5432, database shop`.
pub(super) fn place(target: &Target) -> String {
    format!("role {} at {}, database {}", target.user, target.address(), target.database)
}

/// One way in.
pub(super) fn way(
    right: &'static str,
    route: &RouteEvidence,
    target: &Target,
    path: &[RoomReport],
    without: &'static str,
) -> Check {
    if let Some(error) = route.refusal() {
        let check = if not_now(error) {
            Check::not_seen(right, place(target), said(error), without)
        } else {
            Check::missing(right, place(target), said(error), without)
        };
        return check.granted_by(lets_in(error, target));
    }
    if route.admitted() {
        return Check::ok(right, place(target), "let in");
    }
    if let Some(why) = route.startup.as_ref().and_then(lacks_a_password) {
        let line = format!("{}:{}:{}:{}:PASSWORD", target.host, target.port, target.database, target.user);
        return Check::missing(right, place(target), why, without).grant(
            By::File,
            "~/.pgpass (mode 0600)",
            line,
        );
    }
    let broken = path.iter().find(|room| room.room != Room::App && room.status == RoomStatus::Failed);
    let why = broken
        .map_or_else(|| "no way in".to_owned(), |room| format!("{}: {}", room.room.as_str(), room.summary));
    Check::not_seen(right, place(target), why, without)
}

/// The refusal with what its SQLSTATE stands for (Postgres manual, appendix A).
fn said(error: &ServerError) -> String {
    let code = error.code.as_ref().map_or("", |code| code.as_str());
    let words = match code {
        "28P01" => "the password is not accepted",
        "28000" => "the role may not log in from here",
        "42501" => "the role has no right to connect to this database",
        "53300" => {
            "no slot is left for this role; pgmedic check says which limit that is, and what to raise it to"
        }
        "3D000" => "there is no such database",
        "55000" => "the database takes no connections",
        "57P03" => "the server is not ready for anybody",
        _ => "refused",
    };
    format!("{words} ({error})")
}

/// The lines that let the role in, for a refusal that a right mends.
fn lets_in(error: &ServerError, target: &Target) -> Vec<Grant> {
    let (role, database) = (identifier(&target.user), identifier(&target.database));
    let sql = |line: String| vec![Grant { by: By::Sql, place: target.database.clone(), line }];
    let code = error.code.as_ref().map_or("", |code| code.as_str());
    match (code, meaning(&error.message)) {
        (_, Some(Words::RoleDoesNotExist)) => sql(format!("create role {role} login connection limit 5;")),
        (_, Some(Words::RoleNotPermittedToLogIn)) => sql(format!("alter role {role} login;")),
        (_, Some(Words::NoHbaEntry | Words::HbaRejects)) => {
            let line = rule(&error.message, &database, &role);
            vec![Grant {
                by: By::File,
                place: "pg_hba.conf (then: select pg_reload_conf();)".to_owned(),
                line,
            }]
        }
        ("28P01", _) => sql(format!("\\password {role}")),
        ("42501", _) => sql(format!("grant connect on database {database} to {role};")),
        ("55000", _) => sql(format!("alter database {database} allow_connections true;")),
        // A limit among them: to raise it without knowing it could lower it.
        _ => Vec::new(),
    }
}

/// The rule of pg_hba.conf for the address that the server names: `no pg_hba.conf entry for host "10.0.0.5", …`.
fn rule(message: &str, database: &str, role: &str) -> String {
    let host =
        message.split_once("for host \"").and_then(|(_, rest)| rest.split_once('"')).map(|(host, _)| host);
    match host {
        None | Some("[local]") => format!("local  {database}  {role}  scram-sha-256"),
        Some(host) => {
            let bits = if host.contains(':') { 128 } else { 32 };
            format!("host  {database}  {role}  {host}/{bits}  scram-sha-256")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::fixture::{Scene, refused};
    use super::*;

    fn login(code: &str, message: &str) -> (Check, bool) {
        let mut scene = Scene::default();
        scene.evidence.front = refused(&scene.evidence.front, code, message);
        let reached = reached(&scene.evidence);
        (checks(scene.subject()).remove(0), reached)
    }

    #[test]
    fn a_limit_that_is_not_seen_is_not_set_anew() {
        for message in ["too many connections for role \"app\"", "too many connections for database \"shop\""]
        {
            let (check, _) = login("53300", message);
            assert!(check.said.contains("pgmedic check says which limit"), "{check:?}");
            assert!(check.grants.is_empty(), "{check:?}");
        }
    }

    #[test]
    fn a_refusal_is_said_in_words_with_the_line_that_lets_in() {
        for (code, message, words, line) in [
            (
                "28P01",
                "password authentication failed for user \"app\"",
                "password is not accepted",
                "\\password \"app\"",
            ),
            (
                "28000",
                "role \"app\" does not exist",
                "may not log in",
                "create role \"app\" login connection limit 5;",
            ),
            (
                "28000",
                "role \"app\" is not permitted to log in",
                "may not log in",
                "alter role \"app\" login;",
            ),
            (
                "28000",
                "no pg_hba.conf entry for host \"10.0.0.5\", user \"app\", database \"shop\", no encryption",
                "may not log in",
                "host  \"shop\"  \"app\"  10.0.0.5/32  scram-sha-256",
            ),
            (
                "42501",
                "permission denied for database \"shop\"",
                "no right",
                "grant connect on database \"shop\" to \"app\";",
            ),
        ] {
            let (check, reached) = login(code, message);
            assert_eq!((check.state, reached), (State::Missing, true), "{check:?}");
            assert!(check.said.contains(words) && check.said.contains(message), "{check:?}");
            assert_eq!(check.grants[0].line, line);
        }
    }

    #[test]
    fn a_server_that_starts_up_was_not_looked_at() {
        let (check, reached) = login("57P03", "the database system is starting up");
        assert_eq!((check.state, reached, check.grants.len()), (State::NotSeen, false, 0));
    }
}
