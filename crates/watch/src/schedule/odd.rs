//! What of a look is odd enough to walk at once. Pure.

use super::ward::Judged;
use pgmedic_model::{Role, Status};
use pgmedic_path::Evidence;
use pgmedic_path::standing::odd;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A look is waited for this many times as long as they usually take before the service is walked beside it.
const TIMES: f64 = 10.0;
/// It is waited for at least so long, in ms.
const PATIENCE_MS: f64 = 250.0;
/// How much the newest look counts in what is usual.
const WEIGHT: f64 = 0.1;

/// What looks are held against.
#[derive(Debug, Default)]
pub(super) struct Usual {
    before: Option<Before>,
    elapsed_ms: Option<f64>,
}

/// The look before.
#[derive(Debug)]
struct Before {
    evidence: Arc<Evidence>,
    status: Status,
    roots: BTreeSet<String>,
}

impl Usual {
    /// True where a look is not as the one before it; it counts for the next from then on.
    pub(super) fn is_odd(&mut self, judged: &Judged) -> bool {
        let Judged { evidence, report } = judged;
        let roots =
            report.findings.iter().filter(|f| f.role == Role::Root).map(|f| f.cause.clone()).collect();
        let now = Before { evidence: Arc::clone(evidence), status: report.status, roots };
        let is_odd = self.before.as_ref().is_some_and(|before| {
            (before.status, &before.roots) != (now.status, &now.roots)
                || !odd(&before.evidence, &now.evidence).is_empty()
        });
        let elapsed = evidence.elapsed_ms.0;
        let usual = self.elapsed_ms.unwrap_or(elapsed);
        self.elapsed_ms = Some(usual + (elapsed - usual) * WEIGHT);
        self.before = Some(now);
        is_odd
    }

    /// How long a look is waited for before the service is walked beside it.
    pub(super) fn patience(&self) -> Duration {
        let usual = self.elapsed_ms.unwrap_or(0.0);
        Duration::from_secs_f64((usual * TIMES).max(PATIENCE_MS) / 1000.0)
    }

    /// Nothing is usual any more: another session, another door.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}
