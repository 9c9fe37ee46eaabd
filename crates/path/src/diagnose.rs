//! Evidence in, findings out. Pure: no I/O, no clock, the same answer for the same recording.

use crate::evidence::Evidence;
use pgmedic_model::Finding;

/// Every finding that the evidence shows, with roles: roots first, then contributing, then symptoms.
#[must_use]
pub fn diagnose(evidence: &Evidence) -> Vec<Finding> {
    crate::rooms::causes().filter_map(|cause| (cause.find)(evidence)).collect()
}
