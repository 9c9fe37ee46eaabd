//! Evidence in, findings out. Pure: no I/O, no clock, the same answer for the same recording.

use crate::evidence::Evidence;
use crate::explains::{contributes, explains};
use crate::unrecognised;
use pgmedic_model::{Finding, Role, Severity};

/// Every finding of a failure that the evidence shows, with roles: roots first (worst and surest first, then in the order of the
/// path), then contributing, then symptoms.
#[must_use]
pub fn diagnose(evidence: &Evidence) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        crate::rooms::causes().filter(|c| !c.latent).filter_map(|cause| (cause.find)(evidence)).collect();
    findings.extend(unrecognised::last_resort(evidence, &findings));
    debug_assert!(
        findings.iter().all(|f| !f.remedies.is_empty()),
        "a finding without a remedy: {:?}",
        findings.iter().filter(|f| f.remedies.is_empty()).map(|f| &f.cause).collect::<Vec<_>>()
    );
    assign_roles(evidence, &mut findings);
    findings.sort_by_key(|f| {
        (role_rank(f.role), std::cmp::Reverse(f.severity), std::cmp::Reverse(f.confidence), f.room)
    });
    findings
}

/// What breaks nothing yet, and will: findings for an audit, and for whoever is about to restart something. They need the
/// evidence of a walk with a preflight ([`crate::walk::Purpose`]); each is a root of its own, in the order of the path.
#[must_use]
pub fn latent(evidence: &Evidence) -> Vec<Finding> {
    crate::rooms::causes().filter(|c| c.latent).filter_map(|cause| (cause.find)(evidence)).collect()
}

/// A finding that another one explains is a symptom; one that worsened another, which it does not explain, is contributing;
/// the rest are roots.
fn assign_roles(e: &Evidence, findings: &mut [Finding]) {
    let roles: Vec<(Role, Severity, Vec<String>)> = findings
        .iter()
        .map(|f| {
            let role = if findings.iter().any(|g| explains(e, g, f)) {
                Role::Symptom
            } else if findings.iter().any(|g| contributes(f, g) && !explains(e, f, g)) {
                Role::Contributing
            } else {
                Role::Root
            };
            let effects = || findings.iter().filter(|g| explains(e, f, g));
            // What brings about something critical is no less so itself.
            let severity = effects().map(|g| g.severity).fold(f.severity, Severity::max);
            (role, severity, effects().map(|g| g.cause.clone()).collect())
        })
        .collect();
    for (finding, (role, severity, effects)) in findings.iter_mut().zip(roles) {
        finding.role = role;
        finding.severity = severity;
        finding.explains = effects;
    }
}

const fn role_rank(role: Role) -> u8 {
    match role {
        Role::Root => 0,
        Role::Contributing => 1,
        Role::Symptom => 2,
    }
}
