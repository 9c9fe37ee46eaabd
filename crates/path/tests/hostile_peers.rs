//! Hostile and odd peers on the way in: endless, enormous, dripping, of another protocol, of another database. Each walk ends
//! in its time, holds little, and says nothing that is not so. Time is paused but for TLS. Not in here: peers beside the way
//! in (hostile_sides.rs), and what the process takes in memory (`scripts/bench --memory`).

#[expect(dead_code, reason = "the other suites of scripted peers use the rest")]
mod scripted;

use pgmedic_model::{Confidence, Finding, Severity, SslMode, Status};
use pgmedic_path::evidence::{Evidence, QueryOutcome};
use pgmedic_path::rooms::proxy::evidence::FirstBytes;
use pgmedic_path::rooms::startup::evidence::{AuthMethod, StartupOutcome};
use pgmedic_path::rooms::startup::session::ANSWER_LIMIT;
use pgmedic_path::rooms::tls::evidence::TlsOutcome;
use pgmedic_path::{diagnose, report, walk};
use scripted::Act::{Drip, Forever, Iterations, Never, Pause, Read, Send};
use scripted::{Act, Peer, admitted, admitted_by, message, one, said};
use std::time::Duration;
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(2);

/// Most bytes of evidence that a peer can make a walk keep, as JSON: sixteen notices of seven fields of 2,000 characters,
/// before the login and once more in the answer, each character of four bytes.
const EVIDENCE_LIMIT: usize = 2 * 16 * 7 * 2_000 * 4 + 64 * 1024;

/// Walks to a peer that plays these scripts, and diagnoses. The time is the walk's own to the millisecond.
async fn told(scripts: Vec<Vec<Act>>, mode: SslMode) -> (Evidence, Vec<Finding>) {
    let peer = Peer::new(scripts).await;
    let mut service = peer.service();
    service.target.tls.mode = mode;
    let from = Instant::now();
    let evidence = walk(&service, LIMIT, &|_| {}).await;
    assert!(from.elapsed() <= LIMIT, "{:?}", from.elapsed());
    let held = serde_json::to_string(&evidence).expect("evidence is JSON").len();
    assert!(held <= EVIDENCE_LIMIT, "{held} bytes of evidence");
    let findings = diagnose(&evidence);
    (evidence, findings)
}

/// What is found of a script: the cause that is alone at the root, how sure it is, and its summary.
async fn root(script: Vec<Act>) -> (String, Confidence, String) {
    let (_, findings) = told(vec![script], SslMode::Disable).await;
    let roots: Vec<&Finding> = findings.iter().filter(|f| f.severity == Severity::Critical).collect();
    let [root] = roots[..] else { panic!("one root: {findings:?}") };
    assert!(root.summary.len() < 10_000, "{} bytes of summary", root.summary.len());
    (root.cause.clone(), root.confidence, root.summary.clone())
}

/// A script after the login has been asked for.
fn at_startup(acts: Vec<Act>) -> Vec<Act> {
    [vec![Read], acts].concat()
}

/// A script after the statement has been sent.
fn at_query(acts: Vec<Act>) -> Vec<Act> {
    [vec![Read, Send(admitted()), Read], acts].concat()
}

/// Columns of an answer, all of text.
fn columns(names: &[&str]) -> Vec<u8> {
    let field =
        |name: &&str| [name.as_bytes(), &[0; 7], &[0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0]].concat();
    let count = u16::try_from(names.len()).expect("few").to_be_bytes();
    message(b'T', &[&count[..], &names.iter().map(field).collect::<Vec<_>>().concat()].concat())
}

/// A row of an answer.
fn row(values: &[&str]) -> Vec<u8> {
    let value =
        |value: &&str| [&u32::try_from(value.len()).expect("short").to_be_bytes(), value.as_bytes()].concat();
    let count = u16::try_from(values.len()).expect("few").to_be_bytes();
    message(b'D', &[&count[..], &values.iter().map(value).collect::<Vec<_>>().concat()].concat())
}

/// AuthenticationSASL with these mechanisms.
fn sasl(mechanisms: &str) -> Vec<u8> {
    message(b'R', &[b"\0\0\0\x0a", mechanisms.as_bytes(), b"\0"].concat())
}

/// An error or a notice whose every field is longer than is kept.
fn wordy(tag: u8) -> Vec<u8> {
    let fields = b"SVMDHFR".map(|k| [&[k][..], "\u{1f418}".repeat(2_100).as_bytes(), b"\0"].concat());
    message(tag, &[&fields.concat()[..], b"CXX000\0\0"].concat())
}

#[tokio::test(start_paused = true)]
async fn who_never_stops_talking_is_cut_off_and_quoted() {
    let request = message(b'R', &[0, 0, 0, 3]);
    let continued = message(b'R', b"\0\0\0\x0br=x,s=c2FsdA==,i=4096");
    let too_many = "more than 500 messages";
    let too_large = format!("an answer of more than {ANSWER_LIMIT} bytes");
    let rows = |row: Vec<u8>| at_query(vec![Send(columns(&["tag", "record"])), Forever(row)]);
    for (script, words) in [
        (at_startup(vec![Forever(wordy(b'N'))]), too_many),
        (at_startup(vec![Send(message(b'R', &[0; 4])), Forever(message(b'S', b"a\0b\0"))]), too_many),
        (at_startup(vec![Send(message(b'R', &[0; 4])), Forever(message(b'K', &[0; 8]))]), too_many),
        (at_startup(vec![Forever(request)]), "more than 4 authentication requests"),
        (at_startup(vec![Send(sasl("SCRAM-SHA-256\0")), Read, Forever(continued)]), "invalid nonce"),
        (at_query(vec![Forever(wordy(b'N'))]), &too_large),
        (at_query(vec![Forever(message(b'S', b"a\0b\0"))]), &too_large),
        (at_query(vec![Forever(message(b'C', b"SELECT 1\0"))]), &too_large),
        (at_query(vec![Forever(wordy(b'E'))]), &too_large),
        (rows(row(&["session", &"x".repeat(1_000)])), &too_large),
        (rows(row(&["", ""])), &too_large),
        (rows(row(&[])), &too_large),
        (rows(row(&vec!["x"; 5_000])), &too_large),
    ] {
        let (cause, confidence, summary) = root(script).await;
        assert_eq!((cause.as_str(), confidence), ("unrecognised-failure", Confidence::Possible), "{summary}");
        assert!(summary.contains(words), "{words}: {summary}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_is_read_of_an_answer_than_may_be_held() {
    for endless in [wordy(b'N'), row(&["session", "x"]), row(&[])] {
        let (evidence, _) = told(vec![at_query(vec![Forever(endless)])], SslMode::Disable).await;
        let read = evidence.front.query.expect("admitted").received_bytes;
        let limit = u64::try_from(ANSWER_LIMIT).expect("small") + 512 * 1024;
        assert!(read <= limit, "{read} bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_announced_is_not_believed() {
    let gib = |tag: u8| [&[tag][..], &(1_u32 << 30).to_be_bytes()].concat();
    for script in [
        at_startup(vec![Send(message(b'R', &[0; 4])), Send(gib(b'S')), Forever(vec![b'x'])]),
        at_query(vec![Send(columns(&["tag", "record"])), Send(gib(b'D')), Forever(vec![b'x'])]),
        at_query(vec![Send(gib(b'E')), Never]),
    ] {
        let (cause, _, summary) = root(script).await;
        assert_eq!(cause, "unrecognised-failure");
        assert!(summary.contains("of 1073741824 bytes"), "{summary}");
    }
    // As the very first bytes it is no message that a Postgres begins with.
    let (cause, confidence, summary) = root(at_startup(vec![Send(gib(b'R')), Forever(vec![b'x'])])).await;
    assert_eq!((cause.as_str(), confidence), ("wrong-server", Confidence::Likely), "{summary}");
}

#[tokio::test(start_paused = true)]
async fn a_record_within_an_answer_is_bounded_as_well() {
    let wide = "(".to_owned() + &",".repeat(200_000);
    let tag = "a tag \u{1b}[2J".repeat(1_000);
    for (tag, record, words) in [
        ("session", wide.as_str(), "a session record is broken at byte 101"),
        (&tag, &wide, "a tag \u{fffd}[2J"),
        (&tag, &"(".repeat(200_000), "a tag \u{fffd}[2J"),
        (&tag, &"\"".repeat(199_999), "a tag \u{fffd}[2J"),
    ] {
        let answer = [columns(&["tag", "record"]), row(&[tag, record]), message(b'Z', b"I")];
        let (_, _, summary) = root(at_query(vec![Send(answer.concat()), Never])).await;
        assert!(summary.contains("an answer that cannot be read"), "{summary}");
        assert!(summary.contains(words) && !summary.contains('\u{1b}'), "{summary}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_drip_is_no_silence() {
    let dripping = |acts: Vec<Act>, text: Vec<u8>| [acts, vec![Drip(text)]].concat();
    let long = || "x".repeat(60_000);
    let admitted_slowly =
        [message(b'R', &[0; 4]), message(b'S', format!("a\0{}\0", long()).as_bytes())].concat();
    for (script, summary_has) in [
        (dripping(vec![Read], sasl(&long())), "does not get on with the login"),
        (dripping(vec![Read], admitted_slowly), "gets to the end of no answer"),
        (dripping(at_query(vec![]), columns(&["x"; 1_000])), "gets to the end of no answer"),
        (
            dripping(at_query(vec![]), said(b'N', "NOTICE", "00000", "x").repeat(1_000)),
            "gets to the end of no answer",
        ),
    ] {
        let (cause, confidence, summary) = root(script).await;
        assert_eq!((cause.as_str(), confidence), ("server-hung", Confidence::Possible), "{summary}");
        assert!(summary.contains(summary_has) && !summary.contains("silen"), "{summary}");
    }
    // A greeting in drips is a greeting, and an error in drips that error.
    let (cause, confidence, _) = root(vec![Drip(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), Never]).await;
    assert_eq!((cause.as_str(), confidence), ("wrong-server", Confidence::Certain));
    let (cause, _, _) =
        root(vec![Read, Drip(said(b'E', "FATAL", "57P03", "the database system is starting up"))]).await;
    assert_eq!(cause, "server-starting");
}

#[tokio::test]
async fn a_handshake_in_drips_ends_in_time() {
    // A ServerHello of a length that never comes to its end.
    let hello = [&[0x16, 3, 3, 0x3f, 0xff, 2, 0, 0x3f, 0xfb][..], &[3; 16_000]].concat();
    let (evidence, findings) =
        told(vec![vec![Read, Send(b"S".to_vec()), Read, Drip(hello)]], SslMode::Require).await;
    assert_eq!(evidence.front.tls.map(|tls| tls.outcome), Some(TlsOutcome::Silent));
    assert!(findings.iter().all(|f| f.confidence < Confidence::Certain), "{findings:?}");
}

#[tokio::test(start_paused = true)]
async fn who_answers_a_millisecond_before_each_deadline_is_alive() {
    let ms = Duration::from_millis(1);
    let refused =
        [said(b'E', "ERROR", "42501", "permission denied for function x"), message(b'Z', b"I")].concat();
    // The shares of walk/budget.rs: half for the way in, two fifths for the statement, a tenth (until 0.95) for `select 1`.
    let slow = [
        vec![Read, Pause(LIMIT / 2 - ms), Send(admitted())],
        vec![Read, Pause(LIMIT * 2 / 5 - ms), Send(refused)],
        vec![Read, Pause(LIMIT / 20), Send(one()), Read],
    ];
    let (evidence, findings) = told(vec![slow.concat()], SslMode::Disable).await;
    let outcome = evidence.front.query.expect("admitted").outcome;
    assert!(matches!(outcome, QueryOutcome::Alive(_)), "{outcome:?}");
    assert!(findings.iter().all(|f| f.severity < Severity::Critical), "{findings:?}");
    // Whoever uses up the time at one stage leaves none for the next, and nothing certain is made of that.
    for acts in [
        vec![Send(message(b'R', &[0, 0, 0, 3])), Read, Pause(ms * 2), Send(admitted())],
        vec![Send(sasl("SCRAM-SHA-256\0")), Read, Never],
        vec![Send(message(b'R', &[0; 4])), Pause(ms * 2), Send(message(b'Z', b"I"))],
    ] {
        let script = [vec![Read, Pause(LIMIT / 2 - ms)], acts].concat();
        let (cause, confidence, summary) = root(script).await;
        assert_eq!((cause.as_str(), confidence), ("server-hung", Confidence::Possible), "{summary}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_protocol_on_the_port_is_named() {
    let mysql = |length: u8| [&[length, 0, 0, 0, 10][..], b"5.5.5-10.11.6-MariaDB\0", &[1; 60]].concat();
    let http = || b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n".to_vec();
    for (script, name) in [
        (vec![Read, Send(http())], "an HTTP server"),
        (vec![Read, Send(http()), Forever(b"<p>".to_vec())], "an HTTP server"),
        (vec![Send(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), Read, Never], "an SSH server"),
        (vec![Send(b"220 mail.example ESMTP Postfix\r\n".to_vec()), Read, Never], "an SMTP or FTP server"),
        (
            vec![Send(b"220-FTP\r\n220 ready\r\n".to_vec()), Forever(b"220 ".to_vec())],
            "an SMTP or FTP server",
        ),
        (vec![Read, Send(b"-ERR unknown command\r\n".to_vec()), Never], "a Redis server"),
        (vec![Read, Send(b"-DENIED Redis is running in protected mode\r\n".to_vec())], "a Redis server"),
        (vec![Send(mysql(b'J')), Read, Never], "a MySQL server"),
        (vec![Send(mysql(b'R')), Read, Never], "a MySQL server"),
        (vec![Send(mysql(b'E')), Read, Never], "a MySQL server"),
        (vec![Send(mysql(b'N')), Read, Never], "a MySQL server"),
        (vec![Send(mysql(b'S')), Read, Never], "a MySQL server"),
    ] {
        for mode in [SslMode::Disable, SslMode::Prefer, SslMode::Require] {
            let (evidence, findings) = told(vec![script.clone()], mode).await;
            let first = evidence.front.proxy.expect("connected").first;
            assert!(
                matches!(&first, FirstBytes::Foreign(text) if text.starts_with(name)),
                "{name}: {first:?}"
            );
            let found: Vec<_> = findings.iter().map(|f| (f.cause.as_str(), f.confidence)).collect();
            assert_eq!(found, [("wrong-server", Confidence::Certain)], "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_protocol_2_is_quoted_to_its_end_or_as_far_as_it_is_read() {
    let fork = b"Ecould not fork new process for connection: Cannot allocate memory\n\0";
    let (cause, ..) = root(at_startup(vec![Send(fork.to_vec()), Never])).await;
    assert_eq!(cause, "fork-failed");
    for endless in ["x", "no end and no NUL ", "\n"] {
        let script =
            at_startup(vec![Send(b"Eunsupported frontend protocol ".to_vec()), Forever(endless.into())]);
        let (cause, confidence, summary) = root(script).await;
        assert_eq!((cause.as_str(), confidence), ("unrecognised-failure", Confidence::Possible));
        assert!(summary.contains("unsupported frontend protocol"), "{summary}");
    }
    let (cause, _, summary) =
        root(at_startup(vec![Drip([&b"EFATAL: "[..], &[b'z'; 50_000]].concat())])).await;
    assert_eq!(cause, "unrecognised-failure");
    assert!(summary.contains("FATAL: zzz"), "{summary}");
}

#[tokio::test(start_paused = true)]
async fn scram_of_many_rounds_is_not_begun() {
    for count in [100_001, 4_294_967_295, u64::MAX] {
        let begun = std::time::Instant::now();
        let script = at_startup(vec![Send(sasl("SCRAM-SHA-256\0")), Read, Iterations(count), Never]);
        let (_, confidence, summary) = root(script).await;
        assert_eq!(confidence, Confidence::Possible);
        assert!(summary.contains(&format!("not spoken here: SCRAM of {count} iterations")), "{summary}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?} of computing", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_mechanisms_without_end_is_read_in_part() {
    let script = at_startup(vec![
        Send(sasl(&"GS2-KRB5-PLUS-AND-MORE-\u{1b}-AND-MORE-STILL-THAN-ONE-READS\0".repeat(1_000))),
        Never,
    ]);
    let (evidence, findings) = told(vec![script], SslMode::Disable).await;
    let startup = evidence.front.startup.expect("reached");
    let Some(AuthMethod::Unsupported(method)) = startup.auth else { panic!("{:?}", startup.auth) };
    assert!(method.len() < 1_000 && !method.contains('\u{1b}'), "{method}");
    assert!(matches!(startup.outcome, StartupOutcome::Unsupported(_)));
    assert!(findings.iter().all(|f| f.confidence < Confidence::Certain), "{findings:?}");
}

#[tokio::test(start_paused = true)]
async fn an_error_with_thousands_of_fields_is_that_error() {
    let known = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0";
    let body = [&b"Zwhat is this\0".repeat(3_000)[..], known, &b"Zand this\0".repeat(1_000), b"\0"].concat();
    let (cause, ..) = root(at_startup(vec![Send(message(b'E', &body)), Never])).await;
    assert_eq!(cause, "server-starting");
}

/// What a server that is alive and tells nothing of itself comes to.
async fn alive(scripts: Vec<Vec<Act>>) -> String {
    let (evidence, findings) = told(scripts, SslMode::Disable).await;
    assert_eq!(findings, [], "the server does what its clients want");
    let page = report(&evidence, findings);
    assert_eq!(page.status, Status::Ok);
    let QueryOutcome::Alive(why) = evidence.front.query.expect("admitted").outcome else {
        panic!("it lives")
    };
    assert!(page.unseen.contains(&format!("the server's own account: {why}")), "{:?}", page.unseen);
    why
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_no_postgres_is_alive_and_not_read() {
    let unknown = |code: &str, text: &str| [said(b'E', "ERROR", code, text), message(b'Z', b"I")].concat();
    let cockroach =
        admitted_by(&[("server_version", "13.0.0"), ("crdb_version", "CockroachDB CCL v23.1.11")]);
    let peer = Peer::new(vec![vec![Read, Send(cockroach), Read, Send(one()), Read]]).await;
    let evidence = walk(&peer.service(), LIMIT, &|_| {}).await;
    let QueryOutcome::Alive(why) = evidence.front.query.expect("admitted").outcome else {
        panic!("it lives")
    };
    assert!(why.contains("CockroachDB (crdb_version CockroachDB CCL v23.1.11), no Postgres"), "{why}");
    assert!(
        !String::from_utf8_lossy(&peer.heard().concat()).contains("pg_stat_get_activity"),
        "it is not asked"
    );

    // A fork that does not say so is known by what it does not know.
    for (code, text) in [
        ("42883", "unknown function: pg_catalog.pg_stat_get_activity()"),
        ("0A000", "unimplemented: this syntax"),
    ] {
        let script = vec![
            Read,
            Send(admitted_by(&[("server_version", "13.0.0")])),
            Read,
            Send(unknown(code, text)),
            Read,
            Send(one()),
            Read,
        ];
        let why = alive(vec![script]).await;
        assert!(why.contains(code) && why.contains(text), "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn redshift_and_older_servers_are_alive_and_not_read() {
    let refusal = said(b'E', "ERROR", "42704", "unrecognized configuration parameter \"lock_timeout\"");
    let life = |settings: &[(&str, &str)]| vec![Read, Send(admitted_by(settings)), Read, Send(one()), Read];
    let redshift = life(&[("server_version", "8.0.2"), ("padb_version", "1.0.61395")]);
    let why = alive(vec![vec![Read, Send(refusal)], redshift]).await;
    assert!(why.contains("Amazon Redshift (padb_version 1.0.61395), no Postgres"), "{why}");
    for version in ["8.0.2", "9.6.24", "11.22 (Debian 11.22-1)"] {
        let why = alive(vec![life(&[("server_version", version)])]).await;
        assert_eq!(why, format!("the server says version {version}, and pgmedic reads 12 and later"));
    }
}
