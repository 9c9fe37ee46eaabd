//! Which causes a service can have, judged by what its configuration says alone, and why another is left out. What is not
//! known keeps a cause in: a section too many is read past, one too few is missed at night.

use super::subject::{Door, Subject};
use pgmedic_model::Room;
use pgmedic_model::target::{Host, SslMode};
use pgmedic_path::Cause;

/// Why this service cannot have that cause; None where it can. Pure.
pub(super) fn left_out(cause: &Cause, s: &Subject) -> Option<String> {
    let id = cause.id;
    pooler(id, s)
        .or_else(|| proxy(id, s))
        .or_else(|| api(id, s))
        .or_else(|| s.door.as_ref().and_then(|door| name(cause, door).or_else(|| wire(cause, door))))
        .or_else(|| s.door.as_ref().and_then(|door| tls(cause, door)))
}

/// True where PgBouncer stands in the way, or may.
fn has_pooler(s: &Subject) -> bool {
    // PgBouncer's own default port, and the host names of Fly's managed Postgres.
    let by_address = |door: &Door| door.port == 6432 || door.host.to_string().contains("bouncer");
    s.pooler.is_some() || s.door.as_ref().is_some_and(by_address)
}

/// True where a proxy that is no pooler stands in the way, or may.
fn has_proxy(s: &Subject) -> bool {
    let restarts = s.commands.iter().any(|(deed, _)| *deed == pgmedic_model::Deed::RestartProxy);
    s.direct.is_some() || s.platform.has_proxy() || restarts
}

fn pooler(id: &str, s: &Subject) -> Option<String> {
    (id.starts_with("pooler-") && !has_pooler(s))
        .then(|| "no `pooler` is configured: nothing says that PgBouncer stands in the way".to_owned())
}

fn proxy(id: &str, s: &Subject) -> Option<String> {
    (id.starts_with("proxy-") && !has_proxy(s)).then(|| {
        "neither `direct` nor a proxy in `[service.platform]` is configured: nothing says that one stands in front"
            .to_owned()
    })
}

fn api(id: &str, s: &Subject) -> Option<String> {
    let needs_ready = ["readiness-failing", "readiness-lies", "api-unreachable"].contains(&id);
    (needs_ready && s.ready.is_none())
        .then(|| "no `ready` is configured: nobody asks the API whether it is ready".to_owned())
}

/// Causes that need a name to be looked up.
fn name(cause: &Cause, door: &Door) -> Option<String> {
    let of_names = cause.room == Room::Dns
        || ["address-family-mismatch", "dead-address-among-answers"].contains(&cause.id);
    match &door.host {
        _ if !of_names => None,
        Host::Name(_) if door.pinned => Some("`hostaddr` is set: no name is looked up".to_owned()),
        Host::Name(_) => None,
        Host::Address(_) => Some("the database is named by its address: no name is looked up".to_owned()),
        Host::Socket(_) => {
            Some("the database is reached over a unix socket: no name is looked up".to_owned())
        }
    }
}

/// Causes that need a network between the service and its database.
fn wire(cause: &Cause, door: &Door) -> Option<String> {
    let lossy = ["mtu-black-hole", "lossy-network", "idle-flow-forgotten"].contains(&cause.id);
    let on_socket = ["port-closed", "accept-queue-full", "client-descriptors-exhausted"].contains(&cause.id);
    match &door.host {
        Host::Socket(_) if cause.room == Room::Network && !on_socket => {
            Some("the database is reached over a unix socket: there is no network on the way".to_owned())
        }
        Host::Address(ip) if ip.is_loopback() && lossy => Some(
            "the database is reached over this host's loopback, which loses and forgets nothing".to_owned(),
        ),
        _ => None,
    }
}

/// Causes that need TLS, a check of the certificate, or their absence.
fn tls(cause: &Cause, door: &Door) -> Option<String> {
    let mode = door.mode;
    if let Host::Socket(_) = door.host {
        let talks_tls = cause.room == Room::Tls && !cause.latent || cause.id == "tls-required";
        return talks_tls.then(|| "a unix socket carries no TLS".to_owned());
    }
    let why = match cause.id {
        "certificate-expired" | "certificate-untrusted" if !door.checks_chain => {
            "does not check the certificate's chain"
        }
        "certificate-wrong-name" if mode != SslMode::VerifyFull => "does not check the certificate's name",
        "tls-version-mismatch" if mode == SslMode::Disable => "never speaks TLS",
        "tls-not-offered" if mode < SslMode::Require => "goes on without TLS where none is offered",
        "tls-required" if mode >= SslMode::Prefer => "comes with TLS wherever it is offered",
        _ => return None,
    };
    Some(format!("the service's `sslmode={}` {why}", mode.as_str()))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{bare, fly};
    use super::*;
    use pgmedic_path::rooms;

    /// The ids that are left out.
    fn out(s: &Subject) -> Vec<&'static str> {
        rooms::causes().filter(|cause| left_out(cause, s).is_some()).map(|cause| cause.id).collect()
    }

    #[test]
    fn what_is_not_known_keeps_a_cause_in() {
        let left = out(&fly());
        assert!(!left.is_empty() && left.iter().all(|id| id.starts_with("pooler-")), "{left:?}");
    }

    #[test]
    fn a_bare_url_has_no_proxy_no_pooler_and_nobody_who_is_asked_for_readiness() {
        let left = out(&bare("postgres://app@db.internal/shop?sslmode=verify-full"));
        for id in ["proxy-hung", "pooler-hung", "readiness-lies", "tls-required"] {
            assert!(left.contains(&id), "{id} is in: {left:?}");
        }
        for id in [
            "name-not-found",
            "certificate-wrong-name",
            "slots-exhausted",
            "wrong-server",
            "key-file-rejected",
        ] {
            assert!(!left.contains(&id), "{id} is left out");
        }
        assert!(!out(&bare("postgres://app@db:6432/shop")).contains(&"pooler-hung"));
    }

    #[test]
    fn an_address_has_no_dns_a_socket_no_network_and_a_mode_says_which_tls() {
        let left = out(&bare("postgres://app@10.0.0.1/shop?sslmode=disable"));
        for id in ["name-not-found", "dead-address-among-answers", "certificate-expired", "tls-not-offered"] {
            assert!(left.contains(&id), "{id} is in: {left:?}");
        }
        assert!(!left.contains(&"tls-required") && !left.contains(&"packets-dropped"));
        let left = out(&bare("postgres:///shop?host=/run/postgresql&user=app"));
        for id in ["resolver-silent", "no-route", "tls-version-mismatch", "tls-required"] {
            assert!(left.contains(&id), "{id} is in: {left:?}");
        }
        assert!(!left.contains(&"port-closed") && !left.contains(&"key-file-rejected"));
        assert!(out(&bare("postgres://app@127.0.0.1/shop")).contains(&"mtu-black-hole"));
        assert!(
            !out(&bare("postgres://app@h/shop?sslmode=require&sslrootcert=/x"))
                .contains(&"certificate-expired")
        );
    }

    #[test]
    fn every_reason_is_a_sentence_without_its_dot() {
        for s in [fly(), bare("postgres:///shop?host=/run/postgresql&user=app")] {
            for why in rooms::causes().filter_map(|cause| left_out(cause, &s)) {
                assert!(why.len() > 20 && !why.ends_with('.'), "{why}");
            }
        }
    }
}
