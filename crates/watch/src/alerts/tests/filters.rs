//! Receivers that want to hear of some incidents alone.

use super::*;
use crate::incident::Affected;

/// A world of one webhook that wants these labels.
fn world(only: &[(&str, &str)]) -> World {
    let mut world = World::new(&[AlertKind::Webhook], |_, _, _| Does::Answers(200));
    world.plan.to[0].only = only.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let labels = |team: &str| [("team".to_owned(), team.to_owned())].into();
    world.plan.labels =
        [("renderflow".to_owned(), labels("render")), ("bakery".to_owned(), labels("bread"))].into();
    world
}

/// What it hears of these changes.
async fn hears(world: &World, changes: Vec<(Change, Incident)>) -> Vec<String> {
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    for (change, incident) in changes {
        alerts.tell(change, &incident).await.unwrap();
        pass(1).await;
    }
    process.end().await;
    told(&world.posts(AlertKind::Webhook)).into_iter().map(|(change, _)| change).collect()
}

fn whole_life() -> Vec<(Change, Incident)> {
    let incident = sample::incident();
    vec![
        (Change::Opened, incident.clone()),
        (Change::Updated, sample::updated(incident.clone(), "96 of 97 slots")),
        (Change::Closed, sample::closed(incident)),
    ]
}

#[tokio::test(start_paused = true)]
async fn all_that_is_named_has_to_match_and_a_star_matches_any_ending() {
    for only in [
        vec![("service", "renderflow")],
        vec![("service", "render*"), ("cause", "slots-*")],
        vec![("severity", "critical"), ("room", "admission"), ("team", "render")],
    ] {
        assert_eq!(hears(&world(&only), whole_life()).await, ["opened", "updated", "closed"], "{only:?}");
    }
    for only in [
        vec![("service", "render")],
        vec![("service", "render*"), ("cause", "disk-*")],
        vec![("severity", "warning")],
        vec![("team", "bread")],
    ] {
        let world = world(&only);
        assert!(hears(&world, whole_life()).await.is_empty(), "{only:?}");
        assert_eq!(world.kept().await, [], "and nothing waits for it");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_matches_by_a_service_that_joins_is_told_as_opened_and_how_it_ends() {
    let mut incident = sample::incident();
    let opened = incident.clone();
    let own = Affected { summary: "slots".to_owned(), ..incident.services["renderflow"].clone() };
    incident.services.insert("bakery".to_owned(), own);
    let joined = sample::updated(incident, "two services");
    let changes = vec![
        (Change::Opened, opened),
        (Change::Updated, joined.clone()),
        (Change::Closed, sample::closed(joined)),
    ];
    assert_eq!(hears(&world(&[("team", "bread")]), changes).await, ["opened", "closed"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_told_of_a_warning_alone_hears_how_it_ends_though_it_grew_critical() {
    let mut warning = sample::incident();
    warning.severity = Severity::Warning;
    let critical = sample::updated(sample::incident(), "worse");
    let changes = vec![
        (Change::Opened, warning),
        (Change::Updated, critical.clone()),
        (Change::Closed, sample::closed(critical)),
    ];
    assert_eq!(hears(&world(&[("severity", "warning")]), changes).await, ["opened", "updated", "closed"]);
}
