//! More room for a claim: its request is patched once, at the version that was looked at, where its StorageClass allows
//! expansion; then it is looked at until it has its size, or waits for a restart of its pod (Kubernetes documentation,
//! "Persistent Volumes", "Expanding Persistent Volumes Claims"). A claim never shrinks.

use super::{KubernetesHands, LOOKS, text, untouched};
use crate::hands::{Done, Target, Undone, not_smaller};
use crate::platform::Untold;
use crate::platform::kubernetes::ask::Resource;
use crate::platform::kubernetes::{escape, quantity};
use hyper::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// RFC 7396.
const MERGE: &str = "application/merge-patch+json";
/// A GiB.
const GB: u64 = 1 << 30;

impl KubernetesHands {
    /// The claims of the pods behind a name.
    pub(super) async fn claims(&self, name: &str, until: Instant) -> Result<Vec<Target>, Untold> {
        let pods = self.kubernetes.found(name, until).await?.pods;
        let volumes = pods.iter().filter_map(|pod| pod.pointer("/spec/volumes")?.as_array()).flatten();
        let mut names: Vec<String> = volumes
            .filter_map(|volume| {
                volume.pointer("/persistentVolumeClaim/claimName")?.as_str().map(str::to_owned)
            })
            .collect();
        names.sort();
        names.dedup();
        let mut targets = Vec::new();
        for name in names {
            if let Some(claim) = self.kubernetes.object(&self.claim(&name, "get"), until).await? {
                targets.push(Target { id: name.clone(), name, size_gb: size(&claim) });
            }
        }
        Ok(targets)
    }

    fn claim(&self, name: &str, verb: &'static str) -> Resource {
        let path = format!("persistentvolumeclaims/{}", escape(name));
        self.kubernetes.core(&path, "persistentvolumeclaims", verb)
    }

    /// Grows a claim to so many GiB.
    pub(super) async fn extend(&self, target: &Target, size_gb: u64, until: Instant) -> Result<Done, Undone> {
        not_smaller(target, size_gb)?;
        let name = target.id.as_str();
        let untold = |untold: Untold| untouched(name, &untold.to_string());
        let get = self.claim(name, "get");
        let now = self.kubernetes.object(&get, until).await.map_err(untold)?;
        let now = now.ok_or_else(|| untouched(name, "it is gone"))?;
        not_smaller(&Target { size_gb: size(&now), ..target.clone() }, size_gb)?;
        self.may_expand(name, text(&now, "/spec/storageClassName"), until).await?;
        let body = json!({
            "metadata": { "resourceVersion": text(&now, "/metadata/resourceVersion") },
            "spec": { "resources": { "requests": { "storage": format!("{size_gb}Gi") } } },
        });
        let what = format!("extension of claim {name} to {size_gb} GB");
        let patch = self.claim(name, "patch");
        let changed = self.change(&what, &patch, Method::PATCH, (MERGE, &body.to_string()), until).await?;
        let request_ids = changed.1;
        let mut last = "nothing was seen of it".to_owned();
        while Instant::now() < until {
            match self.kubernetes.object(&get, until).await.map_err(|untold| untold.to_string()) {
                Ok(Some(now)) if capacity(&now).is_some_and(|bytes| bytes / GB >= size_gb) => {
                    let said = format!("claim {name} has {}", text(&now, "/status/capacity/storage"));
                    return Ok(Done { said, request_ids, needs_restart: false });
                }
                Ok(Some(now)) if waits_for_restart(&now) => {
                    let said = format!(
                        "claim {name} has its volume extended, its filesystem grows as its pod restarts"
                    );
                    return Ok(Done { said, request_ids, needs_restart: true });
                }
                Ok(Some(now)) => last = format!("it has {}", text(&now, "/status/capacity/storage")),
                Ok(None) => last = "it is gone".to_owned(),
                Err(why) => last = why,
            }
            sleep(LOOKS.min(until.saturating_duration_since(Instant::now()))).await;
        }
        Err(Undone::Unknown { why: format!("{what}: taken, and not done in time: {last}"), request_ids })
    }

    /// Whether the claim's StorageClass lets it grow.
    async fn may_expand(&self, name: &str, class: &str, until: Instant) -> Result<(), Undone> {
        if class.is_empty() {
            return Err(untouched(name, "it has no StorageClass, so nothing can extend it"));
        }
        let path = format!("/apis/storage.k8s.io/v1/storageclasses/{}", escape(class));
        let asked = Resource { path, group: "storage.k8s.io", resource: "storageclasses", verb: "get" };
        let found = self.kubernetes.object(&asked, until).await;
        let found = found.map_err(|untold| untouched(name, &untold.to_string()))?;
        match found.and_then(|class| class.get("allowVolumeExpansion")?.as_bool()) {
            Some(true) => Ok(()),
            _ => Err(untouched(
                name,
                &format!("its StorageClass {class} does not say allowVolumeExpansion: true"),
            )),
        }
    }
}

fn capacity(claim: &Value) -> Option<u64> {
    quantity::bytes(text(claim, "/status/capacity/storage"))
}

/// Its size in GiB, rounded up: what it has, or has asked for already.
fn size(claim: &Value) -> Option<u64> {
    let asked = quantity::bytes(text(claim, "/spec/resources/requests/storage"));
    capacity(claim).max(asked).map(|bytes| bytes.div_ceil(GB))
}

fn waits_for_restart(claim: &Value) -> bool {
    let conditions = claim.pointer("/status/conditions").and_then(Value::as_array);
    let waits =
        |one: &Value| text(one, "/type") == "FileSystemResizePending" && text(one, "/status") == "True";
    conditions.is_some_and(|all| all.iter().any(waits))
}
