//! What the diagnosis makes of a fault that only Fly's window shows: no window on this host, no way around the proxy.

use super::{double, real, window};
use double::Generation;
use pgmedic_lab::api::Kind;
use pgmedic_lab::faults::{all_slots_exhausted, disk_full, server_down};
use pgmedic_lab::postgres::ROLE;
use pgmedic_lab::{Guard, Parts};
use pgmedic_model::{Confidence, Finding, Host, Report, Role, Severity, Status};
use pgmedic_path::service::{Service, Window};
use pgmedic_path::{diagnose, report};
use real::Server;
use std::sync::Arc;
use std::time::Duration;

/// A service that is looked at through its way in, its readiness and Fly's window alone.
struct Seen {
    server: Server,
    double: double::Fly,
    service: Service,
}

impl Seen {
    fn through_fly(parts: Parts, generation: Generation) -> Self {
        let server = Server::build(parts);
        let double = double::Fly::start(server.lab(), generation).unwrap();
        let lab = server.lab();
        let mut service = Service {
            direct: None,
            ready: lab.api().ok().map(|api| api.ready_url()),
            nameservers: lab.dns().ok().map(|dns| dns.address()).into_iter().collect(),
            resolve_here: lab.dns().is_ok(),
            window: Window::Off,
            platform: Some(Arc::new(window(&double, Some(double::TOKEN)))),
            ..server.service(ROLE)
        };
        if lab.dns().is_ok() {
            service.target.host = Host::Name(real::NAME.to_owned());
        }
        Self { server, double, service }
    }

    fn check(&self) -> Report {
        let evidence = self.server.walk(&self.service, Duration::from_secs(6));
        report(&evidence, diagnose(&evidence))
    }

    /// The one root.
    fn root(&self) -> Finding {
        let report = self.check();
        let roots: Vec<&Finding> = report.roots().collect();
        assert_eq!(roots.len(), 1, "{:#?}", report.findings);
        roots[0].clone()
    }

    /// The fault is gone: nothing is found any more.
    fn mended(&self, guard: Guard) {
        guard.remove().unwrap();
        let found = || self.check().findings;
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while !found().is_empty() {
            assert!(std::time::Instant::now() < deadline, "{:#?}", found());
        }
    }
}

const API: Parts =
    Parts { proxy: None, pooler: None, dns: false, api: Some(Kind::StandIn), tls: false, volume_mb: None };

fn cites(finding: &Finding, words: &str) -> bool {
    finding.evidence.iter().any(|fact| fact.fact.contains(words))
}

#[test]
fn a_healthy_service_is_well_through_this_window_too() {
    for generation in [Generation::Flex, Generation::Ha, Generation::Plain] {
        let seen = Seen::through_fly(Parts { proxy: Some(8), ..API }, generation);
        let report = seen.check();
        assert_eq!(
            (report.status, report.findings.len()),
            (Status::Ok, 0),
            "{generation:?}: {:?}",
            report.findings
        );
    }
}

#[test]
fn needs_root_a_volume_with_room_is_shown_and_nothing_is_found() {
    let seen = Seen::through_fly(Parts { volume_mb: Some(200), ..API }, Generation::Flex);
    let report = seen.check();
    assert_eq!((report.status, report.findings.len()), (Status::Ok, 0), "{:?}", report.findings);
    assert!(report.path[9].summary.starts_with("fly: data "), "{:?}", report.path[9]);
}

#[test]
fn a_postmaster_that_died_in_a_machine_that_goes_on_is_down() {
    let seen = Seen::through_fly(Parts { proxy: Some(8), ..API }, Generation::Flex);
    let guard = server_down::inject(seen.server.lab()).unwrap();
    seen.server.lab().proxy().unwrap().wait_server("DOWN").unwrap();
    let root = seen.root();
    assert_eq!((root.cause.as_str(), root.confidence), ("server-down", Confidence::Certain), "{root:#?}");
    assert!(
        root.summary
            .contains("is started, but nothing listens in it, and nothing in it starts Postgres again"),
        "{}",
        root.summary
    );
    assert!(root.remedies.iter().any(|r| r.command == "fly machine restart 148e21e7c22d89 -a renderflow-db"));
    assert!(root.explains.iter().any(|id| id == "proxy-without-backend"), "{:?}", root.explains);
    let server = seen.check().path.into_iter().nth(7).unwrap();
    assert_eq!(server.summary, root.summary, "the room says it though no way led there");
    seen.mended(guard);
}

#[test]
fn a_machine_that_ended_with_its_postmaster_is_down_with_its_signal() {
    let seen = Seen::through_fly(API, Generation::Plain);
    let _guard = server_down::inject(seen.server.lab()).unwrap();
    let root = seen.root();
    assert_eq!((root.cause.as_str(), root.confidence), ("server-down", Confidence::Certain), "{root:#?}");
    assert!(root.summary.contains("ended by signal 9"), "{}", root.summary);
    assert!(root.explains.iter().any(|id| id == "port-closed"), "{:?}", root.explains);
}

#[test]
fn a_name_that_went_with_its_stopped_machine_is_a_symptom() {
    let seen = Seen::through_fly(Parts { dns: true, ..API }, Generation::Flex);
    let guard = seen.double.stop_db().unwrap();
    seen.server.lab().restart_api();
    let root = seen.root();
    assert_eq!(
        (root.cause.as_str(), root.confidence),
        ("stopped-by-administrator", Confidence::Certain),
        "{root:#?}"
    );
    assert!(root.summary.contains("somebody asked for it"), "{}", root.summary);
    assert!(root.explains.iter().any(|id| id == "name-not-found"), "{:?}", root.explains);
    assert!(root.remedies.iter().any(|r| r.command == "fly machine start 148e21e7c22d89 -a renderflow-db"));
    seen.mended(guard);
}

#[test]
fn a_stopped_api_machine_is_named() {
    let seen = Seen::through_fly(API, Generation::Flex);
    let guard = seen.double.stop_api().unwrap();
    let root = seen.root();
    assert_eq!(root.cause, "api-unreachable");
    assert!(
        root.summary.contains("red-tree-2 (d891234c567890) is stopped: somebody asked for it"),
        "{}",
        root.summary
    );
    seen.mended(guard);
}

#[test]
fn slots_that_are_all_taken_are_told_by_the_check_that_cannot_get_in_either() {
    let seen = Seen::through_fly(Parts { proxy: Some(200), ..API }, Generation::Flex);
    let guard = all_slots_exhausted::inject(seen.server.lab()).unwrap();
    // Fact 8: the proxy's own check cannot log in either, so it has no server for anybody.
    seen.double.beat().unwrap();
    let root = seen.root();
    assert_eq!(root.cause, "all-slots-exhausted", "{root:#?}");
    assert!(cites(&root, "check: FATAL 53300: sorry, too many clients already"), "{:#?}", root.evidence);
    assert!(root.explains.iter().any(|id| id == "proxy-without-backend"), "{:?}", root.explains);
    guard.remove().unwrap();
    seen.double.beat().unwrap();
    // The API's next request says in its log that the connections it lost are over.
    seen.server.lab().api().unwrap().is_ready().unwrap();
    assert_eq!(seen.check().findings, []);
}

#[test]
fn a_fenced_member_says_why_its_proxy_has_no_server() {
    let seen = Seen::through_fly(Parts { proxy: Some(8), ..API }, Generation::Flex);
    let guard = seen.double.fence().unwrap();
    let root = seen.root();
    assert_eq!(
        (root.cause.as_str(), root.confidence),
        ("proxy-without-backend", Confidence::Certain),
        "{root:#?}"
    );
    assert!(root.summary.contains("its server is fenced"), "{}", root.summary);
    seen.mended(guard);
}

#[test]
fn a_host_that_fly_does_not_reach_is_said_and_weighs_nothing_while_the_server_answers() {
    let seen = Seen::through_fly(API, Generation::Flex);
    let _lost = seen.double.lose_host();
    assert_eq!(seen.check().findings, []);
    let _gone = server_down::inject(seen.server.lab()).unwrap();
    let root = seen.root();
    assert_eq!((root.cause.as_str(), root.confidence), ("server-down", Confidence::Likely), "{root:#?}");
    assert!(cites(&root, "its host is unreachable"), "{:#?}", root.evidence);
}

#[test]
fn a_window_that_tells_nothing_is_said_and_hurts_nobody() {
    let seen = Seen::through_fly(API, Generation::Flex);
    seen.double.misbehave(Some(double::Misbehaviour::Status(429)));
    let report = seen.check();
    assert_eq!((report.status, report.findings.len()), (Status::Ok, 0));
    assert!(
        report
            .unseen
            .iter()
            .any(|u| u.starts_with("platform, volumes: GET http://") && u.contains("status 429")),
        "{:?}",
        report.unseen
    );
    seen.double.misbehave(Some(double::Misbehaviour::Hang));
    let from = std::time::Instant::now();
    assert_eq!(seen.check().status, Status::Ok);
    assert!(from.elapsed() < Duration::from_secs(6), "within the walk's own time");
}

#[test]
fn needs_root_a_full_disk_is_told_by_the_volume_while_nobody_can_say_it() {
    let seen = Seen::through_fly(Parts { volume_mb: Some(64), ..API }, Generation::Plain);
    let guard = disk_full::inject(seen.server.lab()).unwrap();
    let root = seen.root();
    assert_eq!((root.cause.as_str(), root.severity), ("disk-full", Severity::Critical), "{root:#?}");
    assert!(cites(&root, "as the platform measures it"), "{:#?}", root.evidence);
    assert!(
        root.remedies.iter().any(|r| r.command.starts_with("fly volumes extend vol_4y521w2zlp1po82v -s ")),
        "{:#?}",
        root.remedies
    );
    seen.mended(guard);
}

#[test]
fn needs_root_a_full_disk_under_a_dead_server_is_the_root_of_it() {
    let seen = Seen::through_fly(Parts { proxy: Some(8), volume_mb: Some(64), ..API }, Generation::Flex);
    let full = disk_full::inject(seen.server.lab()).unwrap();
    let down = server_down::inject(seen.server.lab()).unwrap();
    seen.server.lab().proxy().unwrap().wait_server("DOWN").unwrap();
    let report = seen.check();
    let roots: Vec<&str> = report.roots().map(|root| root.cause.as_str()).collect();
    assert_eq!(roots, ["disk-full"], "{:#?}", report.findings);
    let down_role = report.findings.iter().find(|f| f.cause == "server-down").map(|f| f.role);
    assert_eq!(down_role, Some(Role::Symptom), "{:#?}", report.findings);
    drop((down, full));
}

#[test]
fn needs_root_a_disk_over_the_limit_makes_the_old_generation_look_like_a_dead_proxy() {
    let seen = Seen::through_fly(Parts { proxy: Some(8), volume_mb: Some(64), ..API }, Generation::Ha);
    let volume = seen.server.lab().volume().unwrap();
    let held = volume.fill(volume.total().unwrap() / 20).unwrap();
    seen.double.beat().unwrap();
    let root = seen.root();
    assert_eq!((root.cause.as_str(), root.severity), ("disk-filling", Severity::Critical), "{root:#?}");
    assert!(
        root.summary.contains("the platform's guard took the server out of service for it"),
        "{}",
        root.summary
    );
    assert!(root.explains.iter().any(|id| id == "proxy-without-backend"), "{:?}", root.explains);
    drop(held);
    seen.double.beat().unwrap();
    seen.server.lab().api().unwrap().is_ready().unwrap();
    assert_eq!(seen.check().findings, []);
}

#[test]
fn needs_root_a_disk_over_the_limit_makes_the_new_generation_read_only() {
    let seen = Seen::through_fly(Parts { volume_mb: Some(64), ..API }, Generation::Flex);
    let volume = seen.server.lab().volume().unwrap();
    let held = volume.fill(volume.total().unwrap() / 20).unwrap();
    seen.double.beat().unwrap();
    let root = seen.root();
    assert_eq!((root.cause.as_str(), root.severity), ("disk-filling", Severity::Critical), "{root:#?}");
    assert!(root.explains.iter().any(|id| id == "read-only-by-setting"), "{:?}", root.explains);
    drop(held);
    seen.double.beat().unwrap();
    seen.double.beat().unwrap();
    assert_eq!(seen.check().findings, []);
}
