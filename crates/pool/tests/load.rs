//! Many callers on few connections of a real Postgres, on several threads, cancelled at random: nothing is lost, and nobody
//! finds what another left behind.
//!
//! Not in here: each gate by itself (`gates`).

mod support;

use pgmedic_lab::Parts;
use pgmedic_pool::Pool;
use pgmedic_pool::tokio_postgres::SimpleQueryMessage;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use support::{builder, sessions, until, with_lab};

fn random(below: u64) -> u64 {
    RandomState::new().build_hasher().finish() % below
}

/// One checkout, as an API's handler has it. Checks first that the connection is as new.
async fn handler(pool: &Pool, checked: &AtomicU64) {
    let mut object = pool.get().await.expect("the server is well");
    let rows = object.simple_query("select now() = statement_timestamp()").await.expect("an answer");
    let clean = rows.iter().find_map(|row| match row {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    assert_eq!(clean, Some("t"), "a transaction was left open");
    checked.fetch_add(1, Relaxed);
    match random(5) {
        0 => drop(object.batch_execute("begin; select pg_sleep(0.001)").await),
        1 => {
            let transaction = object.transaction().await.expect("a transaction");
            let _ = transaction.query("select 1", &[]).await;
        }
        2 => drop(object.query("select generate_series(1, 2000)", &[]).await),
        3 => drop(object.batch_execute("select pg_sleep(0.002)").await),
        _ => drop(object.query_one("select 1", &[]).await),
    }
}

#[test]
fn under_load_and_random_cancellation_nothing_is_lost_and_nothing_left_behind() {
    with_lab(Parts::default(), async |lab| {
        let pool = builder(lab).max(4).build().expect("a pool");
        let checked = Arc::new(AtomicU64::new(0));
        let until_then = Instant::now() + Duration::from_secs(3);
        let callers: Vec<_> = (0..64)
            .map(|_| {
                let (pool, checked) = (pool.clone(), Arc::clone(&checked));
                tokio::spawn(async move {
                    while Instant::now() < until_then {
                        let patience = Duration::from_micros(random(60_000));
                        let _ = tokio::time::timeout(patience, handler(&pool, &checked)).await;
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.expect("no caller finds what another left behind");
        }
        until(Duration::from_secs(5), async || {
            let state = pool.state();
            let rest = (state.in_use, state.waiting, state.opening);
            (rest == (0, 0, 0) && state.size <= 4, state)
        })
        .await;
        let all = [pool.get().await, pool.get().await, pool.get().await, pool.get().await];
        assert!(all.iter().all(Result::is_ok), "every slot is there");
        assert!(sessions(lab) <= 4, "{}", sessions(lab));
        println!("{} checkouts", checked.load(Relaxed));
        assert!(checked.load(Relaxed) > 500, "{}", checked.load(Relaxed));
    });
}
