//! Services of what a compose file says: one for each database that programs are led to.
//!
//! Within compose's network a database has its container's name; pgmedic on the host goes by the published ports, and
//! says which are missing.

use super::compose::{Compose, Kind, Service, Url};
use super::connection::Connection;
use super::draft::{Draft, Drafts, stem};
use super::fly::FlyApp;

/// One database and the programs that are led to it.
struct Group<'c> {
    url: Option<&'c Url>,
    /// The service that the connection string names.
    entry: Option<&'c Service>,
    programs: Vec<&'c Service>,
}

/// Drafts them.
pub(super) fn draft(compose: &Compose, apps: &[FlyApp], drafts: &mut Drafts) {
    for group in groups(compose) {
        one(compose, &group, apps, drafts);
    }
}

fn groups(compose: &Compose) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let named = |host: &str| compose.services.iter().find(|service| service.name == host);
    for program in compose.services.iter().filter(|service| service.kind == Kind::Program) {
        for url in &program.urls {
            let known = groups
                .iter_mut()
                .find(|g| g.url.is_some_and(|known| known.connection.same_place(&url.connection)));
            match known {
                Some(group) if group.programs.iter().any(|p| p.name == program.name) => {}
                Some(group) => group.programs.push(program),
                None => groups.push(Group {
                    url: Some(url),
                    entry: named(&url.connection.host),
                    programs: vec![program],
                }),
            }
        }
    }
    for postgres in compose.services.iter().filter(|service| service.kind == Kind::Postgres) {
        let reached = groups.iter().any(|g| db_of(compose, g).is_some_and(|db| db.name == postgres.name));
        if !reached {
            groups.push(Group { url: None, entry: Some(postgres), programs: Vec::new() });
        }
    }
    groups
}

/// The Postgres itself: the entry, or what stands behind it.
fn db_of<'c>(compose: &'c Compose, group: &Group<'c>) -> Option<&'c Service> {
    let entry = group.entry?;
    if entry.kind == Kind::Postgres {
        return Some(entry);
    }
    let behind = |s: &&Service| match (&entry.behind, entry.urls.first()) {
        (Some(host), _) => s.name == *host,
        (None, Some(url)) => s.name == url.connection.host,
        (None, None) => true,
    };
    let mut all = compose.services.iter().filter(|s| s.kind == Kind::Postgres).filter(behind);
    all.next().filter(|_| all.next().is_none())
}

fn outside(service: Option<&Service>, inside: u16) -> Option<u16> {
    service?.ports.iter().find(|port| port.inside == inside).map(|port| port.outside)
}

fn one(compose: &Compose, group: &Group<'_>, apps: &[FlyApp], drafts: &mut Drafts) {
    let api = group
        .programs
        .iter()
        .find(|p| p.health.is_some())
        .or_else(|| group.programs.iter().find(|p| !p.ports.is_empty()).or(group.programs.first()));
    let db = db_of(compose, group);
    let database = group.url.and_then(|url| url.connection.database.as_deref());
    let own = database.or_else(|| db.and_then(|db| db.database.as_deref()));
    let wanted = own.or(compose.project.as_deref()).or(api.map(|api| stem(&api.name))).unwrap_or("database");
    let name = drafts.name(wanted, "compose");
    let at = group.entry.or(api.copied()).map_or("the compose file", |service| service.at.as_str());
    let mut draft = Draft { about: format!("containers of compose, from {at}"), name, ..Draft::default() };
    database_line(&mut draft, group, db, drafts);
    let entry = group.entry.filter(|entry| entry.kind != Kind::Postgres);
    if let (Some(entry), Some(db)) = (entry, db) {
        around(&mut draft, entry, db);
    }
    if let Some(api) = api {
        doors(&mut draft, api, apps);
    }
    let full = |service: &Service| match &compose.project {
        Some(project) => format!("{project}/{}", service.name),
        None => service.name.clone(),
    };
    if let Some(any) = api.copied().or(db) {
        draft.platform("kind", "docker", "", true);
        for (key, service) in [("api", api.copied()), ("db", db), ("proxy", entry)] {
            if let Some(service) = service {
                let others: Vec<&str> =
                    group.programs.iter().filter(|p| p.name != any.name).map(|p| p.name.as_str()).collect();
                let also = if key == "api" && !others.is_empty() {
                    format!("; led there, too: {}", others.join(", "))
                } else {
                    String::new()
                };
                draft.platform(key, &full(service), format!("{}{also}", service.at), true);
            }
        }
    }
    drafts.push(draft);
}

/// `database`: by the variable that compose itself is given, by one that leads in from outside, or by one to be set.
fn database_line(draft: &mut Draft, group: &Group<'_>, db: Option<&Service>, drafts: &mut Drafts) {
    let inside = group.url.map_or(5432, |url| url.connection.port);
    let published = outside(group.entry, inside);
    let name = group.url.and_then(|url| url.connection.database.clone());
    let from_here = |connection: &Connection| {
        connection.is_here()
            && published == Some(connection.port)
            && (name.is_none() || connection.database == name)
    };
    // One in the environment or in .env that leads in by the published port, or is what compose hands on.
    let same = |connection: &Connection| group.url.is_some_and(|url| url.connection == *connection);
    if let Some(url) = drafts.take(from_here) {
        drafts.refer(draft, &url);
        return;
    }
    let handed_on = drafts.take(same);
    let user = db.and_then(|db| db.user.clone());
    let mut seen = match group.url {
        Some(url) => url.connection.clone(),
        None => Connection {
            host: "localhost".to_owned(),
            port: inside,
            user: user.clone().or_else(|| Some("postgres".to_owned())),
            database: db.and_then(|db| db.database.clone()).or(user).or_else(|| Some("postgres".to_owned())),
            has_password: true,
            foreign_scheme: None,
        },
    };
    let shown = seen.shown();
    let variable = group.url.map_or("DATABASE_URL", |url| url.whole_of.as_ref().unwrap_or(&url.variable));
    let variable = drafts.name_for(&draft.name, variable);
    let at = group.url.map(|url| url.at.clone()).or_else(|| db.map(|db| db.at.clone())).unwrap_or_default();
    let origin = handed_on.map_or(at.clone(), |url| url.at);
    draft.line(
        "database",
        &format!("env:{variable}"),
        format!("{origin}: {shown}, as the containers see it"),
    );
    match (group.entry, published) {
        (Some(_), Some(port)) => {
            (seen.host, seen.port, seen.foreign_scheme) = ("127.0.0.1".to_owned(), port, None);
            draft.needs.push(format!(
                "set {variable} to {}, with the password of {origin}",
                seen.shown().replace(":…@", ":PASSWORD@")
            ));
        }
        (Some(entry), None) => draft.needs.push(format!(
            "port {inside} of {} is not published: give it ports: [\"127.0.0.1:{inside}:{inside}\"] in the compose file, \
             then set {variable} to that address with the password of {origin}",
            entry.name
        )),
        (None, _) => draft.needs.push(format!("set {variable} to what stands at {origin}")),
    }
}

/// The way around a pooler or a proxy, and a pooler's console.
fn around(draft: &mut Draft, entry: &Service, db: &Service) {
    if !draft.has("direct") {
        match outside(Some(db), 5432) {
            Some(port) => draft.line(
                "direct",
                &format!("127.0.0.1:{port}"),
                format!("{}, around {}", db.at, entry.name),
            ),
            None => draft.guess(
                "direct",
                "127.0.0.1:5433",
                format!("publish a port of {} and write it here", db.name),
            ),
        }
    }
    if entry.kind == Kind::PgBouncer {
        let port = entry.ports.first().map_or(6432, |port| port.outside);
        let url = format!("postgres://stats@127.0.0.1:{port}/pgbouncer");
        draft.guess("pooler", &url, "as a user of stats_users; its password in ~/.pgpass");
    }
}

/// Readiness and metrics: by the container's health check, else by what `fly.toml` asks of the same port.
fn doors(draft: &mut Draft, api: &Service, apps: &[FlyApp]) {
    let from_fly = |inside: u16| {
        apps.iter().flat_map(|app| &app.checks).find(|asked| asked.port == inside && asked.says_ready())
    };
    let health = api.health.clone().filter(|(_, path, _)| path.contains("ready"));
    for port in &api.ports {
        let asked =
            health.clone().or_else(|| from_fly(port.inside).map(|a| (a.port, a.path.clone(), a.at.clone())));
        if let Some((_, path, at)) = asked.filter(|(inside, ..)| *inside == port.inside) {
            draft.line("ready", &format!("http://127.0.0.1:{}{path}", port.outside), at);
        } else if let Some((_, path, at)) = api.health.as_ref().filter(|(inside, ..)| *inside == port.inside)
        {
            let why = format!("{at}; only where it answers 503 without the database");
            draft.guess("ready", &format!("http://127.0.0.1:{}{path}", port.outside), why);
        }
        let metrics =
            apps.iter().filter_map(|app| app.metrics.as_ref()).find(|asked| asked.port == port.inside);
        if let Some(asked) = metrics {
            draft.line(
                "metrics",
                &format!("http://127.0.0.1:{}{}", port.outside, asked.path),
                asked.at.clone(),
            );
        }
        if draft.has("ready") {
            break;
        }
    }
}
