//! Which cause explains which: the one place where causes know of each other. Data, and a pure reading of it.

use crate::evidence::Evidence;
use crate::instances;
use crate::platform::evidence::FlowEnd;
use crate::platform::told::{InstanceState, MemberRole};
use crate::rooms::admission::slots;
use crate::rooms::app::evidence::HttpOutcome;
use crate::rooms::server;
use crate::rooms::sessions::causes::long_queries;
use crate::rooms::sessions::ending;
use crate::rooms::sessions::ghosts::ghosts;
use crate::unrecognised::break_of;
use pgmedic_model::{Finding, Room, Severity, Source};

/// When an edge holds.
type When = fn(&Evidence) -> bool;

/// `cause` brings about each of `effects`: where both are found, the effect is a symptom.
struct Edge {
    cause: &'static str,
    effects: &'static [&'static str],
    when: When,
}

/// What the API shows of whatever keeps it from its database.
const APP_SYMPTOMS: &[&str] = &["readiness-failing", "api-not-initialised", "pool-starved"];

/// What a server that is not there, or not answering, does to everything in front of it.
const DOOR_SYMPTOMS: &[&str] =
    &["port-closed", "proxy-without-backend", "pooler-pool-exhausted", "pooler-upstream-failing"];

/// What keeps a hop from the server behind it does to the hop.
const HOP_SYMPTOMS: &[&str] = &["proxy-without-backend", "pooler-upstream-failing"];

/// What uses up slots looks like this from outside.
const SLOT_SYMPTOMS: &[&str] = &[
    "slots-exhausted",
    "all-slots-exhausted",
    "slots-nearly-exhausted",
    "role-limit-reached",
    "database-limit-reached",
    "pooler-pool-exhausted",
];

/// What a database without a running instance looks like from outside, besides a closed door.
const WITHOUT_INSTANCES: &[&str] = &[
    "name-not-found",
    "name-without-address",
    "packets-dropped",
    "firewall-rejects",
    "no-route",
    "port-closed",
    "dead-address-among-answers",
];
/// What a way that is shut does to the connections that were on it.
const DEAD_WAY: &[&str] = &["half-open-session", "idle-flow-forgotten", "stale-pooled-sockets"];

/// What connections that were cut leave in the API's pool.
const STALE_SOCKETS: &[&str] = &["stale-pooled-sockets", "api-holds-stale-state"];

const ALWAYS: When = |_| true;

/// What another server than the service's says to its logins.
const STRANGERS_WORDS: &[&str] = &[
    "role-missing",
    "database-missing",
    "wrong-password",
    "password-expired",
    "login-not-permitted",
    "hba-rejects",
    "connect-privilege-missing",
    "certificate-untrusted",
    "certificate-wrong-name",
];

const EDGES: &[Edge] = &[
    Edge { cause: "wrong-server", effects: STRANGERS_WORDS, when: another_server_was_met },
    Edge { cause: "disk-full", effects: DOOR_SYMPTOMS, when: ALWAYS },
    Edge { cause: "disk-full", effects: DEAD_SERVER, when: ALWAYS },
    Edge { cause: "disk-full", effects: &["read-only-by-setting", "disk-filling"], when: ALWAYS },
    Edge { cause: "temp-files-fill-disk", effects: &["disk-full", "disk-filling"], when: ALWAYS },
    Edge { cause: "logs-fill-disk", effects: &["disk-full", "disk-filling"], when: ALWAYS },
    Edge { cause: "inodes-exhausted", effects: DEAD_SERVER, when: ALWAYS },
    Edge { cause: "inodes-exhausted", effects: DOOR_SYMPTOMS, when: ALWAYS },
    Edge { cause: "inodes-exhausted", effects: &["disk-full"], when: ALWAYS },
    Edge { cause: "wal-volume-full", effects: DOOR_SYMPTOMS, when: ALWAYS },
    Edge { cause: "wal-volume-full", effects: DEAD_SERVER, when: ALWAYS },
    Edge { cause: "wal-volume-full", effects: &["disk-full", "disk-filling"], when: ALWAYS },
    Edge { cause: "filesystem-read-only", effects: DOOR_SYMPTOMS, when: ALWAYS },
    Edge { cause: "filesystem-read-only", effects: DEAD_SERVER, when: ALWAYS },
    Edge { cause: "disk-filling", effects: &["read-only-by-setting"], when: ALWAYS },
    // postgres-ha: over 90 % of its disk a server's role is `readonly`, and its HAProxy sends nobody to it.
    Edge { cause: "disk-filling", effects: &["proxy-without-backend"], when: a_guard_took_it_out },
    // What stood on the instances went with them: the name, the address, the port.
    Edge { cause: "server-down", effects: WITHOUT_INSTANCES, when: instances::db_is_gone },
    Edge { cause: "stopped-by-administrator", effects: WITHOUT_INSTANCES, when: instances::db_is_gone },
    Edge { cause: "stopped-by-administrator", effects: DOOR_SYMPTOMS, when: instances::db_is_gone },
    Edge { cause: "server-starting", effects: WITHOUT_INSTANCES, when: an_instance_starts },
    Edge { cause: "server-cannot-start", effects: DOOR_SYMPTOMS, when: ALWAYS },
    Edge {
        cause: "server-cannot-start",
        effects: &["server-down", "stopped-by-administrator", "backend-crashed"],
        when: ALWAYS,
    },
    Edge { cause: "out-of-memory-kill", effects: DOOR_SYMPTOMS, when: ALWAYS },
    Edge {
        cause: "out-of-memory-kill",
        effects: &[
            "backend-crashed",
            "server-recovering",
            "server-starting",
            "server-down",
            "stale-lock-file",
        ],
        when: ALWAYS,
    },
    // Who cannot accept is silent, however much CPU time there is.
    Edge { cause: "server-descriptors-exhausted", effects: &["host-starved"], when: ALWAYS },
    Edge { cause: "host-starved", effects: DOOR_SYMPTOMS, when: ALWAYS },
    Edge { cause: "host-starved", effects: &["server-hung"], when: ALWAYS },
    Edge {
        cause: "unkillable-backend",
        effects: &["lock-pile-up", "idle-in-transaction", "long-queries"],
        when: ALWAYS,
    },
    Edge { cause: "unkillable-backend", effects: SLOT_SYMPTOMS, when: locks_hold_the_slots },
    Edge { cause: "routed-to-standby", effects: &["recovery-conflict"], when: ALWAYS },
    Edge { cause: "stale-lock-file", effects: DOOR_SYMPTOMS, when: ALWAYS },
    Edge {
        cause: "stale-lock-file",
        effects: &["server-down", "server-cannot-start", "stopped-by-administrator", "backend-crashed"],
        when: ALWAYS,
    },
    Edge { cause: "lock-table-full", effects: DOOR_SYMPTOMS, when: ALWAYS },
    // Another program has the server's port: what it does there is not what a proxy does.
    Edge {
        cause: "server-cannot-start",
        effects: &["proxy-hung", "proxy-client-limit"],
        when: its_port_is_taken,
    },
    Edge { cause: "shared-memory-full", effects: DOOR_SYMPTOMS, when: ALWAYS },
    Edge { cause: "shared-memory-full", effects: DEAD_SERVER, when: ALWAYS },
    Edge { cause: "server-descriptors-exhausted", effects: DOOR_SYMPTOMS, when: ALWAYS },
    Edge { cause: "allocation-failed", effects: DOOR_SYMPTOMS, when: ALWAYS },
    Edge { cause: "server-descriptors-exhausted", effects: &["server-hung"], when: ALWAYS },
    Edge { cause: "server-down", effects: DOOR_SYMPTOMS, when: ALWAYS },
    Edge { cause: "server-down", effects: &["stopped-by-administrator", "backend-crashed"], when: ALWAYS },
    Edge { cause: "server-hung", effects: DOOR_SYMPTOMS, when: ALWAYS },
    Edge { cause: "server-starting", effects: DOOR_SYMPTOMS, when: ALWAYS },
    Edge { cause: "server-recovering", effects: DOOR_SYMPTOMS, when: ALWAYS },
    Edge { cause: "server-recovering", effects: &["backend-crashed"], when: ALWAYS },
    // A pool that trusts what it keeps is stale because the crash ended its sessions.
    Edge {
        cause: "backend-crashed",
        effects: &["proxy-without-backend", "api-holds-stale-state"],
        when: ALWAYS,
    },
    Edge { cause: "server-shutting-down", effects: DOOR_SYMPTOMS, when: ALWAYS },
    Edge { cause: "server-shutting-down", effects: &["stopped-by-administrator"], when: ALWAYS },
    Edge { cause: "stopped-by-administrator", effects: DOOR_SYMPTOMS, when: ALWAYS },
    Edge { cause: "standby-not-ready", effects: DOOR_SYMPTOMS, when: ALWAYS },
    Edge { cause: "name-not-found", effects: HOP_SYMPTOMS, when: ALWAYS },
    Edge { cause: "name-without-address", effects: HOP_SYMPTOMS, when: ALWAYS },
    Edge { cause: "port-closed", effects: HOP_SYMPTOMS, when: ALWAYS },
    Edge { cause: "packets-dropped", effects: HOP_SYMPTOMS, when: ALWAYS },
    Edge { cause: "firewall-rejects", effects: HOP_SYMPTOMS, when: ALWAYS },
    Edge { cause: "no-route", effects: HOP_SYMPTOMS, when: ALWAYS },
    Edge { cause: "listening-elsewhere", effects: HOP_SYMPTOMS, when: ALWAYS },
    Edge { cause: "accept-queue-full", effects: HOP_SYMPTOMS, when: ALWAYS },
    Edge { cause: "server-hung", effects: &["accept-queue-full"], when: ALWAYS },
    Edge { cause: "proxy-hung", effects: &["accept-queue-full"], when: ALWAYS },
    Edge { cause: "pooler-hung", effects: &["accept-queue-full"], when: ALWAYS },
    Edge { cause: "proxy-client-limit", effects: &["accept-queue-full"], when: ALWAYS },
    Edge { cause: "packets-dropped", effects: DEAD_WAY, when: ALWAYS },
    Edge { cause: "no-route", effects: DEAD_WAY, when: ALWAYS },
    Edge { cause: "mtu-black-hole", effects: DEAD_WAY, when: ALWAYS },
    Edge { cause: "lossy-network", effects: DEAD_WAY, when: ALWAYS },
    Edge { cause: "half-open-session", effects: STALE_SOCKETS, when: ALWAYS },
    Edge { cause: "idle-flow-forgotten", effects: STALE_SOCKETS, when: ALWAYS },
    Edge { cause: "idle-flow-forgotten", effects: APP_SYMPTOMS, when: ALWAYS },
    Edge {
        cause: "stale-pooled-sockets",
        effects: &["readiness-failing", "api-holds-stale-state"],
        when: ALWAYS,
    },
    Edge {
        cause: "address-family-mismatch",
        effects: &["readiness-failing", "api-holds-stale-state"],
        when: ALWAYS,
    },
    Edge { cause: "proxy-idle-timeout", effects: STALE_SOCKETS, when: ALWAYS },
    Edge { cause: "proxy-idle-timeout", effects: APP_SYMPTOMS, when: ALWAYS },
    Edge { cause: "proxy-drained-connections", effects: STALE_SOCKETS, when: ALWAYS },
    Edge { cause: "proxy-drained-connections", effects: APP_SYMPTOMS, when: ALWAYS },
    Edge { cause: "proxy-check-flaps", effects: STALE_SOCKETS, when: ALWAYS },
    Edge { cause: "proxy-check-flaps", effects: APP_SYMPTOMS, when: ALWAYS },
    Edge { cause: "proxy-check-flaps", effects: &["proxy-without-backend"], when: ALWAYS },
    // What ends every session leaves the pools with dead sockets, and a server that comes and goes lets checks flap.
    Edge { cause: "backend-crashed", effects: STALE_SOCKETS, when: ALWAYS },
    Edge { cause: "stopped-by-administrator", effects: STALE_SOCKETS, when: ALWAYS },
    Edge { cause: "backend-crashed", effects: &["proxy-check-flaps"], when: ALWAYS },
    Edge { cause: "server-hung", effects: &["proxy-check-flaps"], when: ALWAYS },
    Edge { cause: "slots-exhausted", effects: &["proxy-check-flaps"], when: ALWAYS },
    Edge { cause: "all-slots-exhausted", effects: &["proxy-check-flaps"], when: ALWAYS },
    Edge { cause: "lossy-network", effects: &["proxy-check-flaps"], when: ALWAYS },
    // Fact 8: a proxy's health check that cannot log in marks the server down and cuts every session.
    Edge {
        cause: "slots-exhausted",
        effects: &["proxy-without-backend", "slots-nearly-exhausted"],
        when: ALWAYS,
    },
    Edge {
        cause: "all-slots-exhausted",
        effects: &["proxy-without-backend", "slots-exhausted"],
        when: ALWAYS,
    },
    Edge {
        cause: "unauthenticated-flood",
        effects: &["all-slots-exhausted", "slots-exhausted"],
        when: ALWAYS,
    },
    Edge { cause: "reconnect-storm", effects: SLOT_SYMPTOMS, when: ALWAYS },
    Edge { cause: "pools-exceed-slots", effects: SLOT_SYMPTOMS, when: ALWAYS },
    Edge { cause: "self-inflicted", effects: SLOT_SYMPTOMS, when: pgmedic_holds_the_slots },
    Edge { cause: "ghost-sessions", effects: SLOT_SYMPTOMS, when: ghosts_hold_the_slots },
    Edge { cause: "ghost-sessions", effects: &["idle-sessions"], when: ghosts_hold_the_slots },
    Edge { cause: "ghost-sessions", effects: &["idle-in-transaction"], when: a_ghost_has_a_transaction },
    Edge { cause: "ghost-sessions", effects: &["half-open-session"], when: a_ghost_was_being_answered },
    // In three of five public incidents the slots were full because of locks; ending idle sessions does nothing there.
    Edge { cause: "lock-pile-up", effects: SLOT_SYMPTOMS, when: locks_hold_the_slots },
    Edge { cause: "lock-pile-up", effects: &["readiness-failing", "pool-starved"], when: ALWAYS },
    Edge {
        cause: "orphan-prepared-transaction",
        effects: &["lock-pile-up"],
        when: a_prepared_transaction_blocks,
    },
    Edge { cause: "orphan-prepared-transaction", effects: SLOT_SYMPTOMS, when: locks_hold_the_slots },
    // A side that can open no socket reaches the API as little as the database.
    Edge { cause: "client-descriptors-exhausted", effects: &["api-unreachable"], when: ALWAYS },
    Edge { cause: "client-ports-exhausted", effects: &["api-unreachable"], when: ALWAYS },
    // A session that sends to nobody runs its statement until the kernel gives up.
    Edge { cause: "half-open-session", effects: &["long-queries"], when: the_long_ones_are_unheard },
    Edge { cause: "idle-in-transaction", effects: &["readiness-failing", "pool-starved"], when: ALWAYS },
    Edge { cause: "long-queries", effects: &["readiness-failing", "pool-starved"], when: ALWAYS },
    Edge {
        cause: "pooler-paused",
        effects: &["pooler-pool-exhausted", "pooler-client-limit", "pooler-upstream-failing"],
        when: ALWAYS,
    },
    Edge {
        cause: "pooler-database-disabled",
        effects: &["pooler-pool-exhausted", "pooler-upstream-failing"],
        when: ALWAYS,
    },
    Edge { cause: "pooler-hung", effects: &["proxy-hung"], when: ALWAYS },
    Edge { cause: "pooler-pool-exhausted", effects: &["pooler-client-limit"], when: ALWAYS },
    Edge { cause: "resolver-silent", effects: &["name-not-found", "name-without-address"], when: ALWAYS },
    Edge {
        cause: "api-not-initialised",
        effects: &["readiness-failing", "api-holds-stale-state"],
        when: ALWAYS,
    },
    Edge { cause: "api-holds-stale-state", effects: &["readiness-failing"], when: ALWAYS },
    Edge { cause: "pool-starved", effects: &["readiness-failing", "api-holds-stale-state"], when: ALWAYS },
    Edge {
        cause: "pool-leak",
        effects: &[
            "readiness-failing",
            "api-holds-stale-state",
            "pool-starved",
            "idle-sessions",
            "idle-in-transaction",
        ],
        when: ALWAYS,
    },
];

/// What a server that lost its storage dies of.
const DEAD_SERVER: &[&str] = &[
    "server-down",
    "server-cannot-start",
    "stale-lock-file",
    "server-starting",
    "server-recovering",
    "backend-crashed",
    "stopped-by-administrator",
];

/// `cause` made each of `worsened` come sooner or weigh more, without being it.
const CONTRIBUTES: &[(&str, &[&str])] = &[
    ("idle-sessions", SLOT_SYMPTOMS),
    ("ghost-sessions", SLOT_SYMPTOMS),
    ("ghost-sessions", &["idle-sessions", "idle-in-transaction", "lock-pile-up"]),
    ("self-inflicted", SLOT_SYMPTOMS),
    // A pool grows to its full size while its connections are held up.
    (
        "pools-exceed-slots",
        &["lock-pile-up", "long-queries", "pool-starved", "pool-leak", "idle-in-transaction"],
    ),
    ("idle-in-transaction", SLOT_SYMPTOMS),
    ("idle-in-transaction", &["lock-pile-up", "lock-table-full"]),
    ("long-queries", SLOT_SYMPTOMS),
    ("long-queries", &["lock-pile-up", "pool-starved", "lock-table-full"]),
    ("slots-nearly-exhausted", &["role-limit-reached", "database-limit-reached", "lock-pile-up"]),
    ("orphan-prepared-transaction", &["lock-pile-up"]),
    ("slot-retains-wal", &["disk-full", "disk-filling", "wal-volume-full"]),
    ("archiver-failing", &["disk-full", "disk-filling", "wal-volume-full"]),
    ("disk-filling", &["disk-full", "wal-volume-full"]),
    ("dead-address-among-answers", &["packets-dropped", "port-closed", "no-route", "firewall-rejects"]),
    ("resolver-failing", &["resolver-silent"]),
];

/// Sessions that wait for locks make up a fifth or more of the ordinary slots, or half of what is taken.
fn locks_hold_the_slots(e: &Evidence) -> bool {
    if let Some(facts) = e.facts() {
        let waiters = facts.sessions.lock_waiters;
        let slots = facts.admission.ordinary().max(1);
        return waiters * 5 >= slots || waiters * 2 >= facts.admission.client_backends.max(1);
    }
    let Some(backends) = e.host.get().and_then(|h| h.backends.as_ref()) else { return false };
    let all: u64 = backends.iter().map(|g| g.count).sum();
    let waiting: u64 = backends.iter().filter(|g| g.activity.ends_with(" waiting")).map(|g| g.count).sum();
    waiting > 0 && waiting * 5 >= all
}

/// Other sessions of pgmedic than this walk's make up a fifth or more of the ordinary slots.
fn pgmedic_holds_the_slots(e: &Evidence) -> bool {
    e.facts().is_some_and(|f| f.admission.own.saturating_sub(2) * 5 >= f.admission.ordinary().max(1))
}

/// Sessions whose clients are gone make up a fifth or more of the ordinary slots.
fn ghosts_hold_the_slots(e: &Evidence) -> bool {
    let Some(host) = e.host.get() else { return false };
    slots::count(e).is_some_and(|s| host.mute.len() as u64 * 5 >= s.ordinary.max(1))
}

/// The machine of a client that answers no more is one to which an answer was on its way.
fn a_ghost_was_being_answered(e: &Evidence) -> bool {
    let Some(host) = e.host.get() else { return false };
    let machine = |end: &str| end.rsplit_once(':').map(|(ip, _)| ip.to_owned());
    host.unheard.iter().any(|flow| host.mute.iter().any(|m| machine(&m.remote) == machine(&flow.remote)))
}

/// A session whose client is gone is idle in a transaction.
fn a_ghost_has_a_transaction(e: &Evidence) -> bool {
    ghosts(e).into_iter().any(ending::is_idle_in_transaction)
}

/// The walk met a server that is not the one expected behind the service's name.
fn another_server_was_met(e: &Evidence) -> bool {
    crate::identity::stranger(e).is_some()
}

/// The start was given up for want of a socket (postmaster.c, after `could not bind …: Address already in use`).
fn its_port_is_taken(e: &Evidence) -> bool {
    server::log::start_given_up(e).is_some_and(|(entry, _)| entry.message.contains("could not create any"))
}

/// The platform's guard keeps its proxy from a server whose disk is over a limit.
fn a_guard_took_it_out(e: &Evidence) -> bool {
    instances::of_db(e).iter().any(|i| instances::has_role(i, MemberRole::ReadOnly))
}

/// The platform is starting an instance of the database, and none runs.
fn an_instance_starts(e: &Evidence) -> bool {
    let list = instances::of_db(e);
    let is = |state| list.iter().any(|i| i.state == state);
    is(InstanceState::Starting) && !is(InstanceState::Running)
}

/// Every session with a long statement has a client that acknowledges nothing any more.
fn the_long_ones_are_unheard(e: &Evidence) -> bool {
    let unheard = |pid: i32| {
        let flows = e.host.get().into_iter().flat_map(|host| &host.unheard);
        flows
            .filter(|flow| flow.end == FlowEnd::Server)
            .any(|flow| flow.pid.map(i64::from) == Some(i64::from(pid)))
    };
    long_queries::long(e).iter().all(|session| unheard(session.pid))
}

/// Some session waits for a lock whose holder has no pid.
fn a_prepared_transaction_blocks(e: &Evidence) -> bool {
    e.facts().is_some_and(|f| f.sessions.waits.iter().any(|w| w.blocked_by.contains(&0)))
}

/// True where `cause` brings about `effect`, by the table or because any critical failure on the way to the database
/// shows in the API.
pub(crate) fn explains(e: &Evidence, cause: &Finding, effect: &Finding) -> bool {
    if cause.cause == effect.cause {
        return false;
    }
    let critical = cause.severity == Severity::Critical;
    let on_the_way = cause.room != Room::App && critical;
    (on_the_way && shows_in_the_app(e, effect))
        || (on_the_way && effect.cause == "api-unreachable" && readiness_hangs(e))
        || (critical && is_met_behind_a_pooler(cause) && waits_for_a_server(effect))
        || EDGES.iter().any(|edge| {
            edge.cause == cause.cause && edge.effects.contains(&effect.cause.as_str()) && (edge.when)(e)
        })
}

/// True for what the API shows of whatever keeps it from its database. That its pool was never made is explained only
/// while nobody gets in: where the door is open, the API could have made it by now, and mending the server does not.
fn shows_in_the_app(e: &Evidence, effect: &Finding) -> bool {
    let shut = break_of(&e.front).is_some();
    APP_SYMPTOMS.contains(&effect.cause.as_str()) && (shut || effect.cause != "api-not-initialised")
}

/// True where the API took the question and does not answer: it waits for its database itself.
fn readiness_hangs(e: &Evidence) -> bool {
    e.app.ready.get().is_some_and(|ready| ready.outcome == HttpOutcome::Silent)
}

/// True for what the way around a pooler met while the pooler itself let its client in or kept it waiting.
const fn is_met_behind_a_pooler(cause: &Finding) -> bool {
    matches!(
        cause.room,
        Room::Network | Room::Tls | Room::Startup | Room::Admission | Room::Server | Room::Storage
    )
}

/// True for a pooler that has no way to its server: it says so, or its clients wait in vain and no full pool is seen.
fn waits_for_a_server(effect: &Finding) -> bool {
    let full_pool = effect.evidence.first().is_some_and(|fact| fact.source == Source::Pooler);
    match effect.cause.as_str() {
        "pooler-upstream-failing" => true,
        "pooler-pool-exhausted" => !full_pool,
        _ => false,
    }
}

/// True where `cause` made `effect` worse.
pub(crate) fn contributes(cause: &Finding, effect: &Finding) -> bool {
    CONTRIBUTES.iter().any(|(c, worsened)| *c == cause.cause && worsened.contains(&effect.cause.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::first_bytes;
    use crate::rooms::app::readiness::tests::ready_says;
    use crate::rooms::proxy::evidence::FirstBytes;
    use pgmedic_model::Role;
    use std::collections::BTreeSet;

    #[test]
    fn every_id_in_the_tables_is_a_cause() {
        let known: BTreeSet<_> = crate::rooms::causes().map(|c| c.id).collect();
        let named = EDGES
            .iter()
            .flat_map(|e| e.effects.iter().chain(std::iter::once(&e.cause)))
            .chain(CONTRIBUTES.iter().flat_map(|(c, w)| w.iter().chain(std::iter::once(c))));
        for id in named {
            assert!(known.contains(id), "{id} stands in the tables of explains.rs and is no cause");
        }
    }

    #[test]
    fn an_api_that_hangs_waits_for_its_database_and_one_that_is_gone_does_not() {
        for (outcome, roots) in [(HttpOutcome::Silent, 1), (HttpOutcome::Closed, 2)] {
            let mut e = first_bytes(FirstBytes::Silent);
            ready_says(&mut e, outcome);
            let found = crate::diagnose(&e);
            assert_eq!(found.iter().filter(|f| f.role == Role::Root).count(), roots, "{found:?}");
        }
    }

    #[test]
    fn nothing_explains_itself_by_a_detour() {
        let effects = |id: &str| -> BTreeSet<&str> {
            EDGES.iter().filter(|e| e.cause == id).flat_map(|e| e.effects.iter().copied()).collect()
        };
        for start in EDGES.iter().map(|e| e.cause) {
            let mut seen = BTreeSet::new();
            let mut todo: Vec<&str> = effects(start).into_iter().collect();
            while let Some(id) = todo.pop() {
                assert_ne!(id, start, "{start} explains itself");
                if seen.insert(id) {
                    todo.extend(effects(id));
                }
            }
        }
    }
}
