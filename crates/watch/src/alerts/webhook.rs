//! The generic webhook: the incident's document, signed as Standard Webhooks 1.0 has it (`webhook-id`,
//! `webhook-timestamp`, `webhook-signature: v1,BASE64(HMAC-SHA256(key, "id.timestamp.body"))`), so that its libraries
//! check it. The id is the same at every attempt.

use super::letter::{Letter, word};
use super::render::{Message, Setting};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pgmedic_model::Secret;
use ring::hmac;

/// How the specification marks a key in base64.
const PREFIX: &str = "whsec_";

/// The request.
pub(super) fn message(letter: &Letter, setting: &Setting<'_>) -> Message {
    let body = serde_json::to_string(&letter.incident).unwrap_or_default();
    let timestamp = setting.now.0.div_euclid(1000).to_string();
    let mut headers = vec![
        ("webhook-id", letter.event.clone()),
        ("webhook-timestamp", timestamp.clone()),
        ("x-pgmedic-change", word(letter.change).to_owned()),
    ];
    if let Some(key) = setting.key {
        headers.push(("webhook-signature", signature(key, &letter.event, &timestamp, &body)));
    }
    Message { headers, body }
}

/// The signature of one attempt.
pub(super) fn signature(key: &Secret, id: &str, timestamp: &str, body: &str) -> String {
    let signed = format!("{id}.{timestamp}.{body}");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes(key)), signed.as_bytes());
    format!("v1,{}", STANDARD.encode(tag.as_ref()))
}

/// The key's bytes: `whsec_…` is base64, anything else is taken as it stands.
fn bytes(key: &Secret) -> Vec<u8> {
    let text = key.reveal();
    let decoded = text.strip_prefix(PREFIX).and_then(|coded| STANDARD.decode(coded).ok());
    decoded.unwrap_or_else(|| text.as_bytes().to_vec())
}

/// What is wrong with a key, if anything is.
pub(super) fn complaint(key: &Secret) -> Option<String> {
    let coded = key.reveal().strip_prefix(PREFIX)?;
    STANDARD.decode(coded).err().map(|_| "what follows whsec_ in its key is not base64".to_owned())
}
