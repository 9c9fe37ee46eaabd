//! Hands on Kubernetes: a rollout of the API's or the proxy's workload, the end of one pod of the database's, which its
//! workload makes anew, and more room for a claim, by the API server.
//!
//! Facts: Kubernetes API reference v1.31 (`apps/v1`, `core/v1`, `storage.k8s.io/v1`); kubectl's `rollout restart` and `rollout
//! status` (kubectl, `pkg/polymorphichelpers`). Nothing is scaled: a database that is scaled to nothing was so by somebody.
//! Not in here: looking (`platform/kubernetes`).

mod claim;
mod pod;
mod rollout;

use super::answer::{End, carried_out, in_time, object};
use super::{Doing, Done, Hands, Listing, Order, Target, Undone};
use crate::http::Answer;
use crate::platform::kubernetes::Kubernetes;
use crate::platform::kubernetes::ask::Resource;
use crate::platform::{Part, Untold};
use hyper::Method;
use pgmedic_model::{Deed, mask};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks.
const LOOKS: Duration = Duration::from_millis(500);
/// By which the API server's audit log knows a request (Kubernetes documentation, "Auditing").
const AUDIT_ID: &str = "audit-id";

const NO_PROXY: &str = "no workload is named that is the proxy: `proxy` in [service.platform]";
const NO_START: &str =
    "Kubernetes starts its pods by itself; `start_db` in [service.platform] can name a command";

/// Whoever acts on a namespace's workloads.
#[derive(Debug)]
pub struct KubernetesHands {
    kubernetes: Arc<Kubernetes>,
    proxy: Option<String>,
}

impl KubernetesHands {
    /// Hands that ask as this window does. `proxy`: the workload that is the proxy or pooler.
    #[must_use]
    pub const fn new(kubernetes: Arc<Kubernetes>, proxy: Option<String>) -> Self {
        Self { kubernetes, proxy }
    }

    /// Whom a deed is for, by name.
    fn named(&self, deed: Deed) -> Result<&str, Untold> {
        match deed {
            Deed::RestartApi => self.kubernetes.name(Part::Api),
            Deed::RestartDb | Deed::ExtendVolume => self.kubernetes.name(Part::Db),
            Deed::RestartProxy => self.proxy.as_deref().ok_or(Untold::NotOffered(NO_PROXY)),
            Deed::StartDb => Err(Untold::NotOffered(NO_START)),
        }
    }

    async fn list(&self, deed: Deed, until: Instant) -> Result<Vec<Target>, Untold> {
        let name = self.named(deed)?;
        match deed {
            Deed::RestartApi | Deed::RestartProxy => self.workloads(name, until).await,
            Deed::ExtendVolume => self.claims(name, until).await,
            Deed::RestartDb | Deed::StartDb => self.pods(name, until).await,
        }
    }

    async fn done(&self, order: &Order, until: Instant) -> Result<Done, Undone> {
        let deed = order.deed();
        let name = self.named(deed).map_err(|untold| Undone::NotOffered(untold.to_string()))?;
        let target = order.target();
        let there = self.list(deed, until).await;
        let there = there.map_err(|untold| untouched(&target.name, &untold.to_string()))?;
        if !there.iter().any(|one| one.id == target.id) {
            return Err(untouched(&target.name, &format!("{name} has no {:?}", target.id)));
        }
        match order {
            Order::Extend(_, size_gb) => self.extend(target, *size_gb, until).await,
            Order::Restart(Part::Db, _) | Order::StartDb(_) => self.end_pod(name, target, until).await,
            Order::Restart(Part::Api, _) | Order::RestartProxy(_) => self.roll(target, until).await,
        }
    }

    /// Asks once for a change. Gives what was changed, as it is now, and what the request is known by.
    async fn change(
        &self,
        what: &str,
        asked: &Resource,
        method: Method,
        body: (&'static str, &str),
        until: Instant,
    ) -> Result<(Value, Vec<String>), Undone> {
        in_time(until).map_err(|end| end.undone(what, Vec::new()))?;
        let sent = self.kubernetes.send(asked, method, body, until).await;
        let sent = sent.map_err(|why| End::Refused(why).undone(what, Vec::new()))?;
        let ids: Vec<String> = sent.as_ref().ok().and_then(audit_id).into_iter().collect();
        let answer = carried_out(sent, |answer| self.kubernetes.refusal(answer, asked));
        let told = answer.and_then(|answer| {
            object(&answer).ok_or_else(|| {
                End::Unknown(format!("status {} with what is no object of Kubernetes'", answer.status))
            })
        });
        told.map(|told| (told, ids.clone())).map_err(|end| end.undone(what, ids))
    }
}

fn untouched(name: &str, why: &str) -> Undone {
    Undone::refused(format!("{}: {why}; nothing was asked of it", mask::excerpt(name, 100)))
}

fn audit_id(answer: &Answer) -> Option<String> {
    Some(mask::excerpt(answer.headers.get(AUDIT_ID)?.to_str().ok()?, 64))
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

impl Hands for KubernetesHands {
    fn kind(&self) -> &'static str {
        "kubernetes"
    }

    fn offers(&self) -> Vec<Deed> {
        let all = [Deed::RestartApi, Deed::RestartProxy, Deed::RestartDb, Deed::ExtendVolume];
        all.into_iter().filter(|deed| self.named(*deed).is_ok()).collect()
    }

    fn targets(&self, deed: Deed, until: Instant) -> Listing<'_> {
        Box::pin(self.list(deed, until))
    }

    fn act<'a>(&'a self, order: &'a Order, until: Instant) -> Doing<'a> {
        Box::pin(self.done(order, until))
    }
}
