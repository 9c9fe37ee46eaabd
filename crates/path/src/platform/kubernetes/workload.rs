//! What a name of the configuration stands for: a Deployment, a StatefulSet, a pod or a label selector, and which pods are
//! its own.

use super::ask::{Refused, Resource};
use super::pods::Pod;
use super::{Kubernetes, escape};
use crate::paste;
use crate::platform::Untold;
use crate::platform::told::{ByHand, Exit, Instance, InstanceState};
use pgmedic_model::mask;
use serde::Deserialize;
use std::collections::BTreeMap;
use tokio::time::Instant;

/// Bytes read of a workload.
const ACCOUNT: usize = 1024 * 1024;
/// Characters of a condition's message.
const WORDS: usize = 300;

/// What is asked about.
pub(super) enum Workload {
    /// Whatever has these labels.
    Labels(String),
    /// One pod.
    Pod(String),
    /// What makes pods.
    Of(Kind, Box<Controller>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Deployment,
    StatefulSet,
}

impl Kind {
    const fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
        }
    }

    const fn singular(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
        }
    }
}

/// A Deployment or a StatefulSet.
#[derive(Deserialize)]
pub(super) struct Controller {
    metadata: Named,
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Spec {
    replicas: Option<u64>,
    selector: Selector,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selector {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<Expression>,
}

#[derive(Deserialize)]
struct Expression {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    message: String,
}

impl Selector {
    /// As the query parameter `labelSelector` has it.
    fn text(&self) -> String {
        let equal = self.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
        let other = self.match_expressions.iter().map(|one| match one.operator.as_str() {
            "Exists" => one.key.clone(),
            "DoesNotExist" => format!("!{}", one.key),
            "NotIn" => format!("{} notin ({})", one.key, one.values.join(",")),
            _ => format!("{} in ({})", one.key, one.values.join(",")),
        });
        equal.chain(other).collect::<Vec<_>>().join(",")
    }
}

impl Workload {
    /// The resource and the name of what makes its pods; None for pods that nothing here makes.
    pub(super) fn controller(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Of(kind, controller) => Some((kind.plural(), controller.metadata.name.as_str())),
            Self::Labels(_) | Self::Pod(_) => None,
        }
    }

    /// The query that selects its pods.
    pub(super) fn query(&self) -> String {
        match self {
            Self::Labels(labels) => format!("labelSelector={}", escape(labels)),
            Self::Pod(name) => format!("fieldSelector={}", escape(&format!("metadata.name={name}"))),
            Self::Of(_, controller) => format!("labelSelector={}", escape(&controller.spec.selector.text())),
        }
    }

    /// True for a pod of its own: labels may overlap.
    pub(super) fn owns(&self, pod: &Pod) -> bool {
        match self {
            Self::Labels(_) | Self::Pod(_) => true,
            Self::Of(kind, controller) => {
                let name = &controller.metadata.name;
                // A Deployment's pods belong to its ReplicaSets, which are named after it.
                pod.owner().is_some_and(|(of, owner)| match kind {
                    Kind::StatefulSet => of == "StatefulSet" && owner == name,
                    Kind::Deployment => {
                        let hash = owner.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix('-'));
                        of == "ReplicaSet" && hash.is_some_and(|hash| !hash.contains('-'))
                    }
                })
            }
        }
    }

    /// The part of a command that restarts a pod's workload: `rollout restart statefulset/pg`.
    pub(super) fn to_restart(&self, pod: &Pod) -> String {
        match self {
            Self::Of(kind, controller) => {
                format!("rollout restart {}/{}", kind.singular(), paste::argument(&controller.metadata.name))
            }
            // What owns it makes another.
            Self::Labels(_) | Self::Pod(_) if pod.owner().is_some() => {
                format!("delete pod {}", paste::argument(pod.name()))
            }
            Self::Labels(_) | Self::Pod(_) => String::new(),
        }
    }

    /// The instance that stands for a workload without one pod: scaled to nothing, or kept from making any. None where
    /// nothing is known that would make pods.
    pub(super) fn without_pods(&self, namespace: &str) -> Option<Instance> {
        let Self::Of(kind, controller) = self else { return None };
        let name = format!("{}/{}", kind.singular(), controller.metadata.name);
        let wanted = controller.spec.replicas.unwrap_or(1);
        let failing = |c: &&Condition| c.kind == "ReplicaFailure" && c.status == "True";
        let kubectl = |rest: String| format!("kubectl -n {} {rest}", paste::argument(namespace));
        let quoted = paste::argument(&name);
        Some(Instance {
            id: name.clone(),
            name: name.clone(),
            state: if wanted == 0 { InstanceState::Stopped } else { InstanceState::Failed },
            word: if wanted == 0 { "scaled to 0".to_owned() } else { format!("0 of {wanted} pods") },
            exit: (wanted == 0).then(|| Exit { requested: true, ..Exit::default() }),
            remarks: controller
                .status
                .conditions
                .iter()
                .filter(failing)
                .map(|c| mask::excerpt(&c.message, WORDS))
                .collect(),
            by_hand: ByHand {
                look: kubectl(format!("describe {quoted}")),
                start: if wanted == 0 {
                    kubectl(format!("scale {quoted} --replicas=1"))
                } else {
                    String::new()
                },
                restart: String::new(),
            },
            ..Instance::default()
        })
    }
}

impl Kubernetes {
    /// What a name stands for. A bare one may be a StatefulSet, a Deployment or a pod.
    pub(super) async fn workload(&self, name: &str, until: Instant) -> Result<Workload, Untold> {
        if name.contains('=') {
            return Ok(Workload::Labels(name.to_owned()));
        }
        let of = |kind, one| Workload::Of(kind, Box::new(one));
        match name.split_once('/') {
            Some(("pod" | "pods" | "po", pod)) => {
                self.pod(pod, until).await?.ok_or_else(|| self.unknown(name))
            }
            Some((word, one)) => {
                let kind = match word {
                    "deployment" | "deployments" | "deploy" => Kind::Deployment,
                    "statefulset" | "statefulsets" | "sts" => Kind::StatefulSet,
                    _ => {
                        let why = format!(
                            "{name}: deployment/NAME, statefulset/NAME, pod/NAME or a label selector is meant"
                        );
                        return Err(Untold::Failed(why));
                    }
                };
                let found = self.controller(kind, one, until).await?;
                found.map(|found| of(kind, found)).ok_or_else(|| self.unknown(name))
            }
            None => {
                let (sets, deployments) = tokio::join!(
                    self.controller(Kind::StatefulSet, name, until),
                    self.controller(Kind::Deployment, name, until)
                );
                match (sets, deployments) {
                    (Ok(Some(set)), _) => Ok(of(Kind::StatefulSet, set)),
                    (_, Ok(Some(deployment))) => Ok(of(Kind::Deployment, deployment)),
                    (Err(why), _) | (_, Err(why)) => Err(why),
                    (Ok(None), Ok(None)) => self.pod(name, until).await?.ok_or_else(|| self.unknown(name)),
                }
            }
        }
    }

    async fn controller(&self, kind: Kind, name: &str, until: Instant) -> Result<Option<Controller>, Untold> {
        let path = format!(
            "/apis/apps/v1/namespaces/{}/{}/{}",
            escape(&self.namespace),
            kind.plural(),
            escape(name)
        );
        let asked = Resource { path, group: "apps", resource: kind.plural(), verb: "get" };
        absent_is_none(self.get(&asked, ACCOUNT, until).await)
    }

    async fn pod(&self, name: &str, until: Instant) -> Result<Option<Workload>, Untold> {
        let asked = self.core(&format!("pods/{}", escape(name)), "pods", "get");
        let found: Option<Pod> = absent_is_none(self.get(&asked, ACCOUNT, until).await)?;
        Ok(found.map(|pod| Workload::Pod(pod.name().to_owned())))
    }

    fn unknown(&self, name: &str) -> Untold {
        let namespace = &self.namespace;
        Untold::Failed(format!(
            "the namespace {namespace} has no Deployment, StatefulSet or pod {name:?}; kubectl -n {namespace} get deploy,sts,pods \
             lists what there is, and platform.namespace names another"
        ))
    }
}

fn absent_is_none<T>(got: Result<T, Refused>) -> Result<Option<T>, Untold> {
    match got {
        Ok(found) => Ok(Some(found)),
        Err(Refused::Absent) => Ok(None),
        Err(Refused::Because(why)) => Err(Untold::Failed(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(rest: &str) -> Workload {
        let text = format!(
            "{{\"metadata\":{{\"name\":\"api\"}},\"spec\":{{\"selector\":{{\"matchLabels\":{{\"app\":\"api\"}}}}{rest}}}"
        );
        Workload::Of(Kind::Deployment, serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}")))
    }

    #[test]
    fn pods_are_selected_by_labels_and_owned_by_name() {
        let workload = deployment("}");
        assert_eq!(workload.query(), "labelSelector=app%3Dapi");
        let pod = |kind: &str, owner: &str| -> Pod {
            let text = format!(
                "{{\"metadata\":{{\"name\":\"p\",\"ownerReferences\":[{{\"kind\":\"{kind}\",\"name\":\"{owner}\"}}]}}}}"
            );
            serde_json::from_str(&text).unwrap()
        };
        assert!(workload.owns(&pod("ReplicaSet", "api-6b7f")));
        assert!(
            !workload.owns(&pod("ReplicaSet", "api-worker-6b7f")) && !workload.owns(&pod("Job", "api-1"))
        );
        let selector: Selector = serde_json::from_str(
            "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[\"x\",\"y\"]},{\"key\":\"b\",\"operator\":\"DoesNotExist\"}]}",
        )
        .unwrap();
        assert_eq!(selector.text(), "a in (x,y),!b");
    }

    #[test]
    fn a_workload_without_pods_is_scaled_down_or_kept_from_making_them() {
        let none = deployment(",\"replicas\":0}").without_pods("shop").unwrap();
        assert_eq!((none.state, none.word.as_str()), (InstanceState::Stopped, "scaled to 0"));
        assert_eq!(none.by_hand.start, "kubectl -n shop scale deployment/api --replicas=1");
        let status = ",\"replicas\":2},\"status\":{\"conditions\":[{\"type\":\"ReplicaFailure\",\"status\":\"True\",\
                      \"message\":\"exceeded quota: memory\"}]}";
        let kept = deployment(status).without_pods("shop").unwrap();
        assert_eq!((kept.state, kept.word.as_str()), (InstanceState::Failed, "0 of 2 pods"));
        assert_eq!(kept.remarks, ["exceeded quota: memory"]);
    }
}
