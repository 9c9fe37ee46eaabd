//! Leases on machines, and how often something may be asked: one request a second for each action and machine or volume,
//! three at once; a machine's own document five a second, ten at once (superfly/docs, `machines/api`). Lists are not
//! counted here: a test looks as often as it likes. Not in here: who may ask.

use super::held;
use pgmedic_model::Timestamp;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

/// Whom the lab's own token belongs to.
const OWNER: &str = "the-lab@tokens.fly.io";
/// The longest lease that is given.
const LONGEST: u64 = 3600;

/// A lease.
#[derive(Clone, Debug)]
struct Lease {
    nonce: String,
    owner: String,
    until: Instant,
    expires: SystemTime,
}

/// All leases.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: Mutex<HashMap<String, Lease>>,
    given: Mutex<u64>,
}

impl Leases {
    fn current(&self, machine: &str) -> Option<Lease> {
        let mut all = held(&self.held);
        all.retain(|_, lease| lease.until > Instant::now());
        all.get(machine).cloned()
    }

    /// What Fly says to whoever comes without the nonce of a lease that is held.
    pub(super) fn refusal(&self, machine: &str, nonce: Option<&str>) -> Option<String> {
        let lease = self.current(machine)?;
        let expires = Timestamp::from_system(lease.expires);
        let owner = &lease.owner;
        // Recorded from a deploy's log, May 2026.
        let words = format!("machine ID {machine} lease currently held by {owner}, expires at {expires}");
        (nonce != Some(&lease.nonce)).then_some(words)
    }

    /// Gives a lease.
    pub(super) fn take(&self, machine: &str, ttl: u64, owner: Option<&str>) -> Value {
        let number = {
            let mut given = held(&self.given);
            *given += 1;
            *given
        };
        let ttl = Duration::from_secs(ttl.clamp(1, LONGEST));
        let expires = SystemTime::now() + ttl;
        let lease = Lease {
            nonce: format!("lab-nonce-{number}-hunter2"),
            owner: owner.unwrap_or(OWNER).to_owned(),
            until: Instant::now() + ttl,
            expires,
        };
        let at = expires.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let told = json!({ "status": "success", "data": { "nonce": lease.nonce, "expires_at": at, "owner": lease.owner,
            "version": "01H1" } });
        held(&self.held).insert(machine.to_owned(), lease);
        told
    }

    /// Ends a lease.
    pub(super) fn end(&self, machine: &str) {
        held(&self.held).remove(machine);
    }

    /// True while somebody holds one.
    pub(super) fn is_held(&self, machine: &str) -> bool {
        self.current(machine).is_some()
    }
}

/// How often each thing was asked: tokens in a bucket.
#[derive(Debug, Default)]
pub(super) struct Buckets(Mutex<HashMap<String, (f64, Instant)>>);

impl Buckets {
    /// Takes a token of so many, which come back at so many a second; false where there is none.
    pub(super) fn take(&self, what: &str, most: f64, rate: f64) -> bool {
        let mut all = held(&self.0);
        let (tokens, at) = all.entry(what.to_owned()).or_insert((most, Instant::now()));
        *tokens = (*tokens + at.elapsed().as_secs_f64() * rate).min(most);
        *at = Instant::now();
        let is_there = *tokens >= 1.0;
        if is_there {
            *tokens -= 1.0;
        }
        is_there
    }
}
