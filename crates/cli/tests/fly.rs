//! The real binary with `kind = "fly"`: configured, refused, and a stopped machine found by what Fly's double tells.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use pgmedic_lab::api::{Api, Kind, Place as Where};
use pgmedic_lab::faults::{disk_full, server_down};
use pgmedic_lab::fly::{
    ACTING_TOKEN, API_MACHINE, DB_MACHINE, Fly, Generation, Misbehaviour, SECOND_API_MACHINE, TOKEN, VOLUME,
};
use pgmedic_lab::postgres::PASSWORD;
use pgmedic_lab::{Lab, Parts};
use std::sync::Arc;
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
    let lab = Lab::build(Parts { api: Some(Kind::Renderflow), ..Parts::default() }).unwrap();
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

/// A configuration that may be mended, with the API's readiness asked.
fn mendable(place: &Place, lab: &Lab, double: &Fly) {
    let ready = lab.api().unwrap().ready_url();
    let text = format!(
        "[[service]]\nname = \"shop\"\ndatabase = \"postgres://renderflow:{PASSWORD}@127.0.0.1:{}/renderflow\"\n\
         ready = \"{ready}\"\n[service.platform]\nkind = \"fly\"\napi = \"renderflow-api\"\ndb = \"renderflow-db\"\n\
         api_url = \"{url}\"\nlogs_url = \"{url}\"\n[service.policy]\nmax_volume_gb = 4\n",
        lab.postgres().port(),
        url = double.url()
    );
    place.write("pgmedic.toml", &text);
}

/// Steps as `remedy outcome`.
fn steps(document: &serde_json::Value) -> Vec<String> {
    let word = |step: &serde_json::Value, key: &str| step[key].as_str().unwrap_or_default().to_owned();
    document["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| format!("{} {}", word(step, "remedy"), word(step, "outcome")))
        .collect()
}

#[test]
fn needs_root_a_full_volume_is_grown_and_only_then_the_dead_postmaster_started() {
    let lab =
        Lab::build(Parts { api: Some(Kind::Renderflow), volume_mb: Some(120), ..Parts::default() }).unwrap();
    let double = Fly::start(&lab, Generation::Flex).unwrap();
    let place = Place::new();
    mendable(&place, &lab, &double);
    let full = disk_full::inject(&lab).unwrap();
    let down = server_down::inject(&lab).unwrap();
    let token = [("FLY_API_TOKEN", ACTING_TOKEN)];

    // Whatever is allowed besides: without leave to grow the volume nothing is started into a full disk.
    let barred = place
        .run_with(&token, &["fix", "shop", "--yes", "--allow", "db-restart,app-restart", "--format", "json"]);
    assert_eq!((barred.exit, double.changes()), (Some(1), 0), "{}", barred.all());
    support::obeys("fix.schema.json", &barred.json());

    let allowed = "--allow=storage,db-restart";
    let mended =
        place.run_with(&token, &["fix", "shop", "--yes", allowed, "--stable", "500ms", "--format", "json"]);
    let document = mended.json();
    support::obeys("fix.schema.json", &document);
    assert_eq!(mended.exit, Some(0), "{document:#}");
    assert_eq!(steps(&document), ["extend-volume applied", "start-database applied"], "{document:#}");
    lab.api().unwrap().is_ready().unwrap();

    // As the documentation has them, in this order; each once; and every id is in the record.
    let changes: Vec<String> = double
        .requests()
        .iter()
        .filter(|asked| asked.method != "GET")
        .map(|asked| format!("{} {}", asked.method, asked.path))
        .collect();
    let machine = format!("/v1/apps/renderflow-db/machines/{DB_MACHINE}");
    assert_eq!(
        changes,
        [
            format!("PUT /v1/apps/renderflow-db/volumes/{VOLUME}/extend"),
            format!("POST {machine}/lease"),
            format!("POST {machine}/restart"),
            format!("DELETE {machine}/lease"),
        ]
    );
    let record = place.run(&["incidents", "show", "--format", "json"]);
    let told = record.json()["incidents"][0]["steps"].to_string();
    for number in 0..changes.len() {
        assert!(
            told.contains(&format!("01J-lab-{number}-ord")),
            "request {number} is not in the record: {told}"
        );
    }
    let bare = ACTING_TOKEN.rsplit(' ').next().unwrap();
    for text in [mended.all(), record.all(), barred.all()] {
        assert!(!text.contains(bare), "{text}");
    }
    drop((down, full));
}

/// An API whose pool hands out dead sockets, and a double that has it in two machines.
fn two_stale_machines(lab: &Lab, double: &Fly, place: &Place, runtime: &tokio::runtime::Runtime) -> Arc<Api> {
    let at = Where::At((std::net::Ipv4Addr::LOCALHOST, lab.postgres().port()).into());
    let folder = place.path().join("second");
    std::fs::create_dir(&folder).unwrap();
    let second = Arc::new(Api::start(Kind::StandIn, &folder, at, runtime.handle().clone()).unwrap());
    double.scale_api(Arc::clone(&second));
    for api in [lab.api().unwrap(), &second] {
        let stand_in = api.stand_in().unwrap();
        stand_in.use_once().unwrap();
        stand_in.trust_pool(true);
        stand_in.lose_sockets();
        (0..6).for_each(|_| drop(api.is_ready()));
        assert!(api.is_ready().is_err());
    }
    second
}

fn changes_of(double: &Fly) -> Vec<String> {
    let id = |path: &str| path.split('/').nth(5).unwrap_or_default().to_owned();
    let word = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let asked = double.requests();
    let changes = asked.iter().filter(|asked| asked.method != "GET");
    changes.map(|asked| format!("{} {} {}", asked.method, word(&asked.path), id(&asked.path))).collect()
}

#[test]
fn api_machines_are_restarted_one_by_one_and_the_next_only_after_the_one_before() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let lab = Lab::build(Parts { api: Some(Kind::StandIn), ..Parts::default() }).unwrap();
    let double = Fly::start(&lab, Generation::Flex).unwrap();
    let place = Place::new();
    mendable(&place, &lab, &double);
    let second = two_stale_machines(&lab, &double, &place, &runtime);
    let token = [("FLY_API_TOKEN", ACTING_TOKEN)];
    let fix = ["fix", "shop", "--yes", "--allow", "app-restart", "--stable", "500ms", "--format", "json"];

    // A machine that Fly will not restart is the last that is asked for.
    double.misbehave(Some(Misbehaviour::RefusesToAct(429)));
    let refused = place.run_with(&token, &fix);
    assert_eq!(
        (refused.exit, steps(&refused.json())),
        (Some(1), vec!["recycle-api-pool refused".to_owned()]),
        "{}",
        refused.all()
    );
    assert_eq!(double.changes(), 1, "the second machine was not asked for: {:?}", changes_of(&double));
    double.misbehave(None);

    let before = changes_of(&double).len();
    let mended = place.run_with(&token, &fix);
    assert_eq!(
        (mended.exit, steps(&mended.json())),
        (Some(0), vec!["recycle-api-pool applied".to_owned()]),
        "{}",
        mended.all()
    );
    let wanted: Vec<String> = [API_MACHINE, SECOND_API_MACHINE]
        .iter()
        .flat_map(|id| ["POST lease", "POST restart", "DELETE lease"].map(|what| format!("{what} {id}")))
        .collect();
    assert_eq!(changes_of(&double)[before..], wanted);
    lab.api().unwrap().is_ready().unwrap();
    second.is_ready().unwrap();
    assert!(!double.is_leased(API_MACHINE) && !double.is_leased(SECOND_API_MACHINE));
}
