//! Retries, their waits, their order, and what is not sent at all.

use super::super::line::LONGEST;
use super::*;
use pgmedic_model::StepOutcome;
use std::collections::BTreeSet;

const HOUR: u64 = 3600;

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_away_for_a_day_is_told_when_it_is_back() {
    let world = World::new(&[AlertKind::Webhook], |_, at, _| {
        if at < Duration::from_secs(25 * HOUR) { Does::IsAway } else { Does::Answers(200) }
    });
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    opened(&alerts).await;
    pass(26 * HOUR).await;
    process.end().await;

    let posts = world.posts(AlertKind::Webhook);
    let waits: Vec<_> = posts.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(waits[0] <= Duration::from_secs(1), "{:?}", waits[0]);
    assert!(waits[12..].iter().all(|wait| (149..=301).contains(&wait.as_secs())), "{waits:?}");
    assert!(posts.last().unwrap().at >= Duration::from_secs(25 * HOUR));
    let ids: BTreeSet<_> = posts.iter().map(|post| post.header("webhook-id")).collect();
    assert_eq!(ids.len(), 1, "every attempt at telling one thing has one id");
    assert_eq!(world.counted(AlertKind::Webhook, "sent"), 1);
    assert_eq!(world.counted(AlertKind::Webhook, "retried"), posts.len() as u64 - 1);
    assert_eq!(world.kept().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_hung_slack_delays_no_other_receiver() {
    let kinds = [AlertKind::Slack, AlertKind::Alertmanager, AlertKind::Webhook, AlertKind::PagerDuty];
    let world = World::new(&kinds, |kind, _, _| match kind {
        AlertKind::Slack => Does::Hangs,
        _ => Does::Answers(202),
    });
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    opened(&alerts).await;
    pass(1).await;
    for kind in &kinds[1..] {
        assert_eq!(world.posts(*kind)[0].at, Duration::ZERO, "{kind:?}");
    }
    let took = process.end().await;
    assert!(took <= Duration::from_secs(1), "a hung receiver held the end up for {took:?}");
}

#[tokio::test(start_paused = true)]
async fn updates_that_were_not_sent_are_overtaken_by_the_newest_and_a_resolve_never_overtakes_its_fire() {
    let world = World::new(&[AlertKind::Webhook], |_, at, _| {
        if at < Duration::from_secs(600) { Does::Answers(503) } else { Does::Answers(200) }
    });
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    let incident = opened(&alerts).await;
    for n in 0..1000 {
        pass(0).await;
        let told = sample::updated(incident.clone(), &format!("update {n}"));
        alerts.tell(Change::Updated, &told).await.unwrap();
    }
    pass(5).await;
    assert!(world.kept().await.len() <= 2, "a thousand flaps fill no outbox");
    alerts.tell(Change::Closed, &sample::closed(incident)).await.unwrap();
    pass(1200).await;
    process.end().await;

    let posts = world.posts(AlertKind::Webhook);
    let taken =
        told(&posts.into_iter().filter(|post| post.at >= Duration::from_secs(600)).collect::<Vec<_>>());
    assert_eq!(taken.len(), 2, "{taken:?}");
    assert_eq!((taken[0].0.as_str(), taken[0].1.as_str()), ("opened", "update 999"));
    assert_eq!(taken[1].0, "closed");
    assert_eq!(world.kept().await, []);
}

#[tokio::test(start_paused = true)]
async fn what_is_open_again_before_its_close_was_sent_was_never_closed() {
    let world = World::new(&[AlertKind::Webhook], |_, at, _| {
        if (1..600).contains(&at.as_secs()) { Does::IsAway } else { Does::Answers(200) }
    });
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    let incident = opened(&alerts).await;
    pass(2).await;
    for _ in 0..100 {
        alerts.tell(Change::Closed, &sample::closed(incident.clone())).await.unwrap();
        pass(1).await;
        alerts.tell(Change::Opened, &sample::updated(incident.clone(), "again")).await.unwrap();
        pass(1).await;
    }
    assert!(world.kept().await.len() <= 2, "{}", world.kept().await.len());
    pass(1200).await;
    process.end().await;
    let posts = world.posts(AlertKind::Webhook);
    let taken: Vec<_> = posts.into_iter().filter(|post| !(1..600).contains(&post.at.as_secs())).collect();
    let changes: Vec<_> = told(&taken).into_iter().map(|(change, _)| change).collect();
    assert!(changes.iter().filter(|change| *change == "closed").count() <= 1, "{changes:?}");
    assert_ne!(changes.last().map(String::as_str), Some("closed"), "it is open: {changes:?}");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_heeded_and_everything_for_the_receiver_waits() {
    let world = World::new(&[AlertKind::PagerDuty], |_, at, _| {
        if at < Duration::from_secs(30) { Does::AsksToWait(429, 45) } else { Does::Answers(202) }
    });
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    for n in 0..20 {
        let incident = Incident { id: format!("i{n}"), ..sample::incident() };
        alerts.tell(Change::Opened, &incident).await.unwrap();
    }
    pass(120).await;
    process.end().await;
    let posts = world.posts(AlertKind::PagerDuty);
    let early = posts.iter().filter(|post| post.at < Duration::from_secs(45)).count();
    assert!(early <= 4, "{early} of those at once, and none after the 429");
    let ids: BTreeSet<_> =
        posts[early..].iter().map(|post| post.body["dedup_key"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 20);
    assert_eq!(world.counted(AlertKind::PagerDuty, "sent"), 20);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_refused_is_given_up_and_said_and_the_next_is_told() {
    let world = World::new(&[AlertKind::Webhook], |_, _, body| {
        if body["closed_at"].is_null() { Does::Answers(400) } else { Does::Answers(200) }
    });
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    let incident = opened(&alerts).await;
    pass(3600).await;
    assert_eq!(world.posts(AlertKind::Webhook).len(), 1);
    alerts.tell(Change::Closed, &sample::closed(incident)).await.unwrap();
    pass(1).await;
    process.end().await;
    let lost = world.happened(Told::Lost);
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].receiver, "webhook@webhook.internal:1");
    assert_eq!(lost[0].words, "it answers 400; given up");
    assert_eq!(
        (world.counted(AlertKind::Webhook, "lost"), world.counted(AlertKind::Webhook, "sent")),
        (1, 1)
    );
    assert_eq!(world.kept().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_key_is_tried_for_an_hour_and_not_for_ever() {
    let world = World::new(&[AlertKind::PagerDuty], |_, _, _| Does::Answers(403));
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    opened(&alerts).await;
    pass(3 * HOUR).await;
    process.end().await;
    let last = world.posts(AlertKind::PagerDuty).last().unwrap().at;
    assert!((3600..3600 + 301).contains(&last.as_secs()), "{last:?}");
    assert_eq!(world.happened(Told::Lost).len(), 1);
    assert_eq!(world.kept().await, []);
}

#[tokio::test(start_paused = true)]
async fn what_fails_by_itself_holds_up_nothing_else() {
    let world = World::new(&[AlertKind::Webhook], |_, _, body| {
        if body["id"] == "poison" { Does::Answers(500) } else { Does::Answers(200) }
    });
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    for id in ["poison", "a", "b", "c", "d", "e"] {
        alerts.tell(Change::Opened, &Incident { id: id.to_owned(), ..sample::incident() }).await.unwrap();
    }
    pass(5).await;
    assert_eq!(world.counted(AlertKind::Webhook, "sent"), 5);
    pass(4 * 24 * HOUR).await;
    process.end().await;
    assert_eq!(world.counted(AlertKind::Webhook, "lost"), 1, "after three days");
}

#[tokio::test(start_paused = true)]
async fn when_a_receiver_is_back_all_that_waits_goes_at_once() {
    let back = Duration::from_secs(10 * HOUR);
    let world = World::new(
        &[AlertKind::PagerDuty],
        move |_, at, _| {
            if at < back { Does::Hangs } else { Does::Answers(202) }
        },
    );
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    for n in 0..200 {
        let incident = Incident { id: format!("i{n}"), ..sample::incident() };
        alerts.tell(Change::Opened, &incident).await.unwrap();
    }
    pass(10 * HOUR).await;
    let tries = world.posts(AlertKind::PagerDuty).len();
    assert!(tries < 400, "one probe at a time: {tries} in ten hours");
    pass(320).await;
    process.end().await;
    let sent: Vec<_> = world.posts(AlertKind::PagerDuty).into_iter().filter(|post| post.at >= back).collect();
    assert_eq!(sent.len(), 200);
    assert!(sent[199].at - sent[0].at < Duration::from_secs(1), "{:?}", sent[199].at - sent[0].at);
}

#[tokio::test(start_paused = true)]
async fn slack_is_told_one_message_a_second_and_people_only_what_matters() {
    let world = World::new(&[AlertKind::Slack, AlertKind::PagerDuty], |_, _, _| Does::Answers(200));
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    let mut incident = opened(&alerts).await;
    for n in 0..50 {
        incident = sample::updated(incident, &format!("{n} of 97"));
        alerts.tell(Change::Updated, &incident).await.unwrap();
        pass(2).await;
    }
    let counts = || (world.posts(AlertKind::Slack).len(), world.posts(AlertKind::PagerDuty).len());
    assert_eq!(counts(), (1, 1), "figures alone are nobody's business");
    incident.actions.push(sample::act(None));
    alerts.tell(Change::Updated, &incident).await.unwrap();
    incident.actions[0].outcome = Some(StepOutcome::Failed);
    alerts.tell(Change::Updated, &incident).await.unwrap();
    pass(2).await;
    assert_eq!(counts(), (2, 1), "a remedy that ended is told the channel");
    incident.escalated = true;
    alerts.tell(Change::Updated, &incident).await.unwrap();
    pass(2).await;
    assert_eq!(counts(), (3, 2), "that a person is needed is told everybody");
    alerts.tell(Change::Closed, &sample::closed(incident)).await.unwrap();
    for n in 0..5 {
        let other = Incident { id: format!("i{n}"), ..sample::incident() };
        alerts.tell(Change::Opened, &other).await.unwrap();
    }
    pass(10).await;
    process.end().await;
    assert_eq!(counts(), (9, 8));
    let slack = world.posts(AlertKind::Slack);
    assert!(slack.windows(2).all(|pair| pair[1].at - pair[0].at >= Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn one_that_wants_the_critical_alone_hears_of_one_that_rose_as_opened() {
    let mut world = World::new(&[AlertKind::Webhook], |_, _, _| Does::Answers(200));
    world.plan.to[0].from = Severity::Critical;
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    let warning = Incident { severity: Severity::Warning, ..sample::incident() };
    alerts.tell(Change::Opened, &warning).await.unwrap();
    alerts.tell(Change::Updated, &sample::updated(warning.clone(), "worse")).await.unwrap();
    pass(1).await;
    assert_eq!(world.posts(AlertKind::Webhook).len(), 0);
    let critical = Incident { severity: Severity::Critical, ..sample::updated(warning, "full") };
    alerts.tell(Change::Updated, &critical).await.unwrap();
    pass(1).await;
    alerts.tell(Change::Updated, &sample::updated(critical.clone(), "still")).await.unwrap();
    pass(1).await;
    alerts.tell(Change::Closed, &sample::closed(critical)).await.unwrap();
    pass(1).await;
    process.end().await;
    let changes: Vec<_> =
        told(&world.posts(AlertKind::Webhook)).into_iter().map(|(change, _)| change).collect();
    assert_eq!(changes, ["opened", "updated", "closed"]);
}

#[tokio::test(start_paused = true)]
async fn more_than_memory_is_given_waits_in_the_outbox_and_is_told_as_well() {
    let world = World::new(&[AlertKind::Webhook], |_, at, _| {
        if at < Duration::from_secs(60) { Does::IsAway } else { Does::Answers(200) }
    });
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    let many = LONGEST + 700;
    for n in 0..many {
        let incident = Incident { id: format!("i{n:05}"), ..sample::incident() };
        alerts.tell(Change::Opened, &incident).await.unwrap();
    }
    assert_eq!(world.kept().await.len(), many);
    pass(600).await;
    process.end().await;
    assert_eq!(world.counted(AlertKind::Webhook, "sent"), many as u64);
    assert_eq!(world.kept().await, []);
}
