//! The program itself: settings from the environment, signals, exit codes, and what it writes.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

mod support;

use pgmedic_lab::wait;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::Duration;
use support::{lab, request, url};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_renderflow"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn it_serves_until_it_is_told_to_stop_and_then_ends_well() {
    let lab = lab();
    // A port of the system's choosing would have to be read from its log; one that was free a moment ago will do.
    let at = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut child =
        program().env("DATABASE_URL", url(&lab)).env("PORT", at.port().to_string()).spawn().unwrap();
    let mut log = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    log.read_line(&mut first).unwrap();
    assert!(first.ends_with(&format!("INFO listening on http://{at}\n")), "{first}");
    let ready = || request(at, "GET", "/api/v1/ready", None).status == 200;
    wait::until_true("readiness", Duration::from_secs(10), ready).unwrap();
    // After a failover: the connections that it has are replaced, without a restart.
    pgmedic_lab::process::send(child.id(), rustix::process::Signal::HUP).unwrap();
    let renewed = || {
        let page = request(at, "GET", "/metrics", None).body;
        page.lines().any(|line| line == "pg_pool_discards_total{reason=\"lifetime\"} 1")
    };
    wait::until_true("a renewed pool", Duration::from_secs(10), renewed).unwrap();
    wait::until_true("readiness", Duration::from_secs(10), ready).unwrap();
    pgmedic_lab::process::send(child.id(), rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("INFO Database initialised") && rest.contains("INFO stopping"), "{rest}");
    assert!(rest.contains("INFO SIGHUP: the pool's connections are renewed"), "{rest}");
    assert!(!format!("{first}{rest}").contains(pgmedic_lab::postgres::PASSWORD), "{rest}");
}

#[test]
fn settings_that_are_missing_or_wrong_end_it_with_what_they_should_be() {
    for (settings, said) in [
        (vec![], "DATABASE_URL is not set: postgres://user:password@host:port/database"),
        (
            vec![("DATABASE_URL", "postgres://u:hunter2@h/d"), ("PORT", "x")],
            "PORT is \"x\": a port from 0 to 65535",
        ),
        (
            vec![("DATABASE_URL", "postgres://u:hunter2@h/d"), ("HOST", "192.0.2.1")],
            "listening on 192.0.2.1:3000: ",
        ),
        (vec![("DATABASE_URL", "postgres://u:hunter2@:x/d"), ("PORT", "0")], "ERROR DATABASE_URL: "),
    ] {
        let ended = program().envs(settings).output().unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        assert_eq!(ended.status.code(), Some(1), "{text}");
        assert!(text.contains(said) && !text.contains("hunter2"), "{text}");
    }
}
