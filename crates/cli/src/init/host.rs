//! What this host runs: systemd units that have a connection string, and clusters of Postgres with their logs.
//!
//! Units: systemd.exec(5), `Environment=` and `EnvironmentFile=`. Clusters: Debian's /etc/postgresql/VERSION/NAME, Red
//! Hat's /var/lib/pgsql. Read as files: nothing is asked of systemd, and nothing is run.

use super::dotenv;
use super::place::{Notes, Place, Text};
use super::urls::{self, Holder};
use std::path::Path;

/// Where units stand that somebody on this host has written.
const UNITS: &str = "/etc/systemd/system";
/// Most units, and most clusters, looked at.
const MANY: usize = 200;

/// A cluster of Postgres.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) at: String,
    pub(super) port: u16,
    /// Where it keeps its data, as a path that can be looked at from here.
    pub(super) data: Option<String>,
    pub(super) log: Option<String>,
    /// `postgresql@15-main`.
    pub(super) unit: String,
}

/// The host's and the folder's units that hold connection strings: every string with the name of its unit.
pub(super) fn units(place: &Place, names: &[String], notes: &mut Notes) -> Vec<urls::Url> {
    let service = |name: &&String| name.ends_with(".service") && !name.starts_with("pgmedic");
    let mut files: Vec<(String, Text)> = names
        .iter()
        .filter(service)
        .take(MANY)
        .filter_map(|name| Some((name.clone(), place.in_folder(name, notes)?)))
        .collect();
    for name in place.names_on_host(UNITS, notes).iter().filter(service).take(MANY) {
        let path = format!("{UNITS}/{name}");
        // Links lead to units that a package brought, or to nowhere: those are not read.
        let plain = place.host_path(&path).is_some_and(|path| !path.is_symlink());
        if let Some(file) = plain.then(|| place.on_host(&path, notes)).flatten() {
            files.push((name.clone(), file));
        }
    }
    let mut found: Vec<urls::Url> = Vec::new();
    for (name, file) in &files {
        let unit = name.trim_end_matches(".service").to_owned();
        if !found.iter().any(|url| url.holder == Holder::Unit(unit.clone())) {
            unit_of(&unit, file, place, &mut found, notes);
        }
    }
    found
}

fn unit_of(unit: &str, file: &Text, place: &Place, found: &mut Vec<urls::Url>, notes: &mut Notes) {
    for (at, line) in file.text.lines().enumerate() {
        let Some((key, value)) = line.split_once('=') else { continue };
        match key.trim() {
            "Environment" => {
                for variable in assignments(value) {
                    let Some((name, value)) = variable.split_once('=') else { continue };
                    let holder = Holder::Unit(unit.to_owned());
                    urls::take(name, value, file.at(at + 1), holder, found, notes);
                }
            }
            "EnvironmentFile" => {
                let path = value.trim().trim_start_matches('-');
                let Some(variables) = path.starts_with('/').then(|| place.on_host(path, notes)).flatten()
                else {
                    continue;
                };
                for v in dotenv::read(&variables.text) {
                    let holder = Holder::Unit(unit.to_owned());
                    urls::take(v.name, &v.value, variables.at(v.line), holder, found, notes);
                }
            }
            _ => {}
        }
    }
}

/// `A=1 "B=2 3"`: each with its quotes off.
fn assignments(value: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut quote = None;
    for c in value.trim().chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, c) if c.is_whitespace() => all.push(String::new()),
            (_, c) => {
                if let Some(word) = all.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    all.retain(|word| !word.is_empty());
    all
}

/// The clusters of this host.
pub(super) fn clusters(place: &Place, notes: &mut Notes) -> Vec<Cluster> {
    let mut found = Vec::new();
    for version in place.names_on_host("/etc/postgresql", notes).iter().take(MANY) {
        for name in place.names_on_host(&format!("/etc/postgresql/{version}"), notes).iter().take(MANY) {
            let file = place.on_host(&format!("/etc/postgresql/{version}/{name}/postgresql.conf"), notes);
            let log = format!("/var/log/postgresql/postgresql-{version}-{name}.log");
            let data = format!("/var/lib/postgresql/{version}/{name}");
            found.extend(file.map(|file| {
                cluster(place, &file, &data, Some(&log), format!("postgresql@{version}-{name}"))
            }));
        }
    }
    let file = place.on_host("/var/lib/pgsql/data/postgresql.conf", notes);
    found
        .extend(file.map(|file| cluster(place, &file, "/var/lib/pgsql/data", None, "postgresql".to_owned())));
    for cluster in &found {
        notes.found(&cluster.at, format!("a Postgres of this host on port {}", cluster.port));
    }
    found
}

fn cluster(place: &Place, file: &Text, data: &str, log: Option<&str>, unit: String) -> Cluster {
    let setting = |key: &str| {
        let mut found = None;
        for (at, line) in file.text.lines().enumerate() {
            let rest = line.trim_start().strip_prefix(key);
            let rest = rest.filter(|rest| rest.starts_with([' ', '\t', '=']));
            if let Some(value) = rest.map(|rest| rest.trim_start().trim_start_matches('=').trim_start()) {
                let value = value.split('#').next().unwrap_or_default().trim().trim_matches('\'');
                found = Some((value.to_owned(), at + 1));
            }
        }
        found
    };
    let port = setting("port");
    let at = port.as_ref().map_or_else(|| file.name.clone(), |(_, line)| file.at(*line));
    let data = setting("data_directory").map_or_else(|| data.to_owned(), |(value, _)| value);
    // A path that cannot be looked at is still there: only one where nothing is would be refused.
    let there = |path: &str| {
        let whole = place.host_path(path)?;
        let gone = std::fs::metadata(&whole).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound);
        (!gone && Path::new(&whole).is_absolute()).then(|| whole.display().to_string())
    };
    Cluster {
        at,
        port: port.and_then(|(value, _)| value.parse().ok()).unwrap_or(5432),
        data: there(&data),
        log: log.and_then(there),
        unit,
    }
}
