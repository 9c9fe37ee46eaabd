//! The pool against a real Postgres: stopped and started, full, abandoned in every way.
//!
//! Not in here: gates that a real server cannot be made to hold (`gates.rs`).

mod support;

use pgmedic_lab::postgres::{DATABASE, PASSWORD, ROLE, Stop};
use pgmedic_lab::{Lab, Parts};
use pgmedic_pool::tokio_postgres::{Config, SimpleQueryMessage};
use pgmedic_pool::{Event, Kind, Pool, PoolCell, Stage};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{builder, config, failures, off, sessions, until, with_lab};

#[test]
fn a_stopped_server_is_told_at_once_and_a_started_one_is_used_within_a_second() {
    with_lab(Parts::default(), async |lab| {
        let pool = builder(lab).max(5).build().expect("a pool");
        pool.get().await.expect("a connection").batch_execute("select 1").await.expect("an answer");

        off(|| lab.postgres().stop(Stop::Fast)).unwrap();
        let from = Instant::now();
        let error = pool.get().await.expect_err("the server is stopped");
        assert!(from.elapsed() < Duration::from_millis(500), "{:?}", from.elapsed());
        assert_eq!((error.kind(), error.stage()), (Kind::Down, Some(Stage::Connect)), "{error}");
        let attempt = error.attempts().last().expect("an attempt");
        assert_eq!(attempt.reason.errno().map(|e| e.name.as_str()), Some("ECONNREFUSED"), "{error}");
        assert!(!error.to_string().contains(PASSWORD));
        println!("{error}");

        // 200 callers while it is down: each is told at once, and none of them knocks.
        let before = failures(&pool);
        let from = Instant::now();
        for _ in 0..200 {
            pool.get().await.expect_err("still stopped");
        }
        assert!(from.elapsed() < Duration::from_millis(200), "{:?}", from.elapsed());
        assert!(failures(&pool) - before <= 3, "{}", failures(&pool) - before);

        tokio::time::sleep(Duration::from_secs(3)).await;
        let while_down = failures(&pool) - before;
        assert!(while_down <= 14, "one look every half second at most, not {while_down}");

        off(|| lab.postgres().up()).unwrap();
        let at_start = failures(&pool);
        let took = until(Duration::from_secs(1), async || {
            let got = pool.get().await.map(drop).map_err(|e| e.to_string());
            (got.is_ok(), got)
        })
        .await;
        // 40 callers at once: no more than the pool's connections are opened.
        let calls = (0..40).map(|_| {
            let pool = pool.clone();
            tokio::spawn(
                async move { pool.get().await.unwrap().batch_execute("select pg_sleep(0.01)").await },
            )
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap().unwrap();
        }
        println!("usable {took:?} after the start; {while_down} looks in 3.2 s");
        assert!(failures(&pool) - at_start <= 3, "{}", failures(&pool) - at_start);
        assert!(sessions(lab) <= 5, "{}", sessions(lab));
    });
}

#[test]
fn what_an_abandoned_future_leaves_is_undone_before_anybody_else_has_it() {
    with_lab(Parts::default(), async |lab| {
        let events: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = Arc::clone(&events);
        let pool = builder(lab).max(1).on_event(move |e: &Event| told.lock().unwrap().push(e.to_string()));
        let pool = pool.build().expect("a pool");
        let backend = pool.get().await.unwrap().backend();

        // A transaction that nobody ended.
        let object = pool.get().await.unwrap();
        object.batch_execute("begin; create temporary table t (x int)").await.unwrap();
        drop(object);
        let object = pool.get().await.unwrap();
        let row = object.query_one("select to_regclass('pg_temp.t') is null", &[]).await.unwrap();
        assert!(row.get::<_, bool>(0), "rolled back");
        drop(object);

        // A dropped `Transaction`, which rolls back by itself.
        let mut object = pool.get().await.unwrap();
        let transaction = object.transaction().await.unwrap();
        transaction.batch_execute("create temporary table t (x int)").await.unwrap();
        drop(transaction);
        drop(object);
        let object = pool.get().await.unwrap();
        let row = object.query_one("select to_regclass('pg_temp.t') is null", &[]).await.unwrap();
        assert!(row.get::<_, bool>(0), "rolled back");
        drop(object);

        // A query in flight: cancelled, not waited for.
        let from = Instant::now();
        let object = pool.get().await.unwrap();
        let sleep =
            tokio::time::timeout(Duration::from_millis(50), object.batch_execute("select pg_sleep(30)"));
        assert!(sleep.await.is_err());
        drop(object);
        let object = pool.get().await.unwrap();
        object.batch_execute("select 1").await.unwrap();
        assert!(from.elapsed() < Duration::from_secs(2), "{:?}", from.elapsed());
        drop(object);

        // A request that was never even polled onto the wire.
        for _ in 0..50 {
            let object = pool.get().await.unwrap();
            let mut begin = Box::pin(object.batch_execute("begin"));
            let polled = std::future::poll_fn(|cx| {
                std::task::Poll::Ready(std::future::Future::poll(begin.as_mut(), cx).is_ready())
            });
            let _ = polled.await;
            drop(begin);
            drop(object);
            let object = pool.get().await.unwrap();
            let answer = object.simple_query("select now() = statement_timestamp()").await.unwrap();
            let same = answer.iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            });
            assert_eq!(same, Some("t"), "no transaction is open");
        }

        // LISTEN.
        let object = pool.get().await.unwrap();
        object.batch_execute("listen jobs").await.unwrap();
        drop(object);
        let object = pool.get().await.unwrap();
        let rows = object.query("select pg_listening_channels()", &[]).await.unwrap();
        assert!(rows.is_empty(), "UNLISTEN");
        assert_eq!(object.backend(), backend, "the same connection through all of that");
        drop(object);
        println!("{:#?}", events.lock().unwrap());
        assert!(events.lock().unwrap().iter().any(|e| e.contains("a request in flight")));
        assert!(events.lock().unwrap().iter().any(|e| e.contains("LISTEN")));
    });
}

#[test]
fn rows_that_a_stale_reader_holds_back_do_not_block_the_next_caller() {
    with_lab(Parts::default(), async |lab| {
        let pool = builder(lab).max(1).recycle_timeout(Duration::from_millis(300)).build().expect("a pool");
        let object = pool.get().await.unwrap();
        let rows = object.query_raw("select generate_series(1, 200000)", Vec::<i32>::new()).await.unwrap();
        drop(object);
        let from = Instant::now();
        let object = pool.get().await.unwrap();
        object.batch_execute("select 1").await.unwrap();
        assert!(from.elapsed() < Duration::from_secs(2), "{:?}", from.elapsed());
        drop(rows);
    });
}

#[test]
fn a_copy_leaves_a_connection_clean_and_half_a_copy_does_not_stay() {
    use std::pin::pin;
    with_lab(Parts::default(), async |lab| {
        let pool = builder(lab).max(1).build().expect("a pool");
        let backend = {
            let object = pool.get().await.unwrap();
            object.batch_execute("create table copied (x text)").await.unwrap();
            let sink = object.copy_in::<_, &[u8]>("copy copied from stdin").await.unwrap();
            let mut sink = pin!(sink);
            std::future::poll_fn(|cx| futures_util::Sink::poll_ready(sink.as_mut(), cx)).await.unwrap();
            futures_util::Sink::start_send(sink.as_mut(), b"a\nb\n").unwrap();
            assert_eq!(sink.finish().await.unwrap(), 2);
            object.backend()
        };
        let object = pool.get().await.unwrap();
        assert_eq!(object.backend(), backend, "clean after a whole copy");
        {
            let sink = object.copy_in::<_, &[u8]>("copy copied from stdin").await.unwrap();
            let mut sink = pin!(sink);
            futures_util::Sink::start_send(sink.as_mut(), b"c\n").unwrap();
        }
        drop(object);
        let object = pool.get().await.unwrap();
        let row = object.query_one("select count(*) from copied", &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 2);
    });
}

#[test]
fn refusals_name_their_stage_and_sqlstate() {
    with_lab(Parts::default(), async |lab| {
        let of = |change: &dyn Fn(&mut Config)| {
            let mut config = config(lab.postgres());
            change(&mut config);
            Pool::builder(config).acquire_timeout(Duration::from_secs(5)).build().expect("a pool")
        };
        let cases: [(&str, Pool, Stage, &str); 4] = [
            ("password", of(&|c| *c = c.clone().password("wrong-hunter2").clone()), Stage::Startup, "28P01"),
            ("database", of(&|c| *c = c.clone().dbname("nowhere").clone()), Stage::Startup, "3D000"),
            ("name", of_host("no-such-host.invalid", lab), Stage::Dns, "dns"),
            ("port", of(&|c| c.clone_from(&closed_port())), Stage::Connect, "ECONNREFUSED"),
        ];
        for (what, pool, stage, label) in cases {
            let from = Instant::now();
            let error = pool.get().await.expect_err(what);
            println!("{error}");
            assert_eq!((error.stage(), error.kind()), (Some(stage), Kind::Down), "{what}: {error}");
            assert_eq!(
                error.attempts().last().map(|a| a.reason.label().into_owned()).as_deref(),
                Some(label)
            );
            assert!(from.elapsed() < Duration::from_secs(4), "{what}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    });
}

fn of_host(name: &str, lab: &Lab) -> Pool {
    let mut config = Config::new();
    config.host(name).port(lab.postgres().port()).user(ROLE).password(PASSWORD);
    Pool::builder(config).build().expect("a pool")
}

fn closed_port() -> Config {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port();
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user(ROLE).password(PASSWORD);
    config
}

#[test]
fn a_full_server_is_waited_for_and_then_told() {
    with_lab(Parts::default(), async |lab| {
        let limit =
            |n: i32| off(|| lab.postgres().sql(&format!("alter role {ROLE} connection limit {n}"))).unwrap();
        limit(1);
        let other = builder(lab).build().expect("a pool");
        let held = other.get().await.expect("the only slot");
        let pool = builder(lab).acquire_timeout(Duration::from_millis(400)).build().expect("a pool");
        let error = pool.get().await.expect_err("no slot is left");
        println!("{error}");
        assert_eq!((error.kind(), error.stage()), (Kind::TimedOut, Some(Stage::Admission)), "{error}");
        assert!(error.attempts().iter().any(|a| a.reason.sqlstate().is_some_and(|s| s.as_str() == "53300")));
        // Others leave: it is had within a second, by one who waits.
        let waits = tokio::spawn({
            let pool = pool.clone();
            async move { pool.get_within(Duration::from_millis(900)).await.map(drop).map_err(|e| e.to_string()) }
        });
        limit(-1);
        waits.await.unwrap().expect("a slot became free");
        // And a server that stays full is told at once, in the end.
        limit(0);
        drop(held);
        let pool = builder(lab).build().expect("a pool");
        let waited = until(Duration::from_secs(3), async || {
            let got = pool.get_within(Duration::from_millis(1200)).await.map(drop);
            (matches!(&got, Err(e) if e.kind() == Kind::Down), got)
        })
        .await;
        println!("told after {waited:?}");
        let from = Instant::now();
        assert_eq!(pool.get().await.expect_err("full").stage(), Some(Stage::Admission));
        assert!(from.elapsed() < Duration::from_millis(50));
    });
}

#[test]
fn a_leak_is_reported_once_with_the_place_that_took_it() {
    with_lab(Parts::default(), async |lab| {
        let events: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = Arc::clone(&events);
        let pool = builder(lab).max(1).leak_after(Duration::from_millis(100)).on_event(move |event| {
            if matches!(event, Event::Leak(_)) {
                told.lock().unwrap().push(event.to_string());
            }
        });
        let pool = pool.build().expect("a pool");
        let held = pool.get().await.unwrap();
        let line = line!() - 1;
        let error = pool.get_within(Duration::from_millis(300)).await.expect_err("the only one is held");
        println!("{error}");
        assert_eq!(error.stage(), Some(Stage::Queue));
        let oldest = error.state().and_then(|state| state.oldest.clone()).expect("who has it");
        assert_eq!((oldest.place.line(), oldest.backend), (line, held.backend()));
        assert!(oldest.place.file().ends_with("real.rs"));
        assert_eq!(error.state().map(|s| (s.in_use, s.waiting)), Some((1, 1)));
        tokio::time::sleep(Duration::from_millis(200)).await;
        let told = events.lock().unwrap().clone();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(&format!("real.rs:{line}")), "{told:?}");
    });
}

#[test]
fn idle_and_old_connections_are_closed_and_some_are_kept_ready() {
    with_lab(Parts::default(), async |lab| {
        let pool = builder(lab).max(4).min_idle(2).idle_timeout(Duration::from_millis(200));
        let pool = pool.max_lifetime(Duration::from_millis(900)).build().expect("a pool");
        until(Duration::from_secs(2), async || (pool.state().idle == 2, pool.state())).await;
        let all = [pool.get().await, pool.get().await, pool.get().await, pool.get().await];
        let first: Vec<i32> = all.iter().map(|o| o.as_ref().expect("a connection").backend()).collect();
        drop(all);
        until(Duration::from_secs(2), async || (pool.state().idle == 2, pool.state())).await;
        until(Duration::from_secs(3), async || {
            let now = pool.get().await.expect("a connection").backend();
            (!first.contains(&now), now)
        })
        .await;
        pool.close(Duration::from_secs(1)).await.expect("nothing is out");
        assert_eq!(pool.get().await.expect_err("closed").kind(), Kind::Closed);
        until(Duration::from_secs(2), async || (sessions(lab) == 0, sessions(lab))).await;
    });
}

#[tokio::test]
async fn a_pool_that_is_not_there_yet_says_so() {
    let cell = PoolCell::new();
    let error = cell.get().await.expect_err("nothing is set");
    assert_eq!(error.kind(), Kind::NotInitialised);
    assert!(error.to_string().starts_with("Database not initialised"), "{error}");
}

#[test]
fn closing_waits_for_what_is_out_and_names_what_does_not_come_back() {
    with_lab(Parts::default(), async |lab| {
        let pool = builder(lab).max(1).build().expect("a pool");
        let held = pool.get().await.unwrap();
        let waiter = tokio::spawn({
            let pool = pool.clone();
            async move { pool.get().await.map(drop) }
        });
        until(Duration::from_secs(1), async || (pool.state().waiting == 1, pool.state())).await;
        let out = pool.close(Duration::from_millis(50)).await.expect_err("one is out");
        assert_eq!(out.0.len(), 1, "{out}");
        assert_eq!(waiter.await.unwrap().expect_err("closed").kind(), Kind::Closed);
        held.batch_execute("select 1").await.expect("what is out still works");
        let closing = tokio::spawn({
            let pool = pool.clone();
            async move { pool.close(Duration::from_secs(5)).await }
        });
        drop(held);
        closing.await.unwrap().expect("it came back");
    });
}

#[test]
fn what_is_being_opened_when_the_pool_is_renewed_goes_to_nobody() {
    with_lab(Parts::default(), async |lab| {
        let relay = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, server) = (relay.local_addr().unwrap().port(), lab.postgres().port());
        let (gate, open) = tokio::sync::watch::channel(false);
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = relay.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let mut open = open.clone();
                tokio::spawn(async move {
                    open.wait_for(|open| *open).await.unwrap();
                    let mut server = tokio::net::TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                    let _ended = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        let mut through = Config::new();
        through.host("127.0.0.1").port(port).user(ROLE).password(PASSWORD).dbname(DATABASE);
        let pool = Pool::builder(through).max(1).build().expect("a pool");
        let asker = tokio::spawn({
            let pool = pool.clone();
            async move { pool.get().await }
        });
        until(Duration::from_secs(5), async || (accepted.load(Ordering::Relaxed) == 1, ())).await;
        pool.renew();
        gate.send(true).unwrap();
        asker.await.unwrap().expect("a connection").batch_execute("select 1").await.unwrap();
        assert_eq!(accepted.load(Ordering::Relaxed), 2, "the one that was under way was not handed out");
    });
}

#[test]
fn a_renewed_pool_hands_out_none_of_the_connections_that_it_had() {
    with_lab(Parts::default(), async |lab| {
        let pool = builder(lab).max(2).build().expect("a pool");
        let (held, idle) = (pool.get().await.unwrap(), pool.get().await.unwrap());
        let old = [held.backend(), idle.backend()];
        drop(idle);
        pool.renew();
        // Who holds one may go on with it.
        held.batch_execute("select 1").await.unwrap();
        assert_eq!((pool.state().idle, pool.state().in_use), (0, 1));
        let first = pool.get().await.unwrap();
        drop(held);
        let second = pool.get().await.unwrap();
        for new in [first.backend(), second.backend()] {
            assert!(!old.contains(&new), "{new} is one of {old:?}");
        }
    });
}
