//! All combinations of ok, error, slow and never at each gate (resolve, connect, tls, startup, recycle, query, return), with
//! the caller cancelled at each of its awaits: no slot is lost, no waiter is forgotten, and the reason is the right one.
//!
//! Combinations that differ only behind a gate that nothing passes are the same and run once. Not in here: what only a real
//! server can show (`real.rs`).

mod script;

use pgmedic_pool::tokio_postgres::Config;
use pgmedic_pool::tokio_postgres::config::SslMode;
use pgmedic_pool::{GetError, Kind, Pool, Reason, Stage};
use script::{ALL_OK, Gates, SLOW, Script, ScriptedTls, WAYS, Way};
use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

const S: Duration = Duration::from_secs(1);

fn pool(script: &Script, max: usize, acquire: Duration) -> Pool {
    let mut config = Config::new();
    config.host("db.example").user("app").password("hunter2").ssl_mode(SslMode::Require);
    Pool::builder(config)
        .max(max)
        .acquire_timeout(acquire)
        .connect_timeout(10 * S)
        .test_after(5 * S)
        .recycle_timeout(6 * S)
        .transport(script.clone())
        .tls(ScriptedTls(script.clone()))
        .build()
        .expect("a pool")
}

/// Under time that passes only where everybody waits.
fn paused<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(test)
}

/// Every combination that can be told apart.
fn combinations() -> Vec<Gates> {
    let mut all = Vec::new();
    for resolve in WAYS {
        for connect in behind(resolve) {
            for tls in behind2(resolve, connect) {
                for startup in if tls.passes() { behind2(resolve, connect) } else { vec![Way::Ok] } {
                    let way = Gates { resolve, connect, tls, startup, ..ALL_OK };
                    let open = [resolve, connect, tls, startup].into_iter().all(Way::passes);
                    if !open {
                        all.push(way);
                        continue;
                    }
                    for recycle in WAYS {
                        for query in WAYS {
                            all.extend(WAYS.map(|back| Gates { recycle, query, back, ..way }));
                        }
                    }
                }
            }
        }
    }
    all
}

fn behind(gate: Way) -> Vec<Way> {
    if gate.passes() { WAYS.to_vec() } else { vec![Way::Ok] }
}

fn behind2(first: Way, second: Way) -> Vec<Way> {
    if first.passes() { behind(second) } else { vec![Way::Ok] }
}

/// The stage of the first gate on the way in that nothing passes.
fn expected(gates: &Gates) -> Option<(Stage, Way)> {
    let in_order = [
        (Stage::Dns, gates.resolve),
        (Stage::Connect, gates.connect),
        (Stage::Tls, gates.tls),
        (Stage::Startup, gates.startup),
    ];
    in_order.into_iter().find(|(_, way)| !way.passes())
}

/// Holds an error against the gates.
fn judge(gates: &Gates, outcome: &Result<(), GetError>) {
    match (expected(gates), outcome) {
        (None, Ok(())) => {}
        (Some((stage, way)), Err(error)) => {
            assert_eq!((error.stage(), error.kind()), (Some(stage), Kind::Down), "{gates:?}: {error}");
            let reason = &error.attempts().last().expect("an attempt").reason;
            let right = match (stage, way) {
                (_, Way::Never) => matches!(reason, Reason::TimedOut(_)),
                (Stage::Dns, _) => matches!(reason, Reason::Unresolved(_)),
                (Stage::Connect, _) => reason.errno().is_some_and(|e| e.name == "ECONNREFUSED"),
                (Stage::Tls, _) => matches!(reason, Reason::Tls(t) if t.contains("certificate has expired")),
                _ => reason.sqlstate().is_some_and(|code| code.as_str() == "28P01"),
            };
            assert!(right, "{gates:?}: {error}");
            assert!(!format!("{error:?} {error}").contains("hunter2"));
        }
        (expected, Ok(())) => panic!("{gates:?}: expected {expected:?}, and it went well"),
        (expected, Err(error)) => panic!("{gates:?}: expected {expected:?}: {error}"),
    }
}

/// What one caller does: a checkout, a pause in which the connection idles, and another checkout with a transaction that it
/// abandons.
async fn caller(pool: &Pool) -> Result<(), GetError> {
    drop(pool.get().await?);
    tokio::time::sleep(6 * S).await;
    let object = pool.get().await?;
    let _ = tokio::time::timeout(3 * S, object.batch_execute("begin; work")).await;
    Ok(())
}

/// Polls a future so many times, and drops it. Some(its output) where it ended before; how often it was polled.
async fn cancelled_after<F: Future>(future: F, most: usize) -> (Option<F::Output>, usize) {
    let mut future = Box::pin(future);
    let mut polled = 0;
    let output = std::future::poll_fn(|cx| {
        if polled == most {
            return Poll::Ready(None);
        }
        polled += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polled == most => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    drop(future);
    (output, polled)
}

/// Connections that a caller needs who is not cancelled: the first; another where the test before the second checkout fails;
/// one to cancel what goes on for too long; another where what was left behind cannot be undone.
fn dials(gates: &Gates) -> i32 {
    let cancels = gates.query == Way::Never || matches!(gates.back, Way::Slow | Way::Never);
    1 + i32::from(!gates.recycle.passes()) + i32::from(cancels) + i32::from(!gates.back.passes())
}

/// One run; gives how often the caller was polled.
async fn run(gates: Gates, cancel_after: usize) -> usize {
    let script = Script::new(gates);
    let pool = pool(&script, 1, 30 * S);
    let (outcome, polled) = {
        let mut one = pin!(cancelled_after(caller(&pool), cancel_after));
        let first = std::future::poll_fn(|cx| Poll::Ready(one.as_mut().poll(cx))).await;
        // Two who wait: one from the start, one for what the caller leaves behind.
        let slow = [gates.resolve, gates.connect, gates.tls, gates.startup]
            .into_iter()
            .filter(|way| *way == Way::Slow);
        let back_at = 6 * S + SLOW * u32::try_from(slow.count()).expect("four at most") + S / 2;
        let waiters = [Duration::ZERO, back_at].map(|later| {
            let pool = pool.clone();
            tokio::spawn(async move {
                tokio::time::sleep(later).await;
                pool.get_within(60 * S).await.map(drop)
            })
        });
        let done = match first {
            Poll::Ready(done) => done,
            Poll::Pending => one.await,
        };
        for waiter in waiters {
            let waited = tokio::time::timeout(90 * S, waiter).await;
            judge(&gates, &waited.expect("no waiter is forgotten").expect("no panic"));
        }
        done
    };
    if let Some(outcome) = &outcome {
        judge(&gates, outcome);
        if outcome.is_ok() {
            assert_eq!(script.dialled(), dials(&gates), "{gates:?}");
        }
    }
    // All is well again: the one slot is there, and nothing is left of all this. What hangs has its own budget to end in.
    script.set(ALL_OK);
    let healed = Instant::now();
    while pool.get().await.is_err() {
        assert!(healed.elapsed() <= 12 * S, "{gates:?} after {cancel_after}: {}", pool.state());
        tokio::time::sleep(S / 20).await;
    }
    tokio::time::sleep(7 * S).await;
    let state = pool.state();
    let (size, idle) = (state.size, state.idle);
    assert_eq!(
        (size, idle, state.waiting, state.opening),
        (1, 1, 0, 0),
        "{gates:?} after {cancel_after}: {state}"
    );
    polled
}

#[test]
fn all_gates_in_all_ways_with_a_cancellation_at_each_await() {
    let all = combinations();
    assert_eq!(all.len(), 1054);
    let mut runs = 0;
    for gates in all {
        let polled = paused(run(gates, usize::MAX));
        runs += 1;
        for cancel_after in 1..polled {
            paused(run(gates, cancel_after));
            runs += 1;
        }
    }
    println!("{runs} runs");
    assert!(runs > 5000, "{runs}");
}

#[test]
fn a_budget_shorter_than_the_opening_names_the_stage_that_used_it_up() {
    for (stage, gates) in [
        (Stage::Dns, Gates { resolve: Way::Never, ..ALL_OK }),
        (Stage::Connect, Gates { connect: Way::Never, ..ALL_OK }),
        (Stage::Tls, Gates { tls: Way::Never, ..ALL_OK }),
        (Stage::Startup, Gates { startup: Way::Never, ..ALL_OK }),
    ] {
        paused(async {
            let script = Script::new(gates);
            let pool = pool(&script, 2, 3 * S);
            let from = Instant::now();
            let error = pool.get().await.expect_err("nothing passes");
            assert_eq!((error.stage(), error.kind()), (Some(stage), Kind::TimedOut), "{error}");
            assert!(from.elapsed() >= 3 * S && from.elapsed() < 3 * S + S / 10, "{:?}", from.elapsed());
            assert!(
                error.to_string().starts_with(&format!("no connection within 3.0 s: {stage}: ")),
                "{error}"
            );
        });
    }
}

#[test]
fn a_slow_way_in_takes_its_time_and_no_more() {
    paused(async {
        let slow = Way::Slow;
        let script = Script::new(Gates { resolve: slow, connect: slow, tls: slow, startup: slow, ..ALL_OK });
        let pool = pool(&script, 1, 30 * S);
        let from = Instant::now();
        drop(pool.get().await.expect("slow is not never"));
        assert!(from.elapsed() >= 4 * SLOW && from.elapsed() < 4 * SLOW + S / 10, "{:?}", from.elapsed());
    });
}

#[test]
fn a_thousand_callers_of_a_database_that_is_down_make_one_opening_each_half_second() {
    paused(async {
        let script = Script::new(Gates { connect: Way::Error, ..ALL_OK });
        let pool = pool(&script, 10, 30 * S);
        let callers: Vec<_> = (0..1000)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.get().await.map(drop) })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.expect("no panic").expect_err("down").kind(), Kind::Down);
        }
        assert!(script.dialled() <= 10, "{}", script.dialled());
        let before = script.dialled();
        tokio::time::sleep(60 * S).await;
        let looks = script.dialled() - before;
        assert!((100..=260).contains(&looks), "{looks} looks in a minute");

        // It is back: seen within a second, and what follows comes one after the other.
        script.set(ALL_OK);
        let before = script.dialled();
        let from = Instant::now();
        while pool.get().await.is_err() {
            assert!(from.elapsed() < S, "{:?}", from.elapsed());
            tokio::time::sleep(S / 100).await;
        }
        let held = (0..10).map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let object = pool.get().await.expect("it is back");
                tokio::time::sleep(10 * S).await;
                drop(object);
            })
        });
        let held: Vec<_> = held.collect();
        tokio::time::sleep(S).await;
        assert_eq!(script.dialled() - before, 10, "as many as are needed, and no more");
        for held in held {
            held.await.expect("no panic");
        }
    });
}

#[test]
fn what_is_closed_makes_room_at_once() {
    paused(async {
        let script = Script::new(ALL_OK);
        let pool = pool(&script, 1, 30 * S);
        let held = pool.get().await.expect("the one");
        let waiter = tokio::spawn({
            let pool = pool.clone();
            async move { pool.get().await.map(drop) }
        });
        tokio::task::yield_now().await;
        let from = Instant::now();
        held.discard();
        waiter.await.expect("no panic").expect("another");
        assert!(from.elapsed() < S / 100, "{:?}", from.elapsed());

        // An idle one that does not pass its test costs its test and an opening.
        tokio::time::sleep(6 * S).await;
        script.set(Gates { recycle: Way::Error, ..ALL_OK });
        let from = Instant::now();
        drop(pool.get().await.expect("another"));
        assert!(from.elapsed() < S / 100, "{:?}", from.elapsed());
    });
}

#[test]
fn who_waits_is_served_in_order() {
    paused(async {
        let script = Script::new(ALL_OK);
        let pool = pool(&script, 1, 300 * S);
        let held = pool.get().await.expect("the one");
        let order: std::sync::Arc<std::sync::Mutex<Vec<usize>>> = std::sync::Arc::default();
        let mut waiters = Vec::new();
        for n in 0..50 {
            let (pool, order) = (pool.clone(), std::sync::Arc::clone(&order));
            waiters.push(tokio::spawn(async move {
                let object = pool.get().await.expect("its turn");
                order.lock().expect("no panic").push(n);
                tokio::time::sleep(S / 10).await;
                drop(object);
            }));
            tokio::task::yield_now().await;
        }
        // Every third goes away.
        for waiter in waiters.iter().step_by(3) {
            waiter.abort();
        }
        drop(held);
        for waiter in waiters {
            let _ = waiter.await;
        }
        let expected: Vec<usize> = (0..50).filter(|n| n % 3 != 0).collect();
        assert_eq!(*order.lock().expect("no panic"), expected);
    });
}
