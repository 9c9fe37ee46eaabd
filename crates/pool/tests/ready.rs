//! Readiness against a real Postgres: stopped, started, hung, and behind a pool that is full.
//!
//! Not in here: the pool's own errors (`real.rs`).

mod support;

use pgmedic_lab::Parts;
use pgmedic_lab::postgres::Stop;
use pgmedic_pool::{Answer, Pool, PoolCell, Readiness};
use std::time::{Duration, Instant};
use support::{builder, config, failures, off, sessions, until, with_lab};

fn reason(answer: &Answer) -> &str {
    match answer {
        Answer::Ready => "",
        Answer::NotReady { reason } => reason,
    }
}

#[test]
fn stopped_it_is_503_with_the_reason_and_started_200_within_a_second() {
    with_lab(Parts::default(), async |lab| {
        let cell = PoolCell::new();
        let readiness = Readiness::of_cell(cell.clone());
        assert_eq!(reason(&readiness.check().await), "Database not initialised");
        let pool = builder(lab).build().expect("a pool");
        assert!(cell.set(pool.clone()).is_ok());
        assert_eq!(readiness.check().await, Answer::Ready);

        off(|| lab.postgres().stop(Stop::Fast)).unwrap();
        // As soon as the end of the idle connection has been read off its socket.
        let mut last = Answer::Ready;
        let took = until(Duration::from_millis(100), async || {
            last = readiness.check().await;
            (last.status() == 503, last.clone())
        })
        .await;
        println!("{last} after {took:?}");
        assert!(reason(&last).contains("connect: ECONNREFUSED 111"), "{last}");

        // Asked a thousand times, it does not knock a thousand times.
        let before = failures(&pool);
        for _ in 0..1000 {
            assert_eq!(readiness.check().await.status(), 503);
        }
        assert!(failures(&pool) - before <= 3, "{}", failures(&pool) - before);

        off(|| lab.postgres().up()).unwrap();
        let took = until(Duration::from_secs(1), async || {
            let answer = readiness.check().await;
            (answer == Answer::Ready, answer)
        })
        .await;
        println!("ready {took:?} after the start");
    });
}

#[test]
fn a_full_pool_over_a_healthy_database_is_ready_and_loses_no_slot_to_it() {
    with_lab(Parts::default(), async |lab| {
        let pool = builder(lab).max(2).build().expect("a pool");
        let held = [pool.get().await.unwrap(), pool.get().await.unwrap()];
        let readiness = Readiness::of(pool.clone()).fresh(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(150)).await;
        // The pool is full and silent: somebody looks, beside it, and only one.
        let asked = (0..200).map(|_| {
            tokio::spawn({
                let readiness = readiness.clone();
                async move { readiness.check().await }
            })
        });
        for answer in asked.collect::<Vec<_>>() {
            assert_eq!(answer.await.unwrap(), Answer::Ready);
        }
        assert!(sessions(lab) <= 3, "{}", sessions(lab));
        assert_eq!((pool.state().size, pool.state().waiting), (2, 0));
        drop(held);
        until(Duration::from_secs(2), async || (sessions(lab) == 2, sessions(lab))).await;

        // The server has no slot for the one beside: it answers all the same.
        let held = [pool.get().await.unwrap(), pool.get().await.unwrap()];
        off(|| lab.postgres().sql("alter role renderflow connection limit 2")).unwrap();
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(readiness.check().await, Answer::Ready);
        drop(held);
    });
}

#[test]
fn a_hung_database_is_503_within_the_deadline_also_while_the_pool_is_full() {
    with_lab(Parts::default(), async |lab| {
        for held in [0, 2] {
            let pool = builder(lab).max(2).build().expect("a pool");
            let objects: Vec<_> = [pool.get().await, pool.get().await].into_iter().take(held).collect();
            let readiness = Readiness::of(pool.clone()).deadline(Duration::from_millis(500));
            let readiness = readiness.fresh(Duration::from_millis(100));
            assert_eq!(readiness.check().await, Answer::Ready);
            tokio::time::sleep(Duration::from_millis(150)).await;
            let backends = stop_all(lab);
            let from = Instant::now();
            let answer = readiness.check().await;
            println!("{answer} after {:?}", from.elapsed());
            assert_eq!(answer.status(), 503, "{answer}");
            assert!(from.elapsed() < Duration::from_millis(700), "{:?}", from.elapsed());
            go_on(lab, &backends);
            let took = until(Duration::from_secs(1), async || {
                let answer = readiness.check().await;
                (answer == Answer::Ready, answer)
            })
            .await;
            println!("ready {took:?} after it went on");
            drop(objects);
        }
    });
}

/// Hangs the server and its sessions; gives whom to wake.
fn stop_all(lab: &pgmedic_lab::Lab) -> Vec<i32> {
    let pids = off(|| {
        lab.postgres().sql("select pid::text from pg_stat_activity where backend_type = 'client backend'")
    });
    let pids = pids.expect("the server answers").into_iter().flatten().flatten();
    let pids: Vec<i32> = pids.map(|pid| pid.parse().expect("a process id")).collect();
    off(|| lab.postgres().signal(rustix::process::Signal::STOP)).expect("it runs");
    for pid in &pids {
        send(*pid, rustix::process::Signal::STOP);
    }
    pids
}

fn go_on(lab: &pgmedic_lab::Lab, pids: &[i32]) {
    for pid in pids {
        send(*pid, rustix::process::Signal::CONT);
    }
    off(|| lab.postgres().signal(rustix::process::Signal::CONT)).expect("it runs");
}

/// The session that asked for the list has ended meanwhile.
fn send(pid: i32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a process id");
    let _ = rustix::process::kill_process(pid, signal);
}

#[test]
fn over_http_it_is_the_runbooks_own() {
    use http_body_util::BodyExt as _;
    use tower_service::Service as _;
    with_lab(Parts::default(), async |lab| {
        let pool = builder(lab).build().expect("a pool");
        let nowhere = Pool::builder({
            let mut config = config(lab.postgres());
            config.password("hunter2");
            config
        });
        let nowhere = nowhere.build().expect("a pool");
        for (pool, status, body) in [
            (pool, 200, r#"{"status":"ready","db":"connected"}"#),
            (nowhere, 503, r#"{"status":"not_ready","db":"disconnected","reason":""#),
        ] {
            let readiness = Readiness::of(pool);
            let mut router =
                pgmedic_pool::readiness::axum::router("/api/v1/ready").with_state(readiness.clone());
            let ask = || http::Request::get("/api/v1/ready");
            let answer = router.call(ask().body(axum::body::Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers()["content-type"], "application/json");
            let told = answer.into_body().collect().await.unwrap().to_bytes();
            let told = String::from_utf8(told.to_vec()).unwrap();
            assert!(told.starts_with(body) && !told.contains("hunter2"), "{told}");

            let mut service = pgmedic_pool::readiness::tower::ReadyService::new(readiness);
            let answer = service.call(ask().body(()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), status);
            assert!(answer.body().starts_with(body), "{}", answer.body());
        }
    });
}
