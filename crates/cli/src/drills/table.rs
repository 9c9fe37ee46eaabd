//! THE table of drills, in the order of the path.

use super::{Drill, Found};
use pgmedic_lab::{Guard, Lab, LabError, Parts, PoolerSize, faults};
use pgmedic_model::target::{Host, SslMode};
use pgmedic_path::Service;
use std::time::Duration;

const PLAIN: Parts = Parts { proxy: None, pooler: None, dns: false, api: false, tls: false, volume_mb: None };
const API: Parts = Parts { api: true, ..PLAIN };
const NAMED: Parts = Parts { dns: true, ..API };
const PROXY: Parts = Parts { proxy: Some(8), ..API };
const POOLER: Parts = Parts { pooler: Some(PoolerSize { pool: 2, clients: 8 }), ..API };
const TLS: Parts = Parts { tls: true, ..PLAIN };
const VOLUME: Parts = Parts { volume_mb: Some(64), ..API };

/// Why a drill with a volume needs root.
const MOUNT: &str = "a volume that can be filled is mounted, and only root may mount";

/// How old things must be in drills for which time must have passed.
const PAST: Duration = Duration::from_millis(300);

/// Statements are worth naming from a second on, whatever the policy.
const OVER_A_SECOND: Duration = Duration::from_millis(1100);

/// A drill that needs nothing but its parts.
const fn drill(
    parts: Parts,
    name: &'static str,
    does: &'static str,
    inject: fn(&Lab) -> Result<Guard, LabError>,
) -> Drill {
    let configure: fn(&Lab, &mut Service) -> Result<(), LabError> = |_, _| Ok(());
    Drill { name, does, parts, programs: &[], root: None, configure, inject, found: Found::Root }
}

/// The runbook's four remediations in its own words and order, each with the drill that breaks it.
const RUNBOOK: [(&str, &str); 4] = [
    ("Connection pool exhaustion", "slots-exhausted"),
    ("Proxy timeout", "proxy-hung"),
    ("Storage full", "disk-full"),
    ("DNS resolution", "name-not-found"),
];

/// Every drill.
pub(crate) const DRILLS: &[Drill] = &[
    // app
    drill(
        API,
        "readiness-failing",
        "The API's own settings point to a database that is not there; the real one is well.",
        faults::readiness_failing::inject,
    ),
    drill(
        API,
        "api-not-initialised",
        "The API serves, and never made its pool.",
        faults::api_not_initialised::inject,
    ),
    drill(API, "api-unreachable", "Nothing listens on the API's port.", faults::api_unreachable::inject),
    // dns
    drill(
        NAMED,
        "name-not-found",
        "The database's name is gone from the DNS.",
        faults::name_not_found::inject,
    ),
    drill(
        NAMED,
        "name-without-address",
        "The database's name is there and has no address.",
        faults::name_without_address::inject,
    ),
    drill(NAMED, "resolver-failing", "The resolver refuses to answer.", faults::resolver_failing::inject),
    drill(
        NAMED,
        "resolver-silent",
        "The resolver is stopped and answers nothing.",
        faults::resolver_silent::inject,
    ),
    drill(
        NAMED,
        "dead-address-among-answers",
        "The name has two addresses, and nobody lives at one of them.",
        faults::dead_address_among_answers::inject,
    ),
    // network
    drill(
        API,
        "port-closed",
        "The server is stopped: nothing listens on its port.",
        faults::port_closed::inject,
    ),
    Drill {
        root: Some("only root may drop packets"),
        programs: &["iptables"],
        ..drill(
            API,
            "packets-dropped",
            "A firewall swallows every packet to the database's port.",
            faults::packets_dropped::inject,
        )
    },
    Drill {
        root: Some("only root may take a route away"),
        programs: &["ip"],
        configure: by_own_address,
        ..drill(PLAIN, "no-route", "The route to the database's address is gone.", faults::no_route::inject)
    },
    // proxy
    drill(
        PROXY,
        "proxy-without-backend",
        "The proxy looks for its server where nobody listens.",
        faults::proxy_without_backend::inject,
    ),
    drill(
        PROXY,
        "proxy-hung",
        "The proxy is stopped; the kernel still accepts its connections.",
        faults::proxy_hung::inject,
    ),
    drill(
        PROXY,
        "proxy-client-limit",
        "The proxy has as many clients as its maxconn allows.",
        faults::proxy_client_limit::inject,
    ),
    drill(
        API,
        "server-hung",
        "The postmaster is stopped; the kernel still accepts its connections.",
        faults::server_hung::inject,
    ),
    drill(
        POOLER,
        "pooler-pool-exhausted",
        "Every server connection of the pooler is in use, and clients wait.",
        faults::pooler_pool_exhausted::inject,
    ),
    drill(
        POOLER,
        "pooler-client-limit",
        "The pooler has as many clients as max_client_conn allows.",
        faults::pooler_client_limit::inject,
    ),
    drill(
        POOLER,
        "pooler-paused",
        "Somebody said PAUSE at the pooler's console, and nobody said RESUME.",
        faults::pooler_paused::inject,
    ),
    drill(
        POOLER,
        "pooler-hung",
        "The pooler is stopped; the kernel still accepts its connections.",
        faults::pooler_hung::inject,
    ),
    // tls
    drill(
        TLS,
        "tls-not-offered",
        "The server's TLS is switched off, and the client insists on it.",
        faults::tls_not_offered::inject,
    ),
    drill(
        TLS,
        "certificate-expired",
        "The server's certificate ran out yesterday.",
        faults::certificate_expired::inject,
    ),
    drill(
        TLS,
        "certificate-wrong-name",
        "The server's certificate is for another name.",
        faults::certificate_wrong_name::inject,
    ),
    Drill {
        configure: without_tls,
        ..drill(
            PLAIN,
            "tls-required",
            "The server lets nobody in without TLS, and the client comes without.",
            faults::tls_required::inject,
        )
    },
    // startup
    drill(
        API,
        "wrong-password",
        "The role's password was changed, and the API has the old one.",
        faults::wrong_password::inject,
    ),
    drill(API, "role-missing", "The API's role does not exist on this server.", faults::role_missing::inject),
    drill(API, "login-not-permitted", "The API's role may not log in.", faults::login_not_permitted::inject),
    drill(API, "hba-rejects", "No line of pg_hba.conf lets the API's role in.", faults::hba_rejects::inject),
    drill(
        API,
        "database-missing",
        "The database does not exist on this server.",
        faults::database_missing::inject,
    ),
    // admission
    drill(
        API,
        "slots-exhausted",
        "The API's sessions take every ordinary slot.",
        faults::slots_exhausted::inject,
    ),
    drill(
        API,
        "all-slots-exhausted",
        "Every slot is taken, those reserved for superusers as well.",
        faults::all_slots_exhausted::inject,
    ),
    drill(
        API,
        "role-limit-reached",
        "The API's role has a CONNECTION LIMIT, and has reached it.",
        faults::role_limit_reached::inject,
    ),
    drill(
        API,
        "database-limit-reached",
        "The database has a CONNECTION LIMIT, and has reached it.",
        faults::database_limit_reached::inject,
    ),
    drill(
        API,
        "database-not-accepting",
        "The database takes no connections: ALLOW_CONNECTIONS false.",
        faults::database_not_accepting::inject,
    ),
    drill(
        API,
        "database-invalid",
        "The database's DROP was interrupted halfway.",
        faults::database_invalid::inject,
    ),
    drill(
        API,
        "slots-nearly-exhausted",
        "Nine of ten ordinary slots are taken.",
        faults::slots_nearly_exhausted::inject,
    ),
    // server
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
    ),
    // sessions
    Drill {
        configure: impatient,
        found: Found::ContributingTo("slots-exhausted"),
        ..drill(
            API,
            "idle-sessions",
            "Sessions that have idled for too long take every ordinary slot.",
            |lab| faults::idle_sessions::inject(lab, PAST),
        )
    },
    Drill {
        configure: impatient,
        ..drill(
            API,
            "idle-in-transaction",
            "A session began a transaction, wrote, and forgot about it.",
            |lab| faults::idle_in_transaction::inject(lab, PAST),
        )
    },
    drill(
        API,
        "lock-pile-up",
        "Twenty sessions queue behind one that locked a table and went idle.",
        |lab| faults::lock_pile_up::inject(lab, PAST),
    ),
    drill(
        API,
        "orphan-prepared-transaction",
        "A prepared transaction was left behind with its locks.",
        |lab| faults::orphan_prepared_transaction::inject(lab, PAST),
    ),
    Drill {
        configure: impatient,
        ..drill(API, "long-queries", "Three queries run and run.", |lab| {
            faults::long_queries::inject(lab, OVER_A_SECOND)
        })
    },
    // storage
    Drill {
        root: Some(MOUNT),
        ..drill(
            VOLUME,
            "disk-full",
            "A table has grown until the volume of the data directory was full.",
            faults::disk_full::inject,
        )
    },
    Drill {
        root: Some(MOUNT),
        ..drill(
            VOLUME,
            "disk-filling",
            "The volume of the data directory is filling: a tenth is left.",
            faults::disk_filling::inject,
        )
    },
    drill(
        API,
        "slot-retains-wal",
        "A replication slot that nobody reads keeps WAL from removal.",
        faults::slot_retains_wal::inject,
    ),
];

/// The drill of this name.
pub(crate) fn find(name: &str) -> Option<&'static Drill> {
    DRILLS.iter().find(|drill| drill.name == name)
}

/// The runbook's drills with its titles.
pub(crate) fn runbook() -> impl Iterator<Item = (&'static str, &'static Drill)> {
    RUNBOOK.iter().filter_map(|(title, name)| Some((*title, find(name)?)))
}

/// A policy under which a moment is long: nobody drills for ten minutes.
fn impatient(_: &Lab, service: &mut Service) -> Result<(), LabError> {
    let soon = PAST.as_secs_f64() * 1000.0;
    service.policy.idle_after_ms = soon;
    service.policy.idle_in_transaction_after_ms = soon;
    service.policy.long_query_after_ms = soon;
    Ok(())
}

/// A client that never asks for TLS.
fn without_tls(_: &Lab, service: &mut Service) -> Result<(), LabError> {
    service.target.tls.mode = SslMode::Disable;
    Ok(())
}

/// By the address that no other process of this host uses.
fn by_own_address(lab: &Lab, service: &mut Service) -> Result<(), LabError> {
    service.target.host = Host::Address(lab.postgres().own_address().into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgmedic_path::Proof;

    #[test]
    fn a_cause_is_proved_by_a_drill_of_its_name_or_says_why_not() {
        for cause in pgmedic_path::rooms::causes() {
            assert_eq!(cause.proof == Proof::Drill, find(cause.id).is_some(), "{}", cause.id);
        }
    }

    #[test]
    fn a_drill_has_a_cause_of_its_name_and_a_name_of_its_own() {
        for (n, drill) in DRILLS.iter().enumerate() {
            let causes: Vec<_> = pgmedic_path::rooms::causes().map(|cause| cause.id).collect();
            assert!(causes.contains(&drill.name) && causes.contains(&drill.root_cause()), "{}", drill.name);
            assert!(DRILLS[n + 1..].iter().all(|other| other.name != drill.name), "{}", drill.name);
        }
        assert_eq!(runbook().count(), RUNBOOK.len());
    }
}
