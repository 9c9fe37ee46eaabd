//! A standby that is promoted behind a running watch: what was amiss with it ends, and nothing else is told.

use crate::scene::Shop;
use pgmedic_lab::postgres::Postgres;
use pgmedic_lab::wait;
use std::time::Duration;

#[test]
fn a_standby_that_is_promoted_ends_what_was_amiss_and_is_looked_at_through_the_same_session() {
    let shop = Shop::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (lab, handle) = (&shop.lab, runtime.handle().clone());
    let standby =
        Postgres::standby_of(lab.postgres(), lab.folder(), handle).unwrap_or_else(|e| panic!("{e}"));
    let path = shop.place.path().join("pgmedic.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let port = |port: u16| format!("127.0.0.1:{port}/");
    std::fs::write(path, text.replace(&port(lab.postgres().port()), &port(standby.port()))).unwrap();
    let daemon = shop.watch();
    let on_standby = daemon.wait_incident("it is a standby", |i| i["cause"] == "routed-to-standby");
    let session =
        "select pid from pg_stat_activity where application_name = 'pgmedic' order by backend_start limit 1";
    let before = standby.value(session).unwrap();
    assert_eq!(standby.value("select pg_promote()").unwrap(), "t");
    daemon.wait_incident("it is over", |i| i["id"] == on_standby["id"] && !i["closed_at"].is_null());
    let looks = || {
        daemon.page("/metrics").lines().find(|l| l.starts_with("pgmedic_looks_total{")).unwrap().to_owned()
    };
    for _ in 0..4 {
        let from = looks();
        wait::until_true("more looks", Duration::from_secs(20), || looks() != from).unwrap();
    }
    let all = daemon.incidents("");
    assert_eq!(all.len(), 1, "nothing else: {all:#?}");
    assert_eq!(standby.value(session).unwrap(), before, "the session has lived through it");
}
