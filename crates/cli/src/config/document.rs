//! Typed reading of a TOML text: every value with its place, every mistake refused with it.
//!
//! Read by hand and not by serde, because a deserialiser's errors quote the value, which may be a secret.

use super::error::{ConfigError, Show};
use super::units;
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// A name and its value, each with its place.
pub(super) type Pair = (At<String>, At<String>);

/// The text that errors point into.
#[derive(Clone, Copy)]
pub(super) struct Document<'d> {
    pub(super) file: &'d str,
    pub(super) text: &'d str,
}

impl<'d> Document<'d> {
    pub(super) fn error(&self, span: Range<usize>, problem: impl Into<String>, show: Show) -> ConfigError {
        ConfigError::at(self.file, self.text, span, problem, show)
    }

    /// The root table.
    pub(super) fn parse(&self) -> Result<Spanned<DeTable<'d>>, ConfigError> {
        DeTable::parse(self.text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            self.error(span, format!("not TOML: {}", error.message()), Show::KeysOnly)
        })
    }
}

/// One table of the document: the keys it may have, and its values by type.
pub(super) struct Section<'a, 'd> {
    pub(super) document: Document<'d>,
    /// As it is written: `[service.policy]`.
    title: &'static str,
    table: &'a DeTable<'d>,
    pub(super) span: Range<usize>,
}

impl<'a, 'd> Section<'a, 'd> {
    /// A table that may have these keys and no others.
    pub(super) fn new(
        document: Document<'d>,
        title: &'static str,
        table: &'a DeTable<'d>,
        span: Range<usize>,
        keys: &[&str],
    ) -> Result<Self, ConfigError> {
        let unknown = table.keys().filter(|key| !keys.contains(&key.get_ref().as_ref()));
        match unknown.min_by_key(|key| key.span().start) {
            None => Ok(Self { document, title, table, span }),
            Some(key) => {
                let word = key.get_ref().as_ref();
                let problem = format!("unknown key {} in {title}", word.escape_debug());
                let error = document.error(key.span(), problem, Show::Text).near(word, keys.iter().copied());
                Err(match error.nearest {
                    Some(_) => error,
                    None => ConfigError {
                        problem: format!("{}; it takes: {}", error.problem, keys.join(", ")),
                        ..error
                    },
                })
            }
        }
    }

    fn wrong<T>(&self, value: &Spanned<DeValue<'d>>, key: &str, wanted: &str) -> Result<T, ConfigError> {
        let found = value.get_ref().type_str();
        let problem = format!("{key} in {} is {wanted}, not of the type {found}", self.title);
        Err(self.document.error(value.span(), problem, Show::KeysOnly))
    }

    pub(super) fn string(&self, key: &str) -> Result<Option<At<String>>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        match value.get_ref().as_str() {
            Some("") => Err(self.document.error(value.span(), format!("{key} is empty"), Show::Text)),
            Some(text) => Ok(Some(At { value: text.to_owned(), span: value.span() })),
            None => self.wrong(value, key, "a string"),
        }
    }

    pub(super) fn required(&self, key: &str) -> Result<At<String>, ConfigError> {
        self.string(key)?.ok_or_else(|| {
            self.document.error(self.span.clone(), format!("{} has no {key}", self.title), Show::KeysOnly)
        })
    }

    /// A string that `read` makes something of; what it refuses is refused at its place, and shown.
    pub(super) fn read<T>(
        &self,
        key: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(At { value, span }) = self.string(key)? else { return Ok(None) };
        read(&value)
            .map(Some)
            .map_err(|problem| self.document.error(span, format!("{key}: {problem}"), Show::Text))
    }

    pub(super) fn duration(&self, key: &str) -> Result<Option<Duration>, ConfigError> {
        self.read(key, units::duration)
    }

    pub(super) fn share(&self, key: &str) -> Result<Option<f64>, ConfigError> {
        self.read(key, units::share)
    }

    pub(super) fn size(&self, key: &str) -> Result<Option<u64>, ConfigError> {
        self.read(key, units::size)
    }

    /// A table of strings, each with the place of its value.
    pub(super) fn pairs(&self, key: &str) -> Result<Vec<Pair>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let Some(table) = value.get_ref().as_table() else {
            return self.wrong(value, key, "a table of strings");
        };
        table
            .iter()
            .map(|(name, item)| match item.get_ref().as_str() {
                Some(text) => Ok((
                    At { value: name.get_ref().to_string(), span: name.span() },
                    At { value: text.to_owned(), span: item.span() },
                )),
                None => self.wrong(item, key, "a table of strings"),
            })
            .collect()
    }

    /// A string that is one of a few words.
    pub(super) fn word<T: Copy>(
        &self,
        key: &str,
        words: &[(&'static str, T)],
    ) -> Result<Option<T>, ConfigError> {
        match self.string(key)? {
            None => Ok(None),
            Some(found) => one_of(self.document, key, &found, words).map(Some),
        }
    }

    pub(super) fn boolean(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        match value.get_ref().as_bool() {
            Some(yes) => Ok(Some(yes)),
            None => self.wrong(value, key, "true or false"),
        }
    }

    pub(super) fn count(&self, key: &str) -> Result<Option<u64>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let number = value.get_ref().as_integer().map(|n| u64::from_str_radix(n.as_str(), n.radix()));
        match number {
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => Err(self.document.error(
                value.span(),
                format!("{key} is a whole number from 0 up"),
                Show::Text,
            )),
            None => self.wrong(value, key, "a whole number"),
        }
    }

    pub(super) fn strings(&self, key: &str) -> Result<Vec<At<String>>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let Some(array) = value.get_ref().as_array() else {
            return self.wrong(value, key, "a list of strings");
        };
        array
            .iter()
            .map(|item| match item.get_ref().as_str() {
                Some(text) => Ok(At { value: text.to_owned(), span: item.span() }),
                None => self.wrong(item, key, "a list of strings"),
            })
            .collect()
    }

    /// A table within this one.
    pub(super) fn table(
        &self,
        key: &str,
        title: &'static str,
        keys: &[&str],
    ) -> Result<Option<Section<'a, 'd>>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        match value.get_ref().as_table() {
            Some(table) => Section::new(self.document, title, table, value.span(), keys).map(Some),
            None => self.wrong(value, key, "a table"),
        }
    }

    /// A list of tables within this one.
    pub(super) fn tables(
        &self,
        key: &str,
        title: &'static str,
        keys: &[&str],
    ) -> Result<Vec<Section<'a, 'd>>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let Some(array) = value.get_ref().as_array() else {
            return self.wrong(value, key, "a list of tables");
        };
        array
            .iter()
            .map(|item| match item.get_ref().as_table() {
                Some(table) => Section::new(self.document, title, table, item.span(), keys),
                None => self.wrong(item, key, "a list of tables"),
            })
            .collect()
    }
}

/// One of a few words, or an error that lists them.
pub(super) fn one_of<T: Copy>(
    document: Document<'_>,
    key: &str,
    found: &At<String>,
    words: &[(&'static str, T)],
) -> Result<T, ConfigError> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == found.value) {
        return Ok(*value);
    }
    let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    let problem = format!("{key} takes {}", all.join(", "));
    Err(document.error(found.span.clone(), problem, Show::Text).near(&found.value, all))
}
