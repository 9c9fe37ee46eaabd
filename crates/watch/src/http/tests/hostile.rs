//! Peers that mean harm: slow, long, many, broken. And the end: requests in hand are answered.

use super::super::seats::SEATS;
use super::super::serve::{HEAD, HEAD_WITHIN};
use super::*;
use std::time::Instant;

#[tokio::test]
async fn broken_requests_are_answered_with_400_or_cut_off_and_others_go_on() {
    let server = serve(true).await;
    let bad: [&[u8]; 9] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: local\xffhost\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"POST /api/v1/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
        b"POST /api/v1/pause HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA\0B: c\r\n\r\n",
    ];
    for bytes in bad {
        let answer = server.raw(bytes).await;
        let status = Answered::read(&answer).status;
        assert!(answer.is_empty() || (400..500).contains(&status), "{bytes:?}: {answer}");
    }
    assert_eq!(server.get("/api/v1/services").await.status, 200);
    assert_eq!(server.orders(), Vec::<String>::new());
}

#[tokio::test]
async fn headers_that_are_too_long_or_too_many_are_refused() {
    let server = serve(false).await;
    let long = format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(HEAD));
    assert_eq!(Answered::read(&server.raw(long.as_bytes()).await).status, 431);
    let many = format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(100));
    assert_eq!(Answered::read(&server.raw(many.as_bytes()).await).status, 431);
    let path = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(70_000));
    let status = Answered::read(&server.raw(path.as_bytes()).await).status;
    assert!(status == 414 || status == 431, "{status}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_each_in_its_turn() {
    let server = serve(true).await;
    let one = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let last = "GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = server.raw(format!("{}{last}", one.repeat(50)).as_bytes()).await;
    assert_eq!(answer.matches("pgmedic.health/1").count(), 50);
    assert!(answer.contains("HTTP/1.1 404"));
    // A body that its request had no right to send is not read as a request.
    let smuggled = "POST /api/v1/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 48\r\n\r\nGET /health HTTP/1.1\r\nHost: localhost\r\n\r\nxxxxxxxx";
    let close = "GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = server.raw(format!("{smuggled}{close}").as_bytes()).await;
    assert!(!answer.contains("pgmedic.health/1"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn who_sends_its_head_or_its_body_drop_by_drop_is_cut_off() {
    let server = serve(true).await;
    let from = tokio::time::Instant::now();
    assert_eq!(server.raw(b"GET /health HTTP/1.1\r\nHost: localh").await, "");
    assert!(from.elapsed() <= HEAD_WITHIN + Duration::from_secs(1), "{:?}", from.elapsed());
    let slow = format!(
        "POST /api/v1/pause HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{{"
    );
    let from = tokio::time::Instant::now();
    assert_eq!(Answered::read(&server.raw(slow.as_bytes()).await).status, 408);
    assert!(from.elapsed() <= request::BODY_WITHIN + Duration::from_secs(1), "{:?}", from.elapsed());
}

#[tokio::test]
async fn connections_that_say_nothing_keep_nobody_out() {
    let server = serve(false).await;
    let mut silent = Vec::new();
    for _ in 0..SEATS + 50 {
        let mut stream = TcpStream::connect(server.at).await.unwrap();
        stream.write_all(b"GET /health HT").await.unwrap();
        silent.push(stream);
    }
    let from = Instant::now();
    assert_eq!(server.get("/ready").await.status, 200);
    assert!(from.elapsed() < HEAD_WITHIN / 2, "not only when they had timed out");
    let mut byte = [0];
    assert_eq!(silent[0].read(&mut byte).await.unwrap_or(0), 0, "the oldest left");
}

/// Connections that ask for the metrics and take no more than the start of each page, until no page is to be had.
async fn lazy(server: &Running) -> Vec<TcpStream> {
    let mut lazy = Vec::new();
    let mut refused = 0;
    for _ in 0..PAGES + 4 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(server.at).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        refused += usize::from(&start == b"HTTP/1.1 503");
        lazy.push(stream);
    }
    assert_eq!(refused, 4, "each page is held until it has been taken");
    lazy
}

async fn until_there_is_a_page(server: &Running) {
    let until = Instant::now() + Duration::from_secs(10);
    while server.get("/metrics").await.status != 200 {
        assert!(Instant::now() < until, "the pages are given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn pages_that_nobody_takes_are_bounded_and_given_back_when_their_connections_end() {
    let server = serve_with(Config::default(), fixture::board(1000), Fake::default(), "127.0.0.1:0").await;
    drop(lazy(&server).await);
    until_there_is_a_page(&server).await;
}

#[tokio::test]
async fn who_does_not_take_its_page_in_time_is_cut_off() {
    let server = serve_with(Config::default(), fixture::board(1000), Fake::default(), "127.0.0.1:0").await;
    let mut lazy = lazy(&server).await;
    assert_eq!(server.get("/metrics").await.status, 503, "not before");
    tokio::time::pause();
    tokio::time::advance(super::super::stall::TAKEN_WITHIN + Duration::from_secs(1)).await;
    tokio::time::resume();
    until_there_is_a_page(&server).await;
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), lazy[0].read_to_end(&mut rest)).await;
    assert!(read.is_ok() && rest.len() < 4_800_000, "{} bytes of it came", rest.len());
}

#[tokio::test]
async fn the_end_closes_idle_connections_at_once_and_hung_requests_within_a_second() {
    let fake = Fake { hangs: true, ..Fake::default() };
    let mut server = serve_with(Config::default(), fixture::board(1), fake, "127.0.0.1:0").await;
    let mut idle = TcpStream::connect(server.at).await.unwrap();
    idle.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut start = [0; 12];
    idle.read_exact(&mut start).await.unwrap();
    let mut hung = TcpStream::connect(server.at).await.unwrap();
    hung.write_all(b"GET /api/v1/services/service-0000/looks HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut slow = TcpStream::connect(server.at).await.unwrap();
    slow.write_all(b"GET /rea").await.unwrap();
    assert_eq!(server.get("/ready").await.status, 200);
    let took = server.end().await;
    assert!(took < Duration::from_millis(1900), "{took:?}");
    assert!(TcpStream::connect(server.at).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_thousand_services_are_told_and_nothing_that_is_secret() {
    let config = Config {
        token: Some(Secret::new(TOKEN)),
        read_token: Some(Secret::new(READ_TOKEN)),
        external_url: Some("https://ann:hunter2-s3cret@pgmedic.example.com/".to_owned()),
        ..Config::default()
    };
    let server = serve_with(config, fixture::board(1000), Fake::default(), "127.0.0.1:0").await;
    let services = server.get("/api/v1/services").await;
    assert_eq!(services.json()["services"].as_array().map(Vec::len), Some(1000));
    let metrics = server.get("/metrics").await;
    assert_eq!(metrics.body.lines().filter(|l| l.starts_with("pgmedic_service_up{")).count(), 1000);
    for route in ROUTES.iter().filter(|r| r.takes.is_none()) {
        let target =
            route.path.replace("{name}", "service-0990").replace("{id}", "20261123T031209-service-0990");
        let answer = server.get(&target).await;
        assert!(answer.status == 200 || target == "/health", "{answer:?}");
        let rebound = server.ask("GET", &target, "Host: evil.example\r\n", "").await;
        for text in [answer.body, rebound.body] {
            // The tokens are looked for in every answer of every test.
            assert!(!text.contains("hunter2"), "{target}: {text}");
        }
    }
}
