//! What a service's owner allows, and the thresholds by which sessions are judged.

use serde::{Deserialize, Serialize};

/// `[service.policy]`, resolved: every duration in milliseconds, every share from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Kinds of remedy that may be applied without asking.
    pub auto: Vec<crate::RemedyKind>,
    /// A session idle for longer than this is a candidate for ending, in ms. Default 10 min.
    pub idle_after_ms: f64,
    /// A session idle in a transaction for longer than this is worth a finding, in ms. Default 60 s.
    pub idle_in_transaction_after_ms: f64,
    /// A query that runs for longer than this is worth a finding, in ms. Default 5 min.
    pub long_query_after_ms: f64,
    /// Share of the ordinary slots to free up to, no more. Default 0.2.
    pub keep_free: f64,
    /// Who is never ended.
    pub protect: Protect,
    /// The most sessions that one fix may end. Default 50.
    pub max_terminations: u32,
    /// The largest size that a volume may be extended to, in GB. None forbids extending.
    pub max_volume_gb: Option<u64>,
    /// Time between two automatic remedies for one service, in ms. Default 5 min.
    pub cooldown_ms: f64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            auto: Vec::new(),
            idle_after_ms: 600_000.0,
            idle_in_transaction_after_ms: 60_000.0,
            long_query_after_ms: 300_000.0,
            keep_free: 0.2,
            protect: Protect::default(),
            max_terminations: 50,
            max_volume_gb: None,
            cooldown_ms: 300_000.0,
        }
    }
}

/// Applications and roles whose sessions are never ended. A trailing `*` matches any ending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protect {
    /// Patterns of application_name.
    #[serde(default)]
    pub applications: Vec<String>,
    /// Patterns of role names.
    #[serde(default)]
    pub roles: Vec<String>,
}

impl Protect {
    /// True where a session of this application and role is never to be ended.
    #[must_use]
    pub fn covers(&self, application: &str, role: &str) -> bool {
        let hit = |patterns: &[String], text: &str| patterns.iter().any(|p| matches(p, text));
        hit(&self.applications, application) || hit(&self.roles, role)
    }
}

/// True where a text is what a pattern says; a trailing `*` matches any ending.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == text, |stem| text.starts_with(stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailing_star_matches_any_ending() {
        let protect = Protect { applications: vec!["billing*".into()], roles: vec!["replicator".into()] };
        assert!(protect.covers("billing-7", "app"));
        assert!(protect.covers("", "replicator"));
        assert!(!protect.covers("web", "replicator2"));
    }
}
