//! Drills of the room `server`.

use super::{API, PLAIN, PROXY, drill};
use crate::drills::Drill;
use pgmedic_lab::{Lab, LabError, cgroup, faults};
use pgmedic_path::Service;

/// Every drill of the room.
pub(super) const DRILLS: &[Drill] = &[
    drill(
        API,
        "server-starting",
        "The server starts, and its recovery waits for the archive.",
        faults::server_starting::inject,
    ),
    drill(
        API,
        "server-recovering",
        "A backend was killed, and the server's recovery does not get on.",
        faults::server_recovering::inject,
    ),
    Drill {
        root: Some(cgroup::NEEDED),
        ..drill(
            API,
            "out-of-memory-kill",
            "A query took all the memory of the server's control group, and the kernel killed its backend.",
            faults::out_of_memory_kill::inject,
        )
    },
    Drill {
        root: Some(cgroup::NEEDED),
        ..drill(
            PLAIN,
            "host-starved",
            "The server may use a hundredth of a CPU, and its own queries use that up.",
            faults::host_starved::inject,
        )
    },
    Drill {
        configure: reads_from_a_standby,
        ..drill(
            PROXY,
            "recovery-conflict",
            "Replay on the standby waits for a report's long transaction.",
            faults::recovery_conflict::inject,
        )
    },
    drill(
        API,
        "server-shutting-down",
        "A smart shutdown waits for a client that does not go.",
        faults::server_shutting_down::inject,
    ),
    drill(
        API,
        "read-only-by-setting",
        "Every transaction in the database begins read-only, by a setting.",
        faults::read_only_by_setting::inject,
    ),
    drill(PROXY, "routed-to-standby", "The proxy leads to a hot standby.", faults::routed_to_standby::inject),
    drill(
        PROXY,
        "standby-not-ready",
        "The proxy leads to a standby that lets no reader in.",
        faults::standby_not_ready::inject,
    ),
    drill(
        API,
        "server-down",
        "The postmaster was killed: its lock file is left, and nobody listens.",
        faults::server_down::inject,
    )
    .mended_by(&["start-database"]),
    drill(
        API,
        "server-hung",
        "The postmaster is stopped; the kernel still accepts its connections.",
        faults::server_hung::inject,
    ),
    drill(
        API,
        "stopped-by-administrator",
        "Somebody stopped the server in good order, and it stays stopped.",
        faults::stopped_by_administrator::inject,
    ),
    drill(
        API,
        "server-cannot-start",
        "A library that is not there was put into the configuration, and the server restarted.",
        faults::server_cannot_start::inject,
    ),
    drill(
        API,
        "backend-crashed",
        "A backend was killed; the server is well again, and the API's pool keeps dead sessions.",
        faults::backend_crashed::inject,
    )
    .on_a_stand_in()
    .mended_by(&["recycle-api-pool"]),
    Drill {
        programs: &["prlimit"],
        ..drill(API, "fork-failed", "The postmaster may have no more processes.", faults::fork_failed::inject)
    },
    Drill {
        programs: &["prlimit"],
        ..drill(
            API,
            "allocation-failed",
            "The server's processes may have no more memory than a login needs.",
            faults::allocation_failed::inject,
        )
    },
    Drill {
        programs: &["prlimit"],
        ..drill(
            API,
            "server-descriptors-exhausted",
            "The postmaster has no descriptor left for a connection.",
            faults::server_descriptors_exhausted::inject,
        )
    },
    Drill {
        root: Some("a /dev/shm of the server's own is a mount, and only root may mount"),
        programs: &["unshare"],
        ..drill(
            API,
            "shared-memory-full",
            "The server's /dev/shm is full, and the API's query is parallel.",
            faults::shared_memory_full::inject,
        )
        .on_a_stand_in()
    },
    drill(
        API,
        "wraparound-guard",
        "The oldest table cannot be vacuumed, and transaction ids run out.",
        faults::wraparound_guard::inject,
    ),
    drill(
        API,
        "lock-table-full",
        "One transaction has made tables until there was no room for another lock.",
        faults::lock_table_full::inject,
    ),
    drill(
        API,
        "stale-lock-file",
        "The server was killed, and its lock file's pid belongs to another process by now.",
        faults::stale_lock_file::inject,
    ),
];

/// A service of reports: it means to be led to a standby, and its role may see every session.
fn reads_from_a_standby(_: &Lab, service: &mut Service) -> Result<(), LabError> {
    for target in std::iter::once(&mut service.target).chain(&mut service.direct) {
        target.wants_standby = true;
        "monitor".clone_into(&mut target.user);
    }
    Ok(())
}
