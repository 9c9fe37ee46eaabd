//! What the pooler's causes share: citing its console and giving commands for it.

use crate::evidence::{Evidence, RouteEvidence};
use crate::rooms::proxy::evidence::{PoolRow, PoolerEvidence};
use pgmedic_model::{Fact, ServerError, Source};

/// A fact from the console's answer to `command`.
pub(super) fn fact(pooler: &PoolerEvidence, command: &str, said: String) -> Fact {
    Fact::new(Source::Pooler, pooler.at, format!("{} {command}", pooler.address), said)
}

/// A pool's row as a fact.
pub(super) fn pool_fact(pooler: &PoolerEvidence, row: &PoolRow) -> Fact {
    let said = format!(
        "{}/{}: cl_active {}, cl_waiting {}, sv_active {}, sv_idle {}, maxwait {:.1} s",
        row.database, row.user, row.cl_active, row.cl_waiting, row.sv_active, row.sv_idle, row.maxwait_s
    );
    fact(pooler, "SHOW POOLS", said).value(row.cl_waiting)
}

/// The pools of a database in which clients wait, as facts.
pub(super) fn waiting(pooler: &PoolerEvidence, database: &str) -> Vec<Fact> {
    let waits = |row: &&PoolRow| row.database == database && row.cl_waiting > 0;
    pooler.pools.iter().filter(waits).map(|row| pool_fact(pooler, row)).collect()
}

/// The refusal of a route as a fact.
pub(super) fn refusal_fact(route: &RouteEvidence, refusal: &ServerError) -> Fact {
    let fact = Fact::new(Source::Startup, route.refused_at(), &route.address, refusal.to_string());
    match &refusal.code {
        Some(code) => fact.value(code.as_str()),
        None => fact,
    }
}

/// True where the console has the target's database paused.
pub(super) fn paused(e: &Evidence) -> bool {
    e.pooler.get().is_some_and(|p| p.databases.iter().any(|d| d.paused && d.name == e.target.database))
}

/// The fact that PgBouncer has not one connection to a server for the target's database: by its console, else by what
/// its process holds on this host. What keeps its clients waiting is then no full pool.
pub(super) fn no_server_connection(e: &Evidence) -> Option<Fact> {
    if let Some(pooler) = e.pooler.get().filter(|p| p.failure.is_none() && !p.silent && !p.pools.is_empty()) {
        let mut rows = pooler.pools.iter().filter(|row| row.database == e.target.database);
        let none = |row: &PoolRow| row.sv_active + row.sv_idle + row.sv_used + row.sv_tested == 0;
        let row = rows.clone().find(|row| row.user == e.target.user).or_else(|| rows.next())?;
        let waits = row.cl_waiting > 0 || row.sv_login > 0;
        return (waits && none(row)).then(|| pool_fact(pooler, row));
    }
    let host = e.host.get()?;
    let proxy = host.proxy.as_ref().filter(|p| p.program.starts_with("pgbouncer"))?;
    let none = host.proxy_upstream.as_ref().is_some_and(Vec::is_empty);
    let said = "PgBouncer has no connection to any server";
    none.then(|| Fact::new(Source::Host, host.at, format!("pid {}", proxy.pid), said).value(0))
}

/// A command for the admin console, to paste.
pub(super) fn command(pooler: &PoolerEvidence, sql: &str) -> String {
    let (host, port) = pooler.address.rsplit_once(':').unwrap_or((pooler.address.as_str(), "6432"));
    let sql = sql.replace('\'', "'\\''");
    format!("psql -h {} -p {port} -d pgbouncer -c '{sql}'", host.trim_matches(['[', ']']))
}

/// An identifier as SQL and the console take it.
pub(super) fn identifier(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain && !name.is_empty() { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

#[cfg(test)]
pub(super) mod fixture {
    use crate::evidence::fixture::healthy;
    use crate::evidence::{Evidence, Seen};
    use crate::rooms::proxy::evidence::{PoolRow, PoolerDatabase, PoolerEvidence};

    /// The healthy walk with a console that has one database.
    pub(in crate::rooms::proxy::causes) fn with_database(
        name: &str,
        change: impl FnOnce(&mut PoolerDatabase),
    ) -> Evidence {
        let mut database = PoolerDatabase { name: name.to_owned(), ..PoolerDatabase::default() };
        change(&mut database);
        console(PoolerEvidence { databases: vec![database], ..PoolerEvidence::default() })
    }

    /// The healthy walk with a console that has one pool, the target's.
    pub(in crate::rooms::proxy::causes) fn with_pool(change: impl FnOnce(&mut PoolRow)) -> Evidence {
        let mut row = PoolRow { database: "renderflow".into(), user: "app".into(), ..PoolRow::default() };
        change(&mut row);
        console(PoolerEvidence { pools: vec![row], ..PoolerEvidence::default() })
    }

    fn console(pooler: PoolerEvidence) -> Evidence {
        let mut e = healthy();
        e.pooler = Seen::Seen(PoolerEvidence { address: "127.0.0.1:6432".into(), ..pooler });
        e
    }
}
