//! Connection strings: the URI and the keyword/value form (Postgres manual, "Connection Strings" of libpq).
//!
//! Only the text is read here: defaults, environment and files are [`super::Settings`]' business. An error names the
//! character or the parameter, and shows nothing that an unescaped password could have spilt into.

use super::error::{Place, TargetError, shown};
use super::parameters::{DRIVERS, LIBPQ, Use, known};
use super::settings::Settings;
use crate::nearest::nearest;
use percent_encoding::percent_decode_str;

/// The two schemes of libpq.
const SCHEMES: [&str; 2] = ["postgresql://", "postgres://"];

/// True where the text is a connection string rather than the name of a service.
#[must_use]
pub fn is_connection_string(text: &str) -> bool {
    text.contains("://") || text.contains('=')
}

impl Settings {
    /// Reads a connection string of either form. Nothing is filled in.
    ///
    /// # Errors
    /// Where the text does not obey its form, names an unknown parameter, or names several hosts.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let mut settings = Self::default();
        match SCHEMES.iter().find(|scheme| text.starts_with(**scheme)) {
            Some(scheme) => Uri::new(text, scheme.len()).read(&mut settings)?,
            None if text.contains("://")
                && !text.split("://").next().unwrap_or_default().contains(['=', ' ']) =>
            {
                return Err(TargetError::at(
                    Place::Character(1),
                    "the scheme of a Postgres URL is postgres:// or postgresql://",
                ));
            }
            None => read_pairs(text, &mut settings)?,
        }
        Ok(settings)
    }
}

/// A URI being read: `postgres://[user[:password]@][host][:port][/database][?parameter=value&…]`.
struct Uri<'a> {
    text: &'a str,
    /// Where the part after the scheme begins.
    start: usize,
    /// An `@` stands where none belongs, so any later part may be the rest of a password: show none of it.
    spilt: bool,
}

impl<'a> Uri<'a> {
    fn new(text: &'a str, start: usize) -> Self {
        Self { text, start, spilt: false }
    }

    /// An error at a byte offset of the text.
    fn error(&self, offset: usize, problem: impl Into<String>) -> TargetError {
        let place = Place::Character(self.text[..offset.min(self.text.len())].chars().count() + 1);
        TargetError::at(place, problem)
    }

    fn read(mut self, settings: &mut Settings) -> Result<(), TargetError> {
        let rest = &self.text[self.start..];
        let stop = rest.find(['@', '/']).unwrap_or(rest.len());
        let authority = if rest[stop..].starts_with('@') {
            self.credentials(self.start, self.start + stop, settings)?;
            self.start + stop + 1
        } else {
            self.spilt = rest.contains('@');
            self.start
        };
        let tail = &self.text[authority..];
        let host_end = authority + tail.find(['/', '?']).unwrap_or(tail.len());
        self.host(authority, host_end, settings)?;
        let query = self.text[host_end..].find('?').map_or(self.text.len(), |at| host_end + at);
        if host_end < query {
            self.database(host_end + 1, query, settings)?;
        }
        if query < self.text.len() { self.query(query + 1, settings) } else { Ok(()) }
    }

    fn credentials(&self, from: usize, to: usize, settings: &mut Settings) -> Result<(), TargetError> {
        let (user, password) = match self.text[from..to].find(':') {
            Some(at) => ((from, from + at), Some((from + at + 1, to))),
            None => ((from, to), None),
        };
        if user.0 < user.1 {
            settings.put_given("user", self.decoded(user.0, user.1)?);
        }
        if let Some((from, to)) = password.filter(|(from, to)| from < to) {
            settings.put_given("password", self.decoded(from, to)?);
        }
        Ok(())
    }

    fn host(&self, from: usize, to: usize, settings: &mut Settings) -> Result<(), TargetError> {
        let part = &self.text[from..to];
        if let Some(at) = part.find('@') {
            return Err(self.error(from + at, "a second @: one that belongs to the password is written %40"));
        }
        if let Some(at) = part.find(',') {
            return Err(self.error(from + at, SEVERAL));
        }
        let (host, port_at) = if let Some(inner) = part.strip_prefix('[') {
            let Some(close) = inner.find(']') else {
                return Err(self.error(from, "an IPv6 address opens with [ and is not closed by ]"));
            };
            let after = from + 1 + close + 1;
            if after < to && !self.text[after..].starts_with(':') {
                return Err(self.error(after, "after an IPv6 address comes :port, / or ?"));
            }
            ((from + 1, from + 1 + close), (after < to).then_some(after + 1))
        } else {
            match part.find(':') {
                Some(at) => ((from, from + at), Some(from + at + 1)),
                None => ((from, to), None),
            }
        };
        if host.0 < host.1 {
            settings.put_given("host", self.decoded(host.0, host.1)?);
        }
        match port_at.filter(|at| *at < to) {
            None => Ok(()),
            Some(at) => {
                let port = self.decoded(at, to)?;
                port.parse::<u16>().ok().filter(|p| *p > 0).ok_or_else(|| {
                    self.error(
                        at,
                        "the port is not a number from 1 to 65535 (in a password, write : as %3A, / as %2F, @ as \
                         %40; an IPv6 address stands in [ ])",
                    )
                })?;
                settings.put_given("port", port);
                Ok(())
            }
        }
    }

    fn database(&self, from: usize, to: usize, settings: &mut Settings) -> Result<(), TargetError> {
        if let Some(at) = self.text[from..to].find('@') {
            return Err(self.error(
                from + at,
                "an @ after the first /: in a password, write / as %2F; in a database's name, @ as %40",
            ));
        }
        if from < to {
            settings.put_given("dbname", self.decoded(from, to)?);
        }
        Ok(())
    }

    fn query(&self, from: usize, settings: &mut Settings) -> Result<(), TargetError> {
        let mut at = from;
        for pair in self.text[from..].split('&') {
            let here = at;
            at += pair.len() + 1;
            if pair.is_empty() {
                continue;
            }
            let Some(equals) = pair.find('=') else {
                return Err(self.error(here, "a parameter without = and a value"));
            };
            let key = self.decoded(here, here + equals)?;
            let value = self.decoded(here + equals + 1, here + pair.len())?;
            // libpq takes JDBC's ssl=true for sslmode=require (fe-connect.c, conninfo_uri_parse_params).
            if key == "ssl" && value == "true" {
                settings.put_given("sslmode", "require".to_owned());
                continue;
            }
            accept(&key, value, settings).map_err(|unknown| self.error(here, unknown.message(self.spilt)))?;
        }
        Ok(())
    }

    /// The text between two offsets, percent-decoded.
    fn decoded(&self, from: usize, to: usize) -> Result<String, TargetError> {
        let raw = &self.text[from..to];
        for (at, _) in raw.match_indices('%') {
            let digits = raw.as_bytes().get(at + 1..at + 3);
            if !digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) {
                return Err(
                    self.error(from + at, "after % come two hexadecimal digits; a % itself is written %25")
                );
            }
            if digits == Some(b"00") {
                return Err(self.error(from + at, "%00 is forbidden"));
            }
        }
        percent_decode_str(raw)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| self.error(from, "the percent-encoded bytes are not UTF-8"))
    }
}

/// Several hosts are several services: one walk has one way in.
pub(super) const SEVERAL: &str = "several hosts in one connection; pgmedic walks to one host at a time: name each as \
                                  a service of its own in pgmedic.toml, or give one URL for each";

/// A parameter that is in neither table.
struct Unknown(String);

impl Unknown {
    /// What to say of it. Where it may be the rest of a password, it is not shown.
    fn message(&self, hide: bool) -> String {
        let keys = LIBPQ.iter().map(|p| p.key);
        match nearest(&self.0, keys) {
            Some(near) if hide => format!("unknown parameter; nearest: {near}"),
            None if hide => "unknown parameter".to_owned(),
            Some(near) => format!("unknown parameter {}; nearest: {near}", shown(&self.0)),
            None => format!("unknown parameter {}", shown(&self.0)),
        }
    }
}

/// Takes a parameter in, or says that it is unknown.
fn accept(key: &str, value: String, settings: &mut Settings) -> Result<(), Unknown> {
    match known(key) {
        Some(parameter) => {
            settings.put_given(parameter.key, value);
            Ok(())
        }
        None if DRIVERS.contains(&key) => Ok(()),
        None => Err(Unknown(key.to_owned())),
    }
}

/// Reads `keyword = value …`: values quoted by `'`, escapes by `\` (fe-connect.c, `conninfo_parse`).
fn read_pairs(text: &str, settings: &mut Settings) -> Result<(), TargetError> {
    let chars: Vec<char> = text.chars().collect();
    let here = |at: usize, problem: String| TargetError::at(Place::Character(at + 1), problem);
    let skip = |mut at: usize| {
        while chars.get(at).is_some_and(|c| c.is_whitespace()) {
            at += 1;
        }
        at
    };
    // After an unquoted password the next word may be its second half.
    let mut after_secret = false;
    let mut at = skip(0);
    while at < chars.len() {
        let key_at = at;
        while chars.get(at).is_some_and(|c| *c != '=' && !c.is_whitespace()) {
            at += 1;
        }
        let key: String = chars[key_at..at].iter().collect();
        at = skip(at);
        if chars.get(at) != Some(&'=') {
            let problem = "a keyword without =; a value that holds spaces stands in single quotes";
            return Err(here(key_at, problem.to_owned()));
        }
        let value_at = skip(at + 1);
        let (value, end) =
            one_value(&chars, value_at).map_err(|problem| here(value_at, problem.to_owned()))?;
        accept(&key, value, settings).map_err(|unknown| here(key_at, unknown.message(after_secret)))?;
        after_secret |= known(&key).is_some_and(|p| p.usage == Use::Secret);
        at = skip(end);
    }
    Ok(())
}

/// One value from `at` on, and where it ends.
fn one_value(chars: &[char], mut at: usize) -> Result<(String, usize), &'static str> {
    let quoted = chars.get(at) == Some(&'\'');
    at += usize::from(quoted);
    let mut value = String::new();
    loop {
        match chars.get(at) {
            None if quoted => return Err("a quoted value that is not closed by '"),
            None => return Ok((value, at)),
            Some('\'') if quoted => return Ok((value, at + 1)),
            Some(c) if !quoted && c.is_whitespace() => return Ok((value, at)),
            Some('\\') => {
                if let Some(escaped) = chars.get(at + 1) {
                    value.push(*escaped);
                }
                at += 2;
            }
            Some(c) => {
                value.push(*c);
                at += 1;
            }
        }
    }
}
