//! One step of a fix: written down, taken target by target, written down again, and looked at until it shows or has had
//! its time. Not in here: which step is next.

use super::look::Look;
use super::{Fix, News};
use crate::apply::{self, Came, orders};
use crate::clock::Stopwatch;
use crate::gates;
use crate::hands::Order;
use crate::journal::Event;
use pgmedic_model::{Action, FixStep, PlanStep, SessionOutcome, StepOutcome};
use std::time::Duration;
use tokio::time::Instant;

/// Time between two looks.
const STEP: Duration = Duration::from_millis(250);
/// How long a restarted instance of the API may take to be ready before the next is touched.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Why nothing is begun.
const BEGUN: &str = "each of them was done for this incident already, or begun";
/// How long other causes may still be around once the step's own is gone, before the next step is planned.
const GRACE: Duration = Duration::from_secs(2);

impl Fix<'_> {
    /// Takes a step and gives the walk that shows what it came to.
    pub(super) async fn take(&mut self, step: &PlanStep, look: &Look) -> Look {
        let watch = Stopwatch::start();
        let came = match &step.action {
            Some(action) if self.was_begun(action).await => Came::to(StepOutcome::NotNeeded, BEGUN),
            action => {
                self.company.told(&News::Begun(step));
                match action {
                    Some(action) => self.act(step, action, look).await,
                    None => Came::to(StepOutcome::Refused, "only a person can do it"),
                }
            }
        };
        // One that was signalled and is still there may yet go.
        let counts = |s: &&SessionOutcome| s.terminated || came.outcome == StepOutcome::Failed;
        self.permits.ended += came.sessions.iter().filter(counts).count() as u64;
        let patience =
            if came.outcome == StepOutcome::Applied { Self::patience(step.kind) } else { Duration::ZERO };
        let after = self.until_it_shows(step, patience).await;
        let ended = FixStep {
            remedy: step.remedy.clone(),
            kind: step.kind,
            cause: step.cause.clone(),
            target: step.target.clone(),
            outcome: came.outcome,
            detail: came.detail,
            at: watch.at,
            elapsed_ms: watch.elapsed(),
            sessions: came.sessions,
            request_ids: came.request_ids,
            undo: step.undo.clone().filter(|_| came.outcome == StepOutcome::Applied),
        };
        self.company.told(&News::Ended(&ended));
        self.steps.push(ended);
        after
    }

    /// True where each of its targets was done for this incident already, or begun: nothing is, and nobody is told that it was.
    async fn was_begun(&self, action: &Action) -> bool {
        let begun = self.begun_on(action);
        if begun.is_empty() {
            return false;
        }
        let all = |orders: &[Order]| orders.iter().all(|order| begun.contains(&order.target().id));
        orders(self.service, action).await.is_ok_and(|orders| orders.is_some_and(|orders| all(&orders)))
    }

    async fn act(&mut self, step: &PlanStep, action: &Action, look: &Look) -> Came {
        match orders(self.service, action).await {
            Err(why) => Came::to(StepOutcome::Refused, why),
            Ok(None) => {
                if !self.write_intent(step, action, None) {
                    return self.not_begun();
                }
                let came = apply::apply(self.service, &look.evidence, action).await;
                self.write_outcome(step, &came);
                came
            }
            Ok(Some(orders)) => self.by_hands(step, action, orders, look).await,
        }
    }

    /// Each target on its own, in order; the first that does not come back is the last that is touched.
    async fn by_hands(&mut self, step: &PlanStep, action: &Action, orders: Vec<Order>, look: &Look) -> Came {
        let begun = self.begun_on(action);
        let (all, mut said, mut ids, mut restart) = (orders.len(), Vec::new(), Vec::new(), false);
        let orders: Vec<Order> = orders.into_iter().filter(|o| !begun.contains(&o.target().id)).collect();
        if orders.is_empty() {
            return Came::to(StepOutcome::NotNeeded, BEGUN);
        }
        let (left, mut outcome) = (orders.len(), StepOutcome::Applied);
        for (number, order) in orders.iter().enumerate() {
            if let Some(why) = gates::barred(&look.evidence, action).filter(|_| number == 0) {
                return Came::to(StepOutcome::Refused, why);
            }
            if !self.write_intent(step, action, Some(&order.target().id)) {
                return self.not_begun();
            }
            let came = apply::order(self.service, order).await;
            self.write_outcome(step, &came);
            // What was done to the ones before stays done.
            outcome = match came.outcome {
                StepOutcome::Refused if number > 0 => StepOutcome::Failed,
                outcome => outcome,
            };
            restart |= came.needs_restart;
            said.push(came.detail);
            ids.extend(came.request_ids);
            let others = left - number - 1;
            if outcome != StepOutcome::Applied || others == 0 {
                break;
            }
            if let Some((worse, why)) = self.keeps_from_the_next(step, action).await {
                said.push(format!("{why}: the other {others} are not touched"));
                outcome = worse;
                break;
            }
        }
        if left < all {
            said.push(format!("{} of {all} were done before", all - left));
        }
        if restart {
            said.push("it takes effect only after its instance is restarted".to_owned());
        }
        Came { request_ids: ids, needs_restart: restart, ..Came::to(outcome, said.join("; ")) }
    }

    /// What keeps a step from its next target, looked at anew: the one before is not ready in its time, a gate is closed by
    /// now, or the fix is wanted to end.
    async fn keeps_from_the_next(
        &mut self,
        step: &PlanStep,
        action: &Action,
    ) -> Option<(StepOutcome, String)> {
        let until = Instant::now() + READY_WITHIN;
        loop {
            if self.stopped() {
                return Some((StepOutcome::Applied, "stopped".to_owned()));
            }
            let look = Look::at(self.service, self.options.timeout).await;
            let why = match action {
                Action::RestartApi => self.is_not_ready(&look),
                action => gates::barred(&look.evidence, action),
            };
            let Some(why) = why else {
                let may = self.may_still(step).await;
                return (!may).then(|| (StepOutcome::Applied, "stopped".to_owned()));
            };
            // A server that runs by now need not be started; one that was restarted is given time.
            if *action == Action::StartDb {
                return Some((StepOutcome::Applied, why));
            }
            if Instant::now() >= until {
                return Some((StepOutcome::Failed, format!("after {} s {why}", READY_WITHIN.as_secs())));
            }
            tokio::time::sleep(STEP).await;
        }
    }

    /// That the API does not say that it is ready. Where it is not asked, the platform's word is all there is.
    fn is_not_ready(&self, look: &Look) -> Option<String> {
        let ready =
            look.evidence.app.ready.get().is_some() && !crate::rooms::app::readiness::failing(&look.evidence);
        (self.service.ready.is_some() && !ready).then(|| "it is not ready".to_owned())
    }

    /// Walks until the service is well, the step's cause has gone or its purpose is met, or its time is over.
    async fn until_it_shows(&self, step: &PlanStep, patience: Duration) -> Look {
        let (until, mut gone) = (Instant::now() + patience, None);
        loop {
            let look = Look::at(self.service, self.options.timeout).await;
            let now = Instant::now();
            let spent = step.action.as_ref().is_some_and(|action| gates::is_spent(&look.evidence, action));
            if spent || !look.finds(&step.cause) {
                gone.get_or_insert(now);
            }
            let others = gone.is_some_and(|since: Instant| now - since >= GRACE);
            let well = look.is_well() && (!self.only_warnings || gone.is_some());
            if well || others || now >= until || self.stopped() {
                return look;
            }
            tokio::time::sleep(STEP).await;
        }
    }

    /// True where it is on disk that this is about to be done.
    fn write_intent(&mut self, step: &PlanStep, action: &Action, on: Option<&str>) -> bool {
        self.step += 1;
        let intent = Event::Intent {
            step: self.step,
            remedy: step.remedy.clone(),
            kind: step.kind,
            cause: step.cause.clone(),
            target: step.target.clone(),
            action: action.clone(),
            on: on.map(str::to_owned),
        };
        self.write(intent)
    }

    fn write_outcome(&mut self, step: &PlanStep, came: &Came) {
        let undo = step.undo.clone().filter(|_| came.outcome == StepOutcome::Applied);
        self.write(Event::Outcome {
            step: self.step,
            outcome: came.outcome,
            detail: came.detail.clone(),
            sessions: came.sessions.clone(),
            request_ids: came.request_ids.clone(),
            undo,
        });
    }

    fn write(&mut self, event: Event) -> bool {
        match self.journal.append(&self.incident, event) {
            Ok(()) => true,
            Err(trouble) => {
                self.trouble = Some(trouble);
                false
            }
        }
    }

    fn not_begun(&self) -> Came {
        let why = self.trouble.as_ref().map_or_else(String::new, ToString::to_string);
        Came::to(StepOutcome::Refused, format!("not begun: {why}"))
    }
}
