//! `lock-pile-up`: sessions queue behind one holder of a lock.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::sessions::ending::{self, named};
use crate::rooms::sessions::strain;
use crate::rooms::sessions::waits::{self, Tree};
use crate::sql::facts::{SessionView, SqlFacts};
use pgmedic_model::{
    Confidence, Fact, Finding, Ms, RemedyKind, RemedyPlan, Room, Severity, Source, Timestamp,
};

/// From so many waiters on it is a pile; from so many it keeps the service from its work.
const PILE: usize = 3;
const CRITICAL: usize = 5;
/// Most further piles named.
const OTHERS: usize = 2;

cause! {
    /// Sessions pile up behind one holder of a lock; they fill the pool, then the slots.
    ///
    /// ## What it is
    /// One transaction holds a lock that the others need. It may be idle in transaction, at work, or a statement that
    /// is itself waiting: an `ALTER TABLE` that waits for one old reader makes every later reader queue behind it.
    ///
    /// ## What proves it
    /// `pg_blocking_pids()` walked from every waiter to the root that waits for nobody: three or more behind one root
    /// that makes no progress, or most sessions of one application. Waits of milliseconds are a busy server's normal
    /// life; queues for advisory locks are left out unless something else fails, for elections wait by design. Where
    /// nobody is let in, the titles of the server's processes show how many wait, though not for whom.
    ///
    /// ## What mends it
    /// 1. A *waiting* DDL with others behind it: cancel that first, it is often enough.
    /// 2. A root at work: cancel it. A root idle in transaction: terminate it (a cancel has no effect).
    /// 3. Look again: the next in the queue may be another blocker.
    ///
    /// ## What makes it worse
    /// Terminating waiters or idle sessions: they come back and queue again. Ending a migration in flight. A restart
    /// ends the holder too, and costs a recovery.
    ///
    /// ## What prevents it
    /// `lock_timeout` in migrations, `CREATE INDEX CONCURRENTLY`; `idle_in_transaction_session_timeout` per role.
    ///
    /// ## References
    /// Postgres manual: "Explicit Locking", `pg_locks`, `pg_blocking_pids()`, "Client Connection Defaults".
    "lock-pile-up" in Sessions, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    match e.told() {
        Some(told) => by_the_servers_account(e, told),
        None => by_titles(e),
    }
}

fn by_the_servers_account(e: &Evidence, (facts, at, place): (&SqlFacts, Timestamp, &str)) -> Option<Finding> {
    let trees = waits::trees(facts, !strain::signs(e).is_empty());
    let mut piles = trees.iter().filter(|t| t.root != 0 && is_pile(facts, t));
    let tree = piles.next()?;
    // A root of its own each: ending the first does not help who waits behind the second.
    let others: Vec<_> = piles.take(OTHERS).collect();
    let all = tree.waiters.len();
    let severity =
        if all >= CRITICAL || strain::is_critical(e) { Severity::Critical } else { Severity::Warning };
    let root = tree.session.map_or_else(|| format!("pid {}", tree.root), describe);
    let least =
        if facts.sessions.lock_waiters > facts.sessions.waits.len() as u64 { "at least " } else { "" };
    let head = tree.queue_head.and_then(|w| ending::session(facts, w.pid));
    let queue = head.map_or_else(String::new, |s| {
        format!("; most queue behind {}, which waits itself: ending that is often enough", named(s))
    });
    let besides = others.iter().map(|t| {
        let root = t.session.map_or_else(|| format!("pid {}", t.root), named);
        format!("; besides, {} wait behind {root}", t.waiters.len())
    });
    let besides: String = besides.collect();
    let summary = format!("{least}{all} sessions wait behind {root}{queue}{besides}");
    let mut finding = Finding::new(
        CAUSE.id,
        Room::Sessions,
        severity,
        Confidence::Certain,
        summary,
        count(tree, at, place),
    )
    .and_all(cited(tree, at, place))
    .and_all(others.iter().flat_map(|other| cited(other, at, place).into_iter().take(1)));
    if let Some(head) = head {
        let why = "the queue behind it moves on, and it can be run again later";
        finding = finding.mended_by(ending::cancel_one(e, head, "cancel-waiting-statement", why));
    }
    let roots = std::iter::once(tree).chain(others).filter_map(|pile| end_root(e, pile));
    Some(roots.fold(finding, Finding::mended_by))
}

/// Nobody was let in, and the titles of the server's processes on this host show a fifth of its sessions waiting. A title
/// says that a lock is waited for (`SELECT waiting`), not whose.
fn by_titles(e: &Evidence) -> Option<Finding> {
    let host = e.host.get()?;
    let groups = host.backends.as_ref()?;
    let count = |test: fn(&str) -> bool| -> u64 {
        groups.iter().filter(|g| test(&g.activity)).map(|g| g.count).sum()
    };
    let (all, waiting) = (count(|_| true), count(|activity| activity.ends_with(" waiting")));
    if waiting < PILE as u64 || waiting * 5 < all {
        return None;
    }
    let severity = if strain::is_critical(e) { Severity::Critical } else { Severity::Warning };
    let summary = format!(
        "{waiting} of {all} sessions wait for locks; who holds them cannot be seen from outside: configure `rescue`, a \
         role that may use reserved slots"
    );
    let place = "process titles of the server's backends";
    let said = format!("{waiting} of {all} client backends wait for a lock by their titles (`… waiting`)");
    let proof = Fact::new(Source::Host, host.at, place, said).value(waiting);
    let open = count(|activity| activity.starts_with("idle in transaction"));
    let suspects = (open > 0).then(|| {
        let said = format!("{open} of them idle in transaction: one of these may hold what is waited for");
        Fact::new(Source::Host, host.at, place, said).value(open)
    });
    let parent =
        host.postmaster.as_ref().map_or_else(|| "$(pgrep -o -x postgres)".to_owned(), |p| p.pid.to_string());
    let look = RemedyPlan::by_hand(
        "find-lock-holder",
        RemedyKind::Advice,
        "log in by a reserved slot and ask pg_blocking_pids() for the holder; without one, the oldest transaction that \
         idles is the first suspect: end it with kill -TERM (never -9)",
        format!("ps -o pid,etime,cmd --sort=-etimes --ppid {parent} | grep -E 'idle in transaction|waiting'"),
    );
    let finding = Finding::new(CAUSE.id, Room::Sessions, severity, Confidence::Likely, summary, proof);
    Some(finding.and_all(suspects).mended_by(look))
}

/// Three behind one root, or most of an application's sessions; in either case with no progress.
pub(super) fn is_pile(facts: &SqlFacts, tree: &Tree<'_>) -> bool {
    tree.stands_still() && (tree.waiters.len() >= PILE || most_of_an_application(facts, tree))
}

fn most_of_an_application(facts: &SqlFacts, tree: &Tree<'_>) -> bool {
    let waiting: Vec<_> = tree.waiters.iter().filter_map(|w| ending::session(facts, w.pid)).collect();
    waiting.iter().any(|s| {
        let of_it = waiting.iter().filter(|other| other.application == s.application).count() as u64;
        let groups = facts.admission.groups.iter().filter(|g| g.application == s.application);
        let total: u64 = groups.map(|g| g.count).sum();
        !s.application.is_empty() && of_it >= 2 && of_it * 2 > total
    })
}

/// `pid 4242 (renderflow-api as app), idle in transaction for 12 s, holding AccessExclusiveLock on jobs`.
fn describe(s: &SessionView) -> String {
    let state = s.state.as_deref().unwrap_or("state not visible");
    let since = if state == "active" { s.query_ms } else { s.state_ms };
    let since = since.map(|ms| format!(" for {}", Ms(ms))).unwrap_or_default();
    let holds = s.holds.as_deref().map(|held| format!(", holding {held}")).unwrap_or_default();
    format!("{}, {state}{since}{holds}", named(s))
}

fn count(tree: &Tree<'_>, at: Timestamp, place: &str) -> Fact {
    let text = format!(
        "{} sessions wait behind pid {}, {} of them directly; the longest statement for {}",
        tree.waiters.len(),
        tree.root,
        tree.direct,
        Ms(tree.longest_ms)
    );
    Fact::new(Source::Sql, at, format!("pg_locks at {place}"), text).value(tree.waiters.len())
}

fn cited(tree: &Tree<'_>, at: Timestamp, place: &str) -> Vec<Fact> {
    let view = format!("pg_stat_activity at {place}");
    let root = tree.session.map(|s| {
        let transaction =
            s.xact_ms.map(|ms| format!("; its transaction is {} old", Ms(ms))).unwrap_or_default();
        let text = format!("{}{transaction}; query: {}", describe(s), s.query);
        Fact::new(Source::Sql, at, view.as_str(), text).value(s.pid)
    });
    let wants = tree.waiters.iter().find_map(|w| w.wants.as_deref().map(|wants| (w.pid, wants)));
    let wants = wants.map(|(pid, wants)| {
        Fact::new(Source::Sql, at, format!("pg_locks at {place}"), format!("pid {pid} waits for {wants}"))
    });
    root.into_iter().chain(wants).collect()
}

fn end_root(e: &Evidence, tree: &Tree<'_>) -> Option<RemedyPlan> {
    let root = tree.session?;
    Some(if ending::is_idle_in_transaction(root) {
        ending::terminate_idle_in_transaction(e, root, "terminate-lock-root")
    } else {
        ending::cancel_one(
            e,
            root,
            "cancel-blocker",
            "its locks go with its statement; see who waits afterwards",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{refused, window, with_facts};
    use crate::platform::evidence::TitleGroup;
    use crate::rooms::sessions::ending::tests::session_of;
    use crate::rooms::sessions::waits::tests::wait;
    use pgmedic_model::Role;

    #[test]
    fn lock_pile_up_names_the_root_and_how_many_wait() {
        let e = with_facts(|f| {
            let mut root = session_of(4242, "idle in transaction", 12_000.0);
            root.holds = Some("AccessExclusiveLock on jobs".into());
            f.sessions.sessions.push(root);
            (1..=20).for_each(|pid| wait(f, pid, "relation", 900.0, &[4242]));
        });
        let found = find(&e).unwrap();
        assert_eq!(found.severity, Severity::Critical);
        assert_eq!(
            found.summary,
            "20 sessions wait behind pid 4242 (renderflow-api as app), idle in transaction for 12.0 s, holding \
             AccessExclusiveLock on jobs"
        );
        assert!(found.remedies[0].command.contains("pg_terminate_backend(pid)"));
        assert!(found.remedies[0].command.contains("(4242, '2026"));
    }

    #[test]
    fn lock_pile_up_names_a_second_pile_and_ends_both_roots() {
        let e = with_facts(|f| {
            f.sessions.sessions.push(session_of(50, "idle in transaction", 2_000.0));
            f.sessions.sessions.push(session_of(60, "idle in transaction", 2_000.0));
            (1..=5).for_each(|pid| wait(f, pid, "relation", 900.0, &[50]));
            (6..=9).for_each(|pid| wait(f, pid, "relation", 900.0, &[60]));
        });
        let found = find(&e).unwrap();
        assert!(found.summary.ends_with("; besides, 4 wait behind pid 60 (renderflow-api as app)"));
        let ended: Vec<_> = found.remedies.iter().map(|r| r.command.contains("((60, ")).collect();
        assert_eq!(ended, [false, true]);
    }

    #[test]
    fn lock_pile_up_behind_a_waiting_ddl_cancels_that_first() {
        let mut e = with_facts(|f| {
            f.sessions.sessions.push(session_of(1, "active", 60_000.0));
            wait(f, 2, "relation", 4_000.0, &[1]);
            (3..=5).for_each(|pid| wait(f, pid, "relation", 900.0, &[2]));
        });
        let found = find(&e).unwrap();
        assert_eq!(found.severity, Severity::Warning);
        let ids: Vec<_> = found.remedies.iter().map(|r| r.remedy.as_str()).collect();
        assert_eq!(ids, ["cancel-waiting-statement", "cancel-blocker"]);
        e.policy.protect.applications = vec!["renderflow*".into()];
        assert!(find(&e).unwrap().remedies.iter().all(|r| r.remedy == "ask-owner"));
    }

    #[test]
    fn lock_pile_up_behind_a_migration_is_for_its_owner_to_end() {
        let e = with_facts(|f| {
            let root = SessionView {
                application: "migrate".into(),
                ..session_of(9, "idle in transaction", 2_000.0)
            };
            f.sessions.sessions.push(root);
            (1..=3).for_each(|pid| wait(f, pid, "relation", 900.0, &[9]));
        });
        let remedy = find(&e).unwrap().remedies.remove(0);
        assert!(remedy.plan.starts_with("ask its owner first; then terminate pid 9 (migrate as app)"));
        assert_eq!(remedy.kind, pgmedic_model::RemedyKind::Advice);
    }

    #[test]
    fn lock_pile_up_is_not_a_busy_servers_short_waits() {
        let e = with_facts(|f| {
            f.sessions.sessions.push(session_of(1, "idle in transaction", 2.0));
            (2..=19).for_each(|pid| wait(f, pid, "transactionid", 300.0, &[1]));
        });
        assert!(find(&e).is_none());
    }

    #[test]
    fn lock_pile_up_is_seen_in_titles_where_nobody_is_let_in() {
        let titles = |waiting: u64, idle: u64| {
            let mut e = refused(
                "53300",
                "remaining connection slots are reserved for non-replication superuser connections",
            );
            window(&mut e, |host| {
                let group = |activity: &str, count| TitleGroup {
                    activity: activity.into(),
                    count,
                    ..TitleGroup::default()
                };
                host.max_connections = Some(100);
                let open = group("idle in transaction", 1);
                host.backends = Some(vec![group("SELECT waiting", waiting), group("idle", idle), open]);
            });
            e
        };
        let found = crate::diagnose(&titles(20, 76));
        let told: Vec<_> = found.iter().map(|f| (f.cause.as_str(), f.role)).collect();
        assert_eq!(told, [(CAUSE.id, Role::Root), ("slots-exhausted", Role::Symptom)]);
        assert_eq!((found[0].severity, found[0].confidence), (Severity::Critical, Confidence::Likely));
        assert!(
            found[0].summary.starts_with("20 of 97 sessions wait for locks; who holds them cannot be seen")
        );
        assert!(find(&titles(2, 3)).is_none());
        assert!(find(&titles(15, 81)).is_none());
    }
}
