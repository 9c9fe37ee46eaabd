//! A process that ends in the midst of it, a store that takes nothing, and a configuration that changed.

use super::*;
use crate::alerts::outbox::Kept;
use crate::alerts::{Outbox, OutboxError};
use pgmedic_model::Timestamp;

#[tokio::test(start_paused = true)]
async fn a_restart_in_the_midst_of_retries_loses_nothing_and_repeats_nothing() {
    let kinds = [AlertKind::Webhook, AlertKind::PagerDuty];
    let world = World::new(&kinds, |kind, at, _| match kind {
        AlertKind::Webhook if at < Duration::from_secs(300) => Does::Hangs,
        _ => Does::Answers(200),
    });
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    let incident = opened(&alerts).await;
    alerts.tell(Change::Closed, &sample::closed(incident)).await.unwrap();
    pass(64).await;
    process.kill();
    let kept = world.kept().await;
    assert_eq!(kept.len(), 2, "the webhook's two; PagerDuty has both of its own");
    assert!(kept[0].tries >= 3 && kept[0].due > kept[0].put_at, "{kept:?}");

    pass(1000).await;
    let alerts = world.alerts();
    alerts.resume(&[]).await.unwrap();
    let process = Process::of(&alerts);
    pass(60).await;
    process.end().await;
    let posts = world.posts(AlertKind::Webhook);
    let taken = told(&posts.into_iter().filter(|post| post.at.as_secs() >= 300).collect::<Vec<_>>());
    let changes: Vec<_> = taken.into_iter().map(|(change, _)| change).collect();
    assert_eq!(changes, ["opened", "closed"]);
    let actions: Vec<_> =
        world.posts(AlertKind::PagerDuty).iter().map(|post| post.body["event_action"].clone()).collect();
    assert_eq!(actions, ["trigger", "resolve"], "told once");
    assert_eq!(world.kept().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_was_begun_goes_on_after_a_restart() {
    let world = World::new(&[AlertKind::Webhook], |_, at, _| {
        if at.as_secs() < 10 { Does::AsksToWait(429, 600) } else { Does::Answers(200) }
    });
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    opened(&alerts).await;
    pass(60).await;
    process.end().await;
    let alerts = world.alerts();
    alerts.resume(&[]).await.unwrap();
    let process = Process::of(&alerts);
    pass(900).await;
    process.end().await;
    let at: Vec<_> = world.posts(AlertKind::Webhook).iter().map(|post| post.at.as_secs()).collect();
    assert_eq!(at, [0, 600]);
}

#[tokio::test(start_paused = true)]
async fn an_update_before_the_fire_was_sent_is_one_fire_after_a_restart() {
    let world = World::new(&[AlertKind::Webhook], |_, _, _| Does::Answers(200));
    let alerts = world.alerts();
    let incident = opened(&alerts).await;
    alerts.tell(Change::Updated, &sample::updated(incident, "newer")).await.unwrap();
    drop(alerts);
    let alerts = world.alerts();
    alerts.resume(&[]).await.unwrap();
    let process = Process::of(&alerts);
    pass(1).await;
    process.end().await;
    assert_eq!(told(&world.posts(AlertKind::Webhook)), [("opened".to_owned(), "newer".to_owned())]);
    assert_eq!(world.kept().await, []);
}

#[tokio::test(start_paused = true)]
async fn what_was_for_a_receiver_that_is_configured_no_longer_is_given_up_and_said() {
    let mut world = World::new(&[AlertKind::Webhook, AlertKind::Slack], |_, _, _| Does::IsAway);
    let alerts = world.alerts();
    opened(&alerts).await;
    drop(alerts);
    world.plan.to.remove(0);
    world.alerts().resume(&[]).await.unwrap();
    assert_eq!(world.happened(Told::Lost)[0].receiver, "webhook@webhook.internal:1");
    let kept = world.kept().await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].receiver, "slack@slack.internal:1");
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_cannot_be_read_is_given_up_and_the_rest_is_told() {
    let world = World::new(&[AlertKind::Webhook], |_, _, _| Does::Answers(200));
    opened(&world.alerts()).await;
    let first = world.kept().await.remove(0);
    for (id, body) in [(1, "{"), (2, "{\"change\":\"exploded\"}"), (3, "")] {
        let bad = Entry { id, body: body.to_owned(), ..first.clone() };
        world.outbox.put(vec![bad]).await.unwrap();
    }
    let alerts = world.alerts();
    alerts.resume(&[]).await.unwrap();
    let process = Process::of(&alerts);
    pass(1).await;
    process.end().await;
    assert_eq!(world.happened(Told::Lost).len(), 3);
    assert_eq!(world.posts(AlertKind::Webhook).len(), 1);
    assert_eq!(world.kept().await, []);
}

/// A store on a full disk.
struct Full;

impl Outbox for Full {
    fn put(&self, _: Vec<Entry>) -> Kept<'_, ()> {
        Box::pin(std::future::ready(Err(OutboxError("No space left on device".to_owned()))))
    }

    fn pending(&self, _: i64, _: usize) -> Kept<'_, Vec<Entry>> {
        Box::pin(std::future::ready(Err(OutboxError("No space left on device".to_owned()))))
    }

    fn delivered(&self, _: Vec<i64>) -> Kept<'_, ()> {
        Box::pin(std::future::ready(Err(OutboxError("No space left on device".to_owned()))))
    }

    fn failed(&self, _: i64, _: u32, _: Timestamp) -> Kept<'_, ()> {
        Box::pin(std::future::ready(Err(OutboxError("No space left on device".to_owned()))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_silences_nobody() {
    let world = World::new(&[AlertKind::Webhook, AlertKind::Alertmanager], |_, _, _| Does::Answers(200));
    let alerts = world.alerts_on(Arc::new(Full));
    let open = sample::incident();
    assert!(alerts.resume(&[Arc::new(open.clone())]).await.is_err());
    let process = Process::of(&alerts);
    let error = alerts.tell(Change::Closed, &sample::closed(open)).await.unwrap_err();
    assert_eq!(error.to_string(), "the alert outbox: No space left on device");
    pass(1).await;
    process.end().await;
    assert_eq!(told(&world.posts(AlertKind::Webhook))[0].0, "closed");
    assert_eq!(world.posts(AlertKind::Alertmanager).len(), 1);
    assert!(!world.happened(Told::Retried).is_empty(), "and it is said");
}

#[tokio::test(start_paused = true)]
async fn ids_grow_though_the_clock_was_set_back() {
    let mut world = World::new(&[AlertKind::Webhook], |_, _, _| Does::IsAway);
    opened(&world.alerts()).await;
    world.clock = Clock::from(Timestamp(OPENED.0 - 3_600_000));
    let alerts = world.alerts();
    alerts.resume(&[]).await.unwrap();
    alerts.tell(Change::Closed, &sample::closed(sample::incident())).await.unwrap();
    let ids: Vec<_> = world.kept().await.into_iter().map(|entry| (entry.id, entry.incident)).collect();
    assert_eq!(ids.len(), 2);
    let kept = world.kept().await;
    assert!(kept[0].body.contains("\"opened\"") && kept[1].body.contains("\"closed\""));
}

#[tokio::test(start_paused = true)]
async fn what_another_watcher_left_is_told_and_goes_on_under_its_labels() {
    let mut world = World::new(&[AlertKind::Alertmanager], |_, _, _| Does::Answers(200));
    world.plan.labels = [("renderflow".to_owned(), [("team".to_owned(), "render".to_owned())].into())].into();
    let incident = sample::incident();
    let left = world.alerts().entries(Change::Opened, &incident);
    world.plan.labels.clear();
    let alerts = world.alerts();
    alerts.resume(&[]).await.unwrap();
    let process = Process::of(&alerts);
    alerts.take(left);
    pass(1).await;
    alerts.tell(Change::Closed, &sample::closed(incident)).await.unwrap();
    pass(1).await;
    process.end().await;
    let posts = world.posts(AlertKind::Alertmanager);
    assert_eq!(posts.len(), 2);
    assert!(posts.iter().all(|post| post.body[0]["labels"]["team"] == "render"), "{posts:#?}");
}

/// A change comes while those before are still ending: their receiver hangs with what was told last.
async fn reload_and_tell(
    world: &World,
    (before, ending): (&Alerts, Process),
    open: &[Arc<Incident>],
    change: (Change, Incident),
) -> Alerts {
    let after = world.reloaded(before);
    let ended = tokio::spawn(ending.end());
    after.tell(change.0, &change.1).await.unwrap();
    ended.await.unwrap();
    after.resume(open).await.unwrap();
    let process = Process::of(&after);
    pass(30).await;
    process.end().await;
    after
}

#[tokio::test(start_paused = true)]
async fn a_close_during_a_reload_is_told_once() {
    let world = World::new(&[AlertKind::Webhook, AlertKind::Alertmanager], |_, _, _| Does::Answers(200));
    let before = world.alerts();
    let process = Process::of(&before);
    let incident = opened(&before).await;
    pass(1).await;
    let closed = sample::closed(incident);
    reload_and_tell(&world, (&before, process), &[], (Change::Closed, closed)).await;
    let changes: Vec<_> =
        told(&world.posts(AlertKind::Webhook)).into_iter().map(|(change, _)| change).collect();
    assert_eq!(changes, ["opened", "closed"]);
    let ended: Vec<_> = world.posts(AlertKind::Alertmanager).into_iter().map(|p| p.body).collect();
    assert_eq!(ended.len(), 2, "{ended:#?}");
    assert_eq!(world.kept().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_detail_during_a_reload_is_no_news_to_a_channel() {
    let world = World::new(&[AlertKind::Slack, AlertKind::PagerDuty], |_, _, _| Does::Answers(200));
    let before = world.alerts();
    let process = Process::of(&before);
    let incident = opened(&before).await;
    pass(5).await;
    let newer = sample::updated(incident, "96 of 97 slots");
    let open = [Arc::new(newer.clone())];
    reload_and_tell(&world, (&before, process), &open, (Change::Updated, newer)).await;
    assert_eq!(world.posts(AlertKind::Slack).len(), 1, "a number is not told to people");
    assert_eq!(world.posts(AlertKind::PagerDuty).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_waited_before_a_reload_does_not_overtake_what_came_during_it() {
    let world = World::new(&[AlertKind::Alertmanager, AlertKind::Webhook], |_, at, _| {
        if at < Duration::from_secs(5) { Does::Hangs } else { Does::Answers(200) }
    });
    let before = world.alerts();
    let process = Process::of(&before);
    let incident = opened(&before).await;
    pass(1).await;
    let closed = sample::closed(incident);
    reload_and_tell(&world, (&before, process), &[], (Change::Closed, closed)).await;
    let last = world.posts(AlertKind::Alertmanager).pop().unwrap();
    assert!(last.body[0]["endsAt"].as_str().unwrap() <= "2026-11-26T03:13:00", "{last:#?}");
    let changes: Vec<_> =
        told(&world.posts(AlertKind::Webhook)).into_iter().map(|(change, _)| change).collect();
    assert_eq!(changes.last().unwrap(), "closed", "{changes:?}");
    assert_eq!(changes.iter().filter(|change| *change == "closed").count(), 1, "{changes:?}");
    assert_eq!(world.kept().await, []);
}

#[tokio::test(start_paused = true)]
async fn what_opens_during_a_reload_is_told_once_and_not_as_over() {
    let kinds = [AlertKind::Alertmanager, AlertKind::Webhook, AlertKind::PagerDuty];
    let world = World::new(&kinds, |_, _, _| Does::Answers(200));
    let before = world.alerts();
    let process = Process::of(&before);
    reload_and_tell(&world, (&before, process), &[], (Change::Opened, sample::incident())).await;
    for kind in kinds {
        assert_eq!(world.posts(kind).len(), 1, "{kind:?}");
    }
    let ends = world.posts(AlertKind::Alertmanager)[0].body[0]["endsAt"].as_str().unwrap().to_owned();
    assert!(*ends > *"2026-11-26T03:15", "it fires: {ends}");
}

#[tokio::test(start_paused = true)]
async fn what_was_read_of_the_outbox_before_it_was_delivered_is_not_told_again() {
    let world = World::new(&[AlertKind::Webhook], |_, _, _| Does::Answers(200));
    let alerts = world.alerts();
    let process = Process::of(&alerts);
    opened(&alerts).await;
    let read = world.kept().await;
    assert_eq!(read.len(), 1);
    pass(1).await;
    assert_eq!(world.kept().await, []);
    alerts.take(read);
    pass(1).await;
    process.end().await;
    assert_eq!(world.posts(AlertKind::Webhook).len(), 1);
}
