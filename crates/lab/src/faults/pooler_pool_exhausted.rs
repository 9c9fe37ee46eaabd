//! Every server connection of the pooler is in use, and a client waits for one.

use crate::pgbouncer::PoolColumn;
use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let pooler = lab.pooler()?;
    let login = Login::of_api(lab.postgres()).through(pooler.port());
    let busy = Sessions::open(lab.postgres(), &login.clone().named("renderflow-report"), pooler.pool_size())?;
    busy.begin("select pg_sleep(600)");
    busy.wait_state("state = 'active'")?;
    let waiting = Sessions::open(lab.postgres(), &login, 1)?;
    waiting.begin("select 1");
    pooler.wait_pool(PoolColumn::ClientsWaiting, 1)?;
    Ok(Guard::holding(busy).and_holding(waiting))
}
