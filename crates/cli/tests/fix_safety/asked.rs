//! A person at a terminal: says yes, no, nothing, hangs up, interrupts at the question and during a step, and answers late.

use crate::api::Api;
use crate::scene::Shop;
use pgmedic_lab::postgres::{PASSWORD, ROLE};
use pgmedic_lab::wait;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A terminal with `pgmedic fix` in it.
struct Terminal {
    keyboard: File,
    screen: Arc<Mutex<String>>,
    child: Child,
}

impl Terminal {
    fn new(shop: &Shop, more: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let side = || File::options().read(true).write(true).open(&name).unwrap();
        let fix = shop.command(more);
        // In a session of its own, whose terminal this is: Ctrl-C is then a signal.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(fix.get_program()).args(fix.get_args()).env_clear();
        command.envs(fix.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
        command.current_dir(shop.place.path()).stdin(side()).stdout(side()).stderr(side());
        let child = command.spawn().unwrap();
        drop(command);
        let (mut reading, screen) = (File::from(master), Arc::new(Mutex::new(String::new())));
        let (keyboard, shown) = (reading.try_clone().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reading.read(&mut bytes) {
                shown.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { keyboard, screen, child }
    }

    fn shown(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    fn expect(&self, text: &str, times: usize) {
        let within = Duration::from_secs(20);
        let seen = || self.shown().matches(text).count() >= times;
        wait::until_true(text, within, seen).unwrap_or_else(|error| panic!("{error}: {}", self.shown()));
    }

    fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    fn end(mut self) -> (Option<i32>, String) {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let shown = self.shown();
                assert!(!shown.contains(PASSWORD), "{shown}");
                return (status.code(), shown);
            }
            assert!(Instant::now() < end, "it does not end: {}", self.shown());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

const QUESTION: &str = "Apply it? [y/N]";

#[test]
fn only_yes_is_yes() {
    let shop = Shop::new();
    let api = Api::of(&shop, "");
    for (answer, does) in [("n\n", 0), ("\n", 0), ("\u{4}", 0), ("yesterday\n", 0), ("Y\n", 1)] {
        let mut terminal = Terminal::new(&shop, &[]);
        terminal.expect(QUESTION, 1);
        terminal.types(answer);
        let (exit, shown) = terminal.end();
        assert_eq!((exit, api.count("restart_api")), (Some(1 - does), does as usize), "{answer:?}: {shown}");
    }
}

#[test]
fn ctrl_c_at_the_question_is_no_and_ends_it_whatever_is_typed_after() {
    let shop = Shop::new();
    let api = Api::of(&shop, "");
    let mut terminal = Terminal::new(&shop, &[]);
    terminal.expect(QUESTION, 1);
    let from = Instant::now();
    terminal.types("\u{3}");
    let (exit, shown) = terminal.end();
    assert!(from.elapsed() < Duration::from_secs(5), "{shown}");
    assert_eq!((exit, api.count("restart_api")), (Some(1), 0), "{shown}");
    let mut terminal = Terminal::new(&shop, &[]);
    terminal.expect(QUESTION, 1);
    terminal.types("\u{3}y\n");
    let (exit, shown) = terminal.end();
    assert_eq!((exit, api.count("restart_api")), (Some(1), 0), "{shown}");
    let list = shop.incidents();
    assert_eq!(
        (&list[0]["recovered"], list[0]["steps"].as_array().unwrap().len()),
        (&serde_json::Value::Null, 0)
    );
    assert!(list[0]["summary"].as_str().unwrap().starts_with("stopped after 0"), "{list:#}");
}

#[test]
fn ctrl_c_during_a_step_lets_it_end_and_begins_no_other() {
    let shop = Shop::new();
    let api =
        Api::of(&shop, "touch begun; while [ ! -e go ]; do sleep 0.02; done; echo ended >> count; exit 3");
    let mut terminal = Terminal::new(&shop, &["--yes", "--allow", "app-restart,sessions,db-restart"]);
    let begun = api.file("begun");
    wait::until_true("the step", Duration::from_secs(10), || begun.exists()).unwrap();
    terminal.types("\u{3}");
    terminal.expect("no other is begun", 1);
    std::fs::write(api.file("go"), "").unwrap();
    let (exit, shown) = terminal.end();
    assert_eq!((api.count("restart_api"), api.count("ended")), (1, 1), "{shown}");
    assert_ne!(exit, Some(0), "{shown}");
    let list = shop.incidents();
    let steps = list[0]["steps"].as_array().unwrap();
    assert_eq!((steps.len(), &steps[0]["outcome"]), (1, &"failed".into()), "{list:#}");
    assert!(list[0]["summary"].as_str().unwrap().starts_with("stopped after"), "{list:#}");
    // What is not known to be done is not done again.
    let again = shop.fix(&["--allow", "app-restart"]);
    assert_eq!((again.exit, api.count("restart_api")), (Some(1), 1), "{}", again.all());
}

#[test]
fn a_terminal_that_goes_away_during_a_step_lets_it_end_too() {
    let shop = Shop::new();
    let api = Api::of(&shop, "touch begun; while [ ! -e go ]; do sleep 0.02; done");
    let mut fix = shop.command(&["--yes", "--allow", "app-restart"]).spawn().unwrap();
    let begun = api.file("begun");
    wait::until_true("the step", Duration::from_secs(10), || begun.exists()).unwrap();
    pgmedic_lab::process::send(fix.id(), rustix::process::Signal::HUP).unwrap();
    std::fs::write(api.file("go"), "").unwrap();
    assert_eq!(fix.wait().unwrap().code(), Some(2), "no signal ended it");
    let list = shop.incidents();
    assert_eq!(
        (&list[0]["steps"][0]["outcome"], api.count("restart_api")),
        (&"applied".into(), 1),
        "{list:#}"
    );
}

/// Until the evidence is old, with the question on the screen.
fn think(from: Instant) {
    while from.elapsed() < Duration::from_millis(10_300) {
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_late_yes_is_acted_on_only_after_another_look() {
    let shop = Shop::new();
    let api = Api::of(&shop, "");
    let mut terminal = Terminal::new(&shop, &[]);
    terminal.expect(QUESTION, 1);
    let from = Instant::now();
    std::fs::write(api.file("mended"), "").unwrap();
    think(from);
    terminal.types("y\n");
    let (exit, shown) = terminal.end();
    assert_eq!((exit, api.count("restart_api")), (Some(0), 0), "{shown}");
}

#[test]
fn a_late_yes_to_a_few_sessions_is_none_to_more() {
    let shop = Shop::with_slots(30);
    shop.configure("", "", "idle_after = \"8s\"\nkeep_free = \"100%\"");
    let first = shop.idle("renderflow-api", ROLE, 3);
    first.wait_age(Duration::from_millis(8_100)).unwrap();
    let others = shop.idle("renderflow-api", ROLE, 27);
    let mut terminal = Terminal::new(&shop, &["--only", "terminate-idle-sessions"]);
    terminal.expect("terminate 3 of 3 sessions", 1);
    terminal.expect(QUESTION, 1);
    think(Instant::now());
    others.wait_age(Duration::from_millis(8_100)).unwrap();
    terminal.types("y\n");
    terminal.expect(QUESTION, 2);
    assert_eq!(shop.there("true").len(), 30, "{}", terminal.shown());
    terminal.types("n\n");
    let (exit, shown) = terminal.end();
    assert_eq!((exit, shop.there("true").len()), (Some(1), 30), "{shown}");
}
