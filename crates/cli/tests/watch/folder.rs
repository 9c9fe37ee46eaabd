//! A state folder that hangs, or whose lock somebody keeps: what is looked at does not wait for it, and nothing is done by itself
//! that it might hold.

use crate::scene::{Daemon, Shop};
use pgmedic_lab::wait;
use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;
use std::process::Command;
use std::time::{Duration, Instant};

/// How often it has looked at the shop.
fn looks(daemon: &Daemon) -> u64 {
    let walked = "pgmedic_looks_total{service=\"shop\",kind=\"look\"} ";
    let page = daemon.page("/metrics");
    page.lines().find_map(|line| line.strip_prefix(walked)).unwrap().parse().unwrap()
}

fn goes_on_looking(daemon: &Daemon) {
    let before = looks(daemon);
    wait::until_true("it goes on looking", Duration::from_secs(10), || looks(daemon) > before + 4).unwrap();
}

#[test]
fn one_that_hangs_stops_no_look_and_holds_the_hands() {
    let shop = Shop::new();
    shop.configure("", "auto = [\"sessions\", \"db-restart\"]", "");
    let daemon = shop.watch();
    // What a network share does that is gone: whoever opens it waits.
    let pause = shop.place.path().join(".local/state/pgmedic/watch.pause");
    assert!(Command::new("mkfifo").arg(&pause).status().unwrap().success());
    daemon.wait_line("trouble", "does not answer");
    goes_on_looking(&daemon);
    assert!(daemon.page("/api/v1/services/shop").contains("\"paused\":true"));
    shop.stop_server();
    daemon.wait_incident("what is ill is seen and told", |i| i["closed_at"].is_null());
    assert!(daemon.incidents("").iter().all(|i| i["actions"].as_array().unwrap().is_empty()));
    shop.lab.postgres().ensure_up().unwrap();
    // It answers again.
    let hung = std::fs::OpenOptions::new().write(true).open(&pause).unwrap();
    std::fs::remove_file(&pause).unwrap();
    drop(hung);
    daemon.wait_line("trouble", "answers again");
    let free = || !daemon.page("/api/v1/services/shop").contains("\"paused\":true");
    wait::until_true("nothing holds its hands", Duration::from_secs(10), free).unwrap();
    daemon.signal(Signal::TERM);
    let (status, took) = daemon.ended();
    assert!(status.success() && took < Duration::from_secs(3), "{status} after {took:?}");
}

#[test]
fn one_whose_lock_is_kept_is_said_to_whoever_pauses_and_stops_no_look() {
    let shop = Shop::new();
    let daemon = shop.watch();
    let folder = std::fs::File::open(shop.place.path().join(".local/state/pgmedic")).unwrap();
    flock(&folder, FlockOperation::LockExclusive).unwrap();
    let begun = Instant::now();
    let (status, said) = daemon.ask("POST", "/api/v1/services/shop/pause", "{\"by\":\"ann\"}").unwrap();
    assert!(status == 503 && said.contains("holds its folder's lock"), "{status}: {said}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    goes_on_looking(&daemon);
    flock(&folder, FlockOperation::Unlock).unwrap();
    let (status, said) = daemon.ask("POST", "/api/v1/services/shop/pause", "{\"by\":\"ann\"}").unwrap();
    assert!(status < 300, "{status}: {said}");
    assert!(daemon.page("/api/v1/services/shop").contains("\"paused\":true"), "it holds when it is answered");
}
