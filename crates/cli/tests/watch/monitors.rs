//! A real Prometheus and a real Alertmanager (Debian's packages), their data in a folder of the test.

use crate::web::{free, get, json, until};
use pgmedic_lab::process::{Launch, Server};
use pgmedic_lab::programs;
use rustix::process::Signal;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An Alertmanager that groups by incident.
pub(crate) struct Alertmanager {
    pub(crate) port: u16,
    folder: PathBuf,
    server: Option<Server>,
}

impl Alertmanager {
    pub(crate) fn start(folder: &Path) -> Self {
        let config = "route: { receiver: nobody, group_by: [service, cause], group_wait: 0s }\n\
                      receivers: [{ name: nobody }]\n";
        std::fs::write(folder.join("alertmanager.yml"), config).unwrap();
        let mut alertmanager = Self { port: free(), folder: folder.to_owned(), server: None };
        alertmanager.up();
        alertmanager
    }

    /// Starts it (again), and waits until it answers.
    pub(crate) fn up(&mut self) {
        let folder = &self.folder;
        let arguments = [
            format!("--config.file={}", folder.join("alertmanager.yml").display()),
            format!("--storage.path={}", folder.join("alertmanager").display()),
            format!("--web.listen-address=127.0.0.1:{}", self.port),
            "--cluster.listen-address=".to_owned(),
        ];
        self.server = Some(launch("prometheus-alertmanager", &arguments, folder));
        until(
            "an Alertmanager",
            || log(folder, "prometheus-alertmanager"),
            || json(self.port, "/api/v2/status"),
        );
    }

    /// Ends it.
    pub(crate) fn down(&mut self) {
        self.server = None;
    }

    /// The alerts that fire; none where it does not answer.
    pub(crate) fn firing(&self) -> Vec<Value> {
        json(self.port, "/api/v2/alerts").and_then(|alerts| alerts.as_array().cloned()).unwrap_or_default()
    }

    /// What fires, by alertname and cause.
    pub(crate) fn names(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let labels = self.firing();
        labels.iter().map(|a| (text(&a["labels"]["alertname"]), text(&a["labels"]["cause"]))).collect()
    }
}

/// A Prometheus that scrapes one target each second.
pub(crate) struct Prometheus {
    port: u16,
    _server: Server,
}

impl Prometheus {
    pub(crate) fn start(folder: &Path, target: u16) -> Self {
        let config = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\n\
             scrape_configs: [{{ job_name: pgmedic, static_configs: [{{ targets: ['127.0.0.1:{target}'] }}] }}]\n"
        );
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        let port = free();
        let arguments = [
            format!("--config.file={}", folder.join("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", folder.join("prometheus").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        let server = launch("prometheus", &arguments, folder);
        until(
            "a Prometheus",
            || log(folder, "prometheus"),
            || get(port, "/-/ready").filter(|(status, _)| *status == 200),
        );
        Self { port, _server: server }
    }

    /// The value of an instant query. None where there is none, or more than one.
    pub(crate) fn value(&self, query: &str) -> Option<f64> {
        let hex = query.bytes().map(|b| format!("%{b:02x}")).collect::<String>();
        let answer = json(self.port, &format!("/api/v1/query?query={hex}"))?;
        let [one] = answer["data"]["result"].as_array()?.as_slice() else { return None };
        one["value"][1].as_str()?.parse().ok()
    }

    /// Waits until a query gives this.
    pub(crate) fn wait(&self, query: &str, value: f64) {
        let said = || format!("{:?}", self.value(query));
        until(&format!("{query} = {value}"), said, || self.value(query).filter(|v| (v - value).abs() < 1e-9));
    }
}

fn launch(program: &'static str, arguments: &[String], folder: &Path) -> Server {
    let log = folder.join(format!("{program}.log"));
    let launch = Launch {
        name: program,
        program: programs::find(program).unwrap_or_else(|e| panic!("{e}")),
        arguments: arguments.iter().map(Into::into).collect(),
        folder,
        log: &log,
        account: None,
        end: Signal::KILL,
    };
    launch.start().unwrap()
}

fn log(folder: &Path, program: &str) -> String {
    std::fs::read_to_string(folder.join(format!("{program}.log"))).unwrap_or_default()
}

/// `promtool check metrics` accepts a page.
pub(crate) fn promtool_takes(folder: &Path, page: &str) {
    let file = folder.join("page");
    std::fs::write(&file, page).unwrap();
    let input = std::fs::File::open(&file).unwrap();
    let ran = Command::new("promtool").args(["check", "metrics"]).stdin(input).output();
    let ran = ran.expect("promtool: scripts/install-parts installs it");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned() + &String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.trim().is_empty(), "{said}");
}
