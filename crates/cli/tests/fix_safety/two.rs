//! Two pgmedics on one incident: on one host the second does nothing and says why; on two, which know nothing of each other,
//! no more is done to sessions than one would do.

use crate::api::Api;
use crate::scene::{Shop, ended, held};
use crate::support::obeys;
use pgmedic_lab::postgres::ROLE;
use pgmedic_lab::sessions::Sessions;
use pgmedic_lab::wait;
use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn on_one_host_the_second_does_nothing_and_says_so() {
    let shop = Shop::new();
    let api = Api::of(&shop, "touch begun; while [ ! -e go ]; do sleep 0.02; done");
    let mut first = shop.command(&["--yes", "--allow", "app-restart", "--format", "json"]);
    let first = first.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait::until_true("the first's step", Duration::from_secs(10), || api.file("begun").exists()).unwrap();
    let second = shop.fix(&["--allow", "app-restart"]);
    assert_eq!(second.exit, Some(1), "{}", second.all());
    let document = second.json();
    obeys("error.schema.json", &document);
    assert!(
        document["error"].as_str().unwrap().contains("another pgmedic is mending shop now"),
        "{document:#}"
    );
    let human = shop.place.run(&["fix", "shop", "--yes", "--allow", "app-restart"]);
    assert_eq!(human.exit, Some(1));
    assert!(human.stderr.contains("another pgmedic") && !human.stdout.contains("doing"), "{}", human.all());
    std::fs::write(api.file("go"), "").unwrap();
    let first = held(first.wait_with_output().unwrap().into());
    assert_eq!((first.exit, api.count("restart_api")), (Some(0), 1), "{}", first.all());
    let list = shop.incidents();
    assert_eq!(
        (list.as_array().unwrap().len(), list[0]["steps"].as_array().unwrap().len()),
        (1, 1),
        "{list:#}"
    );
    // Once it is over the next one is let in, and finds nothing to do.
    assert_eq!(shop.fix(&["--allow", "app-restart"]).exit, Some(0));
}

#[test]
fn on_two_hosts_they_end_together_no_more_than_one_would() {
    let shop = Shop::with_slots(60);
    shop.configure(
        "",
        "",
        "idle_after = \"100ms\"\nkeep_free = \"50%\"\nprotect = { applications = [\"nightly*\"] }",
    );
    let _job = shop.idle("nightly-job", ROLE, 3);
    for round in 0..4 {
        let idle = Sessions::fill(shop.lab.postgres(), &shop.login("renderflow-api", ROLE)).unwrap();
        idle.wait_age(Duration::from_millis(150)).unwrap();
        let (all, order) = (shop.there("true"), shop.in_order("application_name = 'renderflow-api'"));
        let may: BTreeSet<_> = order[..30].iter().cloned().collect();
        let states =
            [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let running: Vec<_> = states
            .iter()
            .map(|state| {
                let mut command = shop.command(&["--yes", "--format", "json"]);
                command.env("PGMEDIC_STATE", state.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
                command.spawn().unwrap()
            })
            .collect();
        let ran: Vec<_> =
            running.into_iter().map(|child| held(child.wait_with_output().unwrap().into())).collect();
        let gone: BTreeSet<_> = all.difference(&shop.there("true")).cloned().collect();
        let harm: Vec<_> = gone.difference(&may).collect();
        let words: Vec<_> = ran.iter().map(|r| format!("{}\n", r.json()["steps"])).collect();
        assert!(harm.is_empty(), "round {round}: {harm:?} should live\n{words:?}");
        assert_eq!(gone.len(), 30, "round {round}: {words:?}");
        assert!(ran.iter().all(|r| r.exit == Some(0)), "round {round}: {words:?}");
        assert_eq!(ran.iter().map(|r| ended(&r.json())).sum::<usize>(), 30, "round {round}: {words:?}");
    }
}
