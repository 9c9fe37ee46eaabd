//! What a look costs here. Ignored by default; figures stand in the change that made them:
//! `cargo test -p pgmedic-path --test standing cost -- --ignored --nocapture`.

use crate::scene::{Scene, soon};
use pgmedic_path::standing::look;
use pgmedic_path::walk;
use std::time::{Duration, Instant};

/// User and system time of this process, in microseconds (proc(5), `stat`, in hundredths of a second).
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10_000
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

#[test]
fn a_walk_and_a_look_are_small_in_their_callers_frame() {
    let scene = Scene::new("monitor");
    let service = &scene.service;
    let walk = std::mem::size_of_val(&walk(service, Duration::ZERO, &|_| {}));
    let last = scene.walk();
    let look = std::mem::size_of_val(&look(service, &last, soon(1)));
    assert!(walk < 24_000 && look < 24_000, "{walk} and {look} bytes");
}
