//! A healthy server that works hard is not a sick one: 1,000 checks under load, and not one alarm.

mod support;

use pgmedic_lab::postgres::PASSWORD;
use pgmedic_lab::{Lab, Parts};
use std::process::{Child, Command, Stdio};
use support::{Place, Ran};

const CHECKS: usize = 1_000;

/// A process that ends with the test.
struct Load(Child);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// pgbench against the lab, as the API's role.
fn pgbench(lab: &Lab, arguments: &[&str]) -> Command {
    let mut command = Command::new(lab.postgres().program("pgbench").expect("pgbench"));
    command
        .args(["-h", "127.0.0.1", "-p", &lab.postgres().port().to_string(), "-U", "renderflow"])
        .args(arguments)
        .arg("renderflow")
        .env("PGPASSWORD", PASSWORD)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

#[test]
fn a_healthy_server_under_load_gives_no_alarm_in_a_thousand_checks() {
    let (place, lab) = (Place::new(), Lab::build(Parts::default()).unwrap());
    assert!(pgbench(&lab, &["-i", "-q", "-s", "2"]).status().unwrap().success());
    let load = Load(pgbench(&lab, &["-c", "12", "-T", "3600"]).spawn().unwrap());
    let busy = "select count(*) >= 12 from pg_stat_activity where application_name = 'pgbench'";
    lab.postgres().wait_true("twelve clients of pgbench", busy).unwrap();
    let url = format!("postgres://monitor@127.0.0.1:{}/renderflow", lab.postgres().port());
    for number in 1..=CHECKS {
        let mut command = place.command(&["check", &url, "--format", "json"]);
        let ran: Ran = command.env("PGPASSWORD", PASSWORD).output().unwrap().into();
        assert_eq!(ran.exit, Some(0), "check {number} of {CHECKS}: {}", ran.all());
    }
    lab.postgres().wait_true("twelve clients of pgbench, still", busy).unwrap();
    drop(load);
}
