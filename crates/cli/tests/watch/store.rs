//! A store that is away at the start, and one whose disk is full: watching goes on, and what was open before is taken up.

use crate::scene::Shop;
use crate::support::closed_port;
use pgmedic_lab::postgres::{DATABASE, PASSWORD, ROLE, Stop};
use pgmedic_lab::{Lab, Parts, wait};
use rustix::process::Signal;
use std::net::TcpListener;
use std::time::Duration;

/// Has the daemon keep everything there.
fn keep_in(shop: &Shop, url: &str) {
    let path = shop.place.path().join("pgmedic.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, text.replacen("[watch]\n", &format!("[watch]\nstore = \"{url}\"\n"), 1)).unwrap();
}

/// A watcher that ended while an incident was open: the store that has it, and its id.
fn left_open(shop: &Shop) -> (Lab, String) {
    let store = Lab::build(Parts::default()).unwrap_or_else(|e| panic!("{e}"));
    let port = store.postgres().port();
    keep_in(shop, &format!("postgres://{ROLE}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}?sslmode=prefer"));
    let daemon = shop.watch();
    shop.stop_server();
    let first = daemon.wait_incident("the first one", |i| i["closed_at"].is_null());
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().0.success());
    (store, first["id"].as_str().unwrap().to_owned())
}

#[test]
fn a_store_that_is_gone_or_hung_keeps_nobody_from_watching() {
    let shop = Shop::new();
    let hung = TcpListener::bind("127.0.0.1:0").unwrap();
    for port in [closed_port(), hung.local_addr().unwrap().port()] {
        shop.configure("", "", "");
        keep_in(&shop, &format!("postgres://u@127.0.0.1:{port}/d"));
        let daemon = shop.watch();
        daemon.wait_line("trouble", "which incidents are open already is not known");
        daemon.signal(Signal::TERM);
        assert!(daemon.ended().0.success());
        std::fs::remove_file(shop.place.path().join("log")).unwrap();
    }
}

#[test]
fn what_was_open_before_is_taken_up_when_the_store_is_back() {
    let shop = Shop::new();
    let (store, first) = left_open(&shop);
    store.postgres().stop(Stop::Immediate).unwrap();
    let daemon = shop.begin(&[]);
    daemon.wait_for("/ready");
    let services = || daemon.page("/api/v1/services");
    let opened = || daemon.lines().iter().filter(|l| l["event"] == "opened").count();
    wait::until_true("it is opened anew", Duration::from_secs(30), || opened() == 2)
        .unwrap_or_else(|error| panic!("{error}: {} {:#?}", services(), daemon.lines()));
    store.postgres().ensure_up().unwrap();
    // The one of before is the one that is open, and the one that was opened meanwhile is kept as over.
    let sql = "select id, closed_at is null from pgmedic.incident order by opened_at";
    let kept = || store.postgres().sql_in(DATABASE, sql).unwrap();
    let one = || match &kept()[..] {
        [old, new] => {
            old[0].as_deref() == Some(&first)
                && [&old[1], &new[1]].map(Option::as_deref) == [Some("t"), Some("f")]
        }
        _ => false,
    };
    wait::until_true("the first one goes on", Duration::from_secs(40), one)
        .unwrap_or_else(|error| panic!("{error}: {:?} {:#?}", kept(), daemon.lines()));
}

#[test]
fn what_a_watcher_left_under_another_host_name_is_closed_once_the_service_is_well() {
    let shop = Shop::new();
    let (store, first) = left_open(&shop);
    // The host has another name from here on, and the lease of the old one has run out.
    for table in ["incident", "outbox", "lease"] {
        store.postgres().sql_in(DATABASE, &format!("update pgmedic.{table} set watcher = 'gone'")).unwrap();
    }
    store.postgres().sql_in(DATABASE, "update pgmedic.lease set until = clock_timestamp()").unwrap();
    shop.lab.postgres().ensure_up().unwrap();
    let daemon = shop.watch();
    let sql = format!("select count(*) from pgmedic.incident where id = '{first}' and closed_at is not null");
    let closed = || store.postgres().sql_in(DATABASE, &sql).unwrap()[0][0].as_deref() == Some("1");
    wait::until_true("it is closed", Duration::from_secs(30), closed)
        .unwrap_or_else(|error| panic!("{error}: {:#?}", daemon.lines()));
    let line = daemon.wait_line("closed", &first);
    assert!(line.to_string().contains(&first), "{line}");
}

#[test]
fn of_two_watchers_on_a_slow_store_one_pages_and_nothing_is_withdrawn() {
    let (shop, other) = (Shop::new(), Shop::new());
    let store = Lab::build(Parts::default()).unwrap_or_else(|e| panic!("{e}"));
    let url = format!(
        "postgres://{ROLE}:{PASSWORD}@127.0.0.1:{}/{DATABASE}?sslmode=prefer",
        store.postgres().port()
    );
    // Both watch the one shop, and keep what they see in the one store.
    let path = other.place.path().join("pgmedic.toml");
    let text = std::fs::read_to_string(&path).unwrap().replace(&other.url(), &shop.url());
    std::fs::write(&path, text).unwrap();
    keep_in(&shop, &url);
    keep_in(&other, &url);
    let _daemons = [shop.watch(), other.watch()];
    let slow = "create function pgmedic.slow() returns trigger language plpgsql as
                    'begin perform pg_sleep(0.3); return new; end';
                create trigger slow before insert or update on pgmedic.incident
                    for each row execute function pgmedic.slow()";
    store.postgres().sql_in(DATABASE, slow).unwrap();
    shop.stop_server();
    let receivers = [&shop.receiver, &other.receiver];
    let heads = || receivers.iter().flat_map(|receiver| receiver.heads()).collect::<Vec<_>>();
    let told = |change: &str| heads().iter().filter(|(of, _)| of == change).count();
    wait::until_true("one is told", Duration::from_secs(30), || told("opened") > 0).unwrap();
    let open = "select count(*) from pgmedic.incident where closed_at is null";
    let one = || store.postgres().sql_in(DATABASE, open).unwrap()[0][0].as_deref() == Some("1");
    wait::until_true("one is kept", Duration::from_secs(30), one).unwrap();
    shop.lab.postgres().ensure_up().unwrap();
    wait::until_true("it is over", Duration::from_secs(40), || told("closed") > 0).unwrap();
    assert_eq!((told("opened"), told("closed")), (1, 1), "{:?}", heads());
}
