//! `[service.budget]`: what the API's deployment may open at most. Not in here: the sum (`pgmedic_path::audit`).

use super::document::Section;
use super::error::{ConfigError, Show};
use pgmedic_model::BudgetPlan;

const KEYS: [&str; 11] = [
    "role",
    "machines",
    "pool_max",
    "workers",
    "worker_pool_max",
    "migrations",
    "deploy_overlap",
    "others",
    "pool_idle",
    "pool_lifetime",
    "pool_wait",
];

/// More than this of anything is a slip.
const MOST: u64 = 1_000_000;

pub(super) fn read(service: &Section<'_, '_>) -> Result<BudgetPlan, ConfigError> {
    let mut plan = BudgetPlan::default();
    let Some(section) = service.table("budget", "[service.budget]", &KEYS)? else { return Ok(plan) };
    plan.role = section.string("role")?.map(|at| at.value);
    for (key, field, least) in [
        ("machines", &mut plan.machines, 1),
        ("pool_max", &mut plan.pool_max, 1),
        ("workers", &mut plan.workers, 0),
        ("worker_pool_max", &mut plan.worker_pool_max, 1),
        ("migrations", &mut plan.migrations, 0),
        ("deploy_overlap", &mut plan.deploy_overlap, 0),
        ("others", &mut plan.others, 0),
    ] {
        *field = section.count(key)?;
        if field.is_some_and(|count| count < least || count > MOST) {
            let problem = format!("{key} in [service.budget] lies between {least} and {MOST}");
            return Err(section.document.error(section.span, problem, Show::KeysOnly));
        }
    }
    for (key, field) in [
        ("pool_idle", &mut plan.pool_idle_ms),
        ("pool_lifetime", &mut plan.pool_lifetime_ms),
        ("pool_wait", &mut plan.pool_wait_ms),
    ] {
        *field = section.duration(key)?.map(|span| span.as_secs_f64() * 1000.0);
    }
    Ok(plan)
}
