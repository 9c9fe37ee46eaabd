//! Which sessions may be ended, how many, and the statement that ends exactly those. The rules are causes.md's box
//! "Terminate safely". Not in here: whether to; each cause says that itself.

use crate::evidence::Evidence;
use crate::paste::{literal, psql};
use crate::rooms::admission::slots;
use crate::sql::facts::{SessionView, SqlFacts};
use pgmedic_model::{Action, Ms, Policy, RemedyKind, RemedyPlan, SessionClass, SessionRef};
use std::collections::BTreeMap;

/// Applications whose sessions look idle or long and must be left alone: dumps, base backups, failover managers,
/// exporters, and pgmedic itself. A trailing `*` matches any ending.
const NEVER: &[&str] = &[
    "pg_dump*",
    "pg_restore*",
    "pg_basebackup*",
    "pg_receivewal*",
    "pgbackrest*",
    "barman*",
    "repmgr*",
    "patroni*",
    "*migrat*",
    "*exporter*",
    "pgmedic*",
];

/// True for an application that no remedy touches and no finding blames.
pub(crate) fn is_upkeep(application: &str) -> bool {
    let name = application.to_lowercase();
    NEVER.iter().any(|pattern| {
        let stem = pattern.trim_matches('*');
        if pattern.starts_with('*') { name.contains(stem) } else { name.starts_with(stem) }
    })
}

/// The same in SQL: what holds of a column with an application that is none of these.
pub(crate) fn no_upkeep(column: &str) -> String {
    let one = |pattern: &&str| {
        let stem = pattern.trim_matches('*');
        if pattern.starts_with('*') { stem.to_owned() } else { format!("^{stem}") }
    };
    let all: Vec<String> = NEVER.iter().map(one).collect();
    format!("lower({column}) !~ {}", literal(&all.join("|")))
}

/// True where this session may be ended at all: a client's own, of an ordinary role, not protected, not pgmedic's.
pub(crate) fn may_end(policy: &Policy, s: &SessionView) -> bool {
    s.backend_type.as_deref() == Some("client backend")
        && !s.superuser
        && !s.backend_start.is_empty()
        && !s.application.starts_with("pgmedic")
        && !policy.protect.covers(&s.application, &s.role)
}

/// `(pid, backend_start)` of each: a pid is reused, the pair is not.
fn identities(sessions: &[&SessionView]) -> String {
    let one = |s: &&SessionView| format!("({}, {}::timestamptz)", s.pid, literal(&instant(&s.backend_start)));
    sessions.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The time with its zone, which is UTC by the evidence's contract.
fn instant(backend_start: &str) -> String {
    let has_zone = backend_start.ends_with('Z') || backend_start.rfind(['+', '-']).is_some_and(|at| at > 10);
    if has_zone { backend_start.to_owned() } else { format!("{backend_start}+00") }
}

/// A statement that calls `function` on exactly these sessions, while they are still in `state`.
fn signal(function: &str, sessions: &[&SessionView], state: &str) -> String {
    format!(
        "select pid, {function}(pid) from pg_stat_activity where (pid, backend_start) in ({}) and {state}",
        identities(sessions)
    )
}

/// Ends idle sessions of the one application that has most of them, the longest idle first, and only as many as bring the
/// free slots to policy `keep_free`. None where slots enough are free, or no session may be ended.
pub(crate) fn terminate_idle(e: &Evidence) -> Option<RemedyPlan> {
    let (facts, slots) = (e.facts()?, slots::count(e)?);
    let mut idle = of_the_commonest(facts.sessions.sessions.iter().filter(|s| idles_too_long(&e.policy, s)));
    idle.sort_by(|a, b| b.state_ms.unwrap_or(0.0).total_cmp(&a.state_ms.unwrap_or(0.0)));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of some hundred slots"
    )]
    let wanted = (slots.ordinary as f64 * e.policy.keep_free).ceil() as u64;
    let needed = (slots.taken + wanted).saturating_sub(slots.ordinary);
    let most = usize::try_from(needed.min(u64::from(e.policy.max_terminations))).unwrap_or(usize::MAX);
    let all = idle.len();
    idle.truncate(most);
    let count = idle.len();
    if count == 0 {
        return None;
    }
    let plan = format!(
        "terminate {count} of {all} sessions idle over {} of {} as {}, the longest idle first: frees slots up to {wanted} of \
         {}; if the count is back within a minute, stop and find the owner",
        Ms(e.policy.idle_after_ms),
        application(idle.first()?),
        idle.first()?.role,
        slots.ordinary
    );
    // Advisory locks are only looked up where somebody waits: the statement itself leaves their holders alone.
    let unlocked = "state = 'idle' and not exists (select from pg_locks l where l.pid = pg_stat_activity.pid and \
                    l.locktype = 'advisory')";
    let sql = signal("pg_terminate_backend", &idle, unlocked);
    let end = RemedyPlan::by_hand("terminate-idle-sessions", RemedyKind::Sessions, plan, psql(e, &sql));
    // Whoever acts counts others' sessions alone; the standing one has its slot all the same.
    let down_to = Some(slots.ordinary.saturating_sub(wanted + slots.standing));
    Some(end.doing(Action::Terminate { sessions: references(&idle), class: SessionClass::Idle, down_to }))
}

/// Those of the application and role that has most among them.
fn of_the_commonest<'a>(sessions: impl Iterator<Item = &'a SessionView>) -> Vec<&'a SessionView> {
    let mut owners: BTreeMap<(&str, &str), Vec<&SessionView>> = BTreeMap::new();
    for s in sessions {
        owners.entry((&s.application, &s.role)).or_default().push(s);
    }
    owners.into_values().max_by_key(Vec::len).unwrap_or_default()
}

fn idles_too_long(policy: &Policy, s: &SessionView) -> bool {
    s.state.as_deref() == Some("idle")
        && !s.advisory
        && !is_upkeep(&s.application)
        && s.state_ms.is_some_and(|ms| ms > policy.idle_after_ms)
        && may_end(policy, s)
}

/// Ends one session that is idle in a transaction; where it must be left alone, its owner is to be asked.
pub(crate) fn terminate_idle_in_transaction(e: &Evidence, s: &SessionView, remedy: &str) -> RemedyPlan {
    if !may_end(&e.policy, s) {
        return ask_owner(e, s);
    }
    let sql = signal("pg_terminate_backend", &[s], "state like 'idle in transaction%'");
    let class = SessionClass::IdleInTransaction;
    let plan = format!(
        "{}terminate {}: its transaction is rolled back, and what waits for it goes on (to cancel it has no effect \
         while it idles)",
        first_ask(s),
        named(s)
    );
    let end = RemedyPlan::by_hand(remedy, kind_for(s), plan, psql(e, &sql));
    done_by_us(end, s, Action::Terminate { sessions: references(&[s]), class, down_to: None })
}

/// Cancels what one session runs; where it must be left alone, its owner is to be asked.
pub(crate) fn cancel_one(e: &Evidence, s: &SessionView, remedy: &str, why: &str) -> RemedyPlan {
    if !may_end(&e.policy, s) {
        return ask_owner(e, s);
    }
    let sql = signal("pg_cancel_backend", &[s], "state = 'active'");
    let plan = format!("{}cancel what {} runs: {why}", first_ask(s), named(s));
    let cancel = RemedyPlan::by_hand(remedy, kind_for(s), plan, psql(e, &sql));
    done_by_us(cancel, s, Action::Cancel { sessions: references(&[s]) })
}

/// Ends one session that is active and cannot be cancelled: it waits for the network, not for its query.
pub(crate) fn terminate_active(e: &Evidence, s: &SessionView, remedy: &str, why: &str) -> RemedyPlan {
    if !may_end(&e.policy, s) {
        return ask_owner(e, s);
    }
    let sql = signal("pg_terminate_backend", &[s], "state = 'active'");
    let plan = format!("{}terminate {}: {why}", first_ask(s), named(s));
    let end = RemedyPlan::by_hand(remedy, kind_for(s), plan, psql(e, &sql));
    let class = SessionClass::Active;
    done_by_us(end, s, Action::Terminate { sessions: references(&[s]), class, down_to: None })
}

/// Ends sessions at rest whose clients are known to be gone, as many as the policy allows. None where all must be left
/// alone.
pub(crate) fn terminate_ghosts(e: &Evidence, ghosts: &[&SessionView]) -> Option<RemedyPlan> {
    let most = e.policy.max_terminations as usize;
    let may = |s: &&SessionView| may_end(&e.policy, s) && !is_upkeep(&s.application);
    let chosen: Vec<_> = ghosts.iter().copied().filter(may).take(most).collect();
    if chosen.is_empty() {
        return None;
    }
    let plan = format!(
        "terminate {} of {} sessions whose clients are gone, and no others",
        chosen.len(),
        ghosts.len()
    );
    let sql = signal("pg_terminate_backend", &chosen, "state like 'idle%'");
    let end = RemedyPlan::by_hand("terminate-ghost-sessions", RemedyKind::Sessions, plan, psql(e, &sql));
    let (sessions, class) = (references(&chosen), SessionClass::Ghost);
    Some(end.doing(Action::Terminate { sessions, class, down_to: None }))
}

/// These sessions, as an action names them.
fn references(sessions: &[&SessionView]) -> Vec<SessionRef> {
    let one = |s: &&SessionView| SessionRef {
        pid: s.pid,
        backend_start: instant(&s.backend_start),
        application_name: s.application.clone(),
        usename: s.role.clone(),
        state: s.state.clone().unwrap_or_default(),
        state_ms: s.state_ms.unwrap_or(0.0),
        state_change: s.state_change.as_deref().map(instant).unwrap_or_default(),
    };
    sessions.iter().map(one).collect()
}

/// The remedy as something that pgmedic does, unless its session is one whose owner is to be asked.
fn done_by_us(remedy: RemedyPlan, s: &SessionView, action: Action) -> RemedyPlan {
    if is_upkeep(&s.application) { remedy } else { remedy.doing(action) }
}

/// A migration or a dump in the way is ended by its owner, or with the owner's word.
fn first_ask(s: &SessionView) -> &'static str {
    if is_upkeep(&s.application) { "ask its owner first; then " } else { "" }
}

fn kind_for(s: &SessionView) -> RemedyKind {
    if is_upkeep(&s.application) { RemedyKind::Advice } else { RemedyKind::Sessions }
}

fn ask_owner(e: &Evidence, s: &SessionView) -> RemedyPlan {
    let sql = format!(
        "select pid, usename, application_name, client_addr, state, xact_start, query from pg_stat_activity where pid = {}",
        s.pid
    );
    let plan = format!("{} is a superuser's, protected or no client: ask its owner to end it", named(s));
    RemedyPlan::by_hand("ask-owner", RemedyKind::Advice, plan, psql(e, &sql))
}

/// Cancels what these sessions are running; they stay connected. None where all must be left alone.
pub(crate) fn cancel_long(e: &Evidence, sessions: &[&SessionView], plan: &str) -> Option<RemedyPlan> {
    let most = e.policy.max_terminations as usize;
    let chosen: Vec<_> = sessions.iter().copied().filter(|s| may_end(&e.policy, s)).take(most).collect();
    if chosen.is_empty() {
        return None;
    }
    let sql = signal("pg_cancel_backend", &chosen, "state = 'active'");
    let cancel = RemedyPlan::by_hand("cancel-query", RemedyKind::Sessions, plan, psql(e, &sql));
    Some(cancel.doing(Action::Cancel { sessions: references(&chosen) }))
}

/// A statement that holds a connection of a used-up pool for so long is worth cancelling, in ms.
pub(crate) const HOLDS_MS: f64 = 1_000.0;

/// Cancels every statement of the service's role that holds a connection of its pool for long: to cancel the longest alone
/// gives back one connection of a pool whose others are as slow. Another role's statement has none of them. None where they
/// wait for a lock: its holder is what must end.
pub(crate) fn cancel_slow(e: &Evidence) -> Option<RemedyPlan> {
    let held = |s: &SessionView| s.query_ms.unwrap_or(0.0);
    let slow = |s: &&SessionView| s.role == e.target.user && is_work(s) && held(s) >= HOLDS_MS;
    let mut slow: Vec<&SessionView> = e.facts()?.sessions.sessions.iter().filter(slow).collect();
    slow.sort_by(|a, b| held(b).total_cmp(&held(a)));
    let longest = named(slow.first()?);
    let plan = format!(
        "cancel {} statement(s) running for over {}, the longest that of {longest}; their sessions live on",
        slow.len().min(e.policy.max_terminations as usize),
        Ms(HOLDS_MS)
    );
    cancel_long(e, &slow, &plan)
}

/// How long a statement is long, in ms, while somebody is kept waiting.
pub(crate) const LONG_UNDER_STRAIN_MS: f64 = 2_000.0;

/// A client's statement that is at work: not upkeep, and not waiting for a lock, nor for a synchronous standby: that one is
/// committed here, and to cancel it tells its client so before the standby has it (manual, "Synchronous Replication").
pub(crate) fn is_work(s: &SessionView) -> bool {
    s.state.as_deref() == Some("active")
        && s.backend_type.as_deref() == Some("client backend")
        && s.wait_event_type.as_deref() != Some("Lock")
        && s.wait_event.as_deref() != Some("SyncRep")
        && !is_upkeep(&s.application)
}

/// One that has been at work for long, under strain.
pub(crate) fn is_long(s: &SessionView) -> bool {
    is_work(s) && s.query_ms.is_some_and(|ms| ms > LONG_UNDER_STRAIN_MS)
}

/// `idle in transaction`, or its aborted form.
pub(crate) fn is_idle_in_transaction(s: &SessionView) -> bool {
    s.state.as_deref().is_some_and(|state| state.starts_with("idle in transaction"))
}

/// `pid 4242 (renderflow-api as app)`.
pub(crate) fn named(s: &SessionView) -> String {
    format!("pid {} ({} as {})", s.pid, application(s), s.role)
}

/// Its application_name, or words for none.
fn application(s: &SessionView) -> &str {
    if s.application.is_empty() { "no application_name" } else { &s.application }
}

/// The session with this pid, where it is among those looked at.
pub(crate) fn session(facts: &SqlFacts, pid: i32) -> Option<&SessionView> {
    facts.sessions.sessions.iter().find(|s| s.pid == pid)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::with_facts;

    /// A client's session of renderflow-api in `state` for `ms`.
    pub(crate) fn session_of(pid: i32, state: &str, ms: f64) -> SessionView {
        SessionView {
            pid,
            backend_start: "2026-11-23 02:00:00.123456".into(),
            backend_type: Some("client backend".into()),
            application: "renderflow-api".into(),
            role: "app".into(),
            database: "renderflow".into(),
            state: Some(state.into()),
            state_ms: Some(ms),
            xact_ms: Some(ms),
            query_ms: Some(ms),
            ..SessionView::default()
        }
    }

    #[test]
    fn only_as_many_as_needed_and_the_longest_idle_first() {
        let mut e = with_facts(|f| {
            (f.admission.client_backends, f.admission.own) = (98, 1);
            f.sessions.sessions =
                (1..=60i32).map(|n| session_of(n, "idle", 700_000.0 + f64::from(n))).collect();
            f.sessions.sessions[59].superuser = true;
            f.sessions.sessions[58].advisory = true;
            f.sessions.sessions[57].application = "Repmgrd".into();
            f.sessions.sessions[56].backend_type = Some("walsender".into());
            f.sessions.sessions[55].role = "billing".into();
        });
        e.policy.protect.roles = vec!["billing".into()];
        let plan = terminate_idle(&e).unwrap();
        assert!(
            plan.plan.starts_with("terminate 20 of 55 sessions idle over 10 min of renderflow-api as app"),
            "{}",
            plan.plan
        );
        let Some(Action::Terminate { sessions, down_to, .. }) = &plan.action else {
            panic!("it is done by us")
        };
        assert_eq!((sessions.len(), sessions[0].pid, *down_to), (20, 55, Some(77)));
        assert!(plan.command.contains("in ((55, '2026-11-23 02:00:00.123456+00'::timestamptz), (54,"));
        assert!(!plan.command.contains("(35,"));
        assert!(plan.command.contains("and state = 'idle' and not exists (select from pg_locks"));
        e.standing = Seen::Seen(e.front.clone());
        let Some(Action::Terminate { down_to, .. }) = terminate_idle(&e).unwrap().action else {
            panic!("as before")
        };
        assert_eq!(down_to, Some(76), "the standing session has one of the 77");
        e.standing = Seen::NotSeen("none is kept".to_owned());
        e.policy.max_terminations = 3;
        assert!(terminate_idle(&e).unwrap().plan.starts_with("terminate 3 of 55"));
    }

    #[test]
    fn nobody_is_ended_where_slots_enough_are_free() {
        let e = with_facts(|f| f.sessions.sessions = vec![session_of(1, "idle", 700_000.0)]);
        assert!(terminate_idle(&e).is_none());
    }

    #[test]
    fn a_ghost_of_upkeep_is_its_owners_to_end() {
        let e = with_facts(|_| ());
        let mut dump = session_of(1, "idle", 700_000.0);
        dump.application = "pg_dump".into();
        assert!(terminate_ghosts(&e, &[&dump]).is_none());
        let plain = session_of(2, "idle", 700_000.0);
        let plan = terminate_ghosts(&e, &[&dump, &plain]).unwrap();
        assert_eq!(plan.action.unwrap().sessions().iter().map(|s| s.pid).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn an_identity_carries_its_zone_once() {
        assert_eq!(instant("2026-11-23 02:00:00.1"), "2026-11-23 02:00:00.1+00");
        assert_eq!(instant("2026-11-23 02:00:00.1+00"), "2026-11-23 02:00:00.1+00");
        assert_eq!(instant("2026-11-23T02:00:00.1Z"), "2026-11-23T02:00:00.1Z");
    }
}
