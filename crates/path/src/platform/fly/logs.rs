//! Log lines as Fly's web API lists them (fly-go, `resource_logs.go`), as the text of a log: a line for each.

use pgmedic_model::Timestamp;
use serde_json::Value;

/// Bytes kept, the newest.
const END: usize = 256 * 1024;
/// Bytes kept of one line.
const LINE: usize = 4096;

/// The lines, oldest first. Each begins with a time: the program's own, else the one at which Fly took it.
pub(super) fn read(list: &[Value]) -> String {
    let mut lines: Vec<(Option<Timestamp>, String)> = list.iter().filter_map(line).collect();
    // Stable: lines of one moment stay in the order in which they came.
    lines.sort_by_key(|(at, _)| *at);
    let mut length = 0;
    let fits = |(_, line): &&(Option<Timestamp>, String)| {
        length += line.len() + 1;
        length <= END
    };
    let mut newest: Vec<&str> = lines.iter().rev().take_while(fits).map(|(_, line)| line.as_str()).collect();
    newest.reverse();
    newest.join("\n")
}

fn line(entry: &Value) -> Option<(Option<Timestamp>, String)> {
    let attributes = entry.get("attributes")?;
    let message = attributes.get("message")?.as_str()?;
    let at: Option<Timestamp> =
        attributes.get("timestamp").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let mut message = without_supervisor(&without_colours(message)).to_owned();
    if message.len() > LINE {
        message.truncate(message.floor_char_boundary(LINE));
    }
    let own_time = message.get(..4).is_some_and(|year| year.bytes().all(|b| b.is_ascii_digit()));
    // A tab continues the line above it.
    let bare = own_time || message.starts_with('\t');
    let stamped = match at.filter(|_| !bare) {
        Some(at) => format!("{at} {message}"),
        None => message,
    };
    Some((at, stamped))
}

/// The message behind the name that the supervisors of Fly's Postgres images put before it: `postgres | …`.
fn without_supervisor(message: &str) -> &str {
    match message.split_once("| ") {
        Some((name, rest)) if name.len() < 24 && !name.trim().contains(' ') => rest,
        _ => message,
    }
}

/// The text without escape sequences that colour it (ECMA-48, CSI … m).
fn without_colours(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LINE));
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        out.push_str(&rest[..at]);
        let after = &rest[at + 2..];
        let end = after.find(|c: char| c.is_ascii_alphabetic()).map_or(after.len(), |end| end + 1);
        rest = &after[end..];
    }
    out.push_str(rest);
    out.trim_end_matches(['\n', '\r']).replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(time: &str, message: &str) -> Value {
        json!({ "id": "1", "attributes": { "timestamp": time, "message": message, "level": "info", "instance": "148e",
            "region": "ord", "meta": {} } })
    }

    #[test]
    fn lines_are_put_in_order_and_stripped_of_what_others_added() {
        let text = read(&[
            entry("2026-11-23T03:12:02Z", "\u{1b}[33mDatabase not initialised\u{1b}[0m\n"),
            entry("2026-11-23T03:12:01Z", "postgres | 2026-11-23 03:12:01.000 UTC [7] FATAL:  no room"),
            entry("2026-11-23T03:12:01Z", "postgres | 2026-11-23 03:12:01.000 UTC [7] DETAIL:  none at all"),
            json!({ "attributes": {} }),
            json!(4),
        ]);
        assert_eq!(
            text,
            "2026-11-23 03:12:01.000 UTC [7] FATAL:  no room\n\
             2026-11-23 03:12:01.000 UTC [7] DETAIL:  none at all\n\
             2026-11-23T03:12:02.000Z Database not initialised"
        );
    }

    #[test]
    fn a_flood_is_cut_at_its_old_end() {
        let flood: Vec<Value> = (0..200)
            .map(|n| entry(&format!("2026-11-23T03:{:02}:{:02}Z", n / 60, n % 60), &"x".repeat(9000)))
            .collect();
        let text = read(&flood);
        assert!(text.len() <= END && text.len() > END / 2, "{}", text.len());
        assert!(
            text.ends_with(&"x".repeat(100))
                && text.lines().last().unwrap().starts_with("2026-11-23T03:03:19")
        );
    }
}
