//! What the server, the API's pool and the pooler tell of themselves, as of the last look.

use super::page::Page;
use super::{Reading, Row, t};
use crate::tally::Names;
use pgmedic_path::Evidence;
use pgmedic_path::rooms::app::evidence::PoolMetrics;
use pgmedic_path::rooms::proxy::evidence::PoolerEvidence;
use pgmedic_path::sql::facts::{AdmissionFacts, LimitFacts, SessionView, SqlFacts};

/// The most limits of roles, and of databases, of one service.
const LIMITS: usize = 10;

pub(super) fn write(page: &mut Page, rows: &[Row<'_>]) {
    page.family(&t::CONNECTIONS);
    for row in rows {
        connections(page, row);
    }
    limits(page, rows);
    pools(page, rows);
    poolers(page, rows);
    of_facts(page, rows);
}

#[expect(clippy::cast_precision_loss, reason = "counts of sessions, and ages below 2^31")]
fn of_facts(page: &mut Page, rows: &[Row<'_>]) {
    let ages: [Reading<SqlFacts>; 2] = [
        (&t::OLDEST_TRANSACTION, |f| Some(longest(f, |s| s.xact_ms))),
        (&t::LONGEST_QUERY, |f| {
            Some(longest(f, |s| s.query_ms.filter(|_| s.state.as_deref() == Some("active"))))
        }),
    ];
    let readings: [Reading<SqlFacts>; 7] = [
        (&t::LOCK_WAITERS, |f| Some(f.sessions.lock_waiters as f64)),
        (&t::PREPARED, |f| Some(f.sessions.prepared_total as f64)),
        (&t::UPTIME, |f| Some(f.server.uptime_ms / 1000.0)),
        (&t::IN_RECOVERY, |f| Some(f64::from(u8::from(f.server.in_recovery)))),
        (&t::REPLAY_LAG, |f| f.server.replay_lag_ms.map(|ms| ms / 1000.0)),
        (&t::XID_AGE, |f| f.server.oldest_xid.as_ref().map(|(_, age)| *age as f64)),
        (&t::OWN_SESSIONS, |f| Some(f.admission.own as f64)),
    ];
    let of_named = ages.into_iter().map(|(family, reading)| (family, reading, true));
    for (family, reading, named) in of_named.chain(readings.map(|(f, r)| (f, r, false))) {
        page.family(family);
        for row in rows {
            if let Some(value) = if named { row.named } else { row.facts }.and_then(reading) {
                page.sample(&row.label, &[], value);
            }
        }
    }
    page.family(&t::SERVER_INFO);
    for row in rows {
        if let Some(facts) = row.facts {
            page.sample(&row.label, &[("version_num", &facts.version_num.to_string())], true);
        }
    }
}

/// The longest of a time of the clients' sessions, in seconds.
fn longest(facts: &SqlFacts, of: fn(&SessionView) -> Option<f64>) -> f64 {
    let clients = facts.sessions.sessions.iter();
    let clients = clients.filter(|s| s.backend_type.as_deref().is_none_or(|t| t == "client backend"));
    clients.filter_map(of).fold(0.0, f64::max) / 1000.0
}

/// States as pg_stat_activity has them.
fn state(of: Option<&str>) -> &'static str {
    const KNOWN: [&str; 6] = [
        "active",
        "idle",
        "idle in transaction",
        "idle in transaction (aborted)",
        "fastpath function call",
        "disabled",
    ];
    KNOWN.into_iter().find(|known| of == Some(known)).unwrap_or("unknown")
}

fn connections(page: &mut Page, row: &Row<'_>) {
    let Some(facts) = row.named else { return };
    let tally = &row.patient.tally;
    let mut sums: Vec<([&str; 3], u64)> = Vec::with_capacity(facts.admission.groups.len());
    let mut told = 0;
    for g in &facts.admission.groups {
        let application = tally.applications.label(&g.application);
        let key = [application, tally.databases.label(&g.database), state(g.state.as_deref())];
        add(&mut sums, key, g.count);
        told += g.count;
    }
    // The statement names the fifty largest groups.
    let rest = facts.admission.client_backends.saturating_sub(told);
    if rest > 0 {
        add(&mut sums, [Names::<0>::REST, Names::<0>::REST, "unknown"], rest);
    }
    for ([application, database, state], n) in sums {
        page.sample(&row.label, &[("application", application), ("database", database), ("state", state)], n);
    }
}

fn add<'k>(sums: &mut Vec<([&'k str; 3], u64)>, key: [&'k str; 3], n: u64) {
    match sums.iter_mut().find(|(k, _)| *k == key) {
        Some((_, sum)) => *sum += n,
        None => sums.push((key, n)),
    }
}

fn limits(page: &mut Page, rows: &[Row<'_>]) {
    for (family, which) in [(&t::CONNECTIONS_LIMIT, 0), (&t::CONNECTIONS_USED, 1)] {
        page.family(family);
        for row in rows {
            let Some(facts) = row.facts else { continue };
            let a = &facts.admission;
            for (name, limit, used) in slots(a) {
                page.sample(&row.label, &[("limit", name)], [limit, used][which]);
            }
            for (kind, list) in [("role", &a.role_limits), ("database", &a.database_limits)] {
                for (of, limit) in nearest(list) {
                    page.sample(
                        &row.label,
                        &[("limit", &format!("{kind}:{}", of.name))],
                        [limit, of.used][which],
                    );
                }
            }
        }
    }
}

/// The three limits of slots: name, limit, use.
fn slots(a: &AdmissionFacts) -> [(&'static str, u64, u64); 3] {
    let (ordinary, used) = (a.ordinary(), a.client_backends);
    [
        ("max_connections", a.max_connections, used),
        ("ordinary", ordinary, used.min(ordinary)),
        ("reserved", a.max_connections.saturating_sub(ordinary), used.saturating_sub(ordinary)),
    ]
}

/// The limits that are nearest to being reached, with how many each allows.
fn nearest(list: &[LimitFacts]) -> Vec<(&LimitFacts, u64)> {
    let allowed = |l: &LimitFacts| if l.allows { u64::try_from(l.limit).ok() } else { Some(0) };
    let mut limits: Vec<(&LimitFacts, u64)> = list.iter().filter_map(|l| Some((l, allowed(l)?))).collect();
    if limits.len() > LIMITS {
        limits.sort_by_key(|(l, limit)| (limit.saturating_sub(l.used), l.name.as_str()));
        limits.truncate(LIMITS);
    }
    limits
}

fn pools(page: &mut Page, rows: &[Row<'_>]) {
    let readings: [Reading<PoolMetrics>; 6] = [
        (&t::POOL_MAX, |p| p.max),
        (&t::POOL_SIZE, |p| p.size),
        (&t::POOL_IDLE, |p| p.idle),
        (&t::POOL_IN_USE, |p| p.in_use),
        (&t::POOL_WAITING, |p| p.waiting),
        (&t::POOL_TIMEOUTS, |p| p.timeouts_total),
    ];
    for (family, reading) in readings {
        page.family(family);
        for row in rows {
            let pool = row.first(|e| e.app.metrics.get());
            if let Some(value) = pool.filter(|p| p.failure.is_none()).and_then(reading) {
                page.sample(&row.label, &[], value);
            }
        }
    }
}

fn poolers(page: &mut Page, rows: &[Row<'_>]) {
    let list: Vec<(&str, &PoolerEvidence)> = rows
        .iter()
        .filter_map(|row| Some((row.label.as_str(), row.first(|e| e.pooler.get())?)))
        .filter(|(_, pooler)| pooler.failure.is_none())
        .collect();
    page.family(&t::POOLER_CLIENTS);
    for (label, pooler) in &list {
        let sum = |of: fn(&_) -> u64| pooler.pools.iter().map(of).sum::<u64>();
        page.sample(label, &[("state", "active")], sum(|p| p.cl_active));
        page.sample(label, &[("state", "waiting")], sum(|p| p.cl_waiting));
    }
    page.family(&t::POOLER_SERVERS);
    for (label, pooler) in &list {
        let sum = |of: fn(&_) -> u64| pooler.pools.iter().map(of).sum::<u64>();
        page.sample(label, &[("state", "active")], sum(|p| p.sv_active));
        page.sample(label, &[("state", "idle")], sum(|p| p.sv_idle));
        page.sample(label, &[("state", "used")], sum(|p| p.sv_used));
        page.sample(label, &[("state", "tested")], sum(|p| p.sv_tested));
        page.sample(label, &[("state", "login")], sum(|p| p.sv_login));
    }
    page.family(&t::POOLER_WAIT);
    for (label, pooler) in &list {
        page.sample(label, &[], pooler.pools.iter().map(|p| p.maxwait_s).fold(0.0, f64::max));
    }
}

impl<'s> Row<'s> {
    /// What the last look saw of something, else what the last walk did.
    pub(super) fn first<T>(&self, of: impl Fn(&'s Evidence) -> Option<T>) -> Option<T> {
        self.evidence.into_iter().flatten().find_map(of)
    }
}
