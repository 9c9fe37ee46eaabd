//! What the walk must show on real parts, through the real binary: who holds the slots, three silences told apart,
//! the root of a lock queue, and a recording that replays to the same findings.

mod support;

use pgmedic_lab::postgres::PASSWORD;
use pgmedic_lab::{Guard, Lab, LabError, Parts, faults};
use serde_json::Value;
use std::time::{Duration, Instant};
use support::{Place, Ran};

const PROXIED: Parts =
    Parts { proxy: Some(8), pooler: None, dns: false, api: None, tls: false, volume_mb: None };

/// `pgmedic check` on the lab's front, as a role.
fn check(place: &Place, lab: &Lab, role: &str, more: &[&str]) -> Ran {
    let url = format!("postgres://{role}@127.0.0.1:{}/renderflow", lab.front_port());
    let arguments = [&["check", &url, "--format", "json"], more].concat();
    place.command(&arguments).env("PGPASSWORD", PASSWORD).output().expect("the binary runs").into()
}

/// The causes of the roots, and the first root.
fn roots(report: &Value) -> (Vec<&str>, &Value) {
    let findings = report["findings"].as_array().expect("findings");
    let roots: Vec<&Value> = findings.iter().filter(|f| f["role"] == "root").collect();
    (
        roots.iter().filter_map(|f| f["cause"].as_str()).collect(),
        roots.first().copied().unwrap_or(&Value::Null),
    )
}

#[test]
fn every_ordinary_slot_taken_asked_as_a_monitor() {
    let (place, lab) = (Place::new(), Lab::build(Parts::default()).unwrap());
    let full = faults::slots_exhausted::inject(&lab).unwrap();
    let from = Instant::now();
    let ran = check(&place, &lab, "monitor", &[]);
    assert!(from.elapsed() < Duration::from_secs(1), "{:?}", from.elapsed());
    assert_eq!(ran.exit, Some(2), "{}", ran.all());
    let report = ran.json();
    let (causes, root) = roots(&report);
    assert_eq!(causes, ["slots-exhausted"]);
    // The door is shut to everybody but a superuser; the process titles of this host tell who is in.
    assert!(root["summary"].as_str().unwrap().contains("97 of 97"), "{root:#}");
    assert!(root["summary"].as_str().unwrap().contains("97 by role renderflow"), "{root:#}");
    full.remove().unwrap();
    assert_eq!(check(&place, &lab, "monitor", &[]).exit, Some(0));
}

#[test]
fn three_silences_are_three_causes_with_a_window_and_one_possible_root_without() {
    type Inject = fn(&Lab) -> Result<Guard, LabError>;
    let cases: [(&str, Inject); 3] = [
        ("proxy-hung", faults::proxy_hung::inject),
        ("proxy-client-limit", faults::proxy_client_limit::inject),
        ("server-hung", faults::server_hung::inject),
    ];
    let place = Place::new();
    for (cause, inject) in cases {
        let lab = Lab::build(PROXIED).unwrap();
        let guard = inject(&lab).unwrap();
        let within = Duration::from_secs(3);
        let from = Instant::now();
        let seen = check(&place, &lab, "renderflow", &["--timeout", "3s"]);
        assert!(from.elapsed() < within + Duration::from_millis(500), "{:?}", from.elapsed());
        assert_eq!(roots(&seen.json()).0, [cause], "{}", seen.all());
        let blind = check(&place, &lab, "renderflow", &["--timeout", "3s", "--no-window"]);
        let report = blind.json();
        let (causes, root) = roots(&report);
        assert_eq!((causes.len(), &root["confidence"]), (1, &Value::from("possible")), "{cause}: {root:#}");
        let others = root["alternatives"].as_array().unwrap();
        let mut named: Vec<&str> = others.iter().filter_map(|a| a["cause"].as_str()).chain(causes).collect();
        named.sort_unstable();
        for silent in ["proxy-client-limit", "proxy-hung", "server-hung"] {
            assert!(named.contains(&silent), "{cause}: {named:?}");
        }
        assert!(others.iter().all(|a| !a["decided_by"].as_str().unwrap().is_empty()));
        guard.remove().unwrap();
        // Connections that waited in a stopped listener's queue are served now, and find nobody there.
        let ours = "select count(*) = 0 from pg_stat_activity where application_name = 'pgmedic'";
        lab.postgres().wait_true("no session of pgmedic's", ours).unwrap();
    }
}

#[test]
fn a_lock_pile_up_names_the_holder_and_counts_who_waits() {
    let (place, lab) = (Place::new(), Lab::build(Parts::default()).unwrap());
    let _pile = faults::lock_pile_up::inject(&lab, Duration::from_millis(300)).unwrap();
    let holder = lab
        .postgres()
        .value("select pid::text from pg_stat_activity where application_name = 'renderflow-console'");
    let report = check(&place, &lab, "renderflow", &[]).json();
    let (causes, root) = roots(&report);
    assert_eq!(causes, ["lock-pile-up"]);
    let summary = root["summary"].as_str().unwrap();
    assert!(summary.contains(&holder.unwrap()) && summary.contains("20"), "{summary}");
}

#[test]
fn a_recording_of_a_broken_service_replays_to_the_same_report() {
    let (place, lab) = (Place::new(), Lab::build(PROXIED).unwrap());
    let guard = faults::proxy_hung::inject(&lab).unwrap();
    let file = place.path().join("night.json").display().to_string();
    let live = check(&place, &lab, "renderflow", &["--timeout", "3s", "--record", &file]);
    guard.remove().unwrap();
    drop(lab);
    let again: Ran =
        place.command(&["check", "--replay", &file, "--format", "json"]).output().unwrap().into();
    assert_eq!((again.exit, again.json()["findings"].clone()), (live.exit, live.json()["findings"].clone()));
    let recording = std::fs::read_to_string(&file).unwrap();
    assert!(!format!("{recording}{}{}", live.all(), again.all()).contains(PASSWORD));
}

#[test]
fn needs_root_a_recording_replays_where_there_is_no_network() {
    let (place, lab) = (Place::new(), Lab::build(PROXIED).unwrap());
    let guard = faults::slots_exhausted::inject(&lab).unwrap();
    let file = place.path().join("night.json").display().to_string();
    let live = check(&place, &lab, "monitor", &["--record", &file]);
    guard.remove().unwrap();
    drop(lab);
    // A network namespace of its own, in which not even loopback is up.
    let mut alone = std::process::Command::new("unshare");
    alone.args(["--net", env!("CARGO_BIN_EXE_pgmedic"), "check", "--replay", &file, "--format", "json"]);
    let again: Ran = alone.current_dir(place.path()).output().unwrap().into();
    assert_eq!(again.exit, Some(2), "{}", again.all());
    assert_eq!(again.stdout, live.stdout, "byte for byte");
}
