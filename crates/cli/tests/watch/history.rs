//! What the daemon has seen of what grows is there for an audit: while it runs, and after it has ended.

use crate::scene::Shop;
use pgmedic_lab::wait;
use rustix::process::Signal;
use serde_json::Value;
use std::time::Duration;

/// The forecasts of an audit.
fn forecasts(shop: &Shop) -> Vec<Value> {
    let ran = shop.place.run(&["audit", "shop", "--format", "json"]);
    assert_eq!(ran.stderr, "");
    ran.json()["forecast"].as_array().unwrap().clone()
}

#[test]
fn an_audit_has_the_walks_of_the_daemon_while_it_runs_and_after_it_has_ended() {
    let shop = Shop::new();
    assert!(forecasts(&shop).iter().all(|f| f["watch_looks"] == 0 && f["rests_on"] == "one look"));
    let daemon = shop.watch();
    let told = |all: &[Value]| all.iter().any(|f| f["watch_looks"] == 1);
    let age = |all: &[Value]| {
        let of_age = |f: &&Value| f["subject"].as_str().unwrap().starts_with("transaction age");
        all.iter().find(of_age).unwrap_or_else(|| panic!("{all:#?}")).clone()
    };
    wait::until("a sample of the daemon's", Duration::from_secs(30), || {
        let all = forecasts(&shop);
        Ok(if told(&all) { Ok(()) } else { Err(format!("{all:#?}")) })
    })
    .unwrap_or_else(|error| panic!("{error}"));
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().0.success());
    let all = forecasts(&shop);
    let words = age(&all)["rests_on"].as_str().unwrap().to_owned();
    assert!(words.ends_with(" of watch's history, one look, and this one"), "{words}");
    println!("{words}");
}
