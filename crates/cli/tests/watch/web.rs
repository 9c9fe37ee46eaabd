//! One HTTP request at a time, and waiting for what is to come.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long anything may take that is waited for: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Status and body of `GET path`. None where nobody answers. HTTP/1.0, so that nothing comes in pieces.
pub(crate) fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    Some((status, text.split_once("\r\n\r\n")?.1.to_owned()))
}

/// A document that must be there. None where nobody answers, or not with 200.
pub(crate) fn json(port: u16, path: &str) -> Option<Value> {
    let (status, body) = get(port, path)?;
    (status == 200).then(|| serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}")))
}

/// Asks until it is so; gives when that was. `tell` says what there is, where it never is.
pub(crate) fn until<T>(
    what: &str,
    tell: impl FnOnce() -> String,
    mut look: impl FnMut() -> Option<T>,
) -> (T, Instant) {
    let from = Instant::now();
    loop {
        if let Some(found) = look() {
            return (found, Instant::now());
        }
        assert!(from.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", tell());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A port below those that the system hands out, that nobody listens on now, and that no other test here was given.
pub(crate) fn free() -> u16 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let salt = std::process::id().wrapping_mul(97);
    loop {
        let port = 10_000 + salt.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % 8_000;
        let port = u16::try_from(port).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
