//! The shape of a log line: plain text, JSON (pino, bunyan, slog, zap, tracing, logrus, a container engine's wrapping) or
//! logfmt. What a line says is taken out of the members that hold messages and errors, so that a URL or a header of a
//! request log is not taken for the API's own word. Not in here: what the text means (`driver_words` of the model).

use crate::log_time::{self, Stamp};
use pgmedic_model::Timestamp;
use serde_json::Value;
use std::borrow::Cow;

/// Most bytes of the text that is looked at.
const MOST_TEXT: usize = 4096;
/// Deepest member looked at: `err.cause.errors[0].message` and a wrapping around it.
const MOST_DEPTH: usize = 6;
/// Most pairs of a logfmt line.
const MOST_PAIRS: usize = 64;

/// Members that hold what is said, in lower case.
const SAID: [&str; 17] = [
    "msg",
    "message",
    "error",
    "err",
    "error_message",
    "errormessage",
    "error.message",
    "exception",
    "exception.message",
    "stack",
    "stack_trace",
    "exc_info",
    "reason",
    "code",
    "detail",
    "text",
    "log",
];
/// Members that name a part of the program, or a peer.
const NAMED: [&str; 4] = ["target", "logger", "logger_name", "address"];
/// Members that hold others of these.
const AROUND: [&str; 8] = ["err", "error", "exception", "cause", "errors", "fields", "log", "original"];
/// Members that hold the time.
const TIME: [&str; 7] = ["time", "ts", "timestamp", "@timestamp", "t", "datetime", "date"];

/// What a line says, and when.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told<'l> {
    /// The text to be looked at, at most 4096 bytes.
    pub(super) text: Cow<'l, str>,
    /// The line's own time. None where it has none.
    pub(super) stamp: Option<Stamp>,
}

/// Reads a line. `now` gives the year to stamps that have none.
pub(super) fn told(line: &str, now: Timestamp) -> Told<'_> {
    json(line, now, 0).or_else(|| logfmt(line, now)).unwrap_or_else(|| {
        let text = cut(line);
        Told { text: Cow::Borrowed(text), stamp: log_time::stamp(text, now) }
    })
}

/// A line that is a JSON object, or ends in one (`app[1]: {…}`).
fn json(line: &str, now: Timestamp, depth: usize) -> Option<Told<'static>> {
    let at = line.find('{').filter(|_| line.trim_end().ends_with('}'))?;
    let Ok(Value::Object(members)) = serde_json::from_str::<Value>(line[at..].trim_end()) else {
        return None;
    };
    let mut text = String::new();
    let mut stamp = None;
    for (key, value) in &members {
        let key = key.to_ascii_lowercase();
        if TIME.contains(&key.as_str()) {
            stamp = stamp.or_else(|| time(value, now));
        }
        // A container engine's line holds the program's own, which may be JSON itself.
        let wrapped = value.as_str().filter(|_| matches!(key.as_str(), "log" | "message" | "msg"));
        if let Some(inner) = wrapped.filter(|_| depth == 0).and_then(|inner| json(inner, now, 1)) {
            append(&mut text, &inner.text);
            stamp = inner.stamp.or(stamp);
            continue;
        }
        gather(&key, value, 0, &mut text);
    }
    // An object that says nothing under these names is somebody else's: its line is looked at as it is.
    (!text.is_empty())
        .then(|| Told { text: Cow::Owned(text), stamp: stamp.or_else(|| log_time::stamp(cut(line), now)) })
}

/// Gathers what a member says, with what is below it.
fn gather(key: &str, value: &Value, depth: usize, text: &mut String) {
    if depth > MOST_DEPTH || text.len() >= MOST_TEXT {
        return;
    }
    match value {
        Value::String(said) if SAID.contains(&key) || AROUND.contains(&key) || NAMED.contains(&key) => {
            append(text, said);
        }
        Value::String(state) if key == "db" => append(text, &format!("db={state}")),
        Value::Number(port) if key == "port" => append(text, &format!(":{port}")),
        Value::Array(list) if AROUND.contains(&key) => {
            list.iter().take(4).for_each(|value| gather(key, value, depth + 1, text));
        }
        Value::Object(members) if AROUND.contains(&key) || depth > 0 && SAID.contains(&key) => {
            for (key, value) in members {
                gather(&key.to_ascii_lowercase(), value, depth + 1, text);
            }
        }
        _ => {}
    }
}

fn append(text: &mut String, said: &str) {
    if !text.is_empty() {
        text.push(' ');
    }
    let room = MOST_TEXT.saturating_sub(text.len());
    let mut end = said.len().min(room);
    while !said.is_char_boundary(end) {
        end -= 1;
    }
    text.push_str(&said[..end]);
}

/// A member's time: text as loggers write it, or seconds, milliseconds, microseconds or nanoseconds since the epoch.
#[expect(clippy::cast_possible_truncation, reason = "checked to be a time near ours")]
fn time(value: &Value, now: Timestamp) -> Option<Stamp> {
    match value {
        Value::String(text) => log_time::stamp(text, now),
        Value::Number(number) => {
            let number = number.as_f64()?;
            let per_ms = [1e-3, 1.0, 1e3, 1e6];
            // 2001 to 2128, in whichever unit.
            let ms = per_ms.iter().map(|unit| number / unit).find(|ms| (1e12..5e12).contains(ms))?;
            Some(Stamp::Zoned(Timestamp(ms.round() as i64)))
        }
        _ => None,
    }
}

/// `time=2026-11-23T03:12:09Z level=ERROR msg="query failed" err="…"`: a line whose level and message are named.
fn logfmt(line: &str, now: Timestamp) -> Option<Told<'static>> {
    let named = |names: &[&str]| names.iter().any(|name| line.contains(name));
    if !named(&["level=", "lvl=", "severity="]) || !named(&["msg=", "message=", "error=", "err="]) {
        return None;
    }
    let mut text = String::new();
    let mut stamp = None;
    let mut rest = cut(line);
    for _ in 0..MOST_PAIRS {
        let Some((before, after)) = rest.split_once('=') else { break };
        let key = before.rsplit(' ').next().unwrap_or(before).to_ascii_lowercase();
        let (value, next) = value(after);
        if TIME.contains(&key.as_str()) {
            stamp = stamp.or_else(|| log_time::stamp(&value, now));
        }
        if SAID.contains(&key.as_str()) {
            append(&mut text, &value);
        }
        rest = next;
    }
    (!text.is_empty())
        .then(|| Told { text: Cow::Owned(text), stamp: stamp.or_else(|| log_time::stamp(cut(line), now)) })
}

/// A value of logfmt, quoted or up to the next blank; and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_once(' ').unwrap_or((text, ""));
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                value.push(if c == 'n' || c == 't' { ' ' } else { c });
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &quoted[at + 1..]),
            c => value.push(c),
        }
    }
    (value, "")
}

/// The first bytes of a line, at a character's end.
fn cut(line: &str) -> &str {
    let mut end = line.len().min(MOST_TEXT);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgmedic_model::driver_words::{LogPattern, meaning};

    const NOW: &str = "2026-11-23T03:20:00Z";

    fn read(line: &str) -> (Option<LogPattern>, Option<Stamp>) {
        let told = told(line, NOW.parse().unwrap());
        (meaning(&told.text, "db.internal"), told.stamp)
    }

    #[test]
    fn loggers_shapes_are_read_for_what_they_say_and_when() {
        let at = Some(Stamp::Zoned("2026-11-23T03:12:09Z".parse().unwrap()));
        for line in [
            // pino 9
            r#"{"level":50,"time":1795403529000,"pid":7,"hostname":"x","err":{"type":"Error","message":"connect ECONNREFUSED 10.0.0.7:5432","stack":"Error: connect ECONNREFUSED 10.0.0.7:5432\n    at TCPConnectWrap","code":"ECONNREFUSED"},"msg":"job failed"}"#,
            // zap 1
            r#"{"level":"error","ts":1795403529.0,"caller":"db/db.go:12","msg":"query failed","error":"failed to connect to `host=db user=app database=app`: dial error (dial tcp 10.0.0.7:5432: connect: connection refused)"}"#,
            // slog's JSONHandler
            r#"{"time":"2026-11-23T03:12:09Z","level":"ERROR","msg":"query failed","err":"failed to connect to `user=app database=app`: 10.0.0.7:5432 (db): dial error: dial tcp 10.0.0.7:5432: connect: connection refused"}"#,
            // tracing-subscriber 0.3, json
            r#"{"timestamp":"2026-11-23T03:12:09.000000Z","level":"ERROR","fields":{"message":"query failed","error":"error communicating with database: Connection refused (os error 111)"},"target":"api::db"}"#,
            // slog's TextHandler
            "time=2026-11-23T03:12:09Z level=ERROR msg=\"query failed\" err=\"failed to connect to `user=app database=app`: dial error: connect: connection refused\"",
            // Docker's json-file around pino
            "{\"log\":\"{\\\"level\\\":50,\\\"time\\\":1795403529000,\\\"msg\\\":\\\"connect ECONNREFUSED 10.0.0.7:5432\\\"}\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-23T03:12:10Z\"}",
            // a platform's prefix before JSON
            "2026-11-23T03:12:09Z app[7] iad [info] {\"level\":\"error\",\"message\":\"connect ECONNREFUSED 10.0.0.7:5432\"}",
        ] {
            assert_eq!(read(line), (Some(LogPattern::Refused), at), "{line}");
        }
    }

    #[test]
    fn quotes_inside_json_do_not_hide_a_servers_words() {
        let line =
            r#"{"level":50,"time":1795403529000,"err":{"message":"role \"app\" does not exist"},"msg":"x"}"#;
        assert_eq!(read(line).0, Some(LogPattern::ServerFatal));
    }

    #[test]
    fn a_requests_members_are_not_the_apis_word() {
        for line in [
            r#"{"level":30,"time":1795403529000,"req":{"url":"/docs?q=postgres connection refused"},"res":{"statusCode":200},"msg":"request completed"}"#,
            r#"{"level":"info","ts":1795403529.0,"msg":"GET","query":"database connection timed out postgres"}"#,
            "time=2026-11-23T03:12:09Z level=INFO msg=request path=\"/postgres connection refused\" status=200",
        ] {
            assert_eq!(read(line).0, None, "{line}");
        }
    }

    #[test]
    fn what_is_neither_is_text_and_bounded() {
        for line in
            ["", "{", "}", "{}", "{\"a\":1}", "level= msg=", "level=x msg=\"", "é{\"msg\":\"\\u00e9\"}"]
        {
            let _ = told(line, NOW.parse().unwrap());
        }
        assert_eq!(told("{\"a\":1}", NOW.parse().unwrap()).text, "{\"a\":1}");
        let deep = format!("{}\"x\"{}", "{\"err\":".repeat(100), "}".repeat(100));
        assert_eq!(told(&deep, NOW.parse().unwrap()).text, cut(&deep));
        let long = format!("{{\"msg\":\"{}\"}}", "é".repeat(10_000));
        assert!(told(&long, NOW.parse().unwrap()).text.len() <= MOST_TEXT);
    }
}
