//! From the answer's rows to the facts: names for oids, times since, counts, limits, and which sessions to name.

use super::answer::{Answer, GroupRow, SessionRow, Us};
use super::facts::{
    AdmissionFacts, ArchiverView, LimitFacts, Me, PreparedView, ServerFacts, SessionFacts, SessionGroup,
    SessionView, SlotView, SqlFacts, StorageFacts, WaitView,
};
use super::locks;
use pgmedic_model::Timestamp;
use std::collections::{HashMap, HashSet};

/// Most sessions, groups and limits that are named.
const SESSIONS: usize = 200;
const GROUPS: usize = 50;
const LIMITS: usize = 50;

/// An active session is worth naming after this, in ms.
const LONG_ENOUGH_MS: f64 = 1000.0;

impl Answer {
    /// The facts.
    pub(super) fn into_facts(self) -> SqlFacts {
        SqlFacts {
            version_num: self.number("server_version_num"),
            me: self.me(),
            admission: self.admission(),
            server: self.server(),
            storage: self.storage(),
            sessions: self.into_sessions(),
        }
    }

    fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name)?.as_deref()
    }

    fn number<T: std::str::FromStr + Default>(&self, name: &str) -> T {
        self.setting(name).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    fn superuser(&self) -> bool {
        self.setting("is_superuser") == Some("on")
    }

    /// Time since, in ms, to the microsecond.
    #[allow(clippy::cast_precision_loss, reason = "285 years of microseconds are exact in an f64")]
    fn since(&self, us: Us) -> f64 {
        (self.now - us) as f64 / 1000.0
    }

    /// A database's name; its oid where there are more databases than were asked for.
    fn name(&self, datid: Option<&str>) -> String {
        let Some(datid) = datid else { return String::new() };
        self.databases.iter().find(|d| d.oid == datid).map_or(datid, |d| &d.name).to_owned()
    }

    /// A role's name: every role with a session is in the groups.
    fn role_name(&self, id: Option<&str>) -> String {
        let group = id.and_then(|id| self.groups.iter().find(|group| group.role_id.as_deref() == Some(id)));
        group.and_then(|group| group.role.clone()).unwrap_or_default()
    }

    fn me(&self) -> Me {
        Me {
            role: self.role.clone(),
            database: self.database.clone(),
            pid: self.pid,
            superuser: self.superuser(),
            sees_all: self.superuser() || self.stats == Some(true),
            may_signal: self.superuser() || self.signals == Some(true),
        }
    }

    fn admission(&self) -> AdmissionFacts {
        let clients = || self.groups.iter().filter(|group| group.is_client());
        let mut groups: Vec<_> = clients().filter(|g| !g.is_own()).collect();
        groups.sort_by(|a, b| b.count.cmp(&a.count).then(a.since.cmp(&b.since)));
        groups.truncate(GROUPS);
        AdmissionFacts {
            max_connections: self.number("max_connections"),
            superuser_reserved: self.number("superuser_reserved_connections"),
            reserved: self.number("reserved_connections"),
            client_backends: clients().map(|g| g.count).sum(),
            own: clients().filter(|g| g.is_own()).map(|g| g.count).sum(),
            role_limits: self.role_limits(),
            database_limits: self.database_limits(),
            groups: groups.into_iter().map(|group| self.group(group)).collect(),
        }
    }

    fn group(&self, row: &GroupRow) -> SessionGroup {
        SessionGroup {
            application: row.application.clone().unwrap_or_default(),
            role: row.role.clone().unwrap_or_default(),
            database: self.name(row.datid.as_deref()),
            client: client(row.client_addr.as_deref(), row.local),
            state: row.state.clone(),
            count: row.count,
            oldest_state_ms: row.since.map(|us| self.since(us)),
            over_idle_after: row.over_idle_after,
        }
    }

    /// Sessions by role or by database, as the server counts them towards a limit: until Postgres 17 with walsenders
    /// (`CountUserBackends`, `CountDBConnections`).
    fn used(&self, key: impl Fn(&GroupRow) -> Option<&String>) -> HashMap<&str, u64> {
        let walsenders = self.number::<u32>("server_version_num") < 180_000;
        let mut used = HashMap::new();
        for group in &self.groups {
            let counts =
                group.is_client() || walsenders && group.backend_type.as_deref() == Some("walsender");
            if let Some(key) = key(group).filter(|_| counts) {
                *used.entry(key.as_str()).or_default() += group.count;
            }
        }
        used
    }

    fn role_limits(&self) -> Vec<LimitFacts> {
        let used = self.used(|group| group.role_id.as_ref());
        let limited = self.roles.iter().filter(|role| !role.superuser && role.connections >= 0);
        tightest(limited.map(|role| LimitFacts {
            name: role.name.clone(),
            limit: role.connections,
            used: used.get(role.oid.as_str()).copied().unwrap_or(0),
            allows: true,
        }))
    }

    /// template0 refuses by design.
    fn database_limits(&self) -> Vec<LimitFacts> {
        let used = self.used(|group| group.datid.as_ref());
        let limited =
            self.databases.iter().filter(|d| d.name != "template0" && (d.connections != -1 || !d.allows));
        tightest(limited.map(|d| LimitFacts {
            name: d.name.clone(),
            limit: d.connections,
            used: used.get(d.oid.as_str()).copied().unwrap_or(0),
            allows: d.allows,
        }))
    }

    fn server(&self) -> ServerFacts {
        let oldest = |age: fn(&super::answer::DatabaseRow) -> i64| {
            let database = self.databases.iter().max_by_key(|d| age(d))?;
            Some((database.name.clone(), u64::try_from(age(database)).unwrap_or(0)))
        };
        let receiving = self.receiver.as_ref().and_then(|r| match (r.pid, r.status.as_deref()) {
            (None, _) => Some(false),
            (Some(_), status) => status.map(|status| status == "streaming"),
        });
        let read_only =
            self.set_for.iter().filter(|s| s.setting.split_once('=').is_some_and(|(_, v)| is_true(v)));
        ServerFacts {
            uptime_ms: self.since(self.started),
            in_recovery: self.standby,
            transaction_read_only: self.setting("transaction_read_only") == Some("on"),
            default_transaction_read_only: self.setting("default_transaction_read_only") == Some("on"),
            read_only_set_for: read_only
                .map(|s| {
                    let database = if s.datid == "0" { String::new() } else { self.name(Some(&s.datid)) };
                    (database, if s.role_id == "0" { String::new() } else { s.role.clone() })
                })
                .collect(),
            replay_lag_ms: self.replayed.filter(|_| self.standby).map(|us| self.since(us)),
            receiving: receiving.filter(|_| self.standby),
            pending_restart: self.pending_restart.clone(),
            system_identifier: self.system_identifier.clone(),
            oldest_xid: oldest(|d| d.xids),
            oldest_mxid: oldest(|d| d.mxids),
            freeze_max_age: self.number("autovacuum_freeze_max_age"),
        }
    }

    fn storage(&self) -> StorageFacts {
        let mut slots: Vec<SlotView> = self.slots.iter().map(|slot| self.slot(slot)).collect();
        slots.sort_by_key(|slot| std::cmp::Reverse(slot.retained_bytes));
        StorageFacts {
            data_directory: self.setting("data_directory").map(str::to_owned),
            database_bytes: self.database_bytes,
            temp_bytes: self.temp_bytes.unwrap_or(0),
            max_slot_wal_keep_bytes: self.setting("max_slot_wal_keep_size").and_then(bytes),
            max_wal_bytes: self.setting("max_wal_size").and_then(bytes).unwrap_or(0),
            slots,
            archiver: self.archiver.as_ref().map(|a| ArchiverView {
                archived: a.archived,
                failed: a.failed,
                failing: a.failed_at.is_some() && a.failed_at > a.archived_at,
                last_failed_ms: a.failed_at.map(|us| self.since(us)),
                last_archived_ms: a.archived_at.map(|us| self.since(us)),
            }),
        }
    }

    fn slot(&self, row: &super::answer::SlotRow) -> SlotView {
        SlotView {
            name: row.name.clone(),
            kind: row.kind.clone(),
            database: row.datid.as_deref().map(|datid| self.name(Some(datid))),
            active: row.active,
            temporary: row.temporary,
            wal_status: row.wal_status.clone(),
            safe_wal_bytes: row.safe_wal_bytes,
            retained_bytes: row.retained.map(|bytes| u64::try_from(bytes).unwrap_or(0)),
            inactive_ms: row.inactive_since.map(|us| self.since(us)),
            xmin_age: row.xmin_age.map(|age| u64::try_from(age).unwrap_or(0)),
        }
    }

    fn into_sessions(mut self) -> SessionFacts {
        let rows = std::mem::take(&mut self.sessions);
        let count = |test: fn(&GroupRow) -> bool| {
            self.groups.iter().filter(|g| !g.is_own() && test(g)).map(|g| g.count).sum()
        };
        let prepared = self.prepared.iter().map(|p| PreparedView {
            gid: p.gid.clone(),
            owner: p.owner.clone(),
            database: self.name(Some(&p.dbid)),
            age_ms: self.since(p.prepared),
            blocks: 0,
        });
        let waits = self.waits.iter().map(|w| WaitView {
            pid: w.pid,
            blocked_by: distinct(&w.blocked_by),
            wants: None,
        });
        let mut facts = SessionFacts {
            sessions: self.worth_naming(rows),
            lock_waiters: count(|g| g.waits == Some(true)),
            waits: waits.collect(),
            prepared: prepared.collect(),
            prepared_total: self.prepared_total,
            idle_in_transaction: count(|g| g.is_client() && in_transaction(g.state.as_deref())),
            active: count(|g| g.is_client() && g.state.as_deref() == Some("active")),
            idle: count(|g| g.is_client() && g.state.as_deref() == Some("idle")),
        };
        let xids: Vec<String> = self.prepared.iter().map(|p| p.transaction.clone()).collect();
        locks::complete(&mut facts, &self.locks, &xids);
        facts
    }

    /// Blockers, waiters, idle in transaction, active for long, idle: the longest of each class, taking turns until
    /// [`SESSIONS`] are named; each class together.
    fn worth_naming(&self, rows: Vec<SessionRow>) -> Vec<SessionView> {
        let blockers: HashSet<i32> = self.waits.iter().flat_map(|w| w.blocked_by.iter().copied()).collect();
        let mut classes: [Vec<SessionView>; 5] = Default::default();
        let superusers: HashSet<&str> =
            self.roles.iter().filter(|r| r.superuser).map(|r| r.oid.as_str()).collect();
        for row in rows {
            let superuser = row.role_id.as_deref().is_some_and(|id| superusers.contains(id));
            let client = is_client(row.backend_type.as_deref(), &row.datid, &row.role_id);
            let view = self.view(row, superuser);
            if let Some(class) = class(&view, client, &blockers) {
                classes[class].push(view);
            }
        }
        for (class, views) in classes.iter_mut().enumerate() {
            let age = |v: &SessionView| match class {
                1 | 3 => v.query_ms,
                4 => v.state_ms,
                _ => v.xact_ms,
            };
            views.sort_by(|a, b| age(b).unwrap_or(-1.0).total_cmp(&age(a).unwrap_or(-1.0)));
        }
        let mut places: Vec<(usize, usize)> = classes
            .iter()
            .enumerate()
            .flat_map(|(class, views)| (0..views.len()).map(move |place| (class, place)))
            .collect();
        places.sort_by_key(|(class, place)| (*class > 0, *place, *class));
        places.truncate(SESSIONS);
        let named = |class: usize| places.iter().filter(|(c, _)| *c == class).count();
        let counts: [usize; 5] = std::array::from_fn(named);
        classes.into_iter().zip(counts).flat_map(|(views, count)| views.into_iter().take(count)).collect()
    }

    fn view(&self, row: SessionRow, superuser: bool) -> SessionView {
        let since = |us: Option<Us>| us.map(|us| self.since(us));
        SessionView {
            pid: row.pid,
            backend_start: row.started.map(instant).unwrap_or_default(),
            database: self.name(row.datid.as_deref()),
            client: client(row.client_addr.as_deref(), row.local),
            backend_type: row.backend_type,
            application: row.application.unwrap_or_default(),
            role: self.role_name(row.role_id.as_deref()),
            state: row.state,
            wait_event_type: row.wait_event_type,
            wait_event: row.wait_event,
            state_ms: since(row.since),
            xact_ms: since(row.xact),
            query_ms: since(row.asked),
            query: row.query,
            superuser,
            holds: None,
            advisory: false,
        }
    }
}

impl GroupRow {
    fn is_client(&self) -> bool {
        is_client(self.backend_type.as_deref(), &self.datid, &self.role_id)
    }

    fn is_own(&self) -> bool {
        self.own == Some(true)
    }
}

/// A role that may not see another's backend_type does see its database and role, which no auxiliary process has both.
fn is_client(backend_type: Option<&str>, datid: &Option<String>, role_id: &Option<String>) -> bool {
    backend_type.map_or(datid.is_some() && role_id.is_some(), |kind| kind == "client backend")
}

fn in_transaction(state: Option<&str>) -> bool {
    state.is_some_and(|state| state.starts_with("idle in transaction"))
}

/// The class of a session worth naming: 0 blocks, 1 waits, 2 idle in transaction, 3 active for long, 4 idle.
fn class(view: &SessionView, client: bool, blockers: &HashSet<i32>) -> Option<usize> {
    if blockers.contains(&view.pid) {
        return Some(0);
    }
    if view.wait_event_type.as_deref() == Some("Lock") {
        return Some(1);
    }
    match view.state.as_deref() {
        _ if !client => None,
        state if in_transaction(state) => Some(2),
        Some("idle") => Some(4),
        Some(_) if view.query_ms.is_some_and(|ms| ms > LONG_ENOUGH_MS) => Some(3),
        _ => None,
    }
}

/// `client_addr`, or what stands for it on a unix socket; empty where it was not seen.
fn client(address: Option<&str>, local: Option<bool>) -> String {
    address.unwrap_or(if local == Some(true) { "[local]" } else { "" }).to_owned()
}

/// The limits that refuse or are nearest to it first, at most [`LIMITS`].
fn tightest(limits: impl Iterator<Item = LimitFacts>) -> Vec<LimitFacts> {
    let mut limits: Vec<_> = limits.collect();
    let left = |l: &LimitFacts| {
        if l.limit == -1 { i64::MAX } else { l.limit - i64::try_from(l.used).unwrap_or(i64::MAX) }
    };
    limits.sort_by_key(|limit| (limit.allows, left(limit)));
    limits.truncate(LIMITS);
    limits
}

/// Several workers of one parallel query stand in `pg_blocking_pids()` as their leader, several times.
fn distinct(pids: &[i32]) -> Vec<i32> {
    let mut seen = HashSet::new();
    pids.iter().copied().filter(|pid| seen.insert(*pid)).collect()
}

/// Whether a setting's text is true: any beginning of `true` or `yes`, `on`, `1` (`parse_bool`).
fn is_true(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    !text.is_empty() && ["true", "yes"].iter().any(|word| word.starts_with(&text))
        || ["on", "1"].contains(&text.as_str())
}

/// A size as `SHOW` writes it, `1GB`, in bytes; None for -1, which means no limit.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let power = ["B", "kB", "MB", "GB", "TB"].iter().position(|name| *name == unit.trim()).unwrap_or(0);
    number.parse::<u64>().ok()?.checked_mul(1 << (10 * power))
}

/// RFC 3339 UTC with microseconds, which Postgres reads back to the same instant.
fn instant(us: Us) -> String {
    let ms = Timestamp(us.div_euclid(1000)).to_string();
    format!("{}{:03}Z", ms.trim_end_matches('Z'), us.rem_euclid(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_truths_are_read_as_the_server_writes_them() {
        for (text, number) in [
            ("1GB", Some(1 << 30)),
            ("48MB", Some(48 << 20)),
            ("0", Some(0)),
            ("-1", None),
            ("2TB", Some(2 << 40)),
        ] {
            assert_eq!(bytes(text), number, "{text}");
        }
        for (text, truth) in
            [("on", true), ("T", true), ("ye", true), ("1", true), ("off", false), ("", false), ("o", false)]
        {
            assert_eq!(is_true(text), truth, "{text}");
        }
    }

    #[test]
    fn an_instant_keeps_its_microseconds() {
        assert_eq!(instant(1_795_444_257_216_492), "2026-11-23T14:30:57.216492Z");
        assert_eq!(instant(-1), "1969-12-31T23:59:59.999999Z");
    }
}
