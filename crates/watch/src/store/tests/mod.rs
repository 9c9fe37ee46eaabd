//! What a store keeps, whatever is done to it: the same for a file and for memory, and what only a file can suffer.

mod cost;
mod day;
mod file;
mod killed;
mod reader;
mod samples;
pub(crate) mod shared;

use super::*;
use crate::incidents::Verdict;
use crate::incidents::scene::{Scene, at, critical};
use crate::settings::StoreAt;
use pgmedic_model::Room;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

pub(crate) const WITHIN: Duration = Duration::from_secs(5);

pub(crate) fn keep() -> Keep {
    Keep { incidents: Duration::from_secs(90 * 86_400), looks: Duration::from_secs(86_400), limit: 64 << 20 }
}

/// An open incident of that service, opened so many ms after the start, with its report.
pub(crate) fn incident(service: &str, ms: i64) -> Arc<Incident> {
    let mut incidents = Incidents::new(Duration::from_secs(5));
    let scene = Scene::walk(service).finds(critical("port-closed", Room::Network));
    incidents.take(&scene.seen(at(ms)), at(ms));
    let out = incidents.take(&scene.seen(at(ms + 1)), at(ms + 1));
    let Some(Verdict::Changed(_, incident)) = out.into_iter().next() else { panic!("not opened") };
    let mut incident = (*incident).clone();
    incident.id = format!("{}-{ms}", incident.id);
    Arc::new(incident)
}

pub(crate) fn closed(incident: &Incident, ms: i64) -> Arc<Incident> {
    let mut incident = incident.clone();
    incident.closed_at = Some(at(ms));
    incident.proof = Some("a walk by the door".to_owned());
    Arc::new(incident)
}

pub(crate) fn entry(id: i64, incident: &Incident) -> Entry {
    Entry {
        id,
        receiver: "alertmanager@am:9093".to_owned(),
        incident: incident.id.clone(),
        put_at: at(0),
        due: at(0),
        tries: 0,
        body: "{\"change\":\"opened\"}".to_owned(),
    }
}

pub(crate) async fn open(place: &StoreAt) -> Store {
    open_by(place, "one", &Board::default()).await
}

pub(crate) async fn open_by(place: &StoreAt, watcher: &str, board: &Board) -> Store {
    let clock = Clock::from(at(100_000));
    Store::open(place, keep(), watcher, clock, board.clone()).await.expect("the store opens")
}

pub(crate) fn file(folder: &Path) -> StoreAt {
    StoreAt::Sqlite(folder.join("state/pgmedic.db"))
}

/// What every kind of store does.
pub(crate) async fn keeps_everything(place: &StoreAt) {
    let store = open(place).await;
    let (a, b) = (incident("a", 1), incident("b", 2));
    assert_eq!(store.put(Arc::clone(&a), vec![entry(7, &a), entry(8, &a)], WITHIN).await, Put::Kept);
    assert_eq!(store.put(Arc::clone(&b), vec![entry(9, &b)], WITHIN).await, Put::Kept);
    let over = closed(&a, 50);
    assert_eq!(store.put(Arc::clone(&over), Vec::new(), WITHIN).await, Put::Kept);

    let all = store.incidents(Filter::default()).await.unwrap();
    assert_eq!(all.iter().map(|i| &*i.service).collect::<Vec<_>>(), ["b", "a"], "the latest first");
    let only_open = Filter { open: Some(true), ..Filter::default() };
    assert_eq!(store.incidents(only_open).await.unwrap().len(), 1);
    let of_a = Filter { service: Some("a".to_owned()), ..Filter::default() };
    assert_eq!(store.incidents(of_a).await.unwrap()[0].closed_at, Some(at(50)));
    let limited = Filter { limit: 1, ..Filter::default() };
    assert_eq!(store.incidents(limited).await.unwrap().len(), 1);
    assert_eq!(*store.incident(&a.id).await.unwrap().unwrap(), *over, "its report is there");
    assert_eq!(store.incident("2026").await.unwrap(), None);
    assert!(matches!(store.find(&b.id[..b.id.len() - 1]).await.unwrap(), Found::One(i) if i.id == b.id));
    assert!(matches!(store.find("2026").await.unwrap(), Found::Several(ids) if ids.len() == 2));
    assert_eq!(store.find("%").await.unwrap(), Found::Nothing, "no pattern");

    store.delivered(vec![7]).await.unwrap();
    store.failed(8, 3, at(9000)).await.unwrap();
    let pending = store.pending(0, 10).await.unwrap();
    assert_eq!(
        pending.iter().map(|e| (e.id, e.tries, e.due)).collect::<Vec<_>>(),
        [(8, 3, at(9000)), (9, 0, at(0))]
    );
    assert_eq!(store.pending(8, 10).await.unwrap().len(), 1);

    acts(&store).await;
    store.looked(&Scene::walk("a").finds(critical("port-closed", Room::Network)).seen(at(10)));
    store.looked(&Scene::look("a").seen(at(20)));
    assert_eq!(store.close(WITHIN).await, 0);
    assert!(matches!(store.put(a, Vec::new(), WITHIN).await, Put::Late), "closed");
}

async fn acts(store: &Store) {
    let begun =
        Begun { service: "a".to_owned(), incident: "i".to_owned(), automatic: true, by: "policy".to_owned() };
    let first = store.begin(begun.clone()).await.unwrap();
    let second = store.begin(Begun { automatic: false, ..begun }).await.unwrap();
    assert!(second > first);
    store.ended(first, 2, true).await.unwrap();
    let done = store.done("a", Duration::from_secs(3600)).await.unwrap();
    let words: Vec<_> = done.iter().map(|d| (d.automatic, d.applied, d.ended_at.is_some())).collect();
    assert_eq!(words, [(true, Some(2), true), (false, None, false)]);
    assert!(store.done("b", Duration::from_secs(3600)).await.unwrap().is_empty());
    assert!(store.led_by_another("a").await.unwrap().is_none());
}

#[tokio::test]
async fn memory_keeps_everything_for_as_long_as_it_lives() {
    keeps_everything(&StoreAt::Memory).await;
}

#[tokio::test]
async fn a_file_keeps_everything_and_after_a_restart_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let place = file(folder.path());
    keeps_everything(&place).await;
    let store = open(&place).await;
    let restored = store.restore().await.unwrap();
    assert_eq!(restored.incidents.len(), 2, "one is open, one was closed lately: {restored:?}");
    assert!(restored.incidents.iter().all(|i| i.report.is_some()) && restored.said.is_empty());
    assert_eq!(store.pending(0, 10).await.unwrap().iter().map(|e| e.id).collect::<Vec<_>>(), [8, 9]);
    let looks = store.looks("a", at(0), 10).await.unwrap();
    assert_eq!(looks.iter().map(|l| l.at).collect::<Vec<_>>(), [at(20), at(10)]);
    assert_eq!(looks[1].roots, ["port-closed"]);
    assert_eq!(store.done("a", Duration::from_secs(3600)).await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn memory_answers_under_a_paused_clock() {
    let store = open(&StoreAt::Memory).await;
    for n in 0..100 {
        let i = incident("a", n);
        assert_eq!(store.put(Arc::clone(&i), vec![entry(n, &i)], WITHIN).await, Put::Kept);
    }
    assert_eq!(store.incidents(Filter::default()).await.unwrap().len(), 100);
}

#[tokio::test]
async fn what_this_process_did_is_as_long_ago_as_it_is_though_the_clock_is_set() {
    static WALL: AtomicI64 = AtomicI64::new(1_795_662_729_000);
    let clock = Clock::Set(&WALL);
    let store = Store::open(&StoreAt::Memory, keep(), "one", clock, Board::default()).await.unwrap();
    let begun =
        Begun { service: "a".to_owned(), incident: "i".to_owned(), automatic: true, by: "policy".to_owned() };
    let number = store.begin(begun).await.unwrap();
    store.ended(number, 1, true).await.unwrap();
    for by in [3_600_000, -7_200_000] {
        let now = WALL.fetch_add(by, Ordering::Relaxed) + by;
        let done = store.done("a", Duration::from_secs(300)).await.unwrap();
        assert_eq!(done.len(), 1, "the cooldown goes on");
        let ended = done[0].ended_at.unwrap().0;
        assert!((now - 5000..=now).contains(&ended), "{ended} at {now}");
    }
}
