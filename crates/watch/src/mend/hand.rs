//! One fix on its thread: asks once more whether it may be, writes down that it is begun, mends, and tells of every step.
//! Not in here: which fixes are in hand (`mend`).

use super::{Asked, End, HOUR, Job, Mended, Over, Purpose, done_steps};
use crate::clock::Clock;
use crate::hold::Hold;
use crate::incident::Act;
use crate::policy::{Ask, Done, may};
use crate::store::{Begun, Store, StoreError};
use futures_util::FutureExt;
use pgmedic_model::{FixReport, PlanStep};
use pgmedic_path::fix::{Answering, Company, News, Options, fix, settle};
use pgmedic_path::journal::incidents::incidents;
use pgmedic_path::journal::{Journal, JournalError, is_left_open, read_of};
use pgmedic_path::plan::Permits;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How soon a fix in hand heeds a pause or the stop file.
const HEED: Duration = Duration::from_millis(20);

/// Tells whoever approved a fix that it is begun, or why not.
pub(super) type Begin = oneshot::Sender<Result<(), String>>;

/// A fix, on its thread.
pub(super) struct Hand {
    pub(super) service: Arc<str>,
    pub(super) state: PathBuf,
    pub(super) home: String,
    pub(super) hold: Arc<Hold>,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) out: mpsc::UnboundedSender<Mended>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) job: Job,
    /// Whoever approved it, and waits to hear that it is begun.
    pub(super) reply: Option<Begin>,
}

impl Hand {
    pub(super) fn work(mut self) {
        let reply = self.reply.take();
        let mut company = Reporter::new(&self);
        let end = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let whole = AssertUnwindSafe(self.allowed(reply, &mut company)).catch_unwind();
                let end = runtime.block_on(whole);
                runtime.shutdown_background();
                end.unwrap_or_else(|_| End::Failed("a defect in pgmedic: the fix panicked".to_owned()))
            }
            Err(error) => End::Failed(format!("no runtime: {error}")),
        };
        let acts = company.acts(&end);
        let Job { incident, purpose, by, .. } = self.job;
        let over = Over { service: self.service, incident, purpose, by, acts, end };
        // The daemon has ended: the record has it.
        let _gone = self.out.send(Mended::Over(Box::new(over)));
    }

    /// Asks once more, writes down that it is begun, mends, and writes down how that ended.
    async fn allowed(&self, reply: Option<Begin>, company: &mut Reporter) -> End {
        if self.job.purpose == Purpose::Settle {
            return self.mend(company).await;
        }
        let may = match &self.job.asked {
            Some(asked) => self.ask_again(asked, company).await,
            None => company.leads().await.map_err(End::Elsewhere),
        };
        let begun = Begun {
            service: self.service.to_string(),
            incident: self.job.incident.clone(),
            automatic: self.job.asked.is_some(),
            by: self.job.by.clone(),
        };
        let number = match may {
            Err(end) => Err(end),
            Ok(()) => self.store.begin(begun).await.map_err(|error| {
                End::Failed(format!("nothing is begun that cannot be written down: {error}"))
            }),
        };
        if let Some(reply) = reply {
            let why = number.as_ref().err().map(|end| match end {
                End::Elsewhere(why) | End::Failed(why) => why.clone(),
                _ => "it may not be begun now".to_owned(),
            });
            // Whoever approved it may have gone.
            let _gone = reply.send(why.map_or(Ok(()), Err));
        }
        let number = match number {
            Ok(number) => number,
            Err(end) => return end,
        };
        let end = self.mend(company).await;
        let (applied, recovered) = match &end {
            End::Done(report) | End::Stopped(report, _) => (done_steps(report), report.recovered),
            End::Held(_) | End::Busy | End::Elsewhere(_) | End::Failed(_) => (0, false),
        };
        match self.store.ended(number, applied, recovered).await {
            Ok(()) => end,
            // What was done stays done: it counts as if nobody knew how it ended.
            Err(_) => end,
        }
    }

    /// The policy, with what the store and the record know was done; and whether this watcher is the one that may act.
    async fn ask_again(&self, asked: &Asked, company: &Reporter) -> Result<(), End> {
        let (service, watched) = (&*self.service, &asked.watched);
        let cooldown = Duration::from_secs_f64(watched.service.policy.cooldown_ms.max(0.0) / 1000.0);
        let unknown = |error: StoreError| End::Failed(format!("what was done before is not known: {error}"));
        let mut done = self.store.done(service, HOUR.max(cooldown)).await.map_err(unknown)?;
        done.extend(self.recorded().map_err(|error| {
            End::Failed(format!("the record in {} cannot be read: {error}", self.state.display()))
        })?);
        let holds = self.hold.look();
        let paused = holds.paused(service);
        let ask = Ask {
            now: self.clock.now(),
            watched,
            incident: &asked.incident,
            // It was seen lately enough when this was begun; what is acted on is a walk of the fix's own.
            seen_at: self.clock.now(),
            done: &done,
            paused: paused.as_deref(),
            stopped: holds.stopped(),
        };
        may(&ask).map_err(End::Held)?;
        company.leads().await.map_err(End::Elsewhere)
    }

    /// What the record says was done for this service, by whomever.
    fn recorded(&self) -> std::io::Result<Vec<Done>> {
        let entries = read_of(&self.state, &self.service, &self.home)?;
        let list = incidents(&entries);
        let steps = list.iter().flat_map(|i| &i.steps);
        let done = steps.filter(|step| step.may_be_done()).map(|step| Done {
            at: step.at,
            ended_at: step.ended_at,
            automatic: false,
            applied: Some(1),
        });
        Ok(done.collect())
    }

    async fn mend(&self, company: &mut Reporter) -> End {
        let settles = self.job.purpose == Purpose::Settle;
        let Job { kinds, only, barred, .. } = self.job.clone();
        let permits = Permits { kinds, only, barred, ..Permits::default() };
        let options = Options {
            permits,
            timeout: self.job.timeout,
            stable: self.job.stable,
            plan_only: settles,
            stop: Arc::clone(&self.stop),
        };
        let mut record = || self.journal();
        let mut why = None;
        let outcome = {
            let mut mending = std::pin::pin!(fix(&self.job.service, &options, &mut record, company));
            let mut held = std::pin::pin!(self.held());
            loop {
                tokio::select! {
                    biased;
                    reason = &mut held, if why.is_none() => {
                        self.stop.store(true, Ordering::Relaxed);
                        why = Some(reason);
                    }
                    outcome = &mut mending => break outcome,
                }
            }
        };
        match outcome {
            Ok(report) => {
                if report.recovered && report.incident.is_none() {
                    self.settle(&report);
                }
                if self.stop.load(Ordering::Relaxed) {
                    End::Stopped(
                        Box::new(report),
                        why.or_else(|| company.yields.take()).unwrap_or_else(|| {
                            "the daemon ends, or its configuration is another now".to_owned()
                        }),
                    )
                } else {
                    End::Done(Box::new(report))
                }
            }
            Err(JournalError::Busy { .. }) => End::Busy,
            Err(error) => End::Failed(error.to_string()),
        }
    }

    fn journal(&self) -> Result<Journal, JournalError> {
        Journal::open(&self.state, &self.service, &self.home)
    }

    /// Comes back when something holds the daemon's hands that did not do so when a person approved this.
    async fn held(&self) -> String {
        let before = if self.job.by == Job::POLICY { None } else { self.hold.look().held(&self.service) };
        loop {
            match self.hold.look().held(&self.service) {
                Some(why) if before.as_ref() != Some(&why) => return why,
                _ => tokio::time::sleep(HEED).await,
            }
        }
    }

    /// Closes what an earlier fix left open. That it cannot is said by the next.
    fn settle(&self, report: &FixReport) {
        if is_left_open(&self.state, &self.service, &self.home)
            && let Ok(mut journal) = self.journal()
        {
            let _left = settle(&mut journal, report);
        }
    }
}

/// Tells the engine of every step.
pub(super) struct Reporter {
    service: String,
    incident: String,
    by: String,
    store: Store,
    clock: Clock,
    out: mpsc::UnboundedSender<Mended>,
    acts: Vec<Act>,
    /// Why no further step may be begun, once that is so.
    yields: Option<String>,
}

impl Reporter {
    fn new(hand: &Hand) -> Self {
        Self {
            service: hand.service.to_string(),
            incident: hand.job.incident.clone(),
            by: hand.job.by.clone(),
            store: hand.store.clone(),
            clock: hand.clock,
            out: hand.out.clone(),
            acts: Vec::new(),
            yields: None,
        }
    }

    /// Whether this watcher is the one that may act for the service, and stays so for a while by being asked.
    async fn leads(&self) -> Result<(), String> {
        let service = &self.service;
        match self.store.led_by_another(service).await {
            Ok(None) => Ok(()),
            Ok(Some(watcher)) => Err(format!(
                "another watcher that shares the store acts for {service} ({watcher}): what is to be done is approved there"
            )),
            Err(error) => {
                Err(format!("nothing is begun while it is not known who may act for {service}: {error}"))
            }
        }
    }

    fn tell(&self, act: &Act) {
        // The daemon has ended: the record has it.
        let _gone = self.out.send(Mended::Acted(self.incident.clone(), Box::new(act.clone())));
    }

    /// What was done, with its place in the record.
    fn acts(self, end: &End) -> Vec<Act> {
        let record = match end {
            End::Done(report) | End::Stopped(report, _) => report.incident.clone(),
            End::Held(_) | End::Busy | End::Elsewhere(_) | End::Failed(_) => None,
        };
        self.acts.into_iter().map(|act| Act { record: record.clone(), ..act }).collect()
    }
}

impl Company for Reporter {
    fn told(&mut self, news: &News<'_>) {
        match news {
            News::Begun(step) => {
                let act = Act {
                    service: self.service.clone(),
                    at: self.clock.now(),
                    remedy: step.remedy.clone(),
                    kind: step.kind,
                    target: step.target.clone(),
                    outcome: None,
                    detail: step.plan.clone(),
                    record: None,
                    by: self.by.clone(),
                };
                self.tell(&act);
                self.acts.push(act);
            }
            News::Ended(step) => {
                // One that was never begun is no act: the one before it tells what was done.
                let Some(act) = self.acts.last_mut().filter(|act| act.outcome.is_none()) else { return };
                (act.outcome, act.detail) = (Some(step.outcome), step.detail.clone());
                let act = act.clone();
                self.tell(&act);
            }
            News::Found(_) | News::Planned(_) | News::Resumed(_) | News::Well(_) => {}
        }
    }

    /// Nobody is there to be asked: what is not permitted beforehand is not done.
    fn may<'a>(&'a mut self, _: &'a PlanStep) -> Answering<'a> {
        Box::pin(async { false })
    }

    /// Another watcher may have come to act meanwhile: this one was cut off from the store, or stood still.
    fn still<'a>(&'a mut self, _: &'a PlanStep) -> Answering<'a> {
        Box::pin(async {
            self.yields = self.leads().await.err();
            self.yields.is_none()
        })
    }
}
