//! One instance of the API too many: each has a whole pool, and the last finds no slots left.

use crate::api::POOL_MAX;
use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Where the instances are: 127.0.0.20 and up.
const FIRST: u8 = 20;
/// Instances with a full pool.
const FULL: u8 = 9;

/// How often each connection is used: none of them idles for long.
const USED_EVERY: Duration = Duration::from_millis(250);

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    lab.restart_api();
    let at = |n: u8| Login::of_api(lab.postgres()).on_one_machine(Ipv4Addr::new(127, 0, 0, FIRST + n));
    let mut guard = Guard::default();
    for n in 0..FULL {
        guard = used(guard, Sessions::open(lab.postgres(), &at(n), POOL_MAX)?);
    }
    Ok(used(guard, Sessions::fill(lab.postgres(), &at(FULL))?))
}

/// Holds a pool that is in use; it is let go of before its sessions are.
fn used(guard: Guard, pool: Sessions) -> Guard {
    guard.and_holding(pool.keep_using(USED_EVERY)).and_holding(pool)
}
