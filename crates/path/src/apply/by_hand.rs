//! What a person types into psql who ends idle sessions without pgmedic: the same law, the same number, the same order.
//!
//! Where pgmedic names each session that it looked at, a person names the application; who of it, and how many, the
//! statement finds itself. Not in here: whether to (the page of `idle-sessions`), and sending anything.

use super::statement::{Signal, law};
use crate::rooms::sessions::ending::no_upkeep;
use pgmedic_model::{Policy, SessionClass};

/// Two texts for psql.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idle {
    /// Who could be ended, by application and role. Changes nothing.
    pub list: String,
    /// Ends the longest idle of `:'application'` (psql's `\set application`), only as many as bring the free slots to the
    /// policy's `keep_free`, and at most `max_terminations`. Gives a row for each that was signalled.
    pub end: String,
}

/// Idle sessions of the database that psql is connected to, by this policy. Needs a role that sees others' sessions
/// (`pg_read_all_stats`) and, to end them, `pg_signal_backend`.
///
/// Sources: causes.md's box "Terminate safely"; Postgres manual, `pg_stat_activity` and "Server Signaling Functions".
#[must_use]
pub fn idle(policy: &Policy) -> Idle {
    let whose = "from pg_stat_activity a join pg_roles r on r.oid = a.usesysid";
    let mut conditions = vec![
        format!("a.state_change < now() - interval '{} seconds'", policy.idle_after_ms / 1000.0),
        "a.datname = current_database()".to_owned(),
    ];
    conditions.extend(law(Signal::Terminate(SessionClass::Idle), policy));
    conditions.push(no_upkeep("a.application_name"));
    let conditions = conditions.join("\n    and ");
    let list = format!(
        "select a.application_name, a.usename, count(*), max(now() - a.state_change) as idle_for\n  {whose}\n  where \
         {conditions}\n  group by 1, 2 order by 3 desc;"
    );
    let end = format!(
        "begin;\n\
         set local search_path to pg_catalog, pg_temp;\n\
         with slots as (\n  \
           select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int\n         \
           - coalesce(current_setting('reserved_connections', true)::int, 0) as ordinary,\n         \
           count(*) as taken\n  \
           from pg_stat_activity where backend_type = 'client backend'\n\
         ), chosen as materialized (\n  \
           select a.pid, a.backend_start, a.state_change\n  {whose}\n  \
           where a.application_name = :'application'\n    and {conditions}\n  \
           order by a.state_change\n  \
           limit (select least({most}, greatest(0, ceil(ordinary * {free}) + taken - ordinary))::int from slots)\n\
         )\n\
         select a.pid, a.usename, a.client_addr, now() - a.state_change as idle_for, pg_terminate_backend(a.pid)\n  \
           from chosen c join pg_stat_activity a\n    \
           on a.pid = c.pid and a.backend_start = c.backend_start and a.state_change = c.state_change;\n\
         commit;",
        most = policy.max_terminations,
        free = policy.keep_free,
    );
    Idle { list, end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgmedic_model::Protect;

    #[test]
    fn a_person_keeps_every_line_of_the_law() {
        let protect = Protect { applications: vec!["bill'*".into()], roles: vec!["reports".into()] };
        let policy = Policy { protect, max_terminations: 7, keep_free: 0.25, ..Policy::default() };
        let Idle { list, end } = idle(&policy);
        for text in [&list, &end] {
            for line in law(Signal::Terminate(SessionClass::Idle), &policy) {
                assert!(text.contains(&line), "{line} is missing: {text}");
            }
            for line in [
                "a.state = 'idle'",
                "a.state_change < now() - interval '600 seconds'",
                "a.datname = current_database()",
                "not starts_with(a.application_name, 'bill''')",
                "a.usename::text <> 'reports'",
                "lower(a.application_name) !~ '^pg_dump|",
                "|^patroni|migrat|exporter|^pgmedic'",
            ] {
                assert!(text.contains(line), "{line} is missing: {text}");
            }
        }
        assert!(!list.contains("pg_terminate_backend"), "{list}");
        assert!(end.contains("least(7, greatest(0, ceil(ordinary * 0.25) + taken - ordinary))"), "{end}");
        assert!(end.contains("a.backend_start = c.backend_start"), "{end}");
    }
}
