//! kill -9 at any moment: what was acknowledged is there, and the file is whole.

use super::{WITHIN, entry, file, incident, open};
use crate::alerts::Outbox;
use crate::incidents::scene::{Scene, at, critical};
use crate::store::{Put, Store};
use pgmedic_model::Room;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

const FOLDER: &str = "PGMEDIC_TEST_KILLED_FOLDER";
const FROM: &str = "PGMEDIC_TEST_KILLED_FROM";

/// The child: writes for as long as it lives, and says what was acknowledged.
#[tokio::test]
#[ignore = "the child of the test below"]
async fn writes_until_it_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let from: i64 = std::env::var(FROM).unwrap().parse().unwrap();
    let store = open(&file(folder.as_ref())).await;
    for n in from.. {
        let i = incident("a", n);
        let down = Scene::look(&format!("s{n}")).finds(critical("port-closed", Room::Network));
        store.looked(&down.seen(at(n)));
        let entries = vec![entry(2 * n, &i), entry(2 * n + 1, &i)];
        assert_eq!(store.put(i.clone(), entries, WITHIN).await, Put::Kept);
        writeln!(std::io::stdout(), "acknowledged {n} {}", i.id).unwrap();
    }
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut next) = (BTreeSet::new(), 0);
    for round in 0..50u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::killed::writes_until_it_is_killed", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(FROM, next.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        // At random from the first acknowledgement on: within writing, within the log's folding in, between.
        let mut line = String::new();
        while !line.contains("acknowledged") {
            line.clear();
            assert_ne!(out.read_line(&mut line).unwrap(), 0, "the child ended by itself");
        }
        let mut heard = vec![line];
        std::thread::sleep(Duration::from_micros(round * 7919 % 30_011));
        child.kill().unwrap();
        child.wait().unwrap();
        heard.extend(out.lines().map_while(Result::ok));
        for line in heard {
            let Some((_, rest)) = line.split_once("acknowledged ") else { continue };
            let Some((n, id)) = rest.trim_end().split_once(' ') else { continue };
            next = next.max(n.parse::<i64>().unwrap() + 1);
            acknowledged.insert((n.parse::<i64>().unwrap(), id.to_owned()));
        }
        // One may have been written and not acknowledged.
        next += 1;
        if round % 10 == 9 {
            whole(folder.path());
            let store = open(&file(folder.path())).await;
            all_there(&store, &acknowledged).await;
            store.close(WITHIN).await;
        }
    }
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
}

/// Looked at by nobody's code but SQLite's.
fn whole(folder: &std::path::Path) {
    let db = rusqlite::Connection::open(folder.join("state/pgmedic.db")).unwrap();
    let word: String = db.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(word, "ok");
}

async fn all_there(store: &Store, acknowledged: &BTreeSet<(i64, String)>) {
    let restored = store.restore().await.unwrap();
    assert!(restored.said.is_empty(), "{:?}", restored.said);
    let kept: BTreeSet<_> = restored.incidents.iter().map(|i| i.id.as_str()).collect();
    let pending = store.pending(-1, 1_000_000).await.unwrap();
    let pending: BTreeSet<_> = pending.iter().map(|e| e.id).collect();
    for (n, id) in acknowledged {
        assert!(kept.contains(id.as_str()), "{id} is lost");
        assert!(pending.contains(&(2 * n)) && pending.contains(&(2 * n + 1)), "an alert of {id} is lost");
    }
    // Neither without the other.
    assert_eq!(pending.len(), 2 * kept.len());
}
