//! Who waits for whom: the waits of the evidence as trees, each walked to the session at its root.
//! Not in here: reading `pg_locks` (`sql`), and from how many waiters on it is a failure (the causes).

use crate::sql::facts::{SessionView, SqlFacts, WaitView};
use std::collections::{BTreeMap, BTreeSet};

/// Everyone who waits, directly or behind others, for one session that itself waits for nobody.
pub(crate) struct Tree<'a> {
    /// The root's pid; 0 stands for a prepared transaction.
    pub(crate) root: i32,
    /// The root, where it is among the sessions looked at.
    pub(crate) session: Option<&'a SessionView>,
    /// How many have the root itself in their way.
    pub(crate) direct: usize,
    /// Everyone who waits.
    pub(crate) waiters: Vec<&'a WaitView>,
    /// A waiting statement that most others queue behind: it wants a lock that conflicts with all of theirs, the root
    /// holds one that conflicts with it alone.
    pub(crate) queue_head: Option<&'a WaitView>,
    /// The longest that a waiter's statement has run, in ms.
    pub(crate) longest_ms: f64,
    /// Some wait for a relation, rather than for a row or another's transaction.
    pub(crate) for_relation: bool,
}

/// How old a stand-still must be, in ms, before it is one. Row locks change hands all the time under load; a queue for
/// a whole relation does not form there, so less will do.
const STANDS_STILL_MS: f64 = 1_000.0;
const RELATION_STANDS_STILL_MS: f64 = 100.0;
/// The same where nothing is known of the root.
const UNKNOWN_STANDS_STILL_MS: f64 = 2_000.0;

impl Tree<'_> {
    /// True where the root makes no progress: neither a busy server's short waits nor a lock that is passed on.
    pub(crate) fn stands_still(&self) -> bool {
        let root = self.session.and_then(|s| match s.state.as_deref() {
            Some("active") => s.query_ms,
            _ => s.state_ms,
        });
        if self.for_relation {
            return self.longest_ms.max(root.unwrap_or(0.0)) >= RELATION_STANDS_STILL_MS;
        }
        root.map_or(self.longest_ms >= UNKNOWN_STANDS_STILL_MS, |ms| ms >= STANDS_STILL_MS)
    }
}

/// The trees, the largest first. Sessions that queue for an advisory lock are left out unless `advisory`: leader
/// elections wait for one by design, and for ever.
pub(crate) fn trees(facts: &SqlFacts, advisory: bool) -> Vec<Tree<'_>> {
    let views: BTreeMap<i32, &SessionView> = facts.sessions.sessions.iter().map(|s| (s.pid, s)).collect();
    let by_design = |w: &WaitView| {
        !advisory && views.get(&w.pid).is_some_and(|s| s.wait_event.as_deref() == Some("advisory"))
    };
    let waits: BTreeMap<i32, &WaitView> =
        facts.sessions.waits.iter().filter(|w| !by_design(w)).map(|w| (w.pid, w)).collect();
    let mut behind: BTreeMap<i32, Vec<&WaitView>> = BTreeMap::new();
    for wait in waits.values() {
        for blocker in BTreeSet::from_iter(&wait.blocked_by) {
            behind.entry(*blocker).or_default().push(wait);
        }
    }
    let roots = behind.keys().filter(|pid| !waits.contains_key(pid));
    let mut trees: Vec<_> = roots.map(|root| tree(*root, &behind, &views)).collect();
    trees.sort_by_key(|t| (std::cmp::Reverse(t.waiters.len()), t.root));
    trees
}

fn tree<'a>(
    root: i32,
    behind: &BTreeMap<i32, Vec<&'a WaitView>>,
    views: &BTreeMap<i32, &'a SessionView>,
) -> Tree<'a> {
    let mut seen = BTreeSet::from([root]);
    let mut waiters = Vec::new();
    let mut todo = vec![root];
    while let Some(pid) = todo.pop() {
        for &wait in behind.get(&pid).into_iter().flatten() {
            if seen.insert(wait.pid) {
                waiters.push(wait);
                todo.push(wait.pid);
            }
        }
    }
    waiters.sort_by_key(|w| w.pid);
    let view = |w: &&WaitView| views.get(&w.pid).copied();
    let longest_ms = waiters.iter().filter_map(view).filter_map(|s| s.query_ms).fold(0.0, f64::max);
    let for_relation = waiters.iter().filter_map(view).any(|s| s.wait_event.as_deref() == Some("relation"));
    Tree {
        root,
        session: views.get(&root).copied(),
        direct: waiters.iter().filter(|w| w.blocked_by.contains(&root)).count(),
        queue_head: queue_head(root, &waiters, views),
        waiters,
        longest_ms,
        for_relation,
    }
}

/// The waiter on a relation that more than half of the others have in their way, and not the root.
fn queue_head<'a>(
    root: i32,
    waiters: &[&'a WaitView],
    views: &BTreeMap<i32, &'a SessionView>,
) -> Option<&'a WaitView> {
    let queued = |head: &WaitView| {
        waiters.iter().filter(|w| w.blocked_by.contains(&head.pid) && !w.blocked_by.contains(&root)).count()
    };
    let wants_relation =
        |w: &WaitView| views.get(&w.pid).is_some_and(|s| s.wait_event.as_deref() == Some("relation"));
    let head = waiters
        .iter()
        .copied()
        .filter(|w| w.blocked_by.contains(&root) && wants_relation(w))
        .max_by_key(|w| queued(w))?;
    (queued(head) * 2 >= waiters.len() && queued(head) > 0).then_some(head)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::evidence::fixture::facts;
    use crate::rooms::sessions::ending::tests::session_of;

    /// A session that waits for `event` for `ms`, and its wait behind `blocked_by`.
    pub(crate) fn wait(facts: &mut SqlFacts, pid: i32, event: &str, ms: f64, blocked_by: &[i32]) {
        facts.sessions.lock_waiters += 1;
        facts.sessions.sessions.push(SessionView {
            wait_event_type: Some("Lock".into()),
            wait_event: Some(event.into()),
            ..session_of(pid, "active", ms)
        });
        let wants = match event {
            "relation" => "AccessShareLock on jobs".to_owned(),
            _ => format!("ShareLock on {event} 731"),
        };
        facts.sessions.waits.push(WaitView { pid, blocked_by: blocked_by.to_vec(), wants: Some(wants) });
    }

    #[test]
    fn a_chain_is_walked_to_its_root_and_a_cycle_ends() {
        let mut f = facts();
        wait(&mut f, 2, "transactionid", 10.0, &[1]);
        wait(&mut f, 3, "tuple", 10.0, &[2]);
        wait(&mut f, 4, "tuple", 10.0, &[2, 3]);
        wait(&mut f, 8, "transactionid", 10.0, &[9]);
        wait(&mut f, 9, "transactionid", 10.0, &[8]);
        let trees = trees(&f, false);
        assert_eq!(trees.len(), 1);
        assert_eq!((trees[0].root, trees[0].direct, trees[0].waiters.len()), (1, 1, 3));
        assert!(trees[0].queue_head.is_none(), "a row's queue has no head worth ending");
        assert!(!trees[0].stands_still());
    }

    #[test]
    fn a_waiting_ddl_is_the_head_of_those_that_queue_behind_it() {
        let mut f = facts();
        f.sessions.sessions.push(session_of(1, "idle in transaction", 30_000.0));
        wait(&mut f, 2, "relation", 4_000.0, &[1]);
        for pid in 3..9 {
            wait(&mut f, pid, "relation", 900.0, &[2]);
        }
        let trees = trees(&f, false);
        assert_eq!(trees[0].queue_head.map(|w| w.pid), Some(2));
        assert!(trees[0].stands_still());
        assert!((trees[0].longest_ms - 4_000.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_root_that_may_not_be_seen_stands_still_once_its_waiters_have_waited_long() {
        let behind = |ms: f64| {
            let mut f = facts();
            let hidden =
                SessionView { state: None, state_ms: None, query_ms: None, ..session_of(1, "", 0.0) };
            f.sessions.sessions.push(hidden);
            (2..8).for_each(|pid| wait(&mut f, pid, "transactionid", ms, &[1]));
            trees(&f, false)[0].stands_still()
        };
        assert!(!behind(900.0) && behind(3_000.0));
    }

    #[test]
    fn an_election_by_advisory_lock_is_no_tree() {
        let mut f = facts();
        for pid in 2..9 {
            wait(&mut f, pid, "advisory", 900_000.0, &[1]);
        }
        assert!(trees(&f, false).is_empty());
        assert_eq!(trees(&f, true).len(), 1);
    }
}
