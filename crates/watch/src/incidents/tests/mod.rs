//! The rules of incidents, one test each; `storm` lets them run against each other.

mod shared;
mod storm;
mod wake;

use super::scene::{Scene, at, critical, root};
use super::{Incidents, Verdict};
use crate::incident::{Act, Change, Incident};
use crate::seen::Kind;
use pgmedic_model::{Confidence, Ms, RemedyKind, Room, Severity, StepOutcome, Timestamp};
use pgmedic_path::Evidence;
use pgmedic_path::evidence::{QueryEvidence, QueryOutcome};
use pgmedic_path::rooms::network::evidence::ConnectOutcome;
use std::sync::Arc;
use std::time::Duration;

const STABLE: Duration = Duration::from_secs(5);

fn none() -> Incidents {
    Incidents::new(STABLE)
}

/// Tells of a look at that ms; gives what is to be done in words: `confirm`, `opened port-closed`.
fn tell(incidents: &mut Incidents, scene: &Scene, ms: i64) -> Vec<String> {
    incidents.take(&scene.seen(at(ms)), at(ms)).iter().map(word).collect()
}

fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Confirm(_) => "confirm".to_owned(),
        Verdict::Changed(Change::Opened, i) => format!("opened {}", i.cause),
        Verdict::Changed(Change::Updated, i) => format!("updated {}", i.cause),
        Verdict::Changed(Change::Closed, i) => format!("closed {}", i.cause),
        Verdict::Noted(i) => format!("noted {}", i.cause),
    }
}

fn down() -> Scene {
    Scene::walk("a").finds(critical("port-closed", Room::Network))
}

/// An incident that is open since 10 ms.
fn opened() -> Incidents {
    let mut incidents = none();
    tell(&mut incidents, &down(), 0);
    assert_eq!(tell(&mut incidents, &down(), 10), ["opened port-closed"]);
    incidents
}

fn only(incidents: &Incidents) -> Arc<Incident> {
    let all: Vec<_> = incidents.known.values().collect();
    assert_eq!(all.len(), 1, "{all:?}");
    Arc::clone(&all[0].incident)
}

#[test]
fn a_root_that_was_seen_once_asks_for_a_walk_and_the_second_opens() {
    let mut incidents = none();
    assert_eq!(tell(&mut incidents, &down(), 0), ["confirm"]);
    assert_eq!(tell(&mut incidents, &down(), 12), ["opened port-closed"]);
    let incident = only(&incidents);
    assert!(incident.id.starts_with("20261126T031209-a-") && incident.id.len() == 22, "{}", incident.id);
    assert_eq!((incident.opened_at, incident.report.as_ref().unwrap().started_at), (at(12), at(12)));
}

#[test]
fn one_lost_packet_is_no_incident() {
    let mut incidents = none();
    for minute in 0..10 {
        assert_eq!(tell(&mut incidents, &down(), minute * 60_001), ["confirm"]);
        assert!(tell(&mut incidents, &Scene::walk("a"), minute * 60_001 + 5).is_empty());
    }
    assert_eq!(incidents.open().count(), 0);
    incidents.tick(at(900_000));
    assert_eq!(incidents.cases(), 0, "nothing of it is kept");
}

#[test]
fn the_same_look_told_twice_confirms_nothing() {
    let mut incidents = none();
    tell(&mut incidents, &down(), 0);
    assert_eq!(tell(&mut incidents, &down(), 0), ["confirm"]);
}

#[test]
fn a_fault_that_comes_and_goes_is_confirmed_by_the_third_time_in_a_minute() {
    let mut incidents = none();
    for (ms, said) in [(0, "confirm"), (20_000, "confirm"), (40_000, "opened port-closed")] {
        assert_eq!(tell(&mut incidents, &down(), ms), [said]);
        tell(&mut incidents, &Scene::walk("a"), ms + 5);
    }
}

#[test]
fn a_walk_that_finds_another_critical_root_confirms_under_the_newer_name() {
    let mut incidents = none();
    let look = Scene::look("a").finds(critical("server-shutting-down", Room::Server));
    assert_eq!(tell(&mut incidents, &look, 0), ["confirm"]);
    assert_eq!(tell(&mut incidents, &down(), 4), ["opened port-closed"]);
}

#[test]
fn a_second_look_confirms_the_same_root_alone() {
    let mut incidents = none();
    let full = Scene::look("a").finds(critical("slots-exhausted", Room::Admission));
    let locked = Scene::look("a").finds(critical("lock-pile-up", Room::Sessions));
    assert_eq!(tell(&mut incidents, &full, 0), ["confirm"]);
    assert_eq!(tell(&mut incidents, &locked, 1000), ["confirm"]);
    assert_eq!(tell(&mut incidents, &locked, 1900), ["opened lock-pile-up"]);
}

#[test]
fn what_a_look_carries_on_from_the_last_walk_is_no_sighting() {
    let mut carried = Scene::look("a").finds(critical("port-closed", Room::Network));
    carried.carried_on = true;
    let mut incidents = none();
    assert_eq!(tell(&mut incidents, &down(), 0), ["confirm"]);
    for ms in 1..20 {
        assert!(tell(&mut incidents, &carried, ms * 100).is_empty(), "one lost packet, cited again");
    }
    assert!(tell(&mut incidents, &Scene::walk("a"), 3000).is_empty());
    // Nor does it say that it came back, once a walk found it gone.
    let mut incidents = opened();
    tell(&mut incidents, &Scene::walk("a"), 1000);
    tell(&mut incidents, &carried, 2000);
    assert_eq!(tell(&mut incidents, &Scene::look("a"), 6000), ["closed port-closed"]);
    assert_eq!(only(&incidents).flaps, 0);
    // Warnings: counted when they are seen.
    let mut slow = Scene::look("a").finds(root("resolver-silent", Room::Dns, Severity::Warning));
    slow.carried_on = true;
    let mut incidents = none();
    for second in 0..10 {
        assert!(tell(&mut incidents, &slow, second * 1000).is_empty());
    }
}

#[test]
fn a_walk_that_waited_for_over_a_second_needs_no_second_one() {
    let mut dropped = Scene::walk("a").finds(critical("packets-dropped", Room::Network));
    dropped.connect = ConnectOutcome::Silent;
    dropped.waited_ms = 900.0;
    assert_eq!(tell(&mut none(), &dropped, 0), ["confirm"]);
    dropped.waited_ms = 3000.0;
    assert_eq!(tell(&mut none(), &dropped, 0), ["opened packets-dropped"]);
    dropped.connect = ConnectOutcome::Refused;
    assert_eq!(tell(&mut none(), &dropped, 0), ["confirm"], "it was answered, late");
}

#[test]
fn one_answer_that_was_lost_while_another_connection_was_answered_asks_for_a_second_walk() {
    fn silent(e: &mut Evidence, small: bool) {
        ended(e);
        let aftermath = pgmedic_path::evidence::Aftermath { small, ..Default::default() };
        if let Some(query) = &mut e.front.query {
            query.outcome = QueryOutcome::Silent;
            (query.elapsed_ms, query.aftermath) = (Ms(1500.0), Some(aftermath));
        }
    }
    let mut lost = Scene::walk("a").finds(critical("lossy-network", Room::Network));
    lost.change = Some(|e| silent(e, true));
    assert_eq!(tell(&mut none(), &lost, 0), ["confirm"]);
    lost.change = Some(|e| silent(e, false));
    assert_eq!(tell(&mut none(), &lost, 0), ["opened lossy-network"]);
}

/// The standing session's last word is 57P01.
fn ended(e: &mut Evidence) {
    let error = pgmedic_model::ServerError {
        severity: "FATAL".to_owned(),
        code: Some(pgmedic_model::SqlState::new("57P01")),
        message: "terminating connection due to administrator command".to_owned(),
        ..pgmedic_model::ServerError::default()
    };
    e.front.query = Some(QueryEvidence {
        at: e.started_at,
        elapsed_ms: Ms(0.2),
        outcome: QueryOutcome::Error(error),
        notices: Vec::new(),
        refused: None,
        received_bytes: 90,
        aftermath: None,
    });
}

#[test]
fn a_session_that_was_told_of_the_end_and_a_refused_door_need_no_second_walk() {
    let mut told = Scene::look("a");
    told.unknown = true;
    told.change = Some(|e| {
        let front = e.front.clone();
        ended(e);
        e.standing = pgmedic_path::Seen::Seen(std::mem::replace(&mut e.front, front));
    });
    let mut refused = down();
    refused.connect = ConnectOutcome::Refused;
    let mut incidents = none();
    assert!(tell(&mut incidents, &told, 0).is_empty());
    assert_eq!(tell(&mut incidents, &refused, 3), ["opened port-closed"]);
    // Both in one walk's evidence.
    let mut at_once = refused.clone();
    at_once.change = Some(|e| {
        let refused = e.front.clone();
        ended(e);
        e.standing = pgmedic_path::Seen::Seen(std::mem::replace(&mut e.front, refused));
    });
    assert_eq!(tell(&mut none(), &at_once, 0), ["opened port-closed"]);
    // Long after that word a refusal is a refusal.
    let mut incidents = none();
    tell(&mut incidents, &told, 0);
    assert_eq!(tell(&mut incidents, &refused, 11_000), ["confirm"]);
}

#[test]
fn a_warning_is_confirmed_by_three_looks_in_a_row() {
    let mut incidents = none();
    let filling = Scene::look("a").finds(root("disk-filling", Room::Storage, Severity::Warning));
    for (second, warns) in [true, true, false, true, true].into_iter().enumerate() {
        let scene = if warns { filling.clone() } else { Scene::look("a") };
        assert!(tell(&mut incidents, &scene, second as i64 * 1000).is_empty());
    }
    assert_eq!(tell(&mut incidents, &filling, 5000), ["opened disk-filling"]);
}

#[test]
fn a_warning_that_only_walks_see_is_not_forgotten_by_the_looks_between() {
    let mut incidents = none();
    let slow = Scene::walk("a").finds(root("resolver-silent", Room::Dns, Severity::Warning));
    for ms in (0..10_000).step_by(1000) {
        let scene = if ms % 5000 == 0 { slow.clone() } else { Scene::look("a") };
        assert!(tell(&mut incidents, &scene, ms).is_empty());
    }
    assert_eq!(tell(&mut incidents, &slow, 10_000), ["opened resolver-silent"]);
}

#[test]
fn it_is_closed_by_a_walk_and_by_staying_well_and_not_by_looks() {
    let mut incidents = opened();
    for ms in (1000..60_000).step_by(1000) {
        assert!(tell(&mut incidents, &Scene::look("a"), ms).is_empty(), "looks prove nothing of the door");
    }
    assert!(tell(&mut incidents, &Scene::walk("a"), 60_000).is_empty());
    assert!(tell(&mut incidents, &Scene::look("a"), 64_999).is_empty());
    assert_eq!(tell(&mut incidents, &Scene::look("a"), 65_000), ["closed port-closed"]);
    let incident = only(&incidents);
    assert!(incident.proof.as_ref().unwrap().contains("a walk by the door"), "{:?}", incident.proof);
    assert_eq!(incident.services["a"].until, Some(at(65_000)));
}

#[test]
fn what_is_unknown_is_neither_well_nor_ill() {
    let mut incidents = opened();
    let mut unknown = Scene::walk("a");
    unknown.unknown = true;
    tell(&mut incidents, &Scene::walk("a"), 1000);
    assert!(tell(&mut incidents, &unknown, 5000).is_empty());
    assert!(tell(&mut incidents, &Scene::look("a"), 7000).is_empty(), "the last walk proved nothing");
    assert!(tell(&mut incidents, &Scene::walk("a"), 10_000).is_empty());
    assert_eq!(tell(&mut incidents, &Scene::walk("a"), 15_000), ["closed port-closed"]);
    assert_eq!(only(&incidents).flaps, 0);
}

#[test]
fn what_looks_saw_and_see_no_more_is_proved_by_a_walk_that_is_asked_for_once() {
    let full = || Scene::look("a").finds(critical("slots-exhausted", Room::Admission));
    let mut incidents = none();
    tell(&mut incidents, &full(), 0);
    assert_eq!(tell(&mut incidents, &full(), 1000), ["opened slots-exhausted"]);
    assert_eq!(tell(&mut incidents, &Scene::look("a"), 2000), ["confirm"]);
    assert!(tell(&mut incidents, &Scene::look("a"), 3000).is_empty());
}

#[test]
fn a_root_that_changes_its_name_is_followed() {
    let mut incidents = none();
    let starting = Scene::walk("a").finds(critical("server-starting", Room::Server));
    let recovering = Scene::walk("a").finds(critical("server-recovering", Room::Server));
    tell(&mut incidents, &starting, 0);
    tell(&mut incidents, &starting, 5);
    assert!(tell(&mut incidents, &recovering, 600).is_empty(), "seen in passing");
    assert!(tell(&mut incidents, &starting, 700).is_empty());
    assert!(tell(&mut incidents, &recovering, 1100).is_empty());
    assert_eq!(tell(&mut incidents, &recovering, 1200), ["updated server-recovering"]);
    let incident = only(&incidents);
    assert_eq!(incident.first_cause(), "server-starting");
    assert_eq!(incident.causes.len(), 2);
    // To and fro: seldom, and never a second incident.
    let mut renamed = 0;
    for second in 2..600 {
        let scene = if second % 2 == 0 { &starting } else { &recovering };
        let said = tell(&mut incidents, scene, second * 1000);
        assert!(said.iter().all(|word| !word.starts_with("opened")), "{said:?}");
        renamed += said.len();
    }
    let incident = only(&incidents);
    assert!(renamed <= 12, "{renamed}");
    assert!(incident.causes.len() <= 12 && incident.flaps == 0, "{incident:?}");
}

#[test]
fn another_root_after_it_was_well_is_another_incident() {
    let mut incidents = opened();
    tell(&mut incidents, &Scene::walk("a"), 1000);
    let refused = Scene::walk("a").finds(critical("hba-rejects", Room::Startup));
    assert_eq!(tell(&mut incidents, &refused, 2000), ["confirm"]);
    assert_eq!(tell(&mut incidents, &refused, 2005), ["opened hba-rejects"]);
    assert_eq!(incidents.open().count(), 2);
}

#[test]
fn independent_roots_are_incidents_of_their_own_and_end_by_themselves() {
    let mut incidents = none();
    let both = || {
        Scene::walk("a")
            .finds(critical("slots-exhausted", Room::Admission))
            .finds(critical("disk-full", Room::Storage))
    };
    tell(&mut incidents, &both(), 0);
    assert_eq!(tell(&mut incidents, &both(), 5), ["opened slots-exhausted", "opened disk-full"]);
    let ids: Vec<_> = incidents.open().map(|i| i.id.clone()).collect();
    assert!(ids.iter().all(|id| id.starts_with("20261126T031209-a-")) && ids[0] != ids[1], "{ids:?}");
    // A process that was started within that second, or another watcher, knows of none of them.
    let mut after = none();
    let again = Scene::walk("a").finds(critical("hba-rejects", Room::Startup));
    tell(&mut after, &again, 6);
    tell(&mut after, &again, 9);
    assert!(!ids.contains(&only(&after).id), "{ids:?}");
    let one = Scene::walk("a").finds(critical("disk-full", Room::Storage));
    assert!(tell(&mut incidents, &one, 5000).is_empty());
    assert_eq!(tell(&mut incidents, &one, 10_000), ["closed slots-exhausted"]);
    assert_eq!(incidents.of("a").count(), 1);
}

#[test]
fn a_warning_that_grows_critical_is_the_same_incident() {
    let mut incidents = none();
    let nearly = Scene::look("a").finds(root("slots-nearly-exhausted", Room::Admission, Severity::Warning));
    for second in 0..3 {
        tell(&mut incidents, &nearly, second * 1000);
    }
    let full = Scene::look("a").finds(critical("slots-exhausted", Room::Admission));
    assert_eq!(tell(&mut incidents, &full, 3000), ["confirm"]);
    assert_eq!(tell(&mut incidents, &full, 3010), ["updated slots-exhausted"]);
    let incident = only(&incidents);
    assert_eq!((incident.severity, incident.cause.as_str()), (Severity::Critical, "slots-exhausted"));
    // A warning of another room is not what broke.
    let mut incidents = none();
    let idle = Scene::look("a").finds(root("idle-sessions", Room::Sessions, Severity::Warning));
    for second in 0..3 {
        tell(&mut incidents, &idle, second * 1000);
    }
    tell(&mut incidents, &down(), 3000);
    assert_eq!(tell(&mut incidents, &down(), 3010), ["opened port-closed"]);
}

#[test]
fn nobody_is_told_of_each_number() {
    let mut incidents = opened();
    let mut said = Vec::new();
    for second in 1..=120 {
        let mut scene = down();
        scene.findings[0].summary = format!("port-closed it is, {second} of 97");
        said.extend(tell(&mut incidents, &scene, second * 1000));
    }
    assert!(said.iter().all(|word| word == "noted port-closed"), "{said:?}");
    assert!((3..=4).contains(&said.len()), "{said:?}");
    let mut scene = down();
    scene.findings[0].summary = "port-closed, and a firewall before it".to_owned();
    assert_eq!(tell(&mut incidents, &scene, 121_000), ["updated port-closed"]);
    assert_eq!(only(&incidents).summary, scene.findings[0].summary);
}

#[test]
fn what_gets_worse_is_said_at_once() {
    let mut incidents = none();
    let warns = Scene::walk("a").finds(root("disk-filling", Room::Storage, Severity::Warning));
    for second in 0..3 {
        tell(&mut incidents, &warns, second * 1000);
    }
    let mut worse = Scene::walk("a").finds(critical("disk-filling", Room::Storage));
    worse.findings[0].confidence = Confidence::Likely;
    assert_eq!(tell(&mut incidents, &worse, 2001), ["updated disk-filling"]);
    let incident = only(&incidents);
    assert_eq!((incident.severity, incident.confidence), (Severity::Critical, Confidence::Certain));
}

#[test]
fn what_comes_back_within_ten_minutes_is_the_same_incident_and_later_another() {
    let mut incidents = opened();
    tell(&mut incidents, &Scene::walk("a"), 1000);
    assert_eq!(tell(&mut incidents, &Scene::walk("a"), 6000), ["closed port-closed"]);
    assert_eq!(tell(&mut incidents, &down(), 600_000), ["confirm"]);
    assert_eq!(tell(&mut incidents, &down(), 600_005), ["updated port-closed"]);
    let incident = only(&incidents);
    assert!(incident.is_open() && incident.flaps == 1 && incident.proof.is_none(), "{incident:?}");
    assert_eq!(incident.since(), at(600_005));
    // It is to stay well for twice as long now.
    tell(&mut incidents, &Scene::walk("a"), 601_000);
    assert!(tell(&mut incidents, &Scene::walk("a"), 610_999).is_empty());
    assert_eq!(tell(&mut incidents, &Scene::walk("a"), 611_000), ["closed port-closed"]);
    incidents.tick(at(1_212_000));
    assert_eq!(incidents.known.len(), 0);
    tell(&mut incidents, &down(), 1_212_000);
    assert_eq!(tell(&mut incidents, &down(), 1_212_005), ["opened port-closed"]);
}

fn act(n: i64, outcome: Option<StepOutcome>) -> Act {
    Act {
        service: "a".to_owned(),
        at: at(n),
        remedy: "terminate-idle-sessions".to_owned(),
        kind: RemedyKind::Sessions,
        target: "20 sessions".to_owned(),
        outcome,
        detail: String::new(),
        record: None,
        by: "policy".to_owned(),
    }
}

#[test]
fn what_was_done_is_kept_and_two_failures_call_a_person() {
    let mut incidents = opened();
    let id = only(&incidents).id.clone();
    for n in 0..60 {
        assert_eq!(incidents.acted(&id, act(n, None), at(n)).len(), 1);
        incidents.acted(&id, act(n, Some(StepOutcome::Failed)), at(n));
    }
    let incident = only(&incidents);
    assert_eq!(incident.actions.len(), Incident::ACTIONS);
    assert!(incident.actions.iter().all(|act| act.outcome.is_some()));
    assert!(incidents.fixed(&id, true, 2, at(100)).is_empty());
    incidents.fixed(&id, false, 2, at(100));
    assert!(!only(&incidents).escalated);
    incidents.fixed(&id, false, 2, at(101));
    let incident = only(&incidents);
    assert!(incident.escalated && incident.held.as_ref().unwrap().starts_with("2 fixes failed"));
}

#[test]
fn a_service_that_is_watched_no_more_ends_without_a_proof_and_says_so() {
    let mut incidents = opened();
    let said = incidents.drop_service("a", at(500));
    assert_eq!(said.iter().map(word).collect::<Vec<_>>(), ["closed port-closed"]);
    assert!(only(&incidents).proof.as_ref().unwrap().contains("nothing proved"));
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let mut incidents = opened();
    let kept = (*only(&incidents)).clone();
    tell(&mut incidents, &Scene::walk("a"), 1000);
    let mut again = none();
    again.restore(vec![kept.clone()], at(2000));
    assert!(tell(&mut again, &down(), 2000).is_empty(), "it is known");
    assert!(tell(&mut again, &Scene::walk("a"), 6000).is_empty(), "well is proved anew");
    assert_eq!(tell(&mut again, &Scene::walk("a"), 11_000), ["closed port-closed"]);
    assert_eq!(only(&again).id, kept.id);
}

#[test]
fn an_incident_that_another_watcher_opened_is_gone_on_with_under_its_id() {
    let mut incidents = opened();
    let mine = only(&incidents).id.clone();
    let mut other = (*only(&incidents)).clone();
    other.id = "20261126T031208-a".to_owned();
    other.opened_at = Timestamp(at(0).0 - 900);
    other.flaps = 3;
    let said = incidents.adopt(&mine, other.clone(), at(20));
    assert_eq!(said.iter().map(word).collect::<Vec<_>>(), ["updated port-closed"]);
    let incident = only(&incidents);
    assert_eq!((&incident.id, incident.opened_at, incident.flaps), (&other.id, other.opened_at, 3));
    assert!(tell(&mut incidents, &down(), 1000).is_empty());
    assert_eq!(incidents.of("a").count(), 1);
    assert_eq!(Scene::walk("a").kind, Kind::Walk);
}

#[test]
fn a_clock_that_is_set_closes_nothing_early_and_holds_nothing_open() {
    for (by, set) in [(3_600_000, Ms(3_600_000.0)), (-3_600_000, Ms(-3_600_000.0))] {
        let mut incidents = opened();
        let before = only(&incidents);
        assert!(tell(&mut incidents, &Scene::walk("a"), 1000).is_empty());
        incidents.shift(set);
        let after = only(&incidents);
        assert_eq!(after.opened_at, before.opened_at.plus(set));
        assert!(tell(&mut incidents, &Scene::walk("a"), by + 2000).is_empty(), "{set}: well for 1 s");
        assert_eq!(tell(&mut incidents, &Scene::walk("a"), by + 6000), ["closed port-closed"], "{set}");
        let closed = only(&incidents);
        assert!((5000..7000).contains(&(closed.closed_at.unwrap().0 - closed.opened_at.0)), "{closed:?}");
    }
}
