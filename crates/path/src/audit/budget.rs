//! The sum of the connection budget: every pool at its largest, at once, against what the server lets in.

use super::view::View;
use crate::evidence::Evidence;
use crate::instances;
use crate::platform::told::InstanceState;
use pgmedic_model::{Budget, Term};

/// pgmedic takes at most two connections to a target.
const OWN: u64 = 2;
/// Migrations and machines beside the others, where the configuration does not say.
const MIGRATIONS: u64 = 1;
const OVERLAP: u64 = 1;

/// A figure, and where it is from.
#[derive(Clone, Copy)]
struct Figure {
    number: u64,
    from: &'static str,
}

/// A limit, what counts towards it besides the pools, and what it is.
struct Limit {
    allowed: u64,
    fixed: u64,
    by: String,
}

/// The API's deployment, as far as it is known.
struct Deployment {
    machines: Option<Figure>,
    pool: Option<Figure>,
    workers: Figure,
    worker_pool: Option<u64>,
    migrations: Figure,
    overlap: Figure,
    others: Figure,
}

const CONFIGURED: &str = "pgmedic.toml";

impl Deployment {
    fn of(view: &View<'_>) -> Self {
        let plan = &view.e.budget;
        let told = |number: Option<u64>| number.map(|number| Figure { number, from: CONFIGURED });
        let or = |number: Option<u64>, default: u64| {
            told(number).unwrap_or(Figure { number: default, from: "default" })
        };
        let metrics = view.e.app.metrics.get().and_then(|m| m.max);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a pool has few connections"
        )]
        let measured =
            metrics.filter(|max| *max >= 1.0).map(|max| Figure { number: max as u64, from: "pg_pool_max" });
        let alive = |i: &&crate::platform::told::Instance| {
            !matches!(i.state, InstanceState::Stopped | InstanceState::Failed)
        };
        let running = instances::of_api(view.e).iter().filter(alive).count() as u64;
        let running = (running > 0).then_some(Figure { number: running, from: "the platform" });
        Self {
            machines: told(plan.machines).or(running),
            pool: told(plan.pool_max).or(measured),
            workers: or(plan.workers, 0),
            worker_pool: plan.worker_pool_max,
            migrations: or(plan.migrations, MIGRATIONS),
            overlap: or(plan.deploy_overlap, OVERLAP),
            others: told(plan.others).unwrap_or(Figure { number: others(view), from: "observed" }),
        }
    }

    /// Pools of the size that is to be chosen.
    fn pools(&self) -> Option<u64> {
        let workers = if self.worker_pool.is_some() { 0 } else { self.workers.number };
        Some(self.machines?.number + self.overlap.number + workers)
    }

    /// The API's role's connections that are in no such pool.
    fn beside(&self) -> u64 {
        self.migrations.number + self.worker_pool.map_or(0, |pool| pool * self.workers.number)
    }

    /// What the API's role opens at most.
    fn wanted(&self) -> Option<u64> {
        Some(self.pools()? * self.pool?.number + self.beside())
    }

    fn terms(&self) -> Vec<Term> {
        let mut terms = Vec::new();
        let mut add = |what: String, connections: u64, from: &str| {
            terms.push(Term { what, connections, from: from.to_owned() });
        };
        if let (Some(machines), Some(pool)) = (self.machines, self.pool) {
            let from = if machines.from == pool.from {
                machines.from.to_owned()
            } else {
                format!("{}, {}", machines.from, pool.from)
            };
            let plural = if machines.number == 1 { "machine" } else { "machines" };
            add(
                format!("{} {plural} × pool max {}", machines.number, pool.number),
                machines.number * pool.number,
                &from,
            );
            if self.overlap.number > 0 {
                let what = format!("{} more during a deploy × pool max {}", self.overlap.number, pool.number);
                add(what, self.overlap.number * pool.number, self.overlap.from);
            }
        }
        if let Some(each) =
            self.worker_pool.or(self.pool.map(|p| p.number)).filter(|_| self.workers.number > 0)
        {
            add(
                format!("{} workers × pool max {each}", self.workers.number),
                self.workers.number * each,
                self.workers.from,
            );
        }
        add("migrations".to_owned(), self.migrations.number, self.migrations.from);
        add("pgmedic".to_owned(), OWN, "default");
        add("others: exporters, consoles, other services".to_owned(), self.others.number, self.others.from);
        terms
    }
}

/// Sessions that are neither the API's nor pgmedic's.
fn others(view: &View<'_>) -> u64 {
    let roles = view.api_roles();
    let groups = view.facts.admission.groups.iter();
    groups.filter(|g| !roles.contains(&g.role.as_str()) && !g.role.is_empty()).map(|g| g.count).sum()
}

fn limits(view: &View<'_>, d: &Deployment) -> Vec<Limit> {
    let a = &view.facts.admission;
    let reserved = a.superuser_reserved + a.reserved;
    let all = d.beside() + OWN + d.others.number;
    let mut limits = vec![Limit {
        allowed: a.ordinary(),
        fixed: all,
        by: format!("max_connections {} − {reserved} reserved", a.max_connections),
    }];
    for role in view.api_roles() {
        let limited = view.role(role).filter(|r| !r.superuser).and_then(|r| u64::try_from(r.limit).ok());
        limits.extend(limited.map(|allowed| Limit {
            allowed,
            fixed: d.beside(),
            by: format!("CONNECTION LIMIT {allowed} of role {role}"),
        }));
    }
    let database = a.database_limits.iter().find(|l| l.name == view.facts.me.database);
    limits.extend(database.and_then(|l| u64::try_from(l.limit).ok()).map(|allowed| Limit {
        allowed,
        fixed: all,
        by: format!("CONNECTION LIMIT {allowed} of database {}", view.facts.me.database),
    }));
    limits
}

/// The pools of a pooler whose console was read: how many there are, and what they open in all.
fn pooler(view: &View<'_>) -> Option<(u64, u64)> {
    let pooler = view.e.pooler.get().filter(|p| p.failure.is_none())?;
    let size = |database: &str| {
        let known = pooler.databases.iter().find(|d| d.name == database).map(|d| d.pool_size);
        known.or(pooler.default_pool_size).unwrap_or(0)
    };
    // One for each user of a database; of one that nobody has used yet, one.
    let mut pools: Vec<&str> = pooler.pools.iter().map(|p| p.database.as_str()).collect();
    let unused = pooler.databases.iter().map(|d| d.name.as_str()).filter(|name| !pools.contains(name));
    let unused: Vec<&str> = unused.collect();
    pools.extend(unused);
    pools.retain(|database| *database != "pgbouncer");
    Some((pools.len() as u64, pools.into_iter().map(size).sum()))
}

/// The sum behind a pooler: its pools count towards the server, not the API's.
fn behind_a_pooler(view: &View<'_>, d: &Deployment) -> Option<Budget> {
    let a = &view.facts.admission;
    let fixed = d.migrations.number + OWN + d.others.number;
    let seen = pooler(view);
    let mut terms = d.terms();
    terms.retain(|term| !term.what.contains("pool max"));
    let pools = seen.map(|(pools, connections)| Term {
        what: format!("{pools} pool(s) of the pooler, at their largest"),
        connections,
        from: "SHOW POOLS, SHOW DATABASES".to_owned(),
    });
    terms.splice(0..0, pools);
    let largest = seen.and_then(|(pools, _)| a.ordinary().saturating_sub(fixed).checked_div(pools));
    Some(Budget {
        terms,
        wanted: seen.map(|(_, connections)| connections + fixed),
        allowed: a.ordinary(),
        allowed_by: format!(
            "max_connections {} − {} reserved",
            a.max_connections,
            a.superuser_reserved + a.reserved
        ),
        largest_pool: largest,
        largest_pool_by: largest
            .map(|_| format!("({} − {fixed} for the others) ÷ the pooler's pools", a.ordinary()))
            .unwrap_or_default(),
    })
}

/// The sum, against the limit that is the tightest. None where the server told nothing.
pub(crate) fn sum(e: &Evidence) -> Option<Budget> {
    let view = View::of(e)?;
    let d = Deployment::of(&view);
    if view.pooled() {
        return behind_a_pooler(&view, &d);
    }
    let pools = d.pools();
    let wanted = |limit: &Limit| d.wanted().map(|wanted| wanted - d.beside() + limit.fixed);
    let slack = |limit: &Limit| i128::from(limit.allowed) - i128::from(wanted(limit).unwrap_or(limit.fixed));
    let all = limits(&view, &d);
    let tightest = all.iter().min_by_key(|limit| slack(limit))?;
    let size = |limit: &Limit| limit.allowed.saturating_sub(limit.fixed).checked_div(pools?);
    let smallest = all.iter().filter_map(|limit| Some((size(limit)?, limit))).min_by_key(|(size, _)| *size);
    Some(Budget {
        terms: d.terms(),
        wanted: wanted(tightest),
        allowed: tightest.allowed,
        allowed_by: tightest.by.clone(),
        largest_pool: smallest.map(|(size, _)| size),
        largest_pool_by: smallest
            .map(|(_, l)| {
                format!("({} − {} for the others) ÷ {} pools", l.allowed, l.fixed, pools.unwrap_or(1))
            })
            .unwrap_or_default(),
    })
}

/// What the API opens at most, at its own end, where that is known.
pub(crate) fn wanted_by_the_api(view: &View<'_>) -> Option<u64> {
    Deployment::of(view).wanted()
}

/// What the API's role opens on the server at most: behind a pooler what that does, where its console tells.
pub(crate) fn wanted_of_the_server(view: &View<'_>) -> Option<u64> {
    if !view.pooled() {
        return wanted_by_the_api(view);
    }
    pooler(view).map(|(_, connections)| connections + Deployment::of(view).migrations.number)
}

/// What must stay free of the API: pgmedic and the others.
pub(crate) fn kept_for_others(view: &View<'_>) -> u64 {
    OWN + Deployment::of(view).others.number
}

/// What the sum lacks, where it lacks something.
pub(crate) fn unknown(e: &Evidence) -> Option<String> {
    let view = View::of(e)?;
    let d = Deployment::of(&view);
    if view.pooled() {
        let why = "a pooler stands before the server, and how large its pools are its console would tell (`pooler`)";
        return pooler(&view).is_none().then(|| why.to_owned());
    }
    let mut lacks = Vec::new();
    if d.machines.is_none() {
        lacks.push("how many machines the API has (machines, or [service.platform])");
    }
    if d.pool.is_none() {
        lacks.push("how large their pools are (pool_max, or metrics with pg_pool_max)");
    }
    (!lacks.is_empty()).then(|| format!("[service.budget] does not say {}", lacks.join(" and ")))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::audit::view::tests::audited;
    use crate::evidence::{QueryEvidence, QueryOutcome};

    /// An audit of a server with so many slots, and three machines, two workers.
    pub(crate) fn planned(max_connections: u64, pool: Option<u64>, limit: i64) -> Evidence {
        let mut e = audited(|told| {
            if let Some(role) = told.roles.iter_mut().find(|r| r.name == "app") {
                role.limit = limit;
            }
        });
        if let Some(QueryEvidence { outcome: QueryOutcome::Answered(facts), .. }) = &mut e.front.query {
            facts.admission.max_connections = max_connections;
        }
        (e.budget.machines, e.budget.workers, e.budget.pool_max) = (Some(3), Some(2), pool);
        e
    }

    #[test]
    fn every_pool_counts_at_its_largest() {
        let budget = sum(&planned(25, Some(10), -1)).unwrap();
        assert_eq!((budget.wanted, budget.allowed), (Some(63), 22));
        assert!(budget.is_overrun());
        assert_eq!(budget.allowed_by, "max_connections 25 − 3 reserved");
        assert_eq!(
            (budget.largest_pool, budget.largest_pool_by.as_str()),
            (Some(3), "(22 − 3 for the others) ÷ 6 pools")
        );
        let fits = sum(&planned(25, Some(3), -1)).unwrap();
        assert!(!fits.is_overrun(), "{fits:?}");
        assert_eq!(fits.wanted, Some(21));
    }

    #[test]
    fn the_tightest_limit_counts_with_what_counts_towards_it() {
        let budget = sum(&planned(100, Some(10), 40)).unwrap();
        assert_eq!((budget.wanted, budget.allowed), (Some(61), 40));
        assert_eq!(
            (budget.allowed_by.as_str(), budget.largest_pool),
            ("CONNECTION LIMIT 40 of role app", Some(6))
        );
    }

    #[test]
    fn what_is_not_known_is_said_and_not_guessed() {
        let mut e = planned(25, None, -1);
        let budget = sum(&e).unwrap();
        assert_eq!((budget.wanted, budget.largest_pool), (None, Some(3)));
        assert!(unknown(&e).unwrap().contains("pool_max") && !budget.is_overrun());
        e.budget.machines = None;
        assert_eq!(sum(&e).unwrap().largest_pool, None);
        assert!(unknown(&planned(25, Some(10), -1)).is_none());
    }

    #[test]
    fn behind_a_pooler_its_pools_count() {
        use crate::evidence::Seen;
        use crate::rooms::proxy::evidence::{PoolRow, PoolerDatabase, PoolerEvidence};
        let mut e = planned(25, Some(10), -1);
        let pool =
            |user: &str| PoolRow { database: "renderflow".into(), user: user.into(), ..PoolRow::default() };
        let database =
            PoolerDatabase { name: "renderflow".into(), pool_size: 12, ..PoolerDatabase::default() };
        e.pooler = Seen::Seen(PoolerEvidence {
            pools: vec![pool("app"), pool("jobs")],
            databases: vec![database],
            ..PoolerEvidence::default()
        });
        let budget = sum(&e).unwrap();
        assert_eq!((budget.wanted, budget.allowed, budget.largest_pool), (Some(27), 22, Some(9)));
        assert!(unknown(&e).is_none());
        if let Seen::Seen(pooler) = &mut e.pooler {
            pooler.failure = Some("tcp: refused".into());
        }
        assert_eq!(sum(&e).unwrap().wanted, None);
        assert!(unknown(&e).unwrap().contains("pooler"));
    }
}
