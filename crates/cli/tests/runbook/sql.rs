//! Every SQL block of a runbook, run by psql on a real Postgres as the role that its first line names; and the one that ends
//! sessions beside sessions that must live on.

use crate::{blocks, written};
use pgmedic_lab::postgres::{DATABASE, PASSWORD, ROLE};
use pgmedic_lab::sessions::{Login, Sessions};
use pgmedic_lab::{Lab, Parts};
use std::process::Command;

/// A policy under which a moment is long, and slots enough are never free.
const IMPATIENT: &str = "[[service]]\nname = \"renderflow\"\ndatabase = \"env:DATABASE_URL\"\n\
    [service.policy]\nidle_after = \"1s\"\nkeep_free = \"100%\"\nmax_terminations = 3\n\
    protect = { applications = [\"billing*\"], roles = [\"reports\"] }\n";

/// A lab with a role for each of the first lines.
fn lab() -> Lab {
    let lab = Lab::build(Parts::default()).unwrap_or_else(|e| panic!("{e}"));
    for statement in [
        format!("create role looks login password '{PASSWORD}' in role pg_monitor"),
        format!("create role ends login password '{PASSWORD}' in role pg_monitor, pg_signal_backend"),
        format!("create role boss login superuser password '{PASSWORD}'"),
        format!("create role reports login password '{PASSWORD}'"),
    ] {
        lab.postgres().sql(&statement).unwrap_or_else(|e| panic!("{e}"));
    }
    lab
}

/// Runs a block as whom it says that it needs, and gives what psql printed.
fn run(lab: &Lab, block: &str) -> String {
    let role = match block.lines().next().unwrap() {
        "-- needs pg_monitor" => "looks",
        "-- needs pg_monitor and pg_signal_backend" => "ends",
        "-- needs a superuser" => "boss",
        other => panic!("{other:?} names nobody: {block}"),
    };
    let port = lab.postgres().port();
    let file = lab.folder().join("block.sql");
    std::fs::write(&file, block).unwrap();
    // Servers of other versions may come without psql: the one on the path speaks to all of them.
    let psql = lab.postgres().program("psql").unwrap_or_else(|_| "psql".into());
    let ran = Command::new(psql)
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f"])
        .arg(file)
        .arg(format!("postgres://{role}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}"))
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}\n{block}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn every_block_runs_by_the_role_that_it_names() {
    let lab = lab();
    let text = written(IMPATIENT);
    let all: Vec<&str> = blocks(&text, "sql").collect();
    assert!(all.len() >= 7, "{}", all.len());
    for block in &all {
        run(&lab, block);
    }
    let ends = all.iter().filter(|block| block.contains("pg_terminate_backend"));
    assert_eq!(ends.count(), 1, "one statement ends sessions");
    let preflight = all.iter().find(|block| block.contains("pg_hba_file_rules")).unwrap();
    assert_eq!(run(&lab, preflight), "", "a server that is well has no row");
}

#[test]
fn the_statement_ends_the_longest_idle_of_one_application_and_nobody_else() {
    let lab = lab();
    let postgres = lab.postgres();
    let api = Login::of_api(postgres);
    let open =
        |login: &Login, count| Sessions::open(postgres, login, count).unwrap_or_else(|e| panic!("{e}"));
    let idle = open(&api, 5);
    let others = [
        open(&api.clone().named("billing-7"), 1),
        open(&api.clone().by("reports"), 1),
        open(&api.clone().by("boss"), 1),
        open(&api.clone().named("db-migrate"), 1),
        open(&api.clone().named("another"), 1),
    ];
    let locked = open(&api, 1);
    locked.run("select pg_advisory_lock(7)").unwrap();
    let writing = open(&api, 1);
    writing.run("begin").unwrap();
    let count = |condition: &str| {
        let sql = format!(
            "select count(*) from pg_stat_activity where backend_type = 'client backend' and {condition}"
        );
        postgres.value(&sql).unwrap().parse::<usize>().unwrap()
    };
    let all = "application_name in ('renderflow-api', 'billing-7', 'db-migrate', 'another')";
    assert_eq!(count(all), 12);
    let aged = format!(
        "select bool_and(state_change < now() - interval '1100 ms') from pg_stat_activity where {all}"
    );
    postgres.wait_true("sessions that idle for over a second", &aged).unwrap();

    let text = written(IMPATIENT);
    let block = blocks(&text, "sql").find(|block| block.contains("pg_terminate_backend")).unwrap();
    assert_eq!(run(&lab, block), "", "as it stands it ends nobody");
    let list = blocks(&text, "sql")
        .find(|block| block.contains("idle_for\n") && !block.contains("terminate"))
        .unwrap();
    let listed = run(&lab, list);
    assert!(listed.contains("renderflow-api|") && listed.contains("another|"), "{listed}");
    for spared in ["billing", "migrate", "|boss|", "|reports|"] {
        assert!(!listed.contains(spared), "{listed}");
    }

    let named = block.replace("NAME-FROM-THE-LIST-ABOVE", "renderflow-api");
    for left in [2, 0] {
        // Whose turn it is: the longest idle. Sessions were opened one after the other.
        let oldest = format!(
            "select pid from pg_stat_activity a where application_name = 'renderflow-api' and usename = '{ROLE}' and \
             state = 'idle' and not exists (select from pg_locks l where l.pid = a.pid and locktype = 'advisory') \
             order by state_change limit 3"
        );
        let oldest: Vec<String> =
            postgres.sql(&oldest).unwrap().into_iter().map(|row| row[0].clone().unwrap()).collect();
        let ended = run(&lab, &named);
        assert!(ended.lines().all(|line| line.ends_with("|t")), "{ended}");
        let mut pids: Vec<&str> = ended.lines().map(|line| line.split('|').next().unwrap()).collect();
        assert!(oldest.iter().all(|pid| pids.contains(&pid.as_str())), "{oldest:?}: {ended}");
        pids.retain(|pid| !oldest.iter().any(|old| old == pid));
        assert!(pids.is_empty(), "{pids:?} had not idled for longest");
        assert_eq!(ended.lines().count(), if left == 2 { 3 } else { 2 }, "at most three at once: {ended}");
        let gone = format!(
            "select count(*) = {} from pg_stat_activity where backend_type = 'client backend' and {all}",
            7 + left
        );
        postgres.wait_true("those that were ended are gone", &gone).unwrap();
    }
    assert_eq!(run(&lab, &named), "", "nobody is left who may be ended");
    assert_eq!(count("usename = 'reports'"), 1);
    assert_eq!(count("usename = 'boss'"), 1);
    assert_eq!(count("application_name in ('billing-7', 'db-migrate', 'another')"), 3);
    assert_eq!(count("state = 'idle in transaction'"), 1);
    let lock = "select count(*) from pg_locks where locktype = 'advisory' and granted";
    assert_eq!(postgres.value(lock).unwrap(), "1");
    drop((idle, others, locked, writing));
}

#[test]
fn nobody_is_ended_while_slots_enough_are_free() {
    let lab = lab();
    let sessions = Sessions::open(lab.postgres(), &Login::of_api(lab.postgres()), 2).unwrap();
    sessions.wait_age(std::time::Duration::from_millis(1100)).unwrap();
    let text = written(&IMPATIENT.replace("100%", "20%"));
    let block = blocks(&text, "sql").find(|block| block.contains("pg_terminate_backend")).unwrap();
    assert_eq!(run(&lab, &block.replace("NAME-FROM-THE-LIST-ABOVE", "renderflow-api")), "");
}
