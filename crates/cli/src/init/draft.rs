//! A `[[service]]` that is being drafted: its lines, each with where it is from and whether it is known or a guess.

use super::connection::Connection;
use super::urls::{Holder, Url};

/// A key, its value as TOML, and why.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) key: &'static str,
    pub(super) value: String,
    pub(super) why: String,
    /// Known. What is not is written as a comment, to be filled in.
    pub(super) sure: bool,
}

/// One service.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) name: String,
    /// What it is, in one line.
    pub(super) about: String,
    pub(super) lines: Vec<Line>,
    pub(super) platform: Vec<Line>,
    pub(super) budget: Vec<Line>,
    /// What somebody has to do before it can be checked.
    pub(super) needs: Vec<String>,
}

impl Draft {
    /// A line of `[[service]]` that is known.
    pub(super) fn line(&mut self, key: &'static str, value: &str, why: impl Into<String>) {
        self.lines.push(Line { key, value: quoted(value), why: why.into(), sure: true });
    }

    /// One that is to be filled in.
    pub(super) fn guess(&mut self, key: &'static str, value: &str, why: impl Into<String>) {
        self.lines.push(Line { key, value: quoted(value), why: why.into(), sure: false });
    }

    /// A line of `[service.platform]`.
    pub(super) fn platform(&mut self, key: &'static str, value: &str, why: impl Into<String>, sure: bool) {
        self.platform.push(Line { key, value: quoted(value), why: why.into(), sure });
    }

    /// True where a line of that key is there, known or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.lines.iter().any(|line| line.key == key)
    }
}

/// The drafts, and the connection strings that none has taken yet.
pub(super) struct Drafts {
    urls: Vec<Url>,
    done: Vec<Draft>,
    /// Variables that services refer to.
    taken: Vec<String>,
}

impl Drafts {
    pub(super) fn new(urls: Vec<Url>) -> Self {
        // A test's or a migration's shadow database is nobody's service.
        let spare =
            |url: &Url| ["TEST", "SHADOW"].iter().any(|word| url.variable.to_uppercase().contains(word));
        Self {
            urls: urls.into_iter().filter(|url| !spare(url)).collect(),
            done: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// Takes the first connection string that fits, and whatever else leads to the same database; those that are for a
    /// rescue role or for the way around the proxy become lines of their own.
    pub(super) fn take(&mut self, fits: impl Fn(&Connection) -> bool) -> Option<Url> {
        let ordinary = |url: &Url| side_of(url).is_none();
        let at = self.urls.iter().position(|url| ordinary(url) && fits(&url.connection))?;
        let taken = self.urls.remove(at);
        self.urls.retain(|url| !(ordinary(url) && url.connection.same_place(&taken.connection)));
        Some(taken)
    }

    /// Writes the `database` line for a connection string, and what is needed for it.
    pub(super) fn refer(&mut self, draft: &mut Draft, url: &Url) {
        if url.variable.is_empty() {
            draft.line("database", &url.connection.bare(), format!("{}, PGHOST and its like", url.at));
            draft.needs.push("its password comes from PGPASSWORD or ~/.pgpass".to_owned());
        } else {
            let variable = self.name_for(&draft.name, &url.variable);
            let why = format!("{}: {}", url.at, url.connection.shown());
            draft.line("database", &format!("env:{variable}"), why);
            self.need(draft, url, &variable);
        }
        self.sides(draft, &url.connection);
    }

    /// A variable's name that no other service's connection string has.
    pub(super) fn name_for(&mut self, service: &str, variable: &str) -> String {
        let mut name = variable.to_owned();
        let own: String = service
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
            .collect();
        while self.taken.contains(&name) {
            name = format!("{own}_{name}");
        }
        self.taken.push(name.clone());
        name
    }

    fn need(&self, draft: &mut Draft, url: &Url, variable: &str) {
        let same = variable == url.variable;
        match &url.holder {
            Holder::Environment if same => {}
            Holder::File(file) if same => {
                draft.needs.push(format!("load {file}, which has {variable}: set -a; . ./{file}; set +a (a value with & ; or a blank must stand in quotes there)"));
            }
            Holder::Unit(unit) if same => draft.needs.push(format!(
                "set {variable} as the unit {unit} has it ({}); for pgmedic's own unit the same EnvironmentFile",
                url.at
            )),
            Holder::Environment | Holder::File(_) | Holder::Written | Holder::Unit(_) => {
                draft.needs.push(format!("set {variable} to what {} is at {}", url.variable, url.at));
            }
        }
        if let Some(scheme) = &url.connection.foreign_scheme {
            draft.needs.push(format!(
                "{variable} begins with {scheme}://, which is its driver's own: set it with postgres:// for pgmedic"
            ));
        }
    }

    /// `rescue` and `direct` by variables that are named so.
    fn sides(&mut self, draft: &mut Draft, main: &Connection) {
        let mut at = 0;
        while let Some(url) = self.urls.get(at) {
            let fits = url.connection.database == main.database;
            let Some(side) = side_of(url).filter(|_| fits) else {
                at += 1;
                continue;
            };
            let url = self.urls.remove(at);
            match side {
                Side::Rescue => {
                    draft.line(
                        "rescue",
                        &format!("env:{}", url.variable),
                        format!("{}: {}", url.at, url.connection.shown()),
                    );
                    self.need(draft, &url, &url.variable);
                }
                Side::Direct if !draft.has("direct") && !url.connection.same_place(main) => {
                    draft.line("direct", &url.connection.address(), format!("{}: {}", url.at, url.variable));
                }
                Side::Direct => {}
            }
        }
    }

    /// Adds a draft; a second one of its name is called by what sets it apart.
    pub(super) fn name(&self, wanted: &str, apart: &str) -> String {
        let plain: String = wanted
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
            .take(60)
            .collect();
        let plain = if plain.is_empty() { "database".to_owned() } else { plain };
        let is_free = |name: &String| !self.done.iter().any(|draft| draft.name == *name);
        let numbered = (2..).map(|n| format!("{plain}-{apart}-{n}"));
        [plain.clone(), format!("{plain}-{apart}")].into_iter().chain(numbered).find(is_free).unwrap_or(plain)
    }

    pub(super) fn push(&mut self, draft: Draft) {
        self.done.push(draft);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.done.is_empty()
    }

    pub(super) fn done(self) -> Vec<Draft> {
        self.done
    }
}

/// What a connection string is for beside the ordinary way in.
enum Side {
    Rescue,
    Direct,
}

fn side_of(url: &Url) -> Option<Side> {
    let name = url.variable.to_ascii_uppercase();
    if name.contains("DIRECT") {
        Some(Side::Direct)
    } else if ["RESCUE", "ADMIN", "SUPERUSER"].iter().any(|word| name.contains(word)) {
        Some(Side::Rescue)
    } else {
        None
    }
}

/// A program's name without what says that it is one: `renderflow-api` is renderflow's.
pub(super) fn stem(name: &str) -> &str {
    let endings = ["-api", "_api", "-app", "-web", "-backend", "-server", "-service"];
    endings.iter().find_map(|ending| name.strip_suffix(ending)).filter(|s| !s.is_empty()).unwrap_or(name)
}

/// A TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if crate::render::text::is_hidden(c) => out.push_str(&format!("\\U{:08X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
