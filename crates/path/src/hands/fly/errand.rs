//! One deed at Fly's Machines API: its requests in their turn, their ids, and the lease under which a machine is changed,
//! so that neither a deploy nor another pgmedic changes it at the same time. The lease is given back on every way out;
//! where that fails, or this process ends, it ends by itself.
//!
//! Facts: superfly/fly-go 22d6e51, `flaps/flaps_machines.go`; superfly/docs, `machines/api`. Not in here: which requests.

use super::pace::{LOOK, Pace};
use crate::hands::Undone;
use crate::hands::answer::{End, carried_out, object};
use crate::http::Answer;
use crate::platform::fly::Fly;
use crate::platform::fly::ask::{Asking, NO_TOKEN, request_id, said};
use hyper::Method;
use pgmedic_model::Secret;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes read of an answer; a machine with its events and checks takes some ten thousand.
const BODY: usize = 1024 * 1024;
/// Seconds that a lease outlives the deadline.
const LEASE: u64 = 10;

/// A deed under way.
pub(super) struct Errand<'a> {
    pub(super) fly: &'a Fly,
    pace: &'a Pace,
    pub(super) app: &'a str,
    /// What it is done to: a machine's or a volume's id.
    pub(super) id: &'a str,
    /// What Fly knows the requests by, in their order; of looks that follow each other the last.
    pub(super) request_ids: Vec<String>,
    /// The last of them is a look's.
    looked: bool,
    /// When everything has to be over, the giving back of the lease as well.
    until: Instant,
}

/// A lease on a machine. Its nonce is a secret: whoever has it may change the machine.
#[derive(Debug)]
pub(super) struct Lease {
    nonce: Secret,
    ttl: u64,
}

impl<'a> Errand<'a> {
    pub(super) fn new(fly: &'a Fly, pace: &'a Pace, app: &'a str, id: &'a str, until: Instant) -> Self {
        Self { fly, pace, app, id, request_ids: Vec::new(), looked: false, until }
    }

    /// When the deed itself has to be over: there is time left to give the lease back.
    pub(super) fn end(&self) -> Instant {
        let left = self.until.saturating_duration_since(Instant::now());
        self.until.checked_sub((left / 8).min(Duration::from_secs(2))).unwrap_or(self.until)
    }

    /// `machine 148e21e7c22d89 of renderflow-db`.
    pub(super) fn named(&self) -> String {
        format!("{} of {}", self.id, self.app)
    }

    /// The path of the machine, and what comes behind it.
    pub(super) fn machine(&self, rest: &str) -> String {
        format!("/v1/apps/{}/machines/{}{rest}", self.app, self.id)
    }

    /// Asks once, in its turn.
    pub(super) async fn ask(
        &mut self,
        action: &str,
        asking: &Asking<'_>,
        until: Instant,
    ) -> Result<Answer, End> {
        if !self.fly.has_token() {
            return Err(End::Refused(NO_TOKEN.to_owned()));
        }
        if !self.pace.turn(action, self.id, until).await {
            let why = "Fly takes one request a second for each action, and the time was over before the next";
            return Err(End::Refused(why.to_owned()));
        }
        let result = self.fly.send(asking, BODY, until).await;
        if let Some(id) = result.as_ref().ok().and_then(request_id) {
            let looks = action == LOOK;
            if looks && self.looked {
                self.request_ids.pop();
            }
            self.looked = looks;
            self.request_ids.push(id);
        }
        let app = self.app;
        carried_out(result, |answer| refusal(answer, app))
    }

    /// The machine as it is now.
    pub(super) async fn look(&mut self, until: Instant) -> Result<serde_json::Value, String> {
        let path = self.machine("");
        let asking = Asking { method: Method::GET, path: &path, nonce: None, body: "" };
        match self.ask(LOOK, &asking, until).await {
            Ok(answer) => object(&answer).ok_or_else(|| "what Fly tells of it is no machine".to_owned()),
            Err(End::Refused(why) | End::Unknown(why)) => Err(why),
        }
    }

    /// Takes a lease. Whatever comes of it, the machine itself is as it was.
    pub(super) async fn lease(&mut self, until: Instant) -> Result<Lease, Undone> {
        let ttl = self.until.saturating_duration_since(Instant::now()).as_secs() + LEASE;
        let path = self.machine(&format!("/lease?ttl={ttl}"));
        let asking = Asking { method: Method::POST, path: &path, nonce: None, body: "" };
        let answer = self.ask("lease", &asking, until).await;
        let nonce = answer.and_then(|answer| {
            let nonce =
                object(&answer).and_then(|told| Some(told.pointer("/data/nonce")?.as_str()?.to_owned()));
            let is_one = |nonce: &String| nonce.bytes().all(|b| b.is_ascii_graphic()) && !nonce.is_empty();
            nonce.filter(is_one).ok_or_else(|| End::Refused("the answer holds no lease".to_owned()))
        });
        match nonce {
            Ok(nonce) => Ok(Lease { nonce: Secret::new(nonce), ttl }),
            Err(End::Refused(why) | End::Unknown(why)) => {
                let what = format!("the lease on machine {}", self.named());
                Err(End::Refused(why).undone(&what, self.take_ids()))
            }
        }
    }

    /// Changes the machine under the lease: asked once.
    pub(super) async fn change(
        &mut self,
        action: &str,
        query: &str,
        lease: &Lease,
        until: Instant,
    ) -> Result<Answer, Undone> {
        let path = self.machine(&format!("/{action}{query}"));
        let nonce = Some(lease.nonce.reveal());
        let asking = Asking { method: Method::POST, path: &path, nonce, body: "" };
        let asked = self.ask(action, &asking, until).await;
        let asked = asked.and_then(|answer| match answer.body.is_empty() || object(&answer).is_some() {
            true => Ok(answer),
            false => Err(End::Unknown(format!("status {} with what is no answer of Fly's", answer.status))),
        });
        asked.map_err(|end| end.undone(&format!("{action} of machine {}", self.named()), self.take_ids()))
    }

    /// Gives the lease back. Where that fails: what to know about it.
    pub(super) async fn give_back(&mut self, lease: Lease) -> Option<String> {
        let path = self.machine("/lease");
        let nonce = Some(lease.nonce.reveal());
        let asking = Asking { method: Method::DELETE, path: &path, nonce, body: "" };
        match self.ask("release", &asking, self.until).await {
            Ok(_) => None,
            Err(End::Refused(why) | End::Unknown(why)) => {
                Some(format!("its lease was not given back ({why}) and ends by itself in {} s", lease.ttl))
            }
        }
    }

    pub(super) fn take_ids(&mut self) -> Vec<String> {
        self.looked = false;
        std::mem::take(&mut self.request_ids)
    }
}

/// What Fly said instead of doing it, and the next step.
fn refusal(answer: &Answer, app: &str) -> String {
    let retry = answer.headers.get("retry-after").and_then(|after| after.to_str().ok());
    let retry = retry.filter(|after| after.len() < 40 && after.is_ascii()).unwrap_or("a second");
    let step = match answer.status {
        401 => format!("; the token is not accepted: make one with `fly tokens create deploy -a {app}`"),
        403 => {
            format!("; the token may not change this app: make one with `fly tokens create deploy -a {app}`")
        }
        404 => "; there is no such thing for this token: `fly machine list` and `fly volumes list` show what there is"
            .to_owned(),
        409 => "; somebody else holds its lease, a deploy or another pgmedic: let that end first".to_owned(),
        412 => "; it is in a state that does not allow it: `fly machine status` shows it".to_owned(),
        429 => format!("; asked too often, by whomever: Fly takes it again after {retry}"),
        408 | 500..=599 => "; Fly's API itself fails: see status.flyio.net".to_owned(),
        _ => String::new(),
    };
    format!("{}{step}", said(answer))
}
