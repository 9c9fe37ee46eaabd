//! The wall clock was set: every time that is kept moves with it, so that what has lasted a minute has lasted a minute still.
//! What was done, and what was seen, keeps the time that it was written down with. Pure.

use super::Incidents;
use crate::incident::Incident;
use pgmedic_model::{Ms, Timestamp};

impl Incidents {
    /// Moves every time by as much as the clock was set.
    pub fn shift(&mut self, by: Ms) {
        for known in self.known.values_mut() {
            known.shift(by);
        }
        for case in self.cases.values_mut() {
            case.doubts.shift(by);
            for share in case.shares.values_mut() {
                moved(&mut share.well_since, by);
                if let Some((_, at)) = &mut share.other {
                    *at = at.plus(by);
                }
            }
        }
    }
}

/// An incident whose times are all as much later.
pub(super) fn incident(incident: &mut Incident, by: Ms) {
    incident.opened_at = incident.opened_at.plus(by);
    incident.updated_at = incident.updated_at.plus(by);
    moved(&mut incident.back_at, by);
    moved(&mut incident.closed_at, by);
    for named in &mut incident.causes {
        named.at = named.at.plus(by);
    }
    for affected in incident.services.values_mut() {
        affected.since = affected.since.plus(by);
        moved(&mut affected.until, by);
    }
}

pub(super) fn moved(at: &mut Option<Timestamp>, by: Ms) {
    *at = at.map(|at| at.plus(by));
}
