//! Signs that somebody is kept waiting: with them, what is harmless by itself becomes worth naming.
//! Not in here: why; that is for the causes.

use crate::evidence::Evidence;
use crate::rooms::admission::slots;
use crate::rooms::app::readiness;

/// Every sign, in words.
pub(crate) fn signs(e: &Evidence) -> Vec<String> {
    let mut signs = Vec::new();
    if readiness::failing(e) {
        signs.push("the API's readiness fails".to_owned());
    }
    if let Some(waiting) = e.app.metrics.get().and_then(|m| m.waiting).filter(|n| *n > 0.0) {
        signs.push(format!("{waiting} requests wait in the API's pool"));
    }
    let queued: u64 = e.pooler.get().map_or(0, |p| p.pools.iter().map(|pool| pool.cl_waiting).sum());
    if queued > 0 {
        signs.push(format!("{queued} clients wait in the pooler"));
    }
    if let Some(slots) = slots::count(e).filter(slots::Slots::short) {
        signs.push(format!("{} ordinary slots are taken", slots.ratio()));
    }
    signs
}

/// The API's readiness fails or the slots run short: what blocks sessions then blocks the service.
pub(crate) fn is_critical(e: &Evidence) -> bool {
    readiness::failing(e) || slots::count(e).is_some_and(|s| s.short())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{healthy, with_facts};
    use crate::rooms::app::readiness::tests::{answered, ready_says};
    use crate::rooms::proxy::evidence::{PoolRow, PoolerEvidence};

    #[test]
    fn each_sign_is_said_and_a_healthy_service_shows_none() {
        assert!(signs(&healthy()).is_empty());
        let mut e = with_facts(|f| f.admission.client_backends = 98);
        ready_says(&mut e, answered(503, "disconnected"));
        let pools = vec![PoolRow { cl_waiting: 4, ..PoolRow::default() }];
        e.pooler = Seen::Seen(PoolerEvidence { pools, ..PoolerEvidence::default() });
        assert_eq!(
            signs(&e),
            [
                "the API's readiness fails",
                "4 clients wait in the pooler",
                "97 of 97 ordinary slots are taken"
            ]
        );
        assert!(is_critical(&e));
    }
}
