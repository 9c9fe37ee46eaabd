//! One line for each room, from the evidence alone.

use super::NO_TIME;
use crate::evidence::{Evidence, QueryOutcome, RouteEvidence, Seen};
use crate::instances;
use crate::platform::evidence::{VolumeUse, VolumeView};
use crate::platform::told::Instance;
use crate::rooms::app::evidence::HttpOutcome;
use crate::rooms::dns::evidence::{DnsEvidence, Subject, SystemOutcome};
use crate::rooms::network::evidence::{ConnectOutcome, NetworkEvidence};
use crate::rooms::proxy::evidence::{FirstBytes, ProxyEvidence};
use crate::rooms::startup::evidence::{AuthMethod, StartupEvidence, StartupOutcome};
use crate::rooms::storage::volumes;
use crate::rooms::tls::evidence::{TlsEvidence, TlsOutcome};
use crate::sql::facts::SqlFacts;
use pgmedic_model::{Ms, Room};

/// Whether the room was seen, the time spent in it, and its line.
type Line = (bool, Ms, String);

/// A room of the service.
pub(super) fn room(e: &Evidence, room: Room) -> Line {
    match room {
        Room::App => app(e),
        Room::Dns | Room::Network | Room::Proxy | Room::Tls | Room::Startup => way_in(&e.front, room),
        Room::Admission | Room::Server | Room::Sessions => inside(e, room),
        Room::Storage => storage(e),
    }
}

/// A room of one way in.
pub(super) fn way_in(route: &RouteEvidence, room: Room) -> Line {
    let unseen = || (false, NO_TIME, "not looked at".to_owned());
    match room {
        Room::Dns => dns(&route.dns),
        Room::Network => route.network.as_ref().map_or_else(unseen, network),
        Room::Proxy => route.proxy.as_ref().map_or_else(unseen, proxy),
        Room::Tls => route.tls.as_ref().map_or_else(unseen, tls),
        Room::Startup => match (&route.startup, route.late_refusal()) {
            (Some(s), Some(error)) => {
                (true, s.elapsed_ms, format!("a pooler lets its client in, then: {error}"))
            }
            (Some(s), None) => startup(s),
            (None, _) => unseen(),
        },
        _ => unseen(),
    }
}

fn app(e: &Evidence) -> Line {
    let ready = match &e.app.ready {
        Seen::Seen(ready) => ready,
        Seen::NotSeen(reason) => {
            let told = by_platform(e, instances::of_api(e));
            return told.unwrap_or_else(|| (false, NO_TIME, reason.clone()));
        }
    };
    let line = match &ready.outcome {
        HttpOutcome::Answered { status, db: Some(db), .. } => format!("readiness {status}, db: {db}"),
        HttpOutcome::Answered { status, .. } => format!("readiness {status}"),
        HttpOutcome::NotResolved => "the API's name does not resolve".to_owned(),
        HttpOutcome::NotConnected(how) => format!("the API cannot be reached: {}", outcome(*how)),
        HttpOutcome::Silent => format!("the API does not answer within {}", ready.elapsed_ms),
        HttpOutcome::Closed => "the API hangs up without an answer".to_owned(),
        HttpOutcome::TlsFailed(text) => format!("TLS to the API failed: {text}"),
        HttpOutcome::NotHttp(text) => format!("the API does not speak HTTP: {text}"),
    };
    (true, ready.elapsed_ms, line)
}

fn dns(dns: &DnsEvidence) -> Line {
    let line = match (&dns.subject, dns.system.as_ref().map(|s| &s.outcome)) {
        (Subject::Address(_), _) => "a literal address: no lookup needed".to_owned(),
        (Subject::Socket(_), _) => "a unix socket: no lookup needed".to_owned(),
        (Subject::Name(name), Some(SystemOutcome::Resolved(list))) => {
            let plural = if list.len() == 1 { "address" } else { "addresses" };
            let first: Vec<String> = list.iter().take(3).map(ToString::to_string).collect();
            format!("{name}: {} {plural} ({})", list.len(), first.join(", "))
        }
        (Subject::Name(name), Some(SystemOutcome::Failed { code, text })) => {
            format!("{name}: {code}, {text}")
        }
        (Subject::Name(name), Some(SystemOutcome::Silent)) => match &dns.stand_in {
            Some(other) => format!("{name}: a nameserver is silent, {} answers", other.server.ip()),
            None => format!("{name}: the resolver does not answer"),
        },
        (Subject::Name(name), None) => format!("{name}: not looked up"),
    };
    (true, dns.elapsed_ms, line)
}

fn network(network: &NetworkEvidence) -> Line {
    let each = |a: &crate::rooms::network::evidence::Attempt| {
        let errno = a.errno.as_ref().map_or(String::new(), |e| format!(" ({e})"));
        format!("{} {}{errno}", a.address, outcome(a.outcome))
    };
    let list: Vec<String> = network.attempts.iter().take(3).map(each).collect();
    (true, network.elapsed_ms, list.join("; "))
}

const fn outcome(outcome: ConnectOutcome) -> &'static str {
    match outcome {
        ConnectOutcome::Connected => "connected",
        ConnectOutcome::Refused => "refused",
        ConnectOutcome::Silent => "silent",
        ConnectOutcome::Reset => "reset",
        ConnectOutcome::Rejected => "rejected",
        ConnectOutcome::Unreachable => "unreachable",
        ConnectOutcome::Forbidden => "forbidden here",
        ConnectOutcome::NoSuchSocket => "no such socket",
        ConnectOutcome::CannotTry => "cannot be tried from here",
        ConnectOutcome::QueueFull => "queue full",
        ConnectOutcome::Failed => "failed",
    }
}

fn proxy(proxy: &ProxyEvidence) -> Line {
    let line = match &proxy.first {
        FirstBytes::TlsOffered | FirstBytes::TlsRecord => "answers; TLS offered".to_owned(),
        FirstBytes::TlsNotOffered => "answers; no TLS offered".to_owned(),
        FirstBytes::Message(_) => "answers".to_owned(),
        FirstBytes::Error(error) => format!("answers: {error}"),
        FirstBytes::ErrorV2(text) => format!("answers in protocol 2: {}", text.trim()),
        FirstBytes::Closed => "connected, then closed at once without a byte".to_owned(),
        FirstBytes::Reset => "connected, then reset without a byte".to_owned(),
        FirstBytes::Silent => format!("connected, then silence for {}", proxy.elapsed_ms),
        FirstBytes::Foreign(text) => format!("does not speak Postgres: {text}"),
    };
    (true, proxy.elapsed_ms, line)
}

fn tls(tls: &TlsEvidence) -> Line {
    let mode = tls.mode.as_str();
    let line = match &tls.outcome {
        TlsOutcome::Plain { why } => format!("none ({mode}): {why}"),
        TlsOutcome::Established { version, cipher } => format!("{version}, {cipher} ({mode})"),
        TlsOutcome::NotOffered => format!("the server offers none, and sslmode {mode} demands it"),
        TlsOutcome::HandshakeFailed { text, .. } => format!("handshake failed: {text}"),
        TlsOutcome::CertificateRefused => format!("certificate refused, as sslmode {mode} demands"),
        TlsOutcome::LocalFile { path, text } => format!("{path}: {text}"),
        TlsOutcome::Closed => "closed in the handshake".to_owned(),
        TlsOutcome::Silent => format!("silence in the handshake for {}", tls.elapsed_ms),
    };
    (true, tls.elapsed_ms, line)
}

fn startup(startup: &StartupEvidence) -> Line {
    let line = match &startup.outcome {
        StartupOutcome::Ready => {
            let version = startup.server_version.as_deref().unwrap_or("of unknown version");
            let auth = startup.auth.as_ref().map_or("", method);
            format!("{} in {} ({auth}), server {version}", startup.user, startup.database)
        }
        StartupOutcome::Error(error) => error.to_string(),
        StartupOutcome::ErrorV2(text) => text.trim().to_owned(),
        StartupOutcome::Closed => "the peer closed during the login".to_owned(),
        StartupOutcome::Reset => "the peer reset the connection during the login".to_owned(),
        StartupOutcome::Silent { waiting_for } => startup.waited(waiting_for),
        StartupOutcome::NoPassword => "the server asks for a password and none is configured".to_owned(),
        StartupOutcome::Unsupported(what) => format!("the server asks for {what}, which is not spoken here"),
        StartupOutcome::Protocol(what) => format!("protocol broken: {what}"),
    };
    (true, startup.elapsed_ms, line)
}

fn method(auth: &AuthMethod) -> &str {
    match auth {
        AuthMethod::Trust => "trust",
        AuthMethod::Cleartext => "password in clear",
        AuthMethod::Md5 => "md5",
        AuthMethod::ScramSha256 => "scram-sha-256",
        AuthMethod::ScramSha256Plus => "scram-sha-256-plus",
        AuthMethod::Unsupported(name) => name,
    }
}

/// The rooms that the server's own account shows.
fn inside(e: &Evidence, room: Room) -> Line {
    let Some((facts, ..)) = e.told() else {
        if let Some(told) = by_platform(e, instances::of_db(e)).filter(|_| room == Room::Server) {
            return told;
        }
        let why = match e.front.query.as_ref().map(|q| &q.outcome) {
            Some(QueryOutcome::Alive(why)) => format!("the server answers, but not this question: {why}"),
            _ => "no way in led to an answer".to_owned(),
        };
        return (false, NO_TIME, why);
    };
    // One statement told all three; its time stands with the first.
    let asked = e.front.query.as_ref().map_or(NO_TIME, |q| q.elapsed_ms);
    match room {
        Room::Admission => (true, asked, admission(facts)),
        Room::Server => (true, NO_TIME, server(facts)),
        _ => (true, NO_TIME, sessions(facts)),
    }
}

fn admission(facts: &SqlFacts) -> String {
    let a = &facts.admission;
    format!("{} of {} ordinary slots taken", a.client_backends.saturating_sub(a.own), a.ordinary())
}

fn server(facts: &SqlFacts) -> String {
    let s = &facts.server;
    let kind = if s.in_recovery { "standby" } else { "primary" };
    let writes = if s.transaction_read_only { "read-only" } else { "read-write" };
    format!("{kind}, {writes}, up {}", Ms(s.uptime_ms))
}

fn sessions(facts: &SqlFacts) -> String {
    let s = &facts.sessions;
    if !facts.me.sees_all {
        return "other roles' sessions cannot be seen (grant pg_monitor)".to_owned();
    }
    let prepared =
        if s.prepared_total > 0 { format!(", {} prepared", s.prepared_total) } else { String::new() };
    let locks = s.locks_not_seen.as_ref().map_or(String::new(), |why| format!("; locks not told: {why}"));
    format!(
        "{} active, {} idle, {} idle in transaction, {} waiting for a lock{prepared}{locks}",
        s.active, s.idle, s.idle_in_transaction, s.lock_waiters
    )
}

fn storage(e: &Evidence) -> Line {
    if let Some(host) = e.host.get().filter(|h| !h.volumes.is_empty()) {
        let list: Vec<String> = host.volumes.iter().take(3).map(volume).collect();
        return (true, host.elapsed_ms, list.join("; "));
    }
    let shown = volumes::shown(e);
    if let (Some(told), false) = (e.platform.get(), shown.is_empty()) {
        let list: Vec<String> = shown.iter().take(3).map(|s| volume(&s.view)).collect();
        return (true, told.elapsed_ms, format!("{}: {}", told.platform, list.join("; ")));
    }
    match e.facts().map(|f| &f.storage) {
        Some(storage) => {
            let size = storage
                .database_bytes
                .map_or_else(|| "database size not asked".to_owned(), |b| format!("database {}", bytes(b)));
            let slots = storage.slots.len();
            (true, NO_TIME, format!("{size}, {slots} replication slots; free space not seen from here"))
        }
        None => (false, NO_TIME, "no way in, and no window on the database's host".to_owned()),
    }
}

/// The instances of a part as the platform tells of them, where it does: a room that is seen from the side.
fn by_platform(e: &Evidence, list: &[Instance]) -> Option<Line> {
    let told = e.platform.get().filter(|_| !list.is_empty())?;
    let mut parts: Vec<String> = list.iter().take(2).map(|i| instances::state(e, i)).collect();
    if list.len() > parts.len() {
        parts.push(format!("{} more", list.len() - parts.len()));
    }
    Some((true, told.elapsed_ms, format!("{}: {}", told.platform, parts.join("; "))))
}

fn volume(v: &VolumeView) -> String {
    let name = match v.holds {
        VolumeUse::Data => "data",
        VolumeUse::Wal => "WAL",
        VolumeUse::Tablespace => "tablespace",
        VolumeUse::Log => "log",
    };
    let read_only = if v.read_only { ", read-only" } else { "" };
    format!("{name} {} free of {}{read_only}", bytes(v.available_bytes), bytes(v.total_bytes))
}

/// A size as a person reads it.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// A role's name as SQL takes it.
pub(super) fn identifier(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain && !name.is_empty() { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
