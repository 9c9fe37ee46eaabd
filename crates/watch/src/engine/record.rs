//! What a daemon that was killed left behind: acts of open incidents whose end nobody told. The record has it, as far as
//! anybody knows it.

use super::files::{Read, Want};
use super::{Engine, News};
use crate::incident::{Act, Incident};
use pgmedic_model::StepOutcome;
use pgmedic_path::journal::incidents::Step;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A step is written down within this time of the act that it is, in ms: a walk lies between.
const NEAR: i64 = 30_000;

impl Engine {
    /// Asks the record what was done for incidents that are open.
    pub(super) fn settle_the_past(&mut self) {
        let services: BTreeSet<String> =
            self.incidents.open().flat_map(|i| i.services.keys().cloned()).collect();
        if !services.is_empty() {
            self.want(Want::Record(services));
        }
    }

    /// Completes the acts of open incidents from the record.
    pub(super) fn complete(&mut self, read: Vec<Read>) {
        let open: Vec<Arc<Incident>> = self.incidents.open().cloned().collect();
        let mut list = Vec::new();
        for read in read {
            match read {
                Ok(recorded) => list.extend(recorded),
                Err(why) => self.host.tell(&News::Trouble(&format!("the record cannot be read: {why}"))),
            }
        }
        let recorded = |incident: &Incident| {
            let mine = list.iter().filter(|r| incident.services.contains_key(&r.service));
            mine.flat_map(|r| r.steps.iter().map(move |step| (r, step)))
                .filter(|(_, step)| step.at >= incident.opened_at)
                .map(|(r, step)| (r.service.clone(), r.id.clone(), step.clone()))
                .collect::<Vec<_>>()
        };
        for incident in open {
            let now = self.clock.now();
            for act in completed(&incident, &recorded(&incident)) {
                let verdicts = self.incidents.acted(&incident.id, act, now);
                self.follow(verdicts);
            }
        }
    }
}

/// The acts that are to be told again, or for the first time: those without an end, and those of the record that the store
/// did not hear of.
fn completed(incident: &Incident, recorded: &[(String, String, Step)]) -> Vec<Act> {
    let is = |act: &Act, service: &str, step: &Step| {
        act.service == service && act.remedy == step.remedy && (0..=NEAR).contains(&(step.at.0 - act.at.0))
    };
    let open = incident.actions.iter().filter(|act| act.outcome.is_none()).map(|act| {
        let mine = recorded.iter().rfind(|(service, _, step)| is(act, service, step));
        match mine {
            Some((_, record, step)) => told(act.clone(), record, step),
            None => Act {
                outcome: Some(StepOutcome::Refused),
                detail: "cut off before it was begun: the record has nothing of it".to_owned(),
                ..act.clone()
            },
        }
    });
    let unknown = recorded.iter().filter(|(service, _, step)| {
        belongs(incident, step) && !incident.actions.iter().any(|act| is(act, service, step))
    });
    let unknown = unknown.map(|(service, record, step)| {
        let act = Act {
            service: service.clone(),
            at: step.at,
            remedy: step.remedy.clone(),
            kind: step.kind,
            target: step.target.clone(),
            outcome: None,
            detail: String::new(),
            record: None,
            by: "the record".to_owned(),
        };
        told(act, record, step)
    });
    open.chain(unknown).collect()
}

/// True where a step was taken for this incident's root.
fn belongs(incident: &Incident, step: &Step) -> bool {
    step.cause == incident.cause || incident.causes.iter().any(|named| named.cause == step.cause)
}

fn told(act: Act, record: &str, step: &Step) -> Act {
    Act {
        outcome: Some(step.outcome.unwrap_or(StepOutcome::Failed)),
        detail: match step.outcome {
            Some(_) => step.detail.clone(),
            None => "cut off: whether it was done is not known, and it is not begun again".to_owned(),
        },
        record: Some(record.to_owned()),
        ..act
    }
}
