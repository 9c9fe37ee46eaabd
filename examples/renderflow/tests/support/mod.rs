//! A real Postgres, the API in this process, and requests over real sockets.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]
#![allow(dead_code, reason = "each test file uses its own part")]

use pgmedic_lab::postgres::{DATABASE, PASSWORD, ROLE};
use pgmedic_lab::{Lab, Parts, wait};
use renderflow::config::Config;
use renderflow::log::Log;
use serde_json::Value;
use std::io::{Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// A log that is kept.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Kept {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// The API at work. It ends with this.
pub(crate) struct Api {
    pub(crate) at: SocketAddr,
    pub(crate) log: Kept,
    stop: Option<oneshot::Sender<()>>,
    served: Option<tokio::task::JoinHandle<Result<(), renderflow::ApiError>>>,
    runtime: Runtime,
}

/// An answer: status and body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) took: Duration,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

/// Postgres and nothing else.
pub(crate) fn lab() -> Lab {
    Lab::build(Parts::default()).unwrap()
}

/// Where a lab's database is.
pub(crate) fn url(lab: &Lab) -> String {
    let port = lab.postgres().port();
    format!("postgres://{ROLE}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}?application_name=renderflow-api")
}

impl Api {
    /// Starts it and waits until it answers, not until it is ready.
    pub(crate) fn start(database_url: &str) -> Self {
        let api = Self::begin(database_url);
        assert_eq!(api.get("/api/v1/health").status, 200);
        api
    }

    /// Starts it.
    pub(crate) fn begin(database_url: &str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let at = listener.local_addr().unwrap();
        let (log, config) =
            (Kept::default(), Config { database_url: database_url.to_owned(), listen: at, drill: false });
        let (stop, stopped) = oneshot::channel::<()>();
        let told = Log::to(log.clone());
        let served = runtime.spawn(renderflow::serve(config, listener, told, async { drop(stopped.await) }));
        Self { at, log, stop: Some(stop), served: Some(served), runtime }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        request(self.at, "GET", path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        request(self.at, "POST", path, Some(body))
    }

    /// Waits until readiness has a status, and gives how long that took.
    pub(crate) fn wait_ready(&self, status: u16, within: Duration) -> Duration {
        let from = Instant::now();
        let look = || {
            let answer = self.get("/api/v1/ready");
            Ok(if answer.status == status { Ok(()) } else { Err(answer.body) })
        };
        if let Err(late) = wait::until(&format!("readiness {status}"), within, look) {
            panic!("{late}\n{}", self.log.text());
        }
        from.elapsed()
    }

    /// Waits until the log has a text.
    pub(crate) fn wait_logged(&self, text: &str) {
        let logged = wait::until_true(text, Duration::from_secs(10), || self.log.text().contains(text));
        assert!(logged.is_ok(), "{text:?} is not in the log:\n{}", self.log.text());
    }

    /// A series of `/metrics`, summed over its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body;
        let values = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        values.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Tells it to stop, and gives what came of it.
    pub(crate) fn stop(&mut self) -> Result<(), renderflow::ApiError> {
        drop(self.stop.take());
        self.runtime.block_on(self.served.take().unwrap()).unwrap()
    }
}

/// One request on a connection of its own.
pub(crate) fn request(at: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let from = Instant::now();
    let body = body.map(ToString::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: renderflow\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, body: body.to_owned(), took: from.elapsed() }
}
