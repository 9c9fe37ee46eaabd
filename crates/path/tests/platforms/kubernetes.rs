//! Kubernetes, by a scripted API server over HTTPS that serves the shapes of the API reference; no cluster stands behind it.

use crate::contract::{Case, Double, SECRET, holds};
use crate::http_double::{Asked, Reply, Route, serve};
use pgmedic_lab::certificates::{Authority, Validity};
use pgmedic_path::platform::kubernetes::{Kubernetes, KubernetesNames};
use pgmedic_path::platform::told::{InstanceState, PlatformVolume};
use pgmedic_path::platform::{Part, Platform, Untold};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

const CORE: &str = "/api/v1/namespaces/shop";
const APPS: &str = "/apis/apps/v1/namespaces/shop";

/// An API server with a certificate by an authority of its own.
struct Server {
    folder: TempDir,
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start(route: Route) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path()).unwrap();
        let pair = authority.sign("127.0.0.1", Validity::InDate).unwrap();
        let chain =
            CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, route) = (acceptor.clone(), Arc::clone(&route));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, route).await;
                    }
                });
            }
        });
        Self { folder, port, task }
    }

    fn config(&self, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: shop\ncontexts:\n- name: shop\n  context: {{cluster: c, user: u, namespace: shop}}\n\
             clusters:\n- name: c\n  cluster:\n    server: https://127.0.0.1:{}\n    certificate-authority: authority.pem\n\
             users:\n- name: u\n  user: {user}\n",
            self.port
        )
    }

    fn kubernetes(&self, db: &str) -> Kubernetes {
        let names = KubernetesNames {
            api: Some("renderflow-api".to_owned()),
            db: Some(db.to_owned()),
            namespace: None,
        };
        let user = format!("{{token: {SECRET}}}");
        Kubernetes::by_kubeconfig(names, &self.config(&user), self.folder.path(), None, None).unwrap()
    }
}

fn refused(code: u16, reason: &str, message: &str) -> Reply {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code });
    Reply::Says(code, body.to_string().into_bytes())
}

fn controller(kind: &str, name: &str) -> Reply {
    let body = json!({ "kind": kind, "metadata": { "name": name, "namespace": "shop" },
        "spec": { "replicas": 1, "selector": { "matchLabels": { "app": name } } }, "status": {} });
    Reply::ok(body.to_string())
}

/// A list with one pod. Its environment holds a secret.
fn pods(owner: (&str, &str), name: &str, status: Value) -> Reply {
    let body = json!({ "kind": "PodList", "metadata": { "resourceVersion": "1" }, "items": [{
        "metadata": { "name": name, "namespace": "shop", "ownerReferences": [{ "kind": owner.0, "name": owner.1 }] },
        "spec": { "nodeName": "node-1",
            "containers": [{ "name": "main", "image": "x", "env": [{ "name": "PGPASSWORD", "value": SECRET }] }],
            "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "data-pg-0" } },
                        { "name": "token", "projected": {} }] },
        "status": status }] });
    Reply::ok(body.to_string())
}

fn running() -> Value {
    json!({ "phase": "Running", "startTime": "2026-11-23T03:10:00Z",
        "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-11-23T03:10:05Z" }],
        "containerStatuses": [{ "name": "main", "restartCount": 0, "ready": true,
            "state": { "running": { "startedAt": "2026-11-23T03:10:02Z" } }, "lastState": {} }] })
}

fn status(case: Case) -> Value {
    match case {
        Case::Stopped => {
            json!({ "phase": "Succeeded", "containerStatuses": [{ "name": "main", "restartCount": 0,
            "state": { "terminated": { "exitCode": 0, "reason": "Completed", "finishedAt": "2026-11-23T03:12:09Z" } } }] })
        }
        Case::Failed => {
            json!({ "phase": "Running", "containerStatuses": [{ "name": "main", "restartCount": 4,
            "state": { "waiting": { "reason": "CrashLoopBackOff", "message": format!("back-off; password={SECRET}") } },
            "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-11-23T03:12:09Z" } } }] })
        }
        _ => running(),
    }
}

fn healthy(case: Case, asked: &Asked) -> Reply {
    let path = asked.resource.as_str();
    let not_found = || refused(404, "NotFound", "not found");
    match path.strip_prefix(CORE).or_else(|| path.strip_prefix(APPS)) {
        Some("/statefulsets/pg") => controller("StatefulSet", "pg"),
        Some("/deployments/renderflow%2Dapi") => controller("Deployment", "renderflow-api"),
        Some(list) if list.starts_with("/pods?labelSelector=app%3Dpg&") => pods(("StatefulSet", "pg"), "pg-0", status(case)),
        Some(list) if list.starts_with("/pods?labelSelector=app%3Drenderflow%2Dapi&") => {
            pods(("ReplicaSet", "renderflow-api-6b7f"), "renderflow-api-6b7f-x2", running())
        }
        Some(log) if log.contains("/log?") && log.contains("timestamps=true") => Reply::ok(
            "2026-11-23T03:12:08.000000001Z Server listening\n2026-11-23T03:12:09.000000001Z Database not initialised\n",
        ),
        Some(events) if events.starts_with("/events?") => Reply::ok(
            json!({ "items": [{ "involvedObject": { "name": "pg-0" }, "reason": "BackOff", "message": "Back-off restarting" }] }).to_string(),
        ),
        Some("/persistentvolumeclaims/data%2Dpg%2D0") => {
            Reply::ok(json!({ "metadata": {}, "status": { "phase": "Bound", "capacity": { "storage": "10Gi" } } }).to_string())
        }
        _ => not_found(),
    }
}

fn route(case: Case) -> Route {
    Arc::new(move |asked: &Asked| match case {
        Case::Hang => Reply::Hangs,
        Case::Garbage => Reply::Garbles,
        Case::Endless => Reply::NeverEnds,
        Case::Denied => refused(
            403,
            "Forbidden",
            "pods is forbidden: User \"system:serviceaccount:shop:pgmedic\" cannot do it",
        ),
        _ if asked.authorization != format!("Bearer {SECRET}") => {
            refused(401, "Unauthorized", "Unauthorized")
        }
        _ => healthy(case, asked),
    })
}

async fn double(case: Case) -> Double {
    let server = Server::start(route(case)).await;
    let platform = Box::new(server.kubernetes(if case == Case::Unknown { "pg-unknown" } else { "pg" }));
    let denied = "{apiGroups: [\"apps\"], resources: [\"statefulsets\"], verbs: [\"get\"]}";
    Double { platform, denied, unknown: "pg-unknown", _alive: Box::new(server) }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

#[tokio::test]
async fn the_contract_by_a_scripted_api_server() {
    holds(double).await;
}

async fn volumes(stats: impl Fn() -> Reply + Send + Sync + 'static) -> Vec<PlatformVolume> {
    let server = Server::start(Arc::new(move |asked: &Asked| match asked.resource.as_str() {
        "/api/v1/nodes/node%2D1/proxy/stats/summary" => stats(),
        _ => healthy(Case::Running, asked),
    }))
    .await;
    server.kubernetes("statefulset/pg").volumes(soon()).await.unwrap()
}

#[tokio::test]
async fn a_claims_free_bytes_are_the_kubelets_or_the_missing_rule_is_named() {
    let stats = || {
        let volume = json!([{ "name": "data", "pvcRef": { "name": "data-pg-0", "namespace": "shop" }, "availableBytes": 5,
            "capacityBytes": 100, "usedBytes": 95, "inodesFree": 7, "inodes": 9 }]);
        Reply::ok(
            json!({ "node": {}, "pods": [{ "podRef": { "name": "pg-0" }, "volume": volume }] }).to_string(),
        )
    };
    let told = volumes(stats).await;
    let seen = told[0].filesystem.as_ref().unwrap();
    assert_eq!((seen.total_bytes, seen.available_bytes, seen.available_inodes), (100, 5, 7));
    assert_eq!(
        (told[0].size_bytes, told[0].word.as_str(), told[0].instance.as_deref()),
        (Some(10 << 30), "Bound", Some("pg-0"))
    );

    let told = volumes(|| refused(403, "Forbidden", "nodes \"node-1\" is forbidden")).await;
    assert_eq!(told[0].filesystem, None);
    let word = &told[0].word;
    assert!(
        word.contains("ClusterRole") && word.contains("resources: [\"nodes/proxy\"], verbs: [\"get\"]"),
        "{word}"
    );
}

#[tokio::test]
async fn a_pod_in_trouble_has_its_warnings() {
    let server = Server::start(route(Case::Failed)).await;
    let told = server.kubernetes("pg").instances(Part::Db, soon()).await.unwrap();
    assert_eq!((told[0].word.as_str(), told[0].restarts), ("CrashLoopBackOff", Some(4)));
    assert!(
        told[0].remarks.iter().any(|remark| remark == "BackOff: Back-off restarting"),
        "{:?}",
        told[0].remarks
    );
    assert_eq!(told[0].by_hand.restart, "kubectl -n shop rollout restart statefulset/pg");
}

#[tokio::test]
async fn a_workload_scaled_to_nothing_is_stopped() {
    let server = Server::start(Arc::new(|asked: &Asked| match asked.resource.strip_prefix(APPS) {
        Some("/statefulsets/pg") => Reply::ok(
            json!({ "metadata": { "name": "pg" }, "spec": { "replicas": 0, "selector": { "matchLabels": { "app": "pg" } } } }).to_string(),
        ),
        _ if asked.resource.starts_with(CORE) => Reply::ok(json!({ "items": [] }).to_string()),
        _ => refused(404, "NotFound", "not found"),
    }))
    .await;
    let told = server.kubernetes("sts/pg").instances(Part::Db, soon()).await.unwrap();
    assert_eq!((told[0].state, told[0].word.as_str()), (InstanceState::Stopped, "scaled to 0"));
    match server.kubernetes("app=pg").instances(Part::Db, soon()).await {
        Err(Untold::Failed(why)) => assert!(why.contains("--show-labels"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_that_is_not_accepted_and_an_authority_that_is_not_trusted_are_said() {
    let server = Server::start(route(Case::Running)).await;
    let names = || KubernetesNames { db: Some("pg".to_owned()), ..KubernetesNames::default() };
    let ask = |config: String, folder: &Path| {
        let kubernetes = Kubernetes::by_kubeconfig(names(), &config, folder, None, None).unwrap();
        async move { kubernetes.instances(Part::Db, soon()).await.unwrap_err().to_string() }
    };
    let why = ask(server.config("{token: old}"), server.folder.path()).await;
    assert!(why.contains("401") && why.contains("kubectl create token"), "{why}");
    let elsewhere = tempfile::tempdir().unwrap();
    Authority::new(elsewhere.path()).unwrap();
    let why = ask(server.config("{token: x}"), elsewhere.path()).await;
    assert!(why.contains("TLS failed"), "{why}");
    // A token in a file is read each time that something is asked.
    let token = server.folder.path().join("token");
    std::fs::write(&token, format!("{SECRET}\n")).unwrap();
    let config = server.config("{tokenFile: token}");
    let kubernetes = Kubernetes::by_kubeconfig(names(), &config, server.folder.path(), None, None).unwrap();
    assert!(kubernetes.instances(Part::Db, soon()).await.is_ok());
    std::fs::write(&token, "old").unwrap();
    assert!(kubernetes.instances(Part::Db, soon()).await.unwrap_err().to_string().contains("401"));
}
