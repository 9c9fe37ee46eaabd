//! THE table of drills, in the order of the path.

use super::{Drill, Found};
use pgmedic_lab::{Guard, Lab, LabError, Parts, PoolerSize, faults};
use pgmedic_model::target::{Host, SslMode};
use pgmedic_path::Service;
use pgmedic_path::service::Window;
use std::time::Duration;

const PLAIN: Parts = Parts { proxy: None, pooler: None, dns: false, api: false, tls: false, volume_mb: None };
const API: Parts = Parts { api: true, ..PLAIN };
const NAMED: Parts = Parts { dns: true, ..API };
const PROXY: Parts = Parts { proxy: Some(8), ..API };
const POOLER: Parts = Parts { pooler: Some(PoolerSize { pool: 2, clients: 8 }), ..API };
const TLS: Parts = Parts { tls: true, ..PLAIN };
const VOLUME: Parts = Parts { volume_mb: Some(96), ..API };

/// How old things must be in drills for which time must have passed.
const PAST: Duration = Duration::from_millis(300);

/// Statements are worth naming from a second on, whatever the policy.
const OVER_A_SECOND: Duration = Duration::from_millis(1100);

/// A drill that needs nothing special.
const fn drill(name: &'static str, does: &'static str, inject: fn(&Lab) -> Result<Guard, LabError>) -> Drill {
    let configure: fn(&Lab, &mut Service) -> Result<(), LabError> = |_, _| Ok(());
    Drill { name, does, parts: PLAIN, programs: &[], root: false, configure, inject, found: Found::Root }
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
    Drill {
        parts: API,
        ..drill(
            "readiness-failing",
            "The API's own settings point to a database that is not there; the real one is well.",
            faults::readiness_failing::inject,
        )
    },
    Drill {
        parts: API,
        ..drill(
            "api-not-initialised",
            "The API serves, and never made its pool.",
            faults::api_not_initialised::inject,
        )
    },
    Drill {
        parts: API,
        ..drill("api-unreachable", "Nothing listens on the API's port.", faults::api_unreachable::inject)
    },
    // dns
    Drill {
        parts: NAMED,
        ..drill("name-not-found", "The database's name is gone from the DNS.", faults::name_not_found::inject)
    },
    Drill {
        parts: NAMED,
        ..drill(
            "name-without-address",
            "The database's name is there and has no address.",
            faults::name_without_address::inject,
        )
    },
    Drill {
        parts: NAMED,
        ..drill("resolver-failing", "The resolver refuses to answer.", faults::resolver_failing::inject)
    },
    Drill {
        parts: NAMED,
        ..drill(
            "resolver-silent",
            "The resolver is stopped and answers nothing.",
            faults::resolver_silent::inject,
        )
    },
    Drill {
        parts: NAMED,
        ..drill(
            "dead-address-among-answers",
            "The name has two addresses, and nobody lives at one of them.",
            faults::dead_address_among_answers::inject,
        )
    },
    // network
    Drill {
        parts: API,
        configure: from_afar,
        ..drill(
            "port-closed",
            "The server is stopped: nothing listens on its port.",
            faults::port_closed::inject,
        )
    },
    Drill {
        parts: API,
        root: true,
        programs: &["iptables"],
        ..drill(
            "packets-dropped",
            "A firewall swallows every packet to the database's port.",
            faults::packets_dropped::inject,
        )
    },
    Drill {
        root: true,
        programs: &["ip"],
        configure: by_own_address,
        ..drill("no-route", "The route to the database's address is gone.", faults::no_route::inject)
    },
    // proxy
    Drill {
        parts: PROXY,
        ..drill(
            "proxy-without-backend",
            "The proxy looks for its server where nobody listens.",
            faults::proxy_without_backend::inject,
        )
    },
    Drill {
        parts: PROXY,
        ..drill(
            "proxy-hung",
            "The proxy is stopped; the kernel still accepts its connections.",
            faults::proxy_hung::inject,
        )
    },
    Drill {
        parts: PROXY,
        ..drill(
            "proxy-client-limit",
            "The proxy has as many clients as its maxconn allows.",
            faults::proxy_client_limit::inject,
        )
    },
    Drill {
        parts: API,
        ..drill(
            "server-hung",
            "The postmaster is stopped; the kernel still accepts its connections.",
            faults::server_hung::inject,
        )
    },
    Drill {
        parts: POOLER,
        ..drill(
            "pooler-pool-exhausted",
            "Every server connection of the pooler is in use, and clients wait.",
            faults::pooler_pool_exhausted::inject,
        )
    },
    Drill {
        parts: POOLER,
        ..drill(
            "pooler-client-limit",
            "The pooler has as many clients as max_client_conn allows.",
            faults::pooler_client_limit::inject,
        )
    },
    Drill {
        parts: POOLER,
        ..drill(
            "pooler-paused",
            "Somebody said PAUSE at the pooler's console, and nobody said RESUME.",
            faults::pooler_paused::inject,
        )
    },
    Drill {
        parts: POOLER,
        ..drill(
            "pooler-hung",
            "The pooler is stopped; the kernel still accepts its connections.",
            faults::pooler_hung::inject,
        )
    },
    // tls
    Drill {
        parts: TLS,
        ..drill(
            "tls-not-offered",
            "The server's TLS is switched off, and the client insists on it.",
            faults::tls_not_offered::inject,
        )
    },
    Drill {
        parts: TLS,
        ..drill(
            "certificate-expired",
            "The server's certificate ran out yesterday.",
            faults::certificate_expired::inject,
        )
    },
    Drill {
        parts: TLS,
        ..drill(
            "certificate-wrong-name",
            "The server's certificate is for another name.",
            faults::certificate_wrong_name::inject,
        )
    },
    Drill {
        configure: without_tls,
        ..drill(
            "tls-required",
            "The server lets nobody in without TLS, and the client comes without.",
            faults::tls_required::inject,
        )
    },
    // startup
    Drill {
        parts: API,
        ..drill(
            "wrong-password",
            "The role's password was changed, and the API has the old one.",
            faults::wrong_password::inject,
        )
    },
    Drill {
        parts: API,
        ..drill("role-missing", "The API's role does not exist on this server.", faults::role_missing::inject)
    },
    Drill {
        parts: API,
        ..drill("login-not-permitted", "The API's role may not log in.", faults::login_not_permitted::inject)
    },
    Drill {
        parts: API,
        ..drill("hba-rejects", "No line of pg_hba.conf lets the API's role in.", faults::hba_rejects::inject)
    },
    Drill {
        parts: API,
        ..drill(
            "database-missing",
            "The database does not exist on this server.",
            faults::database_missing::inject,
        )
    },
    // admission
    Drill {
        parts: API,
        ..drill(
            "slots-exhausted",
            "The API's sessions take every ordinary slot.",
            faults::slots_exhausted::inject,
        )
    },
    Drill {
        parts: API,
        ..drill(
            "all-slots-exhausted",
            "Every slot is taken, those reserved for superusers as well.",
            faults::all_slots_exhausted::inject,
        )
    },
    Drill {
        parts: API,
        ..drill(
            "role-limit-reached",
            "The API's role has a CONNECTION LIMIT, and has reached it.",
            faults::role_limit_reached::inject,
        )
    },
    Drill {
        parts: API,
        ..drill(
            "database-limit-reached",
            "The database has a CONNECTION LIMIT, and has reached it.",
            faults::database_limit_reached::inject,
        )
    },
    Drill {
        parts: API,
        ..drill(
            "database-not-accepting",
            "The database takes no connections: ALLOW_CONNECTIONS false.",
            faults::database_not_accepting::inject,
        )
    },
    Drill {
        parts: API,
        ..drill(
            "database-invalid",
            "The database's DROP was interrupted halfway.",
            faults::database_invalid::inject,
        )
    },
    Drill {
        parts: API,
        ..drill(
            "slots-nearly-exhausted",
            "Nine of ten ordinary slots are taken.",
            faults::slots_nearly_exhausted::inject,
        )
    },
    // server
    Drill {
        parts: API,
        ..drill(
            "server-starting",
            "The server starts, and its recovery waits for the archive.",
            faults::server_starting::inject,
        )
    },
    Drill {
        parts: API,
        ..drill(
            "server-recovering",
            "A backend was killed, and the server's recovery does not get on.",
            faults::server_recovering::inject,
        )
    },
    Drill {
        parts: API,
        ..drill(
            "server-shutting-down",
            "A smart shutdown waits for a client that does not go.",
            faults::server_shutting_down::inject,
        )
    },
    Drill {
        parts: API,
        ..drill(
            "read-only-by-setting",
            "Every transaction in the database begins read-only, by a setting.",
            faults::read_only_by_setting::inject,
        )
    },
    Drill {
        parts: PROXY,
        ..drill("routed-to-standby", "The proxy leads to a hot standby.", faults::routed_to_standby::inject)
    },
    Drill {
        parts: PROXY,
        ..drill(
            "standby-not-ready",
            "The proxy leads to a standby that lets no reader in.",
            faults::standby_not_ready::inject,
        )
    },
    Drill {
        parts: API,
        ..drill(
            "server-down",
            "The server ended at once: no postmaster is left.",
            faults::server_down::inject,
        )
    },
    // sessions
    Drill {
        parts: API,
        configure: impatient,
        found: Found::ContributingTo("slots-exhausted"),
        ..drill("idle-sessions", "Sessions that have idled for too long take every ordinary slot.", |lab| {
            faults::idle_sessions::inject(lab, PAST)
        })
    },
    Drill {
        parts: API,
        configure: impatient,
        ..drill("idle-in-transaction", "A session began a transaction, wrote, and forgot about it.", |lab| {
            faults::idle_in_transaction::inject(lab, PAST)
        })
    },
    Drill {
        parts: API,
        ..drill(
            "lock-pile-up",
            "Twenty sessions queue behind one that locked a table and went idle.",
            |lab| faults::lock_pile_up::inject(lab, PAST),
        )
    },
    Drill {
        parts: API,
        ..drill(
            "orphan-prepared-transaction",
            "A prepared transaction was left behind with its locks.",
            |lab| faults::orphan_prepared_transaction::inject(lab, PAST),
        )
    },
    Drill {
        parts: API,
        configure: impatient,
        ..drill("long-queries", "Three queries run and run.", |lab| {
            faults::long_queries::inject(lab, OVER_A_SECOND)
        })
    },
    // storage
    Drill {
        parts: VOLUME,
        root: true,
        ..drill("disk-full", "The volume of the data directory is full.", faults::disk_full::inject)
    },
    Drill {
        parts: VOLUME,
        root: true,
        ..drill(
            "disk-filling",
            "The volume of the data directory is filling: a twentieth is left.",
            faults::disk_filling::inject,
        )
    },
    Drill {
        parts: API,
        ..drill(
            "slot-retains-wal",
            "A replication slot that nobody reads keeps WAL from removal.",
            faults::slot_retains_wal::inject,
        )
    },
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

/// From another host, which cannot look into the server's.
fn from_afar(_: &Lab, service: &mut Service) -> Result<(), LabError> {
    service.window = Window::Off;
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
