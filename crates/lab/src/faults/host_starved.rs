//! The server's control group may use a hundredth of a CPU, and its own queries use that up. Needs root.

use crate::cgroup::{Cgroup, Limit};
use crate::sessions::{Login, Sessions};
use crate::{Guard, Lab, LabError};

/// A login and a statement take some ten milliseconds of CPU: with others in the way, seconds.
const LIMIT: Limit = Limit::CpuPercent(1);

/// Work that does not end.
const BUSY: &str = "do $$ declare n int := 0; begin loop n := (n + 1) % 1000; end loop; end $$";

/// Injects it.
///
/// # Errors
/// Where the lab cannot.
pub fn inject(lab: &Lab) -> Result<Guard, LabError> {
    let group = Cgroup::limited(LIMIT, lab.janitor())?;
    let postgres = lab.postgres();
    let pid = postgres.pid()?;
    let login = Login::of_api(postgres).named("renderflow-batch");
    let mut busy = Vec::new();
    for _ in 0..4 {
        let one = Sessions::open(postgres, &login, 1)?;
        one.begin(BUSY);
        busy.push(one);
    }
    for child in children(pid) {
        group.add(child)?;
    }
    group.add(pid)?;
    // The quota goes first: a server that is starved takes its time to end sessions.
    Ok(Guard::undone_by(move || {
        drop(group);
        drop(busy);
        Ok(())
    }))
}

/// The processes whose parent is this one (proc(5)).
fn children(parent: u32) -> Vec<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}
