//! The double's HTTP: one request a connection, who may ask, and how it misbehaves. What it answers is `documents`', what
//! it does `acts`'.

use super::acts::Act;
use super::{ACTING_TOKEN, FOREIGN_TOKEN, State, TOKEN, held};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
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
    /// It does what it is asked to change, and never answers. What it is asked to tell, it tells.
    ActsAndHangs,
    /// It does it, and answers with this status.
    ActsAndSays(u16),
    /// It does it, and answers 200 with what is no JSON.
    ActsAndGarbles,
    /// It does nothing of the kind, and answers with this status.
    RefusesToAct(u16),
    /// It does nothing of the kind, and never answers.
    HangsBeforeActing,
}

/// A request, as it came. Tokens are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `POST`.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// The query.
    pub query: String,
    /// The header `fly-machine-lease-nonce`.
    pub nonce: Option<String>,
}

impl Asked {
    /// True where it asks for a change of a machine or a volume.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.method != "GET" && !self.path.ends_with("/lease")
    }
}

/// A request whose head was read.
struct Request {
    asked: Asked,
    token: Option<String>,
    body: String,
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
        document.map_or_else(|| Self::error(404, "app not found"), Self::well)
    }

    fn well(document: Value) -> Self {
        Self { status: 200, body: document.to_string() }
    }

    fn garbage() -> Self {
        Self { status: 200, body: "[{\"id\":\u{7f}<html>".into() }
    }

    fn head(&self, id: &str) -> String {
        let length = self.body.len();
        format!(
            "HTTP/1.1 {} -\r\ncontent-type: application/json; charset=utf-8\r\nfly-request-id: {id}\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n",
            self.status
        )
    }
}

/// Serves one connection. A client that is gone has its reasons.
pub(super) fn serve(mut stream: TcpStream, state: &Arc<State>) {
    let bounded =
        stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    let Some(request) = bounded.ok().and_then(|()| read(&mut stream)) else { return };
    held(&state.asked).push(request.asked.clone());
    let id = match request.asked.method.as_str() {
        "GET" => "01J-lab-ord".to_owned(),
        _ => format!("01J-lab-{}-ord", state.changes.fetch_add(1, Ordering::AcqRel)),
    };
    let how = *held(&state.misbehaviour);
    let is_change = request.asked.is_change();
    let _gone = match how {
        Some(Misbehaviour::Status(status)) => {
            write(&mut stream, &Reply::error(status, "as the lab was asked to say"), &id)
        }
        Some(Misbehaviour::Garbage) => write(&mut stream, &Reply::garbage(), &id),
        Some(Misbehaviour::Hang) => stream.read(&mut [0]).map(drop),
        Some(Misbehaviour::Half) => {
            let reply = answer(state, &request);
            let half = reply.body.floor_char_boundary(reply.body.len() / 2);
            stream
                .write_all(reply.head(&id).as_bytes())
                .and_then(|()| stream.write_all(&reply.body.as_bytes()[..half]))
        }
        Some(Misbehaviour::Endless) => endless(&mut stream),
        Some(misdeed) if is_change => misact(&mut stream, state, &request, misdeed, &id),
        None | Some(_) => write(&mut stream, &answer(state, &request), &id),
    };
}

/// A change, with what goes wrong about it.
fn misact(
    stream: &mut TcpStream,
    state: &Arc<State>,
    request: &Request,
    misdeed: Misbehaviour,
    id: &str,
) -> std::io::Result<()> {
    let acts = !matches!(misdeed, Misbehaviour::RefusesToAct(_) | Misbehaviour::HangsBeforeActing);
    if acts {
        let reply = answer(state, request);
        // What may not be done is not done.
        if reply.status >= 400 {
            return write(stream, &reply, id);
        }
    }
    match misdeed {
        Misbehaviour::ActsAndSays(status) | Misbehaviour::RefusesToAct(status) => {
            write(stream, &Reply::error(status, "as the lab was asked to say"), id)
        }
        Misbehaviour::ActsAndGarbles => write(stream, &Reply::garbage(), id),
        _ => stream.read(&mut [0]).map(drop),
    }
}

fn write(stream: &mut TcpStream, reply: &Reply, id: &str) -> std::io::Result<()> {
    stream.write_all(reply.head(id).as_bytes())?;
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

/// A request.
fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < LONGEST_HEAD {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let field = |wanted: &str| {
        head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case(wanted).then(|| value.to_owned())
        })
    };
    let length = field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; LONGEST_HEAD.min(length)];
    stream.read_exact(&mut body).ok()?;
    let mut words = head.split_whitespace();
    let (method, resource) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = resource.split_once('?').unwrap_or((resource, ""));
    let asked = Asked {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        nonce: field("fly-machine-lease-nonce"),
    };
    Some(Request { asked, token: field("authorization"), body: String::from_utf8(body).ok()? })
}

/// The one place where a request becomes an answer.
fn answer(state: &Arc<State>, request: &Request) -> Reply {
    let asked = &request.asked;
    match request.token.as_deref() {
        Some(ACTING_TOKEN) => {}
        Some(TOKEN) if asked.method == "GET" => {}
        Some(TOKEN | FOREIGN_TOKEN) => return Reply::error(403, "forbidden"),
        _ => return Reply::error(401, "unauthenticated"),
    }
    let parts: Vec<&str> = asked.path.split('/').skip(1).collect();
    match (asked.method.as_str(), &parts[..]) {
        ("GET", ["v1", "apps", app, "machines"]) => Reply::of(state.machines(app)),
        ("GET", ["v1", "apps", app, "volumes"]) => Reply::of(state.volumes(app)),
        ("GET", ["api", "v1", "apps", app, "logs"]) => Reply::of(state.logs(app)),
        (_, ["v1", "apps", app, "machines", id, rest @ ..]) => match state.one_machine(app, id) {
            None => Reply::error(404, "machine not found"),
            Some(machine) => of_machine(state, asked, id, rest, machine),
        },
        ("PUT", ["v1", "apps", super::DB_APP, "volumes", id, "extend"]) => extend(state, id, &request.body),
        ("GET", _) => Reply::error(404, "page not found"),
        _ => Reply::error(405, "method not allowed"),
    }
}

/// A request about one machine.
fn of_machine(state: &Arc<State>, asked: &Asked, id: &str, rest: &[&str], machine: Value) -> Reply {
    let what = format!("{} {}", asked.method, asked.path);
    let (most, rate) = if rest.is_empty() { (10.0, 5.0) } else { (3.0, 1.0) };
    if !state.buckets.take(&what, most, rate) {
        return Reply::error(429, "rate limit exceeded");
    }
    let refusal = state.leases.refusal(id, asked.nonce.as_deref());
    match (asked.method.as_str(), rest, refusal) {
        ("GET", [], _) => Reply::well(machine),
        ("GET", ["wait"], _) => wait(state, id, &asked.query),
        ("POST" | "DELETE", _, Some(refusal)) => Reply::error(409, &refusal),
        ("POST", ["lease"], None) => {
            let ttl = number(&asked.query, "ttl").unwrap_or(300);
            Reply { status: 201, ..Reply::well(state.leases.take(id, ttl, None)) }
        }
        ("DELETE", ["lease"], None) => {
            state.leases.end(id);
            Reply::well(json!({ "ok": true }))
        }
        ("POST", [word], None) => match Act::of(word) {
            Some(Act::Start) if state.is_started(id) => Reply::error(412, "machine is already started"),
            Some(act) => {
                state.act(id, act);
                Reply::well(json!({ "ok": true }))
            }
            None => Reply::error(404, "page not found"),
        },
        _ => Reply::error(405, "method not allowed"),
    }
}

/// `GET …/wait?state=started&timeout=60`.
fn wait(state: &State, id: &str, query: &str) -> Reply {
    let within = Duration::from_secs(number(query, "timeout").unwrap_or(60).clamp(1, 60));
    let wants_started = query.split('&').any(|pair| pair == "state=started");
    match crate::wait::until_true("a machine's state", within, || state.is_started(id) == wants_started) {
        Ok(()) => Reply::well(json!({ "ok": true })),
        Err(_) => Reply::error(408, "deadline_exceeded: machine failed to reach desired state"),
    }
}

/// `PUT …/volumes/{id}/extend {"size_gb":N}`.
fn extend(state: &State, id: &str, body: &str) -> Reply {
    if !state.buckets.take(&format!("extend {id}"), 3.0, 1.0) {
        return Reply::error(429, "rate limit exceeded");
    }
    let asked: Option<Value> = serde_json::from_str(body).ok();
    let Some(size_gb) = asked.as_ref().and_then(|asked| asked.get("size_gb")?.as_u64()) else {
        return Reply::error(400, "invalid request body");
    };
    match state.extend(id, size_gb) {
        Ok(told) => Reply::well(told),
        Err((status, why)) => Reply::error(status, &why),
    }
}

fn number(query: &str, name: &str) -> Option<u64> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}
