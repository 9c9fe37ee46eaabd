//! `[service.policy]`: thresholds, and what may be done without asking.

use super::document::{Section, one_of};
use super::error::{ConfigError, Show};
use pgmedic_model::{Policy, Protect, RemedyKind};
use std::time::Duration;

const KEYS: [&str; 9] = [
    "auto",
    "idle_after",
    "idle_in_transaction_after",
    "long_query_after",
    "keep_free",
    "protect",
    "max_terminations",
    "max_volume_gb",
    "cooldown",
];

pub(super) fn read(service: &Section<'_, '_>) -> Result<Policy, ConfigError> {
    let mut policy = Policy::default();
    let Some(section) = service.table("policy", "[service.policy]", &KEYS)? else { return Ok(policy) };
    let kinds = RemedyKind::ALL.map(|kind| (kind.as_str(), kind));
    for found in section.strings("auto")? {
        policy.auto.push(one_of(section.document, "auto", &found, &kinds)?);
    }
    let ms = |span: Duration| span.as_secs_f64() * 1000.0;
    for (key, field) in [
        ("idle_after", &mut policy.idle_after_ms),
        ("idle_in_transaction_after", &mut policy.idle_in_transaction_after_ms),
        ("long_query_after", &mut policy.long_query_after_ms),
        ("cooldown", &mut policy.cooldown_ms),
    ] {
        if let Some(span) = section.duration(key)? {
            *field = ms(span);
        }
    }
    if let Some(share) = section.share("keep_free")? {
        policy.keep_free = share;
    }
    if let Some(most) = section.count("max_terminations")? {
        policy.max_terminations = u32::try_from(most).map_err(|_| {
            section.document.error(section.span.clone(), "max_terminations is too large", Show::KeysOnly)
        })?;
    }
    policy.max_volume_gb = section.count("max_volume_gb")?;
    if let Some(protect) = section.table("protect", "protect", &["applications", "roles"])? {
        let texts = |key| -> Result<Vec<String>, ConfigError> {
            Ok(protect.strings(key)?.into_iter().map(|at| at.value).collect())
        };
        policy.protect = Protect { applications: texts("applications")?, roles: texts("roles")? };
    }
    Ok(policy)
}
