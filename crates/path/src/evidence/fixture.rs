//! Evidence for tests: a healthy walk, and the same walk broken in one place. Tests mutate from there. Nothing in here
//! is compiled into the library.

use super::{Evidence, QueryEvidence, QueryOutcome, RouteEvidence, Seen, TargetView};
use crate::platform::evidence::{HostEvidence, ServerLogEntry, ServerLogView};
use crate::preflight::Preflight;
use crate::rooms::app::evidence::AppEvidence;
use crate::rooms::dns::evidence::{
    Answer, AnswerOutcome, DnsEvidence, NameserverEvidence, Subject, SystemLookup, SystemOutcome,
};
use crate::rooms::network::evidence::{Attempt, ConnectOutcome, NetworkEvidence};
use crate::rooms::proxy::evidence::{FirstBytes, ProxyEvidence, Sent};
use crate::rooms::startup::evidence::{AuthMethod, StartupEvidence, StartupOutcome};
use crate::rooms::tls::evidence::{TlsEvidence, TlsOutcome};
use crate::sql::facts::{AdmissionFacts, Me, SqlFacts};
use pgmedic_model::{BudgetPlan, Errno, Ms, Policy, ServerError, SqlState, SslMode, Timestamp};

/// 2026-11-23T03:12:09Z, when every fixture's walk begins.
pub(crate) const AT: Timestamp = Timestamp(1_795_403_529_000);

/// The name that the fixtures' target has.
pub(crate) const NAME: &str = "renderflow-db.internal";

/// The address that it resolves to.
pub(crate) const ADDRESS: &str = "10.0.0.7:5432";

/// A service in good health: the front is admitted and answers, nothing else is configured to look with.
pub(crate) fn healthy() -> Evidence {
    let address = format!("{NAME}:5432");
    Evidence {
        schema: Evidence::SCHEMA.to_owned(),
        pgmedic: "0.1.0".to_owned(),
        service: "renderflow".to_owned(),
        started_at: AT,
        elapsed_ms: Ms(9.0),
        timeout_ms: Ms(10_000.0),
        target: TargetView {
            url: format!("postgres://app@{address}/renderflow"),
            address: address.clone(),
            host: NAME.to_owned(),
            port: 5432,
            user: "app".to_owned(),
            database: "renderflow".to_owned(),
            ssl_mode: SslMode::Prefer,
            has_password: true,
            asks_read_only: false,
            wants_standby: false,
        },
        policy: Policy::default(),
        expected: None,
        app: AppEvidence { ready: unseen(), metrics: unseen(), log: unseen() },
        front: admitted(&address),
        direct: unseen(),
        rescue: unseen(),
        standing: unseen(),
        rescue_configured: true,
        pooler: unseen(),
        host: unseen(),
        platform: unseen(),
        preflight: unseen(),
        audit: unseen(),
        budget: BudgetPlan::default(),
        earlier: Vec::new(),
        history: Vec::new(),
        offers: Vec::new(),
        named: false,
    }
}

/// A way in that is admitted and answered with [`facts`].
pub(crate) fn admitted(address: &str) -> RouteEvidence {
    RouteEvidence {
        address: address.to_owned(),
        dns: resolved(&["10.0.0.7"]),
        network: Some(attempts(&[(ADDRESS, ConnectOutcome::Connected, None)])),
        proxy: Some(ProxyEvidence {
            at: AT,
            elapsed_ms: Ms(0.3),
            sent: Sent::SslRequest,
            first: FirstBytes::TlsNotOffered,
        }),
        tls: Some(TlsEvidence {
            at: AT,
            elapsed_ms: Ms(0.0),
            mode: SslMode::Prefer,
            outcome: TlsOutcome::Plain { why: "the server offers none, and prefer does without".to_owned() },
            certificate: None,
            verification: None,
            fell_back: None,
            first_refusal: None,
        }),
        startup: Some(StartupEvidence {
            at: AT,
            elapsed_ms: Ms(4.0),
            user: "app".to_owned(),
            database: "renderflow".to_owned(),
            auth: Some(AuthMethod::ScramSha256),
            authenticated: true,
            outcome: StartupOutcome::Ready,
            notices: Vec::new(),
            product: None,
            received_bytes: 300,
            server_version: Some("15.18".to_owned()),
            in_hot_standby: Some(false),
            default_transaction_read_only: Some(false),
            is_superuser: Some(false),
            backend_pid: Some(4711),
            pooler: None,
        }),
        query: Some(QueryEvidence {
            at: AT,
            elapsed_ms: Ms(2.0),
            outcome: QueryOutcome::Answered(Box::new(facts())),
            notices: Vec::new(),
            refused: None,
            received_bytes: 4_000,
            aftermath: None,
        }),
    }
}

/// A server's account in which nothing is amiss: 5 of 97 slots taken, asked by a `pg_monitor` role.
pub(crate) fn facts() -> SqlFacts {
    SqlFacts {
        version_num: 150_018,
        me: Me {
            role: "app".to_owned(),
            database: "renderflow".to_owned(),
            pid: 4711,
            sees_all: true,
            ..Me::default()
        },
        admission: AdmissionFacts {
            max_connections: 100,
            superuser_reserved: 3,
            client_backends: 5,
            own: 1,
            ..AdmissionFacts::default()
        },
        ..SqlFacts::default()
    }
}

/// The healthy walk with its server's account changed by `change`.
pub(crate) fn with_facts(change: impl FnOnce(&mut SqlFacts)) -> Evidence {
    let mut e = healthy();
    if let Some(QueryEvidence { outcome: QueryOutcome::Answered(facts), .. }) = &mut e.front.query {
        change(facts);
    }
    e
}

/// The walk whose front is refused in the startup with FATAL, `code` and `message`.
pub(crate) fn refused(code: &str, message: &str) -> Evidence {
    ended(StartupOutcome::Error(fatal(code, message)))
}

/// The walk whose front's startup ends in `outcome`.
pub(crate) fn ended(outcome: StartupOutcome) -> Evidence {
    let mut e = healthy();
    refuse(&mut e.front, outcome);
    e
}

/// Lets a route's startup end in `outcome`.
pub(crate) fn refuse(route: &mut RouteEvidence, outcome: StartupOutcome) {
    route.query = None;
    if let Some(startup) = &mut route.startup {
        startup.outcome = outcome;
        startup.authenticated = false;
        startup.server_version = None;
        startup.in_hot_standby = None;
        startup.default_transaction_read_only = None;
        startup.is_superuser = None;
        startup.backend_pid = None;
    }
}

/// Lets a walk's login pass and its query be answered by a pooler's FATAL.
pub(crate) fn late(e: &mut Evidence, code: &str, message: &str) {
    if let Some(query) = &mut e.front.query {
        query.outcome = QueryOutcome::Error(fatal(code, message));
    }
}

/// A FATAL of a Postgres server.
pub(crate) fn fatal(code: &str, message: &str) -> ServerError {
    ServerError {
        severity: "FATAL".to_owned(),
        code: Some(SqlState::new(code)),
        message: message.to_owned(),
        ..ServerError::default()
    }
}

/// The walk whose front ends in the room `proxy` with these first bytes.
pub(crate) fn first_bytes(first: FirstBytes) -> Evidence {
    let mut e = healthy();
    if let Some(proxy) = &mut e.front.proxy {
        proxy.first = first;
    }
    (e.front.tls, e.front.startup, e.front.query) = (None, None, None);
    e
}

/// The walk whose front ends in the room `tls` with this outcome, asked for by `mode`.
pub(crate) fn tls(mode: SslMode, outcome: TlsOutcome) -> Evidence {
    let mut e = healthy();
    e.target.ssl_mode = mode;
    if let Some(tls) = &mut e.front.tls {
        (tls.mode, tls.outcome) = (mode, outcome);
    }
    (e.front.startup, e.front.query) = (None, None);
    e
}

/// The walk whose front ends in the room `network`: these attempts, none of which connected.
pub(crate) fn unconnected(list: &[(&str, ConnectOutcome, Option<i32>)]) -> Evidence {
    let mut e = healthy();
    cut_after_dns(&mut e.front);
    e.front.network = Some(attempts(list));
    e
}

/// The walk whose front ends in the room `dns`: the system's lookup and what each nameserver answered for A and AAAA.
pub(crate) fn unresolved(system: SystemOutcome, elapsed: f64, nameservers: &[AnswerOutcome]) -> Evidence {
    let mut e = healthy();
    cut_after_dns(&mut e.front);
    e.front.dns.elapsed_ms = Ms(elapsed);
    e.front.dns.system = Some(SystemLookup { elapsed_ms: Ms(elapsed), outcome: system });
    e.front.dns.nameservers = (53u8..).zip(nameservers).map(|(n, o)| nameserver(n, o, o)).collect();
    e
}

/// `EAI_…` as getaddrinfo(3) gave it.
pub(crate) fn eai(code: &str, text: &str) -> SystemOutcome {
    SystemOutcome::Failed { code: code.to_owned(), text: text.to_owned() }
}

/// The nameserver 10.0.0.`last`, with its two answers.
pub(crate) fn nameserver(last: u8, a: &AnswerOutcome, aaaa: &AnswerOutcome) -> NameserverEvidence {
    let answer =
        |outcome: &AnswerOutcome| Answer { elapsed_ms: Ms(0.4), outcome: outcome.clone(), resent: false };
    NameserverEvidence {
        server: std::net::SocketAddr::from(([10, 0, 0, last], 53)),
        configured_in: "/etc/resolv.conf".to_owned(),
        asked: NAME.to_owned(),
        a: answer(a),
        aaaa: answer(aaaa),
    }
}

/// A lookup that gave these addresses.
pub(crate) fn resolved(addresses: &[&str]) -> DnsEvidence {
    let addresses: Vec<_> = addresses.iter().map(|a| a.parse().unwrap()).collect();
    let found = AnswerOutcome::Addresses { addresses: addresses.clone(), ttl_s: 30 };
    DnsEvidence {
        at: AT,
        elapsed_ms: Ms(0.5),
        subject: Subject::Name(NAME.to_owned()),
        system: Some(SystemLookup { elapsed_ms: Ms(0.5), outcome: SystemOutcome::Resolved(addresses) }),
        stand_in: None,
        nameservers: vec![nameserver(53, &found, &AnswerOutcome::NoData)],
        nameservers_skipped: None,
    }
}

/// Attempts: address, outcome, errno. A silent one took 3 s, any other 0.2 ms.
pub(crate) fn attempts(list: &[(&str, ConnectOutcome, Option<i32>)]) -> NetworkEvidence {
    let one = |(address, outcome, errno): &(&str, ConnectOutcome, Option<i32>)| Attempt {
        at: AT,
        elapsed_ms: if *outcome == ConnectOutcome::Silent { Ms(3000.0) } else { Ms(0.2) },
        address: (*address).to_owned(),
        outcome: *outcome,
        errno: errno.map(Errno::from_number),
    };
    let attempts = list.iter().map(one).collect();
    NetworkEvidence { elapsed_ms: Ms(0.2), attempts, transport: None, families: None }
}

/// Opens a window on this host, showing what `look` fills in.
pub(crate) fn window(e: &mut Evidence, look: impl FnOnce(&mut HostEvidence)) {
    let mut host =
        HostEvidence { at: AT, why: "platform.kind = \"host\"".to_owned(), ..HostEvidence::default() };
    look(&mut host);
    e.host = Seen::Seen(host);
}

/// Looks ahead, and finds nothing amiss but what `change` puts there.
pub(crate) fn preflight(e: &mut Evidence, change: impl FnOnce(&mut Preflight)) {
    let mut ahead = Preflight {
        at: AT,
        elapsed_ms: Ms(1.0),
        place: e.front.address.clone(),
        hba: Seen::Seen(Vec::new()),
        settings: Seen::Seen(Vec::new()),
        pending_restart: Vec::new(),
        base_backups: Seen::Seen(Vec::new()),
        may_hba: true,
    };
    change(&mut ahead);
    e.preflight = Seen::Seen(ahead);
}

/// A server's log with one FATAL.
pub(crate) fn log_of(code: &str, message: &str) -> ServerLogView {
    ServerLogView {
        path: "/var/log/postgresql/postgresql-15-main.log".to_owned(),
        entries: vec![ServerLogEntry {
            at: Some(AT),
            severity: "FATAL".to_owned(),
            code: Some(SqlState::new(code)),
            message: message.to_owned(),
        }],
        ..ServerLogView::default()
    }
}

fn cut_after_dns(route: &mut RouteEvidence) {
    (route.network, route.proxy, route.tls, route.startup, route.query) = (None, None, None, None, None);
}

fn unseen<T>() -> Seen<T> {
    Seen::NotSeen("not configured".to_owned())
}

mod tests {
    use super::*;

    #[test]
    fn a_healthy_walk_evokes_no_cause() {
        let e = healthy();
        let found: Vec<_> = crate::rooms::causes().filter(|c| (c.find)(&e).is_some()).map(|c| c.id).collect();
        assert_eq!(found, Vec::<&str>::new());
    }

    #[test]
    fn a_refused_walk_keeps_the_servers_words() {
        let e = refused("53300", "sorry, too many clients already");
        assert!(e.front.refusal().unwrap().is(SqlState::TOO_MANY_CONNECTIONS));
        assert!(!e.front.admitted() && e.facts().is_none());
        assert_eq!(AT.to_string(), "2026-11-23T03:12:09.000Z");
    }

    #[test]
    fn each_fixture_is_a_recording_that_reads_back() {
        let mut with_window = unconnected(&[(ADDRESS, ConnectOutcome::Refused, Some(111))]);
        window(&mut with_window, |host| host.log = Some(log_of("28P01", "password authentication failed")));
        for e in [
            with_window,
            with_facts(|f| f.admission.client_backends = 97),
            first_bytes(FirstBytes::Closed),
            tls(SslMode::Require, TlsOutcome::NotOffered),
            unresolved(eai("EAI_NONAME", "Name or service not known"), 30.0, &[AnswerOutcome::NxDomain]),
        ] {
            assert_eq!(crate::record::read(&crate::record::write(&e).unwrap()).unwrap(), e);
        }
    }
}
