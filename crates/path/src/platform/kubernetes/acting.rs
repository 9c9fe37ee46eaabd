//! What `hands/kubernetes` asks before and after it acts: the workload behind a name with its pods, and single objects, as
//! they come. Not in here: any change.

use super::ask::{Refused, Resource};
use super::pods::Pod;
use super::{Kubernetes, PODS, escape};
use crate::platform::Untold;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

/// Bytes read of one object.
const OBJECT: usize = 1024 * 1024;

/// What stands behind a name.
pub(crate) struct Found {
    /// The resource (`deployments`, `statefulsets`) and the name of what makes the pods.
    pub(crate) controller: Option<(&'static str, String)>,
    /// The pods of its own.
    pub(crate) pods: Vec<Value>,
}

impl Kubernetes {
    /// Something of apps/v1 in the namespace.
    pub(crate) fn apps(&self, resource: &'static str, name: &str, verb: &'static str) -> Resource {
        let path =
            format!("/apis/apps/v1/namespaces/{}/{resource}/{}", escape(&self.namespace), escape(name));
        Resource { path, group: "apps", resource, verb }
    }

    /// What stands behind a name of the configuration.
    pub(crate) async fn found(&self, name: &str, until: Instant) -> Result<Found, Untold> {
        let workload = self.workload(name, until).await?;
        let query = workload.query();
        let asked = self.core(&format!("pods?{query}&limit=200"), "pods", "list");
        let list: Value = self.get(&asked, PODS, until).await.map_err(Refused::because)?;
        let items = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        let own = |pod: &Value| Pod::deserialize(pod).is_ok_and(|pod| workload.owns(&pod));
        Ok(Found {
            controller: workload.controller().map(|(resource, name)| (resource, name.to_owned())),
            pods: items.into_iter().filter(own).collect(),
        })
    }

    /// One object; None where it is not there.
    pub(crate) async fn object(&self, asked: &Resource, until: Instant) -> Result<Option<Value>, Untold> {
        match self.get(asked, OBJECT, until).await {
            Ok(object) => Ok(Some(object)),
            Err(Refused::Absent) => Ok(None),
            Err(Refused::Because(why)) => Err(Untold::Failed(why)),
        }
    }
}
