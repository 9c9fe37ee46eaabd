//! The database's claims (core/v1 `PersistentVolumeClaim`), and their free bytes as the kubelet of their node tells them
//! (`stats/v1alpha1`, `/stats/summary`, through the API server's proxy).

use super::ask::Resource;
use super::pods::Pod;
use super::{Kubernetes, escape, quantity};
use crate::platform::evidence::{VolumeUse, VolumeView};
use crate::platform::told::PlatformVolume;
use crate::platform::{Part, Untold};
use futures_util::future::join_all;
use pgmedic_model::mask;
use serde::Deserialize;
use std::collections::BTreeMap;
use tokio::time::Instant;

/// Bytes read of a claim, and of a node's summary; a pod takes some two thousand of it.
const CLAIM: usize = 256 * 1024;
const SUMMARY: usize = 4 * 1024 * 1024;
/// Most claims and nodes that are asked.
const MOST_CLAIMS: usize = 16;
const MOST_NODES: usize = 4;

#[derive(Deserialize)]
struct Claim {
    #[serde(default)]
    status: ClaimStatus,
}

#[derive(Default, Deserialize)]
struct ClaimStatus {
    #[serde(default)]
    phase: String,
    #[serde(default)]
    capacity: BTreeMap<String, String>,
    #[serde(default)]
    conditions: Vec<ClaimCondition>,
}

/// `FileSystemResizePending`, `Resizing`.
#[derive(Deserialize)]
struct ClaimCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

#[derive(Deserialize)]
struct Summary {
    #[serde(default)]
    pods: Vec<PodStats>,
}

#[derive(Deserialize)]
struct PodStats {
    #[serde(default)]
    volume: Vec<VolumeStats>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VolumeStats {
    pvc_ref: Option<ClaimName>,
    available_bytes: Option<u64>,
    capacity_bytes: Option<u64>,
    used_bytes: Option<u64>,
    inodes_free: Option<u64>,
    inodes: Option<u64>,
}

#[derive(Deserialize)]
struct ClaimName {
    name: String,
    namespace: String,
}

impl VolumeStats {
    /// The filesystem, where the kubelet knows it.
    fn view(&self, claim: &str, holds: VolumeUse) -> Option<VolumeView> {
        let (total, available) = (self.capacity_bytes?, self.available_bytes?);
        let used = self.used_bytes.unwrap_or_else(|| total.saturating_sub(available));
        Some(VolumeView {
            holds,
            path: claim.to_owned(),
            total_bytes: total,
            available_bytes: available,
            // What is neither used nor free for everybody is root's.
            reserved_bytes: total.saturating_sub(used).saturating_sub(available),
            total_inodes: self.inodes.unwrap_or(0),
            available_inodes: self.inodes_free.unwrap_or(0),
            ..VolumeView::default()
        })
    }
}

impl Kubernetes {
    pub(super) async fn read_volumes(&self, until: Instant) -> Result<Vec<PlatformVolume>, Untold> {
        let (_, pods) = self.pods(Part::Db, until).await?;
        let claims: Vec<(&Pod, &str, &str)> = pods
            .iter()
            .flat_map(|pod| pod.claims().map(move |(volume, claim)| (pod, volume, claim)))
            .take(MOST_CLAIMS)
            .collect();
        if claims.is_empty() {
            let why = "no pod of the database has a claim: its data goes with the pod, or lies on the node";
            return Err(Untold::Failed(why.to_owned()));
        }
        let mut nodes: Vec<&str> =
            claims.iter().map(|(pod, ..)| pod.node()).filter(|node| !node.is_empty()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes.truncate(MOST_NODES);
        let (told, summaries) = tokio::join!(
            join_all(claims.iter().map(|(_, _, claim)| self.claim(claim, until))),
            join_all(nodes.iter().map(|node| self.summary(node, until))),
        );
        let (mut stats, mut unseen) = (Vec::new(), None);
        for summary in summaries {
            match summary {
                Ok(summary) => stats.extend(summary.pods.into_iter().flat_map(|pod| pod.volume)),
                Err(why) => unseen = Some(why.to_string()),
            }
        }
        let volumes = claims.iter().zip(told);
        volumes
            .map(|((pod, volume, claim), told)| {
                Ok(self.volume(pod, volume, claim, &told?, &stats, unseen.as_deref()))
            })
            .collect()
    }

    async fn claim(&self, claim: &str, until: Instant) -> Result<Claim, Untold> {
        let path = format!("persistentvolumeclaims/{}", escape(claim));
        let asked = self.core(&path, "persistentvolumeclaims", "get");
        self.get(&asked, CLAIM, until).await.map_err(super::ask::Refused::because)
    }

    async fn summary(&self, node: &str, until: Instant) -> Result<Summary, Untold> {
        let path = format!("/api/v1/nodes/{}/proxy/stats/summary", escape(node));
        let asked = Resource { path, group: "", resource: "nodes/proxy", verb: "get" };
        self.get(&asked, SUMMARY, until).await.map_err(super::ask::Refused::because)
    }

    fn volume(
        &self,
        pod: &Pod,
        volume: &str,
        name: &str,
        claim: &Claim,
        stats: &[VolumeStats],
        unseen: Option<&str>,
    ) -> PlatformVolume {
        let holds = if volume.contains("wal") { VolumeUse::Wal } else { VolumeUse::Data };
        let of_it = |stats: &&VolumeStats| {
            stats.pvc_ref.as_ref().is_some_and(|of| of.name == name && of.namespace == self.namespace)
        };
        let filesystem = stats.iter().find(of_it).and_then(|stats| stats.view(name, holds));
        let mut words = vec![claim.status.phase.clone()];
        let open = claim.status.conditions.iter().filter(|condition| condition.status == "True");
        words.extend(open.map(|condition| condition.kind.clone()));
        if let (None, why) = (&filesystem, unseen.unwrap_or("the node's kubelet does not tell of it")) {
            words.push(format!("free space not seen: {why}"));
        }
        let namespace = crate::paste::argument(&self.namespace);
        PlatformVolume {
            id: name.to_owned(),
            name: name.to_owned(),
            instance: Some(pod.name().to_owned()),
            word: mask::excerpt(&words.join("; "), 600),
            size_bytes: claim.status.capacity.get("storage").and_then(|size| quantity::bytes(size)),
            filesystem,
            extend_by: format!(
                "kubectl -n {namespace} patch pvc {} -p '{{\"spec\":{{\"resources\":{{\"requests\":{{\"storage\":\"{{size_gb}}Gi\"}}}}}}}}'",
                crate::paste::argument(name)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kubelet_tells_the_filesystem() {
        // In the shape of stats/v1alpha1.
        let text = r#"{"node":{"nodeName":"n"},"pods":[{"podRef":{"name":"pg-0","namespace":"shop"},"volume":[
            {"name":"data","pvcRef":{"name":"data-pg-0","namespace":"shop"},"availableBytes":10,"capacityBytes":100,"usedBytes":85,
             "inodesFree":3,"inodes":9,"inodesUsed":6},{"name":"tmp","availableBytes":1}]}]}"#;
        let summary: Summary = serde_json::from_str(text).unwrap();
        let view = summary.pods[0].volume[0].view("data-pg-0", VolumeUse::Data).unwrap();
        assert_eq!((view.total_bytes, view.available_bytes, view.reserved_bytes), (100, 10, 5));
        assert_eq!((view.total_inodes, view.available_inodes), (9, 3));
        assert_eq!(summary.pods[0].volume[1].view("x", VolumeUse::Data), None);
    }
}
