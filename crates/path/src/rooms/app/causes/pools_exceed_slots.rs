//! `pools-exceed-slots`: the API's pools together may have more connections than the server has slots.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::{identifier, psql};
use crate::rooms::admission::slots;
use crate::rooms::sessions::ending;
use crate::said;
use crate::sql::facts::SqlFacts;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};
use std::collections::BTreeMap;

cause! {
    /// The API's instances times the size of their pools are more than the server has slots for.
    ///
    /// ## What it is
    /// Each instance is entitled to a whole pool. One instance more (a scale-out, a rolling deploy that keeps old and new at
    /// once, a worker, a cron job), and under load the last ones find no slot: logins fail now and then, on some machines,
    /// and the failing ones are the newest.
    ///
    /// ## What proves it
    /// `pg_pool_max` of one instance, times the client addresses from which its application's sessions come, plus what others
    /// hold, is above `max_connections` less the reserves; and slots run out. Each address holds no more than one pool: a
    /// single one with far more is a leak or another program, and sessions that all idle for long are `idle-sessions`.
    ///
    /// ## What mends it
    /// 1. Take the overlap back: end the old release, scale workers down.
    /// 2. A smaller pool in each instance; most need fewer than ten.
    /// 3. PgBouncer in transaction mode between them.
    /// 4. Last, `max_connections`: a restart, and memory for each.
    ///
    /// ## What makes it worse
    /// Terminating pool members: the pool opens them again at once. Restarting all instances: all connect in one moment.
    ///
    /// ## What prevents it
    /// The sum checked in CI: (instances + those of a rolling deploy) x pool max + workers, below the ordinary slots;
    /// `ALTER ROLE … CONNECTION LIMIT` for workers and cron jobs.
    ///
    /// ## References
    /// Postgres manual: "Connections and Authentication" (`max_connections`). Runbook: "Prevention" (`max: 10`).
    "pools-exceed-slots" in App, proved by Proof::Drill;
}

/// The instances of an application, as the server sees them.
struct Instances<'a> {
    application: &'a str,
    /// Sessions of each client address.
    by_client: BTreeMap<&'a str, u64>,
    /// How many of them have idled for over policy `idle_after`.
    over_idle_after: u64,
}

fn find(e: &Evidence) -> Option<Finding> {
    let pool = e.app.metrics.get().filter(|m| m.failure.is_none())?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a pool's size")]
    let max = pool.max.filter(|max| (1.0..1e6).contains(max)).map(|max| max as u64)?;
    let (facts, at, place) = e.told()?;
    let slots = slots::count(e).filter(slots::Slots::short)?;
    let instances = instances(e, facts)?;
    let (count, held) = (instances.by_client.len() as u64, instances.by_client.values().sum::<u64>());
    let others = slots.taken.saturating_sub(held);
    let demand = count * max + others;
    let as_pools =
        instances.by_client.values().all(|n| *n <= max) && instances.over_idle_after * 2 < held.max(1);
    if count < 2 || !as_pools || demand <= slots.ordinary || held * 2 < slots.taken {
        return None;
    }
    let refused = said::errors(e).any(|s| s.says(Words::SlotsReserved) || s.says(Words::TooManyClients));
    let full = refused || slots.free() == 0;
    let severity = if full { Severity::Critical } else { Severity::Warning };
    let beside = if others > 0 { format!(" and {others} of others") } else { String::new() };
    let summary = format!(
        "{count} instances of {} with up to {max} connections each{beside} are {demand}, for {} ordinary slots",
        instances.application, slots.ordinary
    );
    let each: Vec<String> = instances.by_client.iter().take(6).map(|(ip, n)| format!("{ip} {n}")).collect();
    let said = format!("sessions of {} by client: {}", instances.application, each.join(", "));
    let seen = Fact::new(Source::Sql, at, format!("pg_stat_activity at {place}"), said).value(count);
    let gauge = Fact::new(Source::Http, pool.at, pool.url.as_str(), format!("pg_pool_max {max}")).value(max);
    Some(
        Finding::new(CAUSE.id, Room::App, severity, Confidence::Certain, summary, seen)
            .and(gauge)
            .and_all(slots.facts(e).into_iter().take(1))
            .mended_by(shrink(slots.ordinary, others, count, max))
            .mended_by(limit(e, slots.ordinary, others)),
    )
}

/// The application of the service's role that has most sessions, by its clients' addresses. Behind a proxy or a pooler all
/// have one address, and nothing can be said.
fn instances<'a>(e: &Evidence, facts: &'a SqlFacts) -> Option<Instances<'a>> {
    let own = |role: &str, application: &str| role == e.target.user && !ending::is_upkeep(application);
    let mut applications: BTreeMap<&str, Instances<'_>> = BTreeMap::new();
    for g in facts.admission.groups.iter().filter(|g| own(&g.role, &g.application)) {
        let application = g.application.as_str();
        let instances = applications.entry(application).or_insert_with(|| Instances {
            application: if application.is_empty() { "the API" } else { application },
            by_client: BTreeMap::new(),
            over_idle_after: 0,
        });
        *instances.by_client.entry(g.client.as_str()).or_default() += g.count;
        if g.state.as_deref() == Some("idle") {
            instances.over_idle_after += g.over_idle_after;
        }
    }
    applications.into_values().max_by_key(|i| i.by_client.values().sum::<u64>())
}

fn shrink(ordinary: u64, others: u64, count: u64, max: u64) -> RemedyPlan {
    let fits = ordinary.saturating_sub(others) / count;
    let plan = format!(
        "take instances back, or give each a pool of at most {fits} instead of {max} (fewer, if a deploy has old and new at \
         once), and roll that out one instance at a time"
    );
    let watch = "select client_addr, count(*) from pg_stat_activity where backend_type = 'client backend' group by 1 order by 2 \
                 desc;   -- before and after";
    RemedyPlan::by_hand("shrink-pools", RemedyKind::AppRestart, plan, watch)
}

/// So that what else connects keeps its slots.
fn limit(e: &Evidence, ordinary: u64, others: u64) -> RemedyPlan {
    let sql = format!(
        "alter role {} connection limit {}",
        identifier(&e.target.user),
        ordinary.saturating_sub(others.max(5))
    );
    RemedyPlan::by_hand(
        "limit-role",
        RemedyKind::Settings,
        "until then: a limit for the API's role leaves the other roles their slots; no restart",
        psql(e, &sql),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{AT, healthy, refused, with_facts};
    use crate::rooms::app::evidence::PoolMetrics;
    use crate::sql::facts::SessionGroup;
    use pgmedic_model::Role;

    const RESERVED: &str = "remaining connection slots are reserved for roles with the SUPERUSER attribute";

    /// So many machines with so many sessions each, `over` of them idle for long.
    fn machines(machines: u64, each: u64, over: u64) -> Evidence {
        let mut e = with_facts(|f| {
            (f.admission.client_backends, f.admission.own) = (machines * each + 1, 1);
            let group = |n| SessionGroup {
                application: "renderflow-api".into(),
                role: "app".into(),
                client: format!("10.0.0.{n}"),
                state: Some("idle".into()),
                count: each,
                over_idle_after: over,
                ..SessionGroup::default()
            };
            f.admission.groups = (1..=machines).map(group).collect();
        });
        e.app.metrics = Seen::Seen(PoolMetrics { at: AT, max: Some(10.0), ..PoolMetrics::default() });
        e
    }

    #[test]
    fn pools_exceed_slots_by_instances_times_pool_size() {
        let found = find(&machines(12, 8, 0)).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Warning, Confidence::Certain));
        assert_eq!(
            found.summary,
            "12 instances of renderflow-api with up to 10 connections each are 120, for 97 ordinary slots"
        );
        assert!(found.remedies[0].plan.contains("at most 8 instead of 10"));
        assert!(find(&machines(9, 10, 0)).is_none(), "90 fit");
        assert!(find(&machines(12, 4, 0)).is_none(), "slots are free: a matter for an audit");
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn pools_exceed_slots_explains_that_they_are_exhausted() {
        let mut e = machines(12, 8, 0);
        let rescue = e.front.clone();
        e.front = refused("53300", RESERVED).front;
        e.rescue = Seen::Seen(rescue);
        let found = crate::diagnose(&e);
        let told: Vec<_> = found.iter().map(|f| (f.cause.as_str(), f.role)).collect();
        assert_eq!(told, [(CAUSE.id, Role::Root), ("slots-exhausted", Role::Symptom)]);
    }

    #[test]
    fn pools_exceed_slots_not_where_they_are_no_pools() {
        assert!(find(&machines(4, 24, 0)).is_none(), "each holds more than a pool");
        assert!(find(&machines(12, 8, 8)).is_none(), "all idle for long: idle-sessions");
        assert!(find(&machines(1, 97, 0)).is_none());
        let mut e = machines(12, 8, 0);
        e.app.metrics = Seen::NotSeen("not configured".into());
        assert!(find(&e).is_none(), "the pools' size is not known");
    }
}
