//! One JSON document. Control characters are escaped beyond what JSON demands: a terminal may show the document.

use super::text::is_hidden;
use serde::Serialize;

/// A value as one indented document with a final newline.
///
/// # Errors
/// None in practice: a report holds nothing that JSON cannot.
pub(crate) fn document(value: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(plain(&serde_json::to_string_pretty(value)?) + "\n")
}

/// The same JSON with what a terminal would obey (C1, bidirectional marks) as `\uXXXX`. Such characters can only
/// stand inside strings.
pub(crate) fn plain(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && is_hidden(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_as_it_was_and_moves_no_terminal() {
        let text = "a\u{9b}31m\u{1b}[2J\u{202e}é\u{e0001}\n";
        let json = document(&text).unwrap();
        assert!(json.is_ascii() || !json.chars().any(|c| c != '\n' && is_hidden(c)), "{json:?}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    fn validator() -> jsonschema::Validator {
        let schema = include_str!("../../../../docs/report.schema.json");
        jsonschema::draft202012::new(&serde_json::from_str(schema).unwrap()).unwrap()
    }

    #[test]
    fn every_report_obeys_the_schema() {
        let validator = validator();
        for report in crate::render::samples::all() {
            let value = serde_json::from_str(&document(&report).unwrap()).unwrap();
            let errors: Vec<_> = validator.iter_errors(&value).map(|e| e.to_string()).collect();
            assert!(errors.is_empty(), "{errors:#?}");
        }
    }

    #[test]
    fn the_schema_demands_every_member_and_takes_more() {
        let validator = validator();
        let whole = serde_json::to_value(crate::render::samples::slots_exhausted()).unwrap();
        for key in [
            "schema",
            "service",
            "target",
            "started_at",
            "elapsed_ms",
            "status",
            "path",
            "findings",
            "unseen",
        ] {
            let mut less = whole.clone();
            less.as_object_mut().unwrap().remove(key);
            assert!(!validator.is_valid(&less), "{key}");
        }
        for key in
            ["cause", "room", "role", "severity", "confidence", "summary", "evidence", "explains", "remedies"]
        {
            let mut less = whole.clone();
            less["findings"][0].as_object_mut().unwrap().remove(key);
            assert!(!validator.is_valid(&less), "{key}");
        }
        for (at, wrong) in
            [("/path/0/room", "dns"), ("/status", "bad"), ("/status", "ok"), ("/started_at", "now")]
        {
            let mut other = whole.clone();
            *other.pointer_mut(at).unwrap() = wrong.into();
            assert!(!validator.is_valid(&other), "{at}");
        }
        let mut more = whole;
        more["later"] = 1.into();
        more["findings"][0]["later"] = 1.into();
        assert!(validator.is_valid(&more));
    }
}
