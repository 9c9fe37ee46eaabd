//! So that it does not happen: what the old runbook asks for, checked against this service's configuration, and what it left out.

use super::subject::Subject;

/// The chapter.
pub(super) fn chapter(s: &Subject) -> String {
    let b = &s.budget;
    let max = b.pool_max.unwrap_or(10);
    let seconds = |span: Option<f64>, default: f64| span.unwrap_or(default) / 1000.0;
    let (idle, life) = (seconds(b.pool_idle_ms, 20_000.0), seconds(b.pool_lifetime_ms, 600_000.0));
    let sum = match b.machines {
        Some(machines) => format!(
            "{machines} machines make {}, and one more during each deploy {}",
            machines.saturating_mul(max),
            machines.saturating_add(1).saturating_mul(max)
        ),
        None => "times every machine, and one more during each deploy".to_owned(),
    };
    let mut out = format!(
        "## Prevention\n\n\
         - The API's pool: `max: {max}` a machine. {sum}: the sum, with workers, migrations and exporters, has to stay below the \
         ordinary slots. `pgmedic audit {whom}` does it, and says the largest pool that is safe.\n\
         - `idle_timeout: {idle}` and `connect_timeout: 10`, and besides `max_lifetime: {life}`, in seconds as postgres.js has them: no \
         longer than the proxy drains (Fly: 600), for a connection lives for 30 to 60 minutes where nothing is said. `connect_timeout` does not bound the lookup of the name.\n\
         - On the server, per role and not for all: `idle_in_transaction_session_timeout`, `statement_timeout`; \
         `tcp_keepalives_idle = 60` for clients that vanish. An API's role is no superuser (`fly postgres attach` makes it one by \
         default): superusers use up the slots that are kept for you.\n",
        whom = s.whom
    );
    out += &format!(
        "- Monitor `pg_pool_*` in Grafana: `pgmedic rules grafana{name}` writes the dashboard, `pgmedic rules prometheus{name}` the \
         alerts, `DatabaseConnectionFailure` among them.{}\n",
        s.metrics.as_ref().map_or(String::new(), |metrics| format!(" They are at {metrics}.")),
        name = if s.whom.starts_with(['"', '\'']) || s.whom.contains("://") {
            String::new()
        } else {
            format!(" {}", s.whom)
        },
    );
    out += "- Alerts for disk usage: by *hours left* rather than by percent, for data and WAL each, bytes and inodes \
            (`DatabaseStorageFilling`). Fly has no alerts of its own: its metrics are for your Prometheus. \
            `max_slot_wal_keep_size` keeps a dead replica from filling the disk; a ballast file of a gigabyte buys the time to think.\n\
            - Readiness that logs in and asks `select 1`: neither `pg_isready` nor a port that is open says that anybody gets in.\n\
            - Rehearse: `pgmedic drill --runbook` breaks a throwaway Postgres in the four ways above, and mends it before your eyes.\n";
    out
}
