//! Samples of what grows: which are kept and for how long, that they are there after a restart, in a file that was moved on,
//! and within the limit.

use super::shared::scene;
use super::{WITHIN, file, incident, keep, open, open_by};
use crate::board::Board;
use crate::fixture::{self, AT};
use crate::seen::{Kind, Seen};
use crate::settings::StoreAt;
use crate::store::Keep;
use crate::store::op::{Answer, Op};
use crate::store::reader::Reader;
use crate::store::samples::{Sample, Samples, TIERS};
use crate::store::sqlite::Book;
use pgmedic_model::Timestamp;
use pgmedic_path::audit::growth::{Series, forecasts};
use pgmedic_path::evidence::{QueryOutcome, Seen as Shown};
use pgmedic_path::sql::facts::SlotView;
use std::sync::Arc;

const GB: u64 = 1 << 30;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn at(second: i64) -> Timestamp {
    Timestamp(AT.0 + second * 1000)
}

/// A walk in which so many bytes of the volume's 100 GB are used, and a slot of that name is there.
fn walk(service: &str, second: i64, used: u64, slot: &str) -> Seen {
    let mut evidence = fixture::evidence(service, Some(fixture::facts()));
    if let Shown::Seen(host) = &mut evidence.host {
        host.at = at(second);
        host.volumes[0].available_bytes = 100 * GB - used;
        host.volumes[0].path = "/data".to_owned();
    }
    if let Some(query) = &mut evidence.front.query {
        query.at = at(second);
        if let QueryOutcome::Answered(facts) = &mut query.outcome {
            let retained_bytes = Some(GB);
            facts.storage.slots =
                vec![SlotView { name: slot.to_owned(), retained_bytes, ..SlotView::default() }];
        }
    }
    fixture::of(evidence, Kind::Walk, second, Vec::new())
}

async fn told(place: &StoreAt, service: &str, server: Option<&str>, second: i64) -> Vec<Series> {
    Reader::of(place).unwrap().history(service, server, at(second)).await.unwrap()
}

/// A volume's samples, as a store takes them.
fn sample(service: &str, server: &str, second: i64, value: f64) -> Sample {
    Sample {
        service: service.into(),
        server: server.into(),
        subject: "data volume at /data".to_owned(),
        unit: "bytes".to_owned(),
        at: at(second),
        value,
    }
}

#[test]
fn a_service_has_one_sample_a_minute_of_what_its_walks_saw() {
    let mut samples = Samples::default();
    for second in 0..600 {
        let mut seen = walk("shop", second, 60 * GB, "standby");
        if second % 5 != 0 {
            seen.kind = Kind::Look;
        }
        samples.take(&seen);
    }
    let kept = samples.drain(at(600));
    let of = |subject: &str| kept.iter().filter(|s| s.subject == subject).count();
    assert_eq!((of("data volume at /data"), of("WAL that slot 'standby' keeps")), (10, 10), "{kept:?}");
    assert_eq!(kept.len(), 20);
    let last = kept.last().unwrap().clone();
    samples.waiting.put_back(vec![last.clone(); 10_000]);
    assert_eq!(samples.waiting.take_lost(), 10_000 - 8192);
}

#[test]
fn slots_that_are_new_at_each_look_push_nothing_out_and_are_bounded() {
    let mut samples = Samples::default();
    let mut subjects = std::collections::BTreeSet::new();
    let mut volumes = 0;
    for minute in 0..59 {
        samples.take(&walk("shop", minute * 60, 60 * GB, &format!("slot_{minute}")));
        for sample in samples.drain(at(minute * 60)) {
            volumes += usize::from(sample.subject.starts_with("data volume"));
            subjects.insert(sample.subject);
        }
    }
    assert_eq!((volumes, subjects.len()), (59, 32));
}

/// What every kind of store does with two hours of walks.
async fn keeps_samples(place: &StoreAt) {
    let store = open_by(place, "one", &Board::default()).await;
    for minute in 0..120 {
        store.looked(&walk("shop", minute * 60, 60 * GB + minute.unsigned_abs() * GB / 10, "standby"));
        store.looked(&walk("other", minute * 60 + 1, 10 * GB, "standby"));
    }
    assert_eq!(store.close(WITHIN).await, 0);
    open_by(place, "one", &Board::default()).await.close(WITHIN).await;
    let series = told(place, "shop", None, 2 * HOUR).await;
    let subjects: Vec<&str> = series.iter().map(|s| s.key.as_str()).collect();
    assert_eq!(subjects, ["WAL that slot 'standby' keeps", "data volume at /data"]);
    let points = &series[1].points;
    assert_eq!(points.first().unwrap().0, at(0));
    assert_eq!(points.last().unwrap(), &(at(119 * 60), (60 * GB + 119 * GB / 10) as f64));
    assert!(points.is_sorted_by_key(|(at, _)| *at) && points.len() > 110, "{}", points.len());
    assert!(told(place, "nobody", None, 2 * HOUR).await.is_empty());

    // And the forecast from it: 100 MB a minute, and 28 GB left.
    let mut now = (*walk("shop", 2 * HOUR, 72 * GB, "standby").evidence).clone();
    now.history = series;
    let forecast = forecasts(&now).into_iter().find(|f| f.subject.starts_with("data volume")).unwrap();
    let minutes = (forecast.ends_at.unwrap().0 - at(2 * HOUR).0) as f64 / 60_000.0;
    assert!((minutes / 280.0 - 1.0).abs() < 0.02, "{minutes}: {forecast:?}");
    assert!(forecast.rests_on.starts_with("2.0 h of watch's history, 120 looks"), "{}", forecast.rests_on);
}

#[tokio::test]
async fn a_file_keeps_samples_and_a_forecast_comes_from_them() {
    let folder = tempfile::tempdir().unwrap();
    keeps_samples(&file(folder.path())).await;
}

#[test]
fn a_postgres_keeps_samples_and_two_watchers_of_one_service_write_into_the_same_slots() {
    let scene = scene();
    scene.runtime.block_on(keeps_samples(&scene.place));
    scene.runtime.block_on(async {
        let store = open_by(&scene.place, "two", &Board::default()).await;
        for minute in 0..120 {
            store.looked(&walk("shop", minute * 60 + 7, 60 * GB, "standby"));
        }
        assert_eq!(store.close(WITHIN).await, 0);
        let series = told(&scene.place, "shop", None, 2 * HOUR).await;
        assert!(series[1].points.len() <= 121, "{}", series[1].points.len());
        assert_eq!(series[1].points.last().unwrap().1, (60 * GB + 119 * GB / 10) as f64, "the highest stays");
    });
    let postgres = scene.lab.postgres();
    // As the version before had it: whoever reads is told so, and it is moved on by whoever watches.
    for sql in ["drop table pgmedic.sample, pgmedic.subject", "update pgmedic.version set version = 1"] {
        postgres.sql_in(pgmedic_lab::postgres::DATABASE, sql).unwrap();
    }
    scene.runtime.block_on(async {
        let mut reader = Reader::of(&scene.place).unwrap();
        assert!(reader.incidents().await.unwrap().is_empty(), "what it has is read");
        let error = reader.history("shop", None, at(0)).await.unwrap_err().to_string();
        assert!(error.contains("has not brought it to this version yet"), "{error}");
    });
    scene.runtime.block_on(keeps_samples(&scene.place));
}

#[tokio::test]
async fn a_file_of_the_version_before_is_moved_on_with_all_that_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let place = file(folder.path());
    let store = open(&place).await;
    let a = incident("a", 1);
    store.put(Arc::clone(&a), Vec::new(), WITHIN).await;
    store.close(WITHIN).await;
    let before = rusqlite::Connection::open(folder.path().join("state/pgmedic.db")).unwrap();
    before.execute_batch("drop table sample; drop table subject; pragma user_version = 1").unwrap();
    drop(before);
    let mut reader = Reader::of(&place).unwrap();
    assert_eq!(reader.incidents().await.unwrap()[0].id, a.id, "what it has is read");
    let error = reader.history("shop", None, at(0)).await.unwrap_err().to_string();
    assert!(error.contains("has not brought it to this version yet"), "{error}");
    keeps_samples(&place).await;
    assert_eq!(reader.incidents().await.unwrap()[0].id, a.id);
}

#[test]
fn what_memory_took_while_the_file_could_not_be_opened_is_in_the_file_after_it() {
    let mut memory = Book::stand_in(keep(), Arc::default(), at(0)).unwrap();
    let rows: Vec<Sample> = (0..5).map(|m| sample("app", "71", m * 60, m as f64)).collect();
    memory.run(Op::Samples(rows)).unwrap();
    let mut file = Book::open(None, keep(), Arc::default()).unwrap();
    for _ in 0..2 {
        for op in memory.holds().unwrap() {
            file.run(op).unwrap();
        }
    }
    let asked = Op::SamplesOf { service: "app".into(), server: "71".into(), now: at(300) };
    let Answer::Samples(series) = file.run(asked).unwrap() else { panic!("no samples") };
    let values: Vec<f64> = series[0].points.iter().map(|(_, value)| *value).collect();
    assert_eq!(values, [0.0, 1.0, 2.0, 3.0, 4.0]);
}

#[tokio::test]
async fn a_service_of_the_same_name_on_another_server_is_not_mixed_up_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pgmedic.db");
    let mut book = Book::open(Some(path.clone()), keep(), Arc::default()).unwrap();
    let rows = vec![sample("app", "71", 0, 1.0), sample("app", "72", 60, 2.0), sample("app", "", 120, 3.0)];
    book.run(Op::Samples(rows)).unwrap();
    drop(book);
    let place = StoreAt::Sqlite(path);
    let values = async |server| {
        let series = told(&place, "app", server, 300).await;
        let mut values: Vec<f64> = series.iter().flat_map(|s| &s.points).map(|(_, value)| *value).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    assert_eq!(values(Some("71")).await, [1.0, 3.0]);
    assert_eq!(values(Some("73")).await, [3.0]);
    assert_eq!(values(None).await, [1.0, 2.0, 3.0], "a server that does not tell its identifier");
}

#[tokio::test]
async fn three_weeks_are_thinned_to_two_and_the_highest_of_each_hour_stays() {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().join("pgmedic.db");
    let mut book = Book::open(Some(path.clone()), keep(), Arc::default()).unwrap();
    let end = 21 * DAY;
    // It breathes: in each hour's 17th minute by 5 above what grows slowly.
    let value = |s: i64| (s / 60) as f64 + if s / 60 % 60 == 17 { 5e6 } else { 0.0 };
    for hour in 0..21 * 24 {
        let rows = (0..60).map(|m| hour * HOUR + m * 60).map(|s| sample("app", "", s, value(s))).collect();
        book.run(Op::Samples(rows)).unwrap();
        book.run(Op::Prune(at((hour + 1) * HOUR))).unwrap();
    }
    drop(book);
    let db = rusqlite::Connection::open(&path).unwrap();
    for tier in TIERS {
        let sql = "select count(*) from sample where step = ?1";
        let rows: i64 = db.query_row(sql, [tier.step], |row| row.get(0)).unwrap();
        let most = tier.keep / tier.step;
        assert!((most - 1..=most + 1).contains(&rows), "{tier:?}: {rows}");
    }
    let series = told(&StoreAt::Sqlite(path.clone()), "app", None, end).await;
    let points = &series[0].points;
    assert!(points.len() <= 200 && points.len() > 150, "{}", points.len());
    assert!(points.is_sorted_by_key(|(at, _)| *at));
    let (first, last) = (points[0].0, points[points.len() - 1].0);
    assert!((at(7 * DAY - HOUR)..at(7 * DAY + 6 * HOUR)).contains(&first), "{first}");
    assert_eq!(last, at(end - 60));
    let last_hour = points.iter().filter(|(when, _)| *when >= at(end - HOUR)).count();
    assert_eq!(last_hour, 60, "the last hour is whole");
    assert!(points.iter().filter(|(when, _)| *when < at(end - DAY)).all(|(_, value)| *value > 5e6));
    // Long after it was last seen, nothing of it is left.
    let mut book = Book::open(Some(path.clone()), keep(), Arc::default()).unwrap();
    book.run(Op::Prune(at(end + 15 * DAY))).unwrap();
    let rows: i64 = db
        .query_row("select (select count(*) from sample) + (select count(*) from subject)", [], |r| r.get(0))
        .unwrap();
    assert_eq!(rows, 0);
}

#[test]
fn samples_of_many_services_stay_within_the_limit() {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().join("pgmedic.db");
    let small = Keep { limit: 4 << 20, ..keep() };
    let mut book = Book::open(Some(path.clone()), small, Arc::default()).unwrap();
    let mut most = 0;
    for minute in 0..60 {
        let rows = (0..2000).map(|n| sample(&format!("service-{n:04}"), "", minute * 60, 1.0)).collect();
        book.run(Op::Samples(rows)).unwrap();
        let Answer::Size(bytes) = book.run(Op::Prune(at(minute * 60))).unwrap() else { panic!("no size") };
        most = most.max(bytes);
    }
    assert!((2 << 20..=4 << 20).contains(&most), "{most}");
    let Answer::Samples(series) = book
        .run(Op::SamplesOf { service: "service-1999".into(), server: String::new(), now: at(3600) })
        .unwrap()
    else {
        panic!("no samples")
    };
    assert_eq!(series[0].points.last().unwrap().0, at(59 * 60), "the latest stay");
}
