//! The real binary with `kind = "fly"`: configured, refused, and a stopped machine found by what Fly's double tells.

mod support;

use pgmedic_lab::fly::{Fly, Generation, TOKEN};
use pgmedic_lab::postgres::PASSWORD;
use pgmedic_lab::{Lab, Parts};
use support::Place;

/// A configuration whose only service is the lab's, on the double.
fn configured(place: &Place, lab: &Lab, double: &Fly) {
    let text = format!(
        "[[service]]\nname = \"shop\"\ndatabase = \"postgres://renderflow:{PASSWORD}@127.0.0.1:{}/renderflow\"\n\
         [service.platform]\nkind = \"fly\"\napi = \"renderflow-api\"\ndb = \"renderflow-db\"\napi_url = \"{url}\"\n\
         logs_url = \"{url}\"\n",
        lab.postgres().port(),
        url = double.url()
    );
    place.write("pgmedic.toml", &text);
}

#[test]
fn a_stopped_machine_is_found_and_the_token_is_nowhere() {
    let lab = Lab::build(Parts { api: true, ..Parts::default() }).unwrap();
    let double = Fly::start(&lab, Generation::Flex).unwrap();
    let place = Place::new();
    configured(&place, &lab, &double);
    let token = [("FLY_API_TOKEN", TOKEN)];
    let healthy = place.run_with(&token, &["check", "--format", "json"]);
    assert_eq!(
        (healthy.exit, healthy.json()["findings"].as_array().map(Vec::len)),
        (Some(0), Some(0)),
        "{}",
        healthy.all()
    );

    let _stopped = double.stop_db().unwrap();
    let broken = place.run_with(&token, &["check", "--format", "json", "--record", "walk.json"]);
    let report = broken.json();
    support::obeys("report.schema.json", &report);
    assert_eq!(broken.exit, Some(2), "{}", broken.all());
    assert_eq!(report["findings"][0]["cause"], "stopped-by-administrator", "{report:#}");
    let recording = std::fs::read_to_string(place.path().join("walk.json")).unwrap();
    let replayed = place.run(&["check", "--replay", "walk.json", "--format", "json"]);
    assert_eq!(replayed.json()["findings"][0]["cause"], "stopped-by-administrator");
    let bare = TOKEN.rsplit(' ').next().unwrap();
    for text in [healthy.all(), broken.all(), recording, replayed.all()] {
        assert!(!text.contains(bare), "{text}");
    }
}

#[test]
fn without_a_token_the_walk_goes_on_and_says_what_to_set() {
    let lab = Lab::build(Parts::default()).unwrap();
    let double = Fly::start(&lab, Generation::Flex).unwrap();
    let place = Place::new();
    configured(&place, &lab, &double);
    let ran = place.run(&["check", "--format", "json"]);
    let unseen = ran.json()["unseen"].to_string();
    assert_eq!(ran.exit, Some(0), "{}", ran.all());
    assert!(unseen.contains("no token: set FLY_API_TOKEN"), "{unseen}");
    assert!(double.asked().is_empty(), "nobody is asked without one");
}
