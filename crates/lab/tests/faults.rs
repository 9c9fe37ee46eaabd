//! Each fault as a bare client meets it, without pgmedic: what the wire says while it lasts, and that it is gone when
//! its guard is.

use pgmedic_lab::api::{Api, Kind};
use pgmedic_lab::dns;
use pgmedic_lab::process::is_root;
use pgmedic_lab::sessions::{Login, Sessions};
use pgmedic_lab::{Guard, Lab, LabError, Parts, PoolerSize, faults, wait};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(400);

/// What a client without TLS meets: `in`, a SQLSTATE, `refused`, `closed`, `silent`, `unreachable`.
fn knock(lab: &Lab, ip: IpAddr) -> String {
    let address = (ip, lab.front_port()).into();
    let mut stream = match TcpStream::connect_timeout(&address, SHORT) {
        Ok(stream) => stream,
        Err(e) if e.kind() == std::io::ErrorKind::TimedOut => return "dropped".to_owned(),
        Err(e) => return format!("{:?}", e.kind()),
    };
    // An SSLRequest (Postgres manual, "Message Formats").
    stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).expect("a fresh socket takes eight bytes");
    stream.set_read_timeout(Some(SHORT)).expect("a socket has timeouts");
    match stream.read(&mut [0; 1]) {
        Ok(0) => return "closed".to_owned(),
        Ok(_) => drop(stream),
        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return "silent".to_owned(),
        Err(e) => return format!("{:?}", e.kind()),
    }
    let login =
        Login { from: Ipv4Addr::LOCALHOST, ..Login::of_api(lab.postgres()).through(lab.front_port()) };
    match Sessions::open(lab.postgres(), &login.named("visitor"), 1) {
        Ok(_) => "in".to_owned(),
        Err(LabError::Sql { code: Some(code), .. }) => code,
        Err(other) => other.to_string(),
    }
}

type Inject = fn(&Lab) -> Result<Guard, LabError>;

/// Builds a lab, breaks it, knocks, mends it, knocks again.
fn meets(parts: Parts, inject: Inject, expected: &str) {
    let lab = Lab::build(parts).expect("a lab");
    let here = IpAddr::from(Ipv4Addr::LOCALHOST);
    assert_eq!(knock(&lab, here), "in", "before the fault");
    let guard = inject(&lab).expect("a fault");
    assert_eq!(knock(&lab, here), expected);
    guard.remove().expect("a fault that goes away");
    wait::until("a mended lab", Duration::from_secs(5), || {
        Ok(Some(knock(&lab, here)).filter(|k| k == "in").ok_or("not in"))
    })
    .expect("in again");
}

const PLAIN: Parts = Parts { proxy: None, pooler: None, dns: false, api: None, tls: false, volume_mb: None };
const PROXY: Parts = Parts { proxy: Some(8), ..PLAIN };
const POOLER: Parts = Parts { pooler: Some(PoolerSize { pool: 2, clients: 8 }), ..PLAIN };

/// One test a fault: its name, the lab's parts, what the client meets.
macro_rules! each {
    ($($fault:ident in $parts:expr => $expected:literal;)*) => {
        $(#[test] fn $fault() { meets($parts, faults::$fault::inject, $expected); })*
    };
}

each! {
    port_closed in PLAIN => "ConnectionRefused";
    server_hung in PLAIN => "silent";
    proxy_without_backend in PROXY => "closed";
    proxy_hung in PROXY => "silent";
    proxy_client_limit in PROXY => "silent";
    pooler_client_limit in POOLER => "08P01";
    pooler_database_disabled in POOLER => "08P01";
    tls_required in PLAIN => "28000";
    wrong_password in PLAIN => "28P01";
    role_missing in PLAIN => "28P01";
    login_not_permitted in PLAIN => "28000";
    hba_rejects in PLAIN => "28000";
    database_missing in PLAIN => "3D000";
    database_not_accepting in PLAIN => "55000";
    slots_exhausted in PLAIN => "53300";
    self_inflicted in PLAIN => "53300";
    pools_exceed_slots in PLAIN => "53300";
    unauthenticated_flood in PLAIN => "53300";
    all_slots_exhausted in PLAIN => "53300";
    role_limit_reached in PLAIN => "53300";
    database_limit_reached in PLAIN => "53300";
    wrong_server in PLAIN => "in";
    server_starting in PLAIN => "57P03";
    server_recovering in PLAIN => "57P03";
    server_shutting_down in PLAIN => "57P03";
    routed_to_standby in PROXY => "in";
    slots_nearly_exhausted in PLAIN => "in";
    slot_retains_wal in PLAIN => "in";
    read_only_by_setting in PLAIN => "in";
    connect_privilege_missing in PLAIN => "42501";
    password_expired in PLAIN => "28P01";
    stopped_by_administrator in PLAIN => "ConnectionRefused";
    server_cannot_start in PLAIN => "ConnectionRefused";
    server_descriptors_exhausted in PLAIN => "silent";
    allocation_failed in PLAIN => "53200";
    wraparound_guard in PLAIN => "in";
    archiver_failing in PLAIN => "in";
}

#[test]
fn locks() {
    meets(PLAIN, |lab| faults::lock_pile_up::inject(lab, SHORT), "in");
    meets(PLAIN, |lab| faults::orphan_prepared_transaction::inject(lab, SHORT), "in");
}

#[test]
fn needs_root_packets_dropped() {
    meets(PLAIN, faults::packets_dropped::inject, "dropped");
}

#[test]
fn needs_root_no_route() {
    let lab = Lab::build(PLAIN).unwrap();
    let own = IpAddr::from(lab.postgres().own_address());
    assert_eq!(knock(&lab, own), "in");
    let guard = faults::no_route::inject(&lab).unwrap();
    assert_eq!(knock(&lab, own), "HostUnreachable");
    guard.remove().unwrap();
    assert_eq!(knock(&lab, own), "in");
}

#[test]
fn needs_root_disk_full() {
    meets(Parts { volume_mb: Some(64), ..PLAIN }, faults::disk_full::inject, "in");
}

#[test]
fn needs_root_volumes_that_fill_or_fail() {
    let volume = Parts { volume_mb: Some(64), ..PLAIN };
    meets(volume, faults::inodes_exhausted::inject, "in");
    meets(volume, faults::temp_files_fill_disk::inject, "in");
    meets(PLAIN, faults::wal_volume_full::inject, "ConnectionRefused");
    meets(PLAIN, faults::filesystem_read_only::inject, "42501");
}

#[test]
fn needs_root_shared_memory_full() {
    let lab = Lab::build(PLAIN).unwrap();
    let guard = faults::shared_memory_full::inject(&lab).unwrap();
    let api = Sessions::open(lab.postgres(), &Login::of_api(lab.postgres()), 1).unwrap();
    let refused = api.run("select 1").unwrap_err();
    assert!(matches!(&refused, LabError::Sql { code: Some(code), .. } if code == "53100"), "{refused}");
    drop(api);
    guard.remove().unwrap();
    Sessions::open(lab.postgres(), &Login::of_api(lab.postgres()), 1).unwrap().run("select 1").unwrap();
}

/// The refusal of a server that cannot fork is one of protocol 2: `E`, a text, a zero.
#[test]
fn fork_failed() {
    let lab = Lab::build(PLAIN).unwrap();
    let guard = faults::fork_failed::inject(&lab).unwrap();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, lab.front_port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut said = [0; 28];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"Ecould not fork new process ");
    guard.remove().unwrap();
    assert_eq!(knock(&lab, Ipv4Addr::LOCALHOST.into()), "in");
}

/// Who is not root is told so, and nothing is tried.
#[test]
fn what_only_root_may_do_says_so() {
    if is_root() {
        return;
    }
    let lab = Lab::build(PLAIN).unwrap();
    for inject in [faults::packets_dropped::inject, faults::no_route::inject] {
        assert!(matches!(inject(&lab), Err(LabError::NeedsRoot(_))));
    }
    assert!(matches!(Lab::build(Parts { volume_mb: Some(64), ..PLAIN }), Err(LabError::NeedsRoot(_))));
}

#[test]
fn pooler_that_does_not_serve() {
    for inject in [faults::pooler_pool_exhausted::inject, faults::pooler_paused::inject] {
        let lab = Lab::build(POOLER).unwrap();
        let login = Login::of_api(lab.postgres()).through(lab.front_port());
        let session = Sessions::open(lab.postgres(), &login.named("visitor"), 1).unwrap();
        session.run("select 1").unwrap();
        let guard = inject(&lab).unwrap();
        session.begin("select 1");
        lab.pooler().unwrap().wait_pool(pgmedic_lab::pgbouncer::PoolColumn::ClientsWaiting, 1).unwrap();
        guard.remove().unwrap();
        session.run("select 1").unwrap();
    }
}

#[test]
fn names() {
    let lab = Lab::build(Parts { dns: true, ..PLAIN }).unwrap();
    let server = lab.dns().unwrap().address();
    let asked = || match dns::ask(server, dns::NAME, SHORT) {
        Ok(Ok(addresses)) => addresses.len().to_string(),
        Ok(Err(code)) => format!("{code:?}"),
        Err(_) => "silent".to_owned(),
    };
    let cases: [(Inject, &str); 5] = [
        (faults::name_not_found::inject, "NameError"),
        (faults::name_without_address::inject, "0"),
        (faults::resolver_failing::inject, "Refused"),
        (faults::resolver_silent::inject, "silent"),
        (faults::dead_address_among_answers::inject, "2"),
    ];
    for (inject, expected) in cases {
        assert_eq!(asked(), "1");
        let guard = inject(&lab).unwrap();
        assert_eq!(asked(), expected);
        guard.remove().unwrap();
    }
    assert_eq!(asked(), "1");
}

/// The status of the API's readiness, or why there is none.
fn ready(api: &Api) -> String {
    let url = api.ready_url();
    let address = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let Ok(mut stream) = TcpStream::connect(address) else { return "refused".to_owned() };
    let mut answer = String::new();
    let said = stream.write_all(b"GET /api/v1/ready HTTP/1.1\r\nhost: lab\r\nconnection: close\r\n\r\n");
    said.and_then(|()| stream.read_to_string(&mut answer)).expect("an answer");
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// Breaks one API in these ways, one after another: what its readiness says meanwhile. It is ready before and after each.
fn readiness(kind: Kind, cases: &[(Inject, &str)]) {
    let lab = Lab::build(Parts { api: Some(kind), ..PLAIN }).expect("a lab");
    let api = lab.api().expect("an API");
    assert_eq!(api.instead(), None, "cargo build --package renderflow");
    let well = || {
        let look = || Ok(Some(ready(api)).filter(|said| said == "200").ok_or("not ready"));
        wait::until("an API that is ready", Duration::from_secs(5), look).expect("an API that is ready");
    };
    for (inject, expected) in cases {
        well();
        let guard = inject(&lab).expect("a fault");
        assert_eq!(ready(api), *expected);
        guard.remove().expect("a fault that goes away");
    }
    well();
    let log = std::fs::read_to_string(api.log()).expect("a log");
    assert!(log.contains("Database not initialised"), "{log}");
}

const STARVED: Inject = |lab| faults::pool_starved::inject(lab, SHORT);
const LEAK: Inject = |lab| faults::pool_leak::inject(lab, SHORT);

#[test]
fn readiness_of_a_stand_in() {
    let cases: [(Inject, &str); 9] = [
        (faults::backend_crashed::inject, "503"),
        (STARVED, "503"),
        (LEAK, "503"),
        (faults::api_holds_stale_state::inject, "503"),
        (faults::readiness_lies::inject, "200"),
        (faults::readiness_failing::inject, "503"),
        (faults::api_not_initialised::inject, "503"),
        (faults::api_unreachable::inject, "refused"),
        (faults::slots_exhausted::inject, "503"),
    ];
    readiness(Kind::StandIn, &cases);
}

/// A full pool over a healthy database is ready: that is not what readiness is about.
#[test]
fn readiness_of_renderflow() {
    let cases: [(Inject, &str); 7] = [
        (STARVED, "200"),
        (LEAK, "200"),
        (faults::readiness_failing::inject, "503"),
        (faults::api_not_initialised::inject, "503"),
        (faults::api_unreachable::inject, "refused"),
        (faults::slots_exhausted::inject, "503"),
        (faults::server_down::inject, "503"),
    ];
    readiness(Kind::Renderflow, &cases);
}

/// What only the stand-in has is not asked of the other.
#[test]
fn a_defect_that_renderflow_has_not_is_refused() {
    let lab = Lab::build(Parts { api: Some(Kind::Renderflow), ..PLAIN }).unwrap();
    assert_eq!(lab.api().unwrap().instead(), None, "cargo build --package renderflow");
    let refused = faults::readiness_lies::inject(&lab).unwrap_err();
    assert!(matches!(refused, LabError::PartAbsent("an API with defects")), "{refused}");
}
