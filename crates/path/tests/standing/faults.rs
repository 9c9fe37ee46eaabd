//! What becomes of it, and what it tells, when something dies.

use crate::relay::Relay;
use crate::scene::{Scene, TIMEOUT, soon};
use crate::scripted::{Act, Peer, admitted, said};
use pgmedic_lab::postgres::{Postgres, ROLE, Stop};
use pgmedic_lab::sessions::{Login, Sessions};
use pgmedic_lab::{Parts, PoolerSize};
use pgmedic_model::{Finding, Severity};
use pgmedic_path::evidence::{QueryOutcome, RouteEvidence};
use pgmedic_path::standing::{Depth, Kept, Odd, Standing, Word, odd};
use pgmedic_path::{Evidence, Service, diagnose};
use rustix::process::Signal;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Does something to the server, and gives what was heard and how long after.
fn heard(scene: &Scene, act: impl FnOnce(&Postgres) + Send + 'static) -> (Word, Duration) {
    let postgres = Arc::clone(scene.server.lab().postgres());
    let begun = Arc::new(Mutex::new(None));
    let note = Arc::clone(&begun);
    let actor = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        *note.lock().unwrap() = Some(Instant::now());
        act(&postgres);
    });
    let word = scene.run(async {
        tokio::time::timeout(Duration::from_secs(10), scene.standing().ended()).await.expect("heard")
    });
    let after = begun.lock().unwrap().expect("begun").elapsed();
    actor.join().unwrap();
    (word, after)
}

fn codes(word: &Word) -> Vec<&str> {
    word.said.iter().filter_map(|e| e.code.as_ref()).map(|c| c.as_str()).collect()
}

fn finding(e: &Evidence, cause: &str) -> Finding {
    let found = diagnose(e);
    let names: Vec<_> = found.iter().map(|f| f.cause.clone()).collect();
    found.into_iter().find(|f| f.cause == cause).unwrap_or_else(|| panic!("{cause} among {names:?}"))
}

fn cites_it(finding: &Finding) -> bool {
    finding.evidence.iter().any(|fact| fact.fact.starts_with("standing: "))
}

const AT_ONCE: Duration = Duration::from_millis(100);

#[test]
fn a_server_that_is_stopped_is_heard_at_once_and_its_word_is_cited() {
    for how in [Stop::Fast, Stop::Immediate] {
        let scene = Scene::new("monitor").opened();
        let (word, after) = heard(&scene, move |postgres| postgres.stop(how).unwrap());
        assert!(after < AT_ONCE, "{how:?}: {after:?}");
        assert!(codes(&word).contains(&"57P01"), "{how:?}: {word:?}");
        assert!(!scene.standing().is_open() || word.open);
        let e = scene.walk();
        assert!(cites_it(&finding(&e, "stopped-by-administrator")), "{how:?}");
        assert!(matches!(scene.keep(), Kept::Refused(_)));
        scene.server.lab().postgres().up().unwrap();
        assert!(matches!(scene.keep(), Kept::Opened));
        assert!(diagnose(&scene.look(&scene.walk())).is_empty(), "what it heard is past");
    }
}

#[test]
fn a_server_that_is_killed_is_heard_at_once() {
    let scene = Scene::new("monitor").opened();
    let (word, after) = heard(&scene, |postgres| postgres.signal(Signal::KILL).unwrap());
    assert!(after < AT_ONCE, "{after:?}");
    assert!(!word.open, "{word:?}");
    let e = scene.walk();
    let down = finding(&e, "server-down");
    assert!(cites_it(&down) || word.said.is_empty(), "{:?}", down.evidence);
}

#[test]
fn a_crash_of_another_backend_is_heard_at_once_and_is_the_cause() {
    let scene = Scene::new("monitor").opened();
    let postgres = scene.server.lab().postgres();
    let other = Sessions::open(postgres, &Login::of_api(postgres), 1).unwrap();
    let pid =
        scene.server.value("select pid from pg_stat_activity where application_name = 'renderflow-api'");
    let pid: u32 = pid.parse().unwrap();
    let (word, after) = heard(&scene, move |_| pgmedic_lab::process::send(pid, Signal::KILL).unwrap());
    assert!(after < AT_ONCE, "{after:?}");
    assert!(codes(&word).contains(&"57P02"), "{word:?}");
    postgres.wait_ready().unwrap();
    let crashed = finding(&scene.walk(), "backend-crashed");
    assert!(cites_it(&crashed), "{:?}", crashed.evidence);
    assert_eq!(crashed.severity, Severity::Warning, "the server lets everybody in again");
    drop(other);
}

#[test]
fn an_end_of_its_own_is_no_failure_of_the_service() {
    let scene = Scene::new("monitor").opened();
    let (word, after) = heard(&scene, |postgres| {
        let sql = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgmedic'";
        postgres.sql(sql).unwrap();
    });
    assert!(after < AT_ONCE && !word.open, "{after:?} {word:?}");
    let e = scene.walk();
    assert!(diagnose(&e).is_empty(), "{:?}", diagnose(&e));
    let standing: &RouteEvidence = e.standing.get().unwrap();
    assert!(
        matches!(standing.query.as_ref().unwrap().outcome, QueryOutcome::Error(_)) && !standing.admitted()
    );
    assert!(matches!(scene.keep(), Kept::Opened) && matches!(scene.keep(), Kept::Open));
    assert_eq!(scene.own(), 1);
}

#[test]
fn it_tells_while_the_postmaster_is_stopped() {
    let scene = Scene::new("monitor").opened();
    let last = scene.walk();
    let postgres = scene.server.lab().postgres();
    postgres.signal(Signal::STOP).unwrap();
    let e = scene.walk();
    let now = scene.look(&last);
    postgres.signal(Signal::CONT).unwrap();
    assert!(!e.front.admitted() && e.facts().is_some(), "{:?}", e.standing);
    assert!(now.standing.get().is_some_and(|r| r.facts().is_some()));
    finding(&e, "server-hung");
}

#[test]
fn a_network_that_falls_silent_costs_one_session_and_none_is_left_behind() {
    let scene = Scene::new("monitor");
    let relay = Relay::to(scene.server.lab().postgres().port());
    let mut service = scene.service.clone();
    service.target.port = relay.port;
    let scene = Scene { service, ..scene }.opened();
    let last = scene.walk();
    relay.mute(true);
    let from = Instant::now();
    let now = scene.look(&last);
    assert!(from.elapsed() < Duration::from_millis(1400), "{:?}", from.elapsed());
    assert!(matches!(now.standing.get().unwrap().query.as_ref().unwrap().outcome, QueryOutcome::Silent));
    assert!(odd(&last, &now).contains(&Odd::Session));
    let word = scene.run(async { tokio::time::timeout(TIMEOUT, scene.standing().ended()).await.unwrap() });
    assert!(!word.open && !scene.standing().is_open());
    assert_eq!(scene.own(), 1, "the server does not know yet");
    relay.mute(false);
    assert!(matches!(scene.keep(), Kept::Opened));
    let count = "select 1 from pg_stat_activity where application_name = 'pgmedic'";
    scene.server.wait_until(count, 1);
    assert!(diagnose(&scene.look(&scene.walk())).is_empty());
}

#[test]
fn through_a_pooler_nothing_is_prepared_and_all_is_told() {
    let parts = Parts { pooler: Some(PoolerSize { pool: 5, clients: 50 }), ..Parts::default() };
    let mut scene = Scene::of(parts, ROLE);
    scene.service.direct = None;
    let scene = scene.opened();
    let last = scene.walk();
    for _ in 0..3 {
        let now = scene.look(&last);
        let facts = now.standing.get().unwrap().facts().expect("told");
        assert!(facts.crowd.is_none(), "a brief account is prepared");
    }
    let prepared =
        scene.server.lab().postgres().value("select count(*) from pg_prepared_statements").unwrap();
    assert_eq!(prepared, "0");
}

#[tokio::test]
async fn a_flood_that_nobody_asked_for_ends_it_within_bounds() {
    let notice = said(b'N', "NOTICE", "00000", &"x".repeat(1000));
    let peer = Peer::new(vec![vec![Act::Read, Act::Send(admitted()), Act::Read, Act::Forever(notice)]]).await;
    let service = Service { standing: Some(Arc::new(Standing::new())), ..peer.service() };
    let standing = service.standing.as_deref().unwrap();
    let kept = standing.keep(&service, soon(1000)).await;
    assert!(!matches!(kept, Kept::Open), "{kept:?}");
    let look = standing.look(&service.policy, Depth::Whole, soon(500)).await;
    assert!(look.get().is_none_or(|route| route.facts().is_none()));
    let flood = said(b'N', "NOTICE", "00000", "x");
    let settle = [b"C\0\0\0\x0dSELECT 0\0".to_vec(), b"Z\0\0\0\x05I".to_vec()].concat();
    let peer = Peer::new(vec![vec![
        Act::Read,
        Act::Send(admitted()),
        Act::Read,
        Act::Send(settle),
        Act::Forever(flood),
    ]])
    .await;
    let service = Service { standing: Some(Arc::new(Standing::new())), ..peer.service() };
    let standing = service.standing.as_deref().unwrap();
    assert!(matches!(standing.keep(&service, soon(1000)).await, Kept::Opened));
    let mut words = 0;
    loop {
        let word =
            tokio::time::timeout(Duration::from_secs(5), standing.ended()).await.expect("it is given up");
        words += word.said.len();
        if !word.open {
            break;
        }
    }
    assert!(words <= 100 && !standing.is_open(), "{words}");
}
