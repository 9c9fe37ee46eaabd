//! THE order of a runbook's causes. It is a judgement and is said to be one: nobody has counted incidents here. First the
//! four faults that a team wrote its own runbook for, then by what brings a cause about, commonest occasion first; within
//! an occasion in the order of the path.

use crate::drills::table;
use pgmedic_path::{Cause, rooms};

/// What brings causes about.
pub(super) struct Occasion {
    pub(super) title: &'static str,
    pub(super) why: &'static str,
    causes: &'static [&'static str],
}

/// Every cause stands in one of them, but for those that break nothing yet.
pub(super) const OCCASIONS: [Occasion; 5] = [
    Occasion {
        title: "Everyday work",
        why: "Traffic, a deploy, a migration, a transaction that somebody forgot: nothing needs to be broken.",
        causes: &[
            "pools-exceed-slots",
            "pool-starved",
            "pool-leak",
            "reconnect-storm",
            "readiness-failing",
            "api-not-initialised",
            "api-unreachable",
            "api-holds-stale-state",
            "stale-pooled-sockets",
            "proxy-idle-timeout",
            "proxy-client-limit",
            "proxy-queue-timeout",
            "proxy-check-flaps",
            "proxy-without-backend",
            "proxy-drained-connections",
            "pooler-pool-exhausted",
            "pooler-client-limit",
            "all-slots-exhausted",
            "slots-nearly-exhausted",
            "role-limit-reached",
            "database-limit-reached",
            "idle-sessions",
            "idle-in-transaction",
            "lock-pile-up",
            "long-queries",
            "ghost-sessions",
        ],
    },
    Occasion {
        title: "Time passes",
        why: "A disk fills, a certificate or a password runs out: it was visible for days.",
        causes: &[
            "disk-filling",
            "wal-volume-full",
            "slot-retains-wal",
            "archiver-failing",
            "temp-files-fill-disk",
            "logs-fill-disk",
            "inodes-exhausted",
            "read-only-by-setting",
            "certificate-expired",
            "password-expired",
            "wraparound-guard",
        ],
    },
    Occasion {
        title: "Somebody changed something",
        why: "A secret, a name, a rule, a setting, a server: ask what was deployed last.",
        causes: &[
            "name-without-address",
            "address-family-mismatch",
            "port-closed",
            "listening-elsewhere",
            "firewall-rejects",
            "wrong-server",
            "pooler-breaks-prepared-statements",
            "pooler-rejects-parameter",
            "pooler-paused",
            "pooler-database-disabled",
            "pooler-upstream-failing",
            "tls-not-offered",
            "tls-required",
            "tls-version-mismatch",
            "certificate-wrong-name",
            "certificate-untrusted",
            "wrong-password",
            "hba-rejects",
            "role-missing",
            "login-not-permitted",
            "database-missing",
            "connect-privilege-missing",
            "startup-option-rejected",
            "database-not-accepting",
            "database-invalid",
            "stopped-by-administrator",
            "server-shutting-down",
            "server-cannot-start",
            "stale-lock-file",
            "routed-to-standby",
            "standby-not-ready",
            "orphan-prepared-transaction",
        ],
    },
    Occasion {
        title: "The server or its host breaks",
        why: "A process dies or hangs, or the host has no more of something.",
        causes: &[
            "server-down",
            "server-starting",
            "server-recovering",
            "backend-crashed",
            "out-of-memory-kill",
            "server-hung",
            "host-starved",
            "allocation-failed",
            "shared-memory-full",
            "lock-table-full",
            "fork-failed",
            "server-descriptors-exhausted",
            "recovery-conflict",
            "unkillable-backend",
            "pooler-hung",
            "filesystem-read-only",
            "client-descriptors-exhausted",
            "client-ports-exhausted",
        ],
    },
    Occasion {
        title: "The network breaks, and what is rare",
        why: "Packets or answers are lost on the way, or somebody floods the server.",
        causes: &[
            "resolver-failing",
            "resolver-silent",
            "dead-address-among-answers",
            "packets-dropped",
            "no-route",
            "idle-flow-forgotten",
            "half-open-session",
            "mtu-black-hole",
            "lossy-network",
            "accept-queue-full",
            "unauthenticated-flood",
            "self-inflicted",
            "readiness-lies",
        ],
    },
];

/// The runbook's four faults with its titles.
pub(super) fn four() -> impl Iterator<Item = (&'static str, &'static Cause)> {
    table::runbook().filter_map(|(title, drill)| Some((title, find(drill.root_cause())?)))
}

/// The causes of an occasion in the order of the path, without the four.
pub(super) fn of(occasion: &Occasion) -> impl Iterator<Item = &'static Cause> {
    rooms::causes().filter(|cause| occasion.causes.contains(&cause.id))
}

/// The causes at which the next start ends, and any that no occasion has yet.
pub(super) fn rest() -> impl Iterator<Item = &'static Cause> {
    rooms::causes().filter(|cause| {
        let placed = OCCASIONS.iter().any(|occasion| occasion.causes.contains(&cause.id));
        !placed && four().all(|(_, of_four)| of_four.id != cause.id)
    })
}

/// The cause of that id.
pub(super) fn find(id: &str) -> Option<&'static Cause> {
    rooms::causes().find(|cause| cause.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_cause_has_one_place_and_only_the_latent_ones_are_left_for_the_end() {
        let mut seen = BTreeSet::new();
        let placed = OCCASIONS.iter().flat_map(|occasion| occasion.causes.iter().copied());
        for id in placed.chain(four().map(|(_, cause)| cause.id)) {
            assert!(find(id).is_some(), "{id} is no cause");
            assert!(seen.insert(id), "{id} has two places");
        }
        assert_eq!(four().count(), 4);
        for cause in rest() {
            assert!(cause.latent, "{} has no place in runbook/order.rs: what brings it about?", cause.id);
        }
    }
}
