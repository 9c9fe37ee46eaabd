//! One walk with its diagnosis, for a fix: what was seen, what is found, and whether that is well.

use crate::evidence::Evidence;
use crate::service::Service;
use crate::walk::{Purpose, walk_for};
use crate::{diagnose, report, veiled};
use pgmedic_model::{Finding, Report, Role, Severity, Status};
use std::time::Duration;
use tokio::time::Instant;

/// A walk and what it means.
pub(super) struct Look {
    pub(super) evidence: Evidence,
    pub(super) findings: Vec<Finding>,
    pub(super) report: Report,
    at: Instant,
}

impl Look {
    /// Walks, with what a restart would meet.
    pub(super) async fn at(service: &Service, timeout: Duration) -> Self {
        // On the heap: a fix looks at many points, and each would hold a walk's whole state on its caller's stack.
        let evidence = Box::pin(walk_for(Purpose::Preflight, service, timeout, &|_| {})).await;
        let evidence = veiled(evidence, service);
        let findings = diagnose(&evidence);
        let report = report(&evidence, findings.clone());
        let at = Instant::now();
        Self { evidence, findings, report, at }
    }

    /// Time since the walk was done.
    pub(super) fn age(&self) -> Duration {
        self.at.elapsed()
    }

    /// Nothing is critical, and enough was seen to say so.
    pub(super) fn is_well(&self) -> bool {
        matches!(self.report.status, Status::Ok | Status::Warning)
    }

    /// The ids of the roots, the critical ones where there are any.
    pub(super) fn root_causes(&self) -> Vec<String> {
        let roots = || self.findings.iter().filter(|f| f.role == Role::Root);
        let critical: Vec<String> =
            roots().filter(|f| f.severity == Severity::Critical).map(|f| f.cause.clone()).collect();
        if critical.is_empty() { roots().map(|f| f.cause.clone()).collect() } else { critical }
    }

    /// True where the cause is still found, in whatever role.
    pub(super) fn finds(&self, cause: &str) -> bool {
        self.findings.iter().any(|f| f.cause == cause)
    }
}
