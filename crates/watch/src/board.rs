//! What everybody may read of the daemon's state: metrics, the API, and the engine that writes it. No I/O.

use crate::incident::Incident;
use crate::seen::{Kind, Seen};
use crate::tally::{Histogram, Tally};
use pgmedic_model::{Ms, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The state, shared.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<State>>);

/// The state.
#[derive(Debug, Default)]
pub struct State {
    /// Every service by name. Whoever has the configuration puts each one in (`Patient::default()`) before the first look,
    /// so that its metrics are there from the start, and takes it out when it leaves the configuration.
    pub services: BTreeMap<Arc<str>, Patient>,
    /// Incidents that are open, and those closed lately, by id.
    pub incidents: BTreeMap<String, Arc<Incident>>,
    /// Nothing is done by itself for these services; `*` for all.
    pub paused: BTreeSet<String>,
    /// The daemon's own counters.
    pub own: Own,
}

/// One service as it is now.
#[derive(Debug, Default)]
pub struct Patient {
    /// Labels of the configuration.
    pub labels: BTreeMap<String, String>,
    /// The last look or walk.
    pub last: Option<Seen>,
    /// The last walk by the door.
    pub last_walk: Option<Seen>,
    /// Looks and walks so far, and those that were begun more than an interval late.
    pub looks: u64,
    /// The same for walks.
    pub walks: u64,
    /// Looks and walks break down, and what was last seen says nothing of now.
    pub blind: bool,
    /// Intervals that passed without a look.
    pub missed: u64,
    /// The latest lag.
    pub lag: Ms,
    /// A fix is at work.
    pub mending: bool,
    /// What is kept from look to look, for the metrics.
    pub tally: Tally,
}

/// The daemon's own counters, since it was started.
#[derive(Debug, Default)]
pub struct Own {
    /// When it was started.
    pub started_at: Timestamp,
    /// When the engine's loop was last seen to go round; `/health` goes by it.
    pub beat: Option<tokio::time::Instant>,
    /// When every service had been looked at once.
    pub ready_at: Option<Timestamp>,
    /// How long looks took,
    pub look_seconds: Histogram,
    /// and walks.
    pub walk_seconds: Histogram,
    /// Remedies by cause, remedy and outcome.
    pub remedies: BTreeMap<(String, String, String), u64>,
    /// Incidents opened by cause.
    pub incidents: BTreeMap<String, u64>,
    /// Requests of the API by route and status.
    pub requests: BTreeMap<(&'static str, u16), u64>,
    /// Alerts by kind of receiver and outcome (`sent`, `retried`, `lost`).
    pub alerts: BTreeMap<(&'static str, &'static str), u64>,
    /// Reloads of the configuration by outcome (`taken`, `refused`).
    pub reloads: BTreeMap<&'static str, u64>,
    /// Panics of a look that were caught.
    pub panics: u64,
    /// Bytes of the store.
    pub store_bytes: u64,
    /// Writes to the store that failed.
    pub store_failures: u64,
}

impl Board {
    /// The state, for a moment. Nothing is awaited while it is held.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine's loop goes round: to be called at least every two seconds, else `/health` says that it hangs.
    pub fn beat(&self) {
        self.state().own.beat = Some(tokio::time::Instant::now());
    }

    /// Takes in what was seen of a service.
    pub fn saw(&self, seen: Seen) {
        let mut state = self.state();
        let state = &mut *state;
        let patient = state.services.entry(Arc::clone(&seen.service)).or_default();
        patient.lag = seen.lag;
        patient.tally.take(&seen);
        let seconds = seen.report.elapsed_ms.0 / 1000.0;
        match seen.kind {
            Kind::Look => {
                patient.looks += 1;
                state.own.look_seconds.take(seconds);
            }
            Kind::Walk => {
                patient.walks += 1;
                patient.last_walk = Some(seen.clone());
                state.own.walk_seconds.take(seconds);
            }
        }
        patient.last = Some(seen);
    }
}
