//! The statements that signal sessions. Each finds its sessions anew and signals only those that are still what was looked
//! at: identity, class and every line of "what no remedy may ever do" stand in the same statement as the signal.
//!
//! Names are found in `pg_catalog` alone (`search_path`, with `pg_temp` last), so that nothing in the way of a hostile
//! database stands in for them. Not in here: sending; the turn under which they are sent (`turn`).

use crate::paste::literal;
use pgmedic_model::{Policy, SessionClass, SessionRef};

/// Sent in front of each, in the same message and so in the same transaction. What `pg_stat_activity` shows stays as it was
/// at first sight until the transaction's end, unless it is told to look anew (Postgres manual, "Viewing Statistics").
pub(super) const PREFIX: &str =
    "set local search_path to pg_catalog, pg_temp; select pg_stat_clear_snapshot(); ";

/// What is done to sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// `pg_cancel_backend`.
    Cancel,
    /// `pg_terminate_backend`, of sessions of this class.
    Terminate(SessionClass),
}

impl Signal {
    const fn function(self) -> &'static str {
        match self {
            Self::Cancel => "pg_cancel_backend",
            Self::Terminate(_) => "pg_terminate_backend",
        }
    }

    /// What the session's state must still be.
    pub(super) const fn state(self) -> &'static str {
        match self {
            Self::Cancel | Self::Terminate(SessionClass::Active) => "a.state = 'active'",
            Self::Terminate(SessionClass::Idle) => "a.state = 'idle'",
            Self::Terminate(SessionClass::IdleInTransaction) => {
                "a.state in ('idle in transaction', 'idle in transaction (aborted)')"
            }
            Self::Terminate(SessionClass::Ghost) => {
                "a.state in ('idle', 'idle in transaction', 'idle in transaction (aborted)')"
            }
        }
    }
}

/// `values` of the sessions: pid, backend_start, application, role and state_change.
fn chosen(sessions: &[SessionRef]) -> String {
    let one = |s: &SessionRef| {
        format!(
            "({}, {}::timestamptz, {}, {}, nullif({}, '')::timestamptz)",
            s.pid,
            literal(&s.backend_start),
            literal(&s.application_name),
            literal(&s.usename),
            literal(&s.state_change)
        )
    };
    sessions.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// True in the statement for a session that is the one that was looked at and has not moved since: whatever it did would
/// have set `state_change` anew. One whose `state_change` is not known is nobody.
const SAME: &str = "a.pid = c.pid and a.backend_start = c.born and a.application_name = c.application \
                    and a.usename = c.role and a.state_change = c.moved";

/// Signals these sessions. Gives a row of `pid, signalled` for each that was.
pub(super) fn signal(how: Signal, sessions: &[SessionRef], policy: &Policy) -> String {
    format!(
        "{PREFIX}with c(pid, born, application, role, moved) as (values {}) \
         select a.pid, {}(a.pid) from pg_stat_activity a join c on {SAME} join pg_roles r on r.oid = a.usesysid \
         where {}",
        chosen(sessions),
        how.function(),
        law(how, policy).join(" and ")
    )
}

/// What must hold of a session `a` of the role `r` in the very statement that signals it. THE list: what a person types
/// (`by_hand`) has the same.
pub(super) fn law(how: Signal, policy: &Policy) -> Vec<String> {
    let mut law = vec![
        how.state().to_owned(),
        "a.backend_type = 'client backend'".to_owned(),
        "a.pid <> pg_backend_pid()".to_owned(),
        "not r.rolsuper and not r.rolreplication".to_owned(),
        "a.application_name not like 'pgmedic%'".to_owned(),
    ];
    // What is cancelled goes on living, with its advisory locks.
    if let Signal::Terminate(_) = how {
        let unlocked = "not exists (select from pg_locks l where l.pid = a.pid and l.locktype = 'advisory')";
        law.push(unlocked.to_owned());
    }
    // A commit that waits for a synchronous standby would be told as done before the standby has it.
    if how.state() == "a.state = 'active'" {
        law.push("a.wait_event is distinct from 'SyncRep'".to_owned());
    }
    law.extend(protected(policy));
    law
}

/// True for a client's session. A role that may not see another's `backend_type` sees its database and role, which no
/// auxiliary process has both: to leave those out would be to stop too early.
const CLIENT: &str = "coalesce(backend_type = 'client backend', datid is not null and usesysid is not null)";

/// What is left of them: a row of `pid` for each that is still there (for cancelled ones: still at that statement), and
/// in every row how many client backends there are, pgmedic's own not counted. One row at least, whose pid is null.
pub(super) fn left(how: Signal, sessions: &[SessionRef]) -> String {
    let still = match how {
        Signal::Cancel => SAME.to_owned() + " and a.state = 'active'",
        Signal::Terminate(_) => "a.pid = c.pid and a.backend_start = c.born".to_owned(),
    };
    format!(
        "{PREFIX}with c(pid, born, application, role, moved) as (values {}), n as (select count(*) as clients from \
         pg_stat_activity where {CLIENT} and coalesce(application_name, '') not like 'pgmedic%') \
         select s.pid, n.clients from n left join (select a.pid from pg_stat_activity a join c on {still}) s on true",
        chosen(sessions)
    )
}

/// Who is never ended, by the policy. A trailing `*` matches any ending.
fn protected(policy: &Policy) -> Vec<String> {
    let of = |column: &'static str, patterns: &[String]| {
        let one = |pattern: &String| match pattern.strip_suffix('*') {
            Some(stem) => format!("not starts_with({column}, {})", literal(stem)),
            None => format!("{column} <> {}", literal(pattern)),
        };
        patterns.iter().map(one).collect::<Vec<_>>()
    };
    let mut all = of("a.application_name", &policy.protect.applications);
    all.extend(of("a.usename::text", &policy.protect.roles));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgmedic_model::Protect;

    fn session(application: &str) -> SessionRef {
        SessionRef {
            pid: 7,
            backend_start: "2026-11-23 02:00:00.123456+00".into(),
            application_name: application.into(),
            usename: "app".into(),
            state: "idle".into(),
            state_ms: 700_000.5,
            state_change: "2026-11-23 03:00:00.5+00".into(),
        }
    }

    #[test]
    fn a_hostile_name_stays_a_name() {
        let protect = Protect { applications: vec!["bill'*".into()], roles: vec!["repl\\".into()] };
        let policy = Policy { protect, ..Policy::default() };
        let sql =
            signal(Signal::Terminate(SessionClass::Idle), &[session("x'); drop table jobs; --")], &policy);
        assert!(sql.contains("'x''); drop table jobs; --'"), "{sql}");
        assert!(sql.contains("starts_with(a.application_name, 'bill''')"), "{sql}");
        assert!(sql.contains("a.usename::text <> E'repl\\\\'"), "{sql}");
    }

    #[test]
    fn whoever_may_not_see_all_counts_all() {
        let sql = left(Signal::Terminate(SessionClass::Idle), &[session("api")]);
        assert!(sql.contains("where coalesce(backend_type = 'client backend', datid is not null"), "{sql}");
    }

    #[test]
    fn every_line_of_the_law_stands_in_the_statement() {
        let sql =
            signal(Signal::Terminate(SessionClass::IdleInTransaction), &[session("api")], &Policy::default());
        for line in [
            "a.backend_start = c.born",
            "a.backend_type = 'client backend'",
            "not r.rolsuper",
            "not r.rolreplication",
            "not like 'pgmedic%'",
            "locktype = 'advisory'",
            "a.state in ('idle in transaction'",
            "a.state_change = c.moved",
            "'2026-11-23 03:00:00.5+00'",
        ] {
            assert!(sql.contains(line), "{line} is missing: {sql}");
        }
    }
}
