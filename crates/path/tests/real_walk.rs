//! The whole walk against real parts: what a healthy one costs, what a hung one holds, and what any of them leaves
//! behind, which is nothing.

mod real;

use pgmedic_lab::faults::{all_slots_exhausted, proxy_hung, server_hung, slots_exhausted};
use pgmedic_lab::postgres::{PASSWORD, ROLE};
use pgmedic_lab::{Parts, PoolerSize};
use pgmedic_model::SslMode;
use pgmedic_path::evidence::{QueryOutcome, Seen};
use pgmedic_path::rooms::proxy::evidence::FirstBytes;
use pgmedic_path::walk::Purpose;
use pgmedic_path::{Service, diagnose, latent, record, walk, walk_for};
use real::Server;
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(4);

fn proxied() -> Server {
    Server::build(Parts { proxy: Some(50), ..Parts::default() })
}

#[test]
fn a_healthy_walk_is_one_connection_and_one_statement() {
    let server = Server::plain();
    let service = Service { direct: None, ..server.service("monitor") };
    // The statistics of connections that have ended are in the server's view once they are gone from its list.
    let sessions = "select sessions::text from pg_stat_database where datname = 'renderflow'";
    let before: u64 = server.value(sessions).parse().expect("a number");
    let from = Instant::now();
    let evidence = server.walk(&service, TIMEOUT);
    let took = from.elapsed();
    assert!(evidence.facts().is_some(), "{:?}", evidence.front.query);
    assert!(evidence.host.get().is_some_and(|host| !host.volumes.is_empty()), "{:?}", evidence.host);
    assert!(took < Duration::from_secs(1), "{took:?}");
    server.wait_until_gone("monitor");
    let one_more =
        format!("select 1 from pg_stat_database where datname = 'renderflow' and sessions = {}", before + 1);
    server.wait_until(&one_more, 1);
}

#[test]
fn a_walk_that_looks_ahead_sees_what_a_start_would_refuse_and_what_merely_waits_for_one() {
    let server = Server::plain();
    let postgres = server.lab().postgres();
    let ahead = |user: &str| {
        let service = server.service(user);
        server.run(walk_for(Purpose::Preflight, &service, TIMEOUT, &|_| {}))
    };
    let evidence = ahead("rescue");
    let seen = evidence.preflight.get().expect("asked");
    assert_eq!((seen.hba.get(), seen.settings.get()), (Some(&vec![]), Some(&vec![])), "{seen:?}");
    assert!(latent(&evidence).is_empty() && diagnose(&evidence).is_empty());
    let host = evidence.host.get().expect("this host");
    assert!(host.log.is_some() && host.postmaster.is_some() && !host.volumes.is_empty());

    let rules = std::fs::read_to_string(postgres.data().join("pg_hba.conf")).expect("readable");
    postgres.write("pg_hba.conf", &format!("{rules}hots all all 10.0.0.0/8 trust\n")).expect("written");
    postgres.write("fault.conf", "max_connections = 120\nwork_mem = 'lots'\n").expect("written");
    let evidence = ahead("rescue");
    let seen = evidence.preflight.get().expect("asked");
    let broken: Vec<_> =
        seen.settings.get().expect("told").iter().map(|b| (b.line, b.setting.as_deref())).collect();
    assert_eq!(broken, [(Some(2), Some("work_mem"))], "{seen:?}");
    assert_eq!(seen.pending_restart, ["max_connections"]);
    assert_eq!(seen.hba.get().expect("told").len(), 1, "{seen:?}");
    assert_eq!(latent(&evidence)[0].cause, "configuration-broken");
    assert!(diagnose(&evidence).is_empty(), "nothing is broken yet");

    // Where a name is unknown the server looks no further.
    postgres.write("fault.conf", "no_such_setting = 1\n").expect("written");
    let found = latent(&ahead("rescue"));
    assert!(found[0].evidence.iter().any(|f| f.fact.contains("no_such_setting")), "{found:?}");

    // A plain role is told what would let it ask.
    let Seen::Seen(seen) = ahead(ROLE).preflight else { panic!("asked") };
    let Seen::NotSeen(why) = seen.hba else { panic!("a plain role may not ask") };
    assert!(why.contains("grant execute on function pg_hba_file_rules() to \"renderflow\""), "{why}");
    assert!(matches!(seen.settings, Seen::NotSeen(why) if why.contains("pg_read_all_settings")));

    // A file that is gone is what a start would say.
    postgres.remove("pg_hba.conf").expect("removed");
    let evidence = ahead("rescue");
    let hba = evidence.preflight.get().and_then(|seen| seen.hba.get()).expect("asked");
    assert!(hba.iter().any(|line| line.error.contains("pg_hba.conf")), "{hba:?}");
}

#[test]
fn a_walk_through_pgbouncer_is_bounded_all_the_same() {
    let server =
        Server::build(Parts { pooler: Some(PoolerSize { pool: 5, clients: 50 }), ..Parts::default() });
    let evidence = server.walk(&server.service("monitor"), TIMEOUT);
    assert!(evidence.front.facts().is_some(), "{:?} {:?}", evidence.front.startup, evidence.front.query);
    let startup = evidence.front.startup.as_ref().expect("reached");
    assert!(startup.pooler.as_ref().is_some_and(|why| why.contains("PgBouncer")), "{startup:?}");
    assert!(evidence.direct.get().is_some_and(|direct| direct.admitted() && direct.query.is_none()));
    assert!(!evidence.facts().expect("told").server.transaction_read_only);
}

#[test]
fn a_hung_proxy_is_walked_around_and_its_queue_is_seen() {
    let server = proxied();
    let fault = proxy_hung::inject(server.lab()).expect("injected");
    let from = Instant::now();
    let evidence = server.walk(&server.service("monitor"), TIMEOUT);
    assert!(from.elapsed() < TIMEOUT, "{:?}", from.elapsed());
    assert_eq!(evidence.front.proxy.as_ref().map(|p| &p.first), Some(&FirstBytes::Silent));
    let direct = evidence.direct.get().expect("configured");
    assert!(direct.facts().is_some(), "{:?}", direct.query);
    let listener = evidence.host.get().and_then(|host| host.front_listener.as_ref()).expect("seen");
    assert!(listener.recv_q >= 1, "the walk's own connection waits while the window is open: {listener:?}");
    fault.remove().expect("gone");
    server.wait_until_gone("monitor");
}

#[test]
fn a_hung_server_is_told_in_time_and_left_alone() {
    let server = proxied();
    let fault = server_hung::inject(server.lab()).expect("injected");
    let from = Instant::now();
    let evidence = server.walk(&server.service("monitor"), TIMEOUT);
    assert!(from.elapsed() < TIMEOUT, "{:?}", from.elapsed());
    for (name, route) in evidence.routes() {
        assert_eq!(route.proxy.as_ref().map(|p| &p.first), Some(&FirstBytes::Silent), "{name}");
    }
    fault.remove().expect("gone");
    server.wait_until_gone("monitor");
}

#[test]
fn rescue_tells_who_holds_the_slots() {
    let server = Server::plain();
    let fault = slots_exhausted::inject(server.lab()).expect("injected");
    let mut service = server.service(ROLE);
    service.target.user = "monitor".to_owned();
    service.rescue = Some(server.target("rescue"));
    let from = Instant::now();
    let evidence = server.walk(&service, TIMEOUT);
    assert!(from.elapsed() < Duration::from_secs(2), "{:?}", from.elapsed());
    assert!(evidence.front.refusal().is_some_and(|error| error.is("53300")));
    let facts = evidence.rescue.get().and_then(|rescue| rescue.facts()).expect("rescued");
    assert!(facts.admission.client_backends > 90 && facts.me.superuser);
    fault.remove().expect("gone");

    let fault = all_slots_exhausted::inject(server.lab()).expect("injected");
    let evidence = server.walk(&service, TIMEOUT);
    let rescue = evidence.rescue.get().expect("tried");
    assert!(rescue.refusal().is_some_and(|error| error.is("53300")) && rescue.query.is_none());
    fault.remove().expect("gone");
}

#[test]
fn a_walk_that_is_dropped_anywhere_leaves_nothing() {
    let server = Server::plain();
    let service = server.service("monitor");
    for after_ms in [0, 1, 2, 4, 8, 12, 16, 24, 40] {
        server.run(async {
            let _ =
                tokio::time::timeout(Duration::from_millis(after_ms), walk(&service, TIMEOUT, &|_| {})).await;
        });
    }
    server.wait_until_gone("monitor");
}

#[test]
fn a_recording_reads_back_and_holds_no_password() {
    let server = proxied();
    let mut service = server.service("monitor");
    service.target.tls.mode = SslMode::Prefer;
    let evidence = server.walk(&service, TIMEOUT);
    let text = record::write(&evidence).expect("written");
    assert!(!text.contains(PASSWORD) && !format!("{evidence:?}").contains(PASSWORD));
    let read = record::read(&text).expect("read back");
    assert_eq!(record::write(&read).expect("written"), text);
    assert!(matches!(read.rescue, Seen::NotSeen(_)));
    assert!(matches!(read.front.query.map(|q| q.outcome), Some(QueryOutcome::Answered(_))));
}
