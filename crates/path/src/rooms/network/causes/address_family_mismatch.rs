//! `address-family-mismatch`: the name's addresses are of a family that the client does not speak.

use crate::cause::Proof;
use crate::evidence::{Evidence, QueryOutcome};
use crate::paste::argument;
use crate::rooms::app::evidence::LogPattern;
use crate::rooms::app::readiness;
use crate::rooms::dns::evidence::Subject;
use crate::rooms::network::reading::{connected, decisive, fact, how, is_loopback, is_v6, missing_family};
use crate::ways::{Around, host_and_port, struck};
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Severity};

cause! {
    /// The database's name has addresses of one family only, and the client speaks the other.
    ///
    /// ## What it is
    /// A private network of IPv6 alone (Fly's 6PN, `.internal` names) and a client or host of IPv4 alone, or the other way
    /// round. A client that asks for A records finds none and says that the name does not exist (`ENOTFOUND`,
    /// `nxdomain`), although the name is there; a host without an IPv6 address cannot even try.
    ///
    /// ## What proves it
    /// `getent ahosts NAME` finds addresses, `getent ahostsv4 NAME` ends with status 2 (or the other way round). From here:
    /// every address is of one family, and this host has no address of it beyond loopback; or the walk passes over that
    /// family while the API says that the name does not resolve.
    ///
    /// ## What mends it
    /// 1. Let the client ask for IPv6: Ecto `socket_options: [:inet6]`, Node `family: 6` or `autoSelectFamily`, Java without
    ///    `-Djava.net.preferIPv4Stack=true`, Go and libpq do so by themselves.
    /// 2. In a container: a network with IPv6 (`docker network create --ipv6`).
    /// 3. If only IPv4 can be had there: a proxy that has both.
    ///
    /// ## What makes it worse
    /// Adding an A record by hand for an address that moves. Restarting the database: it has never been asked.
    ///
    /// ## What prevents it
    /// A connection test from the very image and network that the API runs in.
    ///
    /// ## References
    /// getaddrinfo(3), `AI_ADDRCONFIG`, EAI_ADDRFAMILY; RFC 6724; RFC 8305; Ecto.Adapters.Postgres, `:socket_options`.
    "address-family-mismatch" in Network, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    this_host(e).or_else(|| the_api(e))
}

/// This host has no address of the family that every address of the name is of.
fn this_host(e: &Evidence) -> Option<Finding> {
    let way = struck(e, Around::Behind, |r| decisive(r).is_some() && missing_family(r).is_some())?;
    let (attempt, family) = (decisive(way.route)?, missing_family(way.route)?);
    let (host, _) = host_and_port(&way.route.address);
    let summary = format!(
        "{host} has {family} addresses only, and this host has no {family}: {}{}",
        how(attempt),
        way.on_the_way()
    );
    let others = way.route.network.as_ref()?.attempts.iter().filter(|a| *a != attempt).take(8).map(fact);
    let finding =
        Finding::new(CAUSE.id, CAUSE.room, way.severity, Confidence::Certain, summary, fact(attempt));
    Some(finding.and_all(others).mended_by(compare(host)))
}

/// The walk passes over a name with IPv6 addresses alone, and the API finds no address or nobody at one.
fn the_api(e: &Evidence) -> Option<Finding> {
    let Subject::Name(name) = &e.front.dns.subject else { return None };
    let addresses = e.front.dns.addresses();
    let answered = e.front.query.as_ref().is_some_and(|q| matches!(q.outcome, QueryOutcome::Answered(_)));
    if !answered || addresses.is_empty() || !addresses.iter().all(std::net::IpAddr::is_ipv6) {
        return None;
    }
    let complaint = complaint(e)?;
    let passed = e.front.network.as_ref()?.attempts.iter().find(|a| connected(a) && is_v6(a))?;
    let loopback = if is_loopback(passed) { " (this host's own)" } else { "" };
    let summary = format!(
        "{name} has IPv6 addresses only{loopback} and works; the API asks for IPv4 and finds nothing"
    );
    let finding =
        Finding::new(CAUSE.id, CAUSE.room, Severity::Critical, Confidence::Likely, summary, complaint)
            .and(fact(passed))
            .or_else(
                "name-not-found",
                "`getent ahosts NAME` on the API's own host: its resolver may be another one",
            );
    Some(finding.mended_by(compare(name)))
}

/// The API says that the name has no address, in its readiness or in its log.
fn complaint(e: &Evidence) -> Option<Fact> {
    let told = readiness::told(e).filter(|t| t.failing())?;
    let said = told.meaning() == Some(LogPattern::NameResolution);
    let logged = || readiness::logged(e, LogPattern::NameResolution).map(|(_, fact)| fact);
    said.then(|| told.fact()).or_else(logged)
}

fn compare(name: &str) -> RemedyPlan {
    let name = argument(name);
    RemedyPlan::by_hand(
        "speak-that-family",
        RemedyKind::Advice,
        "let the API's client ask for the family that the name has, or give its network that family",
        format!("getent ahosts {name}; getent ahostsv4 {name}; ip -br addr   # where the API runs"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{attempts, healthy, resolved, unconnected};
    use crate::rooms::app::causes::api_not_initialised::tests::not_ready;
    use crate::rooms::app::readiness::tests::ready_says;
    use crate::rooms::network::evidence::{ConnectOutcome, Families};
    use pgmedic_model::Role;

    const SIX: &str = "[fdaa::3]:5432";

    fn without_ipv6(errno: i32) -> Evidence {
        let mut e = unconnected(&[(SIX, ConnectOutcome::Unreachable, Some(errno))]);
        e.front.dns = resolved(&["fdaa::3"]);
        if let Some(network) = &mut e.front.network {
            network.families = Some(Families { ipv4: true, ipv6: false });
        }
        e
    }

    #[test]
    fn address_family_mismatch_is_certain_where_this_host_lacks_the_family() {
        let found = crate::diagnose(&without_ipv6(101));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].cause.as_str(), found[0].confidence), (CAUSE.id, Confidence::Certain));
        let mut there = without_ipv6(101);
        if let Some(network) = &mut there.front.network {
            network.families = Some(Families { ipv4: true, ipv6: true });
        }
        assert!(find(&there).is_none(), "the family is there: the way is not");
        if let Some(network) = &mut there.front.network {
            network
                .attempts
                .extend(attempts(&[("10.0.0.7:5432", ConnectOutcome::Unreachable, Some(101))]).attempts);
        }
        assert!(find(&there).is_none(), "it has both families");
    }

    #[test]
    fn address_family_mismatch_is_likely_where_only_the_api_finds_no_address() {
        let mut e = healthy();
        e.front.dns = resolved(&["fdaa::3"]);
        e.front.network = Some(attempts(&[(SIX, ConnectOutcome::Connected, None)]));
        assert!(find(&e).is_none());
        ready_says(&mut e, not_ready("getaddrinfo ENOTFOUND renderflow-db.internal"));
        let found = crate::diagnose(&e);
        let roots: Vec<_> = found.iter().filter(|f| f.role == Role::Root).map(|f| f.cause.as_str()).collect();
        assert_eq!(roots, [CAUSE.id], "{found:?}");
        assert_eq!(found[0].confidence, Confidence::Likely);
        e.front.dns = resolved(&["fdaa::3", "10.0.0.7"]);
        assert!(find(&e).is_none(), "there is an IPv4 address to be had");
    }
}
