//! What an Alertmanager is told: kept firing, resolved, under labels that stay.

use super::*;
use crate::alerts::letter::Labels;
use pgmedic_model::Timestamp;

fn labels(of: &[(&str, &str)]) -> Labels {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// The alerts of all posts, each with when it was posted.
fn alerts_of(world: &World) -> Vec<(Duration, Value)> {
    let posts = world.posts(AlertKind::Alertmanager).into_iter();
    posts
        .flat_map(|post| post.body.as_array().unwrap().clone().into_iter().map(move |a| (post.at, a)))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn an_alert_that_lasts_is_said_again_well_before_it_would_end_and_resolved_once() {
    let world = World::new(&[AlertKind::Alertmanager], |_, _, _| Does::Answers(200));
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    let incident = opened(&alerts).await;
    pass(601).await;
    let firing = alerts_of(&world);
    assert_eq!(firing.len(), 11, "at once, and every minute");
    for (at, alert) in &firing {
        let ends = time(&alert["endsAt"]).0 - OPENED.0;
        assert_eq!(ends, i64::try_from(at.as_millis()).unwrap() + 240_000);
        assert_eq!(time(&alert["startsAt"]), OPENED);
        assert_eq!(alert["labels"], firing[0].1["labels"]);
    }
    assert_eq!(world.kept().await.len(), 1, "it is kept for as long as it fires");
    let over = sample::closed(incident);
    alerts.tell(Change::Closed, &over).await.unwrap();
    pass(600).await;
    process.end().await;
    let resolved = &alerts_of(&world)[11..];
    assert_eq!(resolved.len(), 1, "and never again");
    assert_eq!(time(&resolved[0].1["endsAt"]), over.closed_at.unwrap());
    assert_eq!(world.kept().await, []);
    assert_eq!(world.counted(AlertKind::Alertmanager, "sent"), 2, "what is said again is not counted again");
}

#[tokio::test(start_paused = true)]
async fn one_that_was_down_is_told_soon_after_it_is_back() {
    let back = Duration::from_secs(4 * 3600);
    let world =
        World::new(
            &[AlertKind::Alertmanager],
            move |_, at, _| {
                if at < back { Does::IsAway } else { Does::Answers(200) }
            },
        );
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    for n in 0..120 {
        alerts
            .tell(Change::Opened, &Incident { id: format!("i{n:03}"), ..sample::incident() })
            .await
            .unwrap();
    }
    pass(4 * 3600 + 31).await;
    process.end().await;
    let told: Vec<_> = alerts_of(&world).into_iter().filter(|(at, _)| *at >= back).collect();
    let different: std::collections::BTreeSet<_> =
        told.iter().map(|(_, alert)| alert["annotations"]["incident"].as_str().unwrap()).collect();
    assert_eq!(different.len(), 120, "within its longest wait of 30 s");
    let posts = world.posts(AlertKind::Alertmanager).into_iter().filter(|post| post.at >= back).count();
    assert_eq!(posts, 3, "fifty in a request");
}

#[tokio::test(start_paused = true)]
async fn one_that_rises_is_another_alert_and_the_one_that_it_was_is_over() {
    let world = World::new(&[AlertKind::Alertmanager], |_, _, _| Does::Answers(200));
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    let warning = Incident {
        severity: Severity::Warning,
        cause: "slots-nearly-exhausted".into(),
        ..sample::incident()
    };
    alerts.tell(Change::Opened, &warning).await.unwrap();
    pass(30).await;
    let worse = Incident { severity: Severity::Critical, cause: "slots-exhausted".into(), ..warning.clone() };
    let worse = Incident { updated_at: Timestamp(OPENED.0 + 30_000), ..worse };
    alerts.tell(Change::Updated, &worse).await.unwrap();
    pass(1).await;
    let told: Vec<_> = alerts_of(&world).into_iter().map(|(_, alert)| alert).collect();
    assert_eq!(told.len(), 3);
    assert_eq!(told[0]["labels"]["alertname"], "DatabaseConnectionsNearLimit");
    assert_eq!(told[1]["labels"], told[0]["labels"]);
    assert_eq!(time(&told[1]["endsAt"]), worse.updated_at, "over");
    assert_eq!(told[2]["labels"]["alertname"], "DatabaseConnectionFailure");
    assert_eq!(told[2]["labels"]["severity"], "critical");
    assert!(time(&told[2]["endsAt"]) > world.clock.now());
    pass(120).await;
    process.end().await;
    assert!(alerts_of(&world)[3..].iter().all(|(_, alert)| alert["labels"]["severity"] == "critical"));
}

#[tokio::test(start_paused = true)]
async fn a_cause_that_is_known_better_later_keeps_the_alerts_name_and_is_said_beside_it() {
    let world = World::new(&[AlertKind::Alertmanager], |_, _, _| Does::Answers(200));
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    let incident = opened(&alerts).await;
    pass(1).await;
    let renamed =
        Incident { cause: "ghost-sessions".into(), ..sample::updated(incident, "ghosts hold them") };
    alerts.tell(Change::Updated, &renamed).await.unwrap();
    pass(1).await;
    process.end().await;
    let told = alerts_of(&world);
    assert_eq!(told[1].1["labels"], told[0].1["labels"]);
    assert_eq!(told[1].1["annotations"]["cause_now"], "ghost-sessions");
    assert_eq!(told[1].1["annotations"]["summary"], "renderflow: ghosts hold them");
    assert!(
        told[1].1["annotations"]["runbook_url"].as_str().unwrap().ends_with("/docs/causes/ghost-sessions.md")
    );
}

#[tokio::test(start_paused = true)]
async fn labels_stay_what_they_were_when_it_was_opened_over_a_restart_with_another_configuration() {
    let mut world = World::new(&[AlertKind::Alertmanager], |_, _, _| Does::Answers(200));
    world.plan.labels = [("renderflow".to_owned(), labels(&[("team", "render")]))].into();
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    let incident = opened(&alerts).await;
    pass(1).await;
    process.kill();

    world.plan.labels = [("renderflow".to_owned(), labels(&[("team", "platform")]))].into();
    let alerts = world.alerts();
    alerts.resume(&[Arc::new(incident.clone())]).await.unwrap();
    let process = Process::of(&alerts);
    pass(1).await;
    assert_eq!(alerts_of(&world).len(), 2, "said again at once: who knows how long we were away");
    alerts.tell(Change::Updated, &sample::updated(incident.clone(), "still")).await.unwrap();
    pass(1).await;
    alerts.tell(Change::Closed, &sample::closed(incident)).await.unwrap();
    pass(1).await;
    process.end().await;
    let told = alerts_of(&world);
    assert_eq!(told.len(), 4);
    assert!(told.iter().all(|(_, alert)| alert["labels"]["team"] == "render"), "{told:#?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_it_is_told_what_is_open_and_what_is_not() {
    let mut world = World::new(&[AlertKind::Webhook], |_, _, _| Does::Answers(200));
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    let incident = opened(&alerts).await;
    pass(1).await;
    process.end().await;
    // An Alertmanager comes to the configuration while the incident is open.
    world.plan.to.push(to(AlertKind::Alertmanager));
    let alerts = world.alerts();
    alerts.resume(&[Arc::new(incident.clone())]).await.unwrap();
    let process = Process::of(&alerts);
    pass(1).await;
    process.kill();
    assert_eq!(alerts_of(&world).len(), 1);
    assert_eq!(world.posts(AlertKind::Webhook).len(), 1, "others were told before");
    // The next process finds in its store that it is over: the close was never told.
    let alerts = world.alerts();
    alerts.resume(&[]).await.unwrap();
    let process = Process::of(&alerts);
    pass(300).await;
    process.end().await;
    let told = alerts_of(&world);
    assert_eq!(told.len(), 2);
    assert!(time(&told[1].1["endsAt"]) <= world.clock.now());
    assert_eq!(world.kept().await, []);
}

#[tokio::test(start_paused = true)]
async fn every_one_of_several_is_told() {
    let mut world = World::new(&[AlertKind::Alertmanager], |_, _, _| Does::Answers(200));
    let second = AlertTo { url: Secret::new("http://am-2.internal:1/"), ..to(AlertKind::Alertmanager) };
    world.plan.to.push(second);
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    opened(&alerts).await;
    pass(1).await;
    process.end().await;
    assert_eq!(alerts_of(&world).len(), 2);
    let receivers: Vec<_> = world.happened(Told::Sent).into_iter().map(|what| what.receiver).collect();
    assert_eq!(receivers, ["alertmanager@alertmanager.internal:1", "alertmanager@am-2.internal:1"]);
}

#[tokio::test(start_paused = true)]
async fn one_bad_alert_among_many_costs_the_others_nothing() {
    let world = World::new(&[AlertKind::Alertmanager], |_, at, body| {
        let bad = |alert: &Value| alert["annotations"]["incident"] == "i07";
        if at < Duration::from_secs(5) {
            Does::IsAway
        } else if body.as_array().unwrap().iter().any(bad) {
            Does::Answers(400)
        } else {
            Does::Answers(200)
        }
    });
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    for n in 0..20 {
        alerts
            .tell(Change::Opened, &Incident { id: format!("i{n:02}"), ..sample::incident() })
            .await
            .unwrap();
    }
    pass(50).await;
    process.end().await;
    assert_eq!(world.counted(AlertKind::Alertmanager, "sent"), 19);
    assert_eq!(world.counted(AlertKind::Alertmanager, "lost"), 1);
}
