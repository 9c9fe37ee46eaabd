//! Which faults cannot last in one lab, and why: by what each has for itself alone while it lasts. Data, and a pure
//! reading of it. Not in here: parts that one lab cannot have together (`pgmedic_lab::Parts::united`).

use super::Drill;
use pgmedic_lab::Parts;
use pgmedic_model::Room;

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
    /// The server itself: another stands in its place.
    Server,
    /// The server's run: it is stopped, killed, restarted for the fault, or kept from its clients.
    Run,
}

/// Who takes what, by the drill's name. What a fault writes into, it takes: a test holds this to the faults' sources.
const TAKEN: &[(Takes, &[&str])] = &[
    (Takes::Address, &["no-route", "listening-elsewhere", "address-family-mismatch"]),
    (Takes::ClientTls, &["tls-required"]),
    (
        Takes::Zone,
        &[
            "name-not-found",
            "name-without-address",
            "resolver-failing",
            "dead-address-among-answers",
            "address-family-mismatch",
        ],
    ),
    (Takes::ApiPlace, &["readiness-failing", "api-not-initialised", "backend-crashed", "no-route"]),
    (
        Takes::ProxyTarget,
        &[
            "proxy-without-backend",
            "proxy-check-flaps",
            "routed-to-standby",
            "standby-not-ready",
            "recovery-conflict",
        ],
    ),
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
    (Takes::AccessRules, &["hba-rejects", "tls-required", "configuration-broken", "address-family-mismatch"]),
    (
        Takes::Settings,
        &[
            "address-family-mismatch",
            "archiver-failing",
            "listening-elsewhere",
            "lock-table-full",
            "out-of-memory-kill",
            "logs-fill-disk",
            "server-cannot-start",
            "server-recovering",
            "server-starting",
            "shared-memory-full",
        ],
    ),
    (Takes::Server, &["wrong-server"]),
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
            "accept-queue-full",
            "filesystem-read-only",
            "out-of-memory-kill",
            "wal-volume-full",
            "wrong-server",
        ],
    ),
];

/// True for a fault by which the front leads to another server than the service's own.
pub(super) fn leads_elsewhere(drill: &Drill) -> bool {
    taken(drill).any(|thing| matches!(thing, Takes::ProxyTarget | Takes::Server))
}

/// Faults that are brought about by a restart (or a crash) of the server: what another has done to its run, to its
/// sessions or to its processes would be gone.
const RESTARTS: &[&str] = &[
    "address-family-mismatch",
    "allocation-failed",
    "archiver-failing",
    "backend-crashed",
    "filesystem-read-only",
    "listening-elsewhere",
    "lock-table-full",
    "logs-fill-disk",
    "out-of-memory-kill",
    "server-recovering",
    "shared-memory-full",
    "wal-volume-full",
];

/// Faults of the connections that the API's pool has: another's restart of the API would take them away.
const IN_THE_POOL: &[&str] = &[
    "api-holds-stale-state",
    "half-open-session",
    "idle-flow-forgotten",
    "pool-leak",
    "pool-starved",
    "proxy-idle-timeout",
    "stale-pooled-sockets",
];

/// The order in which faults are brought about that are to last together: what restarts the server, then from the
/// outside in (a pooler that is paused gives back slots that another is to take), then what is in the API's pool.
pub(super) fn turn(drill: &Drill) -> (u8, Room) {
    let phase = match drill.name {
        name if RESTARTS.contains(&name) => 0,
        name if IN_THE_POOL.contains(&name) => 2,
        _ => 1,
    };
    (phase, drill.room())
}

/// True where the first, brought about after the second, would undo it.
pub(super) fn undoes(first: &Drill, second: &Drill) -> bool {
    turn(first).0 < turn(second).0
}

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
            Self::Server => "the server",
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
    if !(a.under.is_empty() && b.under.is_empty()) {
        return Some("one is checked by a process of its own, which is told of the way in alone".to_owned());
    }
    a.parts.united(b.parts).err().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drills::table::find;

    #[test]
    fn whoever_takes_something_is_a_drill() {
        for name in TAKEN.iter().flat_map(|(_, names)| *names).chain(RESTARTS).chain(IN_THE_POOL) {
            assert!(find(name).is_some(), "{name}");
        }
    }

    /// A word in a fault's source, and what it takes who writes it.
    const WRITTEN: &[(&str, Takes)] = &[
        ("fault.conf", Takes::Settings),
        ("tls.conf", Takes::ServerTls),
        ("show_certificate(", Takes::ServerTls),
        ("set_hba(", Takes::AccessRules),
        ("serve_zone(", Takes::Zone),
        (".redeploy(", Takes::ApiPlace),
        ("point_at(", Takes::ProxyTarget),
        ("lead_to(", Takes::ProxyTarget),
        ("hold_recovery(", Takes::Settings),
    ];

    #[test]
    fn what_a_fault_writes_it_takes() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../lab/src/faults");
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_stem().unwrap().to_string_lossy().replace('_', "-");
            // A standby of a fault's own has settings of its own.
            let text = std::fs::read_to_string(&path).unwrap().replace("standby.write(\"fault.conf\"", "");
            let Some(drill) = find(&name) else { continue };
            for (_, thing) in WRITTEN.iter().filter(|(word, _)| text.contains(word)) {
                assert!(taken(drill).any(|t| t == *thing), "{name} writes into {}", thing.as_str());
            }
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
        assert!(apart("client-descriptors-exhausted", "disk-full").is_some());
    }
}
