//! pgmedic's own sessions on a server: two at the most, whatever goes on. A superuser counts them all the while.

use crate::mending::mend;
use crate::scene::{Scene, TIMEOUT, Witness, soon};
use pgmedic_lab::Parts;
use pgmedic_lab::faults::{all_slots_exhausted, proxy_hung, slots_exhausted};
use pgmedic_lab::postgres::{ROLE, Stop};
use pgmedic_path::standing::look;
use pgmedic_path::walk::Purpose;
use pgmedic_path::{walk, walk_for};
use rustix::process::Signal;
use std::sync::Arc;
use std::time::Duration;

/// Looks and walks, for a watcher and for a fix at once, with the way around and the rescue role configured.
fn all_at_once(scene: &Scene) {
    let service = &scene.service;
    scene.run(async {
        scene.standing().keep(service, soon(1000)).await;
        let last = walk(service, TIMEOUT, &|_| {}).await;
        tokio::join!(
            Box::pin(walk(service, TIMEOUT, &|_| {})),
            Box::pin(look(service, &last, soon(1000))),
            Box::pin(walk_for(Purpose::Preflight, service, TIMEOUT, &|_| {})),
            Box::pin(look(service, &last, soon(1000))),
        );
    });
}

#[test]
fn never_more_than_two_whatever_goes_on() {
    let mut scene = Scene::of(Parts { proxy: Some(200), ..Parts::default() }, ROLE);
    scene.service.rescue = Some(scene.server.target("rescue"));
    let scene = scene.opened();
    let postgres = Arc::clone(scene.server.lab().postgres());
    let witness = Witness::of(&scene);
    for _ in 0..5 {
        all_at_once(&scene);
    }
    let fault = slots_exhausted::inject(scene.server.lab()).unwrap();
    all_at_once(&scene);
    mend(&scene);
    all_at_once(&scene);
    fault.remove().unwrap();
    let fault = all_slots_exhausted::inject(scene.server.lab()).unwrap();
    all_at_once(&scene);
    mend(&scene);
    fault.remove().unwrap();
    let fault = proxy_hung::inject(scene.server.lab()).unwrap();
    all_at_once(&scene);
    fault.remove().unwrap();
    all_at_once(&scene);
    postgres.signal(Signal::STOP).unwrap();
    all_at_once(&scene);
    postgres.signal(Signal::CONT).unwrap();
    all_at_once(&scene);
    postgres.stop(Stop::Fast).unwrap();
    all_at_once(&scene);
    postgres.up().unwrap();
    all_at_once(&scene);
    for after_ms in [1, 3, 9, 20] {
        // Whoever drops a walk or a look leaves no session behind that is one too many.
        scene.run(async {
            let last = walk(&scene.service, TIMEOUT, &|_| {}).await;
            let cut = Duration::from_millis(after_ms);
            let _cut = tokio::time::timeout(cut, look(&scene.service, &last, soon(1000))).await;
            scene.standing().keep(&scene.service, soon(1000)).await;
        });
        all_at_once(&scene);
    }
    let looks = witness.looks();
    let most = witness.most();
    assert!(looks > 2000, "the witness looked {looks} times");
    assert_eq!(most, 2, "in {looks} looks");
    println!("{looks} looks of the witness, {most} sessions at the most");
}
