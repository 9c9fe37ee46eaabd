//! What the daemon is for: a fault is seen, said once, mended where that is allowed, and over on proof.

use crate::scene::Shop;
use pgmedic_lab::postgres::{ROLE, Stop};
use pgmedic_lab::sessions::{Login, Sessions};
use pgmedic_lab::wait;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[test]
fn a_server_that_dies_is_told_of_at_once_and_over_when_it_is_back() {
    let shop = Shop::new();
    let daemon = shop.watch();
    let metrics = daemon.page("/metrics");
    assert!(metrics.contains("pgmedic_service_up{") && metrics.contains("service=\"shop\""), "{metrics}");
    let killed = Instant::now();
    shop.stop_server();
    let fired = shop.receiver.wait("opened", "");
    let took = fired.at.saturating_duration_since(killed);
    println!("from `pg_ctl stop -m immediate` begun to the alert at the receiver: {took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    let open = daemon.incidents("?state=open");
    assert!(open.iter().any(|i| i["severity"] == "critical" && i["service"] == "shop"), "{open:#?}");
    shop.lab.postgres().up().unwrap();
    shop.receiver.wait("closed", "");
    let over = || daemon.incidents("").iter().all(|i| !i["closed_at"].is_null());
    wait::until_true("all is over", Duration::from_secs(30), over)
        .unwrap_or_else(|error| panic!("{error}\n{:#?}", daemon.incidents("")));
    let told = shop.receiver.told();
    let ids = |change: &str| -> Vec<String> {
        told.iter().filter(|t| t.change == change).map(|t| t.incident["id"].to_string()).collect()
    };
    let (opened, distinct) = (ids("opened"), ids("opened").into_iter().collect::<BTreeSet<_>>());
    assert_eq!(opened.len(), distinct.len(), "each is said once: {:?}", shop.receiver.heads());
    // What it dies of, and the start that follows.
    assert!(distinct.len() <= 2, "{:?}", shop.receiver.heads());
}

/// Sessions of the API that take every ordinary slot, and rest.
fn fill(shop: &Shop) -> Sessions {
    let login = Login::of_api(shop.lab.postgres()).named("renderflow-api").by(ROLE);
    let sessions = Sessions::fill(shop.lab.postgres(), &login).unwrap();
    sessions.wait_age(Duration::from_millis(150)).unwrap();
    sessions
}

/// Full, or all but: the watch's own walk may be in the last slot.
fn of_slots(incident: &serde_json::Value) -> bool {
    ["slots-exhausted", "slots-nearly-exhausted"].iter().any(|cause| incident["cause"] == *cause)
}

const POLICY: &str = "auto = [\"sessions\"]\nidle_after = \"100ms\"\nkeep_free = \"40%\"";

#[test]
fn slots_that_are_taken_are_freed_by_the_policy_through_the_standing_session() {
    let shop = Shop::with_slots(20);
    shop.configure("", POLICY, "");
    let daemon = shop.watch();
    let begun = Instant::now();
    let _sessions = fill(&shop);
    let mended = daemon.wait_incident("a remedy applied", |i| {
        of_slots(i)
            && i["actions"].as_array().is_some_and(|a| a.iter().any(|act| act["outcome"] == "applied"))
    });
    println!("from the first of the sessions to a remedy applied and told: {:?}", begun.elapsed());
    let act = &mended["actions"][0];
    assert_eq!(
        (act["remedy"].as_str(), act["by"].as_str()),
        (Some("terminate-idle-sessions"), Some("policy"))
    );
    daemon.wait_incident("the incident closed", |i| of_slots(i) && !i["closed_at"].is_null());
    let free: u32 = shop.lab.postgres().value("select 23 - 3 - count(*) from pg_stat_activity where backend_type = 'client backend' and application_name = 'renderflow-api'").unwrap().parse().unwrap();
    assert!(free >= 8, "{free} slots are free of 20");
    // Counted when the fix has proved it.
    let counted = || daemon.page("/metrics").contains("terminate-idle-sessions");
    wait::until_true("the remedy is counted", Duration::from_secs(30), counted).unwrap();
}

#[test]
fn a_pause_and_the_stop_file_hold_its_hands_and_are_let_go_of_at_once() {
    let shop = Shop::with_slots(20);
    shop.configure("", POLICY, "");
    let daemon = shop.watch();
    let paused = shop.place.run(&["pause", "shop", "--for", "1h", "--reason", "migration"]);
    assert_eq!(paused.exit, Some(0), "{}", paused.all());
    let stop = shop.place.path().join(".local/state/pgmedic/watch.stop");
    std::fs::write(&stop, "").unwrap();
    let sessions = fill(&shop);
    daemon.wait_line("held", "stop file");
    std::fs::remove_file(&stop).unwrap();
    daemon.wait_line("held", "paused by");
    let status = daemon.page("/api/v1/services/shop");
    assert!(status.contains("paused"), "{status}");
    assert!(daemon.incidents("").iter().all(|i| i["actions"].as_array().unwrap().is_empty()));
    sessions.run("select 1").unwrap();
    let resumed = shop.place.run(&["resume", "shop"]);
    assert_eq!(resumed.exit, Some(0), "{}", resumed.all());
    daemon.wait_incident("a remedy applied", |i| {
        i["actions"].as_array().is_some_and(|a| a.iter().any(|act| act["outcome"] == "applied"))
    });
}

#[test]
fn what_is_not_allowed_is_done_when_a_person_approves_it() {
    let shop = Shop::with_slots(20);
    shop.configure("", "idle_after = \"100ms\"\nkeep_free = \"40%\"", "");
    let daemon = shop.watch();
    let _sessions = fill(&shop);
    let held = daemon.wait_incident("slots that are taken", |i| of_slots(i) && i["held"].is_string());
    let id = held["id"].as_str().unwrap();
    let approve = |remedy: &str| {
        daemon
            .ask(
                "POST",
                &format!("/api/v1/incidents/{id}/approve"),
                &format!("{{\"remedy\":\"{remedy}\",\"by\":\"ann\"}}"),
            )
            .unwrap()
    };
    assert_eq!(approve("restart-database").0, 409, "no remedy of this incident that pgmedic can apply");
    let (status, said) = approve("terminate-idle-sessions");
    assert!(status == 200 || status == 202, "{status}: {said}");
    let mended = daemon.wait_incident("the remedy applied", |i| {
        i["actions"].as_array().is_some_and(|a| a.iter().any(|act| act["outcome"] == "applied"))
    });
    assert_eq!(mended["actions"][0]["by"], "ann");
    shop.lab.postgres().stop(Stop::Fast).unwrap();
}
