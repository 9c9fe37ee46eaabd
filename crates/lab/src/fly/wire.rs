//! The double's HTTP: one request a connection, who may ask, and how it misbehaves. What it answers is `documents`'.

use super::{FOREIGN_TOKEN, State, TOKEN, held};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// The longest request head that is read, in bytes.
const LONGEST_HEAD: usize = 16 * 1024;
/// A client that neither speaks nor hangs up is left after this.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the double fails its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    /// It answers with this status, and an error as Fly writes it.
    Status(u16),
    /// It answers 200 with what is no JSON.
    Garbage,
    /// It reads the request and says nothing.
    Hang,
    /// It hangs up in the midst of the answer.
    Half,
    /// Its answer has no end.
    Endless,
}

/// An answer.
struct Reply {
    status: u16,
    body: String,
}

impl Reply {
    fn error(status: u16, why: &str) -> Self {
        Self { status, body: json!({ "error": why }).to_string() }
    }

    fn of(document: Option<Value>) -> Self {
        document.map_or_else(
            || Self::error(404, "app not found"),
            |document| Self { status: 200, body: document.to_string() },
        )
    }

    fn head(&self) -> String {
        let length = self.body.len();
        format!(
            "HTTP/1.1 {} -\r\ncontent-type: application/json; charset=utf-8\r\nfly-request-id: 01J-lab-ord\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n",
            self.status
        )
    }
}

/// Serves one connection. A client that is gone has its reasons.
pub(super) fn serve(mut stream: TcpStream, state: &State) {
    let bounded =
        stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    let Some(head) = bounded.ok().and_then(|()| head(&mut stream)) else { return };
    let mut words = head.split_whitespace();
    let (method, resource) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = resource.split('?').next().unwrap_or_default();
    held(&state.asked).push(format!("{method} {path}"));
    let how = *held(&state.misbehaviour);
    let _gone = match how {
        None => write(&mut stream, &answer(state, method, path, &head)),
        Some(Misbehaviour::Status(status)) => {
            write(&mut stream, &Reply::error(status, "as the lab was asked to say"))
        }
        Some(Misbehaviour::Garbage) => {
            write(&mut stream, &Reply { status: 200, body: "[{\"id\":\u{7f}<html>".into() })
        }
        Some(Misbehaviour::Hang) => stream.read(&mut [0]).map(drop),
        Some(Misbehaviour::Half) => {
            let reply = answer(state, method, path, &head);
            let half = reply.body.floor_char_boundary(reply.body.len() / 2);
            stream
                .write_all(reply.head().as_bytes())
                .and_then(|()| stream.write_all(&reply.body.as_bytes()[..half]))
        }
        Some(Misbehaviour::Endless) => endless(&mut stream),
    };
}

fn write(stream: &mut TcpStream, reply: &Reply) -> std::io::Result<()> {
    stream.write_all(reply.head().as_bytes())?;
    stream.write_all(reply.body.as_bytes())
}

/// Machines without end; ends with the client's patience.
fn endless(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n[")?;
    let more = "{\"id\":\"148e21e7c22d89\",\"state\":\"started\"},".repeat(1000);
    loop {
        stream.write_all(more.as_bytes())?;
    }
}

/// A request's head.
fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < LONGEST_HEAD {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// The one place where a request becomes an answer.
fn answer(state: &State, method: &str, path: &str, head: &str) -> Reply {
    let token = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("authorization").then_some(value)
    });
    match token {
        Some(TOKEN) => {}
        Some(FOREIGN_TOKEN) => return Reply::error(403, "forbidden"),
        _ => return Reply::error(401, "unauthenticated"),
    }
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match (method, &parts[..]) {
        ("GET", ["v1", "apps", app, "machines"]) => Reply::of(state.machines(app)),
        ("GET", ["v1", "apps", app, "volumes"]) => Reply::of(state.volumes(app)),
        ("GET", ["api", "v1", "apps", app, "logs"]) => Reply::of(state.logs(app)),
        ("GET", _) => Reply::error(404, "page not found"),
        _ => Reply::error(405, "method not allowed"),
    }
}
