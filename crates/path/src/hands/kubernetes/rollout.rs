//! A rollout, as `kubectl rollout restart` begins it (the annotation `kubectl.kubernetes.io/restartedAt` on the pod
//! template) and `kubectl rollout status` follows it: pods go one after the other as the workload's strategy has it.

use super::{KubernetesHands, LOOKS, number, text, untouched};
use crate::hands::{Done, Target, Undone};
use crate::platform::Untold;
use hyper::Method;
use pgmedic_model::{Timestamp, mask};
use serde_json::{Value, json};
use std::time::SystemTime;
use tokio::time::{Instant, sleep};

/// The API reference, "Update Strategy": lists are merged by their keys.
const STRATEGIC: &str = "application/strategic-merge-patch+json";

impl KubernetesHands {
    /// The workload behind a name: `deployments/renderflow-api`.
    pub(super) async fn workloads(&self, name: &str, until: Instant) -> Result<Vec<Target>, Untold> {
        match self.kubernetes.found(name, until).await?.controller {
            Some((resource, name)) => {
                Ok(vec![Target { id: format!("{resource}/{name}"), name, size_gb: None }])
            }
            None => Err(Untold::Failed(format!(
                "{name}: a rollout is of a deployment/NAME or statefulset/NAME; name that in [service.platform]"
            ))),
        }
    }

    /// Rolls it anew, and waits until every pod is.
    pub(super) async fn roll(&self, target: &Target, until: Instant) -> Result<Done, Undone> {
        let resource = if target.id.starts_with("statefulsets/") { "statefulsets" } else { "deployments" };
        let name = target.id.split_once('/').map_or("", |(_, name)| name);
        let what = format!("rollout of {resource}/{name}");
        let get = self.kubernetes.apps(resource, name, "get");
        let now = self.kubernetes.object(&get, until).await;
        let now = now.map_err(|untold| untouched(name, &untold.to_string()))?;
        let now = now.ok_or_else(|| untouched(name, "it is gone"))?;
        if number(&now, "/spec/replicas") == 0 {
            return Err(untouched(name, "it is scaled to 0, nothing of it runs"));
        }
        if text(&now, "/spec/updateStrategy/type") == "OnDelete" {
            return Err(untouched(name, "its update strategy is OnDelete: a rollout would restart nothing"));
        }
        let at = Timestamp::from_system(SystemTime::now()).to_string();
        let annotations = json!({ "kubectl.kubernetes.io/restartedAt": at });
        let body =
            json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } }).to_string();
        let patch = self.kubernetes.apps(resource, name, "patch");
        let (told, request_ids) =
            self.change(&what, &patch, Method::PATCH, (STRATEGIC, &body), until).await?;
        let generation = number(&told, "/metadata/generation");
        let mut last = "nothing was seen of it".to_owned();
        while Instant::now() < until {
            match self.kubernetes.object(&get, until).await {
                Ok(Some(now)) => {
                    if is_rolled(&now, generation) {
                        let said = format!("{what}: {}", pods(&now));
                        return Ok(Done { said, request_ids, needs_restart: false });
                    }
                    last = pods(&now);
                    if let Some(why) = stuck(&now) {
                        let why = format!("{what}: it was begun and does not go on: {why}; {last}");
                        return Err(Undone::Unknown { why, request_ids });
                    }
                }
                Ok(None) => last = "it is gone".to_owned(),
                Err(untold) => last = untold.to_string(),
            }
            sleep(LOOKS.min(until.saturating_duration_since(Instant::now()))).await;
        }
        Err(Undone::Unknown {
            why: format!("{what}: begun, and not at its end in time: {last}"),
            request_ids,
        })
    }
}

/// As `kubectl rollout status` judges: seen by the controller, every pod new and available, no old one left.
fn is_rolled(now: &Value, generation: u64) -> bool {
    let wanted = number(now, "/spec/replicas");
    let count = |name: &str| number(now, &format!("/status/{name}"));
    number(now, "/status/observedGeneration") >= generation
        && count("updatedReplicas") == wanted
        && count("availableReplicas") == wanted
        && count("replicas") == wanted
}

fn pods(now: &Value) -> String {
    let count = |name: &str| number(now, &format!("/status/{name}"));
    let wanted = number(now, "/spec/replicas");
    format!("{} of {wanted} pods are new, {} available", count("updatedReplicas"), count("availableReplicas"))
}

/// The condition by which a Deployment says that its rollout does not go on (`progressDeadlineSeconds`).
fn stuck(now: &Value) -> Option<String> {
    let conditions = now.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|one| text(one, "/reason") == "ProgressDeadlineExceeded")?;
    Some(mask::excerpt(text(found, "/message"), 200))
}
