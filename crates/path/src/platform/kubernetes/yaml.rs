//! YAML as far as a kubeconfig needs it: maps, lists and scalars, as a JSON value. Aliases are refused: nobody writes them
//! there, and a few of them can stand for any amount of memory.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// Most that may lie within each other, and most values in all.
const DEEP: usize = 32;
const MANY: usize = 20_000;

/// A map or a list that is being read.
enum Open {
    Map(Map<String, Value>, Option<String>),
    List(Vec<Value>),
}

/// Reads the first document.
///
/// # Errors
/// Where it is not YAML, by its line; the text quotes nothing of it.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut open: Vec<Open> = Vec::new();
    for (count, event) in Parser::new_from_str(text).enumerate() {
        let (event, span) = event.map_err(|error| format!("not YAML at line {}", error.marker().line()))?;
        let refused = |what: &str| Err(format!("{what} at line {}", span.start.line()));
        if count > MANY || open.len() > DEEP {
            return refused("too much within each other or in all");
        }
        let done = match event {
            Event::Alias(_) => return refused("an alias, which is not read,"),
            Event::MappingStart(..) => {
                open.push(Open::Map(Map::new(), None));
                continue;
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::Scalar(text, style, ..) => scalar(&text, style),
            Event::MappingEnd | Event::SequenceEnd => match open.pop() {
                Some(Open::Map(map, _)) => Value::Object(map),
                Some(Open::List(list)) => Value::Array(list),
                None => return refused("an end without a beginning"),
            },
            Event::DocumentEnd | Event::StreamEnd => break,
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => continue,
        };
        match open.last_mut() {
            None => return Ok(done),
            Some(Open::List(list)) => list.push(done),
            Some(Open::Map(map, key)) => match (key.take(), done) {
                (Some(key), value) => drop(map.insert(key, value)),
                (None, Value::String(name)) => *key = Some(name),
                (None, _) => return refused("a key that is no text"),
            },
        }
    }
    Ok(Value::Null)
}

/// A scalar of the core schema; numbers stay text, since nothing that is read is one.
fn scalar(text: &str, style: ScalarStyle) -> Value {
    match (style, text) {
        (ScalarStyle::Plain, "" | "~" | "null") => Value::Null,
        (ScalarStyle::Plain, "true") => Value::Bool(true),
        (ScalarStyle::Plain, "false") => Value::Bool(false),
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn maps_lists_and_scalars_are_read() {
        let text =
            "# a comment\na: b\nlist:\n- name: x\n  flag: true\n- \"true\"\nnothing:\nmore: {k: 'v', n: 5}\n";
        let read = read(text).unwrap();
        assert_eq!(
            read,
            json!({ "a": "b", "list": [{ "name": "x", "flag": true }, "true"], "nothing": null,
                    "more": { "k": "v", "n": "5" } })
        );
        // JSON is YAML.
        assert_eq!(super::read("{\"a\": [1]}").unwrap(), json!({ "a": ["1"] }));
        assert_eq!(super::read("").unwrap(), Value::Null);
    }

    #[test]
    fn what_cannot_be_read_is_told_by_its_line_and_not_quoted() {
        for text in ["a: [hunter2", "a: b\n\thunter2: x", "a: &x hunter2\nb: *x\n", "? [hunter2]\n: x\n"] {
            let error = read(text).unwrap_err();
            assert!(error.contains("line") && !error.contains("hunter2"), "{text}: {error}");
        }
        assert!(read(&"[".repeat(10_000)).is_err());
        assert!(read(&"- a\n".repeat(MANY + 1)).is_err());
    }
}
