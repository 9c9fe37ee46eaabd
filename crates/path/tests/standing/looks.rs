//! Looking through it: beside a walk, and without one.

use crate::scene::{Scene, Witness};
use pgmedic_path::diagnose;
use pgmedic_path::evidence::RouteEvidence;
use pgmedic_path::standing::{Odd, odd};

#[test]
fn it_tells_beside_the_front_and_in_the_looks_between() {
    let scene = Scene::new("monitor").opened();
    let last = scene.walk();
    assert!(last.front.facts().is_some() && last.standing.get().is_some_and(|r| r.facts().is_some()));
    let now = scene.look(&last);
    let (facts, at, _) = now.told().unwrap();
    assert!(at >= now.started_at && now.started_at >= last.started_at, "what is new goes before what is old");
    assert_eq!(facts.admission.max_connections, 100);
    assert!(now.front.query.as_ref().unwrap().at < now.started_at, "the door was not walked to");
    assert!(diagnose(&now).is_empty(), "{:?}", diagnose(&now));
    assert!(odd(&last, &now).is_empty(), "{:?}", odd(&last, &now));
    assert_eq!(scene.own(), 1);
    scene.run(scene.standing().close());
    assert_eq!(scene.own(), 0);
    assert!(odd(&now, &scene.look(&now)).contains(&Odd::Session));
}

#[test]
fn it_is_prepared_for_once_and_stays_what_it_is() {
    let scene = Scene::new("monitor").opened();
    let prepared = |e: &pgmedic_path::Evidence| {
        let route: Option<&RouteEvidence> = e.standing.get();
        route.and_then(RouteEvidence::facts).map(|f| f.me.pid)
    };
    let last = scene.walk();
    let pid = prepared(&last);
    assert!(pid.is_some());
    let witness = Witness::of(&scene);
    for _ in 0..20 {
        assert_eq!(prepared(&scene.look(&last)), pid);
        assert_eq!(prepared(&scene.walk()), pid);
    }
    assert_eq!(witness.most(), 2);
}
