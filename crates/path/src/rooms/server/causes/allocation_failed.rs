//! `allocation-failed`: the server's processes get no memory.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::said;
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity, SqlState};

cause! {
    /// The server gets no memory for a session or its query: an allocation fails.
    ///
    /// ## What it is
    /// A process asked the system for memory and was refused: a limit on address space (`ulimit -v`), strict overcommit
    /// (`vm.overcommit_memory = 2`) with no room left, or a host without memory. Where it hits logins, nobody new gets in.
    ///
    /// ## What proves it
    /// `53200 out of memory`, DETAIL `Failed on request of size N in memory context "…"`, at a login or at pgmedic's own
    /// query.
    ///
    /// ## What mends it
    /// See what uses the memory; cancel the query that does, or close sessions (stop one API instance). Then lower
    /// `work_mem`, or raise the limit or the memory.
    ///
    /// ## What makes it worse
    /// Raising `work_mem`, `shared_buffers` or `max_connections`. A restart brings every client back at once.
    ///
    /// ## What prevents it
    /// `shared_buffers` plus `work_mem` times sessions below what the host commits; PgBouncer.
    ///
    /// ## References
    /// Postgres manual: "Managing Kernel Resources" (Linux memory overcommit), appendix "Error Codes" (53200).
    "allocation-failed" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let told = said::errors(e)
        .find(|s| s.error.is(SqlState::OUT_OF_MEMORY) && !s.error.says("out of shared memory"))?;
    let severity = if told.to_the_service() { Severity::Critical } else { Severity::Warning };
    let detail =
        told.error.detail.as_deref().map(|d| format!(" ({})", d.trim_end_matches('.'))).unwrap_or_default();
    let summary = format!("the server gets no memory from its system: {}{detail}", told.error.message);
    let pid = e.host.get().and_then(|h| h.postmaster.as_ref()).map(|p| p.pid);
    let pid = pid.map_or_else(|| "$(pgrep -o -x postgres)".to_owned(), |pid| pid.to_string());
    Some(
        Finding::new(CAUSE.id, Room::Server, severity, Confidence::Certain, summary, told.fact()).mended_by(
            RemedyPlan::by_hand(
                "free-memory",
                RemedyKind::Advice,
                "see on the server's host which limit it is and who uses the memory; then cancel that query or close sessions",
                format!(
                    "free -m; grep -i 'address space' /proc/{pid}/limits; grep -i commit /proc/meminfo; \
                     ps -o pid,rss,args --sort=-rss --ppid {pid} | head"
                ),
            ),
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, refused};

    #[test]
    fn allocation_failed_at_a_login() {
        let found = crate::diagnose(&refused("53200", "out of memory"));
        assert_eq!((found.len(), found[0].cause.as_str()), (1, "allocation-failed"));
        assert_eq!(found[0].summary, "the server gets no memory from its system: out of memory");
        assert!(find(&refused("53200", "out of shared memory")).is_none());
        // Recorded on 15.18 under a limit of the address space.
        let mapped =
            "could not map shared memory segment \"pg_dynshmem/mmap.1557233076\": Cannot allocate memory";
        assert!(find(&refused("53200", mapped)).is_some());
        assert!(find(&healthy()).is_none());
    }
}
