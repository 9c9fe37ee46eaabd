//! The server's settings as they stand on disk and on its command line, for when it cannot be asked.
//!
//! Order of precedence as in the manual, "Setting Parameters": command line, postgresql.auto.conf, postgresql.conf with
//! its includes. What a running server took over at its start may be older. Not in here: defaults of single settings.

use super::place::Place;
use super::postmaster;
use super::procfs;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Most files read, includes counted.
const MOST_FILES: usize = 100;
/// Deepest nesting of includes (CONF_FILE_MAX_DEPTH of guc-file.l).
const MOST_DEPTH: usize = 10;
/// Most bytes read of one file.
const MOST_BYTES: u64 = 1 << 20;

/// Settings by name, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings(BTreeMap<String, String>);

impl Settings {
    /// A setting's value, if it is set.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A whole number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.trim().parse().ok()
    }

    fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_ascii_lowercase().replace('-', "_"), value.to_owned());
    }

    fn overlay(&mut self, over: Self) {
        self.0.extend(over.0);
    }
}

/// A statement of a configuration file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Statement {
    Set(String, String),
    Include(String),
    IncludeFolder(String),
}

/// All settings of the server in `place`, of which `arguments` is the command line (empty where it does not run; then
/// postmaster.opts has that of its last start).
pub(super) fn settings(place: &Place, arguments: &[String], until: Instant) -> Settings {
    let of_last_start;
    let arguments = if arguments.is_empty() {
        of_last_start = last_start(place);
        &of_last_start
    } else {
        arguments
    };
    let over = command_line(arguments);
    let data = place.data();
    let named = over.text("config_file").map(|file| data.join(file));
    // `-D` may name a folder of configuration alone, whose `data_directory` leads to the data.
    let beside = postmaster::option(arguments, 'D').map(|folder| data.join(folder).join("postgresql.conf"));
    let there = |file: &PathBuf| place.locate(file).is_file();
    let file = named.into_iter().chain(beside).find(there).unwrap_or_else(|| data.join("postgresql.conf"));
    let mut all = read(place, &file, until);
    all.overlay(read(place, &place.data().join("postgresql.auto.conf"), until));
    all.overlay(over);
    all
}

/// One file with its includes.
pub(super) fn read(place: &Place, file: &Path, until: Instant) -> Settings {
    let mut reader = Reader { place, until, files: 0, settings: Settings::default() };
    reader.file(file, 0);
    reader.settings
}

/// The command line of the last start: `/usr/lib/postgresql/15/bin/postgres "-D" "/data" "-c" "port=5433"`.
fn last_start(place: &Place) -> Vec<String> {
    let text = procfs::read_text(&place.locate(&place.data().join("postmaster.opts")), MOST_BYTES);
    let text = text.unwrap_or_default();
    let (program, quoted) = text.trim_end().split_once(" \"").unwrap_or((text.trim_end(), ""));
    let words = quoted.trim_end_matches('"').split("\" \"").filter(|word| !word.is_empty());
    std::iter::once(program).chain(words).map(str::to_owned).collect()
}

/// Settings of a command line: `-c name=value`, `--name=value`, and the letters that the manual gives names for.
fn command_line(arguments: &[String]) -> Settings {
    let mut settings = Settings::default();
    for (letter, name) in [('N', "max_connections"), ('p', "port"), ('k', "unix_socket_directories")] {
        if let Some(value) = postmaster::option(arguments, letter) {
            settings.set(name, value);
        }
    }
    for (at, word) in arguments.iter().enumerate().skip(1) {
        let pair = match (word.strip_prefix("--"), word.strip_prefix("-c")) {
            (Some(long), _) => Some(long),
            (None, Some("")) => arguments.get(at + 1).map(String::as_str),
            (None, joined) => joined,
        };
        if let Some((name, value)) = pair.and_then(|pair| pair.split_once('=')) {
            settings.set(name.trim(), value);
        }
    }
    settings
}

struct Reader<'a> {
    place: &'a Place,
    until: Instant,
    files: usize,
    settings: Settings,
}

impl Reader<'_> {
    /// Reads a file as the server names it. One that is missing or unreadable sets nothing.
    fn file(&mut self, path: &Path, depth: usize) {
        self.files += 1;
        if depth > MOST_DEPTH || self.files > MOST_FILES || Instant::now() >= self.until {
            return;
        }
        let Ok(text) = procfs::read_text(&self.place.locate(path), MOST_BYTES) else { return };
        let folder = path.parent().unwrap_or(Path::new("/"));
        for statement in text.lines().filter_map(parse) {
            match statement {
                Statement::Set(name, value) => self.settings.set(&name, &value),
                Statement::Include(file) => self.file(&folder.join(file), depth + 1),
                Statement::IncludeFolder(below) => self.folder(&folder.join(below), depth + 1),
            }
        }
    }

    /// Reads every `*.conf` of a folder in the order of their names, those beginning with a dot left out.
    fn folder(&mut self, path: &Path, depth: usize) {
        let entries = std::fs::read_dir(self.place.locate(path)).into_iter().flatten().flatten();
        let mut names: Vec<PathBuf> =
            entries.take(MOST_FILES).map(|entry| PathBuf::from(entry.file_name())).collect();
        names.retain(|name| name.to_str().is_some_and(|n| n.ends_with(".conf") && !n.starts_with('.')));
        names.sort();
        for name in names {
            self.file(&path.join(name), depth);
        }
    }
}

/// Parses a line: `name = value`, `name value`, `include_dir 'conf.d'`, with quotes and a comment.
pub(super) fn parse(line: &str) -> Option<Statement> {
    let line = line.trim_start();
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == '-'))?;
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let value = value(rest.strip_prefix('=').unwrap_or(rest).trim_start());
    if name.is_empty() {
        return None;
    }
    Some(match name.to_ascii_lowercase().as_str() {
        "include" | "include_if_exists" => Statement::Include(value),
        "include_dir" => Statement::IncludeFolder(value),
        _ => Statement::Set(name.to_owned(), value),
    })
}

/// A value: quoted, where `''` and `\'` stand for a quote, or a bare word.
fn value(text: &str) -> String {
    let Some(quoted) = text.strip_prefix('\'') else {
        return text.split(|c: char| c.is_whitespace() || c == '#').next().unwrap_or_default().to_owned();
    };
    let mut out = String::new();
    let mut chars = quoted.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            '\'' if chars.peek() == Some(&'\'') => out.extend(chars.next()),
            '\'' => break,
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn lines_are_read_as_the_server_reads_them() {
        let set = |name: &str, value: &str| Some(Statement::Set(name.to_owned(), value.to_owned()));
        for (line, expected) in [
            ("max_connections = 100\t\t\t# (change requires restart)", set("max_connections", "100")),
            ("  Port 5433", set("Port", "5433")),
            ("log_line_prefix = '%m [%p] %q%u@%d '", set("log_line_prefix", "%m [%p] %q%u@%d ")),
            ("x='it''s \\'so\\'' # no", set("x", "it's 'so'")),
            ("cluster_name='cut", set("cluster_name", "cut")),
            ("#port = 5432", None),
            ("", None),
            ("include_dir 'conf.d'", Some(Statement::IncludeFolder("conf.d".to_owned()))),
            ("include_if_exists = extra.conf", Some(Statement::Include("extra.conf".to_owned()))),
        ] {
            assert_eq!(parse(line), expected, "{line}");
        }
    }

    #[test]
    fn the_command_line_sets_by_name_and_by_letter() {
        let settings = command_line(&words(
            "postgres -D /data -c max_connections=30 --log-directory=/logs -p 5433 -cssl=on",
        ));
        assert_eq!(settings.number("max_connections"), Some(30));
        assert_eq!(settings.text("log_directory"), Some("/logs"));
        assert_eq!((settings.number("port"), settings.text("ssl")), (Some(5433), Some("on")));
        assert_eq!(command_line(&words("postgres -N 40")).number("max_connections"), Some(40));
    }

    #[test]
    fn later_files_and_the_command_line_win() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        };
        write(
            "postgresql.conf",
            "include 'postgresql.conf'\nmax_connections=1\nport=1\ninclude_dir 'conf.d'\n",
        );
        write("conf.d/b.conf", "max_connections=3\nreserved_connections=5\n");
        write("conf.d/a.conf", "max_connections=2\n");
        write("conf.d/.c.conf", "max_connections=4\n");
        write("postgresql.auto.conf", "port = '7'\n");
        write(
            "postmaster.opts",
            "/usr/bin/postgres \"-D\" \"/no where\" \"-c\" \"reserved_connections=6\"\n",
        );
        let place = Place::here(folder.path());
        let running = settings(&place, &words("postgres"), soon());
        assert_eq!(running.number("max_connections"), Some(3));
        assert_eq!((running.number("port"), running.number("reserved_connections")), (Some(7), Some(5)));
        assert_eq!(settings(&place, &[], soon()).number("reserved_connections"), Some(6), "postmaster.opts");
        assert_eq!(last_start(&place)[..3], ["/usr/bin/postgres", "-D", "/no where"]);
        assert_eq!(read(&place, &folder.path().join("postgresql.conf"), Instant::now()), Settings::default());
    }
}
