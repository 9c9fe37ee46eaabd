//! A forecast from the daemon's history, through the real binary: the store is filled by its own handle with walks as they
//! were seen over two hours, and one audit tells from it. Not in here: that the daemon fills it (`tests/watch/history.rs`).

use crate::scene::{Scene, finding};
use crate::support::closed_port;
use pgmedic_lab::Parts;
use pgmedic_lab::postgres::ROLE;
use pgmedic_model::{Ms, Timestamp};
use pgmedic_path::Evidence;
use pgmedic_path::audit::growth::look;
use pgmedic_path::evidence::{QueryOutcome, Seen as Shown};
use pgmedic_watch::board::Board;
use pgmedic_watch::clock::Clock;
use pgmedic_watch::seen::{Kind, Seen};
use pgmedic_watch::settings::StoreAt;
use pgmedic_watch::store::{Keep, Store};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

const MINUTES: i64 = 120;
/// The forecast may be off by this part of the time that was left.
const OFF: f64 = 0.1;

/// The configuration, with that store.
fn configure(scene: &Scene, store: &str) {
    scene.configure("", ROLE, &format!("\n[watch]\nstore = \"{store}\""));
}

/// What a check of the service sees.
fn checked(scene: &Scene) -> Evidence {
    let ran = scene.place.run(&["check", "renderflow", "--record", "walk.json"]);
    let text = std::fs::read_to_string(scene.place.path().join("walk.json"));
    serde_json::from_str(&text.unwrap_or_else(|error| panic!("{error}: {}", ran.all()))).unwrap()
}

/// How much of the data's volume is used, and how much is left.
fn data(e: &Evidence) -> (f64, f64) {
    let all = look(e).seen;
    let volume = all.iter().find(|q| q.subject.starts_with("data volume"));
    let volume = volume.unwrap_or_else(|| panic!("the data's volume is seen: {all:?}"));
    (volume.value, volume.limit.unwrap() - volume.value)
}

/// The walk as it was seen so many minutes before, when so many bytes fewer were used.
fn before(now: &Evidence, minutes: i64, fewer: u64) -> Seen {
    let mut e = now.clone();
    let back = |at: &mut Timestamp| at.0 -= minutes * 60_000;
    back(&mut e.started_at);
    if let Shown::Seen(host) = &mut e.host {
        back(&mut host.at);
        for volume in &mut host.volumes {
            volume.measured_at.iter_mut().for_each(back);
            volume.available_bytes += fewer;
        }
    }
    if let Some(query) = &mut e.front.query {
        back(&mut query.at);
        if let QueryOutcome::Answered(facts) = &mut query.outcome {
            facts.storage.database_bytes =
                facts.storage.database_bytes.map(|bytes| bytes.saturating_sub(fewer));
        }
    }
    let report = pgmedic_path::report(&e, Vec::new());
    Seen {
        service: Arc::from(e.service.as_str()),
        at: e.started_at,
        kind: Kind::Walk,
        lag: Ms(0.0),
        report: Arc::new(report),
        evidence: Arc::new(e),
    }
}

/// Two hours of the daemon's walks up to now, a minute apart, each with so many bytes more than the one before.
fn fill(scene: &Scene, now: &Evidence, a_minute: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (day, limit) = (Duration::from_secs(86_400), 64 << 20);
        let at = StoreAt::Sqlite(scene.place.path().join("history.db"));
        let keep = Keep { incidents: day, looks: day, limit };
        let store = Store::open(&at, keep, "test", Clock::System, Board::default()).await.unwrap();
        for minutes in (1..=MINUTES).rev() {
            store.looked(&before(now, minutes, minutes.unsigned_abs() * a_minute));
        }
        assert_eq!(store.close(Duration::from_secs(5)).await, 0);
    });
}

/// The forecast of the data's volume. An audit looks more closely than a watch, and names it by its mount.
fn of(report: &Value) -> &Value {
    let all = report["forecast"].as_array().unwrap();
    let is_data = |f: &&Value| f["subject"].as_str().unwrap().starts_with("data volume");
    all.iter().find(is_data).unwrap_or_else(|| panic!("no data volume in {all:#?}"))
}

#[test]
fn one_audit_tells_when_the_volume_is_full_from_what_watch_saw() {
    let scene = Scene::new(Parts::default());
    configure(&scene, "history.db");
    let ran = scene.run(&["--format", "json"]);
    assert!(ran.stderr.contains("history.db") && ran.stderr.contains("it is not there"), "{}", ran.stderr);
    let now = checked(&scene);
    let (used, left) = data(&now);
    let report = ran.json();
    assert_eq!(of(&report)["says"], "one look tells no rate");
    assert_eq!(of(&report)["watch_looks"], 0);

    // So that less is used before, and it is full within days.
    let a_minute = ((used / 2.0).min(left / 3.0) / MINUTES as f64) as u64;
    fill(&scene, &now, a_minute);
    let report = scene.audit(&[]);
    let said = of(&report);
    println!("{} ({}); from {}", said["says"], said["confidence"], said["rests_on"]);
    assert_eq!((said["confidence"].as_str(), said["watch_looks"].as_u64()), (Some("likely"), Some(120)));
    assert_eq!(said["rests_on"], "2.0 h of watch's history, 120 looks, and this one");
    let [ends, began] = [&said["ends_at"], &report["started_at"]]
        .map(|at| at.as_str().unwrap().parse::<Timestamp>().unwrap());
    let left_now = said["limit"].as_f64().unwrap() - said["value"].as_f64().unwrap();
    let truth = left_now / a_minute as f64 * 60_000.0;
    let off = (ends.0 - began.0) as f64 / truth - 1.0;
    println!("in {:.1} h, off by {:.2} %", truth / 3_600_000.0, off * 100.0);
    assert!(off.abs() <= OFF, "off by {off}: {said:#}");
    assert!(finding(&report, "fills-soon")["summary"].as_str().unwrap().starts_with("data volume"));

    let human = scene.run(&[]);
    assert_eq!(human.stderr, "");
    let words = human.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("; from 2.0 h of watch's history, 120 looks, and this one"), "{words}");
    let report = scene.audit(&["--watch-for", "2s"]);
    let said = of(&report);
    assert_eq!(said["rests_on"], "2.0 h of watch's history, 120 looks, and 3 of this audit");

    // A recording has it with it, and is told from alike.
    scene.run(&["--record", "audit.json"]);
    let again = scene.place.run(&["audit", "--replay", "audit.json", "--format", "json"]).json();
    assert_eq!(of(&again)["watch_looks"], 120);
}

#[test]
fn a_store_that_cannot_be_read_is_said_and_the_audit_goes_on() {
    let scene = Scene::new(Parts::default());
    // None was named, and there is none.
    assert_eq!(scene.run(&[]).stderr, "");
    let closed = format!("postgres://u:hidden@127.0.0.1:{}/d", closed_port());
    let ways = [
        ("memory", "the daemon keeps its history in memory"),
        ("walk.json", "it is not there"),
        (&closed, "Connection refused"),
        ("env:NOT_SET_ANYWHERE", "NOT_SET_ANYWHERE"),
    ];
    scene.place.write("walk.json", "somebody's");
    for (store, why) in ways {
        configure(&scene, store);
        let ran = scene.run(&["--format", "json"]);
        assert!(ran.stderr.contains(why), "{store}: {}", ran.stderr);
        assert!(ran.stderr.contains("the forecast is without watch's history"), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        assert!(!ran.all().contains("hidden") && ran.json()["forecast"].is_array(), "{}", ran.all());
    }
}
