//! A lab whose process is killed with SIGKILL leaves nothing behind: no process (not even a stopped one), no mount, no
//! firewall rule, no folder.

use pgmedic_lab::api::Kind;
use pgmedic_lab::process::{self, is_root};
use pgmedic_lab::{Lab, Parts, faults, wait};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Set in the process that is to be killed.
const VICTIM: &str = "PGMEDIC_LAB_VICTIM";

/// Builds a lab, breaks it in ways that outlive a careless owner, says where it is, and waits to be killed.
fn be_the_victim() -> ! {
    let parts = Parts {
        proxy: Some(8),
        dns: true,
        api: Some(Kind::Renderflow),
        volume_mb: is_root().then_some(64),
        ..Parts::default()
    };
    let lab = Lab::build(parts).expect("a lab");
    let _hung = faults::proxy_hung::inject(&lab).expect("a hung proxy");
    let _silent = faults::resolver_silent::inject(&lab).expect("a silent resolver");
    let _frozen = faults::server_hung::inject(&lab).expect("a frozen server");
    let _dropped = is_root().then(|| faults::packets_dropped::inject(&lab).expect("a firewall"));
    // The harness captures what print! writes; the parent must read it all the same.
    let told = format!("victim {} {}\n", lab.front_port(), lab.folder().display());
    std::io::stdout().write_all(told.as_bytes()).expect("the parent reads");
    loop {
        std::thread::park();
    }
}

fn processes_in(folder: &Path) -> usize {
    let all = std::fs::read_dir("/proc").expect("Linux has /proc").flatten();
    all.filter(|p| std::fs::read_link(p.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder))).count()
}

#[test]
fn a_killed_lab_leaves_nothing() {
    if std::env::var_os(VICTIM).is_some() {
        be_the_victim();
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_lab_leaves_nothing", "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let told = lines.map_while(Result::ok).find(|line| line.contains("victim ")).expect("the victim tells");
    let (port, folder) = told.split_once("victim ").unwrap().1.split_once(' ').unwrap();
    let folder = PathBuf::from(folder);
    assert!(processes_in(&folder) >= 3);
    victim.kill().unwrap();
    victim.wait().unwrap();
    wait::until_true("a clean place", Duration::from_secs(20), || {
        !folder.exists() && processes_in(&folder) == 0
    })
    .unwrap();
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(folder.to_str().unwrap()), "{mounts}");
    if is_root() {
        let rules = process::run("iptables", Command::new("iptables").args(["-w", "-S", "INPUT"])).unwrap();
        assert!(!rules.contains(&format!("--dport {port} ")), "{rules}");
    }
}
