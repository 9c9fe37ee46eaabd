//! Values that may hold a secret. They mask themselves in `Display`, `Debug` and `Serialize`, so that no format
//! string, log line or recording can leak one.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A password, token or key. Only [`Secret::reveal`] gives it back.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// What stands in a secret's place wherever it is written.
    pub const MASK: &'static str = "***";

    /// Takes a secret in.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one place that must send it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(Self::MASK)
    }
}

impl std::fmt::Display for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(Self::MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(Self::MASK)
    }
}

/// A query's text with every literal masked: `ALTER ROLE x PASSWORD '…'`. Masked when read, so that neither a
/// recording nor a report ever held the literal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaskedSql(String);

impl MaskedSql {
    /// Longest text kept, in characters.
    pub const LIMIT: usize = 120;

    /// Masks quoted strings (`'…'`, `E'…'`, `$$…$$`, `$tag$…$tag$`) and numbers; folds white space; drops comments;
    /// cuts at [`Self::LIMIT`]. An unterminated literal is masked to the end of the text.
    #[must_use]
    pub fn new(sql: &str) -> Self {
        let mut out = String::new();
        let chars: Vec<char> = sql.chars().collect();
        let mut at = 0;
        while at < chars.len() && out.chars().count() < Self::LIMIT {
            at = mask_one(&chars, at, &mut out);
        }
        let cut: String = out.trim().chars().take(Self::LIMIT).collect();
        Self(cut)
    }

    /// The masked text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Copies or masks one token of `sql` that starts at `at`; gives where the next begins.
fn mask_one(sql: &[char], at: usize, out: &mut String) -> usize {
    let c = sql[at];
    let next = sql.get(at + 1).copied();
    match c {
        '\'' => {
            let escapes = out.ends_with(['e', 'E'])
                && !out.chars().rev().nth(1).is_some_and(|p| p.is_alphanumeric() || p == '_');
            out.push_str("'…'");
            end_of_quoted(sql, at, escapes)
        }
        '$' if !out.ends_with(|p: char| p.is_alphanumeric() || p == '_') => match dollar_tag(sql, at) {
            Some(tag) => {
                out.push_str("'…'");
                end_of_dollar(sql, at + tag.len(), &tag)
            }
            None => {
                out.push(c);
                at + 1
            }
        },
        '-' if next == Some('-') => {
            sql[at..].iter().position(|&c| c == '\n').map_or(sql.len(), |length| at + length)
        }
        '/' if next == Some('*') => sql[at + 2..]
            .windows(2)
            .position(|pair| pair == ['*', '/'])
            .map_or(sql.len(), |length| at + length + 4),
        c if c.is_ascii_digit() && !out.ends_with(|p: char| p.is_alphanumeric() || p == '_' || p == '$') => {
            out.push('?');
            let length = sql[at..].iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '.').count();
            at + length
        }
        c if c.is_whitespace() || c.is_control() => {
            if !out.ends_with(' ') {
                out.push(' ');
            }
            at + 1
        }
        c => {
            out.push(c);
            at + 1
        }
    }
}

/// Where a quoted literal that opens at `at` ends. With `escapes` (`E'…'`) a backslash escapes the next character;
/// without, it may still do so on a server with `standard_conforming_strings = off`, which only over-masks here.
fn end_of_quoted(sql: &[char], at: usize, escapes: bool) -> usize {
    let mut i = at + 1;
    while i < sql.len() {
        match sql[i] {
            '\\' if escapes => i += 2,
            '\'' if sql.get(i + 1) == Some(&'\'') => i += 2,
            '\'' => return i + 1,
            _ => i += 1,
        }
    }
    sql.len()
}

/// The `$tag$` that opens at `at`, if one does.
fn dollar_tag(sql: &[char], at: usize) -> Option<Vec<char>> {
    let length = sql[at + 1..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
    (sql.get(at + 1 + length) == Some(&'$') && !sql.get(at + 1).is_some_and(char::is_ascii_digit))
        .then(|| sql[at..at + length + 2].to_vec())
}

/// Where a dollar-quoted literal ends, `from` its content's start.
fn end_of_dollar(sql: &[char], from: usize, tag: &[char]) -> usize {
    sql[from..].windows(tag.len()).position(|w| w == tag).map_or(sql.len(), |p| from + p + tag.len())
}

impl std::fmt::Display for MaskedSql {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for MaskedSql {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MaskedSql {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d).map(|text| Self::new(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_wherever_it_is_written() {
        let secret = Secret::new("hunter2");
        let json = serde_json::to_string(&secret).expect("a string serialises");
        for text in [format!("{secret}"), format!("{secret:?}"), json] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn literals_are_masked_in_every_quoting() {
        for (sql, masked) in [
            ("alter role x password 'hunter2'", "alter role x password '…'"),
            ("select E'it\\'s hunter2', 1", "select E'…', ?"),
            ("select 'it''s hunter2' -- hunter2\n from t1", "select '…' from t1"),
            (
                "select $$hunter2$$, $a$hunter2 $$ $a$ /* hunter2 */ where id = $1",
                "select '…', '…' where id = $1",
            ),
            ("alter role x password 'hunter2 cut off by the se", "alter role x password '…'"),
            ("do $body$ hunter2 cut off", "do '…'"),
            ("select /* hunter2", "select"),
        ] {
            assert_eq!(MaskedSql::new(sql).as_str(), masked);
        }
    }

    #[test]
    fn masking_what_is_masked_changes_nothing() {
        let once = MaskedSql::new("select E'a', 4.5e3 from t where x in (1,2) and y = $tag$z$tag$");
        assert_eq!(MaskedSql::new(once.as_str()), once);
    }
}
