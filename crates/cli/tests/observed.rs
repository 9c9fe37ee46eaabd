//! The dashboard and the rules on real data: a real Prometheus scrapes `examples/renderflow` and `pgmedic watch`, both on a real
//! Postgres. Each query of each panel returns data, each rule is evaluated without an error, and a server that goes and comes back
//! is an alert that fires and resolves.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

mod support;

use pgmedic_lab::postgres::{DATABASE, PASSWORD, ROLE, Stop};
use pgmedic_lab::process::{Launch, Server};
use pgmedic_lab::{Lab, LabError, Parts, programs, wait};
use renderflow::config::Config;
use renderflow::log::Log;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Child;
use std::time::Duration;
use support::{Place, closed_port};
use tokio::runtime::Runtime;

/// How long until everything has been scraped twice and more, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A child that ends with this.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The example's API, in this process.
fn api(runtime: &Runtime, database_url: &str) -> SocketAddr {
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let listen = listener.local_addr().unwrap();
    let config = Config { database_url: database_url.to_owned(), listen, drill: false };
    runtime.spawn(renderflow::serve(config, listener, Log::to(std::io::sink()), std::future::pending()));
    listen
}

/// The example's configuration for this host, with the lab's places in it.
fn configuration(place: &Place, lab: &Lab, api: SocketAddr, listen: u16) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/renderflow/pgmedic.host.toml");
    let text = std::fs::read_to_string(example).unwrap();
    let data = format!("kind = \"host\"\ndata_directory = \"{}\"", lab.postgres().data().display());
    let text = text
        .replace("127.0.0.1:3000", &api.to_string())
        .replace("direct = \"127.0.0.1:5433\"\n", "")
        .replace("127.0.0.1:9187", &format!("127.0.0.1:{listen}"))
        .replace("kind = \"host\"", &data);
    let text: String =
        text.lines().filter(|line| !line.starts_with("alerts")).map(|line| format!("{line}\n")).collect();
    place.write("pgmedic.toml", &text);
}

/// A real Prometheus that scrapes both every second and evaluates the rules.
fn prometheus(place: &Place, api: SocketAddr, watch: u16, port: u16) -> Result<Server, LabError> {
    let text = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [alerts.yml]\nscrape_configs:\n\
         - {{ job_name: renderflow, static_configs: [{{ targets: [\"{api}\"] }}] }}\n\
         - {{ job_name: pgmedic, honor_labels: true, static_configs: [{{ targets: [\"127.0.0.1:{watch}\"] }}] }}\n"
    );
    let config = place.write("prometheus.yml", &text);
    let launch = Launch {
        name: "Prometheus",
        program: programs::find("prometheus")?,
        arguments: vec![
            format!("--config.file={config}").into(),
            format!("--storage.tsdb.path={}", place.path().join("tsdb").display()).into(),
            format!("--web.listen-address=127.0.0.1:{port}").into(),
            "--log.level=warn".into(),
        ],
        folder: place.path(),
        log: &place.path().join("prometheus.log"),
        account: None,
        end: rustix::process::Signal::TERM,
    };
    launch.start()
}

/// One GET of Prometheus' HTTP API: the document, or what kept it from us.
fn ask(port: u16, path: &str) -> Result<Value, String> {
    let tried = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let text = tried().map_err(|e| e.to_string())?;
    let body = text.find('{').and_then(|from| Some(&text[from..=text.rfind('}')?]));
    serde_json::from_str(body.unwrap_or_default()).map_err(|e| format!("{e}: {text}"))
}

/// A query at this moment: its series.
fn query(port: u16, expr: &str) -> Result<Vec<Value>, String> {
    let encoded: String = expr.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = ask(port, &format!("/api/v1/query?query={encoded}"))?;
    match answer["data"]["result"].as_array() {
        Some(series) if answer["status"] == "success" => Ok(series.clone()),
        _ => Err(answer.to_string()),
    }
}

/// Every query of the dashboard, with what Grafana fills in.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expr = target["expr"].as_str().unwrap();
            let expr = expr.replace("$__rate_interval", "4s").replace("$service", "renderflow");
            assert!(!expr.contains('$'), "{expr}");
            out.push((panel["title"].as_str().unwrap().to_owned(), expr));
        }
    }
    out
}

/// What a part of the scene has logged.
fn said(place: &Place, name: &str) -> String {
    std::fs::read_to_string(place.path().join(name)).unwrap_or_default()
}

fn every_query_answers(place: &Place, port: u16) {
    let dashboard = serde_json::from_str(&said(place, "dashboard.json")).unwrap();
    let mut left = queries(&dashboard);
    assert!(left.len() > 50, "{}", left.len());
    let answered = wait::until("data for every query", PATIENCE, || {
        left.retain(|(_, expr)| query(port, expr).map_or(true, |series| series.is_empty()));
        Ok(if left.is_empty() { Ok(()) } else { Err(format!("{left:#?}")) })
    });
    let logs = || format!("{}\n{}", said(place, "watch.log"), said(place, "prometheus.log"));
    assert!(answered.is_ok(), "{}\n{}", answered.unwrap_err(), logs());
}

fn every_rule_is_evaluated(port: u16) {
    let rules = ask(port, "/api/v1/rules").unwrap();
    let groups = rules["data"]["groups"].as_array().unwrap();
    let rules: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(rules.len() > 10, "{rules:?}");
    for rule in rules {
        assert!(rule["health"] != "err" && rule.get("lastError").is_none(), "{rule:#}");
    }
    // All is well: what fires tells of this machine's disk at most.
    let firing = query(port, "ALERTS{alertstate=\"firing\",alertname!=\"DatabaseStorageFilling\"}").unwrap();
    assert!(firing.is_empty(), "{firing:#?}");
}

/// Waits until `DatabaseConnectionFailure` fires so, and not otherwise: by whom it is seen, and its cause.
fn fires(place: &Place, port: u16, expected: &[(&str, &str)]) {
    let fires = wait::until(&format!("alerts of {expected:?}"), PATIENCE, || {
        let alerts = "ALERTS{alertstate=\"firing\",alertname=\"DatabaseConnectionFailure\"}";
        let series = query(port, alerts).unwrap_or_default();
        let label = |one: &Value, name: &str| one["metric"][name].as_str().unwrap_or_default().to_owned();
        let mut by: Vec<_> = series.iter().map(|one| (label(one, "seen_by"), label(one, "cause"))).collect();
        by.sort();
        let same = by.len() == expected.len() && by.iter().zip(expected).all(|(a, b)| (&*a.0, &*a.1) == *b);
        Ok(if same { Ok(()) } else { Err(format!("{by:?}")) })
    });
    assert!(fires.is_ok(), "{}\n{}", fires.unwrap_err(), said(place, "watch.log"));
}

#[test]
fn every_query_returns_data_every_rule_is_evaluated_and_a_failure_fires_and_resolves() {
    let lab = Lab::build(Parts::default()).unwrap();
    let place = Place::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = format!("127.0.0.1:{}", lab.postgres().port());
    let url = format!("postgres://{ROLE}:{PASSWORD}@{server}/{DATABASE}?application_name=renderflow-api");
    let api = api(&runtime, &url);
    let (watch, port) = (closed_port(), closed_port());
    configuration(&place, &lab, api, watch);
    for (command, file) in [
        ("rules prometheus renderflow --scrape-interval 1s --failure-for 2s --output", "alerts.yml"),
        ("rules grafana renderflow --output", "dashboard.json"),
    ] {
        let ran = place.run(&command.split(' ').chain([file]).collect::<Vec<_>>());
        assert_eq!(ran.exit, Some(0), "{command}: {}", ran.stderr);
    }
    let log = std::fs::File::create(place.path().join("watch.log")).unwrap();
    let mut daemon = place.command(&["watch"]);
    daemon.env("DATABASE_URL", &url).stdout(log.try_clone().unwrap()).stderr(log);
    let _daemon = Ends(daemon.spawn().unwrap());
    let _prometheus = prometheus(&place, api, watch, port).unwrap();

    every_query_answers(&place, port);
    every_rule_is_evaluated(port);
    // The server goes: the daemon's rule fires with the cause, the pool's beside it. It comes back: both resolve. A server on its
    // way out is another cause's for a moment; without the server's log nobody knows who stopped it.
    lab.postgres().stop(Stop::Fast).unwrap();
    fires(&place, port, &[("pool", ""), ("watch", "server-down")]);
    lab.postgres().up().unwrap();
    fires(&place, port, &[]);
}
