//! `[service.policy]`: thresholds, and what may be done without asking.

use super::document::{Section, one_of};
use super::error::{ConfigError, Show};
use super::units;
use pgmedic_model::{Policy, Protect, RemedyKind};
use pgmedic_watch::settings::{Automatic, Quiet};
use std::time::Duration;

const KEYS: [&str; 12] = [
    "auto",
    "idle_after",
    "idle_in_transaction_after",
    "long_query_after",
    "keep_free",
    "protect",
    "max_terminations",
    "max_volume_gb",
    "cooldown",
    "max_per_hour",
    "quiet",
    "escalate_after",
];

/// The thresholds and permissions, and what else bounds that which is done without asking.
pub(super) fn read(service: &Section<'_, '_>) -> Result<(Policy, Automatic), ConfigError> {
    let mut policy = Policy::default();
    let Some(section) = service.table("policy", "[service.policy]", &KEYS)? else {
        return Ok((policy, Automatic::default()));
    };
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
    if let Some(most) = small(&section, "max_terminations")? {
        policy.max_terminations = most;
    }
    policy.max_volume_gb = section.count("max_volume_gb")?;
    if let Some(protect) = section.table("protect", "protect", &["applications", "roles"])? {
        let texts = |key| -> Result<Vec<String>, ConfigError> {
            Ok(protect.strings(key)?.into_iter().map(|at| at.value).collect())
        };
        policy.protect = Protect { applications: texts("applications")?, roles: texts("roles")? };
    }
    Ok((policy, automatic(&section)?))
}

/// `max_per_hour`, `quiet` and `escalate_after`.
fn automatic(section: &Section<'_, '_>) -> Result<Automatic, ConfigError> {
    let mut automatic = Automatic::default();
    if let Some(most) = small(section, "max_per_hour")? {
        automatic.per_hour = most;
    }
    if let Some(after) = small(section, "escalate_after")? {
        automatic.escalate_after = after;
    }
    for found in section.strings("quiet")? {
        let (from, until) = units::hours(&found.value)
            .map_err(|problem| section.document.error(found.span, format!("quiet: {problem}"), Show::Text))?;
        automatic.quiet.push(Quiet { from, until });
    }
    Ok(automatic)
}

/// A whole number of 32 bits.
fn small(section: &Section<'_, '_>, key: &str) -> Result<Option<u32>, ConfigError> {
    let Some(number) = section.count(key)? else { return Ok(None) };
    let problem =
        || section.document.error(section.span.clone(), format!("{key} is too large"), Show::KeysOnly);
    u32::try_from(number).map(Some).map_err(|_| problem())
}
