//! The runbook's system on one host, watched: the example's own `pgmedic.host.toml` with the lab's ports, commands and files in
//! it, a Prometheus and an Alertmanager. Everything that the daemon writes is held against the passwords.

use crate::monitors::{Alertmanager, Prometheus};
use crate::supervisor::Supervisor;
use crate::support::Place;
use crate::web::{free, get, json, until};
use pgmedic_lab::postgres::{DATABASE, PASSWORD, ROLE};
use pgmedic_lab::{Lab, Parts, dns};
use serde_json::Value;
use std::process::{Child, Stdio};
use std::time::Instant;

/// What critical incidents are told as.
pub(crate) const ALERT: &str = "DatabaseConnectionFailure";
const EXAMPLE: &str = include_str!("../../../../examples/renderflow/pgmedic.host.toml");

/// How the example's file differs from what a test wants.
#[derive(Clone, Copy)]
pub(crate) struct Settings<'a> {
    /// `auto`.
    pub(crate) auto: &'a str,
    /// More keys of the service.
    pub(crate) service: &'a str,
    /// More keys of the policy.
    pub(crate) policy: &'a str,
    /// More keys of `[watch]`.
    pub(crate) watch: &'a str,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Self { auto: "[]", service: "", policy: "", watch: "" }
    }
}

/// The whole of it. Its fields end in this order: the daemon first.
pub(crate) struct Stage {
    daemon: Child,
    pub(crate) prometheus: Prometheus,
    pub(crate) alertmanager: Alertmanager,
    pub(crate) supervisor: Supervisor,
    pub(crate) lab: Lab,
    pub(crate) place: Place,
    pub(crate) port: u16,
}

impl Stage {
    /// Builds the parts, starts the daemon, and waits until it has looked once.
    pub(crate) fn build(parts: Parts, settings: Settings<'_>) -> Self {
        let lab = Lab::build(parts).unwrap_or_else(|e| panic!("{e}"));
        let (place, supervisor, port) = (Place::new(), Supervisor::of(&lab), free());
        let alertmanager = Alertmanager::start(place.path());
        place.write("pgmedic.toml", &configuration(&lab, &supervisor, (port, alertmanager.port), settings));
        let host = if lab.dns().is_ok() { dns::NAME } else { "127.0.0.1" };
        let url = format!("postgres://{ROLE}:{PASSWORD}@{host}:{}/{DATABASE}", lab.front_port());
        let log = std::fs::File::create(place.path().join("daemon.log")).unwrap();
        let mut command = place.command(&["watch", "--log", "json"]);
        let path = std::env::var_os("PATH").unwrap();
        command.env("DATABASE_URL", url).env("PATH", path).stdout(Stdio::null()).stderr(log);
        let daemon = command.spawn().unwrap();
        let prometheus = Prometheus::start(place.path(), port);
        let stage = Self { daemon, prometheus, alertmanager, supervisor, lab, place, port };
        until(
            "the first look",
            || stage.log(),
            || get(stage.port, "/ready").filter(|(status, _)| *status == 200),
        );
        stage.wait_up();
        stage
    }

    /// Waits until Prometheus has the service up.
    pub(crate) fn wait_up(&self) {
        self.prometheus.wait("pgmedic_service_up{service=\"renderflow\"}", 1.0);
    }

    /// Fails where it has ended.
    fn alive(&self) {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.daemon.id())).unwrap();
        assert!(!stat.contains(") Z"), "the daemon has ended\n{}", self.log());
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read_to_string(self.place.path().join("daemon.log")).unwrap();
        assert!(!text.contains(PASSWORD), "{text}");
        text
    }

    /// A document of its API.
    pub(crate) fn api(&self, path: &str) -> Value {
        let answer = json(self.port, path).unwrap_or_else(|| panic!("{path}: no answer\n{}", self.log()));
        assert!(!answer.to_string().contains(PASSWORD), "{path}");
        answer
    }

    /// Its incidents.
    pub(crate) fn incidents(&self) -> Vec<Value> {
        self.api("/api/v1/incidents")["incidents"].as_array().unwrap().clone()
    }

    /// Waits until Alertmanager has this alert; gives it and when that was.
    pub(crate) fn fires(&self, cause: &str) -> (Value, Instant) {
        let fires =
            |alert: &Value| alert["labels"]["alertname"] == ALERT && alert["labels"]["cause"] == cause;
        until(
            &format!("{ALERT} with {cause}"),
            || self.log(),
            || self.alertmanager.firing().into_iter().find(fires),
        )
    }

    /// Waits until no `DatabaseConnectionFailure` fires; gives when that was.
    pub(crate) fn resolved(&self) -> Instant {
        self.none_fires("an end of what is critical", |(name, _)| name == ALERT)
    }

    /// Waits until nothing fires, no warning either.
    pub(crate) fn quiet(&self) {
        self.none_fires("an end of all alerts", |_| true);
    }

    fn none_fires(&self, what: &str, such: impl Fn(&(String, String)) -> bool) -> Instant {
        let none = || {
            self.alive();
            (!self.alertmanager.names().iter().any(&such)).then_some(())
        };
        until(what, || format!("{:?}\n{}", self.alertmanager.names(), self.log()), none).1
    }

    /// The critical incidents, by cause, the oldest first.
    pub(crate) fn criticals(&self) -> Vec<String> {
        let mut all: Vec<_> = self.incidents().into_iter().filter(|i| i["severity"] == "critical").collect();
        all.sort_by_key(|i| i["opened_at"].as_str().unwrap().to_owned());
        all.iter().map(|i| i["cause"].as_str().unwrap().to_owned()).collect()
    }

    /// The first alert that fires, by its name and cause.
    pub(crate) fn first(&self) -> (String, String) {
        until("an alert", || self.log(), || self.alertmanager.names().first().cloned()).0
    }

    /// What was done for all incidents.
    pub(crate) fn acts(&self) -> Vec<Value> {
        self.incidents().iter().flat_map(|i| i["actions"].as_array().unwrap().clone()).collect()
    }

    /// Waits until the API's readiness is 200; gives when that was.
    pub(crate) fn ready(&self) -> Instant {
        let url = self.lab.api().unwrap().ready_url();
        let rest = url.strip_prefix("http://127.0.0.1:").unwrap();
        let (port, path) = rest.split_once('/').unwrap();
        let (port, path) = (port.parse().unwrap(), format!("/{path}"));
        until("readiness", || self.log(), || get(port, &path).filter(|(status, _)| *status == 200)).1
    }

    /// Bytes of the daemon that are resident.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.daemon.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has seen.
        let _ended = self.daemon.kill();
        let _waited = self.daemon.wait();
    }
}

/// The example's file, with other ports, commands and files.
fn configuration(lab: &Lab, supervisor: &Supervisor, ports: (u16, u16), settings: Settings<'_>) -> String {
    let Settings { auto, service, policy, watch } = settings;
    let (own, alertmanager) = ports;
    let (api, postgres) = (lab.api().unwrap(), lab.postgres());
    let named = lab.dns().map(|dns| format!("\nnameservers = [\"{}\"]\nresolve_here = true", dns.address()));
    let mounted = lab.volume().map_or("/nowhere".to_owned(), |volume| volume.path().display().to_string());
    let files = format!(
        "data_directory = \"{}\"\nlog = \"{}\"\napi_log = \"{}\"",
        postgres.data().display(),
        postgres.log().display(),
        api.log().display(),
    );
    let replaced = [
        ("direct = \"127.0.0.1:5433\"", format!("direct = \"127.0.0.1:{}\"", postgres.port())),
        ("\"http://127.0.0.1:3000/api/v1/ready\"", format!("\"{}\"", api.ready_url())),
        (
            "\"http://127.0.0.1:3000/metrics\"",
            format!("\"{}\"{}\n{service}", api.metrics_url(), named.unwrap_or_default()),
        ),
        ("kind = \"host\"", format!("kind = \"host\"\n{files}")),
        ("[\"systemctl\", \"restart\", \"renderflow-api\"]", supervisor.command("restart-api")),
        ("[\"systemctl\", \"restart\", \"haproxy\"]", supervisor.command("restart-proxy")),
        ("restart_db = [\"systemctl\", \"restart\", \"postgresql@15-main\"]", String::new()),
        ("[\"systemctl\", \"start\", \"postgresql@15-main\"]", supervisor.command("start-db")),
        (
            "[\"lvextend\", \"--resizefs\", \"--size\", \"{size_gb}G\", \"/dev/vg/pg\"]",
            format!("[\"mount\", \"-o\", \"remount,size={{size_gb}}G\", \"{mounted}\"]"),
        ),
        // Nobody waits for ten minutes here.
        (
            "auto = [\"sessions\"]\nidle_after = \"10m\"",
            format!("auto = {auto}\nidle_after = \"200ms\"\n{policy}"),
        ),
        ("listen = \"127.0.0.1:9187\"", format!("listen = \"127.0.0.1:{own}\"\n{watch}")),
        ("http://127.0.0.1:9093", format!("http://127.0.0.1:{alertmanager}")),
    ];
    let mut text = EXAMPLE.to_owned();
    for (from, to) in replaced {
        // The head of the file speaks of some of these.
        let at = text.rfind(from).unwrap_or_else(|| panic!("the example has no {from} any more"));
        text.replace_range(at..at + from.len(), &to);
    }
    text
}
