//! A real Alertmanager (Debian's `prometheus-alertmanager`): what it shows, and what it sends on. Not in here: how alerts
//! are retried and rendered, which is tested where that is.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use pgmedic_lab::process::{Launch, Server};
use pgmedic_lab::programs;
use pgmedic_model::{Confidence, Fact, Room, Secret, Severity, Source, Timestamp};
use pgmedic_watch::alerts::{Alerts, Happened, InMemory, Plan, Tuning};
use pgmedic_watch::board::Board;
use pgmedic_watch::clock::Clock;
use pgmedic_watch::incident::{Affected, Change, Incident};
use pgmedic_watch::settings::{AlertKind, AlertTo};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// A port below those that the system hands out, that nobody listens on now, and that no other test here was given.
fn free() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let salt = u16::try_from(std::process::id() % 5000).unwrap() * 2;
    loop {
        let port = 21_000 + (salt + GIVEN.fetch_add(1, Ordering::Relaxed)) % 11_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Asks until it is so, for at most 20 s.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let from = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(from.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Where an Alertmanager sends its notifications.
struct Sink {
    port: u16,
    notifications: mpsc::Receiver<Value>,
}

impl Sink {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (send, notifications) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                        break;
                    }
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                reader.get_mut().write_all(answer).unwrap();
                if send.send(serde_json::from_slice(&body).unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { port, notifications }
    }

    /// The next notification of this status.
    fn next(&self, status: &str) -> Value {
        loop {
            let told = self.notifications.recv_timeout(Duration::from_secs(20)).unwrap();
            if told["status"] == status {
                return told;
            }
        }
    }
}

/// Alertmanager with a short `resolve_timeout`, grouping by incident: one service's one cause.
fn alertmanager(folder: &Path, port: u16, sink: u16) -> Server {
    let config = folder.join("alertmanager.yml");
    let text = format!(
        "global: {{ resolve_timeout: 2s }}\n\
         route: {{ receiver: sink, group_by: [service, cause], group_wait: 0s, group_interval: 200ms }}\n\
         receivers: [{{ name: sink, webhook_configs: [{{ url: 'http://127.0.0.1:{sink}/', send_resolved: true }}] }}]\n"
    );
    std::fs::write(&config, text).unwrap();
    let log = folder.join("log");
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.path={}", folder.join("data").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--cluster.listen-address=".to_owned(),
    ];
    let launch = Launch {
        name: "alertmanager",
        program: programs::find("prometheus-alertmanager").unwrap(),
        arguments: arguments.into_iter().map(Into::into).collect(),
        folder,
        log: &log,
        account: None,
        end: rustix::process::Signal::KILL,
    };
    let server = launch.start().unwrap();
    until("alertmanager answers", || amtool(port, &["alert", "query"]));
    server
}

/// What `amtool` says, as JSON. None where it cannot say anything.
fn amtool(port: u16, arguments: &[&str]) -> Option<Value> {
    let url = format!("--alertmanager.url=http://127.0.0.1:{port}");
    let run = Command::new("amtool").arg(url).args(["-o", "json"]).args(arguments).output().unwrap();
    run.status.success().then(|| serde_json::from_slice(&run.stdout).unwrap())
}

/// The alerts that fire.
fn firing(port: u16) -> Vec<Value> {
    amtool(port, &["alert", "query"]).and_then(|alerts| alerts.as_array().cloned()).unwrap_or_default()
}

fn now() -> Timestamp {
    Clock::System.now()
}

fn incident(id: &str, cause: &str, severity: Severity) -> Incident {
    let at = now();
    let affected = Affected { since: at, until: None, summary: "full".into(), cause: cause.to_owned() };
    Incident {
        schema: Incident::SCHEMA.to_owned(),
        id: id.to_owned(),
        cause: cause.to_owned(),
        causes: Vec::new(),
        room: Room::Admission,
        severity,
        confidence: Confidence::Certain,
        summary: "97 of 97 slots are taken".to_owned(),
        service: "renderflow".to_owned(),
        services: [("renderflow".to_owned(), affected)].into(),
        shared: None,
        places: Vec::new(),
        opened_at: at,
        back_at: None,
        updated_at: at,
        closed_at: None,
        proof: None,
        flaps: 0,
        evidence: vec![Fact::new(Source::Sql, at, "pg_stat_activity", "97 sessions")],
        remedies: Vec::new(),
        actions: Vec::new(),
        held: None,
        failed_fixes: 0,
        escalated: false,
        report: None,
    }
}

fn closed(incident: &Incident) -> Incident {
    Incident { closed_at: Some(now()), updated_at: now(), ..incident.clone() }
}

/// pgmedic's side: a runtime of its own, so that the test may wait as tests do.
struct Teller {
    runtime: tokio::runtime::Runtime,
    alerts: Alerts,
    happened: Arc<Mutex<Vec<Happened>>>,
}

impl Teller {
    fn of(ports: &[u16]) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let to = |port: &u16| AlertTo {
            kind: AlertKind::Alertmanager,
            url: Secret::new(format!("http://127.0.0.1:{port}")),
            key: None,
            from: Severity::Warning,
            only: std::collections::BTreeMap::new(),
        };
        let plan = Plan { to: ports.iter().map(to).collect(), ..Plan::default() };
        let tuning = Tuning {
            refresh: Duration::from_millis(750),
            first: Duration::from_millis(50),
            longest_kept: Duration::from_millis(500),
            ..Tuning::default()
        };
        let happened: Arc<Mutex<Vec<Happened>>> = Arc::default();
        let into = Arc::clone(&happened);
        let hook = Arc::new(move |what: &Happened| into.lock().unwrap().push(what.clone()));
        let outbox = Arc::new(InMemory::default());
        let alerts = Alerts::tuned(plan, outbox, Board::default(), (Clock::System, hook), tuning).unwrap();
        let run = alerts.clone();
        runtime.spawn(async move { run.run(std::future::pending()).await });
        Self { runtime, alerts, happened }
    }

    fn tell(&self, change: Change, incident: &Incident) {
        self.runtime.block_on(self.alerts.tell(change, incident)).unwrap();
    }

    /// Ends as kill -9 does.
    fn kill(self) {
        self.runtime.shutdown_background();
    }
}

#[test]
fn it_fires_lasts_past_the_resolve_timeout_and_resolves() {
    let (folder, sink, port) = (tempfile::tempdir().unwrap(), Sink::open(), free());
    let _server = alertmanager(folder.path(), port, sink.port);
    let teller = Teller::of(&[port]);
    let open = incident("20261126T031209-renderflow", "slots-exhausted", Severity::Critical);
    teller.tell(Change::Opened, &open);
    let alert = until("it fires", || firing(port).pop());
    assert_eq!(alert["labels"]["alertname"], "DatabaseConnectionFailure");
    assert_eq!(alert["labels"]["cause"], "slots-exhausted");
    assert_eq!(alert["labels"]["severity"], "critical");
    assert_eq!(alert["annotations"]["incident"], "20261126T031209-renderflow");
    assert_eq!(alert["annotations"]["description"], "97 sessions (pg_stat_activity)");
    let told = sink.next("firing");
    assert_eq!(told["groupLabels"]["cause"], "slots-exhausted");

    // Longer than its resolve_timeout (2 s), and than the first endsAt (3 s).
    let from = Instant::now();
    while from.elapsed() < Duration::from_secs(6) {
        assert_eq!(firing(port).len(), 1, "after {:?}", from.elapsed());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(sink.notifications.try_recv().is_err(), "said once, however often it was refreshed");
    teller.tell(Change::Closed, &closed(&open));
    until("it is over", || firing(port).is_empty().then_some(()));
    let told = sink.next("resolved");
    assert_eq!(told["alerts"][0]["labels"]["cause"], "slots-exhausted");
    teller.kill();
}

#[test]
fn each_incident_is_a_group_and_one_that_rises_resolves_the_alert_that_it_was() {
    let (folder, sink, port) = (tempfile::tempdir().unwrap(), Sink::open(), free());
    let _server = alertmanager(folder.path(), port, sink.port);
    let teller = Teller::of(&[port]);
    let warning = incident("a", "slots-exhausted", Severity::Warning);
    teller.tell(Change::Opened, &warning);
    let other = incident("b", "disk-filling", Severity::Warning);
    teller.tell(Change::Opened, &other);
    let mut groups =
        [sink.next("firing"), sink.next("firing")].map(|told| told["groupLabels"]["cause"].clone());
    groups.sort_by_key(ToString::to_string);
    assert_eq!(groups, ["disk-filling", "slots-exhausted"]);
    let names = || firing(port).iter().map(|alert| alert["labels"]["alertname"].clone()).collect::<Vec<_>>();
    assert!(names().contains(&"DatabaseConnectionsNearLimit".into()));

    let critical = Incident { severity: Severity::Critical, updated_at: now(), ..warning };
    teller.tell(Change::Updated, &critical);
    let told = sink.next("firing");
    assert_eq!(told["groupLabels"]["cause"], "slots-exhausted");
    until("the critical one alone fires", || {
        let of = |alert: &Value| alert["annotations"]["incident"] == "a";
        let firing: Vec<_> = firing(port).into_iter().filter(of).collect();
        (firing.len() == 1 && firing[0]["labels"]["alertname"] == "DatabaseConnectionFailure").then_some(())
    });
    teller.tell(Change::Closed, &closed(&critical));
    teller.tell(Change::Closed, &closed(&other));
    until("all is over", || firing(port).is_empty().then_some(()));
    teller.kill();
}

#[test]
fn one_that_was_down_is_told_when_it_is_up_and_its_peer_meanwhile() {
    let (folder, second, sink) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Sink::open());
    let up = free();
    let _up = alertmanager(folder.path(), up, sink.port);
    let down = free();
    let teller = Teller::of(&[up, down]);
    teller.tell(Change::Opened, &incident("a", "slots-exhausted", Severity::Critical));
    until("its peer is told", || (firing(up).len() == 1).then_some(()));
    until("it was tried in vain", || {
        let happened = teller.happened.lock().unwrap();
        let tried = happened.iter().filter(|what| what.words.starts_with("nothing listens there")).count();
        (tried >= 3).then_some(())
    });
    let _down = alertmanager(second.path(), down, sink.port);
    let from = Instant::now();
    until("it is told as well", || (firing(down).len() == 1).then_some(()));
    assert!(from.elapsed() < Duration::from_secs(5), "{:?}", from.elapsed());
    teller.kill();
}

#[test]
fn where_pgmedic_is_gone_the_alert_ends_by_itself_and_no_sooner_than_several_refreshes() {
    let (folder, sink, port) = (tempfile::tempdir().unwrap(), Sink::open(), free());
    let _server = alertmanager(folder.path(), port, sink.port);
    let teller = Teller::of(&[port]);
    teller.tell(Change::Opened, &incident("a", "slots-exhausted", Severity::Critical));
    until("it fires", || firing(port).pop());
    teller.kill();
    let from = Instant::now();
    until("it ended", || firing(port).is_empty().then_some(()));
    assert!(from.elapsed() > Duration::from_millis(1500), "{:?}", from.elapsed());
}
