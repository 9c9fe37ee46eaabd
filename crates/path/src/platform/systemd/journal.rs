//! journalctl's JSON (systemd's "Journal Export Formats"), as lines of a log. Not in here: what the lines mean.

use crate::platform::Part;
use pgmedic_model::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// Bytes of the log that are given.
const LOG: usize = 256 * 1024;

/// One entry. All values are strings, but that a value which is not printable UTF-8 is an array of bytes, and one that is too
/// long is null.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    at: Option<String>,
    #[serde(rename = "MESSAGE", default)]
    message: Value,
}

impl Entry {
    /// Microseconds since the epoch.
    fn at(&self) -> Option<Timestamp> {
        let micros: i64 = self.at.as_ref()?.parse().ok()?;
        Some(Timestamp(micros / 1000))
    }

    fn message(&self) -> Option<String> {
        match &self.message {
            Value::String(text) => Some(text.clone()),
            Value::Array(bytes) => {
                let byte = |value: &Value| value.as_u64().and_then(|n| u8::try_from(n).ok());
                let bytes: Vec<u8> = bytes.iter().filter_map(byte).collect();
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            _ => None,
        }
    }
}

/// The lines, oldest first, from entries that come newest first; at most 256 KiB of them. A line of the API begins with its
/// time; Postgres writes its own.
pub(super) fn read(json: &[u8], part: Part) -> String {
    let mut lines = Vec::new();
    let mut room = LOG;
    for row in json.split(|byte| *byte == b'\n') {
        let Ok(entry) = serde_json::from_slice::<Entry>(row) else { continue };
        let Some(message) = entry.message() else { continue };
        let line = match (part, entry.at()) {
            (Part::Api, Some(at)) => format!("{} {message}\n", at),
            _ => format!("{message}\n"),
        };
        match room.checked_sub(line.len()) {
            Some(left) => room = left,
            None => break,
        }
        lines.push(line);
    }
    lines.reverse();
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As journalctl 252 writes it with `--output-fields`.
    const JOURNAL: &str = r#"{"__CURSOR":"s=1;i=3","__REALTIME_TIMESTAMP":"1795403530500000","__MONOTONIC_TIMESTAMP":"9","_BOOT_ID":"b","MESSAGE":[68,97,116,97,98,97,115,101,32,110,111,116,32,105,110,105,116,105,97,108,105,115,101,100,27],"_PID":"7"}
{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1795403529250000","_BOOT_ID":"b","MESSAGE":null,"_PID":"7"}
{"__CURSOR":"s=1;i=1","__REALTIME_TIMESTAMP":"1795403529000000","_BOOT_ID":"b","MESSAGE":"Server listening","_PID":"7"}
{"__CURSOR":"cut of"#;

    #[test]
    fn entries_become_lines_oldest_first() {
        let text = read(JOURNAL.as_bytes(), Part::Api);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].starts_with("2026-11-23T") && lines[0].ends_with("Z Server listening"), "{text}");
        assert!(lines[1].contains("500Z Database not initialised"), "{text}");
        assert_eq!(read(JOURNAL.as_bytes(), Part::Db).lines().next(), Some("Server listening"));
        assert_eq!(read(b"garbage\n[]\n{}\n", Part::Api), "");
    }

    #[test]
    fn the_newest_lines_are_kept_where_there_is_too_much() {
        let row = |n: usize| format!("{{\"MESSAGE\":\"{n} {}\"}}\n", "x".repeat(1000));
        let text = read((0..1000).map(row).collect::<String>().as_bytes(), Part::Db);
        assert!(text.len() <= LOG && text.lines().count() > 200, "{}", text.len());
        assert!(text.lines().last().is_some_and(|line| line.starts_with("0 ")));
    }
}
