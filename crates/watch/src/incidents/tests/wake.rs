//! What comes in the wake of an incident: what its remedy left, and what is told of it too late.

use super::*;

#[test]
fn a_warning_in_the_wake_of_something_critical_in_its_room_waits_for_a_minute() {
    let mut incidents = none();
    let full = Scene::walk("a").finds(critical("slots-exhausted", Room::Admission));
    tell(&mut incidents, &full, 0);
    tell(&mut incidents, &full, 10);
    let warned = |cause, room| Scene::walk("a").finds(root(cause, room, Severity::Warning));
    let near = warned("slots-nearly-exhausted", Room::Admission);
    let mut said = Vec::new();
    for second in 1..=65 {
        said.extend(tell(&mut incidents, &near, second * 1000));
    }
    assert_eq!(said, ["closed slots-exhausted"]);
    // It was closed at 6 s, and three looks after the minute it is news.
    for second in 66..=70 {
        said.extend(tell(&mut incidents, &near, second * 1000));
    }
    assert_eq!(said[1..], ["opened slots-nearly-exhausted"]);
    let mut elsewhere = opened();
    let filling = warned("disk-filling", Room::Storage);
    let said: Vec<_> = (1..4).flat_map(|second| tell(&mut elsewhere, &filling, second * 1000)).collect();
    assert_eq!(said, ["opened disk-filling"], "of another room at once");
}

#[test]
fn what_a_fix_tells_after_the_close_is_kept_and_nobody_is_told() {
    let mut incidents = opened();
    let id = only(&incidents).id.clone();
    assert!(!incidents.seems_over(&id, "a"));
    tell(&mut incidents, &Scene::walk("a"), 1000);
    assert!(incidents.seems_over(&id, "a"), "nothing more is to be done for it");
    assert_eq!(tell(&mut incidents, &Scene::walk("a"), 6000), ["closed port-closed"]);
    let incident = only(&incidents);
    let said = incidents.acted(&incident.id, act(1000, Some(StepOutcome::Applied)), at(7000));
    assert_eq!(said.iter().map(word).collect::<Vec<_>>(), ["noted port-closed"]);
    assert_eq!(only(&incidents).actions.len(), 1);
}
