//! Connection strings in variables: the environment's, and those of `.env` files.

use super::connection::{Connection, Unreadable, is_postgres};
use super::dotenv;
use super::place::{Notes, Place};

/// Files of variables in a project's folder. Of `.env.example` and its like only names would be true.
const FILES: [&str; 5] = [".env", ".env.local", ".env.production", ".env.development", ".envrc"];

/// Where a variable stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// It is set where pgmedic runs.
    Environment,
    /// A file of the folder, which has to be loaded.
    File(String),
    /// A file that no shell loads: `fly.toml`.
    Written,
    /// A systemd unit's environment, by the unit's name.
    Unit(String),
}

/// A variable that holds a connection string.
#[derive(Clone, Debug)]
pub(super) struct Url {
    pub(super) variable: String,
    pub(super) at: String,
    pub(super) holder: Holder,
    pub(super) connection: Connection,
}

/// DATABASE_URL, SHOP_DATABASE_URL, POSTGRES_URL, PG_URL, DATABASE_URI, DB_DSN.
pub(super) fn is_url_variable(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let kinds = ["URL", "URI", "DSN", "CONNECTION_STRING", "CONN"];
    kinds.iter().any(|kind| name.ends_with(kind))
        && !name.contains("POOLER")
        && ["DATABASE", "POSTGRES", "PG", "DB"].iter().any(|word| name.contains(word))
}

/// Reads a value, and notes it: what it leads to, or why that is not known.
pub(super) fn connection_noted(value: &str, at: &str, whose: &str, notes: &mut Notes) -> Option<Connection> {
    match Connection::read(value) {
        Ok(connection) => {
            notes.found(at, format!("{whose}: {}", connection.shown()));
            Some(connection)
        }
        Err(Unreadable(why)) => {
            notes.unread(at, format!("{whose} is no connection string that can be read: {why}"));
            None
        }
    }
}

/// Those of the environment, and then those of the folder's files.
pub(super) fn read(place: &Place, notes: &mut Notes) -> Vec<Url> {
    let mut urls = Vec::new();
    let mut environment: Vec<_> = place.environment.iter().collect();
    environment.sort();
    for (name, value) in environment {
        take(name, value, "the environment".to_owned(), Holder::Environment, &mut urls, notes);
    }
    if let Some(connection) = libpq(place) {
        notes.found("the environment", format!("PGHOST and its like: {}", connection.bare()));
        let at = "the environment".to_owned();
        urls.push(Url { variable: String::new(), at, holder: Holder::Environment, connection });
    }
    for name in FILES {
        let Some(file) = place.in_folder(name, notes) else { continue };
        for variable in dotenv::read(&file.text) {
            let (at, holder) = (file.at(variable.line), Holder::File(name.to_owned()));
            take(variable.name, &variable.value, at, holder, &mut urls, notes);
        }
    }
    urls
}

/// Takes a variable that holds a connection string.
pub(super) fn take(
    name: &str,
    value: &str,
    at: String,
    holder: Holder,
    urls: &mut Vec<Url>,
    notes: &mut Notes,
) {
    if !is_url_variable(name) || !is_postgres(value) {
        return;
    }
    if let Some(connection) = connection_noted(value, &at, name, notes) {
        urls.push(Url { variable: name.to_owned(), at, holder, connection });
    }
}

/// What libpq's own variables lead to.
fn libpq(place: &Place) -> Option<Connection> {
    let host = place.variable("PGHOST").or_else(|| place.variable("PGHOSTADDR"))?;
    let pairs = [("host", host)]
        .into_iter()
        .chain(
            [("PGPORT", "port"), ("PGUSER", "user"), ("PGDATABASE", "dbname")]
                .into_iter()
                .filter_map(|(variable, key)| Some((key, place.variable(variable)?))),
        )
        .map(|(key, value)| format!("{key}='{}'", value.replace(['\\', '\''], "")));
    Connection::read(&pairs.collect::<Vec<_>>().join(" ")).ok()
}
