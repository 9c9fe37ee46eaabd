//! Shows 3: exactly the sessions that may be ended are, and no more than are needed.

use crate::scene::{Shop, ended, outcomes};
use pgmedic_lab::postgres::{DATABASE, ROLE};
use pgmedic_lab::process;
use pgmedic_lab::sessions::Sessions;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::time::Duration;

/// Everybody who is no pgmedic and not the lab.
const EVERYBODY: &str = "true";

/// A real replication connection.
struct Receiver(Child);

impl Receiver {
    fn new(shop: &Shop) -> Self {
        let folder = shop.lab.folder().join("received");
        std::fs::create_dir(&folder).unwrap();
        let postgres = shop.lab.postgres();
        let mut command = std::process::Command::new(postgres.program("pg_receivewal").unwrap());
        command.args(["-h", "127.0.0.1", "-U", "replicator", "--no-loop", "-D"]).arg(folder);
        command.args(["-p", &postgres.port().to_string()]).stderr(Stdio::null());
        let receiver = Self(command.spawn().unwrap());
        let there =
            "select count(*) = 1 from pg_stat_activity where backend_type = 'walsender' and state = 'active'";
        postgres.wait_true("a walsender", there).unwrap();
        receiver
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _ended = self.0.wait();
    }
}

#[test]
fn exactly_as_many_of_the_idle_as_are_needed_the_longest_idle_first() {
    // 91 idle, 6 at work, and a job that idles and is protected: 98 of 98 slots; a fifth of them is 20.
    let shop = Shop::with_slots(98);
    shop.configure("", "", "idle_after = \"1s\"\nprotect = { applications = [\"nightly*\"] }");
    let _receiver = Receiver::new(&shop);
    let first = shop.idle("renderflow-api", ROLE, 50);
    let second = shop.idle("renderflow-api", ROLE, 41);
    let _busy = shop.busy("renderflow-worker", 6);
    let job = shop.idle("nightly-job", ROLE, 1);
    // Not the oldest sessions are the longest idle.
    first.run("select 1").unwrap();
    for held in [&first, &second, &job] {
        held.wait_age(Duration::from_millis(1100)).unwrap();
    }
    let (all, idle) = (shop.there(EVERYBODY), shop.in_order("application_name = 'renderflow-api'"));
    assert_eq!((all.len(), idle.len()), (99, 91));

    let ran = shop.fix(&[]);
    let document = ran.json();
    assert_eq!(ran.exit, Some(0), "{}", ran.all());
    let left = shop.there(EVERYBODY);
    let gone: BTreeSet<_> = all.difference(&left).cloned().collect();
    let should: BTreeSet<_> = idle[..20].iter().cloned().collect();
    let harm: Vec<_> = gone.difference(&should).collect();
    assert!(harm.is_empty(), "{} sessions that should live: {harm:?}", harm.len());
    assert_eq!(gone, should);
    assert_eq!((ended(&document), &document["recovered"]), (20, &true.into()));
    assert_eq!(shop.there("backend_type = 'walsender'").len(), 1);
    // Again, though a fifth is free: nothing.
    let again = shop.fix(&[]);
    assert_eq!((again.exit, ended(&again.json())), (Some(0), 0), "{}", again.all());
    assert_eq!(shop.there(EVERYBODY), left);
}

#[test]
fn a_commit_that_waits_for_a_synchronous_standby_is_never_cancelled() {
    let shop = Shop::new();
    shop.configure("", "", "long_query_after = \"1s\"");
    let postgres = shop.lab.postgres();
    postgres
        .sql_in(DATABASE, &format!("create table orders (id int); grant all on orders to {ROLE}"))
        .unwrap();
    postgres.sql(&format!("alter role {ROLE} set synchronous_commit = 'on'")).unwrap();
    postgres.sql("alter system set synchronous_standby_names = 'ghost'").unwrap();
    postgres.reload().unwrap();
    let buyers = Sessions::open(postgres, &shop.login("renderflow-api", ROLE), 2).unwrap();
    buyers.begin("insert into orders values (1)");
    buyers.wait_state("wait_event = 'SyncRep'").unwrap();
    let waiting = shop.there("wait_event = 'SyncRep'");
    postgres
        .wait_true(
            "long",
            "select min(now() - query_start) > '1.2 s' from pg_stat_activity where wait_event = 'SyncRep'",
        )
        .unwrap();

    let ran = shop.fix(&[]);
    assert_eq!(ended(&ran.json()), 0, "{}", ran.all());
    assert_eq!(shop.there("wait_event = 'SyncRep'"), waiting, "they wait on: {}", ran.all());
    postgres.sql("alter system reset synchronous_standby_names").unwrap();
    postgres.reload().unwrap();
    buyers.wait_state("state = 'idle'").unwrap();
}

/// Every slot taken by sessions that have idled for long.
fn full(shop: &Shop) -> Sessions {
    let held = Sessions::fill(shop.lab.postgres(), &shop.login("renderflow-api", ROLE)).unwrap();
    held.wait_age(Duration::from_millis(300)).unwrap();
    held
}

#[test]
fn the_cap_holds_over_all_steps_and_over_a_second_fix() {
    let shop = Shop::with_slots(30);
    shop.configure("", "", "idle_after = \"200ms\"\nkeep_free = \"50%\"\nmax_terminations = 4");
    let _held = full(&shop);
    let all = shop.there(EVERYBODY);
    let ran = shop.fix(&["--allow", "sessions,settings,storage,app-restart,proxy-restart,db-restart"]);
    assert_eq!(ended(&ran.json()), 4, "{}", ran.all());
    assert_eq!(all.difference(&shop.there(EVERYBODY)).count(), 4);
    let _full = Sessions::fill(shop.lab.postgres(), &shop.login("renderflow-api", ROLE)).unwrap();
    let all = shop.there(EVERYBODY);
    let again = shop.fix(&[]);
    assert_eq!((again.exit, ended(&again.json())), (Some(1), 0), "back within a minute: {}", again.all());
    assert_eq!(shop.there(EVERYBODY), all);
}

#[test]
fn what_is_not_allowed_is_not_done_and_what_was_done_in_vain_is_said() {
    let shop = Shop::with_slots(20);
    shop.configure("", "", "idle_after = \"200ms\"");
    let _held = full(&shop);
    let all = shop.there(EVERYBODY);
    let ran = shop.fix(&["--allow", "storage,db-restart"]);
    assert_eq!((ran.exit, ended(&ran.json())), (Some(1), 0), "{}", ran.all());
    let document = ran.json();
    let mut plan = document["plan"].as_array().unwrap().iter();
    let step = plan.find(|step| step["remedy"] == "terminate-idle-sessions").unwrap();
    assert_eq!(step["permit"]["may"], "not-allowed", "{}", ran.all());
    let planned = shop.place.run(&["fix", "shop", "--plan"]);
    assert_eq!(planned.exit, Some(1), "{}", planned.all());
    assert!(planned.stdout.contains("terminate-idle-sessions"), "{}", planned.stdout);
    assert_eq!(shop.there(EVERYBODY), all);
}

#[test]
fn a_session_that_does_not_go_mends_nothing_and_is_named() {
    let shop = Shop::with_slots(20);
    shop.configure("", "", "idle_after = \"200ms\"");
    let idle = shop.idle("renderflow-api", ROLE, 1);
    let _busy = shop.busy("renderflow-worker", 19);
    idle.wait_age(Duration::from_millis(300)).unwrap();
    let all = shop.there(EVERYBODY);
    let pid: u32 = shop.in_order("application_name = 'renderflow-api'")[0].0.parse().unwrap();
    process::send(pid, Signal::STOP).unwrap();
    let ran = shop.fix(&[]);
    let there = shop.there(EVERYBODY);
    process::send(pid, Signal::CONT).unwrap();
    let document = ran.json();
    assert_eq!((ran.exit, &document["recovered"]), (Some(2), &false.into()), "{}", ran.all());
    let steps = outcomes(&document);
    assert_eq!(steps, [("terminate-idle-sessions".to_owned(), "failed".to_owned())], "{}", ran.all());
    assert!(document["steps"][0]["detail"].as_str().unwrap().contains(&format!("pid {pid} was signalled")));
    assert_eq!((ended(&document), there), (0, all));
    assert_eq!(shop.incidents()[0]["recovered"], false);
}

#[test]
fn upkeep_and_holders_of_advisory_locks_are_let_be_however_long_they_idle() {
    let shop = Shop::with_slots(20);
    shop.configure("", "", "idle_after = \"200ms\"\nkeep_free = \"100%\"");
    let names = [
        "pg_dump",
        "pg_restore: x",
        "Repmgrd",
        "patroni",
        "db-migrator",
        "postgres_exporter",
        "pgBackRest [x]",
    ];
    let held: Vec<_> = names.iter().map(|name| shop.idle(name, ROLE, 2)).collect();
    let locking = shop.idle("renderflow-api", ROLE, 5);
    locking.run("select pg_advisory_lock_shared(7)").unwrap();
    let _plain = shop.idle("renderflow-web", ROLE, 1);
    locking.wait_age(Duration::from_millis(300)).unwrap();
    let all = shop.there("application_name <> 'renderflow-web'");
    let ran = shop.fix(&[]);
    let harm: Vec<_> = all.difference(&shop.there("application_name <> 'renderflow-web'")).cloned().collect();
    assert!(harm.is_empty(), "{harm:?}: {}", ran.all());
    drop(held);
}

#[test]
fn on_another_server_than_the_one_that_is_meant_nothing_is_touched() {
    let shop = Shop::with_slots(20);
    let _held = full(&shop);
    let all = shop.there(EVERYBODY);
    shop.configure("system_identifier = \"7412345678901234567\"", "", "idle_after = \"200ms\"");
    let ran = shop.fix(&["--allow", "sessions,settings,db-restart"]);
    assert_eq!((ran.exit, ended(&ran.json())), (Some(1), 0), "{}", ran.all());
    assert_eq!(shop.there(EVERYBODY), all);
    // The same with the identifier that it has.
    let own = shop.lab.postgres().value("select system_identifier from pg_control_system()").unwrap();
    shop.configure(&format!("system_identifier = \"{own}\""), "", "idle_after = \"200ms\"");
    let ran = shop.fix(&[]);
    assert_eq!((ran.exit, ended(&ran.json())), (Some(0), 4), "{}", ran.all());
}
