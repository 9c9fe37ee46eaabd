//! `check` against peers that need no Postgres: a closed port, one that is silent, one that refuses the password.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use support::{Place, closed_port, obeys};

const PASSWORD: &str = "hunter2-a:b@c";
const ENCODED: &str = "hunter2-a%3Ab%40c";

/// A server that asks for the password in clear and refuses it, saying it back: an enemy.
fn enemy() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || refuse(stream.unwrap()));
        }
    });
    port
}

fn message(stream: &mut TcpStream, tagged: bool) -> Option<Vec<u8>> {
    let mut head = vec![0; if tagged { 5 } else { 4 }];
    stream.read_exact(&mut head).ok()?;
    let length = u32::from_be_bytes(head[head.len() - 4..].try_into().unwrap()) as usize;
    let mut body = vec![0; length - 4];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

fn refuse(mut stream: TcpStream) -> Option<()> {
    let first = message(&mut stream, false)?;
    if first.starts_with(&80_877_103_u32.to_be_bytes()) {
        stream.write_all(b"N").ok()?;
        message(&mut stream, false)?;
    }
    stream.write_all(&[b'R', 0, 0, 0, 8, 0, 0, 0, 3]).ok()?;
    let said = message(&mut stream, true)?;
    let said = String::from_utf8_lossy(&said[..said.len() - 1]).into_owned();
    let mut body = Vec::new();
    let text = format!("password \"{said}\" is wrong\u{1b}[2J\nfor user");
    for (tag, text) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', "28P01"), (b'M', &text)] {
        body.push(tag);
        body.extend(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    stream.write_all(b"E").ok()?;
    stream.write_all(&u32::try_from(body.len() + 4).unwrap().to_be_bytes()).ok()?;
    stream.write_all(&body).ok()
}

#[test]
fn a_closed_port_is_critical_in_every_format() {
    let place = Place::new();
    let url = format!("postgres://app@127.0.0.1:{}/shop", closed_port());
    for (format, holds) in [
        ("human", "Root cause: port-closed (certain)"),
        ("json", "\"cause\": \"port-closed\""),
        ("nagios", "PGMEDIC CRITICAL - port-closed: "),
        ("markdown", "### Root cause: port-closed (certain)"),
    ] {
        let ran = place.run(&["check", &url, "--format", format]);
        assert_eq!((ran.exit, ran.stderr.as_str()), (Some(2), ""), "{format}\n{}", ran.all());
        assert!(ran.stdout.contains(holds), "{format}\n{}", ran.stdout);
    }
    let document = place.run(&["check", &url, "--format", "json"]).json();
    obeys("report.schema.json", &document);
    assert_eq!((document["service"].as_str(), document["status"].as_str()), (Some("shop"), Some("critical")));
}

#[test]
fn the_screen_fits_a_terminal() {
    let place = Place::new();
    let url = format!("postgres://app@127.0.0.1:{}/shop", closed_port());
    let ran = place.run_with(&[("COLUMNS", "80")], &["check", &url]);
    assert!(ran.stdout.lines().count() <= 24, "{}", ran.stdout);
    let plain = place.run_with(&[("LC_ALL", "C")], &["check", &url]);
    assert!(plain.stdout.is_ascii(), "{}", plain.stdout);
}

#[test]
fn a_recording_replays_to_the_same_bytes() {
    let place = Place::new();
    let url = format!("postgres://app:{ENCODED}@127.0.0.1:{}/shop", enemy());
    let live = place.run(&["check", &url, "--format", "json", "--record", "night.json"]);
    assert_eq!(live.exit, Some(2), "{}", live.all());
    obeys("report.schema.json", &live.json());
    let path = place.path().join("night.json");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let names: Vec<_> = std::fs::read_dir(place.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["night.json"], "a temporary file was left behind");
    assert!(!std::fs::read_to_string(&path).unwrap().contains("hunter2"));
    for _ in 0..2 {
        let again = place.run(&["check", "--replay", "night.json", "--format", "json"]);
        assert_eq!((again.exit, &again.stdout), (live.exit, &live.stdout));
    }
    let piped = place.command(&["check", "--replay", "-"]).stdin(std::fs::File::open(path).unwrap()).output();
    assert_eq!(piped.unwrap().status.code(), Some(2));
}

#[test]
fn a_recording_of_another_kind_is_refused() {
    let place = Place::new();
    place.write("a.json", "{\"schema\": \"pgmedic.evidence/9\"}");
    place.write("b.json", "[");
    place.write("c.json", "{\"schema\": \"pgmedic.evidence/1\"}");
    for (file, said) in
        [("a.json", "pgmedic.evidence/9"), ("b.json", "not a pgmedic recording"), ("c.json", "missing field")]
    {
        let ran = place.run(&["check", "--replay", file, "--format", "json"]);
        assert_eq!(ran.exit, Some(64));
        obeys("error.schema.json", &ran.json());
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}

/// A way to give a password: its name, the environment, the arguments.
type Way<'a> = (&'a str, Vec<(&'a str, &'a str)>, Vec<&'a str>);

/// However the password comes, it is sent and never shown, even where the server says it back.
#[test]
fn a_password_is_shown_nowhere() {
    let place = Place::new();
    let port = enemy();
    let bare = format!("postgres://app@127.0.0.1:{port}/shop");
    let full = format!("postgres://app:{ENCODED}@127.0.0.1:{port}/shop");
    place.write("secret", &full);
    let quoted = format!("[[service]]\nname = \"a\"\ndatabase = \"{full}\"\nrescue = \"{full}\"\n");
    place.write("inline.toml", &quoted);
    place.write("file.toml", "[[service]]\nname = \"a\"\ndatabase = \"file:secret\"\n");
    place.write("env.toml", "[[service]]\nname = \"a\"\ndatabase = \"env:SECRET_URL\"\n");
    let escaped = PASSWORD.replace(':', "\\:");
    place.write("pass", &format!("127.0.0.1:{port}:shop:app:{escaped}\n"));
    let pass = place.path().join("pass");
    std::fs::set_permissions(&pass, std::fs::Permissions::from_mode(0o600)).unwrap();
    let pass = pass.display().to_string();
    let pairs = format!("host=127.0.0.1 port={port} user=app dbname=shop password={PASSWORD}");
    let ways: [Way<'_>; 8] = [
        ("URL", vec![], vec![&full]),
        ("pairs", vec![], vec![&pairs]),
        ("DATABASE_URL", vec![("DATABASE_URL", &full)], vec![]),
        ("PGPASSWORD", vec![("PGPASSWORD", PASSWORD)], vec![&bare]),
        ("PGPASSFILE", vec![("PGPASSFILE", &pass)], vec![&bare]),
        ("inline", vec![], vec!["--config", "inline.toml"]),
        ("file", vec![], vec!["--config", "file.toml"]),
        ("env", vec![("SECRET_URL", &full)], vec!["--config", "env.toml"]),
    ];
    for (way, environment, arguments) in &ways {
        for format in ["human", "json", "nagios", "markdown"] {
            let arguments =
                [&["check", "--format", format, "--record", "seen.json"], arguments.as_slice()].concat();
            let ran = place.run_with(environment, &arguments);
            assert_eq!(ran.exit, Some(2), "{way}\n{}", ran.all());
            let recorded = std::fs::read_to_string(place.path().join("seen.json")).unwrap();
            assert!(recorded.contains("28P01"), "{way}: the password was not sent\n{recorded}");
            for text in [ran.all(), recorded] {
                assert!(!text.contains("hunter2"), "{way} as {format}\n{text}");
                assert!(!text.contains('\u{1b}'), "{way} as {format}\n{text}");
            }
        }
    }
}

#[test]
fn a_password_file_that_others_may_read_is_ignored_and_said() {
    let place = Place::new();
    let path = place.write("pass", "*:*:*:*:hunter2\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let url = format!("postgres://app@127.0.0.1:{}/shop", enemy());
    let ran = place.run_with(&[("PGPASSFILE", &path)], &["check", &url, "--format", "json"]);
    assert!(ran.stderr.contains("its mode must be 0600 or less"), "{}", ran.stderr);
    obeys("report.schema.json", &ran.json());
    assert!(!ran.all().contains("hunter2"));
}

/// A listener that takes connections and says nothing.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://app:{ENCODED}@127.0.0.1:{}/shop", listener.local_addr().unwrap().port());
    (listener, url)
}

#[test]
fn the_timeout_holds() {
    let place = Place::new();
    let (_listener, url) = silent();
    let from = Instant::now();
    let ran = place.run(&["check", &url, "--timeout", "1s", "--format", "json"]);
    assert!(from.elapsed() < Duration::from_secs(3), "{:?}", from.elapsed());
    assert_eq!(ran.exit, Some(2), "{}", ran.all());
    obeys("report.schema.json", &ran.json());
}

/// While a silent peer is waited for: the list of processes shows no password, a signal ends the walk at once, the
/// connection is closed, and no temporary file stays.
#[test]
fn a_signal_ends_it_at_once_and_leaves_nothing() {
    use rustix::process::{Pid, Signal, kill_process};
    let place = Place::new();
    for (signal, exit) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let (listener, url) = silent();
        let arguments = ["check", &url, "--timeout", "60s", "--format", "json", "--record", "f.json"];
        let mut command = place.command(&arguments);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let child = command.spawn().unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 8]).unwrap();
        let shown = std::fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
        let shown = String::from_utf8_lossy(&shown).into_owned();
        assert!(shown.contains("check") && !shown.contains("hunter2"), "{shown:?}");

        let from = Instant::now();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ran: support::Ran = child.wait_with_output().unwrap().into();
        assert!(from.elapsed() < Duration::from_secs(1), "{:?}", from.elapsed());
        assert_eq!(ran.exit, Some(exit), "{}", ran.all());
        obeys("error.schema.json", &ran.json());
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "a file was left behind");
    }
}

#[test]
fn a_log_that_never_ends_is_read_for_a_while() {
    let place = Place::new();
    let url = format!("postgres://app@127.0.0.1:{}/shop", closed_port());
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"2026-11-23T03:12:09Z error: Database not initialised\n").unwrap();
    let mut command =
        place.command(&["check", &url, "--timeout", "1s", "--api-log", "-", "--format", "json"]);
    let output = command.stdin(reader).output().unwrap();
    drop(writer);
    assert_eq!(output.status.code(), Some(2));
    obeys("report.schema.json", &serde_json::from_slice(&output.stdout).unwrap());
}
