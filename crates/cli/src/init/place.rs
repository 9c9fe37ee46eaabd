//! Where `init` looks: a folder, this host below a root, the environment. Every read is bounded; what cannot be read is
//! noted with its reason and left out. Not in here: what the files say.

use crate::render::text::visible;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Most bytes read of one file: configuration is smaller.
const MOST_BYTES: u64 = 1 << 20;
/// Most entries looked at in one folder.
const MOST_ENTRIES: usize = 512;

/// Where to look.
pub(crate) struct Place {
    /// The project's folder.
    pub(crate) folder: PathBuf,
    /// Where this host's files begin; None where the host is not looked at.
    pub(crate) host: Option<PathBuf>,
    /// The environment.
    pub(crate) environment: Vec<(String, String)>,
}

/// A file that was read.
pub(super) struct Text {
    /// As it is shown: relative in the folder, whole on the host.
    pub(super) name: String,
    /// What stands in it.
    pub(super) text: String,
}

impl Text {
    /// `name:line`, the line from 1.
    pub(super) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.name)
    }
}

/// Something worth a line: where, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// `compose.yaml:19`, `the environment`.
    pub(super) at: String,
    /// What stands there, without secrets.
    pub(super) what: String,
}

/// What is noted on the way.
#[derive(Default)]
pub(super) struct Notes {
    /// What was found, in the order of finding.
    pub(super) found: Vec<Note>,
    /// What could not be read, wholly or in part.
    pub(super) unread: Vec<Note>,
}

impl Notes {
    /// Notes a find.
    pub(super) fn found(&mut self, at: impl Into<String>, what: impl AsRef<str>) {
        self.found.push(Note { at: visible(&at.into()), what: visible(what.as_ref()) });
    }

    /// Notes what could not be read.
    pub(super) fn unread(&mut self, at: impl Into<String>, why: impl AsRef<str>) {
        self.unread.push(Note { at: visible(&at.into()), what: visible(why.as_ref()) });
    }
}

impl Place {
    /// A file of the folder; None where there is none, or it cannot be read, which is noted.
    pub(super) fn in_folder(&self, name: &str, notes: &mut Notes) -> Option<Text> {
        self.read(&self.folder.join(name), visible(name), notes)
    }

    /// A file of the host, by its path on it.
    pub(super) fn on_host(&self, path: &str, notes: &mut Notes) -> Option<Text> {
        let whole = self.host_path(path)?;
        let name = visible(&whole.display().to_string());
        self.read(&whole, name, notes)
    }

    /// Where a path of the host is.
    pub(super) fn host_path(&self, path: &str) -> Option<PathBuf> {
        Some(self.host.as_ref()?.join(path.trim_start_matches('/')))
    }

    /// The names in a folder of the host, sorted. A folder that is not there has none; one that is closed is noted.
    pub(super) fn names_on_host(&self, folder: &str, notes: &mut Notes) -> Vec<String> {
        let Some(whole) = self.host_path(folder) else { return Vec::new() };
        names(&whole, &whole.display().to_string(), notes)
    }

    /// The names in the project's folder, sorted.
    pub(super) fn names_in_folder(&self, notes: &mut Notes) -> Vec<String> {
        names(&self.folder, &self.folder.display().to_string(), notes)
    }

    /// A variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, value)| value.as_str())
    }

    fn read(&self, path: &Path, name: String, notes: &mut Notes) -> Option<Text> {
        let text = match bounded(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return None,
            Err(error) => {
                notes.unread(name, error.to_string());
                return None;
            }
        };
        Some(Text { name, text })
    }
}

fn names(folder: &Path, shown: &str, notes: &mut Notes) -> Vec<String> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            notes.unread(shown, error.to_string());
            return Vec::new();
        }
    };
    let mut names: Vec<String> = entries
        .flatten()
        .take(MOST_ENTRIES)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// A plain file's text. Fifos and devices are never opened for reading: they may not end.
fn bounded(path: &Path) -> std::io::Result<String> {
    let refused = |why: &str| Err(std::io::Error::other(why.to_owned()));
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return refused("is no plain file");
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return refused("is larger than 1 MB, which no configuration is");
    }
    String::from_utf8(bytes).or_else(|_| refused("is not UTF-8"))
}
