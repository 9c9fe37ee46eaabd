//! systemd, by a stand-in for `systemctl`: no systemd is booted. What it says has the words of 252 (Debian 12).

use crate::contract::{AMPLE, Case, Double, holds, run, until, within};
use pgmedic_model::Deed;
use pgmedic_path::hands::systemd::SystemdHands;
use pgmedic_path::hands::{Hands, Order, Target, Undone};
use pgmedic_path::platform::Part;
use pgmedic_path::platform::systemd::Systemd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Committed and linked, not written by a test: a file that was just written cannot always be executed (ETXTBSY).
const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hands/systemd/systemctl");

const API: &str = "renderflow-api.service";
const DB: &str = "postgresql@15-main.service";

fn unit(id: &str, active: &str, sub: &str) -> String {
    format!(
        "Type=notify\nRemainAfterExit=no\nMainPID={}\nResult=success\nNRestarts=0\nExecMainCode=0\nExecMainStatus=0\n\
         StatusText=password=hunter2\nId={id}\nWants=\nConsistsOf=\nLoadState=loaded\nActiveState={active}\nSubState={sub}\n",
        if active == "active" { 7 } else { 0 }
    )
}

struct StandIn(TempDir);

impl StandIn {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(STAND_IN, folder.path().join("systemctl")).unwrap();
        let stand_in = Self(folder);
        stand_in.put(API, &unit(API, "active", "running"));
        stand_in.put(DB, &unit(DB, "active", "running"));
        let wrapper = "Type=oneshot\nRemainAfterExit=yes\nMainPID=0\nResult=success\nId=postgresql.service\n\
            Wants=postgresql@15-main.service\nConsistsOf=\nLoadState=loaded\nActiveState=active\nSubState=exited\n";
        stand_in.put("postgresql.service", wrapper);
        stand_in.put("haproxy.service", &unit("haproxy.service", "active", "running"));
        stand_in
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn hands(&self) -> SystemdHands {
        let path = |name: &str| self.0.path().join(name);
        let systemd = Systemd::new(Some("renderflow-api".to_owned()), Some("postgresql".to_owned()))
            .with_programs(path("systemctl"), path("journalctl"));
        SystemdHands::new(systemd, Some("haproxy".to_owned()))
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // What still waits may end; its folder must be there until then.
        self.put("over", "");
        if self.0.path().join("hangs").exists() {
            until("the end of what went on", || self.0.path().join("ended").exists());
        }
    }
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

fn double(case: Case) -> Double {
    let stand_in = StandIn::new();
    match case {
        Case::Willing => {}
        Case::Forbidden => stand_in.put("forbids", ""),
        Case::ActsAndHangs => stand_in.put("hangs", ""),
        Case::ActsAndFails => stand_in.put("fails", ""),
    }
    let folder = stand_in.0.path().to_owned();
    let (a, b) = (folder.join("asked"), folder.join("changes"));
    let name = |part| if part == Part::Api { API } else { DB };
    Double {
        hands: Arc::new(stand_in.hands()),
        asked: Box::new(move || lines(&a)),
        changes: Box::new(move || lines(&b)),
        life: Box::new(move |part| lines(&folder.join(format!("{}.life", name(part)))).to_string()),
        runs: Box::new(|_| true),
        _alive: Box::new(stand_in),
    }
}

#[test]
fn the_contract_by_a_stand_in_for_systemctl() {
    holds(double);
}

#[test]
fn a_wrapper_is_seen_through_and_the_units_of_its_clusters_are_acted_on() {
    let stand_in = StandIn::new();
    let hands = stand_in.hands();
    let wrapper = Target { id: "postgresql.service".to_owned(), ..Target::default() };
    assert!(matches!(
        run(hands.act(&Order::Restart(Part::Db, wrapper), within(AMPLE))),
        Err(Undone::Refused { .. })
    ));
    let target = run(hands.targets(Deed::RestartDb, within(AMPLE))).unwrap().remove(0);
    let done = run(hands.act(&Order::Restart(Part::Db, target), within(AMPLE))).unwrap();
    assert_eq!(done.said, "systemctl restart postgresql@15-main.service: it is active (running)");
    let asked = std::fs::read_to_string(stand_in.0.path().join("asked")).unwrap();
    assert!(
        asked.contains("C restart --no-ask-password --no-pager -- postgresql@15-main.service\n"),
        "{asked}"
    );
}

#[test]
fn a_unit_that_does_not_run_is_started_and_waited_for() {
    let stand_in = StandIn::new();
    let hands = stand_in.hands();
    assert_eq!(run(hands.targets(Deed::StartDb, within(AMPLE))).unwrap(), [], "it runs");
    stand_in.put(DB, &unit(DB, "failed", "failed"));
    let target = run(hands.targets(Deed::StartDb, within(AMPLE))).unwrap().remove(0);
    let order = Order::StartDb(target);
    // systemctl is content, the unit is not active.
    let end = run(hands.act(&order, within(Duration::from_millis(1500)))).unwrap_err();
    assert!(matches!(&end, Undone::Unknown { why, .. } if why.contains("it is failed")), "{end:?}");
    stand_in.put(&format!("{DB}.after"), &unit(DB, "active", "running"));
    let done = run(hands.act(&order, within(AMPLE))).unwrap();
    assert!(done.said.starts_with("systemctl start"), "{done:?}");
}

#[test]
fn the_proxy_is_a_unit_that_is_named() {
    let stand_in = StandIn::new();
    let hands = stand_in.hands();
    let target = run(hands.targets(Deed::RestartProxy, within(AMPLE))).unwrap().remove(0);
    assert_eq!(target.id, "haproxy.service");
    run(hands.act(&Order::RestartProxy(target), within(AMPLE))).unwrap();
    let changes = std::fs::read_to_string(stand_in.0.path().join("changes")).unwrap();
    assert_eq!(changes, "restart haproxy.service\n");
}

#[test]
fn without_a_right_it_says_which_and_without_systemd_that() {
    let stand_in = StandIn::new();
    stand_in.put("forbids", "");
    let hands = stand_in.hands();
    let target = run(hands.targets(Deed::RestartApi, within(AMPLE))).unwrap().remove(0);
    let end = run(hands.act(&Order::Restart(Part::Api, target.clone()), within(AMPLE))).unwrap_err();
    assert!(end.to_string().contains("org.freedesktop.systemd1.manage-units"), "{end}");
    let gone = Systemd::new(Some("renderflow-api".into()), None)
        .with_programs("/nowhere/systemctl".into(), "/nowhere/journalctl".into());
    let gone = SystemdHands::new(gone, None);
    assert_eq!(gone.offers(), [Deed::RestartApi]);
    let end = run(gone.act(&Order::Restart(Part::Api, target), within(AMPLE))).unwrap_err();
    assert!(
        matches!(&end, Undone::Refused { why, .. } if why.contains("a host that systemd runs")),
        "{end:?}"
    );
}
