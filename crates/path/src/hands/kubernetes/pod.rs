//! The end of one pod, which what owns it makes anew: deleted once, and only as the one that was looked at (its uid is a
//! precondition), then waited for until a new one is ready. A pod that nothing owns would not come back: it is let be.

use super::{KubernetesHands, LOOKS, text, untouched};
use crate::hands::{Done, Target, Undone};
use crate::platform::Untold;
use crate::platform::kubernetes::escape;
use hyper::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

impl KubernetesHands {
    /// The pods behind a name. Those of a StatefulSet in the order in which it updates them: the last first, so that the
    /// first, which is most often the primary, comes last.
    pub(super) async fn pods(&self, name: &str, until: Instant) -> Result<Vec<Target>, Untold> {
        let mut pods = self.kubernetes.found(name, until).await?.pods;
        let ordinal = |pod: &Value| {
            let name = text(pod, "/metadata/name");
            name.rsplit_once('-').and_then(|(_, number)| number.parse::<u64>().ok())
        };
        pods.sort_by_key(|pod| std::cmp::Reverse(ordinal(pod)));
        let name = |pod: &Value| text(pod, "/metadata/name").to_owned();
        Ok(pods.iter().map(|pod| Target { id: name(pod), name: name(pod), size_gb: None }).collect())
    }

    /// Ends a pod and waits for the one that comes in its place.
    pub(super) async fn end_pod(&self, of: &str, target: &Target, until: Instant) -> Result<Done, Undone> {
        let found = self.kubernetes.found(of, until).await;
        let before = found.map_err(|untold| untouched(&target.id, &untold.to_string()))?.pods;
        let Some(pod) = before.iter().find(|pod| text(pod, "/metadata/name") == target.id) else {
            return Err(untouched(&target.id, "it is gone"));
        };
        let uid = text(pod, "/metadata/uid");
        let owned = pod.pointer("/metadata/ownerReferences/0").is_some();
        if !owned || uid.is_empty() {
            return Err(untouched(&target.id, "nothing owns this pod: deleted, it would not come back"));
        }
        let what = format!("restart of pod {} by its deletion", target.id);
        let asked = self.kubernetes.core(&format!("pods/{}", escape(&target.id)), "pods", "delete");
        let body = json!({ "kind": "DeleteOptions", "apiVersion": "v1", "preconditions": { "uid": uid } });
        let body = ("application/json", body.to_string());
        let (_, request_ids) = self.change(&what, &asked, Method::DELETE, (body.0, &body.1), until).await?;
        let mut last = "nothing was seen of it".to_owned();
        while Instant::now() < until {
            match self.kubernetes.found(of, until).await {
                Err(untold) => last = untold.to_string(),
                Ok(now) => {
                    let there = |uid: &str| now.pods.iter().any(|pod| text(pod, "/metadata/uid") == uid);
                    let ready = now.pods.iter().filter(|pod| is_ready(pod)).count();
                    let new = now.pods.iter().find(|pod| {
                        let uid = text(pod, "/metadata/uid");
                        is_ready(pod) && !before.iter().any(|old| text(old, "/metadata/uid") == uid)
                    });
                    if let Some(new) = new.filter(|_| !there(uid) && ready >= before.len()) {
                        let said =
                            format!("{what}: pod {} is ready in its place", text(new, "/metadata/name"));
                        return Ok(Done { said, request_ids, needs_restart: false });
                    }
                    let gone = if there(uid) { "the old one is still ending" } else { "the old one is gone" };
                    last = format!("{gone}, {ready} of {} pods are ready", before.len());
                }
            }
            sleep(LOOKS.min(until.saturating_duration_since(Instant::now()))).await;
        }
        Err(Undone::Unknown {
            why: format!("{what}: begun, and no new one ready in time: {last}"),
            request_ids,
        })
    }
}

/// Ready, and not about to go.
fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let ready = |one: &Value| text(one, "/type") == "Ready" && text(one, "/status") == "True";
    conditions.is_some_and(|all| all.iter().any(ready))
        && pod.pointer("/metadata/deletionTimestamp").is_none()
}
