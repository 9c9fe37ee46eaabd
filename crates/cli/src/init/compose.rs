//! Compose files: which service is Postgres, a pooler or a proxy, which has a connection string, which ports lead in.
//!
//! <https://github.com/compose-spec/compose-spec/blob/main/spec.md>: of it `services`, `image`, `environment`, `env_file`,
//! `ports`, `healthcheck.test`, anchors, merge keys and variables are read. `extends`, `include`, profiles and override
//! files are not. Not in here: what is made of it (`draft`).

use super::connection::{Connection, is_postgres};
use super::dotenv::{self, interpolated, names_in};
use super::place::{Notes, Place, Text};
use super::urls::{connection_noted, is_url_variable};
use super::yaml::{self, Node};

/// The names under which compose finds its file (docker compose(1), `--file`), the first that is there.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// Most services looked at.
const MANY: usize = 200;

/// A compose file.
pub(super) struct Compose {
    /// `name:` of the project.
    pub(super) project: Option<String>,
    pub(super) services: Vec<Service>,
}

/// What a service is, by its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Postgres,
    PgBouncer,
    HaProxy,
    /// Whatever it is.
    Program,
}

/// One of its services.
pub(super) struct Service {
    pub(super) name: String,
    pub(super) at: String,
    pub(super) kind: Kind,
    pub(super) urls: Vec<Url>,
    pub(super) ports: Vec<Port>,
    /// The path and port that its health check asks for.
    pub(super) health: Option<(u16, String, String)>,
    /// POSTGRES_USER and POSTGRES_DB, where it is a Postgres.
    pub(super) user: Option<String>,
    pub(super) database: Option<String>,
    /// A pooler's own way on: DB_HOST.
    pub(super) behind: Option<String>,
}

/// A connection string in its environment.
#[derive(Clone)]
pub(super) struct Url {
    /// The variable's name in the container.
    pub(super) variable: String,
    pub(super) at: String,
    pub(super) connection: Connection,
    /// The variable of compose's own environment that holds it whole: `${DATABASE_URL}`.
    pub(super) whole_of: Option<String>,
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) inside: u16,
    pub(super) outside: u16,
}

/// Reads the folder's compose file.
pub(super) fn read(place: &Place, notes: &mut Notes) -> Option<Compose> {
    let file = NAMES.iter().find_map(|name| place.in_folder(name, notes))?;
    let (root, mistake) = yaml::read(&file.text);
    if let Some(mistake) = mistake {
        notes.unread(&file.name, format!("{mistake}; what stands before it is used"));
    }
    let root = root?;
    let reading = Reading { file: &file, place, own: own_environment(place) };
    let pairs = root.get("services").map(Node::pairs).unwrap_or_default();
    let services: Vec<Service> =
        pairs.into_iter().take(MANY).map(|(name, node)| reading.service(name, node, notes)).collect();
    let project = root.get("name").and_then(Node::text).and_then(|text| reading.filled(text));
    Some(Compose { project: project.filter(|name| is_plain(name)), services })
}

/// What compose fills `${NAME}` with: its environment, then the folder's `.env`.
fn own_environment(place: &Place) -> Vec<(String, String)> {
    let mut all = place.environment.clone();
    // Notes of what cannot be read are made where `.env` is looked at for itself.
    if let Some(file) = place.in_folder(".env", &mut Notes::default()) {
        all.extend(dotenv::read(&file.text).into_iter().map(|v| (v.name.to_owned(), v.value)));
    }
    all
}

struct Reading<'a> {
    file: &'a Text,
    place: &'a Place,
    own: Vec<(String, String)>,
}

impl Reading<'_> {
    fn filled(&self, value: &str) -> Option<String> {
        interpolated(value, &|name| self.own.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()))
    }

    fn text(&self, node: Option<&Node>) -> Option<String> {
        self.filled(node?.text()?)
    }

    fn service(&self, name: &str, node: &Node, notes: &mut Notes) -> Service {
        let image = self.text(node.get("image")).unwrap_or_default();
        let environment = self.environment(node, notes);
        let kind = kind(&image, &environment);
        let value = |name: &str| environment.iter().find(|v| v.name == name).map(|v| v.value.as_str());
        let first = |names: &[&str]| {
            names.iter().find_map(|name| value(name)).filter(|text| is_plain(text)).map(str::to_owned)
        };
        let at = self.file.at(node.line.saturating_sub(1).max(1));
        let user = first(&["POSTGRES_USER", "POSTGRESQL_USERNAME"]);
        let database = first(&["POSTGRES_DB", "POSTGRESQL_DATABASE"]).or_else(|| user.clone());
        let shown = if is_plain(&image) { format!(" ({image})") } else { String::new() };
        match kind {
            Kind::Postgres => notes.found(&at, format!("the container {name}: Postgres{shown}")),
            Kind::PgBouncer => notes.found(&at, format!("the container {name}: PgBouncer{shown}")),
            Kind::HaProxy => notes.found(&at, format!("the container {name}: HAProxy{shown}")),
            Kind::Program => {}
        }
        let mut urls = Vec::new();
        for variable in environment.iter().filter(|v| is_url_variable(&v.name) && is_postgres(&v.value)) {
            let whose = format!("{} of the container {name}", variable.name);
            if let Some(connection) = connection_noted(&variable.value, &variable.at, &whose, notes) {
                let (variable, whole_of, at) =
                    (variable.name.clone(), variable.whole_of.clone(), variable.at.clone());
                urls.push(Url { variable, at, connection, whole_of });
            }
        }
        let health = self.health(node.get("healthcheck"));
        if let Some((port, path, at)) = health.as_ref().filter(|_| kind == Kind::Program) {
            notes.found(at, format!("the container {name} is asked for {path} on port {port}"));
        }
        let ports = node.get("ports").map(Node::items).unwrap_or_default();
        Service {
            name: name.to_owned(),
            at,
            kind,
            urls,
            ports: ports.iter().filter_map(|port| self.port(port)).collect(),
            health,
            user,
            database,
            behind: first(&["DB_HOST", "POSTGRESQL_HOST", "PGBOUNCER_DSN_0_HOST"]),
        }
    }

    /// What a service has in its environment: `env_file`, overruled by `environment`.
    fn environment(&self, node: &Node, notes: &mut Notes) -> Vec<Variable> {
        let mut all: Vec<Variable> = Vec::new();
        if let Some(environment) = node.get("environment") {
            let pairs = environment.pairs().into_iter().map(|(name, value)| (name, value.text(), value.line));
            let items = environment.items().iter().filter_map(|item| {
                let (name, value) = item.text()?.split_once('=').unwrap_or((item.text()?, ""));
                Some((name, Some(value), item.line))
            });
            all.extend(pairs.chain(items).filter_map(|(name, value, line)| {
                // A name without a value is passed through.
                let written =
                    value.filter(|v| !v.is_empty()).map_or_else(|| format!("${{{name}}}"), str::to_owned);
                let whole_of = names_in(&written)
                    .into_iter()
                    .next()
                    .filter(|_| written.starts_with('$') && !written.contains("://"));
                let value = self.filled(&written)?;
                Some(Variable { name: name.to_owned(), value, whole_of, at: self.file.at(line) })
            }));
        }
        let files = node.get("env_file");
        let listed = files.into_iter().flat_map(|f| std::iter::once(f).chain(f.items().iter().map(|i| &**i)));
        for name in listed.filter_map(|f| f.text().or_else(|| f.get("path")?.text())).take(8) {
            let Some(file) = self.place.in_folder(name, notes) else { continue };
            for v in dotenv::read(&file.text) {
                if !all.iter().any(|known| known.name == v.name) {
                    let (name, at) = (v.name.to_owned(), file.at(v.line));
                    all.push(Variable { name: name.clone(), value: v.value, whole_of: Some(name), at });
                }
            }
        }
        all
    }

    /// `"[host:]outside:inside[/tcp]"`, or a map of `target` and `published`.
    fn port(&self, node: &Node) -> Option<Port> {
        let number = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
        if let Some(target) = self.text(node.get("target")) {
            let outside = number(&self.text(node.get("published"))?)?;
            return Some(Port { inside: number(&target)?, outside });
        }
        let text = self.filled(node.text()?)?;
        let text = text.split('/').next()?;
        let (outside, inside) = text.rsplit_once(':')?;
        let outside = outside.rsplit(':').next()?;
        Some(Port { inside: number(inside)?, outside: number(outside)? })
    }

    /// The URL that a health check asks for: port, path without its query, place.
    fn health(&self, check: Option<&Node>) -> Option<(u16, String, String)> {
        let test = check?.get("test")?;
        let mut words = vec![self.text(Some(test)).unwrap_or_default()];
        words.extend(test.items().iter().filter_map(|item| self.text(Some(item))));
        let line = words.join(" ");
        let url = line.split_whitespace().find_map(|word| {
            word.trim_matches(['"', '\'', ';', '(', ')']).strip_prefix("http://").map(str::to_owned)
        })?;
        let (authority, path) = url.split_once('/')?;
        let port = authority.rsplit_once(':').map_or(Some(80), |(_, port)| port.parse().ok())?;
        let path = format!("/{}", path.split(['?', '#', '|', '&', '"', '\'']).next().unwrap_or_default());
        Some((port, path, self.file.at(test.line)))
    }
}

/// A variable of a container.
struct Variable {
    name: String,
    value: String,
    whole_of: Option<String>,
    at: String,
}

/// What an image is, by its name; and a Postgres of one's own making by the variables of the official image.
fn kind(image: &str, environment: &[Variable]) -> Kind {
    let image = image.split(['@']).next().unwrap_or_default().to_ascii_lowercase();
    let last = image.rsplit('/').next().unwrap_or_default();
    let base = last.split(':').next().unwrap_or_default();
    let has = |name: &str| environment.iter().any(|v| v.name == name);
    let postgres = ["postgres", "postgresql", "postgis", "timescaledb", "timescaledb-ha", "pgvector"];
    if base.contains("pgbouncer") {
        Kind::PgBouncer
    } else if base.contains("haproxy") {
        Kind::HaProxy
    } else if postgres.contains(&base)
        || (has("POSTGRES_PASSWORD") && has("PGDATA"))
        || (image.is_empty() && has("POSTGRES_PASSWORD") && !has("DATABASE_URL"))
    {
        Kind::Postgres
    } else {
        Kind::Program
    }
}

/// A name that may be shown: short, without what a secret has.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/:".contains(c))
}
