//! How long to wait for what, and the spread of repeated attempts. Not in here: anything that waits.

use std::time::Duration;

/// Spans of time. The defaults are what a daemon uses; tests take shorter ones.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// The longest that one attempt may take: 10 s.
    pub attempt: Duration,
    /// The wait after a first failure: 1 s. It doubles with each, less up to half of it at random.
    pub first: Duration,
    /// The longest wait: 5 min.
    pub longest: Duration,
    /// The longest wait for an Alertmanager: 30 s, so that it knows what is firing soon after it is back.
    pub longest_kept: Duration,
    /// After how long an alert that lasts is said again to an Alertmanager: 1 min.
    pub refresh: Duration,
    /// Refreshes that may fail before an Alertmanager takes an alert to be over: 4, as Prometheus has it.
    pub refreshes: u32,
    /// For how long something is tried where the receiver is away: 3 days.
    pub give_up: Duration,
    /// For how long where the receiver refuses us (401, 403, 404, 410): 1 h.
    pub patience: Duration,
    /// From one message to the next in a Slack channel: 1 s (Slack, "Rate limits").
    pub slack_space: Duration,
    /// For how long attempts in hand may go on when the daemon ends: 1 s.
    pub ending: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            attempt: Duration::from_secs(10),
            first: Duration::from_secs(1),
            longest: 5 * MINUTE,
            longest_kept: Duration::from_secs(30),
            refresh: MINUTE,
            refreshes: 4,
            give_up: 3 * 24 * 60 * MINUTE,
            patience: 60 * MINUTE,
            slack_space: Duration::from_secs(1),
            ending: Duration::from_secs(1),
        }
    }
}

/// The wait after so many failures: from half of it to all of it, so that many daemons do not come back at once.
pub(super) fn back_off(failures: u32, first: Duration, longest: Duration) -> Duration {
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(longest);
    doubled / 2 + doubled.mul_f64(random() / 2.0)
}

/// From 0 to 1. Where this host has no randomness to give, 1: the longest wait.
fn random() -> f64 {
    getrandom::u32().map_or(1.0, |bits| f64::from(bits) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_are_spread() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(300));
        for (failures, most) in
            [(0, 1), (1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (1000, 300), (u32::MAX, 300)]
        {
            let most = Duration::from_secs(most);
            let waits: Vec<_> = (0..50).map(|_| back_off(failures, first, longest)).collect();
            assert!(waits.iter().all(|wait| (most / 2..=most).contains(wait)), "{failures}: {waits:?}");
            assert!(waits.iter().any(|wait| *wait != waits[0]), "{failures}: all are the same");
        }
    }
}
