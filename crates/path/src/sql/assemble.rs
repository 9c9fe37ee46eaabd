//! From the answer's rows to the facts: names for oids, times since, counts, limits, and which sessions to name.

use super::answer::{Account, DatabaseRow, SessionRow, SlotRow};
use super::composite::Us;
use super::crowd::CrowdRow;
use super::facts::{
    AdmissionFacts, ArchiverView, LimitFacts, Me, PreparedView, ServerFacts, SessionFacts, SessionGroup,
    SessionView, SlotView, SqlFacts, StorageFacts, WaitView,
};
use super::locks;
use super::shown::{bytes, is_true};
use pgmedic_model::{MaskedSql, Policy, Timestamp};
use std::collections::{HashMap, HashSet};

/// Most sessions, groups and limits that are named.
const SESSIONS: usize = 200;
const GROUPS: usize = 50;
const LIMITS: usize = 50;

/// Most prepared transactions and replication slots that are named.
const PREPARED: usize = 50;
const SLOTS: usize = 50;

/// A session that started within this, in ms, has started lately, or just now.
const LATELY_MS: f64 = 10_000.0;
const JUST_NOW_MS: f64 = 1_000.0;

/// An active session is worth naming after this, in ms.
const LONG_ENOUGH_MS: f64 = 1000.0;

/// Backends that are alike.
pub(super) struct Group<'a> {
    /// The first of them.
    pub(super) like: &'a SessionRow,
    pub(super) own: bool,
    pub(super) count: u64,
    /// The longest in its state.
    pub(super) since: Option<Us>,
    pub(super) over_idle_after: u64,
}

impl Account {
    /// The facts. `policy` says after which time an idle session is idle for long.
    #[must_use]
    pub fn into_facts(self, policy: &Policy) -> SqlFacts {
        let groups = if self.is_brief() { self.crowd_groups() } else { self.groups(policy) };
        SqlFacts {
            crowd: self.crowd_facts(),
            version_num: self.number("server_version_num"),
            me: self.me(),
            admission: self.admission(&groups),
            server: self.server(),
            storage: self.storage(),
            sessions: self.sessions(&groups),
        }
    }

    /// Every backend, in groups of those that are alike.
    fn groups(&self, policy: &Policy) -> Vec<Group<'_>> {
        let long_ago = self.server.now - whole_us(policy.idle_after_ms);
        let mut places = HashMap::new();
        let mut groups: Vec<Group<'_>> = Vec::new();
        for row in &self.sessions {
            let own = self.is_own(row);
            let key = (
                (own, row.waits(), row.client_port == Some(-1)),
                (&row.application, &row.role_id, &row.datid),
                (&row.client_addr, &row.state, &row.backend_type),
            );
            let place = *places.entry(key).or_insert(groups.len());
            if place == groups.len() {
                groups.push(Group { like: row, own, count: 0, since: None, over_idle_after: 0 });
            }
            let group = &mut groups[place];
            group.count += 1;
            group.since = [group.since, row.since].into_iter().flatten().min();
            group.over_idle_after += u64::from(row.since.is_some_and(|since| since < long_ago));
        }
        groups
    }

    /// pgmedic's own: this very session, or one of its name.
    fn is_own(&self, row: &SessionRow) -> bool {
        row.application.as_deref() == Some("pgmedic") || row.pid == self.server.pid
    }

    /// Clients' sessions, pgmedic's own left out, that began within `ms`.
    fn started_within(&self, ms: f64) -> u64 {
        if self.is_brief() {
            let came = |row: &CrowdRow| if ms > JUST_NOW_MS { row.lately } else { row.just_now };
            return self.crowd.iter().filter(|row| row.is_client()).map(came).sum();
        }
        let clients = self.sessions.iter().filter(|row| row.is_client() && !self.is_own(row));
        clients.filter(|row| row.started.is_some_and(|us| self.since(us) < ms)).count() as u64
    }

    fn setting(&self, name: &str) -> Option<&str> {
        self.server.settings.get(name).map(String::as_str)
    }

    fn number<T: std::str::FromStr + Default>(&self, name: &str) -> T {
        self.setting(name).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    fn superuser(&self) -> bool {
        self.setting("is_superuser") == Some("on")
    }

    /// True where the role may see what every session does and waits for.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        self.superuser() || self.server.stats == Some(true)
    }

    /// Four fifths of the ordinary slots, or more, are taken: then a role that does not see who waits asks for the locks.
    pub(super) fn is_short_of_slots(&self) -> bool {
        let reserved = ["superuser_reserved_connections", "reserved_connections"];
        let reserved: u64 = reserved.iter().map(|name| self.number::<u64>(name)).sum();
        let slots = self.number::<u64>("max_connections").saturating_sub(reserved);
        let taken = self.sessions.iter().filter(|row| row.is_client() && !self.is_own(row)).count() as u64;
        slots > 0 && taken * 5 >= slots * 4
    }

    /// Time since, in ms, to the microsecond.
    #[allow(clippy::cast_precision_loss, reason = "285 years of microseconds are exact in an f64")]
    pub(super) fn since(&self, us: Us) -> f64 {
        (self.server.now - us) as f64 / 1000.0
    }

    /// A database's name; its oid where there are more databases than were asked for.
    pub(super) fn name(&self, datid: Option<&str>) -> String {
        let Some(datid) = datid else { return String::new() };
        self.databases.iter().find(|d| d.oid == datid).map_or(datid, |d| &d.name).to_owned()
    }

    fn me(&self) -> Me {
        Me {
            role: self.server.role.clone(),
            database: self.server.database.clone(),
            pid: self.server.pid,
            superuser: self.superuser(),
            sees_all: self.sees_all(),
            may_signal: self.superuser() || self.server.signals == Some(true),
        }
    }

    fn admission(&self, groups: &[Group<'_>]) -> AdmissionFacts {
        let clients = || groups.iter().filter(|group| group.like.is_client());
        let mut largest: Vec<_> = clients().filter(|g| !g.own).collect();
        largest.sort_by(|a, b| b.count.cmp(&a.count).then(a.since.cmp(&b.since)));
        largest.truncate(GROUPS);
        AdmissionFacts {
            max_connections: self.number("max_connections"),
            superuser_reserved: self.number("superuser_reserved_connections"),
            reserved: self.number("reserved_connections"),
            client_backends: clients().map(|g| g.count).sum(),
            own: clients().filter(|g| g.own).map(|g| g.count).sum(),
            started_lately: self.started_within(LATELY_MS),
            started_just_now: self.started_within(JUST_NOW_MS),
            role_limits: self.role_limits(groups),
            database_limits: self.database_limits(groups),
            groups: largest.into_iter().map(|group| self.group(group)).collect(),
        }
    }

    fn group(&self, group: &Group<'_>) -> SessionGroup {
        let like = group.like;
        SessionGroup {
            application: like.application.clone().unwrap_or_default(),
            role: like.role.clone().unwrap_or_default(),
            database: self.name(like.datid.as_deref()),
            client: like.client(),
            state: like.state.clone(),
            count: group.count,
            oldest_state_ms: group.since.map(|us| self.since(us)),
            over_idle_after: group.over_idle_after,
        }
    }

    /// Sessions by role or by database, as the server counts them towards a limit: until Postgres 17 with walsenders
    /// (`CountUserBackends`, `CountDBConnections`).
    fn used<'a>(
        &self,
        groups: &[Group<'a>],
        key: impl Fn(&'a SessionRow) -> Option<&'a String>,
    ) -> HashMap<&'a str, u64> {
        let walsenders = self.number::<u32>("server_version_num") < 180_000;
        let mut used = HashMap::new();
        for group in groups {
            let counts = group.like.is_client()
                || walsenders && group.like.backend_type.as_deref() == Some("walsender");
            if let Some(key) = key(group.like).filter(|_| counts) {
                *used.entry(key.as_str()).or_default() += group.count;
            }
        }
        used
    }

    fn role_limits(&self, groups: &[Group<'_>]) -> Vec<LimitFacts> {
        let used = self.used(groups, |row| row.role_id.as_ref());
        let limited = self.roles.iter().filter(|role| !role.superuser && role.connections >= 0);
        tightest(limited.map(|role| LimitFacts {
            name: role.name.clone(),
            limit: role.connections,
            used: used.get(role.oid.as_str()).copied().unwrap_or(0),
            allows: true,
        }))
    }

    /// template0 refuses by design.
    fn database_limits(&self, groups: &[Group<'_>]) -> Vec<LimitFacts> {
        let used = self.used(groups, |row| row.datid.as_ref());
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
        let oldest = |age: fn(&DatabaseRow) -> i64| {
            let database = self.databases.iter().max_by_key(|d| age(d))?;
            Some((database.name.clone(), u64::try_from(age(database)).unwrap_or(0)))
        };
        let receiving = match &self.server.receiver {
            (None, _) => Some(false),
            (Some(_), status) => status.as_ref().map(|status| status == "streaming"),
        };
        let read_only = self.set_for.iter().filter(|s| is_true(&s.value));
        ServerFacts {
            uptime_ms: self.since(self.server.started),
            in_recovery: self.server.standby,
            transaction_read_only: self.setting("transaction_read_only") == Some("on"),
            default_transaction_read_only: self.setting("default_transaction_read_only") == Some("on"),
            read_only_set_for: read_only
                .map(|s| {
                    let database = if s.datid == "0" { String::new() } else { self.name(Some(&s.datid)) };
                    (database, if s.role_id == "0" { String::new() } else { s.role.clone() })
                })
                .collect(),
            replay_lag_ms: self.server.replayed.filter(|_| self.server.standby).map(|us| self.since(us)),
            receiving: receiving.filter(|_| self.server.standby),
            replay_waits: self
                .sessions
                .iter()
                .filter(|_| self.server.standby)
                .find_map(SessionRow::replay_waits),
            pending_restart: self.pending_restart.clone(),
            system_identifier: self.server.system_identifier.clone(),
            oldest_xid: oldest(|d| d.xids),
            oldest_mxid: oldest(|d| d.mxids),
            freeze_max_age: self.number("autovacuum_freeze_max_age"),
        }
    }

    fn storage(&self) -> StorageFacts {
        let mut slots: Vec<SlotView> = self.slots.iter().map(|slot| self.slot(slot)).collect();
        slots.sort_by_key(|slot| std::cmp::Reverse(slot.retained_bytes));
        slots.truncate(SLOTS);
        let archiving = self.setting("archive_mode").is_some_and(|mode| mode != "off");
        StorageFacts {
            data_directory: self.setting("data_directory").map(str::to_owned),
            database_bytes: self.server.database_bytes,
            temp_bytes: self.databases.iter().filter_map(|d| d.temp_bytes).sum(),
            max_slot_wal_keep_bytes: self.setting("max_slot_wal_keep_size").and_then(bytes),
            max_wal_bytes: self.setting("max_wal_size").and_then(bytes).unwrap_or(0),
            slots,
            archiver: self.server.archiver.as_ref().filter(|_| archiving).map(|a| ArchiverView {
                archived: a.archived,
                failed: a.failed,
                failing: a.failed_at.is_some() && a.failed_at > a.archived_at,
                last_failed_ms: a.failed_at.map(|us| self.since(us)),
                last_archived_ms: a.archived_at.map(|us| self.since(us)),
            }),
            archiving,
        }
    }

    fn slot(&self, row: &SlotRow) -> SlotView {
        let retained = self.server.wal.zip(row.restart).map(|(wal, restart)| wal - restart);
        SlotView {
            name: row.name.clone(),
            kind: row.kind.clone(),
            database: row.datid.as_deref().map(|datid| self.name(Some(datid))),
            active: row.active,
            temporary: row.temporary,
            wal_status: row.wal_status.clone(),
            safe_wal_bytes: row.safe_wal_bytes,
            retained_bytes: retained.map(|bytes| u64::try_from(bytes).unwrap_or(0)),
            inactive_ms: row.inactive_since.map(|us| self.since(us)),
            xmin_age: row.xmin_age.map(|age| u64::try_from(age).unwrap_or(0)),
        }
    }

    fn sessions(&self, groups: &[Group<'_>]) -> SessionFacts {
        let count = |test: fn(&SessionRow) -> bool| -> u64 {
            groups.iter().filter(|g| !g.own && test(g.like)).map(|g| g.count).sum()
        };
        let mut prepared: Vec<_> = self.prepared.iter().collect();
        prepared.sort_by_key(|p| p.prepared);
        prepared.truncate(PREPARED);
        let xids: Vec<String> = prepared.iter().map(|p| p.transaction.clone()).collect();
        let prepared = prepared.into_iter().map(|p| PreparedView {
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
            sessions: self.worth_naming(),
            lock_waiters: count(SessionRow::waits).max(self.waits.len() as u64),
            waits: waits.collect(),
            prepared: prepared.collect(),
            prepared_total: self.prepared.len() as u64,
            idle_in_transaction: count(|row| row.is_client() && row.idles_in_transaction()),
            active: count(|row| row.is_client() && row.state.as_deref() == Some("active")),
            idle: count(|row| row.is_client() && row.state.as_deref() == Some("idle")),
            locks_not_seen: self.locks_not_seen.clone(),
        };
        locks::complete(&mut facts, &self.locks, &xids);
        facts
    }

    /// Blockers, waiters, idle in transaction, active for long, idle: the longest of each class, taking turns until
    /// [`SESSIONS`] are named; each class together.
    fn worth_naming(&self) -> Vec<SessionView> {
        let blockers: HashSet<i32> = self.waits.iter().flat_map(|w| w.blocked_by.iter().copied()).collect();
        let mut classes: [Vec<&SessionRow>; 5] = Default::default();
        for row in self.sessions.iter().filter(|row| row.datid.is_some() && !self.is_own(row)) {
            if let Some(class) = self.class(row, &blockers) {
                classes[class].push(row);
            }
        }
        for (class, rows) in classes.iter_mut().enumerate() {
            let begun = |row: &&SessionRow| match class {
                1 | 3 => row.asked,
                4 => row.since,
                _ => row.xact,
            };
            rows.sort_by_key(|row| begun(row).unwrap_or(Us::MAX));
        }
        let mut places: Vec<(usize, usize)> = classes
            .iter()
            .enumerate()
            .flat_map(|(class, rows)| (0..rows.len()).map(move |place| (class, place)))
            .collect();
        places.sort_by_key(|(class, place)| (*class > 0, *place, *class));
        places.truncate(SESSIONS);
        places.sort_unstable();
        places.into_iter().map(|(class, place)| self.view(classes[class][place])).collect()
    }

    /// The class of a session worth naming: 0 blocks, 1 waits, 2 idle in transaction, 3 active for long, 4 idle.
    fn class(&self, row: &SessionRow, blockers: &HashSet<i32>) -> Option<usize> {
        if blockers.contains(&row.pid) {
            return Some(0);
        }
        if row.waits() {
            return Some(1);
        }
        match row.state.as_deref() {
            _ if !row.is_client() => None,
            Some(_) if row.idles_in_transaction() => Some(2),
            Some("idle") => Some(4),
            Some(_) if row.asked.is_some_and(|us| self.since(us) > LONG_ENOUGH_MS) => Some(3),
            _ => None,
        }
    }

    fn view(&self, row: &SessionRow) -> SessionView {
        let since = |us: Option<Us>| us.map(|us| self.since(us));
        let superuser = |id: &String| self.roles.iter().any(|role| role.superuser && role.oid == *id);
        SessionView {
            pid: row.pid,
            backend_start: row.started.map(instant).unwrap_or_default(),
            database: self.name(row.datid.as_deref()),
            client: row.client(),
            client_port: row.client_port.and_then(|port| u16::try_from(port).ok()),
            backend_type: row.backend_type.clone(),
            application: row.application.clone().unwrap_or_default(),
            role: row.role.clone().unwrap_or_default(),
            state: row.state.clone(),
            wait_event_type: row.wait_event_type.clone(),
            wait_event: row.wait_event.clone(),
            state_ms: since(row.since),
            state_change: row.since.map(instant),
            xact_ms: since(row.xact),
            query_ms: since(row.asked),
            query: MaskedSql::new(row.query.as_deref().unwrap_or_default()),
            superuser: row.role_id.as_ref().is_some_and(superuser),
            holds: None,
            advisory: false,
        }
    }
}

impl SessionRow {
    /// A role that may not see another's backend_type does see its database and role, which no auxiliary process has
    /// both.
    fn is_client(&self) -> bool {
        let has_both = self.datid.is_some() && self.role_id.is_some();
        self.backend_type.as_ref().map_or(has_both, |kind| kind == "client backend")
    }

    /// What the startup process waits for where a query is in its way (procsignal.h; standby.c,
    /// `ResolveRecoveryConflictWith…`): for WAL it waits by other names.
    fn replay_waits(&self) -> Option<String> {
        let (kind, event) = (self.wait_event_type.as_deref()?, self.wait_event.as_deref()?);
        let conflict = event.starts_with("RecoveryConflict") || kind == "Lock";
        let startup = self.backend_type.as_deref() == Some("startup");
        (startup && conflict)
            .then(|| if kind == "Lock" { format!("a lock: {event}") } else { event.to_owned() })
    }

    fn idles_in_transaction(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.starts_with("idle in transaction"))
    }

    /// `client_addr`, or what stands for it on a unix socket; empty where it was not seen.
    fn client(&self) -> String {
        let local = if self.client_port == Some(-1) { "[local]" } else { "" };
        self.client_addr.as_deref().unwrap_or(local).to_owned()
    }
}

/// A finite, whole number of microseconds.
#[allow(clippy::cast_possible_truncation, reason = "clamped; not a number becomes 0")]
fn whole_us(ms: f64) -> Us {
    (ms.clamp(0.0, 1e12) * 1000.0) as Us
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

/// RFC 3339 UTC with microseconds, which Postgres reads back to the same instant.
fn instant(us: Us) -> String {
    let ms = Timestamp(us.div_euclid(1000)).to_string();
    format!("{}{:03}Z", ms.trim_end_matches('Z'), us.rem_euclid(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_without_sense_is_survived() {
        for (ms, us) in [(f64::NAN, 0), (f64::INFINITY, 1_000_000_000_000_000), (-1.0, 0), (0.5, 500)] {
            assert_eq!(whole_us(ms), us);
        }
    }

    #[test]
    fn an_instant_keeps_its_microseconds() {
        assert_eq!(instant(1_795_444_257_216_492), "2026-11-23T14:30:57.216492Z");
        assert_eq!(instant(-1), "1969-12-31T23:59:59.999999Z");
    }
}
