//! `wrong-server`: what answers at the address is another server than the service's, or no Postgres at all.

use crate::cause::Proof;
use crate::evidence::{Evidence, RouteEvidence};
use crate::identity::{Expected, Known, Met, stranger};
use crate::paste::argument;
use crate::rooms::proxy::evidence::FirstBytes;
use crate::rooms::proxy::first_bytes::{Service, other_service};
use crate::ways::{Around, host_and_port, struck};
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// What answers at this address is another Postgres than the service's, or no Postgres at all.
    ///
    /// ## What it is
    /// The name resolves to a host that it should not (a stale record, a machine made anew with an empty volume), the URL
    /// leads to another environment, or the port is another service's. The login may even succeed; then the API writes
    /// into the wrong place. A missing role, a missing database or a wrong password *there* is a symptom: do not create
    /// what is missing.
    ///
    /// ## What proves it
    /// The server's `system_identifier` (`pg_control_system()`, open to every role) is not the one that was remembered
    /// for this service, or that `pgmedic.toml` pins. pgmedic remembers it per service of `pgmedic.toml`, at the first
    /// walk that is answered, in `identity.json` under `$XDG_STATE_HOME/pgmedic` (or `~/.local/state/pgmedic`, or
    /// `PGMEDIC_STATE`). Without a login it is read from `global/pg_control` on the server's host. Standbys and physical
    /// backups share their primary's. Of a peer that is no Postgres the first bytes are shown.
    ///
    /// ## What mends it
    /// 1. Compare host and port of the service's URL with where the server really is, and the addresses of the name with
    ///    those of the live machines; correct the secret or the record, then restart one API instance.
    /// 2. If the server was replaced on purpose (`pg_upgrade`, a restored dump, a new cluster):
    ///    `pgmedic check SERVICE --accept-identity`, or the new `system_identifier` in `pgmedic.toml`.
    ///
    /// ## What makes it worse
    /// Creating the missing role or database, or running migrations: the API then works, on an empty database. Restarting
    /// the right database: it has never been asked. Changing `sslmode` because a driver speaks of SSL.
    ///
    /// ## What prevents it
    /// `system_identifier` pinned in `pgmedic.toml`; a check of it after each failover; records that follow the machines;
    /// other passwords in other environments; no second service on 5432.
    ///
    /// ## References
    /// Postgres manual: "System Information Functions" (`pg_control_system`), "Message Flow" (SSL session encryption).
    "wrong-server" in Proxy, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    stranger(e).map(|(expected, met)| another(e, expected, met)).or_else(|| no_postgres(e))
}

/// A Postgres, and not the one that is expected.
fn another(e: &Evidence, expected: &Expected, met: Met<'_>) -> Finding {
    let way = e.routes().find(|(name, _)| *name == met.way).map(|(_, route)| route);
    let address = way.unwrap_or(&e.front).address.as_str();
    let summary = format!(
        "the server at {address} is not the one that {} had: its system_identifier is {}, not {} ({})",
        e.service,
        met.system_identifier,
        expected.system_identifier,
        expected.known.phrase()
    );
    let (host, port) = host_and_port(address);
    let command = format!(
        "getent ahosts {0}; psql -h {0} -p {port} -c 'select * from pg_control_system()'",
        argument(host)
    );
    let plan = "see where the name leads and compare it with where the service's server is; correct the URL or the \
                record, and create nothing that is missing here";
    let (accept, command_to_accept) = match expected.known {
        Known::Pinned => (
            "only if the server was replaced on purpose: pin its identifier in pgmedic.toml",
            format!("system_identifier = \"{}\"   # in [[service]] of pgmedic.toml", met.system_identifier),
        ),
        Known::Remembered(_) => (
            "only if the server was replaced on purpose (pg_upgrade, a restored dump): remember the new one",
            format!("pgmedic check {} --accept-identity", argument(&e.service)),
        ),
    };
    Finding::new(CAUSE.id, Room::Proxy, Severity::Critical, Confidence::Certain, summary, met.fact)
        .mended_by(RemedyPlan::by_hand("correct-address", RemedyKind::Advice, plan, command))
        .mended_by(RemedyPlan::by_hand("accept-identity", RemedyKind::Advice, accept, command_to_accept))
}

/// Another protocol's greeting.
fn no_postgres(e: &Evidence) -> Option<Finding> {
    let way = struck(e, Around::Behind, |r| greeting(r).is_some())?;
    let proxy = way.route.proxy.as_ref()?;
    let (greeting, service) = greeting(way.route)?;
    let confidence = if service == Service::Known { Confidence::Certain } else { Confidence::Likely };
    let address = &way.route.address;
    let summary =
        format!("what answers at {address} does not speak Postgres: {greeting}{}", way.on_the_way());
    let said = format!("the first bytes are those of {greeting}");
    let proof = Fact::new(Source::Bytes, proxy.at.plus(proxy.elapsed_ms), address, said);
    let (host, port) = host_and_port(address);
    let command =
        format!("getent ahosts {0}; ss -ltnp 'sport = :{port}'   # the latter on {0}", argument(host));
    let plan = "see where the name leads and whose port it is; then correct the URL or the record";
    Some(
        Finding::new(CAUSE.id, Room::Proxy, way.severity, confidence, summary, proof)
            .mended_by(RemedyPlan::by_hand("correct-address", RemedyKind::Advice, plan, command)),
    )
}

/// What the peer seems to be, where it is another's greeting that came first.
fn greeting(route: &RouteEvidence) -> Option<(&str, Service)> {
    match &route.proxy.as_ref()?.first {
        FirstBytes::Foreign(text) => Some((text, other_service(text)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{admitted, first_bytes, healthy, refused};
    use crate::identity::tests::{ANOTHER, OURS, answered_by, expecting, read_on_host};
    use pgmedic_model::Role;

    #[test]
    fn wrong_server_is_told_by_its_greeting() {
        let ssh = first_bytes(FirstBytes::Foreign("an SSH server: \"SSH-2.0-OpenSSH_9.2\"".into()));
        let found = find(&ssh).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        assert!(found.summary.ends_with("does not speak Postgres: an SSH server: \"SSH-2.0-OpenSSH_9.2\""));
        let unknown = find(&first_bytes(FirstBytes::Foreign("no Postgres server: \"hello\"".into())));
        assert_eq!(unknown.map(|f| f.confidence), Some(Confidence::Likely));
        for not in
            ["a TLS server that expects TLS at once: \"\"", "bytes in clear after the S (CVE-2021-23222)"]
        {
            assert!(find(&first_bytes(FirstBytes::Foreign(not.into()))).is_none());
        }
        let mut e = healthy();
        assert!(find(&e).is_none());
        e.direct = Seen::Seen(ssh.front);
        assert_eq!(find(&e).expect("found").severity, Severity::Warning);
    }

    #[test]
    fn wrong_server_is_told_by_another_identity_although_the_login_succeeds() {
        let found = find(&expecting(answered_by(ANOTHER))).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
        assert!(found.summary.contains(&format!("is {ANOTHER}, not {OURS} (remembered since 2026-")));
        assert_eq!(found.remedies[1].command, "pgmedic check renderflow --accept-identity");
        assert!(find(&expecting(answered_by(OURS))).is_none());
        let mut pinned = expecting(answered_by(ANOTHER));
        pinned.expected = pinned.expected.map(|e| Expected { known: Known::Pinned, ..e });
        let command = find(&pinned).expect("found").remedies.remove(1).command;
        assert!(command.starts_with(&format!("system_identifier = \"{ANOTHER}\"")), "{command}");
    }

    /// An empty database is not to be "repaired" before it is known to be the right one.
    #[test]
    fn wrong_server_explains_what_is_missing_there() {
        for (code, message, cause) in [
            ("28P01", "password authentication failed for user \"app\"", "wrong-password"),
            ("28000", "role \"app\" does not exist", "role-missing"),
            ("3D000", "database \"renderflow\" does not exist", "database-missing"),
        ] {
            let mut by_rescue = expecting(refused(code, message));
            by_rescue.rescue = Seen::Seen(answered_by(ANOTHER).front);
            let mut by_window = expecting(refused(code, message));
            read_on_host(&mut by_window, ANOTHER, 7);
            for e in [by_rescue, by_window] {
                let found = crate::diagnose(&e);
                let told: Vec<_> = found.iter().map(|f| (f.cause.as_str(), f.role)).collect();
                assert_eq!(told, [(CAUSE.id, Role::Root), (cause, Role::Symptom)]);
            }
            let mut same = expecting(refused(code, message));
            same.rescue = Seen::Seen(answered_by(OURS).front);
            assert_eq!(crate::diagnose(&same)[0].cause, cause);
        }
    }

    #[test]
    fn wrong_server_on_the_way_around_says_which_way() {
        let mut e = expecting(refused("28000", "role \"app\" does not exist"));
        let mut direct = admitted("renderflow-db.internal:5433");
        direct.query = answered_by(ANOTHER).front.query;
        e.direct = Seen::Seen(direct);
        assert!(
            find(&e).expect("found").summary.starts_with("the server at renderflow-db.internal:5433 is not")
        );
    }
}
