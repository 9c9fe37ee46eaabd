//! Queries sort more than fits their `work_mem`, and what they spill fills the data directory's volume. Needs root.

use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};
use std::sync::Arc;

/// Rows of a thousand bytes that one query sorts.
const ROWS: u32 = 4000;
/// Most queries.
const MOST: u32 = 64;

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let (volume, postgres) = (lab.volume()?, Arc::clone(lab.postgres()));
    let sort = format!(
        "set work_mem = '64kB'; select pg_sleep(3600), line from \
         (select repeat(md5(generate_series(1, {ROWS})::text), 31) as line order by line) sorted"
    );
    let mut guard = Guard::default();
    for n in 0..MOST {
        if volume.available()? < volume.total()? / 10 {
            return Ok(guard);
        }
        let session = Sessions::open(&postgres, &Login::of_api(&postgres).named(&format!("report-{n}")), 1)?;
        session.begin(&sort);
        session.wait_state("wait_event = 'PgSleep'")?;
        guard = guard.and_holding(session);
    }
    Err(LabError::Late {
        what: "a volume that is full of temporary files".to_owned(),
        waited: std::time::Duration::ZERO,
        last: String::new(),
    })
}
