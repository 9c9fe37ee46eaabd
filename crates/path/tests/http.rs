//! The API's readiness and metrics, against peers that answer, stall, hang up, drip and lie.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pgmedic_path::Seen;
use pgmedic_path::rooms::app::evidence::{HttpOutcome, PoolMetrics, ReadyEvidence};
use pgmedic_path::rooms::app::probe;
use pgmedic_path::rooms::dns::probe::Resolver;
use pgmedic_path::rooms::network::evidence::ConnectOutcome;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// A peer that reads a request's head and then does as `script` says.
async fn peer<F>(script: impl Fn(TcpStream, String) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            tokio::spawn(script(stream, String::from_utf8(head).unwrap()));
        }
    });
    address
}

/// A peer that says `words` and closes.
async fn says(words: &str) -> SocketAddr {
    let words = words.to_owned();
    peer(move |mut stream, _| {
        let words = words.clone();
        async move {
            let _ = stream.write_all(words.as_bytes()).await;
        }
    })
    .await
}

async fn ready_at(url: &str, within: Duration) -> ReadyEvidence {
    match probe::ready(url, &Resolver::default(), Instant::now() + within).await {
        Seen::Seen(ready) => ready,
        Seen::NotSeen(why) => panic!("{why}"),
    }
}

async fn ready(address: SocketAddr) -> HttpOutcome {
    ready_at(&format!("http://{address}/api/v1/ready"), Duration::from_secs(5)).await.outcome
}

fn answered(outcome: HttpOutcome) -> (u16, Option<String>, String) {
    match outcome {
        HttpOutcome::Answered { status, db, body, .. } => (status, db, body),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_503_says_what_is_wrong_with_the_database() {
    let body =
        r#"{"status":"unavailable","db":"disconnected","reason":"connect postgres://app:hunter2@db/app"}"#;
    let words = format!("HTTP/1.1 503 Service Unavailable\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    match ready(says(&words).await).await {
        HttpOutcome::Answered { status, db, state, reason, body } => {
            assert_eq!((status, db.as_deref()), (503, Some("disconnected")));
            assert_eq!(state.as_deref(), Some("unavailable"));
            assert_eq!(reason.as_deref(), Some("connect postgres://app:***@db/app"));
            assert!(!body.contains("hunter2"), "{body}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_request_is_plain_and_carries_the_credentials_of_the_url() {
    let address = peer(|mut stream, head| async move {
        let body = head.replace("\r\n", "|");
        let words = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let _ = stream.write_all(words.as_bytes()).await;
    })
    .await;
    let evidence = ready_at(&format!("http://u:p@{address}/ready?x=1"), Duration::from_secs(5)).await;
    assert_eq!(evidence.url, format!("http://{address}/ready"));
    let (status, _, head) = answered(evidence.outcome);
    assert_eq!(status, 200);
    assert!(head.starts_with("GET /ready?x=1 HTTP/1.1|"), "{head}");
    for header in [&*format!("host: {address}|"), "user-agent: pgmedic|", "connection: close|"] {
        assert!(head.contains(header), "{head}");
    }
    assert!(head.contains("authorization: ***"), "{head}");
}

#[tokio::test]
async fn chunks_are_put_together_and_redirects_are_not_followed() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"db\":\"co\r\n9\r\nnnected\"}\r\n0\r\n\r\n";
    assert_eq!(answered(ready(says(chunked).await).await).1.as_deref(), Some("connected"));
    let moved = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(answered(ready(says(moved).await).await), (302, None, String::new()));
}

#[tokio::test]
async fn a_body_without_end_is_cut() {
    let address = peer(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
    })
    .await;
    let (status, _, body) = answered(ready(address).await);
    assert_eq!((status, body.len()), (200, 200));
}

#[tokio::test]
async fn a_head_without_end_is_not_http() {
    let address = peer(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(b"X-Filler: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n").await.is_ok() {}
    })
    .await;
    assert!(matches!(ready(address).await, HttpOutcome::NotHttp(_)));
}

#[tokio::test]
async fn silence_and_a_drip_end_with_the_deadline() {
    let silent = peer(|stream, _| async move {
        let _keep = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let drip = peer(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    for address in [silent, drip] {
        let started = Instant::now();
        let evidence = ready_at(&format!("http://{address}/"), Duration::from_millis(200)).await;
        assert_eq!(evidence.outcome, HttpOutcome::Silent);
        assert!(started.elapsed() < Duration::from_secs(3));
    }
}

#[tokio::test]
async fn a_peer_that_hangs_up_has_not_answered() {
    let finished = peer(|stream, _| async move { drop(stream) }).await;
    assert_eq!(ready(finished).await, HttpOutcome::Closed);
    let reset = peer(|stream, _| async move {
        let stream = stream.into_std().unwrap();
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    })
    .await;
    assert_eq!(ready(reset).await, HttpOutcome::Closed);
    let half = says("HTTP/1.1 503 Service Una").await;
    assert_eq!(ready(half).await, HttpOutcome::Closed);
    let cut = says("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 1000\r\n\r\n{\"db\"").await;
    assert_eq!(answered(ready(cut).await), (503, None, "{\"db\"".to_owned()));
}

#[tokio::test]
async fn another_protocol_is_not_http() {
    for words in [
        "SSH-2.0-OpenSSH_9.2p1\r\n",
        "E\0\0\0\x08FATAL\r\n\r\n",
        "\u{1b}[31m\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
    ] {
        let outcome = ready(says(words).await).await;
        assert!(matches!(outcome, HttpOutcome::NotHttp(_)), "{words:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_name_and_a_connection_that_do_not_come_about_are_told_apart() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(ready(closed).await, HttpOutcome::NotConnected(ConnectOutcome::Refused));
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    let tls = ready_at(&format!("https://{address}/"), Duration::from_secs(5)).await;
    assert!(matches!(tls.outcome, HttpOutcome::TlsFailed(_)), "{:?}", tls.outcome);
    let nowhere = Resolver { nameservers: vec![closed], here: true };
    let soon = Instant::now() + Duration::from_secs(5);
    match probe::ready("http://api.internal/ready", &nowhere, soon).await {
        Seen::Seen(ready) => assert_eq!(ready.outcome, HttpOutcome::NotResolved),
        Seen::NotSeen(why) => panic!("{why}"),
    }
    assert!(matches!(probe::ready("ready", &nowhere, soon).await, Seen::NotSeen(_)));
}

async fn metrics(address: SocketAddr) -> PoolMetrics {
    let soon = Instant::now() + Duration::from_secs(5);
    match probe::metrics(&format!("http://{address}/metrics"), &Resolver::default(), soon).await {
        Seen::Seen(metrics) => metrics,
        Seen::NotSeen(why) => panic!("{why}"),
    }
}

#[tokio::test]
async fn the_pools_figures_are_read_or_it_is_said_why_not() {
    let page =
        "pg_pool_max 10\npg_pool_in_use{pool=\"a\"} 4\npg_pool_in_use{pool=\"b\"} 6\npg_pool_waiting 3\n";
    let read = metrics(says(&format!("HTTP/1.1 200 OK\r\n\r\n{page}")).await).await;
    assert_eq!(
        (read.failure, read.max, read.in_use, read.waiting),
        (None, Some(10.0), Some(10.0), Some(3.0))
    );
    let other = metrics(says("HTTP/1.1 200 OK\r\n\r\nup 1\n").await).await;
    assert_eq!(other.failure.as_deref(), Some("the page has no pg_pool_* metric"));
    let missing = metrics(says("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await).await;
    assert_eq!((missing.failure.as_deref(), missing.max), (Some("status 404"), None));
}
