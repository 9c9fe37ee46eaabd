//! HAProxy's and PgBouncer's configuration: where each listens, and what stands behind it. Passwords are passed over.
//!
//! HAProxy: configuration manual, "bind", "server", "listen". PgBouncer: pgbouncer(5). Not in here: which services go by
//! them.

use super::connection::is_loopback;
use super::place::{Notes, Place, Text};

/// Most lines of one file, and most servers kept.
const LINES: usize = 20_000;
const MANY: usize = 64;

/// A way through a proxy.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) at: String,
    /// The port on which it listens.
    pub(super) port: u16,
    /// What stands behind it: host and port.
    pub(super) behind: Vec<(String, u16)>,
    /// The console, where it is a PgBouncer: who may log in there.
    pub(super) console: Option<Console>,
}

/// PgBouncer's console.
#[derive(Clone, Debug)]
pub(super) struct Console {
    /// The first of `stats_users`, else of `admin_users`, with its place.
    pub(super) user: Option<(String, String)>,
}

/// Every way that the folder's and the host's files tell of.
pub(super) fn read(place: &Place, names: &[String], notes: &mut Notes) -> Vec<Way> {
    let mut ways = Vec::new();
    let ours = |ending: &'static str, word: &'static str| {
        move |name: &&String| name.ends_with(ending) && name.contains(word)
    };
    let mut haproxy: Vec<Text> = names
        .iter()
        .filter(ours(".cfg", "haproxy"))
        .filter_map(|name| place.in_folder(name, notes))
        .collect();
    haproxy.extend(place.on_host("/etc/haproxy/haproxy.cfg", notes));
    for file in haproxy.iter().take(8) {
        ways.extend(of_haproxy(file, notes));
    }
    let mut bouncers: Vec<Text> = names
        .iter()
        .filter(ours(".ini", "pgbouncer"))
        .filter_map(|name| place.in_folder(name, notes))
        .collect();
    bouncers.extend(place.on_host("/etc/pgbouncer/pgbouncer.ini", notes));
    for file in bouncers.iter().take(8) {
        ways.extend(of_pgbouncer(file, notes));
    }
    ways
}

/// A section of HAProxy's: what it listens on, what it hands to, what it names.
#[derive(Default)]
struct Section {
    name: String,
    binds: Vec<(u16, String)>,
    uses: Option<String>,
    servers: Vec<(String, u16)>,
}

fn of_haproxy(file: &Text, notes: &mut Notes) -> Vec<Way> {
    let mut sections: Vec<Section> = Vec::new();
    for (at, line) in file.text.lines().take(LINES).enumerate() {
        let mut words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
        let (Some(word), second) = (words.next(), words.next().unwrap_or_default()) else { continue };
        let last = sections.last_mut();
        match (word, last) {
            ("listen" | "frontend" | "backend" | "defaults" | "global" | "resolvers" | "peers", _) => {
                sections.push(Section { name: second.to_owned(), ..Section::default() });
            }
            ("bind", Some(section)) => {
                section.binds.extend(port_of(second).map(|port| (port, file.at(at + 1))))
            }
            ("default_backend", Some(section)) => section.uses = Some(second.to_owned()),
            ("server", Some(section)) if section.servers.len() < MANY => {
                let address = words.next().unwrap_or_default();
                section.servers.extend(host_and_port(address));
            }
            ("stats", Some(_)) if second == "socket" => {
                notes.found(file.at(at + 1), "HAProxy's stats socket, read where pgmedic runs beside it");
            }
            _ => {}
        }
    }
    let mut ways = Vec::new();
    for section in sections.iter().filter(|section| !section.binds.is_empty()) {
        let backend = section.uses.as_ref().and_then(|name| sections.iter().find(|s| s.name == *name));
        let servers: Vec<_> =
            section.servers.iter().chain(backend.into_iter().flat_map(|b| &b.servers)).cloned().collect();
        let near = |port: u16| (5400..5500).contains(&port) || (6400..6500).contains(&port);
        let known =
            servers.iter().any(|(_, port)| near(*port)) || section.binds.iter().any(|(p, _)| near(*p));
        if !known || servers.is_empty() {
            continue;
        }
        for (port, at) in &section.binds {
            let to: Vec<String> =
                servers.iter().map(|(host, port)| super::connection::address(host, *port)).collect();
            notes.found(at, format!("HAProxy listens on port {port}, for {}", to.join(", ")));
            ways.push(Way { at: at.clone(), port: *port, behind: servers.clone(), console: None });
        }
    }
    ways
}

fn of_pgbouncer(file: &Text, notes: &mut Notes) -> Option<Way> {
    let mut section = "";
    // PgBouncer's own defaults (pgbouncer(5)).
    let mut port = (6432, file.name.clone());
    let mut users: [Option<(String, String)>; 2] = [None, None];
    let mut behind: Vec<(String, u16)> = Vec::new();
    for (at, line) in file.text.lines().take(LINES).enumerate() {
        let line = line.trim();
        if line.starts_with([';', '#']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim());
        let first = || {
            let name = value.split(',').next().unwrap_or_default().trim().trim_matches('"');
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
            (!name.is_empty() && plain).then(|| (name.to_owned(), file.at(at + 1)))
        };
        match (section, key) {
            ("databases", _) if behind.len() < MANY => behind.extend(database(value)),
            ("pgbouncer", "listen_port") => {
                port = (value.parse().ok()?, file.at(at + 1));
            }
            ("pgbouncer", "stats_users") => users[0] = first(),
            ("pgbouncer", "admin_users") => users[1] = first(),
            _ => {}
        }
    }
    behind.dedup();
    let [stats, admin] = users;
    let (number, at) = port;
    notes.found(&at, format!("PgBouncer listens on port {number}"));
    if let Some((user, at)) = stats.as_ref().or(admin.as_ref()) {
        notes.found(at, format!("{user} may read PgBouncer's console"));
    }
    Some(Way { at, port: number, behind, console: Some(Console { user: stats.or(admin) }) })
}

/// `host` and `port` of a line of `[databases]`; a password on it is passed over.
fn database(value: &str) -> Option<(String, u16)> {
    let pair = |key: &str| {
        value.split_whitespace().find_map(|word| word.strip_prefix(key)).map(|v| v.trim_matches('\''))
    };
    let host = pair("host=").unwrap_or("/var/run/postgresql");
    let host = host.split(',').next().unwrap_or_default();
    let port = pair("port=").map_or(Some(5432), |port| port.parse().ok())?;
    is_host(host).then(|| (host.to_owned(), port))
}

/// `*:5432`, `:5432`, `127.0.0.1:5432`, `:::5432`, `[::]:5432`: the port.
fn port_of(bind: &str) -> Option<u16> {
    bind.split(',').next()?.rsplit_once(':')?.1.parse().ok()
}

fn host_and_port(address: &str) -> Option<(String, u16)> {
    if let Some(path) = address.strip_prefix("unix@").or(address.starts_with('/').then_some(address)) {
        let (folder, number) = path.rsplit_once("/.s.PGSQL.")?;
        return Some((folder.to_owned(), number.parse().ok()?));
    }
    let (host, port) = address.rsplit_once(':')?;
    let host = host.trim_start_matches("ipv4@").trim_start_matches("ipv6@").trim_matches(['[', ']']);
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    is_host(host).then_some((host.to_owned(), port.parse().ok()?))
}

fn is_host(host: &str) -> bool {
    let plain = host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:/".contains(c));
    plain && !host.is_empty() && host.len() <= 128
}

impl Way {
    /// The first server behind it, where there is only one place behind it.
    pub(super) fn only(&self) -> Option<&(String, u16)> {
        match self.behind.as_slice() {
            [first, rest @ ..] if rest.iter().all(|other| other == first) => Some(first),
            _ => None,
        }
    }

    /// The server behind it that is on this host.
    pub(super) fn here(&self) -> Option<&(String, u16)> {
        self.behind.iter().find(|(host, _)| is_loopback(host) || host.starts_with('/'))
    }
}
