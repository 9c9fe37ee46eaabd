//! Pods (core/v1 `Pod`) and the warnings about them, in words of no platform.

use crate::paste;
use crate::platform::Part;
use crate::platform::told::{ByHand, Check, CheckStatus, Exit, Instance, InstanceState};
use pgmedic_model::{Timestamp, mask};
use serde::Deserialize;

/// Characters of a message.
const WORDS: usize = 300;
/// Most warnings of one pod that are told, the newest.
const MOST_WARNINGS: usize = 5;
/// The annotation by which a pod says which of its containers is meant (kubectl).
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

#[derive(Deserialize)]
pub(super) struct PodList {
    pub(super) items: Vec<Pod>,
}

/// A pod, without what is not read: its environment holds secrets.
#[derive(Deserialize)]
pub(super) struct Pod {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    owner_references: Vec<Owner>,
    deletion_timestamp: Option<String>,
}

#[derive(Deserialize)]
struct Owner {
    kind: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    node_name: String,
    #[serde(default)]
    containers: Vec<ContainerSpec>,
    #[serde(default)]
    volumes: Vec<VolumeSpec>,
}

#[derive(Deserialize)]
struct ContainerSpec {
    name: String,
    #[serde(default)]
    image: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VolumeSpec {
    name: String,
    persistent_volume_claim: Option<ClaimRef>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimRef {
    claim_name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    phase: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    start_time: Option<String>,
    #[serde(default)]
    conditions: Vec<Condition>,
    #[serde(default)]
    init_container_statuses: Vec<ContainerStatus>,
    #[serde(default)]
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    last_transition_time: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    #[serde(default)]
    restart_count: u64,
    #[serde(default)]
    state: State,
    #[serde(default)]
    last_state: State,
}

#[derive(Default, Deserialize)]
struct State {
    waiting: Option<Waiting>,
    running: Option<Running>,
    terminated: Option<Terminated>,
}

#[derive(Deserialize)]
struct Waiting {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Running {
    started_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Terminated {
    exit_code: Option<i64>,
    signal: Option<i64>,
    #[serde(default)]
    reason: String,
    finished_at: Option<String>,
}

impl Terminated {
    fn exit(&self) -> Exit {
        // The runtimes give 128 and the signal's number.
        let by_code = self.exit_code.filter(|code| (129..=192).contains(code)).map(|code| code - 128);
        Exit {
            at: self.finished_at.as_deref().and_then(|at| at.parse().ok()),
            code: self.exit_code,
            signal: self.signal.filter(|signal| *signal != 0).or(by_code),
            out_of_memory: self.reason == "OOMKilled",
            requested: false,
        }
    }
}

/// Waiting that is no trouble (kubelet, `container_manager`): the container is being made.
const BEING_MADE: [&str; 3] = ["ContainerCreating", "PodInitializing", ""];

impl Pod {
    pub(super) fn name(&self) -> &str {
        &self.metadata.name
    }

    /// Kind and name of what made it.
    pub(super) fn owner(&self) -> Option<(&str, &str)> {
        self.metadata.owner_references.first().map(|owner| (owner.kind.as_str(), owner.name.as_str()))
    }

    pub(super) fn node(&self) -> &str {
        &self.spec.node_name
    }

    /// The claims that it uses: the volume's name in the pod, and the claim's.
    pub(super) fn claims(&self) -> impl Iterator<Item = (&str, &str)> {
        self.spec.volumes.iter().filter_map(|volume| {
            Some((volume.name.as_str(), volume.persistent_volume_claim.as_ref()?.claim_name.as_str()))
        })
    }

    /// The container that is meant by the pod's name: as the pod says itself, else the one that is a Postgres by its name or
    /// image, else the first.
    pub(super) fn main_container(&self, part: Part) -> &str {
        if let Some(name) = self.metadata.annotations.get(DEFAULT_CONTAINER) {
            return name;
        }
        let is_postgres = |one: &&ContainerSpec| {
            let image = one.image.rsplit('/').next().unwrap_or_default();
            one.name.contains("postgres") || image.starts_with("postgres") || one.name == "database"
        };
        let all = &self.spec.containers;
        let postgres = all.iter().find(is_postgres).filter(|_| part == Part::Db);
        postgres.or(all.first()).map_or("", |one| one.name.as_str())
    }

    pub(super) fn started_at(&self) -> Option<Timestamp> {
        let running = self.status.container_statuses.iter().filter_map(|one| one.state.running.as_ref());
        let latest = running.filter_map(|running| running.started_at.as_deref()?.parse().ok()).max();
        latest.or_else(|| self.status.start_time.as_deref()?.parse().ok())
    }

    /// True where nothing about it asks for a word.
    pub(super) fn is_well(&self) -> bool {
        self.state() == InstanceState::Running && self.condition("Ready").is_none_or(|c| c.status == "True")
    }

    fn condition(&self, kind: &str) -> Option<&Condition> {
        self.status.conditions.iter().find(|condition| condition.kind == kind)
    }

    fn containers(&self) -> impl Iterator<Item = &ContainerStatus> {
        self.status.init_container_statuses.iter().chain(&self.status.container_statuses)
    }

    /// Why a container does not run although it should: the kubelet's reason.
    fn trouble(&self) -> Option<(&ContainerStatus, &Waiting)> {
        self.containers().find_map(|one| {
            let waiting = one.state.waiting.as_ref()?;
            (!BEING_MADE.contains(&waiting.reason.as_str())).then_some((one, waiting))
        })
    }

    fn state(&self) -> InstanceState {
        let unschedulable = self.condition("PodScheduled").is_some_and(|c| c.status == "False");
        let some_run = self.status.container_statuses.iter().any(|one| one.state.running.is_some());
        match self.status.phase.as_str() {
            _ if self.metadata.deletion_timestamp.is_some() => InstanceState::Stopping,
            "Failed" => InstanceState::Failed,
            "Succeeded" => InstanceState::Stopped,
            "Pending" if unschedulable => InstanceState::Failed,
            "Pending" | "Running" if self.trouble().is_some() => InstanceState::Failed,
            "Pending" => InstanceState::Starting,
            "Running" if some_run => InstanceState::Running,
            "Running" => InstanceState::Starting,
            _ => InstanceState::Unknown,
        }
    }

    /// As kubectl writes it in the column STATUS.
    fn word(&self) -> String {
        let phase = [&self.status.reason, &self.status.phase].into_iter().find(|word| !word.is_empty());
        let word = match (&self.metadata.deletion_timestamp, self.trouble()) {
            (Some(_), _) => "Terminating",
            (None, Some((_, waiting))) => &waiting.reason,
            (None, None) => phase.map_or("Unknown", String::as_str),
        };
        mask::excerpt(word, 60)
    }

    /// The last end of any of its containers.
    fn exit(&self) -> Option<Exit> {
        let ends = self.status.container_statuses.iter();
        let ends =
            ends.filter_map(|one| one.state.terminated.as_ref().or(one.last_state.terminated.as_ref()));
        ends.map(Terminated::exit).max_by_key(|exit| exit.at)
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = vec![self.status.message.clone()];
        remarks.extend(self.trouble().map(|(one, waiting)| format!("{}: {}", one.name, waiting.message)));
        let unmet = |c: &&Condition| c.kind == "PodScheduled" && c.status == "False";
        remarks.extend(self.status.conditions.iter().find(unmet).map(|c| c.message.clone()));
        remarks.retain(|remark| !remark.is_empty());
        remarks.iter().map(|remark| mask::excerpt(remark, WORDS)).collect()
    }

    /// The pod as an instance. `restart` is the part of a kubectl command that restarts it; empty where there is none.
    pub(super) fn instance(&self, namespace: &str, restart: &str) -> Instance {
        let name = paste::argument(self.name());
        let kubectl = |rest: &str| format!("kubectl -n {} {rest}", paste::argument(namespace));
        let unready = self.condition("Ready");
        Instance {
            id: self.name().to_owned(),
            name: self.name().to_owned(),
            state: self.state(),
            word: self.word(),
            place: self.node().to_owned(),
            started_at: self.started_at(),
            restarts: Some(self.status.container_statuses.iter().map(|one| one.restart_count).sum()),
            exit: self.exit(),
            checks: unready.map(Condition::check).into_iter().collect(),
            remarks: self.remarks(),
            unreachable: self.status.phase == "Unknown" || self.status.reason == "NodeLost",
            by_hand: ByHand {
                look: format!(
                    "{}; {}",
                    kubectl(&format!("describe pod {name}")),
                    kubectl(&format!("logs --tail 50 {name}"))
                ),
                start: String::new(),
                restart: if restart.is_empty() { String::new() } else { kubectl(restart) },
            },
            ..Instance::default()
        }
    }
}

impl Condition {
    /// The condition Ready as a health check.
    fn check(&self) -> Check {
        Check {
            name: "ready".to_owned(),
            status: match self.status.as_str() {
                "True" => CheckStatus::Passing,
                "False" => CheckStatus::Critical,
                _ => CheckStatus::Unknown,
            },
            output: mask::excerpt(&format!("{} {}", self.reason, self.message), WORDS),
            updated_at: self.last_transition_time.as_deref().and_then(|at| at.parse().ok()),
        }
    }
}

/// A list of events.
#[derive(Deserialize)]
pub(super) struct Events {
    items: Vec<Event>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    involved_object: Involved,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    last_timestamp: Option<String>,
    event_time: Option<String>,
    count: Option<u64>,
}

#[derive(Default, Deserialize)]
struct Involved {
    #[serde(default)]
    name: String,
}

impl Events {
    /// The newest warnings about a thing, the newest last: `Unhealthy (12 times): Readiness probe failed: …`.
    pub(super) fn about(&self, name: &str) -> Vec<String> {
        // RFC 3339 in UTC sorts as text.
        let at = |event: &&Event| event.last_timestamp.clone().or_else(|| event.event_time.clone());
        let mut about: Vec<&Event> =
            self.items.iter().filter(|event| event.involved_object.name == name).collect();
        about.sort_by_key(at);
        let from = about.len().saturating_sub(MOST_WARNINGS);
        about[from..].iter().map(|event| event.words()).collect()
    }
}

impl Event {
    fn words(&self) -> String {
        let times =
            self.count.filter(|count| *count > 1).map(|n| format!(" ({n} times)")).unwrap_or_default();
        mask::excerpt(&format!("{}{times}: {}", self.reason, self.message), WORDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// In the shapes of the API reference.
    fn pod(status: Value) -> Instance {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "pg-0", "ownerReferences": [{ "kind": "StatefulSet", "name": "pg" }] },
            "spec": { "nodeName": "node-1", "containers": [{ "name": "postgres", "image": "docker.io/library/postgres:15" }] },
            "status": status
        }))
        .unwrap();
        pod.instance("shop", "rollout restart statefulset/pg")
    }

    fn container(state: Value, last: Value, restarts: u64) -> Value {
        json!([{ "name": "postgres", "restartCount": restarts, "state": state, "lastState": last, "ready": false }])
    }

    #[test]
    fn a_pod_that_runs() {
        let seen = pod(json!({ "phase": "Running", "startTime": "2026-11-23T03:00:00Z",
            "conditions": [{ "type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "containers with unready status: [postgres]" }],
            "containerStatuses": container(json!({ "running": { "startedAt": "2026-11-23T03:10:00Z" } }), json!({}), 3) }));
        assert_eq!(
            (seen.state, seen.word.as_str(), seen.place.as_str()),
            (InstanceState::Running, "Running", "node-1")
        );
        assert_eq!(seen.started_at, Some("2026-11-23T03:10:00Z".parse().unwrap()));
        assert_eq!((seen.restarts, seen.checks[0].status), (Some(3), CheckStatus::Critical));
        assert_eq!(seen.by_hand.restart, "kubectl -n shop rollout restart statefulset/pg");
    }

    #[test]
    fn a_crash_loop_tells_how_it_ended_last() {
        let last = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-11-23T03:12:09Z" } });
        let waiting = json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container=postgres" } });
        let seen = pod(json!({ "phase": "Running", "containerStatuses": container(waiting, last, 12) }));
        assert_eq!((seen.state, seen.word.as_str()), (InstanceState::Failed, "CrashLoopBackOff"));
        let exit = seen.exit.unwrap();
        assert!(exit.out_of_memory && exit.signal == Some(9) && exit.at.is_some(), "{exit:?}");
        assert!(seen.remarks[0].contains("back-off 5m0s"));
    }

    #[test]
    fn the_other_states() {
        let state = |status: Value| {
            let seen = pod(status);
            (seen.state, seen.word)
        };
        let creating = container(json!({ "waiting": { "reason": "ContainerCreating" } }), json!({}), 0);
        assert_eq!(
            state(json!({ "phase": "Pending", "containerStatuses": creating })).0,
            InstanceState::Starting
        );
        let pull = container(json!({ "waiting": { "reason": "ImagePullBackOff" } }), json!({}), 0);
        assert_eq!(
            state(json!({ "phase": "Pending", "containerStatuses": pull })),
            (InstanceState::Failed, "ImagePullBackOff".to_owned())
        );
        let nowhere = json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False", "message": "0/3 nodes are available" }] });
        assert_eq!(state(nowhere.clone()).0, InstanceState::Failed);
        assert!(pod(nowhere).remarks[0].contains("0/3 nodes"));
        let evicted = json!({ "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: ephemeral-storage." });
        assert_eq!(state(evicted), (InstanceState::Failed, "Evicted".to_owned()));
        assert_eq!(state(json!({ "phase": "Succeeded" })).0, InstanceState::Stopped);
        assert_eq!(state(json!({ "phase": "Unknown" })).0, InstanceState::Unknown);
        assert_eq!(state(json!({})).0, InstanceState::Unknown);
    }

    #[test]
    fn warnings_are_told_newest_last_and_masked() {
        let events: Events = serde_json::from_value(json!({ "items": [
            { "involvedObject": { "name": "pg-0" }, "reason": "Unhealthy", "message": "probe failed: password=hunter2", "count": 12, "lastTimestamp": "2026-11-23T03:12:00Z" },
            { "involvedObject": { "name": "pg-0" }, "reason": "FailedMount", "message": "timed out", "lastTimestamp": "2026-11-23T03:11:00Z" },
            { "involvedObject": { "name": "other" }, "reason": "X", "message": "y" } ] }))
        .unwrap();
        let about = events.about("pg-0");
        assert_eq!(about.len(), 2);
        assert!(about[1].starts_with("Unhealthy (12 times)") && !about[1].contains("hunter2"), "{about:?}");
    }
}
