//! The last look at evidence before anyone sees it: a password that a peer said back is masked.
//!
//! pgmedic writes no secret into evidence itself; a hostile or careless peer can quote what was sent to it.

use crate::evidence::Evidence;
use crate::service::Service;
use pgmedic_model::{Secret, Target};
use serde_json::Value;

/// Shorter passwords are not looked for: they stand in too many words.
const SHORTEST: usize = 4;

/// The evidence without the service's passwords. A password that is also the name of a role, database or host of the
/// service is no secret that masking could keep.
#[must_use]
pub fn veiled(evidence: Evidence, service: &Service) -> Evidence {
    let secrets = secrets(service);
    if secrets.is_empty() {
        return evidence;
    }
    // Each look is veiled, and hardly ever is there anything to mask: a text costs a fraction of a tree.
    if serde_json::to_string(&evidence).is_ok_and(|text| !may_stand_in(&text, &secrets)) {
        return evidence;
    }
    let Ok(mut value) = serde_json::to_value(&evidence) else { return evidence };
    if !mask(&mut value, &secrets) {
        return evidence;
    }
    serde_json::from_value(value).unwrap_or(evidence)
}

/// The same of words that whoever acts has said.
pub(crate) fn veiled_words(words: String, service: &Service) -> String {
    secrets(service).into_iter().fold(words, |words, secret| words.replace(secret, Secret::MASK))
}

fn secrets(service: &Service) -> Vec<&str> {
    let targets: Vec<&Target> = [Some(&service.target), service.rescue.as_ref(), service.pooler.as_ref()]
        .into_iter()
        .flatten()
        .collect();
    let public = |password: &str| {
        targets.iter().any(|t| t.user == password || t.database == password || t.host.to_string() == password)
    };
    targets
        .iter()
        .filter_map(|target| target.password.as_ref().map(Secret::reveal))
        .filter(|password| password.len() >= SHORTEST && !public(password))
        .collect()
}

/// False where no string of a JSON text has one of the secrets: a string is escaped character by character, so that a part
/// of it stands in the text as it would be escaped by itself.
fn may_stand_in(text: &str, secrets: &[&str]) -> bool {
    secrets.iter().any(|secret| match serde_json::to_string(secret) {
        Ok(quoted) => text.contains(&quoted[1..quoted.len() - 1]),
        Err(_) => true,
    })
}

/// Masks the secrets in every string; true where there was one.
fn mask(value: &mut Value, secrets: &[&str]) -> bool {
    match value {
        Value::String(text) => {
            let mut found = false;
            for secret in secrets {
                if text.contains(secret) {
                    *text = text.replace(secret, Secret::MASK);
                    found = true;
                }
            }
            found
        }
        // Every one is masked: `any` would stop at the first.
        Value::Array(items) => {
            items.iter_mut().filter_map(|item| mask(item, secrets).then_some(())).count() > 0
        }
        Value::Object(members) => {
            members.values_mut().filter_map(|item| mask(item, secrets).then_some(())).count() > 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_met_in_the_text_of_a_document_however_it_is_escaped() {
        for secret in [
            "hunter2",
            "\"quoted\"",
            "back\\slash",
            "tab\there",
            "emoji \u{1f418}",
            "ends in \\",
            "\u{1}\u{7f}/",
        ] {
            let text = serde_json::json!({ "a": [format!("said {secret} aloud")] }).to_string();
            assert!(may_stand_in(&text, &["absent", secret]), "{text}");
            assert!(!may_stand_in(&text, &["absent"]));
        }
    }

    #[test]
    fn masks_in_every_string_and_says_whether_it_did() {
        let mut value = serde_json::json!({"a": ["said hunter2", {"b": "hunter2 hunter2"}], "c": 2});
        assert!(mask(&mut value, &["hunter2"]));
        assert_eq!(value, serde_json::json!({"a": ["said ***", {"b": "*** ***"}], "c": 2}));
        assert!(!mask(&mut value, &["hunter2"]));
    }
}
