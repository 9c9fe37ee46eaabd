//! What the schedule tells of a service: one look or walk, judged. Not in here: what it amounts to (`incidents`).

use pgmedic_model::{Finding, Ms, Report, Role, Severity, Status, Timestamp};
use pgmedic_path::Evidence;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How a service was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Through the standing session.
    Look,
    /// From outside, by the door.
    Walk,
}

/// One look at a service.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The service's name.
    pub service: Arc<str>,
    /// When it was begun.
    pub at: Timestamp,
    /// How.
    pub kind: Kind,
    /// How long after its due time it was begun.
    pub lag: Ms,
    /// The report, its findings among it.
    pub report: Arc<Report>,
    /// What was seen. A second reader (metrics) takes numbers from it.
    pub evidence: Arc<Evidence>,
}

impl Seen {
    /// The roots that matter: the critical ones where there are any, else the warnings.
    #[must_use]
    pub fn roots(&self) -> Vec<&Finding> {
        let of = |severity| {
            let roots = self.report.findings.iter().filter(move |f| f.role == Role::Root);
            roots.filter(move |f| f.severity == severity).collect::<Vec<_>>()
        };
        let critical = of(Severity::Critical);
        if critical.is_empty() { of(Severity::Warning) } else { critical }
    }

    /// True where this look saw it for itself. A look through the standing session carries on what the last walk found: that
    /// is no second sighting of it.
    #[must_use]
    pub fn saw(&self, finding: &Finding) -> bool {
        self.kind == Kind::Walk || finding.evidence.iter().any(|fact| fact.at >= self.report.started_at)
    }

    /// Nothing is critical, and enough was seen to say so.
    #[must_use]
    pub fn is_well(&self) -> bool {
        matches!(self.report.status, Status::Ok | Status::Warning)
    }
}
