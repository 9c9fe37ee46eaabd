//! THE table of drills, in the order of the path: a file for each room. Here is what rooms share.

mod admission;
mod app;
mod dns;
mod network;
mod proxy;
mod server;
mod sessions;
mod startup;
mod storage;
mod tls;

use super::{Drill, Found};
use pgmedic_lab::api::Kind;
use pgmedic_lab::{Guard, Lab, LabError, Parts, PoolerSize};
use pgmedic_model::target::{Host, SslMode};
use pgmedic_path::Service;
use std::time::Duration;

const PLAIN: Parts = Parts { proxy: None, pooler: None, dns: false, api: None, tls: false, volume_mb: None };
const API: Parts = Parts { api: Some(Kind::Renderflow), ..PLAIN };
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
    let found = Found::Root;
    Drill { name, does, parts, programs: &[], root: None, configure, inject, found, mends: &[], under: &[] }
}

/// The runbook's four remediations in its own words and order, each with the drill that breaks it.
const RUNBOOK: [(&str, &str); 4] = [
    ("Connection pool exhaustion", "slots-exhausted"),
    ("Proxy timeout", "proxy-hung"),
    ("Storage full", "disk-full"),
    ("DNS resolution", "name-not-found"),
];

/// Faults from every room, each common in its own right, that are tried two at a time: all pairs of them.
const PAIRED: &[&str] = &[
    "api-not-initialised",
    "name-not-found",
    "packets-dropped",
    "proxy-hung",
    "pooler-paused",
    "certificate-expired",
    "wrong-password",
    "hba-rejects",
    "slots-exhausted",
    "server-down",
    "read-only-by-setting",
    "lock-pile-up",
    "disk-full",
    "slot-retains-wal",
];

/// Every drill, in the order of the path.
pub(crate) fn drills() -> impl Iterator<Item = &'static Drill> {
    [
        app::DRILLS,
        dns::DRILLS,
        network::DRILLS,
        proxy::DRILLS,
        tls::DRILLS,
        startup::DRILLS,
        admission::DRILLS,
        server::DRILLS,
        sessions::DRILLS,
        storage::DRILLS,
    ]
    .into_iter()
    .flatten()
}

/// The drill of this name.
pub(crate) fn find(name: &str) -> Option<&'static Drill> {
    drills().find(|drill| drill.name == name)
}

/// Every pair of the faults that are tried two at a time.
pub(crate) fn pairs() -> Vec<[&'static Drill; 2]> {
    let chosen: Vec<&'static Drill> = PAIRED.iter().filter_map(|name| find(name)).collect();
    let mut pairs = Vec::new();
    for (n, a) in chosen.iter().enumerate() {
        pairs.extend(chosen[n + 1..].iter().map(|b| [*a, *b]));
    }
    pairs
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

/// A policy that frees more than the fifth below which it is a warning: freed to the very slot, the next connection of the
/// API's own pool would be one too many.
fn roomy(_: &Lab, service: &mut Service) -> Result<(), LabError> {
    service.policy.keep_free = 0.25;
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
        let mut seen = std::collections::BTreeSet::new();
        for drill in drills() {
            let causes: Vec<_> = pgmedic_path::rooms::causes().map(|cause| cause.id).collect();
            assert!(causes.contains(&drill.name) && causes.contains(&drill.root_cause()), "{}", drill.name);
            assert!(seen.insert(drill.name), "{}", drill.name);
        }
        assert_eq!(runbook().count(), RUNBOOK.len());
    }

    #[test]
    fn the_pairs_come_from_every_room() {
        let rooms: std::collections::BTreeSet<_> =
            PAIRED.iter().map(|name| find(name).expect(name).room()).collect();
        assert_eq!(rooms.len(), pgmedic_model::Room::ALL.len());
        assert_eq!(pairs().len(), PAIRED.len() * (PAIRED.len() - 1) / 2);
    }
}
