//! The server over its socket: what it serves, what it refuses, what it bears. Every answer that a test gets is held against
//! the OpenAPI document.

mod api;
mod browser;
mod hostile;
mod scrape;
mod security;

use super::routes::ROUTES;
use super::*;
use crate::fixture;
use crate::incident::Incident;
use crate::seen::Kind;
use pgmedic_model::{Ms, Status, Timestamp};
use serde_json::{Value, json};
use std::sync::{LazyLock, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Tokens of the tests, and other secrets that the daemon may hold.
pub(super) const TOKEN: &str = "a-token-that-acts-0123456789";
pub(super) const READ_TOKEN: &str = "a-token-that-reads-9876543210";

/// What was ordered, and what is remembered.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) orders: Mutex<Vec<String>>,
    pub(super) incidents: Vec<Arc<Incident>>,
    /// Nothing is ever answered.
    pub(super) hangs: bool,
}

impl Fake {
    fn ordered<'a>(&'a self, order: String) -> Answer<'a, String> {
        self.orders.lock().unwrap().push(order.clone());
        Box::pin(async move {
            if order.contains("no-such-remedy") {
                return Err(Declined::Conflict("the incident has no such remedy".to_owned()));
            }
            Ok(order)
        })
    }
}

impl Acts for Fake {
    fn approve(&self, a: Approval) -> Answer<'_, String> {
        self.ordered(format!("approve {} {:?} {} by {}", a.incident, a.service, a.remedy, a.by))
    }

    fn pause(&self, scope: Scope, until: Option<Timestamp>, by: String) -> Answer<'_, String> {
        self.ordered(format!("pause {scope:?} {until:?} by {by}"))
    }

    fn resume(&self, scope: Scope, by: String) -> Answer<'_, String> {
        self.ordered(format!("resume {scope:?} by {by}"))
    }

    fn reload(&self, by: String) -> Answer<'_, String> {
        drop(self.ordered(format!("reload by {by}")));
        Box::pin(async { Err(Declined::Refused("pgmedic.toml:3:1: unknown key".to_owned())) })
    }
}

impl History for Fake {
    fn incidents(&self, filter: Filter) -> Answer<'_, Vec<Arc<Incident>>> {
        let fits = |i: &&Arc<Incident>| {
            filter.open.is_none_or(|open| open == i.is_open())
                && filter.service.as_ref().is_none_or(|s| i.services.contains_key(s))
        };
        let list = self.incidents.iter().filter(fits).take(filter.limit).cloned().collect();
        Box::pin(async move { Ok(list) })
    }

    fn incident(&self, id: &str) -> Answer<'_, Option<Arc<Incident>>> {
        let found = self.incidents.iter().find(|i| i.id == id).cloned();
        Box::pin(async move { Ok(found) })
    }

    fn looks(&self, _: &str, since: Timestamp, limit: usize) -> Answer<'_, Vec<Looked>> {
        if self.hangs {
            return Box::pin(std::future::pending());
        }
        let look = Looked {
            at: since,
            kind: Kind::Walk,
            status: Status::Critical,
            elapsed_ms: Ms(9.0),
            lag_ms: Ms(0.1),
            roots: vec!["slots-exhausted".to_owned()],
        };
        Box::pin(async move { Ok(vec![look; limit.min(3)]) })
    }
}

/// A server that runs.
pub(super) struct Running {
    pub(super) at: SocketAddr,
    pub(super) fake: Arc<Fake>,
    pub(super) board: Board,
    end: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), ListenError>>,
}

/// A server on loopback with a board of twenty services.
pub(super) async fn serve(token: bool) -> Running {
    let config = Config {
        token: token.then(|| Secret::new(TOKEN)),
        read_token: token.then(|| Secret::new(READ_TOKEN)),
        ..Config::default()
    };
    let mut over = fixture::incident("20261122T000000-service-0001", "service-0001");
    over.closed_at = Some(fixture::AT);
    let open = fixture::incident("20261123T031209-service-0000", "service-0000");
    let fake = Fake { incidents: vec![Arc::new(open), Arc::new(over)], ..Fake::default() };
    serve_with(config, fixture::board(20), fake, "127.0.0.1:0").await
}

pub(super) async fn serve_with(config: Config, board: Board, fake: Fake, at: &str) -> Running {
    let listener = TcpListener::bind(at).await.unwrap();
    let (at, fake) = (listener.local_addr().unwrap(), Arc::new(fake));
    let (end, ended) = oneshot::channel();
    let server = Server::new(config, board.clone(), fake.clone(), fake.clone());
    let shutdown = async { drop(ended.await) };
    let task = tokio::spawn(server.run(listener, shutdown));
    Running { at, fake, board, end: Some(end), task }
}

impl Running {
    /// Sends bytes on a connection of its own and reads until the server closes it.
    pub(super) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.at.port())).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
        // A reset after the answer, where the server had not read all that was sent, loses nothing of it.
        drop(read.expect("the server closes the connection"));
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A request with these further headers, each ending in a line break, and its answer, held against the document.
    pub(super) async fn ask(&self, method: &str, target: &str, headers: &str, body: &str) -> Answered {
        let host = if headers.to_ascii_lowercase().lines().any(|l| l.starts_with("host:")) {
            String::new()
        } else {
            format!("Host: {}\r\n", self.at)
        };
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let request =
            format!("{method} {target} HTTP/1.1\r\n{host}Connection: close\r\n{length}{headers}\r\n{body}");
        let answered = Answered::read(&self.raw(request.as_bytes()).await);
        answered.hold_against_the_document(method, target);
        answered
    }

    pub(super) async fn get(&self, target: &str) -> Answered {
        self.ask("GET", target, "", "").await
    }

    /// A POST with the token.
    pub(super) async fn post(&self, target: &str, body: &str) -> Answered {
        let headers = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n");
        self.ask("POST", target, &headers, body).await
    }

    pub(super) fn orders(&self) -> Vec<String> {
        self.fake.orders.lock().unwrap().clone()
    }

    /// Ends it, and says how long that took.
    pub(super) async fn end(&mut self) -> Duration {
        let from = tokio::time::Instant::now();
        drop(self.end.take());
        (&mut self.task).await.unwrap().unwrap();
        from.elapsed()
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answered {
    pub(super) fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
        Self { status: status.unwrap_or_default(), head: head.to_owned(), body: body.to_owned() }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|l| l.split_once(": "));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    fn hold_against_the_document(&self, method: &str, target: &str) {
        for (name, value) in [
            ("access-control-allow-origin", None),
            ("set-cookie", None),
            ("x-content-type-options", Some("nosniff")),
        ] {
            assert_eq!(self.header(name), value, "{target}: {name}");
        }
        for secret in [TOKEN, READ_TOKEN] {
            assert!(!self.head.contains(secret) && !self.body.contains(secret), "{target} tells a token");
        }
        if method == "HEAD" {
            return assert_eq!(self.body, "");
        }
        let path = target.split('?').next().unwrap();
        let route = ROUTES.iter().find(|r| r.fits(path).is_some());
        if self.header("content-type") != Some("application/json") {
            return assert_eq!(route.map(|r| (r.path, 200)), Some(("/metrics", self.status)), "{self:?}");
        }
        let method = if route.is_some_and(|r| r.takes.is_some()) { "post" } else { "get" };
        let name = match route {
            Some(route) => {
                let response = &DOCUMENT["paths"][route.path][method]["responses"][self.status.to_string()];
                let schema = &response["content"]["application/json"]["schema"]["$ref"];
                schema
                    .as_str()
                    .unwrap_or_else(|| panic!("{method} {target}: {} stands nowhere", self.status))
                    .to_owned()
            }
            None => "#/components/schemas/Error".to_owned(),
        };
        let complaints = complaints(&name, &self.json());
        assert_eq!(complaints, Vec::<String>::new(), "{target}: {}", self.body);
    }
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(openapi);

/// What is wrong with a value by a schema of the document.
pub(super) fn complaints(reference: &str, value: &Value) -> Vec<String> {
    const URI: &str = "urn:pgmedic:openapi";
    let registry = jsonschema::Registry::new().add(URI, &*DOCUMENT).unwrap().prepare().unwrap();
    let schema = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": format!("{URI}{reference}") });
    let validator = jsonschema::options().with_registry(&registry).build(&schema).unwrap();
    validator.iter_errors(value).map(|e| format!("{e} at {}", e.instance_path())).collect()
}
