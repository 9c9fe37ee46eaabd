//! `shared-memory-full`: /dev/shm has no space left.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::app::readiness;
use crate::rooms::server::log;
use crate::said::{self, Said};
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// The server's `/dev/shm` is full: parallel queries and new sessions fail, though its disk has space.
    ///
    /// ## What it is
    /// Postgres keeps dynamic shared memory (parallel workers, the statistics since 15) in `/dev/shm`, a tmpfs. Containers
    /// get 64 MB of it unless told otherwise. The error is ENOSPC with the text of a full disk.
    ///
    /// ## What proves it
    /// `53100 could not resize shared memory segment "/PostgreSQL.N" to … bytes: No space left on device`, at a login,
    /// at a query or at the start.
    ///
    /// ## What mends it
    /// Give the container more: `--shm-size 1g`, `shm_size:`, an emptyDir with `medium: Memory` at `/dev/shm`; until that is
    /// done, `alter system set max_parallel_workers_per_gather = 0` and a reload takes the pressure off.
    ///
    /// ## What makes it worse
    /// Extending the volume of the data directory: money for nothing. Removing files of `/dev/shm` while the server runs.
    ///
    /// ## What prevents it
    /// `/dev/shm` sized by `max_parallel_workers` times `work_mem` times `hash_mem_multiplier`.
    ///
    /// ## References
    /// Postgres manual: "Managing Kernel Resources", `dynamic_shared_memory_type`, shm_overview(7).
    "shared-memory-full" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let told = said::error(e, Words::SharedMemoryFull);
    let logged = log::recent(e, Words::SharedMemoryFull);
    // Where it strikes parallel queries alone the walk's own query passes: then the API says whether it is struck.
    let struck = told.is_some() || !e.front.admitted() || readiness::failing(e);
    let severity = if struck { Severity::Critical } else { Severity::Warning };
    let mut facts = told.iter().map(Said::fact).chain(logged.map(|(_, fact)| fact));
    let proof = facts.next()?;
    let summary = "the server's /dev/shm is full: shared memory cannot grow; its disk is not what is full";
    let pid = e.host.get().and_then(|h| h.postmaster.as_ref()).map(|p| p.pid);
    let shm = pid.map_or_else(|| "/dev/shm".to_owned(), |pid| format!("/proc/{pid}/root/dev/shm"));
    Some(
        Finding::new(CAUSE.id, Room::Server, severity, Confidence::Certain, summary, proof)
            .and_all(facts)
            .mended_by(RemedyPlan::by_hand(
                "enlarge-shared-memory",
                RemedyKind::Advice,
                "see how large it is on the server's host or in its container, then give it more (--shm-size, shm_size)",
                format!("df -h {shm}; ls -lS {shm} | head"),
            )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, refused};

    #[test]
    fn shared_memory_full_is_no_full_disk() {
        let shm = "could not resize shared memory segment \"/PostgreSQL.1\" to 1048576 bytes: No space left on device";
        let e = refused("53100", shm);
        let found: Vec<_> = crate::diagnose(&e).into_iter().map(|f| f.cause).collect();
        assert_eq!(found, ["shared-memory-full"]);
        assert!(
            find(&refused("53100", "could not extend file \"base/5/1\": No space left on device")).is_none()
        );
        assert!(find(&healthy()).is_none());
    }
}
