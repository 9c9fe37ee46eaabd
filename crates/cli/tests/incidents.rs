//! `pgmedic incidents` on a store that the daemon's own code wrote, beside the record of `pgmedic fix`: the real binary, while
//! the store is open and after it was closed. Not in here: how a store is read (`pgmedic-watch`'s tests), writing the record
//! (`fix_safety`).

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use pgmedic_model::{Action, RemedyKind, Report, StepOutcome, Timestamp};
use pgmedic_path::journal::{Event, Journal};
use pgmedic_watch::board::Board;
use pgmedic_watch::clock::Clock;
use pgmedic_watch::incident::{Act, Incident, Named};
use pgmedic_watch::settings::StoreAt;
use pgmedic_watch::store::{Keep, Put, Store};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use support::{Place, Ran, obeys};
use tokio::runtime::Runtime;

const CONFIG: &str = "[watch]\nstore = \"here/history.db\"\n[[service]]\nname = \"shop\"\ndatabase = \"postgres://u@127.0.0.1:1/d\"\n";
/// 2026-01-01 00:00:00 UTC.
const START: i64 = 1_767_225_600_000;
const OPEN: &str = "20260101T000000-shop";
const CLOSED: &str = "20260101T010000-shop";

/// A folder with a configuration, a record and a store.
struct Scene {
    place: Place,
    runtime: Runtime,
}

impl Scene {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let place = Place::new();
        place.write("pgmedic.toml", CONFIG);
        Self { place, runtime: runtime.unwrap() }
    }

    fn state(&self) -> PathBuf {
        self.place.path().join("state")
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let state = self.state().display().to_string();
        self.place.run_with(&[("PGMEDIC_STATE", &state)], arguments)
    }

    fn shows(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!((ran.exit, ran.stderr.as_str()), (Some(0), ""), "{}", ran.all());
        ran.stdout
    }

    /// The store, open, with these in it.
    fn store(&self, incidents: &[Incident]) -> Store {
        let day = Duration::from_secs(86_400);
        let keep = Keep { incidents: day * 90, looks: day, limit: 64 << 20 };
        let at = StoreAt::Sqlite(self.place.path().join("here/history.db"));
        self.runtime.block_on(async {
            let store = Store::open(&at, keep, "one", Clock::System, Board::default()).await.unwrap();
            for incident in incidents {
                let put = store.put(Arc::new(incident.clone()), Vec::new(), Duration::from_secs(5)).await;
                assert_eq!(put, Put::Kept);
            }
            store
        })
    }

    /// A fix on the record, closed well.
    fn fix(&self, id: &str) {
        let mut journal = Journal::open(&self.state(), "shop", "home").unwrap();
        let events = [
            Event::Opened { causes: vec!["proxy-hung".to_owned()], report: Box::new(report()) },
            Event::Intent {
                step: 1,
                remedy: "restart-proxy".to_owned(),
                kind: RemedyKind::ProxyRestart,
                cause: "proxy-hung".to_owned(),
                target: "the proxy".to_owned(),
                action: Action::RestartProxy,
                on: None,
            },
            Event::Outcome {
                step: 1,
                outcome: StepOutcome::Applied,
                detail: "restarted".to_owned(),
                sessions: Vec::new(),
                request_ids: vec!["r-17".to_owned()],
                undo: None,
            },
            Event::Closed { recovered: true, summary: "well for 5 s".to_owned(), report: Box::new(report()) },
        ];
        for event in events {
            journal.append(id, event).unwrap();
        }
    }
}

fn report() -> Report {
    serde_json::from_value(json!({
        "schema": "pgmedic.report/1", "service": "shop", "target": "postgres://u@db/d",
        "started_at": Timestamp(START), "elapsed_ms": 12.5, "status": "critical", "path": [], "findings": [],
        "unseen": []
    }))
    .unwrap()
}

fn incident(id: &str, opened: i64) -> Incident {
    let at = Timestamp(START + opened);
    let named =
        |cause: &str, at, summary: &str| Named { cause: cause.to_owned(), at, summary: summary.to_owned() };
    serde_json::from_value(json!({
        "schema": Incident::SCHEMA, "id": id, "cause": "proxy-hung", "room": "proxy", "severity": "critical",
        "confidence": "certain", "summary": "the proxy hangs", "service": "shop",
        "services": {"shop": {"since": at, "until": null, "summary": "the proxy hangs", "cause": "proxy-hung"}},
        "opened_at": at, "updated_at": Timestamp(at.0 + 4000), "closed_at": null, "flaps": 0, "evidence": [],
        "remedies": [], "actions": [], "report": report(),
        "causes": [named("proxy-silent", at, "the proxy | says nothing"), named("proxy-hung", Timestamp(at.0 + 2000), "it hangs")],
    }))
    .unwrap()
}

/// One that was mended and closed on proof; its act names the record.
fn mended(record: &str) -> Incident {
    let mut i = incident(CLOSED, 3_600_000);
    let at = i.opened_at;
    i.actions.push(Act {
        service: "shop".to_owned(),
        at: Timestamp(at.0 + 3000),
        remedy: "restart-proxy".to_owned(),
        kind: RemedyKind::ProxyRestart,
        target: "the proxy".to_owned(),
        outcome: Some(StepOutcome::Applied),
        detail: "restarted".to_owned(),
        record: Some(record.to_owned()),
        by: "policy".to_owned(),
    });
    i.closed_at = Some(Timestamp(at.0 + 9000));
    i.proof = Some("a walk by the door \u{1b}[31m".to_owned());
    i
}

/// The lines that hold it, by their place.
fn place_of(text: &str, what: &str) -> usize {
    let places: Vec<_> = text.lines().enumerate().filter(|(_, line)| line.contains(what)).collect();
    assert_eq!(places.len(), 1, "{what:?} in {text}");
    places[0].0
}

#[test]
fn both_are_listed_by_time_and_a_fix_stands_once_below_the_incident_that_names_it() {
    let scene = Scene::new();
    scene.fix("of-the-daemon");
    scene.fix("by-hand");
    let bare = scene.place.write("bare.toml", &CONFIG.replace("store = \"here/history.db\"", ""));
    let before = scene.shows(&["incidents", "--format", "json", "--config", &bare]);
    let store = scene.store(&[incident(OPEN, 0), mended("of-the-daemon")]);
    let list = scene.shows(&["incidents"]);
    let places = [OPEN, CLOSED, "fix of-the-daemon", "by-hand"].map(|what| place_of(&list, what));
    assert_eq!(places, [0, 1, 2, 3], "{list}");
    assert!(list.contains(&format!("{OPEN}  open  proxy-hung  shop: the proxy hangs")), "{list}");
    assert!(list.contains(&format!("{CLOSED}  closed  ")), "{list}");
    let table = scene.shows(&["incidents", "list", "--format", "markdown"]);
    assert!(table.contains(&format!("| {OPEN} | shop | proxy-hung | open | the proxy hangs |\n")), "{table}");
    assert_eq!(place_of(&table, "| fix of-the-daemon |"), place_of(&table, CLOSED) + 1);
    // The document is as it was, with the daemon's besides.
    let mut document: serde_json::Value =
        serde_json::from_str(&scene.shows(&["incidents", "--format", "json"])).unwrap();
    let watched = document.as_object_mut().unwrap().remove("watched").unwrap();
    assert_eq!(document, serde_json::from_str::<serde_json::Value>(&before).unwrap());
    assert_eq!([&watched[0]["id"], &watched[1]["id"]], [OPEN, CLOSED]);
    obeys("incident.schema.json", &watched[0]);
    scene.runtime.block_on(store.close(Duration::from_secs(5)));
    assert_eq!(scene.shows(&["incidents"]), list, "without a daemon it is the same");
}

#[test]
fn the_post_mortem_tells_in_order_what_happened_by_whom_and_what_proved_it() {
    let scene = Scene::new();
    scene.fix("of-the-daemon");
    let store = scene.store(&[incident(OPEN, 0), mended("of-the-daemon")]);
    let page = scene.shows(&["incidents", "show", &CLOSED[..12], "--format", "markdown"]);
    let told = [
        "# Incident 20260101T010000-shop",
        "- Opened: 2026-01-01T01:00:00",
        "- Record of `pgmedic fix`: of-the-daemon",
        "## What was found",
        "## Timeline",
        "opened for shop: proxy-silent: the proxy \\| says nothing",
        "named proxy-hung now: it hangs",
        "restart-proxy on the proxy for shop, by policy: applied: restarted",
        " closed",
        "proof: a walk by the door \\u{1b}[31m",
        "- `pgmedic explain proxy-silent`",
        "- `pgmedic explain proxy-hung`",
    ];
    let mut rest = page.as_str();
    for what in told {
        rest = rest.split_once(what).unwrap_or_else(|| panic!("{what:?} is not where it belongs: {page}")).1;
    }
    assert_eq!(page.matches(": applied: ").count(), 1, "told once: {page}");
    place_of(&page, "restart-proxy on the proxy: requests r-17");
    let screen = scene.shows(&["incidents", "show", CLOSED]);
    assert!(screen.starts_with(&format!("{CLOSED}  closed  ")) && !screen.contains('\u{1b}'), "{screen}");
    let open = scene.shows(&["incidents", "show", OPEN, "--format", "markdown"]);
    assert!(
        open.contains("- Outcome: open") && open.contains("## What is still wrong\n\n- proxy-hung"),
        "{open}"
    );
    drop(store);
}

#[test]
fn one_is_shown_by_a_prefix_that_is_unique_among_both() {
    let scene = Scene::new();
    scene.fix("20260101T010000-shop-fix");
    scene.fix("20260101T000000-other");
    let store = scene.store(&[incident(OPEN, 0), mended("20260101T010000-shop-fix")]);
    // What stands below it does not stand in its way, and has its own page by its own name.
    let shown = scene.shows(&["incidents", "show", "20260101T01", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(document["watched"][0]["id"], CLOSED);
    assert_eq!(document["watched"][0]["report"]["schema"], "pgmedic.report/1");
    assert_eq!(document["incidents"][0]["id"], "20260101T010000-shop-fix");
    let own = scene.shows(&["incidents", "show", "20260101T010000-shop-f"]);
    assert!(own.starts_with("20260101T010000-shop-fix  mended"), "{own}");
    for (prefix, why) in [
        ("20260101T00", "several incidents begin with"),
        ("2026", "several incidents begin with"),
        ("2027", "no incident \"2027\""),
    ] {
        let ran = scene.run(&["incidents", "show", prefix]);
        assert!(ran.exit == Some(64) && ran.stderr.contains(why), "{prefix}: {}", ran.all());
    }
    // The newest: fixes were recorded just now.
    assert!(scene.shows(&["incidents", "show"]).starts_with("20260101T000000-other"));
    drop(store);
}

#[test]
fn without_a_store_it_is_said_in_a_line_and_the_record_is_shown() {
    let scene = Scene::new();
    scene.fix("by-hand");
    let all = |text: &str| {
        scene.place.write("pgmedic.toml", text);
        let ran = scene.run(&["incidents"]);
        assert!(ran.exit == Some(0) && ran.stdout.starts_with("by-hand  mended"), "{}", ran.all());
        ran.stderr
    };
    let one_line = |text: &str, why: &str| {
        let said = all(text);
        assert!(said.lines().count() == 1 && said.contains(why), "{said}");
    };
    one_line(CONFIG, "it is not there: pgmedic watch makes it; without the daemon's incidents");
    assert!(!scene.place.path().join("here").exists(), "nor is it now");
    one_line(&CONFIG.replace("here/history.db", "memory"), "in memory");
    let port = support::closed_port();
    let url = format!("postgres://u:hidden@127.0.0.1:{port}/d?sslmode=disable");
    let said = all(&CONFIG.replace("here/history.db", &url));
    assert!(said.lines().count() == 1 && said.contains("could not tell of incidents"), "{said}");
    assert!(!said.contains("hidden"), "{said}");
    one_line("[watch]\nstor = 1\n", "without the daemon's incidents");
    assert_eq!(all(&CONFIG.replace("store = \"here/history.db\"", "")), "", "no daemon has been here");
    let ran = scene.run(&["incidents", "--config", "nowhere.toml"]);
    assert!(ran.exit == Some(78) && ran.stderr.contains("nowhere.toml"), "{}", ran.all());
}

#[test]
fn a_store_in_use_is_not_touched_by_it() {
    let scene = Scene::new();
    let store = scene.store(&[incident(OPEN, 0)]);
    let contents = || {
        let files = std::fs::read_dir(scene.place.path().join("here")).unwrap().map(|f| f.unwrap().path());
        let mut all: Vec<_> = files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
        all.sort();
        all
    };
    let before = contents();
    assert!(before.len() >= 4, "the file, its log, its index, its lock");
    assert!(scene.shows(&["incidents", "show"]).starts_with(OPEN));
    assert!(contents() == before, "a byte of it changed, or a file");
    let again =
        scene.runtime.block_on(store.put(Arc::new(mended("none")), Vec::new(), Duration::from_secs(5)));
    assert_eq!(again, Put::Kept);
}
