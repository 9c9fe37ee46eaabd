//! Kubernetes: the pods of a workload with their containers' states, ends and readiness, warnings, claims with their free
//! bytes, and logs, by the API server.
//!
//! Facts: Kubernetes API reference v1.31 (`core/v1`, `apps/v1`), kubelet `stats/v1alpha1` (summary). Not in here: what it
//! means, and anything that changes something (`hands/kubernetes`). Built with the cargo feature `kubernetes`.

mod acting;
pub(crate) mod ask;
mod kubeconfig;
mod pods;
pub(crate) mod quantity;
mod volumes;
mod workload;
mod yaml;

use super::newest::newest_lines;
use super::told::{Instance, PlatformVolume};
use super::{Asked, Part, Platform, Untold};
use ask::Resource;
use futures_util::future::join_all;
use kubeconfig::Access;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use pgmedic_model::Secret;
use pods::{Events, Pod, PodList};
use std::path::Path;
use tokio::time::Instant;
use workload::Workload;

/// Bytes read of a list of pods; a pod with its spec takes some ten thousand.
const PODS: usize = 4 * 1024 * 1024;
/// Bytes read of a list of events.
const EVENTS: usize = 2 * 1024 * 1024;
/// Bytes read of a pod's log, and lines asked for.
const LOG: usize = 256 * 1024;
const LINES: usize = 200;
/// Most pods of one part that are told of, and whose logs are read.
const MOST: usize = 32;
const MOST_LOGS: usize = 4;

/// The workloads of the API and the database.
#[derive(Clone, Debug)]
pub struct Kubernetes {
    access: Access,
    namespace: String,
    api: Option<String>,
    db: Option<String>,
}

/// What is asked about, as far as the configuration says.
#[derive(Clone, Debug, Default)]
pub struct KubernetesNames {
    /// `deployment/NAME`, `statefulset/NAME`, `pod/NAME`, a bare name, or a label selector.
    pub api: Option<String>,
    /// The same of the database.
    pub db: Option<String>,
    /// The namespace, in place of the context's.
    pub namespace: Option<String>,
}

impl Kubernetes {
    /// A cluster by a kubeconfig's text. Relative paths in it start from `folder`; `token` goes before the user's own.
    ///
    /// # Errors
    /// What is missing in it, cannot be read or is not spoken, with the next step. No secret is repeated.
    pub fn by_kubeconfig(
        names: KubernetesNames,
        text: &str,
        folder: &Path,
        context: Option<&str>,
        token: Option<Secret>,
    ) -> Result<Self, String> {
        Ok(Self::with(names, kubeconfig::read(text, folder, context, token)?))
    }

    /// The cluster that this pod runs in. `host` and `port` are `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`.
    ///
    /// # Errors
    /// Where the pod's account is not mounted.
    pub fn by_pod(names: KubernetesNames, host: &str, port: &str) -> Result<Self, String> {
        Ok(Self::with(names, kubeconfig::of_pod(host, port, Path::new(kubeconfig::ACCOUNT))?))
    }

    fn with(names: KubernetesNames, access: Access) -> Self {
        let namespace =
            names.namespace.or_else(|| access.namespace.clone()).unwrap_or_else(|| "default".to_owned());
        Self { access, namespace, api: names.api, db: names.db }
    }

    pub(crate) fn name(&self, part: Part) -> Result<&str, Untold> {
        match part {
            Part::Api => self.api.as_deref().ok_or(Untold::NotNamed("api")),
            Part::Db => self.db.as_deref().ok_or(Untold::NotNamed("db")),
        }
    }

    /// Something of core/v1 in the namespace.
    pub(crate) fn core(&self, path: &str, resource: &'static str, verb: &'static str) -> Resource {
        let path = format!("/api/v1/namespaces/{}/{path}", escape(&self.namespace));
        Resource { path, group: "", resource, verb }
    }

    /// The pods of a part, and the workload that they are of.
    async fn pods(&self, part: Part, until: Instant) -> Result<(Workload, Vec<Pod>), Untold> {
        let workload = self.workload(self.name(part)?, until).await?;
        let query = workload.query();
        let asked = self.core(&format!("pods?{query}&limit=200"), "pods", "list");
        let list: PodList = self.get(&asked, PODS, until).await.map_err(ask::Refused::because)?;
        let mut pods: Vec<Pod> = list.items.into_iter().filter(|pod| workload.owns(pod)).collect();
        pods.truncate(MOST);
        Ok((workload, pods))
    }

    async fn tell(&self, part: Part, until: Instant) -> Result<Vec<Instance>, Untold> {
        let (workload, pods) = self.pods(part, until).await?;
        if pods.is_empty() {
            return match workload.without_pods(&self.namespace) {
                Some(instance) => Ok(vec![instance]),
                None => Err(Untold::Failed(format!(
                    "no pod has the labels {:?} in the namespace {}; kubectl -n {} get pods --show-labels lists what there is",
                    self.name(part)?,
                    self.namespace,
                    self.namespace
                ))),
            };
        }
        let mut told: Vec<Instance> =
            pods.iter().map(|pod| pod.instance(&self.namespace, &workload.to_restart(pod))).collect();
        if !pods.iter().all(Pod::is_well) {
            self.add_warnings(&mut told, until).await;
        }
        Ok(told)
    }

    /// Adds the warnings of the last hour to the instances that they are about.
    async fn add_warnings(&self, told: &mut [Instance], until: Instant) {
        let asked = self.core("events?fieldSelector=type%3DWarning&limit=500", "events", "list");
        match self.get::<Events>(&asked, EVENTS, until).await {
            Ok(events) => told.iter_mut().for_each(|one| one.remarks.extend(events.about(&one.name))),
            Err(refused) => {
                let why = format!("warnings not seen: {}", refused.because());
                told.iter_mut().for_each(|one| one.remarks.push(why.clone()));
            }
        }
    }

    /// The newest lines of a part's pods, in the order of their times where there are several.
    async fn read_log(&self, part: Part, until: Instant) -> Result<String, Untold> {
        let (_, mut pods) = self.pods(part, until).await?;
        pods.sort_by_key(|pod| std::cmp::Reverse(pod.started_at()));
        pods.truncate(if part == Part::Db { 1 } else { MOST_LOGS });
        if pods.is_empty() {
            return Err(Untold::Failed("no pod, no log".to_owned()));
        }
        let several = pods.len() > 1;
        let (mut lines, mut why) = (Vec::new(), None);
        for read in join_all(pods.iter().map(|pod| self.log_of(pod, part, until))).await {
            match read {
                Ok(text) => lines.extend(text.lines().map(str::to_owned)),
                Err(error) => why = Some(error),
            }
        }
        match why {
            Some(why) if lines.is_empty() => Err(why),
            _ => Ok(newest_lines(lines, several)),
        }
    }

    async fn log_of(&self, pod: &Pod, part: Part, until: Instant) -> Result<String, Untold> {
        // Postgres writes its own times; a line that continues another begins with a tab and must keep it.
        let times = part == Part::Api;
        let path = format!(
            "pods/{}/log?tailLines={LINES}&limitBytes={LOG}&timestamps={times}&container={}",
            escape(pod.name()),
            escape(pod.main_container(part))
        );
        let answer = self.get_bytes(&self.core(&path, "pods/log", "get"), LOG, until).await;
        match answer {
            Ok(answer) => Ok(String::from_utf8_lossy(&answer.body).into_owned()),
            Err(refused) => Err(refused.because()),
        }
    }
}

impl Platform for Kubernetes {
    fn kind(&self) -> &'static str {
        "kubernetes"
    }

    fn instances(&self, part: Part, until: Instant) -> Asked<'_, Vec<Instance>> {
        Box::pin(self.tell(part, until))
    }

    fn volumes(&self, until: Instant) -> Asked<'_, Vec<PlatformVolume>> {
        Box::pin(self.read_volumes(until))
    }

    fn log(&self, part: Part, until: Instant) -> Asked<'_, String> {
        Box::pin(self.read_log(part, until))
    }
}

/// A text as part of a path or a query.
pub(crate) fn escape(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
