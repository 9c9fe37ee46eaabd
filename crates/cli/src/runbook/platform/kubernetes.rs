//! Kubernetes: workloads by `deployment/NAME`, `statefulset/NAME`, `pod/NAME`, a bare name, or labels. Source: kubectl's
//! `--help`; Kubernetes documentation, "Expanding Persistent Volumes Claims".

use super::{API_WORDS, DB_WORDS, Kit, Line, line};
use crate::runbook::subject::Subject;
use pgmedic_path::paste::argument;

/// A workload as kubectl names it.
struct Workload<'w> {
    kubectl: &'w str,
    /// `deployment/api`; for labels one of their pods.
    object: String,
    /// What `logs` and `get pods` take.
    labels: Option<&'w str>,
    /// Only its name is known: its kind is a guess.
    guessed: bool,
}

impl<'w> Workload<'w> {
    fn of(kubectl: &'w str, name: &'w str, guess: &str) -> Self {
        let labels = name.contains('=').then_some(name);
        let guessed = labels.is_none() && !name.contains('/');
        let object = match labels {
            Some(labels) => format!("$({kubectl} get pods -l {} -o name | head -n 1)", argument(labels)),
            None if guessed => argument(&format!("{guess}/{name}")),
            None => argument(name),
        };
        Self { kubectl, object, labels, guessed }
    }

    fn says(&self, what: &str) -> String {
        if self.guessed {
            format!("{what} (pgmedic.toml says its name, not its kind: this is a guess)")
        } else {
            what.to_owned()
        }
    }

    fn logs(&self) -> String {
        let which =
            self.labels.map_or_else(|| self.object.clone(), |labels| format!("-l {}", argument(labels)));
        format!("{} logs {which} --tail=1000", self.kubectl)
    }

    fn exec(&self, interactive: bool, command: &str) -> String {
        let terminal = if interactive { " -it" } else { "" };
        format!("{} exec{terminal} {} -- {command}", self.kubectl, self.object)
    }

    /// The pods anew, one after the other; of labels, or of a pod, that one pod is deleted, and whatever owns it makes
    /// another: one that nothing owns would not come back.
    fn restart(&self, what: &str) -> Vec<Line> {
        let (kubectl, object) = (self.kubectl, &self.object);
        if self.labels.is_some() || object.starts_with("pod/") {
            let owner = "-o jsonpath='{.metadata.ownerReferences[*].kind}'";
            return vec![
                line(
                    "who makes that pod anew? Where this is empty nobody does: do NOT delete it",
                    format!("{kubectl} get {object} {owner}"),
                ),
                line(
                    "that ONE pod anew; look that it is ready before the next",
                    format!("{kubectl} delete {object}"),
                ),
            ];
        }
        let roll =
            format!("{kubectl} rollout restart {object} && {kubectl} rollout status {object} --timeout=5m");
        vec![line(self.says(what), roll)]
    }
}

/// Its commands.
pub(super) fn kit(s: &Subject, [api, db, proxy]: [Option<&str>; 3], options: &[String]) -> Kit {
    let mut kit = Kit::default();
    let kubectl: String = std::iter::once("kubectl".to_owned())
        .chain(options.iter().map(|o| argument(o)))
        .collect::<Vec<_>>()
        .join(" ");
    kit.state = vec![
        line("pods, restarts, what is not ready", format!("{kubectl} get pods -o wide")),
        line(
            "OOM kills, evictions, failing mounts",
            format!("{kubectl} get events --sort-by=.lastTimestamp"),
        ),
    ];
    if let Some(api) = api.map(|name| Workload::of(&kubectl, name, "deployment")) {
        kit.api_log =
            vec![line(api.says("the API's log"), format!("{} | grep -iE '{API_WORDS}'", api.logs()))];
        kit.restart_api = api.restart("one pod after the other");
        if let Some(name) = s.host_name() {
            let get = api.exec(false, &format!("getent ahosts {}", argument(&name)));
            kit.resolve = vec![line("what a program in the API's pod is answered", get)];
        }
    }
    if let Some(proxy) = proxy.map(|name| Workload::of(&kubectl, name, "deployment")) {
        kit.restart_proxy = proxy.restart("the proxy alone");
    }
    if let Some(db) = db.map(|name| Workload::of(&kubectl, name, "statefulset")) {
        of_db(&mut kit, &db, &s.database());
    }
    kit
}

fn of_db(kit: &mut Kit, db: &Workload<'_>, database: &str) {
    let kubectl = db.kubectl;
    kit.db_log = vec![line(db.says("the server's log"), format!("{} | grep -E '{DB_WORDS}'", db.logs()))];
    kit.psql = vec![line(
        db.says("psql in the database's pod"),
        db.exec(true, &format!("psql -U postgres -d {database}")),
    )];
    kit.disk = vec![
        line("free bytes of every mount", db.exec(false, "df -h")),
        line("free inodes", db.exec(false, "df -i")),
        line("claims and their sizes", format!("{kubectl} get pvc")),
    ];
    kit.start_db = vec![line(
        "Kubernetes starts it by itself: see why it cannot",
        format!("{kubectl} describe {}", db.object),
    )];
    kit.restart_db = db.restart("its pods anew");
    kit.extend = vec![
        line("may the class grow? ALLOWVOLUMEEXPANSION", format!("{kubectl} get storageclass")),
        line(
            "to SIZE in all, such as 20Gi; it never shrinks",
            format!(
                "{kubectl} patch pvc CLAIM --patch '{{\"spec\":{{\"resources\":{{\"requests\":{{\"storage\":\"SIZE\"}}}}}}}}'"
            ),
        ),
        line("has it arrived?", format!("{kubectl} get pvc CLAIM")),
    ];
}
