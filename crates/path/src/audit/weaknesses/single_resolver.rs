//! `single-resolver`: the database's name hangs on one nameserver.

use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::dns::evidence::Subject;
use pgmedic_model::{AuditFinding, Confidence, Fact, Nearness, Needs, ObjectKind, Severity, Source};
use std::net::IpAddr;

weakness! {
    /// The database's name hangs on one nameserver: while that is silent, no new connection comes about.
    ///
    /// ## What it is
    /// `resolv.conf` names one nameserver, and it is not on this host. glibc asks it for 5 s, twice; no `connect_timeout`
    /// ends that.
    ///
    /// ## What breaks
    /// Every new connection, for as long as it is away: pools that are full go on, those that reconnect do not.
    ///
    /// ## What proves it
    /// The nameservers that this walk asked. A resolver of the platform's own (Fly's `fdaa::3`) or a cache on this host
    /// (127.0.0.53) counts as more than one: behind it are others.
    ///
    /// ## What mends it
    /// A second nameserver, and `options timeout:1 attempts:2`; or a cache on the host that serves stale answers. Not an
    /// address in place of the name: addresses change.
    ///
    /// ## References
    /// resolv.conf(5); systemd-resolved.service(8).
    "single-resolver" in Dns, proved by Proof::None("the lab's nameservers are on this host, where they count as a cache");
}

fn find(e: &Evidence) -> Option<AuditFinding> {
    let dns = &e.front.dns;
    if !matches!(dns.subject, Subject::Name(_)) || dns.nameservers.len() != 1 {
        return None;
    }
    let only = dns.nameservers.first()?;
    if is_many(only.server.ip()) {
        return None;
    }
    let summary = format!(
        "{} hangs on one nameserver, {}: while it is silent nobody connects",
        e.target.host, only.server
    );
    let text = format!("the only nameserver of {}", only.configured_in);
    let lines = ("", "options timeout:1 attempts:2");
    let second = changes::person(
        ObjectKind::File,
        "resolv.conf",
        "nameserver",
        ("one", "two"),
        "a second nameserver line, or a cache on this host (systemd-resolved, dnsmasq)",
        Needs::Nothing,
    );
    Some(
        AuditFinding::new(
            WEAKNESS.id,
            WEAKNESS.room,
            summary,
            Fact::new(Source::Dns, dns.at, only.server.to_string(), text),
        )
        .weighs(Severity::Warning, Confidence::Certain)
        .breaks(Nearness::Fault, "no new connection comes about while that nameserver is away")
        .mended_by([
            second,
            changes::line("resolv.conf", "options", ("5 s, twice", "1 s, twice"), lines, Needs::Nothing),
        ]),
    )
}

/// A cache on this host, or a platform's own resolver.
fn is_many(ip: IpAddr) -> bool {
    ip.is_loopback() || matches!(ip, IpAddr::V6(v6) if v6.segments().first() == Some(&0xfdaa))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, nameserver};
    use crate::rooms::dns::evidence::AnswerOutcome;

    #[test]
    fn single_resolver_unless_others_are_behind_it() {
        let mut e = healthy();
        let found = find(&e).unwrap();
        assert_eq!(found.changes[1].statement, "options timeout:1 attempts:2");
        for many in ["127.0.0.53:53", "[fdaa::3]:53"] {
            e.front.dns.nameservers[0].server = many.parse().unwrap();
            assert!(find(&e).is_none(), "{many}");
        }
        let mut two = healthy();
        two.front.dns.nameservers.push(nameserver(54, &AnswerOutcome::NoData, &AnswerOutcome::NoData));
        assert!(find(&two).is_none());
    }
}
