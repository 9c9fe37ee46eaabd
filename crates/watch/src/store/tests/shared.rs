//! A real Postgres that two watchers share: nothing is told or begun twice, nothing is lost with one of them, and the server
//! may be gone for a while.

use super::{closed, entry, incident, keeps_everything, open_by};
use crate::alerts::{Entry, Outbox};
use crate::board::Board;
use crate::http::History;
use crate::incident::Incident;
use crate::settings::StoreAt;
use crate::store::{Put, Store, TakenOver};
use pgmedic_lab::postgres::{DATABASE, PASSWORD, ROLE, Stop};
use pgmedic_lab::{Lab, Parts};
use pgmedic_model::target::{Settings, Surroundings};
use std::sync::Arc;
use std::time::{Duration, Instant};

const WITHIN: Duration = Duration::from_secs(5);

pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(crate) place: StoreAt,
    pub(crate) runtime: tokio::runtime::Runtime,
}

pub(crate) fn scene() -> Scene {
    let lab = Lab::build(Parts::default()).unwrap();
    let port = lab.postgres().port();
    let url = format!("postgres://{ROLE}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}?sslmode=prefer");
    let target = Settings::parse(&url).and_then(|s| s.resolve(&Surroundings::default())).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    Scene { lab, place: StoreAt::Postgres(Box::new(target)), runtime }
}

impl Scene {
    fn open(&self, watcher: &str) -> Store {
        self.runtime.block_on(open_by(&self.place, watcher, &Board::default()))
    }

    fn put(&self, store: &Store, incident: &Arc<Incident>, entries: Vec<Entry>) -> Put {
        self.runtime.block_on(store.put(Arc::clone(incident), entries, WITHIN))
    }

    fn pending(&self, store: &Store) -> Vec<i64> {
        self.runtime.block_on(store.pending(0, 1000)).unwrap().iter().map(|e| e.id).collect()
    }

    /// What falls to this one, within the time in which it must.
    fn takes_over(&self, store: &Store) -> TakenOver {
        self.falls_to(store, |fell| !fell.services.is_empty())
    }

    fn falls_to(&self, store: &Store, such: impl Fn(&TakenOver) -> bool) -> TakenOver {
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            let fell = store.taken_over();
            if such(&fell) {
                return fell;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("nothing fell to it");
    }
}

#[test]
fn a_postgres_keeps_everything_and_after_a_restart_it_is_there() {
    let scene = scene();
    scene.runtime.block_on(keeps_everything(&scene.place));
    let store = scene.open("one");
    let restored = scene.runtime.block_on(store.restore()).unwrap();
    assert_eq!(restored.incidents.len(), 2, "{restored:?}");
    assert_eq!(scene.pending(&store), [8, 9]);
    let looks = scene.runtime.block_on(store.looks("a", super::at(0), 10)).unwrap();
    assert_eq!(looks.len(), 2);
    assert_eq!(looks[1].roots, ["port-closed"]);
    // What another watcher has is that one's to go on with.
    let other = scene.open("two");
    assert!(scene.runtime.block_on(other.restore()).unwrap().incidents.is_empty());
}

#[test]
fn of_two_watchers_one_tells_and_the_other_knows_it_by_the_same_id() {
    let scene = scene();
    let (one, two) = (scene.open("one"), scene.open("two"));
    let (first, second) = (incident("a", 1), incident("a", 700));
    assert_eq!(scene.put(&one, &first, vec![entry(1, &first)]), Put::Kept);
    let put = scene.put(&two, &second, vec![entry(1, &second)]);
    assert!(
        matches!(&put, Put::Elsewhere(Some(other)) if other.id == first.id && other.report.is_some()),
        "{put:?}"
    );
    assert!(scene.pending(&two).is_empty(), "its alert was not kept");
    // Under its id or its own, the other one does not get to write.
    assert_eq!(scene.put(&two, &closed(&first, 900), vec![entry(2, &first)]), Put::Elsewhere(None));
    let stored = scene.runtime.block_on(two.incident(&first.id)).unwrap().unwrap();
    assert!(stored.is_open());
    assert!(scene.runtime.block_on(one.led_by_another("a")).unwrap().is_none());
    assert!(scene.runtime.block_on(two.led_by_another("a")).unwrap().as_deref() == Some("one"));
    assert!(scene.runtime.block_on(two.led_by_another("b")).unwrap().is_none(), "another service is free");
    assert_eq!(scene.put(&one, &closed(&first, 950), vec![entry(3, &first)]), Put::Kept);
    assert_eq!(scene.pending(&one), [1, 3]);
}

#[test]
fn two_watchers_that_find_the_same_at_the_same_moment_tell_it_once() {
    let scene = scene();
    let stores = [scene.open("one"), scene.open("two")];
    let told = scene.runtime.block_on(async {
        let mut told = 0;
        for n in 0..60 {
            let service = format!("s{n}");
            let mut putting = Vec::new();
            for (nth, store) in (0i64..).zip(&stores) {
                let (store, i) = (store.clone(), incident(&service, n * 10 + nth));
                putting.push(tokio::spawn(async move {
                    let entries = vec![entry(n + 1, &i)];
                    (
                        store.put(i, entries, WITHIN).await,
                        store.led_by_another(&service_of(n)).await.unwrap().is_none(),
                    )
                }));
            }
            let (mut kept, mut leads) = (0, 0);
            for one in putting {
                let (put, may) = one.await.unwrap();
                kept += usize::from(put == Put::Kept);
                leads += usize::from(may);
            }
            assert_eq!((kept, leads), (1, 1), "{service}");
            told += kept;
        }
        told
    });
    assert_eq!(scene.pending(&stores[0]).len() + scene.pending(&stores[1]).len(), told);
    let rows = scene.lab.postgres().sql_in(DATABASE, "select count(*) from pgmedic.incident").unwrap();
    assert_eq!(rows[0][0].as_deref(), Some("60"));
}

fn service_of(n: i64) -> String {
    format!("s{n}")
}

#[test]
fn when_a_watcher_is_gone_the_other_takes_over_its_services_and_its_alerts() {
    let scene = scene();
    let (one, two) = (scene.open("one"), scene.open("two"));
    let (first, second) = (incident("a", 1), incident("a", 700));
    scene.put(&one, &first, vec![entry(5, &first), entry(6, &first)]);
    // A number that the second has as well.
    let own = incident("b", 1);
    scene.put(&two, &own, vec![entry(6, &own)]);
    assert!(matches!(scene.put(&two, &second, vec![entry(7, &second)]), Put::Elsewhere(Some(_))));
    drop(one);
    // Its lease runs out, which takes 15 s otherwise.
    let expire = "update pgmedic.lease set until = clock_timestamp() - interval '1 ms' where watcher = 'one'";
    scene.lab.postgres().sql_in(DATABASE, expire).unwrap();
    let fell = scene.takes_over(&two);
    assert_eq!(fell.services, ["a"]);
    assert_eq!(
        fell.entries.iter().map(|e| (e.id, &*e.incident)).collect::<Vec<_>>(),
        [(5, &*first.id), (7, &*first.id)]
    );
    assert_eq!(scene.pending(&two), [5, 6, 7]);
    // It had opened it under an id of its own: told to go on with the other's.
    let put = scene.put(&two, &second, Vec::new());
    assert!(matches!(&put, Put::Adopt(other) if other.id == first.id), "{put:?}");
    assert_eq!(scene.put(&two, &closed(&first, 900), vec![entry(8, &first)]), Put::Kept);
    assert!(!scene.runtime.block_on(two.incident(&first.id)).unwrap().unwrap().is_open());
    // The first comes back: it does not lead, and has nothing to send.
    let one = scene.open("one");
    assert!(scene.runtime.block_on(one.led_by_another("a")).unwrap().is_some());
    assert!(scene.pending(&one).is_empty());
}

#[test]
fn a_watcher_whose_host_has_another_name_takes_up_what_it_left_under_the_old_one() {
    let scene = scene();
    let before = scene.open("old-name /etc/pgmedic.toml");
    let (first, others) = (incident("a", 1), incident("b", 1));
    scene.put(&before, &first, vec![entry(5, &first)]);
    scene.put(&before, &others, Vec::new());
    drop(before);
    let sql = |sql: &str| scene.lab.postgres().sql_in(DATABASE, sql).unwrap();
    sql("update pgmedic.lease set until = clock_timestamp() - interval '1 ms'");
    // One watches what was left, the other does not; nothing is ill, so that neither has anything to put.
    let (after, stranger) = (scene.open("new-name /etc/pgmedic.toml"), scene.open("stranger"));
    after.watches(["a".to_owned()]);
    stranger.watches(["c".to_owned()]);
    let fell = scene.takes_over(&after);
    assert_eq!(fell.services, ["a"]);
    assert_eq!(fell.incidents.iter().map(|i| &i.id).collect::<Vec<_>>(), [&first.id]);
    assert!(fell.incidents[0].report.is_some());
    assert_eq!(fell.entries.iter().map(|e| e.id).collect::<Vec<_>>(), [5]);
    // Until it is put it is given again: whoever was to go on with it may have ended.
    let again = scene.falls_to(&after, |fell| !fell.incidents.is_empty());
    assert_eq!(again.incidents[0].id, first.id);
    assert_eq!(scene.put(&after, &closed(&first, 900), Vec::new()), Put::Kept);
    assert!(stranger.taken_over().incidents.is_empty());
    // A lease that ran out so long ago that it was dropped is nobody's as well.
    sql("delete from pgmedic.lease where service = 'b'");
    stranger.watches(["b".to_owned()]);
    let fell = scene.takes_over(&stranger);
    assert_eq!(fell.incidents.iter().map(|i| &i.id).collect::<Vec<_>>(), [&others.id]);
    // What is watched no more is let go, once nothing of it is open.
    assert_eq!(scene.put(&stranger, &closed(&others, 950), Vec::new()), Put::Kept);
    stranger.watches(["c".to_owned()]);
    after.watches(["a".to_owned(), "b".to_owned()]);
    sql("update pgmedic.lease set until = clock_timestamp() + interval '4 s' where service = 'b'");
    let fell = scene.takes_over(&after);
    assert_eq!(fell.services, ["b"]);
}

#[test]
fn what_is_watched_no_more_does_not_fall_to_a_watcher_that_once_asked_for_it() {
    let scene = scene();
    let (one, two) = (scene.open("one"), scene.open("two"));
    scene.put(&one, &incident("a", 1), Vec::new());
    scene.put(&one, &incident("c", 1), Vec::new());
    assert!(scene.runtime.block_on(two.led_by_another("a")).unwrap().is_some());
    two.watches(["c".to_owned()]);
    drop(one);
    let sql = "update pgmedic.lease set until = clock_timestamp() - interval '1 ms'";
    scene.lab.postgres().sql_in(DATABASE, sql).unwrap();
    let fell = scene.takes_over(&two);
    assert_eq!(fell.services, ["c"]);
    assert_eq!(fell.incidents.iter().map(|i| &*i.service).collect::<Vec<_>>(), ["c"]);
}

#[test]
fn a_postgres_that_is_gone_holds_nothing_up_and_gets_everything_when_it_is_back() {
    let scene = scene();
    let board = Board::default();
    let store = scene.runtime.block_on(open_by(&scene.place, "one", &board));
    let before = incident("a", 1);
    assert_eq!(scene.put(&store, &before, vec![entry(1, &before)]), Put::Kept);
    scene.lab.postgres().stop(Stop::Immediate).unwrap();
    let mut slowest = Duration::ZERO;
    for n in 2..40 {
        let i = incident("a", n);
        let from = Instant::now();
        let put =
            scene.runtime.block_on(store.put(Arc::clone(&i), vec![entry(n, &i)], Duration::from_millis(200)));
        slowest = slowest.max(from.elapsed());
        assert_eq!(put, Put::Late);
    }
    assert!(slowest < Duration::from_millis(400), "{slowest:?}");
    assert!(scene.runtime.block_on(store.led_by_another("a")).is_err(), "who cannot ask may not act");
    scene.runtime.block_on(store.delivered(vec![2])).unwrap();
    assert_eq!(scene.pending(&store).first(), Some(&3), "known without the store");
    assert!(store.taken_over().said[0].contains("is not there"));
    assert!(board.state().own.store_failures > 0);
    scene.lab.postgres().ensure_up().unwrap();
    let end = Instant::now() + Duration::from_secs(40);
    let count = || scene.lab.postgres().sql_in(DATABASE, "select count(*) from pgmedic.incident").unwrap();
    while count()[0][0].as_deref() != Some("39") {
        assert!(Instant::now() < end, "not all of it was written: {:?}", count());
        std::thread::sleep(Duration::from_millis(50));
    }
    let pending = scene.pending(&store);
    assert_eq!(pending.len(), 38, "all but the one that was delivered: {pending:?}");
    assert!(store.taken_over().said.iter().any(|words| words.contains("is reached again")));
}

#[test]
fn a_postgres_is_reached_by_tls_and_only_with_the_right_password() {
    let lab = Lab::build(Parts { tls: true, ..Parts::default() }).unwrap();
    let port = lab.postgres().port();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let place = |password: &str| {
        let url = format!("postgres://{ROLE}:{password}@127.0.0.1:{port}/{DATABASE}?sslmode=require");
        StoreAt::Postgres(Box::new(
            Settings::parse(&url).and_then(|s| s.resolve(&Surroundings::default())).unwrap(),
        ))
    };
    let store = runtime.block_on(open_by(&place(PASSWORD), "one", &Board::default()));
    let i = incident("a", 1);
    assert_eq!(runtime.block_on(store.put(i, Vec::new(), WITHIN)), Put::Kept);
    let sql = "select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid) where application_name = 'pgmedic-watch'";
    assert_eq!(lab.postgres().value(sql).unwrap(), "t");
    let store = runtime.block_on(open_by(&place("hunter2"), "two", &Board::default()));
    assert_eq!(runtime.block_on(store.put(incident("a", 2), Vec::new(), WITHIN)), Put::Late);
    let said = store.taken_over().said;
    assert!(said[0].contains("28P01") && !said[0].contains("hunter2"), "{said:?}");
}

#[test]
fn who_did_not_wait_for_the_store_hears_a_moment_later_that_another_one_had_it() {
    let scene = scene();
    let (one, two) = (scene.open("one"), scene.open("two"));
    let (first, second) = (incident("a", 1), incident("a", 2));
    assert_eq!(scene.put(&one, &first, vec![entry(1, &first)]), Put::Kept);
    let put = scene.runtime.block_on(two.put(Arc::clone(&second), vec![entry(2, &second)], Duration::ZERO));
    assert_eq!(put, Put::Late, "nobody waits 0 s for a server");
    let end = Instant::now() + Duration::from_secs(20);
    let others = loop {
        let others = two.taken_over().others;
        if !others.is_empty() {
            break others;
        }
        assert!(Instant::now() < end, "nothing was heard");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!((&*others[0].0, &*others[0].1.id), (&*second.id, &*first.id));
    assert!(two.taken_over().others.is_empty(), "it is told once");
}
