//! The commands of whatever runs a service, for people: one file for each kind. Fly's were checked against
//! the sources of flyctl ad0172f and postgres-flex d263c9e; the others' stand in their manuals, and not all were run.
//!
//! Not in here: what pgmedic itself calls (`pgmedic_path::hands`), and which command belongs to which cause (`cause`).

mod by_command;
mod docker;
mod fly;
mod kubernetes;
mod systemd;

use super::subject::Subject;
pub(crate) use crate::config::SaidPlatform as Platform;
use pgmedic_model::Deed;
use pgmedic_path::hands::host;
use pgmedic_path::paste::argument;

impl Platform {
    /// The name by which the database is found on it.
    pub(super) fn host_name(&self) -> Option<String> {
        match self {
            Self::Fly { db: Some(db), .. } => Some(format!("{db}.internal")),
            _ => None,
        }
    }

    /// Something is named that stands in front of the database, or always does on this platform.
    pub(super) fn has_proxy(&self) -> bool {
        match self {
            // postgres-flex: 5432 is HAProxy, 5433 Postgres.
            Self::Fly { db, .. } => db.is_some(),
            Self::Docker { proxy, .. } | Self::Kubernetes { proxy, .. } | Self::Systemd { proxy, .. } => {
                proxy.is_some()
            }
            Self::Host | Self::Unknown => false,
        }
    }

    /// For a heading.
    pub(super) fn title(&self) -> String {
        let (kind, names) = match self {
            Self::Fly { api, db } => ("Fly.io", [("API", api), ("database", db), ("proxy", &None)]),
            Self::Docker { api, db, proxy, .. } => {
                ("Docker", [("API", api), ("database", db), ("proxy", proxy)])
            }
            Self::Kubernetes { api, db, proxy, .. } => {
                ("Kubernetes", [("API", api), ("database", db), ("proxy", proxy)])
            }
            Self::Systemd { api, db, proxy } => {
                ("systemd", [("API", api), ("database", db), ("proxy", proxy)])
            }
            Self::Host => return "this host, by the commands of `pgmedic.toml`".to_owned(),
            Self::Unknown => return "not known (no `[service.platform]`)".to_owned(),
        };
        let names = names.iter().filter_map(|(what, name)| Some(format!("{what} `{}`", name.as_ref()?)));
        format!("{kind}: {}", names.collect::<Vec<_>>().join(", "))
    }
}

/// A command, with what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) says: String,
    pub(super) command: String,
}

/// A command, with what it is for.
pub(super) fn line(says: impl Into<String>, command: impl Into<String>) -> Line {
    Line { says: says.into(), command: command.into() }
}

/// The commands of a service, by what they are for. What a platform has not is empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Kit {
    /// What runs, and how its checks stand.
    pub(super) state: Vec<Line>,
    pub(super) api_log: Vec<Line>,
    pub(super) db_log: Vec<Line>,
    /// Into psql, to paste SQL there.
    pub(super) psql: Vec<Line>,
    /// Into psql past whatever stands in front.
    pub(super) around: Vec<Line>,
    pub(super) disk: Vec<Line>,
    /// The database's name, as the API's place resolves it.
    pub(super) resolve: Vec<Line>,
    pub(super) restart_api: Vec<Line>,
    pub(super) restart_proxy: Vec<Line>,
    pub(super) start_db: Vec<Line>,
    pub(super) restart_db: Vec<Line>,
    pub(super) extend: Vec<Line>,
}

/// The words by which an API's log tells of its database. The old runbook's three, and what drivers say.
const API_WORDS: &str = "database|pg|postgres|timeout|timed out|ECONN|ENOTFOUND|EAI_AGAIN";
/// The words by which the server's log tells what is wrong.
const DB_WORDS: &str = "FATAL|PANIC|ERROR|No space left|terminated by signal";

/// The commands of a service: those of its platform, and before them those that its configuration names.
pub(super) fn kit(s: &Subject) -> Kit {
    let mut kit = match &s.platform {
        Platform::Fly { api, db } => fly::kit(s, api.as_deref(), db.as_deref()),
        Platform::Docker { api, db, proxy, engine } => {
            docker::kit(s, [api, db, proxy].map(Option::as_deref), engine.as_deref())
        }
        Platform::Kubernetes { api, db, proxy, options } => {
            kubernetes::kit(s, [api, db, proxy].map(Option::as_deref), options)
        }
        Platform::Systemd { api, db, proxy } => systemd::kit(s, [api, db, proxy].map(Option::as_deref)),
        Platform::Host | Platform::Unknown => Kit::default(),
    };
    by_command::add(s, &mut kit);
    if kit.psql.is_empty() {
        kit.psql.push(line("as the API", format!("psql {}", s.psql)));
        let rescue = s.rescue.as_ref();
        kit.psql.extend(rescue.map(|rescue| line("where slots are short", format!("psql {rescue}"))));
    }
    if let Some((host, port)) = s.direct.as_ref().filter(|_| kit.around.is_empty()) {
        let way = format!("psql -h {} -p {port} -U postgres -d {}", argument(host), s.database());
        kit.around.push(line("around the proxy", way));
    }
    if let Some(name) = s.host_name().filter(|_| kit.resolve.is_empty()) {
        kit.resolve = vec![
            line(
                "on a machine of the API: what its programs are answered",
                format!("getent ahosts {}", argument(&name)),
            ),
            line("what the nameserver says, asked by itself", format!("dig {}", argument(&name))),
        ];
    }
    kit
}

/// True where pgmedic itself has hands for a deed here (`pgmedic_path::hands`): a command is configured, or the platform's own
/// way does it.
pub(super) fn does(s: &Subject, deed: Deed) -> bool {
    let allowed = deed != Deed::ExtendVolume || s.policy.max_volume_gb.is_some();
    let by_platform = match (&s.platform, deed) {
        (
            Platform::Fly { api, .. }
            | Platform::Docker { api, .. }
            | Platform::Kubernetes { api, .. }
            | Platform::Systemd { api, .. },
            Deed::RestartApi,
        ) => api.is_some(),
        (
            Platform::Docker { proxy, .. }
            | Platform::Kubernetes { proxy, .. }
            | Platform::Systemd { proxy, .. },
            Deed::RestartProxy,
        ) => proxy.is_some(),
        (Platform::Fly { db, .. }, Deed::StartDb | Deed::RestartDb | Deed::ExtendVolume)
        | (Platform::Docker { db, .. } | Platform::Systemd { db, .. }, Deed::StartDb | Deed::RestartDb)
        | (Platform::Kubernetes { db, .. }, Deed::RestartDb | Deed::ExtendVolume) => db.is_some(),
        _ => false,
    };
    allowed && (by_platform || s.commands.iter().any(|(of, _)| *of == deed))
}

/// The configured command of a deed, for a shell. What may be a secret in it is left out.
pub(super) fn configured(s: &Subject, deed: Deed) -> Option<Line> {
    let (_, list) = s.commands.iter().find(|(of, _)| *of == deed)?;
    let mut masked = false;
    let mut words = Vec::new();
    let mut hides_next = false;
    for text in list {
        let shown = if hides_next { "***".to_owned() } else { pgmedic_model::mask::excerpt(text, 1000) };
        // A secret's name alone is an option whose value comes next.
        let lower = text.to_lowercase();
        hides_next = text.starts_with('-')
            && !text.contains('=')
            && ["password", "passwd", "token", "secret", "key"].iter().any(|word| lower.contains(word));
        masked |= shown != *text;
        // The size is a blank to fill in, which a shell would leave alone.
        words.push(if shown == "{size_gb}" {
            "SIZE_GB".to_owned()
        } else {
            argument(&shown.replace("{size_gb}", "SIZE_GB"))
        });
    }
    let key = host::key(deed);
    let says = if masked {
        format!("{key}, with a secret left out: see pgmedic.toml")
    } else {
        format!("{key} of pgmedic.toml")
    };
    Some(line(says, words.join(" ")))
}
