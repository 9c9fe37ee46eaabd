//! The two text formats: Prometheus' 0.0.4 and OpenMetrics 1.0. An encoder of our own, for `prometheus-client` writes
//! OpenMetrics alone (a counter's TYPE line lacks `_total`, which makes it an untyped metric in 0.0.4), and keeps its metrics
//! in a registry, where these are read off the board. One buffer is all that it allocates. Not in here: which metrics there are.

use super::table::{Family, Type};
use std::fmt::Write;

/// In which format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`.
    Text,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

impl Format {
    /// The `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A sample's value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Value {
    fn from(n: u64) -> Self {
        Self::Whole(n)
    }
}

impl From<f64> for Value {
    fn from(n: f64) -> Self {
        Self::Real(n)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Whole(yes.into())
    }
}

/// The page as it is written. Families come one after the other, as both formats demand.
pub(super) struct Page {
    out: String,
    format: Format,
    family: Option<&'static Family>,
    /// The families that were written, for the test that none of the table is forgotten.
    #[cfg(test)]
    pub(super) written: Vec<&'static str>,
}

impl Page {
    pub(super) fn new(format: Format, bytes: usize) -> Self {
        Self {
            out: String::with_capacity(bytes),
            format,
            family: None,
            #[cfg(test)]
            written: Vec::new(),
        }
    }

    /// Begins a family.
    pub(super) fn family(&mut self, family: &'static Family) {
        #[cfg(test)]
        self.written.push(family.name);
        self.family = Some(family);
        let name = match self.format {
            Format::OpenMetrics => family.base(),
            Format::Text => family.name,
        };
        self.line(&["# HELP ", name, " ", family.help, "\n# TYPE ", name, " ", family.kind.word(), "\n"]);
        if self.format == Format::OpenMetrics && !family.unit.is_empty() {
            self.line(&["# UNIT ", name, " ", family.unit, "\n"]);
        }
    }

    fn line(&mut self, parts: &[&str]) {
        for part in parts {
            self.out.push_str(part);
        }
    }

    /// A sample of the family. `service` is a label as [`escaped`] wrote it, or empty; the other labels are escaped here.
    pub(super) fn sample(&mut self, service: &str, labels: &[(&str, &str)], value: impl Into<Value>) {
        self.suffixed("", service, labels, value);
    }

    /// The same for `_sum`, `_count` and `_bucket`.
    pub(super) fn suffixed(
        &mut self,
        suffix: &str,
        service: &str,
        labels: &[(&str, &str)],
        value: impl Into<Value>,
    ) {
        let Some(family) = self.family else { return };
        debug_assert!(family.has(service, labels), "{}: {service} {labels:?}", family.name);
        self.out.push_str(family.name);
        self.out.push_str(suffix);
        let mut open = "{";
        if !service.is_empty() {
            self.line(&["{", service]);
            open = ",";
        }
        for (name, value) in labels {
            self.line(&[open, name, "=\""]);
            escape(value, &mut self.out);
            self.out.push('"');
            open = ",";
        }
        self.out.push_str(if open == "{" { " " } else { "} " });
        self.number(value.into());
        self.out.push('\n');
    }

    /// Writing into a String does not fail.
    fn number(&mut self, value: Value) {
        let _ = match value {
            Value::Whole(n) => write!(self.out, "{n}"),
            Value::Real(n) if n == f64::INFINITY => write!(self.out, "+Inf"),
            Value::Real(n) if n == f64::NEG_INFINITY => write!(self.out, "-Inf"),
            Value::Real(n) if n.is_nan() => write!(self.out, "NaN"),
            Value::Real(n) => write!(self.out, "{n}"),
        };
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

impl Type {
    const fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Summary => "summary",
            Self::Histogram => "histogram",
        }
    }
}

/// The most characters of a label's value.
const LONGEST: usize = 100;

/// `name="value"`, for what many samples have in common.
pub(super) fn escaped(name: &str, value: &str) -> String {
    let mut out = format!("{name}=\"");
    escape(value, &mut out);
    out.push('"');
    out
}

/// Writes a label's value as both formats have it: `\`, `"` and line feeds escaped. Other control characters, and such as turn
/// the direction of a text about, become `?`; what is too long is cut.
fn escape(value: &str, out: &mut String) {
    let plain = |b: u8| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\';
    if value.len() <= LONGEST && value.bytes().all(plain) {
        return out.push_str(value);
    }
    for c in value.chars().take(LONGEST) {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c if c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}') => {
                out.push('?')
            }
            c => out.push(c),
        }
    }
    if value.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_value_stays_within_its_quotes_and_its_length() {
        let mut out = String::new();
        escape("a\"} 1\nup{x=\"\\\0\u{202E}", &mut out);
        assert_eq!(out, "a\\\"} 1\\nup{x=\\\"\\\\??");
        out.clear();
        escape(&"é".repeat(5000), &mut out);
        assert_eq!(out.chars().count(), LONGEST + 1);
    }
}
