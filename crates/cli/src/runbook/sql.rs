//! The SQL of a runbook. Each block says in its first line whom it needs; `tests/runbook` runs every one on a real server by
//! just that role.

use super::subject::Subject;
use pgmedic_path::apply::by_hand;

/// As somebody who may see others' sessions.
const SEES: &str = "-- needs pg_monitor";
/// As somebody who may also end them.
const ENDS: &str = "-- needs pg_monitor and pg_signal_backend";
/// As a superuser.
const SUPERUSER: &str = "-- needs a superuser";

/// A fenced block.
fn block(needs: &str, sql: &str) -> String {
    format!("```sql\n{needs}\n{sql}\n```\n")
}

/// How many connections there are, and may be.
pub(super) fn counts() -> String {
    block(
        SEES,
        "select count(*) filter (where backend_type = 'client backend') as clients,\n       \
           count(*) as with_background_processes,\n       \
           current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int\n         \
           - coalesce(current_setting('reserved_connections', true)::int, 0) as ordinary_slots\n  \
         from pg_stat_activity;\n\
         show max_connections;",
    )
}

/// Who has them.
pub(super) fn holders() -> String {
    block(
        SEES,
        "select application_name, usename, datname, state, count(*), max(now() - state_change) as longest\n  \
         from pg_stat_activity where backend_type = 'client backend'\n  \
         group by 1, 2, 3, 4 order by 5 desc;",
    )
}

/// Who waits for whom.
pub(super) fn locks() -> String {
    block(
        SEES,
        "select a.pid, a.usename, a.application_name, a.state, now() - a.xact_start as in_transaction,\n       \
           cardinality(pg_blocking_pids(a.pid)) = 0 as is_root, pg_blocking_pids(a.pid) as waits_for,\n       \
           left(a.query, 60) as query\n  \
         from pg_stat_activity a\n  \
         where cardinality(pg_blocking_pids(a.pid)) > 0\n     \
           or a.pid in (select unnest(pg_blocking_pids(w.pid)) from pg_stat_activity w)\n  \
         order by is_root desc, a.xact_start;\n\
         select gid, prepared, owner, database from pg_prepared_xacts order by prepared;",
    )
}

/// What runs for long.
pub(super) fn running() -> String {
    block(
        SEES,
        "select pid, usename, application_name, state, now() - query_start as so_long, wait_event_type, left(query, 60)\n  \
         from pg_stat_activity\n  \
         where backend_type = 'client backend' and state <> 'idle' and pid <> pg_backend_pid()\n  \
         order by query_start limit 20;",
    )
}

/// Who idles too long.
pub(super) fn idle(s: &Subject) -> String {
    block(SEES, &by_hand::idle(&s.policy).list)
}

/// Ends those of one application.
pub(super) fn end_idle(s: &Subject) -> String {
    let end = by_hand::idle(&s.policy).end;
    block(ENDS, &format!("\\set application 'NAME-FROM-THE-LIST-ABOVE'\n{end}"))
}

/// What takes the space, as far as SQL can tell.
pub(super) fn storage() -> String {
    block(
        SEES,
        "select datname, pg_size_pretty(pg_database_size(datname)) as tables_and_indexes,\n       \
           pg_size_pretty(temp_bytes) as temp_ever\n  \
         from pg_stat_database where datname is not null order by pg_database_size(datname) desc;\n\
         select pg_size_pretty(sum(size)) as wal, count(*) as segments from pg_ls_waldir();\n\
         select slot_name, active, pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) as keeps\n  \
         from pg_replication_slots order by restart_lsn;\n\
         select archived_count, last_archived_time, failed_count, last_failed_wal from pg_stat_archiver;",
    )
}

/// May it write, and which server is it?
pub(super) fn standing() -> String {
    block(
        SEES,
        "select pg_is_in_recovery() as is_standby, current_setting('default_transaction_read_only') as read_only,\n       \
           inet_server_addr() as at, pg_postmaster_start_time() as since, system_identifier\n  \
         from pg_control_system();",
    )
}

/// What the next start would meet.
pub(super) fn preflight() -> String {
    block(
        SUPERUSER,
        "select 'pg_hba.conf' as what, error from pg_hba_file_rules where error is not null\n\
         union all select sourcefile, name || ': ' || error from pg_file_settings where error is not null\n\
         union all select 'waits for a restart', name from pg_settings where pending_restart\n\
         union all select 'base backup', application_name from pg_stat_replication where state = 'backup'\n\
         union all select 'prepared transaction', gid from pg_prepared_xacts;",
    )
}
