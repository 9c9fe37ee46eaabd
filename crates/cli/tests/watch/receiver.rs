//! A receiver of webhooks that takes everything, and writes it down.

use pgmedic_lab::wait;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One alert.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) at: Instant,
    pub(crate) change: String,
    pub(crate) id: String,
    pub(crate) incident: Value,
}

/// The receiver.
pub(crate) struct Receiver {
    port: u16,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Receiver {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, told) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let write = Arc::clone(&told);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let write = Arc::clone(&write);
                std::thread::spawn(move || serve(stream, &write));
            }
        });
        Self { port, told }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// Waits for an alert of this change and cause; of any cause where none is named.
    pub(crate) fn wait(&self, change: &str, cause: &str) -> Told {
        let found = || {
            self.told()
                .into_iter()
                .find(|t| t.change == change && (cause.is_empty() || t.incident["cause"] == cause))
        };
        let what = format!("{change} of {cause}");
        wait::until(&what, Duration::from_secs(30), || {
            Ok(found().ok_or_else(|| format!("{:?}", self.heads())))
        })
        .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Every change with its cause, in order.
    pub(crate) fn heads(&self) -> Vec<(String, String)> {
        self.told()
            .iter()
            .map(|t| (t.change.clone(), t.incident["cause"].as_str().unwrap_or("").to_owned()))
            .collect()
    }
}

fn serve(mut stream: TcpStream, told: &Mutex<Vec<Told>>) {
    let _bounded = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let mut text = Vec::new();
    loop {
        let (head, length) = loop {
            if let Some(end) = text.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&text[..end]).to_lowercase();
                let length = value(&head, "content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
                text.drain(..end + 4);
                break (head, length);
            }
            if !more(&mut stream, &mut text) {
                return;
            }
        };
        while text.len() < length {
            if !more(&mut stream, &mut text) {
                return;
            }
        }
        let body: Vec<u8> = text.drain(..length).collect();
        let field = |name| value(&head, name).unwrap_or_default();
        let incident = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let (change, id) = (field("x-pgmedic-change"), field("webhook-id"));
        told.lock().unwrap().push(Told { at: Instant::now(), change, id, incident });
        if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_err() {
            return;
        }
    }
}

fn more(stream: &mut TcpStream, text: &mut Vec<u8>) -> bool {
    let mut room = [0; 4096];
    match stream.read(&mut room) {
        Ok(0) | Err(_) => false,
        Ok(read) => {
            text.extend_from_slice(&room[..read]);
            true
        }
    }
}

fn value(head: &str, name: &str) -> Option<String> {
    let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}
