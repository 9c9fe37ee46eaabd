//! A service of what `fly.toml` says: the API's app, and the database's where a connection string leads to it.

use super::connection::Connection;
use super::draft::{Draft, Drafts, stem};
use super::fly::FlyApp;

/// HAProxy's port in a Postgres of Fly's, and Postgres' own (fly-apps/postgres-flex).
const PROXIED: u16 = 5432;
const OWN: u16 = 5433;

/// Drafts one app's service.
pub(super) fn draft(app: &FlyApp, drafts: &mut Drafts) {
    let name = drafts.name(stem(&app.name), "fly");
    let mut draft =
        Draft { about: format!("the Fly app {}, from {}", app.name, app.at), name, ..Draft::default() };
    let db = match drafts.take(|connection| is_fly(&connection.host)) {
        Some(url) => {
            drafts.refer(&mut draft, &url);
            way_around(&mut draft, &url.connection, &url.at);
            app_of(&url.connection.host).map(|db| (db.to_owned(), url.at))
        }
        None => {
            unknown(&mut draft, app, drafts);
            None
        }
    };
    if let Some(asked) = app.checks.first() {
        let url = format!("http://{}.internal:{}{}", app.name, asked.port, asked.path);
        if asked.says_ready() {
            draft.line("ready", &url, asked.at.clone());
        } else {
            draft.guess(
                "ready",
                &url,
                format!("{}; only where it answers 503 without the database", asked.at),
            );
        }
    }
    if let Some(asked) = &app.metrics {
        let url = format!("http://{}.internal:{}{}", app.name, asked.port, asked.path);
        draft.line("metrics", &url, asked.at.clone());
    }
    draft.platform("kind", "fly", "", true);
    draft.platform("api", &app.name, app.at.clone(), true);
    match db {
        Some((db, at)) => draft.platform("db", &db, at, true),
        None => draft.platform(
            "db",
            &format!("{}-db", stem(&app.name)),
            "a guess: the app in DATABASE_URL's host",
            false,
        ),
    }
    let token = "without it FLY_API_TOKEN; read-only will do: fly tokens create readonly ORG";
    draft.platform("token", "env:FLY_READ_TOKEN", token, false);
    if let Some((count, at)) = &app.machines {
        let why = format!("at most; {at} keeps {count}, and Fly tells how many there are");
        draft.budget.push(super::draft::Line { key: "machines", value: count.to_string(), why, sure: false });
    }
    draft.needs.push(
        "Fly's private network has to be reached from here: fly wireguard create, or run in an app"
            .to_owned(),
    );
    drafts.push(draft);
}

/// The way around HAProxy in a Postgres of Fly's.
fn way_around(draft: &mut Draft, connection: &Connection, at: &str) {
    if let Some(db) = app_of(&connection.host).filter(|_| connection.port == PROXIED && !draft.has("direct"))
    {
        let why = format!("{at}; {PROXIED} is HAProxy, {OWN} Postgres (postgres-flex)");
        draft.line("direct", &format!("{db}.internal:{OWN}"), why);
    }
}

/// No connection string leads to Fly: it is one of Fly's secrets, which nobody can read back.
fn unknown(draft: &mut Draft, app: &FlyApp, drafts: &mut Drafts) {
    let variable = drafts.name_for(&draft.name, "DATABASE_URL");
    draft.line("database", &format!("env:{variable}"), "a secret of the app's, not seen here");
    draft.guess(
        "direct",
        &format!("{}-db.internal:{OWN}", stem(&app.name)),
        "around HAProxy, of a postgres-flex",
    );
    draft.needs.push(format!(
        "set {variable} to what fly postgres attach printed (fly secrets list --app {} shows names only)",
        app.name
    ));
}

/// It leads into Fly's private network.
pub(super) fn is_fly(host: &str) -> bool {
    [".internal", ".flycast", ".flympg.net"].iter().any(|ending| host.ends_with(ending))
}

/// The app that a host of Fly's names: the last label before `.internal`, `.flycast`.
pub(super) fn app_of(host: &str) -> Option<&str> {
    let name = host.strip_suffix(".internal").or_else(|| host.strip_suffix(".flycast"))?;
    let app = name.rsplit('.').next()?;
    let plain = !app.is_empty() && app.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    plain.then_some(app)
}
