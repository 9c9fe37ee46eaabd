//! The task of one service: waits for its time, looks, judges, tells. Not in here: how it is looked (`eyes`).

use super::odd::Usual;
use super::{Eyes, Looking, Rounds};
use crate::board::Board;
use crate::clock::Clock;
use crate::seen::{Kind, Seen};
use futures_util::FutureExt;
use pgmedic_model::{Ms, Report, Status};
use pgmedic_path::{Evidence, diagnose, report};
use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// How much longer than its timeout, and that of whoever has the service's other session, a look may take before it is cut
/// off: it ends by itself, unless it is broken.
const SLACK: Duration = Duration::from_secs(1);
/// Walks that are made at once in one interval; what wants more waits for the next.
const AT_ONCE: u32 = 3;

/// So many walks that break down one after the other leave a service unseen,
const BLIND_WALKS: u32 = 3;
/// and so does one, where none came to anything for so many of its times.
const BLIND_TIMES: u32 = 5;

/// One service's task.
pub(super) struct Ward {
    pub(super) name: Arc<str>,
    pub(super) eyes: Arc<dyn Eyes>,
    pub(super) rounds: Rounds,
    pub(super) board: Board,
    pub(super) clock: Clock,
    pub(super) out: mpsc::Sender<Seen>,
    pub(super) wake: Arc<Notify>,
    /// It is to end, with the look that it has in hand.
    pub(super) stop: Arc<Notify>,
    /// When the next look is due.
    pub(super) due: Instant,
    /// When the next walk is due.
    pub(super) walk_due: Instant,
    /// The last walk found the service well; None before the first one.
    pub(super) walked_well: Cell<Option<bool>>,
    /// Walks that broke down one after the other, and when one last came to something.
    pub(super) broken: Cell<(u32, Instant)>,
}

/// A look that came to something.
pub(super) struct Judged {
    pub(super) evidence: Arc<Evidence>,
    pub(super) report: Arc<Report>,
}

impl Ward {
    /// Nothing is due before that time.
    pub(super) fn put_off(&mut self, until: Instant) {
        (self.due, self.walk_due) = (self.due.max(until), self.walk_due.max(until));
    }

    /// Looks at every interval, until nobody listens any more.
    pub(super) async fn watch(mut self) {
        let (mut usual, mut at_once) = (Usual::default(), 0);
        while let Some(woken) = self.wait(at_once < AT_ONCE).await {
            let lag = Instant::now().saturating_duration_since(self.due);
            at_once = if woken { at_once + 1 } else { 0 };
            let walk = woken
                || Instant::now() >= self.walk_due
                // Until it is well again it is walked at every interval: recovery is seen within one.
                || self.walked_well.get() != Some(true);
            if !self.round(walk, lag.into(), &mut usual).await {
                return;
            }
            self.next();
        }
    }

    /// Waits until something is to be done: true where at once, by what happened; None where nobody listens any more.
    async fn wait(&self, at_once: bool) -> Option<bool> {
        tokio::select! {
            biased;
            () = self.out.closed() => None,
            () = self.stop.notified() => None,
            () = self.wake.notified(), if at_once => Some(true),
            () = self.eyes.ended(), if at_once => Some(true),
            () = tokio::time::sleep_until(self.due) => Some(false),
        }
    }

    /// One look, and a walk where it is due or the look is odd. False where nobody listens.
    async fn round(&mut self, walk: bool, lag: Ms, usual: &mut Usual) -> bool {
        let begun = Instant::now();
        let heard = self.look_and_walk(walk, lag, usual).await;
        if heard == Some(Kind::Walk) {
            while self.walk_due <= begun {
                self.walk_due += self.rounds.walk;
            }
        }
        heard.is_some()
    }

    /// Gives whether there was a walk or a look alone; None where nobody listens.
    async fn look_and_walk(&self, walk: bool, lag: Ms, usual: &mut Usual) -> Option<Kind> {
        let mut look = std::pin::pin!(self.unharmed(self.eyes.look()));
        let Ok(looked) = tokio::time::timeout(usual.patience(), &mut look).await else {
            // It hangs, or drags: the door is not waited with.
            let (mut walking, mut looked) = (std::pin::pin!(self.walk(lag)), None);
            let heard = loop {
                tokio::select! {
                    biased;
                    heard = &mut walking => break heard,
                    done = &mut look, if looked.is_none() => looked = Some(done),
                }
            };
            let looked = match looked {
                Some(looked) => looked,
                None => look.await,
            };
            return match looked {
                Some(judged) if heard.is_some() => {
                    usual.is_odd(&judged);
                    self.tell(Kind::Look, lag, judged).await.then_some(Kind::Walk)
                }
                _ => heard,
            };
        };
        let walk = match looked {
            Some(judged) => {
                let odd = usual.is_odd(&judged);
                if !self.tell(Kind::Look, lag, judged).await {
                    return None;
                }
                walk || odd
            }
            None => {
                // Nothing stands to look through: the door is all there is.
                usual.forget();
                true
            }
        };
        if walk { self.walk(lag).await } else { Some(Kind::Look) }
    }

    async fn walk(&self, lag: Ms) -> Option<Kind> {
        let walked = self.unharmed(self.eyes.walk()).await;
        self.mind(walked.is_some());
        let Some(judged) = walked else { return Some(Kind::Walk) };
        self.walked_well.set(Some(is_well(judged.report.status)));
        let evidence = Arc::clone(&judged.evidence);
        let heard = self.tell(Kind::Walk, lag, judged).await;
        self.guarded(self.eyes.walked(&evidence)).await;
        heard.then_some(Kind::Walk)
    }

    /// Whether the service can be seen at all: where walks break down the last one that did not says nothing any more, and a
    /// look does not show the door. The first that comes to something ends that.
    fn mind(&self, came_to_something: bool) {
        let (before, since) = self.broken.get();
        let now = Instant::now();
        let broken = if came_to_something { (0, now) } else { (before.saturating_add(1), since) };
        self.broken.set(broken);
        let long = broken.0 > 0 && now.duration_since(since) >= self.rounds.walk * BLIND_TIMES;
        let blind = broken.0 >= BLIND_WALKS || long;
        if !blind && before == 0 {
            return;
        }
        // What it was known to be it is not known to be now: it is walked at every interval.
        if blind {
            self.walked_well.set(None);
        }
        if let Some(patient) = self.board.state().services.get_mut(&self.name) {
            patient.blind = blind;
        }
    }

    /// A look with its judgement.
    async fn unharmed(&self, look: Looking<'_>) -> Option<Judged> {
        let judged = async {
            let evidence = look.await?;
            let report = report(&evidence, diagnose(&evidence));
            Some(Judged { evidence, report: Arc::new(report) })
        };
        self.guarded(judged).await.flatten()
    }

    /// The longest that a look takes: it may wait as long for the service's other session as it then looks.
    pub(super) fn longest(&self) -> Duration {
        self.rounds.timeout * 2 + SLACK
    }

    /// Whatever it is, cut off where it does not end. A panic in it is counted, and this service's alone.
    async fn guarded<T>(&self, doing: impl Future<Output = T>) -> Option<T> {
        let whole = AssertUnwindSafe(doing).catch_unwind();
        match tokio::time::timeout(self.longest(), whole).await {
            Ok(Ok(done)) => Some(done),
            Ok(Err(_)) | Err(_) => {
                self.board.state().own.panics += 1;
                None
            }
        }
    }

    async fn tell(&self, kind: Kind, lag: Ms, judged: Judged) -> bool {
        let Judged { evidence, report } = judged;
        let at = self.clock.now();
        let at = at.plus(Ms(-evidence.elapsed_ms.0));
        let seen = Seen { service: Arc::clone(&self.name), at, kind, lag, report, evidence };
        self.out.send(seen).await.is_ok()
    }

    /// The next point of the grid. Those that went by meanwhile are missed, and counted.
    fn next(&mut self) {
        let (now, mut missed) = (Instant::now(), 0);
        if self.due > now {
            return;
        }
        self.due += self.rounds.interval;
        while self.due + self.rounds.interval <= now {
            self.due += self.rounds.interval;
            missed += 1;
        }
        if missed > 0
            && let Some(patient) = self.board.state().services.get_mut(&self.name)
        {
            patient.missed += missed;
        }
    }
}

const fn is_well(status: Status) -> bool {
    matches!(status, Status::Ok | Status::Warning)
}
