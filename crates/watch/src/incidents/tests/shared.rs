//! One root in many services.

use super::{none, only, tell};
use crate::incident::Change;
use crate::incidents::scene::{Scene, at, critical};
use crate::incidents::{Incidents, Verdict};
use pgmedic_model::Room;
use pgmedic_path::Evidence;
use pgmedic_path::rooms::dns::evidence::{Answer, AnswerOutcome, NameserverEvidence};

fn full(service: &str, server: &str) -> Scene {
    Scene::walk(service).finds(critical("slots-exhausted", Room::Admission)).at_server(server)
}

fn opens(incidents: &mut Incidents, scene: &Scene, ms: i64) -> Vec<String> {
    assert_eq!(tell(incidents, scene, ms), ["confirm"]);
    tell(incidents, scene, ms + 5)
}

#[test]
fn services_of_one_server_share_its_incident_and_leave_it_one_by_one() {
    let mut incidents = none();
    assert_eq!(opens(&mut incidents, &full("a", "10.0.0.7:5432"), 0), ["opened slots-exhausted"]);
    assert!(only(&incidents).shared.is_none());
    assert_eq!(opens(&mut incidents, &full("b", "10.0.0.7:5432"), 2000), ["updated slots-exhausted"]);
    assert!(opens(&mut incidents, &full("c", "10.0.0.7:5432"), 2500).is_empty(), "said a moment later");
    let said = incidents.tick(at(5000));
    assert!(matches!(&said[..], [Verdict::Changed(Change::Updated, i)] if i.services.len() == 3), "{said:?}");
    assert_eq!(only(&incidents).shared.as_deref(), Some("server 10.0.0.7:5432"));
    for (service, ms) in [("b", 10_000), ("a", 20_000)] {
        let well = Scene::walk(service).at_server("10.0.0.7:5432");
        tell(&mut incidents, &well, ms);
        let said = tell(&mut incidents, &well, ms + 5000);
        assert!(said.iter().all(|word| word == "updated slots-exhausted"), "{said:?}");
        assert_eq!(only(&incidents).services[service].until, Some(at(ms + 5000)));
    }
    let well = Scene::walk("c");
    tell(&mut incidents, &well, 30_000);
    assert_eq!(tell(&mut incidents, &well, 35_000), ["closed slots-exhausted"]);
}

#[test]
fn two_servers_that_are_both_full_are_two_incidents() {
    let mut incidents = none();
    opens(&mut incidents, &full("a", "10.0.0.7:5432"), 0);
    assert_eq!(opens(&mut incidents, &full("b", "10.0.0.8:5432"), 0), ["opened slots-exhausted"]);
    assert_eq!(incidents.open().count(), 2);
    // The same address, and what is about a role alone: two roles.
    let mut wrong = Scene::walk("c").finds(critical("wrong-password", Room::Startup));
    wrong.server = "10.0.0.9:5432".to_owned();
    let mut other = wrong.clone();
    other.service = std::sync::Arc::from("d");
    other.change = Some(|e: &mut Evidence| e.target.user = "billing".to_owned());
    opens(&mut incidents, &wrong, 0);
    assert_eq!(opens(&mut incidents, &other, 0), ["opened wrong-password"]);
}

fn silent_resolver(e: &mut Evidence) {
    let answer = |outcome| Answer { elapsed_ms: pgmedic_model::Ms(500.0), outcome, resent: true };
    e.front.dns.nameservers = vec![NameserverEvidence {
        server: std::net::SocketAddr::from(([10, 0, 0, 2], 53)),
        configured_in: "/etc/resolv.conf".to_owned(),
        asked: "db".to_owned(),
        a: answer(AnswerOutcome::Silent),
        aaaa: answer(AnswerOutcome::Silent),
    }];
}

#[test]
fn a_resolver_that_is_silent_for_a_thousand_services_is_one_incident() {
    let mut incidents = none();
    let mut told = 0;
    for n in 0..1000 {
        let mut scene = Scene::walk(&format!("s{n}")).finds(critical("resolver-silent", Room::Dns));
        scene.change = Some(silent_resolver);
        told += opens(&mut incidents, &scene, n).len();
    }
    told += incidents.tick(at(60_000)).len();
    let incident = only(&incidents);
    assert_eq!(incident.services.len(), 1000);
    assert_eq!(incident.shared.as_deref(), Some("resolver 10.0.0.2"));
    assert!(told < 6, "{told}");
    assert_eq!(incident.flaps, 0);
}

#[test]
fn a_service_that_is_ill_of_something_else_now_leaves_the_others() {
    let mut incidents = none();
    for service in ["a", "b"] {
        let mut scene = Scene::walk(service).finds(critical("resolver-silent", Room::Dns));
        scene.change = Some(silent_resolver);
        opens(&mut incidents, &scene, 0);
    }
    let other = Scene::walk("b").finds(critical("hba-rejects", Room::Startup));
    assert_eq!(opens(&mut incidents, &other, 60_000), ["opened hba-rejects"]);
    assert_eq!(incidents.of("b").count(), 2, "that the resolver answers again is still to be proved");
    tell(&mut incidents, &other, 66_000);
    let shared = incidents.of("a").next().unwrap();
    assert!(shared.is_open() && shared.services["b"].until.is_some());
    assert_eq!(incidents.of("b").map(|i| i.cause.as_str()).collect::<Vec<_>>(), ["hba-rejects"]);
}
