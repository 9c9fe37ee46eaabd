//! Recordings: evidence written to a file and read back. A recording holds no secret, because evidence holds none.

use crate::evidence::Evidence;

/// Why a recording could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON, or not of the recording's shape.
    #[error("not a pgmedic recording: {0}")]
    Shape(#[from] serde_json::Error),
    /// Another schema.
    #[error("the recording says schema {0:?}; this pgmedic reads {expected:?}", expected = Evidence::SCHEMA)]
    Schema(String),
}

/// A recording's text: JSON, indented, with a final newline.
///
/// # Errors
/// None in practice: evidence holds nothing that JSON cannot.
pub fn write(evidence: &Evidence) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(evidence).map(|text| text + "\n")
}

/// Reads a recording.
///
/// # Errors
/// Where the text is no recording, or one of another schema.
pub fn read(text: &str) -> Result<Evidence, Unreadable> {
    let value: serde_json::Value = serde_json::from_str(text)?;
    match value.get("schema").and_then(serde_json::Value::as_str) {
        Some(Evidence::SCHEMA) => Ok(serde_json::from_value(value)?),
        Some(other) => Err(Unreadable::Schema(other.to_owned())),
        None => Err(Unreadable::Schema("(none)".to_owned())),
    }
}
