//! `wrong-server`: what answers at the address is no Postgres.

use crate::cause::Proof;
use crate::evidence::{Evidence, RouteEvidence};
use crate::paste::argument;
use crate::rooms::proxy::evidence::FirstBytes;
use crate::rooms::proxy::first_bytes::{Service, other_service};
use crate::ways::{Around, host_and_port, struck};
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Source};

cause! {
    /// What answers at this address and port is not a Postgres server.
    ///
    /// ## What it is
    /// TCP connects, and the peer speaks another protocol: an HTTP server or a gateway's error page, an SSH banner, another
    /// database. The name resolves to a host that it should not, the port is another service's, or something in between
    /// answers in the server's place. Drivers say `received invalid response to SSL negotiation` or only that the
    /// connection was closed.
    ///
    /// ## What proves it
    /// The peer's first bytes, which are shown: a Postgres server answers an SSLRequest with `S`, `N` or an error.
    ///
    /// ## What mends it
    /// Compare host and port of the service's URL with where the server really is, and the addresses of the name with
    /// those of the live machines; correct the secret or the record, then restart one API instance.
    ///
    /// ## What makes it worse
    /// Restarting the database: it has never been asked. Changing `sslmode` because a driver speaks of SSL.
    ///
    /// ## What prevents it
    /// A real login tested before a URL goes out; records that follow the machines; no second service on 5432.
    ///
    /// ## References
    /// Postgres manual: "Message Flow" (SSL session encryption), "Message Formats".
    "wrong-server" in Proxy, proved by Proof::None("any other server is one; the walk meets several in tests/scripted_peer.rs");
}

fn find(e: &Evidence) -> Option<Finding> {
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
    use crate::evidence::fixture::{first_bytes, healthy};
    use pgmedic_model::Severity;

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
}
