//! What a file can suffer: another watcher, damage, being somebody else's, a limit.

use super::{WITHIN, entry, file, incident, keep, open};
use crate::board::Board;
use crate::clock::Clock;
use crate::incidents::scene::{Scene, at, critical};
use crate::settings::StoreAt;
use crate::store::{Begun, Keep, Outbox, Put, Store, StoreError};
use pgmedic_model::Room;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_second_watcher_is_told_whose_the_file_is() {
    let folder = tempfile::tempdir().unwrap();
    let place = file(folder.path());
    let first = open(&place).await;
    let second = Store::open(&place, keep(), "two", Clock::System, Board::default()).await;
    assert!(matches!(second, Err(StoreError::Busy { .. })), "{second:?}");
    first.close(WITHIN).await;
    open(&place).await;
}

#[tokio::test]
async fn nobody_else_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&file(folder.path())).await;
    let i = incident("a", 1);
    store.put(Arc::clone(&i), vec![entry(1, &i)], WITHIN).await;
    let mut seen = 0;
    for file in std::fs::read_dir(folder.path().join("state")).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.path());
        seen += 1;
    }
    assert!(seen >= 4, "the file, its log, its index, its lock: {seen}");
}

#[tokio::test]
async fn a_broken_file_is_set_aside_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let place = file(folder.path());
    let path = folder.path().join("state/pgmedic.db");
    let store = open(&place).await;
    for n in 0..50 {
        store.put(incident("a", n), Vec::new(), WITHIN).await;
    }
    store.close(WITHIN).await;
    let mut bytes = std::fs::read(&path).unwrap();
    for byte in &mut bytes[4096..40_000] {
        *byte ^= 0x5a;
    }
    std::fs::write(&path, &bytes).unwrap();
    let store = open(&place).await;
    let restored = store.restore().await.unwrap();
    assert!(restored.incidents.is_empty());
    assert_eq!(restored.said.len(), 1);
    assert!(restored.said[0].contains("set aside as"), "{:?}", restored.said);
    let aside = std::fs::read_dir(folder.path().join("state")).unwrap().map(|f| f.unwrap());
    let aside: Vec<_> = aside.filter(|f| f.file_name().to_string_lossy().contains(".broken-")).collect();
    assert_eq!(aside.len(), 1);
    assert_eq!(std::fs::read(aside[0].path()).unwrap(), bytes, "not a byte of it was changed");
    assert_eq!(store.put(incident("a", 1), Vec::new(), WITHIN).await, Put::Kept);
}

#[tokio::test]
async fn a_file_of_a_later_pgmedic_is_set_aside_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pgmedic.db");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("pragma application_id = 1885826404; pragma user_version = 99; create table x (y)")
        .unwrap();
    drop(db);
    let store = open(&StoreAt::Sqlite(path)).await;
    let said = store.restore().await.unwrap().said;
    assert!(said[0].contains("later pgmedic"), "{said:?}");
}

#[tokio::test]
async fn a_file_that_is_somebody_elses_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("create table orders (id integer); insert into orders values (1)").unwrap();
    drop(db);
    let before = std::fs::read(&path).unwrap();
    let place = StoreAt::Sqlite(path.clone());
    for round in 0..2 {
        let store = open(&place).await;
        let restored = store.restore().await.unwrap();
        assert!(restored.said[0].contains("was not touched"), "{:?}", restored.said);
        assert_eq!(restored.incidents.len(), round);
        store.put(incident("a", 1), Vec::new(), WITHIN).await;
        store.close(WITHIN).await;
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    // A text, and a place where nothing can be made.
    std::fs::write(folder.path().join("notes"), "remember the milk").unwrap();
    let store = open(&StoreAt::Sqlite(folder.path().join("notes"))).await;
    assert!(store.restore().await.unwrap().said[0].contains("was not touched"));
    let nowhere = StoreAt::Sqlite("/proc/nowhere/pgmedic.db".into());
    let error = Store::open(&nowhere, keep(), "one", Clock::System, Board::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::File { .. }), "{error:?}");
}

#[tokio::test]
async fn the_file_stays_below_its_limit_and_what_lasts_stays_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = file(folder.path());
    let limit = 4 << 20;
    let board = Board::default();
    let small = Keep { limit, ..keep() };
    let store = Store::open(&place, small, "one", Clock::from(at(0)), board).await.unwrap();
    let lasting = incident("lasting", 0);
    store.put(Arc::clone(&lasting), vec![entry(1, &lasting)], WITHIN).await;
    let mut most = 0;
    for n in 0..1000 {
        let service = format!("s{}", n % 50);
        let i = super::closed(&incident(&service, n), n + 1);
        assert_eq!(store.put(i, Vec::new(), WITHIN).await, Put::Kept, "{n}");
        for m in 0..20 {
            let scene = Scene::look(&format!("s{n}-{m}")).finds(critical("port-closed", Room::Network));
            store.looked(&scene.seen(at(n)));
        }
        let size =
            |name: &str| std::fs::metadata(folder.path().join("state").join(name)).map_or(0, |m| m.len());
        most = most.max(size("pgmedic.db") + size("pgmedic.db-wal"));
    }
    assert!(most <= limit, "{most}");
    assert!(most > limit / 4, "the limit was never near: {most}");
    let restored = store.restore().await.unwrap();
    assert!(restored.incidents.iter().any(|i| i.id == lasting.id), "open ones stay");
    assert_eq!(store_entries(&store).await, 1, "what is to be told stays");
}

async fn store_entries(store: &Store) -> usize {
    use crate::alerts::Outbox;
    store.pending(0, 100).await.unwrap().len()
}

#[tokio::test]
async fn a_file_that_could_not_be_opened_is_tried_again_and_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let place = file(folder.path());
    let first = open(&place).await;
    let before = incident("a", 1);
    first.put(Arc::clone(&before), vec![entry(1, &before)], WITHIN).await;
    first.close(WITHIN).await;
    // ENXIO: what a device says that is gone.
    let lock = folder.path().join("state/pgmedic.db.lock");
    std::fs::remove_file(&lock).unwrap();
    let gone = std::os::unix::net::UnixListener::bind(&lock).unwrap();
    let store = open(&place).await;
    let restored = store.restore().await.unwrap();
    assert!(restored.incidents.is_empty() && restored.said[0].contains("it is tried again"), "{restored:?}");
    let during = incident("b", 2);
    assert_eq!(store.put(Arc::clone(&during), vec![entry(2, &during)], WITHIN).await, Put::Kept);
    let begun =
        Begun { service: "b".to_owned(), incident: "i".to_owned(), automatic: true, by: "policy".to_owned() };
    let number = store.begin(begun).await.unwrap();
    std::fs::remove_file(&lock).unwrap();
    drop(gone);
    let until = Instant::now() + Duration::from_secs(10);
    let fell = loop {
        let fell = store.taken_over();
        if !fell.incidents.is_empty() {
            break fell;
        }
        assert!(Instant::now() < until, "it was not opened");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(fell.incidents[0].id, before.id, "what the file had is gone on with");
    assert_eq!(fell.entries.iter().map(|e| e.id).collect::<Vec<_>>(), [1]);
    assert!(fell.said[0].contains("is opened"), "{:?}", fell.said);
    store.ended(number, 3, true).await.unwrap();
    store.close(WITHIN).await;
    let store = open(&place).await;
    let mut kept: Vec<_> = store.restore().await.unwrap().incidents.into_iter().map(|i| i.id).collect();
    kept.sort();
    assert_eq!(kept, [before.id.clone(), during.id.clone()], "and so is what memory held");
    let done = store.done("b", Duration::from_secs(3600)).await.unwrap();
    assert_eq!((done.len(), done[0].applied), (1, Some(3)));
    assert_eq!(store.pending(0, 9).await.unwrap().len(), 2);
}
