//! A machine's restart and start: under a lease, once, and then looked at until it runs again and its checks have settled.
//!
//! That it was restarted is seen by a start of it that is newer than before: `wait?state=started` alone is content with a
//! machine that has not gone down yet. A check's result that is older than the start is not one of this start. An API's
//! checks must not be critical in the end; a database's that were critical before may be so still, since they tell of
//! disk and load as well (postgres-flex, `flycheck/vm.go`), unless they say that nothing listens: that is said, and the
//! walk afterwards judges it.

use super::errand::Errand;
use crate::hands::{Done, Undone};
use crate::platform::Part;
use crate::platform::fly::ask::Asking;
use crate::platform::fly::instance;
use crate::platform::told::{Check, CheckLogin, CheckStatus, Instance, InstanceState};
use hyper::Method;
use pgmedic_model::Timestamp;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A machine's checks have so long to settle once it is started.
const SETTLE: Duration = Duration::from_secs(60);
/// Between two looks; Fly takes five a second.
const LOOKS: Duration = Duration::from_millis(500);
/// The longest that one `wait` takes (fly-go, `flaps_machines_wait.go`).
const LONGEST_WAIT: u64 = 60;
/// Seconds that a machine's processes have to end by themselves.
const GRACE: u64 = 30;

/// What is to be done to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// It runs anew.
    Restart,
    /// Its Postgres runs.
    Start,
}

/// A machine before it is touched.
struct Before {
    started_at: Option<Timestamp>,
    critical: Vec<String>,
}

impl Errand<'_> {
    /// Restarts or starts the machine.
    pub(super) async fn run_again(mut self, part: Part, wish: Wish) -> Result<Done, Undone> {
        let end = self.end();
        let machine = match self.look(end).await {
            Ok(machine) => machine,
            Err(why) => {
                let why = format!("machine {}: {why}; nothing was asked of it", self.named());
                return Err(Undone::Refused { why, request_ids: self.take_ids() });
            }
        };
        let Some(seen) = instance(&machine, self.app) else {
            let why =
                format!("machine {} is gone, or none of the app's; nothing was asked of it", self.named());
            return Err(Undone::Refused { why, request_ids: self.take_ids() });
        };
        let action = match action(&seen, wish) {
            Ok(Some(action)) => action,
            Ok(None) => {
                let said = format!(
                    "machine {} is started and its check logs in: nothing was to be done",
                    self.named()
                );
                return Ok(Done { said, request_ids: self.take_ids(), needs_restart: false });
            }
            Err(why) => {
                let why = format!("machine {}: {why}; nothing was asked of it", self.named());
                return Err(Undone::Refused { why, request_ids: self.take_ids() });
            }
        };
        let before = Before { started_at: seen.started_at, critical: critical(&seen) };
        let lease = self.lease(end).await?;
        let query = match action {
            "restart" => {
                let left = end.saturating_duration_since(Instant::now()).as_secs();
                format!("?force_stop=false&timeout={}s", (left / 2).clamp(1, GRACE))
            }
            _ => String::new(),
        };
        let done = match self.change(action, &query, &lease, end).await {
            Ok(_) => self.settled(part, action, &before, end).await,
            Err(undone) => Err(undone),
        };
        let remark = self.give_back(lease).await;
        self.with_remark(done, remark)
    }

    /// What was done, with what is to be known about the lease, and all ids.
    fn with_remark(&mut self, done: Result<Done, Undone>, remark: Option<String>) -> Result<Done, Undone> {
        let remark = remark.map(|remark| format!("; {remark}")).unwrap_or_default();
        let mut with = |mut ids: Vec<String>| {
            ids.extend(self.take_ids());
            ids
        };
        match done {
            Ok(Done { said, request_ids, needs_restart }) => {
                Ok(Done { said: said + &remark, request_ids: with(request_ids), needs_restart })
            }
            Err(Undone::Refused { why, request_ids }) => {
                Err(Undone::Refused { why: why + &remark, request_ids: with(request_ids) })
            }
            Err(Undone::Unknown { why, request_ids }) => {
                Err(Undone::Unknown { why: why + &remark, request_ids: with(request_ids) })
            }
            Err(other) => Err(other),
        }
    }

    /// Waits until it runs anew and its checks have settled.
    async fn settled(
        &mut self,
        part: Part,
        action: &str,
        before: &Before,
        end: Instant,
    ) -> Result<Done, Undone> {
        self.wait_started(end).await;
        let mut since = None;
        let mut last = "nothing was seen of it".to_owned();
        while Instant::now() < end {
            match self.look(end).await {
                Err(why) => last = why,
                Ok(machine) => match instance(&machine, self.app) {
                    Some(seen) if seen.started_at <= before.started_at => {
                        last = format!("it is {}, and has not been started since", seen.word);
                    }
                    Some(seen) if seen.state == InstanceState::Running => {
                        let begun = *since.get_or_insert_with(Instant::now);
                        let over = begun.elapsed() >= SETTLE || Instant::now() + 2 * LOOKS >= end;
                        if let Some(verdict) = verdict(&seen, part, before, over) {
                            return self.told(action, verdict);
                        }
                        last = checks(&seen);
                    }
                    Some(seen) => last = format!("it is {}", seen.word),
                    None => last = "it is gone".to_owned(),
                },
            }
            sleep(LOOKS.min(end.saturating_duration_since(Instant::now()))).await;
        }
        self.told(action, Err(format!("not seen to run again in time: {last}")))
    }

    fn told(&mut self, action: &str, verdict: Result<String, String>) -> Result<Done, Undone> {
        let what = format!("{action} of machine {}", self.named());
        let request_ids = self.take_ids();
        match verdict {
            Ok(said) => Ok(Done { said: format!("{what}: {said}"), request_ids, needs_restart: false }),
            Err(why) => Err(Undone::Unknown { why: format!("{what}: it was asked for; {why}"), request_ids }),
        }
    }

    /// `GET …/wait?state=started`, which ends when it is so. What it says is looked at afterwards: one that fails has cost
    /// nothing.
    async fn wait_started(&mut self, end: Instant) {
        let left = end.saturating_duration_since(Instant::now()).as_secs().clamp(1, LONGEST_WAIT);
        let path = self.machine(&format!("/wait?state=started&timeout={left}"));
        let asking = Asking { method: Method::GET, path: &path, nonce: None, body: "" };
        let _looked_at = self.ask("wait", &asking, end).await;
    }
}

/// What has to be asked for; None where nothing has.
fn action(seen: &Instance, wish: Wish) -> Result<Option<&'static str>, String> {
    let login = seen.server.login.as_ref().map(|login| &login.value);
    match (wish, seen.state) {
        (_, InstanceState::Stopped | InstanceState::Failed) => Ok(Some("start")),
        (Wish::Restart, _) => Ok(Some("restart")),
        // The supervisor of postgres-flex does not start a postmaster again that has died; the machine goes on.
        (Wish::Start, InstanceState::Running) => match login {
            Some(CheckLogin::NothingListens(_)) => Ok(Some("restart")),
            Some(CheckLogin::Admitted) => Ok(None),
            _ => Err("it is started, and no check says that its Postgres does not run; to restart what may run is \
                      another step"
                .to_owned()),
        },
        (Wish::Start, _) => Err(format!("it is {} already", seen.word)),
    }
}

/// Whether that will do. None while it may yet come to an end.
fn verdict(seen: &Instance, part: Part, before: &Before, over: bool) -> Option<Result<String, String>> {
    let fresh = |check: &&Check| match (check.updated_at, seen.started_at) {
        (Some(at), Some(started)) => at >= started,
        _ => true,
    };
    let all = seen.checks.iter().all(|check| check.status == CheckStatus::Passing && fresh(&check));
    if all {
        return Some(Ok(format!("it is started; {}", checks(seen))));
    }
    if !over {
        return None;
    }
    let critical = critical(seen);
    let dead =
        seen.server.login.as_ref().is_some_and(|login| matches!(login.value, CheckLogin::NothingListens(_)));
    let old_ones = part == Part::Db && !dead && critical.iter().all(|name| before.critical.contains(name));
    Some(if critical.is_empty() || old_ones {
        Ok(format!("it is started; {}, as far as they have run since", checks(seen)))
    } else {
        Err(format!("it is started, but {}", checks(seen)))
    })
}

fn critical(seen: &Instance) -> Vec<String> {
    let critical = seen.checks.iter().filter(|check| check.status == CheckStatus::Critical);
    critical.map(|check| check.name.clone()).collect()
}

/// How the checks stand, in words.
fn checks(seen: &Instance) -> String {
    let word = |check: &Check| match check.status {
        CheckStatus::Passing => "passing",
        CheckStatus::Warning => "a warning",
        CheckStatus::Critical => "critical",
        CheckStatus::Unknown => "unknown",
    };
    let all: Vec<String> =
        seen.checks.iter().map(|check| format!("{} {}", check.name, word(check))).collect();
    if all.is_empty() { "it has no checks".to_owned() } else { format!("checks: {}", all.join(", ")) }
}
