//! `idle-sessions`: sessions that nobody uses hold slots.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::{identifier, psql};
use crate::rooms::admission::slots;
use crate::rooms::sessions::ending;
use crate::sql::facts::SessionGroup;
use pgmedic_model::{Confidence, Fact, Finding, Ms, RemedyKind, RemedyPlan, Room, Severity, Source};

/// A fifth of the ordinary slots is a notable share; a twentieth where slots run short.
const NOTABLE: u64 = 5;
const NOTABLE_WHEN_SHORT: u64 = 20;

cause! {
    /// Many sessions have been idle for long, each holding a slot.
    ///
    /// ## What it is
    /// A pool with an idle timeout closes what it does not use. Sessions idle for over policy `idle_after` (10 min)
    /// mean that the timeout is not in force: a leak, a client that is gone without a FIN (the server notices after
    /// two hours), another program, or a pool that is simply too large.
    ///
    /// ## What proves it
    /// `state = 'idle'` and an old `state_change`, for a fifth of the ordinary slots or more (a twentieth where slots
    /// run short). Not `query_start`: that is when the last query *began*.
    ///
    /// ## What mends it
    /// Name the owner first. Then terminate the longest idle of one application, only as many as are needed. If the
    /// count is back within a minute, stop: a pool re-opens what is ended; mend its settings instead.
    ///
    /// ## What makes it worse
    /// Ending by age alone behind a proxy or NAT, where every client has one address; ending sessions that LISTEN or
    /// hold advisory locks. `idle_session_timeout` for all roles also ends poolers' and exporters' sessions.
    ///
    /// ## What prevents it
    /// An idle timeout in the pool (20 s), its size by the budget; `idle_session_timeout` per role (14+);
    /// `tcp_keepalives_idle` = 60.
    ///
    /// ## References
    /// Postgres manual: `pg_stat_activity`, "Client Connection Defaults" (`idle_session_timeout`). Runbook, section 1.
    "idle-sessions" in Sessions, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let (facts, at, place) = e.told()?;
    let slots = slots::count(e)?;
    let idle = |g: &&SessionGroup| {
        g.state.as_deref() == Some("idle") && g.over_idle_after > 0 && !ending::is_upkeep(&g.application)
    };
    let mut groups: Vec<_> = facts.admission.groups.iter().filter(idle).collect();
    groups.sort_by_key(|g| std::cmp::Reverse(g.over_idle_after));
    let total: u64 = groups.iter().map(|g| g.over_idle_after).sum();
    let part = if slots.short() { NOTABLE_WHEN_SHORT } else { NOTABLE };
    if total == 0 || total * part < slots.ordinary {
        return None;
    }
    let largest = *groups.first()?;
    let after = Ms(e.policy.idle_after_ms);
    let summary = format!(
        "{total} of {} ordinary slots are held by sessions idle for over {after}, {} of them {}",
        slots.ordinary,
        largest.over_idle_after,
        owner(largest)
    );
    let cite = |g: &&SessionGroup| {
        let oldest = g.oldest_state_ms.map(|ms| format!(", the longest for {}", Ms(ms))).unwrap_or_default();
        let text = format!("{} sessions {} idle for over {after}{oldest}", g.over_idle_after, owner(g));
        Fact::new(Source::Sql, at, format!("pg_stat_activity at {place}"), text).value(g.over_idle_after)
    };
    let mut cited = groups.iter().take(3).map(cite);
    let proof = cited.next()?;
    let finding =
        Finding::new(CAUSE.id, Room::Sessions, Severity::Warning, Confidence::Certain, summary, proof)
            .and_all(cited);
    let bound = (facts.version_num >= 140_000).then(|| bound(e, &largest.role));
    Some(ending::terminate_idle(e).into_iter().chain(bound).fold(finding, Finding::mended_by))
}

/// `by renderflow-api as app from 10.0.0.9`.
fn owner(g: &SessionGroup) -> String {
    let application = if g.application.is_empty() { "no application_name" } else { &g.application };
    let from = if g.client.is_empty() { String::new() } else { format!(" from {}", g.client) };
    format!("by {application} as {}{from}", g.role)
}

fn bound(e: &Evidence, role: &str) -> RemedyPlan {
    let sql = format!("alter role {} set idle_session_timeout = '10min'", identifier(role));
    RemedyPlan::by_hand(
        "bound-idle-sessions",
        RemedyKind::Settings,
        "let the server end idle sessions of this role by itself; not for a role that a pooler or an exporter uses",
        psql(e, &sql),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::with_facts;

    fn idle(over: u64, taken: u64, application: &str) -> Option<Finding> {
        find(&with_facts(|f| {
            f.admission.client_backends = taken + 1;
            f.admission.groups = vec![SessionGroup {
                application: application.into(),
                role: "app".into(),
                client: "10.0.0.9".into(),
                state: Some("idle".into()),
                count: taken,
                oldest_state_ms: Some(900_000.0),
                over_idle_after: over,
                ..SessionGroup::default()
            }];
        }))
    }

    #[test]
    fn idle_sessions_that_hold_a_fifth_of_the_slots() {
        assert!(idle(19, 30, "api").is_none());
        let found = idle(20, 30, "api").unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert_eq!(
            found.summary,
            "20 of 97 ordinary slots are held by sessions idle for over 10 min, 20 of them by api as app from 10.0.0.9"
        );
        assert!(
            found.remedies[0].command.contains("idle_session_timeout"),
            "slots enough are free: nobody is ended"
        );
    }

    #[test]
    fn idle_sessions_weigh_more_where_slots_run_short() {
        assert!(idle(4, 90, "api").is_none());
        assert!(idle(5, 90, "api").is_some());
        assert!(idle(60, 90, "postgres_exporter").is_none());
    }
}
