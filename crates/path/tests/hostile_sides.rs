//! Hostile and odd peers beside the way in: the API's endpoints, PgBouncer's console, nameservers. Each look ends in its time,
//! keeps little, and says what it could not see. Not in here: the way in itself (hostile_peers.rs).

#[expect(dead_code, reason = "the other suites of scripted peers use the rest")]
mod scripted;

use pgmedic_path::rooms::app::evidence::{HttpOutcome, PoolMetrics};
use pgmedic_path::rooms::app::probe;
use pgmedic_path::rooms::dns::evidence::{AnswerOutcome, NameserverEvidence};
use pgmedic_path::rooms::dns::nameserver::{self, MAX_ADDRESSES, Nameserver};
use pgmedic_path::rooms::dns::probe::Resolver;
use pgmedic_path::rooms::proxy::console;
use pgmedic_path::rooms::proxy::evidence::PoolerEvidence;
use pgmedic_path::route::Deadlines;
use pgmedic_path::{Seen, diagnose, walk};
use scripted::Act::{Drip, Forever, Never, Read, Send};
use scripted::{Act, Peer, admitted, message};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_millis(5);

/// An answer of HTTP in pieces.
fn http(head: &str, then: Act) -> Vec<Act> {
    vec![Read, Send(format!("HTTP/1.1 200 OK\r\n{head}").into_bytes()), then]
}

async fn ready(script: Vec<Act>) -> HttpOutcome {
    ready_within(SLACK, script).await
}

async fn ready_within(slack: Duration, script: Vec<Act>) -> HttpOutcome {
    let peer = Peer::new(vec![script]).await;
    let begun = Instant::now();
    let url = format!("http://{}/ready", peer.address);
    let Seen::Seen(ready) = probe::ready(&url, &Resolver::default(), begun + LIMIT).await else {
        panic!("the URL is one");
    };
    assert!(begun.elapsed() <= LIMIT + slack, "{:?}", begun.elapsed());
    ready.outcome
}

async fn metrics(script: Vec<Act>) -> PoolMetrics {
    let peer = Peer::new(vec![script]).await;
    let begun = Instant::now();
    let url = format!("http://{}/metrics", peer.address);
    let Seen::Seen(metrics) = probe::metrics(&url, &Resolver::default(), begun + LIMIT).await else {
        panic!("the URL is one");
    };
    assert!(begun.elapsed() <= LIMIT + SLACK, "{:?}", begun.elapsed());
    metrics
}

#[tokio::test(start_paused = true)]
async fn headers_without_end_are_no_answer() {
    for endless in ["x: y\r\n", "x: and no end of the line ", "a"] {
        let outcome = ready(http("", Forever(endless.into()))).await;
        assert!(matches!(outcome, HttpOutcome::NotHttp(_)), "{endless:?}: {outcome:?}");
    }
    let outcome = ready(vec![Read, Forever(b"x".to_vec())]).await;
    assert!(matches!(outcome, HttpOutcome::NotHttp(_)), "{outcome:?}");
}

/// Here time is the machine's: what is always ready to be read leaves a paused clock no moment to go on.
#[tokio::test]
async fn interim_answers_without_end_end_at_the_deadline() {
    let slack = Duration::from_secs(1);
    let outcome = ready_within(slack, vec![Read, Forever(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec())]).await;
    assert!(matches!(outcome, HttpOutcome::Silent | HttpOutcome::NotHttp(_)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_read_as_far_as_is_wanted_whatever_its_head_says() {
    let kib = || Forever(vec![b'x'; 1024]);
    for head in [
        "\r\n",
        "Content-Length: 1000000000000\r\n\r\n",
        "Content-Encoding: gzip\r\nContent-Length: 1000000000000\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n7fffffff\r\n",
        "Content-Length: 10\r\n\r\n",
    ] {
        let HttpOutcome::Answered { status: 200, db: None, body, .. } = ready(http(head, kib())).await else {
            panic!("{head:?} is an answer");
        };
        assert!(body.chars().count() <= 250, "{} characters", body.len());
    }
    for head in [
        "Content-Length: 99999999999999999999999999\r\n\r\n",
        "Content-Length: -1\r\n\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ] {
        let outcome = ready(http(head, kib())).await;
        assert!(matches!(outcome, HttpOutcome::NotHttp(_)), "{head:?}: {outcome:?}");
    }
    // JSON that is as large and as deep as it may come.
    for json in [
        "[".repeat(70_000),
        format!("[1{}]", ",1".repeat(30_000)),
        format!("{{\"db\":\"{}\"}}", "x".repeat(60_000)),
    ] {
        let outcome = ready(http(&format!("Content-Length: {}\r\n\r\n{json}", json.len()), Never)).await;
        let HttpOutcome::Answered { db, .. } = outcome else { panic!("{outcome:?}") };
        assert!(db.is_none_or(|db| db.chars().count() <= 250));
    }
}

#[tokio::test(start_paused = true)]
async fn a_drip_of_http_is_no_answer_in_time() {
    for slow in [
        vec![Read, Drip(b"HTTP/1.1 200 OK\r\nServer: slow".repeat(100))],
        http("Content-Length: 100000\r\n\r\n", Drip(vec![b'x'; 100_000])),
        http("Transfer-Encoding: chunked\r\n\r\n1;", Drip(vec![b'x'; 10_000])),
    ] {
        assert_eq!(ready(slow.clone()).await, HttpOutcome::Silent);
        assert_eq!(metrics(slow).await.failure.as_deref(), Some("connected, and no whole answer in time"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_metrics_page_is_not_summed_up() {
    for (head, then) in [
        ("\r\n", Forever(b"pg_pool_max{pool=\"a\"} 1\n".to_vec())),
        ("\r\n", Forever(vec![0xff; 1024])),
        ("Content-Length: 1000\r\n\r\n", Send(b"pg_pool_max 1\npg_pool_in_use 1".to_vec())),
    ] {
        let read = metrics(http(head, then)).await;
        assert_eq!((read.max, read.in_use), (None, None));
        assert!(
            read.failure.as_ref().is_some_and(|why| why.contains("and not its end")),
            "{:?}",
            read.failure
        );
    }
    let binary = metrics(http("\r\n", Send(b"\xff\xfe 1\npg_pool_max 7\n".to_vec()))).await;
    assert_eq!((binary.failure, binary.max), (None, Some(7.0)), "a line that is no text is passed over");
}

async fn console_of(answers: Vec<Act>) -> PoolerEvidence {
    let peer = Peer::new(vec![[vec![Read, Send(admitted()), Read], answers].concat()]).await;
    let end = Instant::now() + LIMIT;
    let read = console::read(&peer.target(), &Resolver::default(), Deadlines::until(end, end), None).await;
    assert!(Instant::now() <= end + SLACK);
    read
}

/// An answer of one column and so many rows.
fn rows(column: &str, values: &[&str]) -> Vec<u8> {
    let field = [&[0, 1][..], column.as_bytes(), &[0; 7], &[0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0]]
        .concat();
    let row = |value: &&str| {
        let length = u32::try_from(value.len()).expect("short").to_be_bytes();
        message(b'D', &[&[0, 1][..], &length, value.as_bytes()].concat())
    };
    let end = [message(b'C', b"SHOW\0"), message(b'Z', b"I")].concat();
    [message(b'T', &field), values.iter().map(row).collect::<Vec<_>>().concat(), end].concat()
}

#[tokio::test(start_paused = true)]
async fn a_console_that_never_ends_is_given_up_and_a_large_one_kept_in_part() {
    let version = || Send(rows("version", &["PgBouncer 1.18.0"]));
    let endless = Forever(rows("database", &["app"])[..40].to_vec());
    let row = message(b'D', &[0, 1, 0, 0, 0, 3, b'a', b'p', b'p']);
    for script in [
        vec![version(), Read, Send(rows("database", &[])[..40].to_vec()), Forever(row)],
        vec![version(), Read, endless],
        vec![version(), Read, Forever(message(b'N', b"SNOTICE\0Mx\0\0"))],
    ] {
        let read = console_of(script).await;
        assert_eq!((read.pools.len(), read.silent), (0, false));
        assert!(
            read.failure.as_ref().is_some_and(|why| why.starts_with("SHOW POOLS: ")),
            "{:?}",
            read.failure
        );
    }
    let many = vec!["app"; 20_000];
    let answers =
        ["database", "name", "key", "list"].map(|column| vec![Read, Send(rows(column, &many))]).concat();
    let read = console_of([vec![version()], answers].concat()).await;
    assert_eq!((read.failure.as_deref(), read.pools.len(), read.databases.len()), (None, 500, 500));
}

/// A nameserver that cuts every answer over UDP, and over TCP does what is told with the question.
async fn cutting(
    over_tcp: impl Fn(&[u8]) -> Vec<u8> + std::marker::Send + 'static,
    drips: bool,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.8:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let udp = UdpSocket::bind(address).await.expect("the same port is free");
    tokio::spawn(async move {
        let mut query = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut query).await {
            let cut = [&query[..2], b"\x83\x80\0\x01\0\0\0\0\0\0", &query[12..length]].concat();
            let _ = udp.send_to(&cut, from).await;
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let length = stream.read_u16().await.expect("a length");
            let mut query = vec![0; length.into()];
            stream.read_exact(&mut query).await.expect("a question");
            let answer = over_tcp(&query);
            tokio::spawn(async move {
                for piece in answer.chunks(if drips { 1 } else { answer.len() }) {
                    let _ = stream.write_all(piece).await;
                    if drips {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                while stream.write_all(&[b'x'; 1024]).await.is_ok() {}
            });
        }
    });
    address
}

async fn ask(server: SocketAddr, within: Duration) -> NameserverEvidence {
    let (_keep, limit) = watch::channel(Instant::now() + within);
    let server = Nameserver { address: server, configured_in: "the test".into() };
    let begun = Instant::now();
    let told = nameserver::ask(server, "db", &["db".to_owned()], limit).await;
    assert!(begun.elapsed() < within + Duration::from_secs(1), "{:?}", begun.elapsed());
    told
}

/// A message over TCP: its length, the question's id, these flags and counts, its question, and records.
fn over_tcp(query: &[u8], counts: [u16; 4], records: &[u8]) -> Vec<u8> {
    let counts = counts.map(u16::to_be_bytes).concat();
    let message = [&query[..2], b"\x81\x80", &counts, &query[12..], records].concat();
    [&u16::try_from(message.len()).expect("it fits").to_be_bytes()[..], &message].concat()
}

#[tokio::test]
async fn a_nameserver_that_talks_on_over_tcp_is_read_to_the_end_of_its_message() {
    let address = b"\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\x0a\0\0\x09";
    for (count, kept) in [(1_u16, 1), (300, MAX_ADDRESSES)] {
        let server =
            cutting(move |q| over_tcp(q, [1, count, 0, 0], &address.repeat(count.into())), false).await;
        let told = ask(server, LIMIT).await;
        let AnswerOutcome::Addresses { addresses, .. } = told.a.outcome else { panic!("{told:?}") };
        assert_eq!(addresses.len(), kept);
    }
    // Records whose every name points to one of 120 labels: parsed whole, they would be five hundred times their size. No
    // more of them are read than could matter, which the garbage behind them shows.
    let server = cutting(
        |q| {
            let name = [b"\x01x".repeat(120), vec![0]].concat();
            let at = u16::try_from(q.len()).expect("short") | 0xc000;
            let first = [&name[..], b"\0\x10\0\x01\0\0\0\x1e\0\x01\0"].concat();
            let pointed =
                [&at.to_be_bytes()[..], b"\0\x05\0\x01\0\0\0\x1e\0\x02", &at.to_be_bytes()].concat();
            over_tcp(q, [1, 4_001, 0, 0], &[first, pointed.repeat(200), vec![0xff; 48_000]].concat())
        },
        false,
    )
    .await;
    assert_eq!(ask(server, LIMIT).await.a.outcome, AnswerOutcome::NoData);
    let server =
        cutting(|q| over_tcp(q, [9_000, 0, 0, 0], &b"\xc0\x0c\0\x01\0\x01".repeat(9_000)), false).await;
    let told = ask(server, LIMIT).await.a.outcome;
    assert_eq!(told, AnswerOutcome::Malformed("it repeats 9000 questions, of which one was asked".into()));
    let server = cutting(|_| b"\xff\xffgarbage".to_vec(), false).await;
    assert!(matches!(ask(server, LIMIT).await.a.outcome, AnswerOutcome::Malformed(_)));
}

#[tokio::test]
async fn a_nameserver_that_drips_over_tcp_is_not_called_silent() {
    let server = cutting(|_| vec![0xff; 10_000], true).await;
    let AnswerOutcome::Malformed(why) = ask(server, Duration::from_millis(200)).await.a.outcome else {
        panic!("it has answered over UDP");
    };
    assert!(why.contains("cut over UDP"), "{why}");
}

#[tokio::test]
async fn a_flood_of_garbage_over_udp_ends_at_the_limit() {
    let udp = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback"));
    let server = udp.local_addr().expect("bound");
    tokio::spawn(async move {
        let mut query = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut query).await {
            let (udp, stray) = (Arc::clone(&udp), [&[!query[0], query[1]], &query[2..length]].concat());
            // As fast as they are taken; it ends with the test.
            tokio::spawn(async move {
                loop {
                    let _ = udp.send_to(&stray, from).await;
                    tokio::task::yield_now().await;
                }
            });
        }
    });
    let told = ask(server, Duration::from_millis(300)).await;
    assert_eq!(told.a.outcome, AnswerOutcome::Malformed("an answer with another id".into()));
}

#[tokio::test(start_paused = true)]
async fn everything_hostile_at_once_is_said_piece_by_piece() {
    let talker = |acts: Vec<Act>| async move { Peer::new(vec![acts]).await };
    let flood = || vec![Read, Send(admitted()), Read, Forever(message(b'D', &[0, 0]))];
    let (front, direct, pooler) = (talker(flood()).await, talker(flood()).await, talker(flood()).await);
    let api = talker(http("\r\n", Forever(b"pg_pool_max 1\n".to_vec()))).await;
    let mut service = front.service();
    (service.direct, service.pooler) = (Some(direct.target()), Some(pooler.target()));
    service.ready = Some(format!("http://{}/", api.address));
    service.metrics = Some(format!("http://{}/", api.address));
    let begun = Instant::now();
    let evidence = walk(&service, LIMIT, &|_| {}).await;
    assert!(begun.elapsed() <= LIMIT, "{:?}", begun.elapsed());
    let found = diagnose(&evidence);
    let roots: Vec<_> = found.iter().map(|f| f.cause.as_str()).collect();
    assert_eq!(roots, ["unrecognised-failure"], "{found:?}");
    assert!(evidence.pooler.get().is_some_and(|p| p.failure.is_some()));
    assert!(evidence.app.metrics.get().is_some_and(|m| m.failure.is_some() && m.max.is_none()));
}
