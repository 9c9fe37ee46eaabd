//! Backends that do not run: stopped by a signal, or stuck in the kernel each time they are looked at.
//!
//! Asked of the few sessions that are in others' way or at work for too long, where SQL named them. Not in here: what a
//! stopped postmaster means (`rooms/server`), and which sessions those are.

use super::evidence::ProcessView;
use super::postmaster;
use super::procfs;
use std::path::Path;
use std::time::Duration;

/// Most backends looked at.
const MOST: usize = 64;
/// A backend that reads a disk is in state D for moments: it counts where it is each of so many times, and was never switched
/// to in between,
const LOOKS: usize = 4;
/// so far apart.
const APART: Duration = Duration::from_millis(50);

/// Those of the backends that do not run. A pid counts only where /proc bears out that it is a backend of the server with
/// that data directory.
pub(crate) fn among(pids: &[i32], told_data: Option<&Path>) -> Vec<ProcessView> {
    let ours = |pid: &u32| postmaster::of_backend(*pid, told_data).is_ok();
    let pids: Vec<u32> =
        pids.iter().take(MOST).filter_map(|pid| u32::try_from(*pid).ok()).filter(ours).collect();
    let look =
        |pid: u32| Some((procfs::process(pid).filter(|p| does_not_run(p.state))?, procfs::switches(pid)));
    let mut stuck: Vec<_> = pids.into_iter().filter_map(look).collect();
    for _ in 1..LOOKS {
        if stuck.iter().all(|(process, _)| process.state != 'D') {
            break;
        }
        std::thread::sleep(APART);
        stuck.retain(|(process, before)| look(process.pid).is_some_and(|(_, now)| now == *before));
    }
    stuck.iter().map(|(process, _)| procfs::view(process, None)).collect()
}

/// proc(5): T stopped, t traced, D in uninterruptible sleep.
const fn does_not_run(state: char) -> bool {
    matches!(state, 'T' | 't' | 'D')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_that_is_no_backend_of_the_server_is_not_looked_at() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        assert!(among(&[own, -1, 0, i32::MAX], None).is_empty());
        assert!(does_not_run('D') && does_not_run('T') && !does_not_run('S'));
    }
}
