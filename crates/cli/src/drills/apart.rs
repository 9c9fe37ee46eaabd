//! Which faults cannot last in one lab, and why: by what each has for itself alone while it lasts. Data, and a pure
//! reading of it. Not in here: parts that one lab cannot have together (`pgmedic_lab::Parts::united`).

use super::Drill;
use pgmedic_lab::Parts;

/// What a fault has for itself alone while it lasts: two that take the same cannot last in one lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// The address that the service names for its database.
    Address,
    /// Whether the service asks for TLS.
    ClientTls,
    /// What the DNS server serves.
    Zone,
    /// Where the API looks for its database.
    ApiPlace,
    /// Where the proxy leads.
    ProxyTarget,
    /// The server's certificate, and whether it is shown.
    ServerTls,
    /// The server's access rules.
    AccessRules,
    /// The server's settings beyond its own (`fault.conf`).
    Settings,
    /// The server's run: it is stopped, killed, restarted for the fault, or kept from its clients.
    Run,
}

/// Who takes what, by the drill's name.
const TAKEN: &[(Takes, &[&str])] = &[
    (Takes::Address, &["no-route"]),
    (Takes::ClientTls, &["tls-required"]),
    (
        Takes::Zone,
        &["name-not-found", "name-without-address", "resolver-failing", "dead-address-among-answers"],
    ),
    (Takes::ApiPlace, &["readiness-failing", "api-not-initialised"]),
    (Takes::ProxyTarget, &["proxy-without-backend", "routed-to-standby", "standby-not-ready"]),
    (
        Takes::ServerTls,
        &[
            "tls-not-offered",
            "certificate-expired",
            "certificate-wrong-name",
            "certificate-untrusted",
            "tls-version-mismatch",
        ],
    ),
    (Takes::AccessRules, &["hba-rejects", "tls-required", "configuration-broken"]),
    (
        Takes::Settings,
        &[
            "archiver-failing",
            "lock-table-full",
            "server-cannot-start",
            "server-recovering",
            "server-starting",
            "shared-memory-full",
        ],
    ),
    (
        Takes::Run,
        &[
            "port-closed",
            "stopped-by-administrator",
            "stale-lock-file",
            "server-cannot-start",
            "server-starting",
            "server-recovering",
            "server-shutting-down",
            "server-down",
            "server-hung",
            "wal-volume-full",
            "wrong-server",
        ],
    ),
];

impl Takes {
    /// In words, after "both take".
    const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "the address that the service names",
            Self::ClientTls => "whether the service asks for TLS",
            Self::Zone => "what the DNS server serves",
            Self::ApiPlace => "where the API looks for its database",
            Self::ProxyTarget => "where the proxy leads",
            Self::ServerTls => "the server's TLS",
            Self::AccessRules => "the server's access rules",
            Self::Settings => "the server's settings",
            Self::Run => "the server's run",
        }
    }

    /// What these parts need to stay as it is: a name, a hop and a certificate each have an address to be reached by.
    fn is_needed_by(self, parts: Parts) -> bool {
        match self {
            Self::Address => parts.dns || parts.tls || parts.proxy.is_some() || parts.pooler.is_some(),
            Self::ClientTls => parts.tls,
            _ => false,
        }
    }
}

/// What a drill's fault takes.
fn taken(drill: &Drill) -> impl Iterator<Item = Takes> {
    TAKEN.iter().filter(|(_, names)| names.contains(&drill.name)).map(|(thing, _)| *thing)
}

/// Why two faults cannot last in one lab, where that is so.
pub(crate) fn apart(a: &Drill, b: &Drill) -> Option<String> {
    if a.name == b.name {
        return Some("they are one fault".to_owned());
    }
    if let Some(thing) = taken(a).find(|thing| taken(b).any(|other| other == *thing)) {
        return Some(format!("both take {}", thing.as_str()));
    }
    let needed = |a: &Drill, b: &Drill| taken(a).find(|thing| thing.is_needed_by(b.parts));
    if let Some(thing) = needed(a, b).or_else(|| needed(b, a)) {
        return Some(format!("one takes {}, which the other needs", thing.as_str()));
    }
    a.parts.united(b.parts).err().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drills::table::find;

    #[test]
    fn whoever_takes_something_is_a_drill() {
        for name in TAKEN.iter().flat_map(|(_, names)| *names) {
            assert!(find(name).is_some(), "{name}");
        }
    }

    #[test]
    fn faults_that_take_the_same_are_kept_apart() {
        let apart = |a: &str, b: &str| apart(find(a).unwrap(), find(b).unwrap());
        let zone = apart("name-not-found", "name-without-address");
        assert_eq!(zone.as_deref(), Some("both take what the DNS server serves"));
        assert_eq!(apart("no-route", "resolver-silent"), apart("resolver-silent", "no-route"));
        assert!(apart("no-route", "resolver-silent").is_some());
        assert!(apart("certificate-expired", "pooler-paused").unwrap().contains("no TLS"));
        assert_eq!(apart("proxy-hung", "pooler-paused"), None);
        assert!(apart("disk-full", "disk-full").is_some());
    }
}
