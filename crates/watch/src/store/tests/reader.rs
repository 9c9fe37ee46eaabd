//! Who only reads: beside a watcher and without one, and nothing is different afterwards.

use super::shared::scene;
use super::{WITHIN, closed, file, incident, open, open_by};
use crate::board::Board;
use crate::settings::StoreAt;
use crate::store::reader::Reader;
use crate::store::{Found, Put};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

/// What a folder holds, by name, hashed.
fn contents(folder: &Path) -> BTreeMap<String, u64> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let hashed = |path: &Path| {
        let mut hasher = DefaultHasher::new();
        std::fs::read(path).unwrap().hash(&mut hasher);
        hasher.finish()
    };
    files.map(|path| (path.display().to_string(), hashed(&path))).collect()
}

/// The same without the index of the log: connections of one process share it, and here reader and watcher are one process.
fn lasting(folder: &Path) -> BTreeMap<String, u64> {
    contents(folder).into_iter().filter(|(name, _)| !name.ends_with("-shm")).collect()
}

async fn ids(reader: &mut Reader) -> Vec<String> {
    reader.incidents().await.unwrap().into_iter().map(|i| i.id).collect()
}

#[tokio::test]
async fn a_file_is_read_while_its_watcher_writes_and_after_it_ended_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let place = file(folder.path());
    let state = folder.path().join("state");
    let store = open(&place).await;
    let (a, b) = (incident("a", 1), incident("b", 2));
    let mut reader = Reader::of(&place).unwrap();
    assert!(ids(&mut reader).await.is_empty());
    assert_eq!(store.put(Arc::clone(&a), Vec::new(), WITHIN).await, Put::Kept);
    let before = lasting(&state);
    assert!(before.keys().any(|name| name.ends_with("-wal")), "{before:?}");
    assert_eq!(ids(&mut reader).await, [&*a.id], "it is in the log alone");
    assert_eq!(lasting(&state), before);
    assert_eq!(store.put(Arc::clone(&b), Vec::new(), WITHIN).await, Put::Kept, "the watcher goes on");
    assert_eq!(store.put(closed(&a, 50), Vec::new(), WITHIN).await, Put::Kept);
    let Found::One(found) = reader.find(&a.id[..a.id.len() - 1]).await.unwrap() else { panic!("not found") };
    assert_eq!(*found, *closed(&a, 50), "with its report");
    store.close(WITHIN).await;

    let before = contents(&state);
    assert!(!before.keys().any(|name| name.ends_with("-wal")), "{:?}", before.keys());
    assert_eq!(ids(&mut reader).await, [&*b.id, &*a.id]);
    assert!(matches!(reader.find("2026").await.unwrap(), Found::Several(ids) if ids.len() == 2));
    assert_eq!(contents(&state), before, "no log, no index, not a byte");
    open(&place).await;
}

#[tokio::test]
async fn what_a_killed_watcher_left_in_its_log_is_read_and_left_there() {
    let folder = tempfile::tempdir().unwrap();
    let place = file(folder.path());
    let store = open(&place).await;
    let a = incident("a", 1);
    store.put(Arc::clone(&a), Vec::new(), WITHIN).await;
    // As a kill leaves it: nobody has these open. The name is one that a URI would take apart.
    let left = folder.path().join("left 100%?#");
    std::fs::create_dir(&left).unwrap();
    for file in std::fs::read_dir(folder.path().join("state")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), left.join(file.file_name())).unwrap();
    }
    let before = contents(&left);
    let mut reader = Reader::of(&StoreAt::Sqlite(left.join("pgmedic.db"))).unwrap();
    assert_eq!(ids(&mut reader).await, [&*a.id]);
    assert_eq!(contents(&left), before);
}

#[tokio::test]
async fn a_file_that_is_not_there_not_ours_or_not_known_is_said_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let said = async |name: &str| {
        let mut reader = Reader::of(&StoreAt::Sqlite(folder.path().join(name))).unwrap();
        reader.incidents().await.unwrap_err().to_string()
    };
    assert!(said("none.db").await.contains("it is not there: pgmedic watch makes it"));
    std::fs::write(folder.path().join("empty.db"), "").unwrap();
    assert!(said("empty.db").await.contains("it is not there"));
    std::fs::write(folder.path().join("text"), "somebody's").unwrap();
    // The store would be beside it, and is not.
    assert!(said("text").await.contains("it is not there"));
    let later = rusqlite::Connection::open(folder.path().join("later.db")).unwrap();
    later
        .execute_batch("pragma application_id = 1885826404; pragma user_version = 99; create table x (y)")
        .unwrap();
    drop(later);
    assert!(said("later.db").await.contains("a later pgmedic made it"));
    assert_eq!(contents(folder.path()).len(), 3);
    assert!(Reader::of(&StoreAt::Memory).is_none());
}

#[tokio::test]
async fn a_store_that_stepped_aside_is_found_there() {
    let folder = tempfile::tempdir().unwrap();
    let place = StoreAt::Sqlite(folder.path().join("text"));
    std::fs::write(folder.path().join("text"), "somebody's").unwrap();
    let store = open(&place).await;
    let a = incident("a", 1);
    store.put(Arc::clone(&a), Vec::new(), WITHIN).await;
    assert_eq!(ids(&mut Reader::of(&place).unwrap()).await, [&*a.id]);
}

#[test]
fn a_postgres_is_read_and_its_schema_is_not_made() {
    let scene = scene();
    let mut reader = Reader::of(&scene.place).unwrap();
    let error = scene.runtime.block_on(reader.incidents()).unwrap_err().to_string();
    assert!(error.contains("it has no schema pgmedic"), "{error}");
    let error = scene.runtime.block_on(reader.incidents()).unwrap_err().to_string();
    assert!(error.contains("it has no schema pgmedic"), "reading did not make it: {error}");
    scene.runtime.block_on(async {
        let store = open_by(&scene.place, "one", &Board::default()).await;
        let a = incident("a", 1);
        assert_eq!(store.put(Arc::clone(&a), Vec::new(), WITHIN).await, Put::Kept);
        assert_eq!(ids(&mut reader).await, [&*a.id]);
        assert!(matches!(reader.find(&a.id).await.unwrap(), Found::One(found) if *found == *a));
    });
}

#[tokio::test]
async fn a_postgres_that_takes_a_connection_and_says_nothing_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://u@{}/d?sslmode=disable", silent.local_addr().unwrap());
    let settings = pgmedic_model::target::Settings::parse(&url).unwrap();
    let target = settings.resolve(&pgmedic_model::target::Surroundings::default()).unwrap();
    let began = std::time::Instant::now();
    let error = Reader::of(&StoreAt::Postgres(Box::new(target))).unwrap().incidents().await.unwrap_err();
    assert!(error.to_string().contains("no answer within 3 s"), "{error}");
    assert!(began.elapsed() < WITHIN, "{:?}", began.elapsed());
}
