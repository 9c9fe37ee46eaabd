//! The runbook's symptoms and their end: readiness 503 with `db: "disconnected"` and its reason within its deadline, `Database
//! not initialised`, and 200 again by itself within a second, without a restart and without a storm of connections.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

mod support;

use pgmedic_lab::postgres::Stop;
use pgmedic_lab::sessions::{Login, Sessions};
use pgmedic_lab::{Lab, wait};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::{Api, lab, request, url};

const SOON: Duration = Duration::from_secs(10);
/// Readiness' own deadline, and what two busy cores may add.
const DEADLINE: Duration = Duration::from_millis(1500);

/// How often a client came to the server over TCP, by the server's own log.
fn arrivals(lab: &Lab) -> usize {
    let log = std::fs::read_to_string(lab.postgres().log()).unwrap();
    log.lines().filter(|line| line.contains("connection received: host=127.0.0.1")).count()
}

/// Nobody reads the jobs until this rolls back.
fn lock(lab: &Lab) -> Sessions {
    let login = Login::of_api(lab.postgres()).named("lock");
    let locked = Sessions::open(lab.postgres(), &login, 1).unwrap();
    locked.run("begin; lock table render_jobs in access exclusive mode").unwrap();
    locked
}

/// Clients that go on asking, whatever they are answered.
struct Crowd {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<Duration>>,
}

impl Crowd {
    fn of(clients: usize, api: &Api) -> Self {
        let (stop, asked, at) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), api.at);
        let one = |(stop, asked): (Arc<AtomicBool>, Arc<AtomicUsize>)| {
            move || {
                let mut longest = Duration::ZERO;
                while !stop.load(Ordering::Relaxed) {
                    let answer = request(at, "GET", "/api/v1/jobs?limit=1", None);
                    assert!([200, 503].contains(&answer.status), "{answer:?}");
                    longest = longest.max(answer.took);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
                longest
            }
        };
        let threads = (0..clients).map(|_| std::thread::spawn(one((stop.clone(), asked.clone())))).collect();
        Self { stop, asked, threads }
    }

    /// Waits until they have asked so often again.
    fn wait_asked(&self, more: usize) {
        let until = self.asked.load(Ordering::Relaxed) + more;
        wait::until_true("requests", SOON, || self.asked.load(Ordering::Relaxed) >= until).unwrap();
    }

    /// The longest that one was kept waiting.
    fn end(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).max().unwrap()
    }
}

#[test]
fn the_server_stops_and_comes_back_and_so_does_readiness_without_a_restart_or_a_storm() {
    let lab = lab();
    let postgres = lab.postgres();
    postgres.sql("alter system set log_connections = on").unwrap();
    postgres.reload().unwrap();
    let api = Api::start(&url(&lab));
    api.wait_ready(200, SOON);
    let ready = api.get("/api/v1/ready");
    assert_eq!(ready.json(), json!({ "status": "ready", "db": "connected" }));
    let crowd = Crowd::of(16, &api);
    crowd.wait_asked(100);

    postgres.stop(Stop::Fast).unwrap();
    api.wait_ready(503, DEADLINE);
    // What it says is what the last attempt met: a server on its way out, and then nobody.
    let refused = || api.get("/api/v1/ready").body.contains("ECONNREFUSED");
    wait::until_true("a port that nobody listens on", DEADLINE, refused).unwrap();
    let failed = api.metric("pg_pool_connects_total");
    let (down, began) = (api.get("/api/v1/ready"), Instant::now());
    assert!(down.took < DEADLINE, "{down:?}");
    let body = down.json();
    assert_eq!((&body["status"], &body["db"]), (&json!("not_ready"), &json!("disconnected")));
    assert!(body["reason"].as_str().unwrap().contains("ECONNREFUSED"), "{body}");
    let refused = api.get("/api/v1/jobs");
    assert_eq!(refused.status, 503);
    assert!(refused.json()["error"].as_str().unwrap().contains("ECONNREFUSED"), "{refused:?}");
    // However many ask, the pool asks the server a few times a second.
    crowd.wait_asked(500);
    let (attempts, lasted) = (api.metric("pg_pool_connects_total") - failed, began.elapsed());
    assert!(attempts <= 10.0 + 10.0 * lasted.as_secs_f64(), "{attempts} attempts in {lasted:?}");

    let before = arrivals(&lab);
    postgres.up().unwrap();
    let took = api.wait_ready(200, SOON);
    assert!(took < Duration::from_secs(1), "ready after {took:?}\n{}", api.log.text());
    crowd.wait_asked(200);
    // The lab's own questions come over its socket.
    let came = arrivals(&lab) - before;
    assert!((1..=20).contains(&came), "{came} connections on the server's return");
    let longest = crowd.end();
    assert!(longest < Duration::from_secs(5), "somebody waited {longest:?}");
    let log = api.log.text();
    assert!(log.contains("database down: ") && log.contains("database connected again"), "{log}");
}

#[test]
fn what_was_never_initialised_says_so_and_is_initialised_once_the_server_is_there() {
    let lab = lab();
    lab.postgres().stop(Stop::Fast).unwrap();
    let api = Api::start(&url(&lab));
    let ready = api.get("/api/v1/ready");
    assert_eq!(ready.status, 503);
    assert_eq!(
        ready.json(),
        json!({ "status": "not_ready", "db": "disconnected", "reason": "Database not initialised" })
    );
    let asked = api.get("/api/v1/jobs");
    assert_eq!(asked.status, 503);
    assert!(asked.json()["error"].as_str().unwrap().starts_with("Database not initialised"), "{asked:?}");
    api.wait_logged("ERROR Database not initialised: no connection: ");
    api.wait_logged("ERROR /api/v1/jobs: Database not initialised");
    // The process is well meanwhile, and tells its metrics.
    assert_eq!((api.get("/api/v1/health").status, api.metric("pg_pool_max")), (200, 10.0));
    // Nobody can make it leak who has not said that it may be.
    assert_eq!(api.post("/api/v1/drill/hold", &json!({})).status, 404);

    lab.postgres().up().unwrap();
    let took = api.wait_ready(200, SOON);
    assert!(took < Duration::from_secs(1), "ready after {took:?}\n{}", api.log.text());
    api.wait_logged("INFO Database initialised");
}

#[test]
fn a_full_pool_over_a_healthy_database_is_ready_within_the_deadline() {
    let lab = lab();
    let api = Api::start(&url(&lab));
    api.wait_ready(200, SOON);
    let locked = lock(&lab);
    let at = api.at;
    let requests: Vec<_> =
        (0..13).map(|_| std::thread::spawn(move || request(at, "GET", "/api/v1/jobs", None))).collect();
    let full = || api.metric("pg_pool_in_use") == 10.0 && api.metric("pg_pool_waiting") == 3.0;
    wait::until_true("a full pool", SOON, full).unwrap();
    // What was heard a moment ago is a proof for a second; after it somebody has to look.
    let until = Instant::now() + Duration::from_millis(1500);
    while Instant::now() < until {
        let ready = api.get("/api/v1/ready");
        assert!(ready.status == 200 && ready.took < DEADLINE, "{ready:?}");
    }
    assert_eq!(api.metric("pg_pool_in_use"), 10.0, "readiness takes no request's connection");
    locked.run("rollback").unwrap();
    for request in requests {
        assert_eq!(request.join().unwrap().status, 200);
    }
}

#[test]
fn told_to_stop_it_ends_what_is_in_hand_and_leaves_no_session_behind() {
    let lab = lab();
    let mut api = Api::start(&url(&lab));
    api.wait_ready(200, SOON);
    let locked = lock(&lab);
    let at = api.at;
    let in_hand = std::thread::spawn(move || request(at, "GET", "/api/v1/jobs", None));
    wait::until_true("a request in hand", SOON, || api.metric("pg_pool_in_use") == 1.0).unwrap();
    let released = std::thread::spawn(move || {
        let refuses = || std::net::TcpStream::connect(at).is_err();
        wait::until_true("no new connection", SOON, refuses).unwrap();
        locked.run("rollback").unwrap();
    });
    api.stop().unwrap();
    released.join().unwrap();
    assert_eq!(in_hand.join().unwrap().status, 200);
    let gone = "select count(*) = 0 from pg_stat_activity where application_name = 'renderflow-api'";
    lab.postgres().wait_true("the API's sessions are gone", gone).unwrap();
    assert!(api.log.text().contains("INFO stopping"), "{}", api.log.text());
}

#[test]
fn settings_that_can_never_work_end_it_at_once_and_show_no_secret() {
    let mut api = Api::begin("postgres://renderflow:hunter2@/renderflow?sslmod=require");
    let error = api.stop().unwrap_err().to_string();
    assert!(error.starts_with("DATABASE_URL: ") && !error.contains("hunter2"), "{error}");
}
