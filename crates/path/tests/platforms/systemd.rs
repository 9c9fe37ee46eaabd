//! systemd, by a stand-in for `systemctl` and `journalctl`: no systemd is booted. What it serves has the shapes that 252
//! (Debian 12) and 255 print; refusals are recorded where they could be had without a booted systemd.

use crate::contract::{Case, Double, SECRET, holds};
use pgmedic_path::platform::systemd::Systemd;
use pgmedic_path::platform::told::InstanceState;
use pgmedic_path::platform::{Part, Platform, Untold};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/platforms/systemd/stand-in");

const JOURNAL: &str = r#"{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1795403529500000","__MONOTONIC_TIMESTAMP":"9","_BOOT_ID":"b","MESSAGE":"Database not initialised","_PID":"7"}
{"__CURSOR":"s=1;i=1","__REALTIME_TIMESTAMP":"1795403529000000","__MONOTONIC_TIMESTAMP":"8","_BOOT_ID":"b","MESSAGE":"Server listening","_PID":"7"}
"#;

/// Debian's unit of a cluster, in the order in which systemctl prints.
fn cluster(state: &str, sub: &str, result: &str, code: u8, status: u8, pid: u32) -> String {
    format!(
        "Type=forking\nRemainAfterExit=no\nMainPID={pid}\nResult={result}\nNRestarts=0\n\
         ExecMainStartTimestamp=Mon 2026-11-23 03:10:00 UTC\nExecMainExitTimestamp={}\n\
         ExecMainCode={code}\nExecMainStatus={status}\nStatusText=\nId=postgresql@15-main.service\n\
         Wants=system-postgresql.slice\nConsistsOf=\nLoadState=loaded\nActiveState={state}\nSubState={sub}\n\
         ActiveEnterTimestamp=Mon 2026-11-23 03:10:02 UTC\n",
        if pid == 0 { "Mon 2026-11-23 03:12:09 UTC" } else { "" }
    )
}

/// Debian's `postgresql.service`.
const WRAPPER: &str = "Type=oneshot\nRemainAfterExit=yes\nMainPID=0\nResult=success\nNRestarts=0\n\
    ExecMainCode=1\nExecMainStatus=0\nId=postgresql.service\nWants=postgresql@15-main.service\n\
    ConsistsOf=postgresql@15-main.service\nLoadState=loaded\nActiveState=active\nSubState=exited\n";

struct StandIn(TempDir);

impl StandIn {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["systemctl", "journalctl"] {
            std::os::unix::fs::symlink(STAND_IN, folder.path().join(name)).unwrap();
        }
        let stand_in = Self(folder);
        stand_in.put("postgresql.service", WRAPPER);
        stand_in.put(
            "renderflow-api.service",
            "Type=simple\nMainPID=7\nId=renderflow-api.service\nActiveState=active\nSubState=running\n",
        );
        stand_in.put("postgresql@15-main.service", cluster("active", "running", "success", 0, 0, 812));
        stand_in.put("journalctl.out", JOURNAL);
        stand_in
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn asked(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(format!("{name}.asked"))).unwrap()
    }

    fn systemd(&self, db: &str) -> Systemd {
        let path = |name: &str| self.0.path().join(name);
        Systemd::new(Some("renderflow-api".to_owned()), Some(db.to_owned()))
            .with_programs(path("systemctl"), path("journalctl"))
    }
}

async fn double(case: Case) -> Double {
    let stand_in = StandIn::new();
    let mut db = "postgresql@15-main";
    match case {
        Case::Running => {}
        Case::Stopped => {
            stand_in.put("postgresql@15-main.service", cluster("inactive", "dead", "success", 1, 0, 0))
        }
        Case::Failed => {
            let unit = cluster("failed", "failed", "oom-kill", 2, 9, 0);
            stand_in.put("postgresql@15-main.service", format!("{unit}StatusText=password={SECRET}\n"));
        }
        Case::Unknown => db = "pg-unknown",
        Case::Denied => {
            // As journalctl and, under a strict polkit, systemctl say it.
            stand_in.put("systemctl.err", "Failed to get properties: Access denied\n");
            stand_in.put("systemctl.status", "1");
        }
        Case::Hang => stand_in.put("systemctl.hang", ""),
        Case::Garbage => {
            stand_in.put(
                "systemctl.out",
                [0xff, 0, b'\n', b'=', b'\n', b'\n', b'{', 0x1b, b'[', b'2', b'J'].repeat(99),
            );
            stand_in.put("systemctl.garbage", "");
        }
        Case::Endless => {
            stand_in.put("systemctl.endless", "");
            stand_in.put("journalctl.endless", "");
        }
    }
    let platform = Box::new(stand_in.systemd(db));
    Double { platform, denied: "polkit", unknown: "pg-unknown", _alive: Box::new(stand_in) }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

#[tokio::test]
async fn the_contract_by_a_stand_in_for_systemctl() {
    holds(double).await;
}

#[tokio::test]
async fn debians_wrapper_is_seen_through_by_a_stand_in_for_systemctl() {
    let stand_in = StandIn::new();
    stand_in.put("postgresql@15-main.service", cluster("failed", "failed", "protocol", 0, 0, 0));
    let told = stand_in.systemd("postgresql").instances(Part::Db, soon()).await.unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].name.as_str(), told[0].state), ("postgresql@15-main.service", InstanceState::Failed));
    assert_eq!(told[0].word, "failed (Result: protocol)");
}

#[tokio::test]
async fn a_name_is_never_an_option_and_the_words_are_english_and_utc() {
    let stand_in = StandIn::new();
    let odd = stand_in.systemd("--root=/nowhere; x");
    assert!(odd.instances(Part::Db, soon()).await.is_err());
    let asked = stand_in.asked("systemctl");
    assert!(asked.starts_with("C UTC show --no-pager -p Id,LoadState,"), "{asked}");
    assert!(asked.trim_end().ends_with(" -- --root=/nowhere; x"), "{asked}");
    stand_in.systemd("postgresql").log(Part::Db, soon()).await.unwrap();
    assert!(stand_in.asked("journalctl").contains("--unit=postgresql@15-main.service"));
}

#[tokio::test]
async fn a_journal_that_may_not_be_read_names_the_group_by_a_stand_in_for_journalctl() {
    let stand_in = StandIn::new();
    stand_in.put("journalctl.out", "");
    // Recorded: journalctl 252 as a user in no group of the journal's.
    let hint = "Hint: You are currently not seeing messages from other users and the system.\n      Users in groups 'adm', \
                'systemd-journal' can see all messages.\n      Pass -q to turn off this notice.\n";
    stand_in.put(
        "journalctl.err",
        format!("{hint}No journal files were opened due to insufficient permissions.\n"),
    );
    match stand_in.systemd("postgresql").log(Part::Db, soon()).await {
        Err(Untold::Failed(why)) => assert!(why.contains("usermod -aG systemd-journal"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_host_without_systemd_says_so() {
    let gone = Systemd::new(None, Some("postgresql".to_owned()))
        .with_programs(Path::new("/nowhere/systemctl").into(), Path::new("/nowhere/journalctl").into());
    for why in
        [gone.instances(Part::Db, soon()).await.unwrap_err(), gone.log(Part::Db, soon()).await.unwrap_err()]
    {
        assert!(why.to_string().contains("a host that systemd runs"), "{why}");
    }
    assert_eq!(gone.instances(Part::Api, soon()).await.unwrap_err(), Untold::NotNamed("api"));
}

#[tokio::test]
async fn what_hangs_is_ended_with_its_children() {
    let stand_in = StandIn::new();
    stand_in.put("systemctl.hang", "");
    let folder = stand_in.0.path().to_owned();
    let until = Instant::now() + Duration::from_millis(300);
    assert!(stand_in.systemd("postgresql").instances(Part::Db, until).await.is_err());
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while runs_from(&folder) {
        assert!(std::time::Instant::now() < deadline, "the stand-in still runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// True where a process has the folder in its command line.
fn runs_from(folder: &Path) -> bool {
    let folder = folder.to_string_lossy().into_owned();
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        std::fs::read(entry.path().join("cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&folder))
    })
}
