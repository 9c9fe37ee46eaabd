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
}
