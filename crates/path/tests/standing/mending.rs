//! Sessions ended through it, with no slot free to come in by.

use crate::scene::{Scene, Witness};
use pgmedic_lab::faults::{all_slots_exhausted, slots_exhausted};
use pgmedic_lab::postgres::ROLE;
use pgmedic_model::{FixReport, PlanStep, RemedyKind, StepOutcome};
use pgmedic_path::diagnose;
use pgmedic_path::fix::{Answering, Company, News, Options, fix};
use pgmedic_path::journal::Journal;
use pgmedic_path::plan::Permits;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Nobody: what is allowed is done, the rest is not.
struct Nobody;

impl Company for Nobody {
    fn told(&mut self, _: &News<'_>) {}

    fn may<'a>(&'a mut self, _: &'a PlanStep) -> Answering<'a> {
        Box::pin(async { false })
    }
}

/// A fix that may end sessions, and no more.
pub(crate) fn mend(scene: &Scene) -> FixReport {
    let state = tempfile::tempdir().unwrap();
    let options = Options {
        permits: Permits { kinds: vec![RemedyKind::Sessions], ..Permits::default() },
        timeout: Duration::from_secs(4),
        stable: Duration::from_millis(300),
        plan_only: false,
        stop: Arc::new(AtomicBool::new(false)),
    };
    let mut record = || Journal::open(state.path(), "lab", "here");
    scene.run(Box::pin(fix(&scene.service, &options, &mut record, &mut Nobody))).unwrap()
}

#[test]
fn slots_97_of_97_and_then_100_of_100_are_seen_and_freed_through_it() {
    // Sessions that idle for a second idle for long here; the role is the sessions' own, and no more.
    let mut scene = Scene::new(ROLE);
    scene.service.policy.idle_after_ms = 1000.0;
    let scene = scene.opened();
    let witness = Witness::of(&scene);
    let last = scene.walk();
    for all in [false, true] {
        let lab = scene.server.lab();
        let fault =
            if all { all_slots_exhausted::inject(lab) } else { slots_exhausted::inject(lab) }.unwrap();
        pgmedic_lab::wait::until_true("sessions at rest", Duration::from_secs(5), || {
            let now = scene.look(&last);
            let facts = now.facts().unwrap();
            let held = |application: &str| -> u64 {
                let groups = facts.admission.groups.iter().filter(|g| g.application == application);
                groups.map(|g| g.count).sum()
            };
            assert!(facts.crowd.is_none() && held("renderflow-api") > 90, "{:?}", facts.admission);
            facts.admission.groups.iter().map(|g| g.over_idle_after).sum::<u64>() > 80
        })
        .unwrap();
        let e = scene.walk();
        assert!(e.front.refusal().is_some_and(|error| error.is("53300")), "{:?}", e.front.startup);
        let found = diagnose(&e);
        assert!(found[0].cause.ends_with("slots-exhausted"), "{}", found[0].cause);
        assert!(found[0].summary.contains("renderflow-api") || all, "{}", found[0].summary);
        let report = mend(&scene);
        assert!(report.recovered, "{}: {:?}", report.summary, report.steps);
        let ended = report.steps.iter().filter(|s| s.outcome == StepOutcome::Applied);
        assert!(ended.flat_map(|s| &s.sessions).filter(|s| s.terminated).count() > 10);
        assert!(scene.walk().front.admitted());
        fault.remove().unwrap();
    }
    assert_eq!(witness.most(), 2);
}
