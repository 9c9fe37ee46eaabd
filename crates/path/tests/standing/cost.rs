//! What it costs: on the server with 500 sessions, and here. Ignored by default; figures stand in the change that made them:
//! `cargo test -p pgmedic-path --test standing cost -- --ignored --nocapture`.

use crate::scene::{Scene, soon};
use crate::scripted::{Act, Peer, admitted};
use pgmedic_path::standing::{Depth, Kept, Standing, look};
use pgmedic_path::{Service, walk};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// User and system time of this process, in microseconds (proc(5), `stat`, in hundredths of a second).
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10_000
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[ignore = "a measurement"]
fn cost_of_a_look_here() {
    let scene = Scene::new("monitor").opened();
    let last = scene.walk();
    let looks = 2000;
    let (from, cpu) = (Instant::now(), cpu_us());
    scene.run(async {
        for _ in 0..looks {
            look(&scene.service, &last, soon(1000)).await;
        }
    });
    let (took, cpu) = (from.elapsed() / looks, (cpu_us() - cpu) / u64::from(looks));
    println!("a warm look: {took:?}, of which {cpu} us of CPU on this side");
}

#[tokio::test]
#[ignore = "a measurement"]
async fn cost_of_five_hundred_sessions_here() {
    let script = vec![Act::Read, Act::Send(admitted()), Act::Read, Act::Never];
    let peer = Peer::new(vec![script]).await;
    let mut services = Vec::new();
    let before = resident_kb();
    for _ in 0..500 {
        let service = Service { standing: Some(Arc::new(Standing::new())), ..peer.service() };
        let _kept = service.standing.as_deref().unwrap().keep(&service, soon(20)).await;
        services.push(service);
    }
    println!("500 services: {} kB, with the peer's own half", resident_kb() - before);
    let _ = (Depth::Whole, Kept::Open, Duration::ZERO);
    let _walk = walk(&services[0], Duration::from_millis(100), &|_| {}).await;
}

#[test]
fn a_walk_and_a_look_are_small_in_their_callers_frame() {
    let scene = Scene::new("monitor");
    let service = &scene.service;
    let walk = std::mem::size_of_val(&walk(service, Duration::ZERO, &|_| {}));
    let last = scene.walk();
    let look = std::mem::size_of_val(&look(service, &last, soon(1)));
    assert!(walk < 24_000 && look < 24_000, "{walk} and {look} bytes");
}
