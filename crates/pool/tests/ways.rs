//! Ways in and what is asked of a connection: several hosts, sockets, `target_session_attrs`, hooks, recycling; and a
//! runtime that ends.
//!
//! Not in here: TLS (`tls.rs`).

mod support;

use pgmedic_lab::Parts;
use pgmedic_lab::postgres::{DATABASE, PASSWORD, ROLE};
use pgmedic_pool::tokio_postgres::config::TargetSessionAttrs;
use pgmedic_pool::{BuildError, Event, Kind, Pool, Reason, Recycle, Stage};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{builder, config, off, until, with_lab};

#[test]
fn the_next_host_is_tried_and_each_failure_is_kept() {
    with_lab(Parts::default(), async |lab| {
        let port = lab.postgres().port();
        // Port 1 of loopback refuses.
        let url = format!("postgres://{ROLE}:{PASSWORD}@127.0.0.1:1,127.0.0.1:{port}/{DATABASE}");
        let pool = Pool::from_url(&url).expect("a URL").build().expect("a pool");
        let object = pool.get().await.expect("the second lets us in");
        assert_eq!(object.address(), format!("127.0.0.1:{port}"));

        let url =
            format!("postgres://{ROLE}:hunter2@127.0.0.1:1,no-such.invalid:2,127.0.0.1:{port}/{DATABASE}");
        let pool = Pool::from_url(&url).expect("a URL").build().expect("a pool");
        let error = pool.get().await.expect_err("none lets us in");
        println!("{error}");
        let stages: Vec<Stage> = error.attempts().iter().map(|attempt| attempt.stage).collect();
        assert_eq!(stages, [Stage::Connect, Stage::Dns, Stage::Startup], "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    });
}

#[test]
fn a_unix_socket_is_a_way_in() {
    with_lab(Parts::default(), async |lab| {
        let mut config = pgmedic_pool::tokio_postgres::Config::new();
        config.host_path(lab.postgres().sockets()).port(lab.postgres().port()).user("postgres");
        let pool = Pool::builder(config).build().expect("a pool");
        match pool.get().await {
            Ok(object) => object.batch_execute("select 1").await.expect("an answer"),
            // Where the lab's sockets trust the account of the servers alone.
            Err(error) => assert_eq!(error.stage(), Some(Stage::Startup), "{error}"),
        }
    });
}

#[test]
fn a_read_only_server_is_no_good_where_writes_are_demanded() {
    with_lab(Parts::default(), async |lab| {
        let set = |on: &str| {
            let statement = format!("alter role {ROLE} set default_transaction_read_only = {on}");
            off(|| lab.postgres().sql(&statement)).expect("set");
        };
        let mut wanted = config(lab.postgres());
        wanted.target_session_attrs(TargetSessionAttrs::ReadWrite);
        set("on");
        let pool = Pool::builder(wanted).build().expect("a pool");
        let error = pool.get().await.expect_err("it is read-only");
        let reason = &error.attempts().last().expect("an attempt").reason;
        assert!(matches!(reason, Reason::WrongRole(_)), "{error}");
        assert_eq!(error.stage(), Some(Stage::Admission));
        // As after a failover: the same name, and writes again.
        set("off");
        until(Duration::from_secs(1), async || {
            let got = pool.get().await.map(drop);
            (got.is_ok(), got)
        })
        .await;
    });
}

#[test]
fn a_hook_may_set_a_connection_up_or_refuse_it() {
    with_lab(Parts::default(), async |lab| {
        let hooked = builder(lab).on_connect(|client| {
            Box::pin(async move { client.batch_execute("set statement_timeout = '1234ms'").await })
        });
        let object = hooked.build().expect("a pool").get().await.expect("a connection");
        let row = object.query_one("select current_setting('statement_timeout')", &[]).await.expect("a row");
        assert_eq!(row.get::<_, &str>(0), "1234ms");
        let refusing = builder(lab).on_connect(|client| {
            Box::pin(async move { client.batch_execute("select * from no_table").await })
        });
        let error = refusing.build().expect("a pool").get().await.expect_err("refused");
        let reason = &error.attempts().last().expect("an attempt").reason;
        assert!(matches!(reason, Reason::Hook(text) if text.contains("42P01")), "{error}");
    });
}

#[test]
fn recycling_forgets_as_much_as_is_asked() {
    with_lab(Parts::default(), async |lab| {
        for (how, expected) in [
            (Recycle::Fast, "7777ms"),
            (Recycle::DiscardAll, "0"),
            (Recycle::Sql("reset all".to_owned()), "0"),
        ] {
            let pool = builder(lab).max(1).recycle(how.clone()).build().expect("a pool");
            let object = pool.get().await.expect("a connection");
            let backend = object.backend();
            object.batch_execute("set statement_timeout = '7777ms'").await.expect("set");
            let statement = object.prepare_cached("select current_setting('statement_timeout')").await;
            drop(statement.expect("prepared"));
            drop(object);
            let object = pool.get().await.expect("a connection");
            let statement = object.prepare_cached("select current_setting('statement_timeout')").await;
            let row = object.query_one(&statement.expect("prepared"), &[]).await.expect("a row");
            assert_eq!((row.get::<_, &str>(0), object.backend()), (expected, backend), "{how:?}");
        }
    });
}

#[test]
fn what_is_logged_in_serves_on_while_new_logins_are_turned_down() {
    with_lab(Parts::default(), async |lab| {
        let events: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = Arc::clone(&events);
        let pool = builder(lab).max(2).on_event(move |event: &Event| {
            told.lock().expect("no panic").push(event.to_string());
        });
        let pool = pool.build().expect("a pool");
        let held = pool.get().await.expect("a connection");
        off(|| lab.postgres().sql(&format!("alter role {ROLE} password 'changed'"))).expect("changed");
        // The one that works proves the server alive; the caller waits for it instead of being turned away.
        let waiter = tokio::spawn({
            let pool = pool.clone();
            async move { pool.get().await.map(drop) }
        });
        for _ in 0..20 {
            held.batch_execute("select 1").await.expect("an answer");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(pool.state().waiting, 1, "{}", pool.state());
        drop(held);
        waiter.await.expect("no panic").expect("what is logged in serves on");
        // Without it, the reason is said.
        pool.get().await.expect("a connection").discard();
        let error = pool.get().await.expect_err("turned down");
        assert!(error.to_string().contains("28P01"), "{error}");
        let set = format!("alter role {ROLE} password '{PASSWORD}'");
        off(|| lab.postgres().sql(&set)).expect("changed back");
        until(Duration::from_secs(6), async || {
            let got = pool.get().await.map(drop);
            (got.is_ok(), got)
        })
        .await;
        let events = events.lock().expect("no panic").clone();
        println!("{events:#?}");
        assert!(events.iter().any(|event| event.starts_with("database down: 127.0.0.1:")), "{events:?}");
        assert!(events.iter().any(|event| event.starts_with("database up again after ")), "{events:?}");
    });
}

#[test]
fn a_runtime_that_ended_is_said_and_not_waited_for() {
    let first = tokio::runtime::Runtime::new().expect("a runtime");
    let pool = {
        let _inside = first.enter();
        Pool::from_url("postgres://app@127.0.0.1:1/app").expect("a URL").build().expect("a pool")
    };
    drop(first);
    let second = tokio::runtime::Runtime::new().expect("a runtime");
    let error = second.block_on(pool.get()).expect_err("nothing runs");
    assert_eq!(error.kind(), Kind::Down);
    assert!(error.to_string().contains("runtime"), "{error}");
}

#[test]
fn what_cannot_work_is_said_when_it_is_built() {
    let inside = tokio::runtime::Runtime::new().expect("a runtime");
    let outside = Pool::from_url("postgres://app@127.0.0.1/app").expect("a URL").build();
    assert!(matches!(outside, Err(BuildError::NoRuntime)));
    let _inside = inside.enter();
    let unreadable = Pool::from_url("postgres://app:hunter2@db:port/app").expect_err("no port");
    assert!(!unreadable.to_string().contains("hunter2"), "{unreadable}");
    let nowhere = Pool::from_url("user=app password=hunter2").expect("readable").build();
    assert!(matches!(nowhere, Err(BuildError::NoHost)));
    let none = Pool::from_url("postgres://app@db/app").expect("readable").max(0).build();
    assert!(matches!(none, Err(BuildError::NoRoom)));
    let uneven = Pool::from_url("host=a,b,c port=1,2").expect("readable").build();
    let uneven = uneven.expect_err("two ports for three hosts").to_string();
    assert_eq!(uneven, "2 ports for 3 hosts: give one for each");
}
