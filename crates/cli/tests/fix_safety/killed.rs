//! Shows 6: pgmedic is killed at a random moment of its fix, and started again until it comes to its end. Nothing is done
//! twice, nothing is forgotten, and no session ends that should live. `PGMEDIC_KILLS=200` runs as many; `PGMEDIC_SEED`
//! others.

use crate::api::Api;
use crate::scene::{Shop, held};
use crate::support::Ran;
use pgmedic_lab::postgres::ROLE;
use pgmedic_lab::sessions::Sessions;
use pgmedic_lab::{faults, wait};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Marsaglia's xorshift64: the same moments for the same seed.
struct Dice(u64);

impl Dice {
    fn new(salt: u64) -> Self {
        let seed = number("PGMEDIC_SEED").unwrap_or(20_261_126);
        println!("PGMEDIC_SEED={seed}");
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// This share of all runs, in hundredths.
fn share(of: u64) -> u64 {
    (number("PGMEDIC_KILLS").unwrap_or(40) * of).div_ceil(100)
}

/// What the runs came to.
#[derive(Debug, Default)]
struct Tally {
    runs: u64,
    kills: u64,
    /// Those that met a fix that had written, and not ended.
    cut_off: u64,
    done: u64,
    mended: u64,
}

/// Kills the fix once to three times, and lets it end then. Its state folder is new.
fn kill_and_let_end(shop: &Shop, dice: &mut Dice, allow: &str, tally: &mut Tally) -> (Ran, Value) {
    let state = tempfile::tempdir().unwrap();
    let command = || {
        let mut command: Command = shop.command(&["--yes", "--format", "json", "--allow", allow]);
        command.env("PGMEDIC_STATE", state.path());
        command
    };
    tally.runs += 1;
    for _ in 0..=dice.below(3) {
        let moment = Instant::now() + Duration::from_micros(dice.below(400_000));
        let mut child = command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while Instant::now() < moment && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        tally.kills += u64::from(child.kill().is_ok() && child.wait().unwrap().code().is_none());
    }
    let ran = held(command().output().unwrap().into());
    let mut incidents = shop.place.command(&["incidents", "list", "--format", "json"]);
    let read: Ran = incidents.env("PGMEDIC_STATE", state.path()).output().unwrap().into();
    let list = read.json()["incidents"].clone();
    nothing_is_forgotten(&list, &ran);
    let steps = list.as_array().unwrap().iter().flat_map(|i| i["steps"].as_array().unwrap());
    tally.cut_off += u64::from(steps.clone().any(|s| s["interrupted"] == true));
    tally.mended += u64::from(ran.exit == Some(0));
    (ran, list)
}

/// Every intent has an outcome, or is said to have been cut off; one incident, closed.
fn nothing_is_forgotten(list: &Value, ran: &Ran) {
    let list = list.as_array().unwrap();
    assert!(list.len() <= 1, "{list:#?}");
    for incident in list {
        assert!(incident["recovered"].is_boolean(), "left open: {incident:#}\n{}", ran.all());
        for step in incident["steps"].as_array().unwrap() {
            assert!(!step["outcome"].is_null() || step["interrupted"] == true, "{step:#}");
        }
    }
}

/// The intents of a deed.
fn intents(list: &Value, deed: &str) -> usize {
    let steps = list.as_array().unwrap().iter().flat_map(|i| i["steps"].as_array().unwrap());
    steps.filter(|step| step["action"]["do"] == deed).count()
}

#[test]
fn an_api_is_restarted_at_most_once_however_often_pgmedic_is_killed() {
    let (shop, mut dice, mut tally) = (Shop::new(), Dice::new(1), Tally::default());
    let api = Api::of(&shop, "sleep 0.1");
    for run in 0..share(50) {
        api.reset();
        let (ran, list) = kill_and_let_end(&shop, &mut dice, "app-restart", &mut tally);
        let count = api.count("restart_api");
        if count > 0 {
            // A command goes on although pgmedic was killed.
            let mended = api.file("mended");
            wait::until_true("the command's end", Duration::from_secs(10), || mended.exists()).unwrap();
        }
        assert!(count <= 1, "run {run}: restarted {count} times: {}", ran.all());
        assert!(count <= intents(&list, "restart-api"), "run {run}: {list:#}");
        assert!(ran.exit == Some(0) || intents(&list, "restart-api") == 1, "run {run}: {}", ran.all());
        tally.done += count as u64;
    }
    println!("restart_api: {tally:?}");
}

#[test]
fn sessions_that_should_live_do_however_often_pgmedic_is_killed() {
    let (shop, mut dice, mut tally) = (Shop::with_slots(30), Dice::new(2), Tally::default());
    shop.configure(
        "",
        "",
        "idle_after = \"100ms\"\nkeep_free = \"40%\"\nprotect = { applications = [\"nightly*\"] }",
    );
    let (_job, _busy) = (shop.idle("nightly-job", ROLE, 2), shop.busy("renderflow-worker", 2));
    let mut harm = 0;
    for run in 0..share(30) {
        let idle = Sessions::fill(shop.lab.postgres(), &shop.login("renderflow-api", ROLE)).unwrap();
        idle.wait_age(Duration::from_millis(150)).unwrap();
        let (all, order) = (shop.there("true"), shop.in_order("application_name = 'renderflow-api'"));
        let may: BTreeSet<_> = order[..12].iter().cloned().collect();
        let (ran, list) = kill_and_let_end(&shop, &mut dice, "sessions", &mut tally);
        let gone: BTreeSet<_> = all.difference(&shop.there("true")).cloned().collect();
        let wrong: Vec<_> = gone.difference(&may).collect();
        harm += wrong.len();
        assert!(wrong.is_empty(), "run {run}: {wrong:?} should live: {}\n{list:#}", ran.all());
        assert!(gone.is_empty() || intents(&list, "terminate") >= 1, "run {run}: {list:#}");
        tally.done += gone.len() as u64;
    }
    println!("terminate-idle-sessions: {tally:?}, {harm} ended that should live");
}

#[test]
fn a_server_is_started_at_most_once_however_often_pgmedic_is_killed() {
    let (shop, mut dice, mut tally) = (Shop::new(), Dice::new(3), Tally::default());
    let api = Api::new(shop.place.path());
    let start = api.script("start_db", "touch begun\nwhile [ ! -e go ]; do sleep 0.02; done");
    let data = shop.lab.postgres().data().display().to_string();
    shop.configure("", &format!("kind = \"host\"\ndata_directory = \"{data}\"\n{start}"), "");
    for run in 0..share(20) {
        api.reset();
        let down = faults::server_down::inject(&shop.lab).unwrap();
        let (begun, over) = (api.file("begun"), AtomicBool::new(false));
        let (ran, list) = std::thread::scope(|scope| {
            // The command's other half: it has the lab start the server, or nobody has asked for it in the end.
            let starting = scope.spawn(|| {
                while !begun.exists() && !over.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                down.remove().unwrap();
                std::fs::write(api.file("go"), "").unwrap();
            });
            let came = kill_and_let_end(&shop, &mut dice, "db-restart", &mut tally);
            over.store(true, Ordering::Relaxed);
            starting.join().unwrap();
            came
        });
        let count = api.count("start_db");
        assert!(count <= 1, "run {run}: started {count} times: {}", ran.all());
        assert!(count <= intents(&list, "start-db"), "run {run}: {list:#}");
        assert!(ran.exit == Some(0) || intents(&list, "start-db") == 1, "run {run}: {}", ran.all());
        if count > 0 {
            let mended = api.file("mended");
            wait::until_true("the command's end", Duration::from_secs(10), || mended.exists()).unwrap();
        }
        tally.done += count as u64;
    }
    println!("start_db: {tally:?}");
}
