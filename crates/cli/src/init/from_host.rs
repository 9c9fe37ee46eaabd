//! Services of the connection strings that neither Fly nor compose explains: what runs on this host, or anywhere.

use super::connection::{self, Connection};
use super::draft::{Draft, Drafts};
use super::from_fly::{app_of, is_fly};
use super::host::Cluster;
use super::proxies::Way;
use super::urls::{Holder, Url};

/// Drafts one service for each database that is left; and one for a local Postgres where nothing else was found.
pub(super) fn draft(ways: &[Way], clusters: &[Cluster], drafts: &mut Drafts) {
    while let Some(url) = drafts.take(|_| true) {
        let wanted = url.connection.database.clone().or_else(|| url.connection.user.clone());
        let name = drafts.name(wanted.as_deref().unwrap_or("database"), "host");
        let mut draft = Draft { about: format!("from {}", url.at), name, ..Draft::default() };
        drafts.refer(&mut draft, &url);
        let own = through(&mut draft, &url.connection, ways);
        platform(&mut draft, &url, own, ways, clusters);
        drafts.push(draft);
    }
    if let Some(cluster) = clusters.first().filter(|_| drafts.is_empty()) {
        let name = drafts.name("postgres", "host");
        let mut draft =
            Draft { about: format!("this host's Postgres, from {}", cluster.at), name, ..Draft::default() };
        let url = format!("postgres:///postgres?host=/var/run/postgresql&port={}", cluster.port);
        draft.line("database", &url, "its socket, as the role that is called as pgmedic's user");
        draft
            .needs
            .push("a role for pgmedic's user, or a connection string of your API's in its place".to_owned());
        of_cluster(&mut draft, cluster, None);
        drafts.push(draft);
    }
}

/// What the way in goes through on this host; gives the port of Postgres itself, where it is on this host.
fn through(draft: &mut Draft, connection: &Connection, ways: &[Way]) -> Option<u16> {
    if !connection.is_here() {
        return None;
    }
    let mut port = connection.port;
    // HAProxy before PgBouncer before Postgres: no more hops than that.
    for _ in 0..2 {
        let Some(way) = ways.iter().find(|way| way.port == port) else { break };
        if let Some(console) = &way.console {
            let (user, why) = match &console.user {
                Some((user, at)) => (user.as_str(), format!("{at}; its password in ~/.pgpass")),
                None => ("stats", "no stats_users are set: stats_users = stats in pgbouncer.ini".to_owned()),
            };
            let url = format!("postgres://{user}@127.0.0.1:{port}/pgbouncer");
            if console.user.is_some() {
                draft.line("pooler", &url, why)
            } else {
                draft.guess("pooler", &url, why)
            }
        }
        let (host, next) = way.only().or_else(|| way.here())?;
        port = *next;
        if !(connection::is_loopback(host) || host.starts_with('/')) {
            direct(draft, host, port, &way.at);
            return None;
        }
        if !ways.iter().any(|way| way.port == port) {
            direct(draft, host, port, &way.at);
        }
    }
    Some(port)
}

fn direct(draft: &mut Draft, host: &str, port: u16, at: &str) {
    if !draft.has("direct") {
        draft.line("direct", &connection::address(host, port), at.to_owned());
    }
}

fn platform(draft: &mut Draft, url: &Url, own: Option<u16>, ways: &[Way], clusters: &[Cluster]) {
    let unit = match &url.holder {
        Holder::Unit(unit) => Some(unit.as_str()),
        Holder::Environment | Holder::File(_) | Holder::Written => None,
    };
    let cluster = own.and_then(|port| clusters.iter().find(|cluster| cluster.port == port));
    let way = ways.iter().find(|way| url.connection.is_here() && way.port == url.connection.port);
    if let Some(db) = app_of(&url.connection.host).filter(|_| is_fly(&url.connection.host)) {
        draft.platform("kind", "fly", "", true);
        draft.platform("api", "", "the API's app", false);
        draft.platform("db", db, url.at.clone(), true);
    } else if let Some(cluster) = cluster {
        of_cluster(draft, cluster, unit.map(|unit| (unit, url.at.as_str())));
    } else if let Some(unit) = unit {
        draft.platform("kind", "systemd", "", true);
        draft.platform("api", unit, url.at.clone(), true);
    } else {
        draft.platform(
            "kind",
            "host",
            "fly, docker, kubernetes, systemd, host: what runs the API and the database",
            false,
        );
    }
    let known = draft.platform.iter().any(|line| line.key == "kind" && line.value == "\"systemd\"");
    if let Some(way) = way.filter(|_| known) {
        let unit = if way.console.is_some() { "pgbouncer" } else { "haproxy" };
        draft.platform("proxy", unit, way.at.clone(), true);
    }
}

/// The units, the data and the log of a cluster of this host.
fn of_cluster(draft: &mut Draft, cluster: &Cluster, api: Option<(&str, &str)>) {
    draft.platform("kind", "systemd", "", true);
    match api {
        Some((unit, at)) => draft.platform("api", unit, at, true),
        None => draft.platform("api", "", "the API's unit", false),
    }
    draft.platform("db", &cluster.unit, cluster.at.clone(), true);
    for (key, path) in [("data_directory", &cluster.data), ("log", &cluster.log)] {
        match path {
            Some(path) => draft.platform(key, path, "", true),
            None => draft.platform(key, "", "not found", false),
        }
    }
}
