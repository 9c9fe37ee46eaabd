//! Each kind of receiver as a server on loopback that answers as it pleases: what comes of it, and that no URL and no key is
//! seen anywhere but where it is sent to. Retries over days, and restarts, are under paused time in `src/alerts/tests`.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use pgmedic_model::{Confidence, Fact, Room, Secret, Severity, Source, Timestamp};
use pgmedic_watch::alerts::{Alerts, Happened, InMemory, Outbox, Plan, Told, Tuning};
use pgmedic_watch::board::Board;
use pgmedic_watch::clock::Clock;
use pgmedic_watch::incident::{Affected, Change, Incident, Named};
use pgmedic_watch::settings::{AlertKind, AlertTo};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

const KINDS: [AlertKind; 4] =
    [AlertKind::Alertmanager, AlertKind::Webhook, AlertKind::Slack, AlertKind::PagerDuty];
/// What must not be seen.
const PATH: &str = "T0SECRET99/B0SECRET99/xyzSECRET99";
const KEY: &str = "keySECRET99keySECRET99";
const PASSWORD: &str = "pwSECRET99";

/// What a receiver does with a request.
#[derive(Clone, Copy, Debug)]
enum Does {
    Says(&'static str),
    /// A status, with all that was asked in the body.
    Repeats(&'static str),
    Hangs,
    HangsUp,
}

/// A receiver that does one thing first, and takes everything after it.
struct Receiver {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    async fn new(first: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read(&mut stream).await;
                let n = seen.lock().unwrap().len();
                seen.lock().unwrap().push(request.clone());
                let does = if n == 0 { first } else { Does::Says("202 Accepted\r\n") };
                tokio::spawn(answer(stream, does, request));
            }
        });
        Self { port, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn read(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&all).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length =
                length.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        let mut chunk = [0; 4096];
        let n = stream.read(&mut chunk).await.unwrap();
        assert!(n > 0, "it hung up in the midst of its request");
        all.extend_from_slice(&chunk[..n]);
    }
}

async fn answer(mut stream: TcpStream, does: Does, request: String) {
    let text = match does {
        Does::Says(text) => format!("HTTP/1.1 {text}content-length: 2\r\n\r\nok"),
        Does::Repeats(status) => {
            format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{request}", request.len())
        }
        Does::HangsUp => return,
        Does::Hangs => return sleep(Duration::from_secs(3600)).await,
    };
    let _ = stream.write_all(text.as_bytes()).await;
}

fn incident() -> Incident {
    let at = Timestamp(1_795_662_729_000);
    let (cause, summary) = ("slots-exhausted".to_owned(), "97 of 97 slots are taken".to_owned());
    let named = Named { cause: cause.clone(), at, summary: summary.clone() };
    let affected = Affected { since: at, until: None, summary: summary.clone(), cause: cause.clone() };
    Incident {
        schema: Incident::SCHEMA.to_owned(),
        id: "20261126T031209-renderflow".to_owned(),
        cause,
        causes: vec![named],
        room: Room::Admission,
        severity: Severity::Critical,
        confidence: Confidence::Certain,
        summary,
        service: "renderflow".to_owned(),
        services: [("renderflow".to_owned(), affected)].into(),
        shared: None,
        places: Vec::new(),
        opened_at: at,
        back_at: None,
        updated_at: at,
        closed_at: None,
        proof: None,
        flaps: 0,
        evidence: vec![Fact::new(Source::Sql, at, "pg_stat_activity", "97 sessions")],
        remedies: Vec::new(),
        actions: Vec::new(),
        held: None,
        failed_fixes: 0,
        escalated: false,
        report: None,
    }
}

/// What came of telling one incident to one receiver.
struct Came {
    requests: Vec<String>,
    happened: Vec<Happened>,
    board: Board,
    outbox: Arc<InMemory>,
    said: String,
    took: Duration,
}

/// Tells one receiver of one incident, until it is told or given up.
async fn tell(kind: AlertKind, first: Does) -> Came {
    let receiver = Receiver::new(first).await;
    let url =
        format!("http://user:{PASSWORD}@127.0.0.1:{}/services/{PATH}?token=querySECRET99", receiver.port);
    let to = AlertTo {
        kind,
        url: Secret::new(url),
        key: Some(Secret::new(KEY)),
        from: Severity::Warning,
        only: std::collections::BTreeMap::new(),
    };
    let happened: Arc<Mutex<Vec<Happened>>> = Arc::default();
    let into = Arc::clone(&happened);
    let hook = Arc::new(move |what: &Happened| into.lock().unwrap().push(what.clone()));
    let (board, outbox) = (Board::default(), Arc::new(InMemory::default()));
    let short = Duration::from_millis(300);
    let tuning = Tuning {
        attempt: short,
        first: Duration::from_millis(20),
        slack_space: Duration::ZERO,
        ..Tuning::default()
    };
    let plan = Plan { to: vec![to], ..Plan::default() };
    let said = format!("{plan:?}");
    let kept = Arc::clone(&outbox) as Arc<dyn Outbox>;
    let alerts = Alerts::tuned(plan, kept, board.clone(), (Clock::System, hook), tuning).unwrap();
    let said = format!("{said} {alerts:?}");
    let run = tokio::spawn({
        let alerts = alerts.clone();
        async move { alerts.run(std::future::pending()).await }
    });
    let from = Instant::now();
    alerts.tell(Change::Opened, &incident()).await.unwrap();
    let over = async {
        while !happened.lock().unwrap().iter().any(|what| what.told != Told::Retried) {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(20), over).await.unwrap();
    let took = from.elapsed();
    run.abort();
    let happened = happened.lock().unwrap().clone();
    Came { requests: receiver.requests(), happened, board, outbox, said, took }
}

/// The words of what happened, and how it ended.
fn words(came: &Came) -> Vec<(Told, String)> {
    came.happened.iter().map(|what| (what.told, what.words.clone())).collect()
}

#[tokio::test]
async fn what_a_receiver_takes_is_told_once() {
    for kind in KINDS {
        for status in ["200 OK\r\n", "202 Accepted\r\n", "204 No Content\r\n"] {
            let came = tell(kind, Does::Says(status)).await;
            assert_eq!(words(&came), [(Told::Sent, "told".to_owned())], "{kind:?} {status}");
            assert_eq!(came.requests.len(), 1);
            assert!(came.requests[0].starts_with("POST /"), "{}", came.requests[0]);
            assert!(came.requests[0].contains("content-type: application/json"), "{}", came.requests[0]);
        }
    }
}

#[tokio::test]
async fn what_a_receiver_refuses_is_given_up() {
    for kind in KINDS {
        let came = tell(kind, Does::Says("400 Bad Request\r\n")).await;
        assert_eq!(words(&came), [(Told::Lost, "it answers 400: ok; given up".to_owned())], "{kind:?}");
        assert_eq!(came.outbox.pending(i64::MIN, 9).await.unwrap().len(), 0, "{kind:?}");
    }
}

#[tokio::test]
async fn what_fails_is_told_at_the_next_attempt_whatever_the_receiver_did() {
    for kind in KINDS {
        for (first, why) in [
            (Does::Says("500 Oops\r\n"), "it answers 500: ok; "),
            (Does::Says("429 Too Many\r\nretry-after: 0\r\n"), "it answers 429: ok; "),
            (Does::Says("302 Found\r\nlocation: http://127.0.0.1:1/\r\n"), "it answers 302: ok; "),
            (Does::Hangs, "it did not answer in time; "),
            (Does::HangsUp, "it closed the connection without an answer; "),
        ] {
            let came = tell(kind, first).await;
            let words = words(&came);
            assert_eq!(words.len(), 2, "{kind:?} {first:?}: {words:?}");
            assert!(words[0].0 == Told::Retried && words[0].1.starts_with(why), "{kind:?}: {words:?}");
            assert_eq!(words[1].0, Told::Sent);
            assert_eq!(came.requests.len(), 2);
        }
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_speak_http_is_no_end_of_it() {
    let came = tell(AlertKind::Slack, Does::Repeats("nonsense")).await;
    let words = words(&came);
    assert!(
        words[0].1.starts_with("it answers ") || words[0].1.starts_with("its answer is not HTTP"),
        "{words:?}"
    );
    assert_eq!(words.last().unwrap().0, Told::Sent);
}

#[tokio::test]
async fn a_receiver_that_asks_to_wait_is_waited_for() {
    let came = tell(AlertKind::PagerDuty, Does::Says("429 Too Many\r\nretry-after: 1\r\n")).await;
    assert!(came.took >= Duration::from_secs(1), "{:?}", came.took);
    assert_eq!(came.requests.len(), 2);
}

#[tokio::test]
async fn no_url_and_no_key_is_seen_but_where_it_is_sent_to() {
    for kind in KINDS {
        // One that repeats all that it was asked, in an error that is shown.
        for status in ["400 Bad Request", "403 Forbidden", "500 Oops"] {
            let came = tell(kind, Does::Repeats(status)).await;
            let entries = came.outbox.pending(i64::MIN, 9).await.unwrap();
            let board = format!("{:?}", came.board.state());
            let seen = format!("{} {:?} {entries:?} {board}", came.said, came.happened);
            assert!(!seen.contains("SECRET99"), "{kind:?} {status}: {seen}");
            let request = &came.requests[0];
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(PATH), "it is sent where it belongs: {head}");
            if kind == AlertKind::PagerDuty {
                assert_eq!(body.matches(KEY).count(), 1, "the API wants its key in the body, once");
            } else {
                assert!(!body.contains("SECRET99"), "{kind:?}: {body}");
            }
            assert!(!head.contains(KEY) && !head.contains(PASSWORD), "{kind:?}: {head}");
        }
    }
}
