//! `fly.toml`: the app, what its checks ask for, its metrics (<https://fly.io/docs/reference/configuration/>).
//!
//! Not in here: anything that Fly itself would have to be asked.

use super::place::{Notes, Place, Text};
use super::urls::{self, Holder};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A Fly app.
#[derive(Debug, Default)]
pub(super) struct FlyApp {
    pub(super) name: String,
    pub(super) at: String,
    /// What a check asks for, the likeliest to be readiness first.
    pub(super) checks: Vec<Asked>,
    pub(super) metrics: Option<Asked>,
    /// `internal_port` of the first service.
    pub(super) port: Option<u16>,
    /// `min_machines_running`.
    pub(super) machines: Option<(u64, String)>,
    /// A connection string in `[env]`, which is no place for one.
    pub(super) urls: Vec<urls::Url>,
}

/// A port, a path and where they stand.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) port: u16,
    pub(super) path: String,
    pub(super) at: String,
}

impl Asked {
    /// Its path is one of those by which readiness is known.
    pub(super) fn says_ready(&self) -> bool {
        self.path.contains("ready")
    }
}

/// Reads `fly.toml` and every `fly.NAME.toml` of the folder.
pub(super) fn read(place: &Place, names: &[String], notes: &mut Notes) -> Vec<FlyApp> {
    let ours = |name: &&String| name.starts_with("fly.") && name.ends_with(".toml");
    let mut apps: Vec<FlyApp> = Vec::new();
    for name in names.iter().filter(ours).take(8) {
        let app = place.in_folder(name, notes).and_then(|file| app(&file, notes));
        apps.extend(app.filter(|app| !apps.iter().any(|known| known.name == app.name)));
    }
    apps
}

fn app(file: &Text, notes: &mut Notes) -> Option<FlyApp> {
    let root = match DeTable::parse(&file.text) {
        Ok(root) => root,
        Err(error) => {
            let at = error.span().map_or(1, |span| line(&file.text, span.start));
            notes.unread(file.at(at), "not TOML, so that nothing of the file is used");
            return None;
        }
    };
    let root = root.get_ref();
    let name = root.get("app").filter(|value| value.get_ref().as_str().is_some_and(is_app));
    let Some(name) = name else {
        notes.unread(&file.name, "names no app");
        return None;
    };
    let reading = Reading { file };
    let mut app = FlyApp {
        name: name.get_ref().as_str().unwrap_or_default().to_owned(),
        at: reading.at(name),
        ..FlyApp::default()
    };
    notes.found(&app.at, format!("the Fly app {}", app.name));
    reading.http(root, &mut app);
    let port = app.port.unwrap_or(8080);
    app.checks.extend(top_checks(&reading, root, port));
    app.checks.sort_by_key(|asked| !asked.says_ready());
    for asked in &app.checks {
        notes.found(&asked.at, format!("a check asks for {} on port {}", asked.path, asked.port));
    }
    if let Some(table) = root.get("metrics").and_then(|value| value.get_ref().as_table()) {
        app.metrics = reading.asked(table, port, Some("/metrics"));
    }
    if let Some(asked) = &app.metrics {
        notes.found(&asked.at, format!("metrics at {} on port {}", asked.path, asked.port));
    }
    if let Some(env) = root.get("env").and_then(|value| value.get_ref().as_table()) {
        for (key, value) in env.iter() {
            let text = value.get_ref().as_str().unwrap_or_default();
            let holder = Holder::Written;
            urls::take(key.get_ref(), text, reading.at(value), holder, &mut app.urls, notes);
        }
    }
    Some(app)
}

struct Reading<'f> {
    file: &'f Text,
}

impl Reading<'_> {
    fn at<T>(&self, value: &Spanned<T>) -> String {
        self.file.at(line(&self.file.text, value.span().start))
    }

    /// `[http_service]` and `[[services]]`.
    fn http(&self, root: &DeTable<'_>, app: &mut FlyApp) {
        let single = root.get("http_service").and_then(|value| value.get_ref().as_table());
        let several = root.get("services").and_then(|value| value.get_ref().as_array());
        let several = several.into_iter().flat_map(|list| list.iter().filter_map(|v| v.get_ref().as_table()));
        for service in single.into_iter().chain(several).take(8) {
            let port = service.get("internal_port").and_then(number).unwrap_or(8080);
            if let Some(value) = service.get("min_machines_running")
                && let Some(count) = number(value)
            {
                app.machines = Some((u64::from(count), self.at(value)));
            }
            for key in ["checks", "http_checks"] {
                let checks = service.get(key).and_then(|value| value.get_ref().as_array());
                for check in checks.into_iter().flat_map(|list| list.iter()).take(16) {
                    app.checks
                        .extend(check.get_ref().as_table().and_then(|table| self.asked(table, port, None)));
                }
            }
            app.port.get_or_insert(port);
        }
    }

    /// `port` and `path` of a table.
    fn asked(&self, table: &DeTable<'_>, port: u16, path: Option<&str>) -> Option<Asked> {
        let value = table.get("path");
        let written = value.and_then(|value| value.get_ref().as_str());
        let written = written.or(path)?.split(['?', '#']).next().unwrap_or_default();
        let plain = written.starts_with('/') && written.chars().all(|c| c.is_ascii_graphic() && c != '"');
        let port = table.get("port").and_then(number).unwrap_or(port);
        let any = value.or_else(|| table.get("port"));
        let at = any.map_or_else(|| self.file.name.clone(), |value| self.at(value));
        plain.then(|| Asked { port, path: written.to_owned(), at })
    }
}

/// `[checks.NAME]` of the type http.
fn top_checks(reading: &Reading<'_>, root: &DeTable<'_>, port: u16) -> Vec<Asked> {
    let checks = root.get("checks").and_then(|value| value.get_ref().as_table());
    let tables = checks.into_iter().flat_map(|table| table.iter());
    tables.filter_map(|(_, value)| reading.asked(value.get_ref().as_table()?, port, None)).take(16).collect()
}

fn number(value: &Spanned<DeValue<'_>>) -> Option<u16> {
    let number = value.get_ref().as_integer()?;
    u16::from_str_radix(number.as_str(), number.radix()).ok()
}

fn is_app(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 63
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

/// The line of a byte offset, from 1.
fn line(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}
