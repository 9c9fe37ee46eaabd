//! The logs of a real HAProxy and a real PgBouncer, read by whole walks: what they say of the server behind them decides
//! where neither `direct` nor a console is configured.

mod real;

use pgmedic_lab::faults::proxy_without_backend;
use pgmedic_lab::haproxy::Tuning;
use pgmedic_lab::postgres::{ROLE, Stop};
use pgmedic_lab::{Parts, PoolerSize, wait};
use pgmedic_model::haproxy_words::{Ended, HaproxyWords, ended};
use pgmedic_model::pooler_words::{Words, says};
use pgmedic_model::{Confidence, Finding, Timestamp};
use pgmedic_path::evidence::Evidence;
use pgmedic_path::platform::evidence::PoolerSide;
use pgmedic_path::service::{HostPaths, Service, Window};
use pgmedic_path::{clock, diagnose};
use real::Server;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(6);
const PATIENCE: Duration = Duration::from_secs(10);

/// The way in of the API, and nothing else configured.
fn front_alone(server: &Server) -> Service {
    Service { direct: None, ..server.service(ROLE) }
}

fn found<'a>(findings: &'a [Finding], cause: &str) -> &'a Finding {
    let told: Vec<_> = findings.iter().map(|f| f.cause.as_str()).collect();
    findings.iter().find(|f| f.cause == cause).unwrap_or_else(|| panic!("{cause} is not in {told:?}"))
}

/// True where a line is of this walk.
fn is_of_now(evidence: &Evidence, at: Option<Timestamp>) -> bool {
    at.is_some_and(|at| at.0 >= evidence.started_at.0 - 5_000 && at.0 <= clock::now().0 + 1_000)
}

#[test]
fn a_pgbouncer_before_a_dead_server_is_named_by_its_own_log() {
    let server =
        Server::build(Parts { pooler: Some(PoolerSize { pool: 2, clients: 20 }), ..Parts::default() });
    let service = front_alone(&server);
    let healthy = server.walk(&service, TIMEOUT);
    assert!(healthy.front.facts().is_some(), "{:?}", healthy.front.startup);
    assert!(healthy.host.get().is_none_or(|host| host.pooler_log.is_none()), "a healthy walk reads no log");
    server.lab().postgres().stop(Stop::Immediate).expect("stopped");
    let evidence = server.walk(&service, TIMEOUT);
    let log = evidence.host.get().and_then(|host| host.pooler_log.as_ref()).expect("a log");
    let failed = |words| log.entries.iter().rev().find(|n| says(&n.message, words));
    let entry = failed(Words::PoolerCannotReach).unwrap_or_else(|| panic!("{log:?}"));
    assert_eq!(entry.side, Some(PoolerSide::Server));
    assert_eq!(entry.peer, Some(format!("127.0.0.1:{}", server.lab().postgres().port())));
    assert!(is_of_now(&evidence, entry.at), "{entry:?}");
    let findings = diagnose(&evidence);
    let finding = found(&findings, "pooler-upstream-failing");
    assert_eq!(finding.confidence, Confidence::Certain);
    assert!(finding.summary.ends_with("connect failed"), "{}", finding.summary);
    assert!(!findings.iter().any(|f| f.cause == "pooler-pool-exhausted"));
}

#[test]
fn a_haproxy_without_its_server_says_so_in_its_log() {
    let server = Server::build(Parts { proxy: Some(20), ..Parts::default() });
    let fault = proxy_without_backend::inject(server.lab()).expect("injected");
    let evidence = server.walk(&front_alone(&server), TIMEOUT);
    let log = evidence.host.get().and_then(|host| host.haproxy_log.as_ref()).expect("a log");
    let ending = log.endings.last().unwrap_or_else(|| panic!("{log:?}"));
    assert_eq!((ended(&ending.flags), ending.server.as_deref()), (Some(Ended::ServerRefused), None));
    assert_eq!((ending.frontend.as_str(), ending.backend.as_str()), ("postgres", "postgres"));
    assert!(is_of_now(&evidence, ending.at), "{ending:?} at {}", evidence.started_at);
    let down = log.events.iter().find(|n| n.words == HaproxyWords::ServerDown).expect("a server went down");
    assert_eq!((down.proxy.as_deref(), down.server.as_deref()), (Some("postgres"), Some("primary")));
    assert_eq!(
        found(&diagnose(&evidence), "proxy-without-backend").confidence,
        Confidence::Certain,
        "{evidence:?}"
    );
    fault.remove().expect("gone");
}

/// What a syslog daemon does: a datagram socket in, a file out, every line with a stamp in local time.
fn receiver(folder: &Path) -> (PathBuf, PathBuf) {
    let (socket, file) = (folder.join("log.sock"), folder.join("syslog"));
    let datagrams = UnixDatagram::bind(&socket).expect("a socket");
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o777)).expect("chmod");
    let mut out = std::fs::File::create(&file).expect("a file");
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length) = datagrams.recv(&mut buffer) {
            // `<134>Nov 23 17:01:37 haproxy[9]: …`
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let line = text.split_once('>').map_or(text.as_str(), |(_, rest)| rest).trim_end();
            let (stamp, rest) = line.split_at_checked(15).unwrap_or(("", line));
            writeln!(out, "{stamp} thishost app[7]: another program's line").expect("written");
            writeln!(out, "{stamp} thishost{rest}").expect("written");
        }
    });
    (socket, file)
}

#[test]
fn a_haproxy_that_logs_to_syslog_is_read_where_the_configuration_says() {
    let server = Server::build(Parts { proxy: Some(20), ..Parts::default() });
    let (socket, file) = receiver(server.folder());
    let target: &'static str = Box::leak(format!("log {} local0", socket.display()).into_boxed_str());
    let cut = "timeout client 300ms\n  timeout server 300ms";
    let proxy = server.lab().proxy().expect("a proxy");
    proxy.restart(Tuning { global: target, defaults: cut, ..Tuning::CALM }).expect("restarted");
    // A client that says nothing is cut off, and logged.
    let _silent = std::net::TcpStream::connect(("127.0.0.1", proxy.port())).expect("connected");
    wait::until_true("a line of the session", PATIENCE, || {
        std::fs::read_to_string(&file).is_ok_and(|text| text.contains(" cD ") || text.contains(" sD "))
    })
    .expect("logged");
    let fault = proxy_without_backend::inject(server.lab()).expect("injected");
    let paths = HostPaths { proxy_log: Some(file), ..HostPaths::default() };
    let service = Service { window: Window::Host(paths), ..front_alone(&server) };
    let evidence = server.walk(&service, TIMEOUT);
    let log = evidence.host.get().and_then(|host| host.haproxy_log.as_ref()).expect("a log");
    let idle = |flags: &str| matches!(ended(flags), Some(Ended::ClientIdle | Ended::ServerIdle));
    let cut_off = log.endings.iter().find(|n| idle(&n.flags)).unwrap_or_else(|| panic!("{log:?}"));
    assert!((300.0..2_000.0).contains(&cut_off.total_ms.0), "{cut_off:?}");
    assert!(is_of_now(&evidence, cut_off.at), "{cut_off:?} at {}", evidence.started_at);
    let refused = log.endings.iter().any(|n| ended(&n.flags) == Some(Ended::ServerRefused));
    assert!(refused && log.events.iter().any(|n| n.words == HaproxyWords::ServerDown), "{log:?}");
    fault.remove().expect("gone");
}
