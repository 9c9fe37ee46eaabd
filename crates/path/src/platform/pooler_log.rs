//! PgBouncer's log: where its configuration puts it, and what its lines say of failures on both of its sides.
//!
//! PgBouncer manual, "Log settings"; the lines' form is lib/usual/logging.c's and src/main.c's (`log_socket_prefix`). Not
//! in here: what a message means (`pooler_words` of the model), and a log that goes to journald, which is another window's.

use super::evidence::{PoolerLogEntry, PoolerLogView, PoolerSide};
use super::log_end::{self, Clock, LogEnd};
use super::log_prefix;
use super::place::Place;
use super::procfs;
use crate::log_time::{self, Stamp};
use pgmedic_model::pooler_words::{Words, says};
use pgmedic_model::{Timestamp, mask};
use std::path::{Path, PathBuf};

/// Most entries kept, the newest.
const MOST_ENTRIES: usize = 40;
/// Longest message kept, in characters.
const MESSAGE_LIMIT: usize = 300;
/// Most lines between a server's reason and the end of its connection.
const MOST_WAITING: usize = 1000;
/// Bytes looked at of one line.
const MOST_LINE: usize = 4096;
/// Most bytes of the configuration, its includes each counted alone, and most files of it.
const MOST_BYTES: u64 = 1 << 20;
const MOST_FILES: usize = 20;
/// Levels (lib/usual/logging.c).
const LEVELS: [&str; 6] = ["LOG", "WARNING", "ERROR", "FATAL", "DEBUG", "NOISE"];
/// Reasons to close a connection that are no failure.
const IN_ORDER: [&str; 9] = [
    "client close request",
    "server lifetime over",
    "server idle timeout",
    "close_needed",
    "close req",
    "evicted",
    "database configuration changed",
    "obsolete connection",
    "successfully sent cancel request",
];

/// Reads the end of the log of a PgBouncer: the file that is given, else where its configuration puts it. Relative names
/// there are below `cwd`.
///
/// # Errors
/// Why it was not read, in a sentence for `blind`.
pub(super) fn read(
    pid: u32,
    given: Option<&Path>,
    (arguments, cwd): (&[String], &Path),
    now: Timestamp,
) -> Result<PoolerLogView, String> {
    if let Some(file) = given {
        let end = log_end::read(file).map_err(|e| format!("PgBouncer's log {}: {e}", file.display()))?;
        return Ok(view(file, &end, now));
    }
    let place = Place::of_process(pid, cwd);
    let named = configuration(arguments, cwd).and_then(|file| logfile(&place, &file));
    let stderr = std::fs::read_link(procfs::of(pid, "fd/2")).ok();
    let mut reason = None;
    for file in named.iter().chain(&stderr) {
        match log_end::read(&place.locate(file)) {
            Ok(end) => return Ok(view(file, &end, now)),
            Err(error) => {
                reason.get_or_insert(format!("PgBouncer's log {}: {error}", file.display()));
            }
        }
    }
    Err(reason.unwrap_or_else(|| "PgBouncer's log: its configuration could not be read".to_owned()))
}

/// The configuration file: the argument that is no option and no option's value.
fn configuration(arguments: &[String], cwd: &Path) -> Option<PathBuf> {
    let mut words = arguments.iter().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "-u" | "--user" => drop(words.next()),
            option if option.starts_with('-') => {}
            file => return Some(cwd.join(file)),
        }
    }
    None
}

/// `logfile` of the section `[pgbouncer]`, with `%include`s followed.
fn logfile(place: &Place, file: &Path) -> Option<PathBuf> {
    let mut found = None;
    let (mut files, mut todo) = (0, vec![file.to_owned()]);
    while let Some(file) = todo.pop().filter(|_| files < MOST_FILES) {
        files += 1;
        let text = procfs::read_text(&place.locate(&file), MOST_BYTES).unwrap_or_default();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with([';', '#'])) {
            if let Some(name) = line.strip_prefix("%include") {
                // As PgBouncer does, from its working directory.
                todo.push(place.data().join(name.trim()));
            } else if let Some((key, value)) = line.split_once('=')
                && key.trim() == "logfile"
                && !value.trim().is_empty()
            {
                found = Some(place.data().join(value.trim()));
            }
        }
    }
    found
}

/// A line while it is read: its time still by the log's clock.
struct Line {
    stamp: Option<Stamp>,
    entry: PoolerLogEntry,
}

/// The view of a log's end.
pub(super) fn view(path: &Path, end: &LogEnd, now: Timestamp) -> PoolerLogView {
    let mut view = PoolerLogView { path: path.display().to_string(), ..PoolerLogView::default() };
    let mut lines: Vec<Line> = Vec::new();
    let mut newest = None;
    for line in end.text.lines() {
        let Some(line) = read_line(cut(line), now) else { continue };
        view.lines += 1;
        newest = line.stamp.or(newest);
        if line.entry.message == "closing because: login failed" && name_reason(&mut lines, &line.entry) {
            continue;
        }
        lines.push(line);
    }
    let clock = Clock::of(newest, end.written);
    let mut kept: Vec<PoolerLogEntry> = Vec::new();
    for mut line in lines.into_iter().filter(|line| is_telling(&line.entry)) {
        line.entry.at = line.stamp.and_then(|stamp| clock.moment(stamp));
        if let Some(old) = kept.iter().position(|n| alike(n, &line.entry)).map(|at| kept.remove(at)) {
            line.entry.count += old.count;
        }
        kept.push(line.entry);
    }
    drop_echoes(&mut kept);
    kept.drain(..kept.len().saturating_sub(MOST_ENTRIES));
    view.entries = kept;
    view
}

/// 1.18 tells the server's reason on a line that names no connection. The connection is closed a little later, when the
/// clients that waited for it have been told: then the reason is given its name. False where there is none.
fn name_reason(lines: &mut [Line], closed: &PoolerLogEntry) -> bool {
    let near = lines.iter_mut().rev().take(MOST_WAITING);
    let Some(reason) = near.map(|line| &mut line.entry).find(|entry| is_reason(entry)) else { return false };
    reason.side = closed.side;
    (reason.database, reason.user, reason.peer) =
        (closed.database.clone(), closed.user.clone(), closed.peer.clone());
    true
}

/// `server login failed: FATAL …` of a line that names no connection.
fn is_reason(entry: &PoolerLogEntry) -> bool {
    entry.side.is_none() && entry.message.starts_with("server login failed:")
}

/// True where an entry tells of a failure, or of a server that was reached.
fn is_telling(entry: &PoolerLogEntry) -> bool {
    let closed = |reason: &str| !IN_ORDER.iter().any(|word| reason.starts_with(word));
    match entry.message.strip_prefix("closing because: ") {
        Some(reason) => closed(reason),
        None => {
            matches!(entry.level.as_str(), "WARNING" | "ERROR" | "FATAL")
                || says(&entry.message, Words::PoolerReachedServer)
        }
    }
}

fn alike(a: &PoolerLogEntry, b: &PoolerLogEntry) -> bool {
    (a.side, &a.database, &a.user, &a.peer, &a.message) == (b.side, &b.database, &b.user, &b.peer, &b.message)
}

/// What a client is told stands in two lines, `closing because: …` and `pooler error: …`: the second is dropped where the
/// first is there (`log_disconnections` switches it off).
fn drop_echoes(all: &mut Vec<PoolerLogEntry>) {
    let closed: Vec<String> = all
        .iter()
        .filter_map(|entry| entry.message.strip_prefix("closing because: ").map(str::to_owned))
        .collect();
    all.retain(|entry| {
        entry.message.strip_prefix("pooler error: ").is_none_or(|said| !closed.iter().any(|c| c == said))
    });
}

/// Reads a line, of a file or of syslog's:
/// `2026-11-23 17:03:10.156 UTC [24521] LOG S-0x55ee431a08f0: dead/app@127.0.0.1:21599 closing because: connect failed (age=0s)`
fn read_line(line: &str, now: Timestamp) -> Option<Line> {
    let (stamp, rest) = match line.split_once("pgbouncer[") {
        Some((before, rest)) => (log_time::stamp(before, now), rest),
        None => {
            let (stamp, rest) = log_prefix::time(line)?;
            (Some(stamp), rest.trim_start().strip_prefix('[')?)
        }
    };
    let (pid, rest) = rest.split_once(']')?;
    if !pid.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let rest = rest.trim_start_matches(':').trim_start();
    // Syslog keeps the level to itself.
    let (level, rest) = match rest.split_once(' ') {
        Some((word, rest)) if LEVELS.contains(&word) => (word, rest),
        _ => ("LOG", rest),
    };
    let (side, connection, message) = match connection(rest) {
        Some((side, connection, message)) => (Some(side), connection, message),
        None => (None, Connection::default(), rest),
    };
    let (message, _age) = message.rsplit_once(" (age=").unwrap_or((message, ""));
    let entry = PoolerLogEntry {
        at: None,
        level: level.to_owned(),
        side,
        database: connection.database,
        user: connection.user,
        peer: connection.peer,
        message: mask::excerpt(message, MESSAGE_LIMIT),
        count: 1,
    };
    Some(Line { stamp, entry })
}

#[derive(Default)]
struct Connection {
    database: Option<String>,
    user: Option<String>,
    peer: Option<String>,
}

/// `S-0x55ee431a08f0: dead/app@127.0.0.1:21599 …`: whose connection, which, and what is said of it.
fn connection(text: &str) -> Option<(PoolerSide, Connection, &str)> {
    let (head, rest) = text.split_once(": ")?;
    let side = match head.get(..4)? {
        "C-0x" => PoolerSide::Client,
        "S-0x" => PoolerSide::Server,
        _ => return None,
    };
    let (who, message) = rest.split_once(' ')?;
    let (names, peer) = who.rsplit_once('@')?;
    let (database, user) = names.split_once('/')?;
    // `(nodb)`, `(nouser)`, `(bad-af):0`: not known yet.
    let known = |text: &str| (!text.starts_with('(')).then(|| mask::excerpt(text, MESSAGE_LIMIT));
    // A client's port is of its connection alone; one on a unix socket has its process there.
    let of_client = || peer.rsplit_once(':').map_or(peer, |(host, _)| host);
    let peer = known(if side == PoolerSide::Client { of_client() } else { peer });
    Some((side, Connection { database: known(database), user: known(user), peer }, message))
}

/// The first bytes of a line, at a character's end.
fn cut(line: &str) -> &str {
    let mut end = line.len().min(MOST_LINE);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded on PgBouncer 1.18.0.
    const LOG: &str = "\
2026-11-23 17:03:08.992 UTC [24521] LOG process up: PgBouncer 1.18.0, libevent 2.1.12-stable (epoll), adns: c-ares 1.18.1, tls: OpenSSL 3.0.19 27 Jan 2026
2026-11-23 17:03:10.085 UTC [24521] LOG C-0x55ee43198fb0: app/app@127.0.0.1:47466 login attempt: db=app user=app tls=no
2026-11-23 17:03:10.085 UTC [24521] LOG S-0x55ee431a0690: app/app@127.0.0.1:21501 new connection to server (from 127.0.0.1:54026)
2026-11-23 17:03:10.097 UTC [24521] LOG C-0x55ee43198fb0: app/app@127.0.0.1:47466 closing because: client close request (age=0s)
2026-11-23 17:03:10.156 UTC [24521] LOG S-0x55ee431a08f0: dead/app@127.0.0.1:21599 closing because: connect failed (age=0s)
2026-11-23 17:03:11.328 UTC [24521] LOG S-0x55ee431a08f0: dead/app@127.0.0.1:21599 closing because: connect failed (age=0s)
2026-11-23 17:03:12.328 UTC [24521] LOG C-0x55ee43198fb0: dead/app@127.0.0.1:47480 closing because: query_wait_timeout (age=2s)
2026-11-23 17:03:12.328 UTC [24521] WARNING C-0x55ee43198fb0: dead/app@127.0.0.1:47480 pooler error: query_wait_timeout
2026-11-23 17:03:12.546 UTC [24521] WARNING server login failed: FATAL password authentication failed for user \"pwuser\"
2026-11-23 17:03:12.546 UTC [24521] LOG C-0x55ee43198fb0: badpw/app@127.0.0.1:47500 closing because: password authentication failed for user \"pwuser\" (age=0s)
2026-11-23 17:03:12.546 UTC [24521] LOG S-0x55ee431a08f0: badpw/pwuser@127.0.0.1:21501 closing because: login failed (age=0s)
2026-11-23 17:03:12.616 UTC [24521] WARNING DNS lookup failed: nosuch.invalid: result=0
2026-11-23 17:03:12.616 UTC [24521] LOG S-0x55ee431a08f0: noname/app@(bad-af):0 closing because: server DNS lookup failed (age=0s)
2026-11-23 17:03:21.762 UTC [24521] WARNING C-0x55ee43199930: (nodb)/(nouser)@127.0.0.1:56960 pooler error: no more connections allowed (max_client_conn)
";

    fn seen(text: &str, written: &str) -> PoolerLogView {
        let end = LogEnd { text: text.to_owned(), written: written.parse().ok() };
        view(Path::new("/log"), &end, "2026-11-23T17:05:00Z".parse().expect("a time"))
    }

    fn told(view: &PoolerLogView) -> Vec<String> {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        view.entries
            .iter()
            .map(|n| {
                let side = n.side.map_or('-', |s| if s == PoolerSide::Client { 'C' } else { 'S' });
                let who = format!("{}/{}@{}", text(&n.database), text(&n.user), text(&n.peer));
                format!("{} {side} {who} {} x{}", n.level, n.message, n.count)
            })
            .collect()
    }

    #[test]
    fn failures_are_told_by_side_and_a_servers_reason_with_its_connection() {
        let seen = seen(LOG, "");
        assert_eq!(
            told(&seen),
            [
                "LOG S app/app@127.0.0.1:21501 new connection to server (from 127.0.0.1:54026) x1",
                "LOG S dead/app@127.0.0.1:21599 closing because: connect failed x2",
                "LOG C dead/app@127.0.0.1 closing because: query_wait_timeout x1",
                "WARNING S badpw/pwuser@127.0.0.1:21501 server login failed: FATAL password authentication failed for user \"pwuser\" x1",
                "LOG C badpw/app@127.0.0.1 closing because: password authentication failed for user \"pwuser\" x1",
                "WARNING - -/-@- DNS lookup failed: nosuch.invalid: result=0 x1",
                "LOG S noname/app@- closing because: server DNS lookup failed x1",
                "WARNING C -/-@127.0.0.1 pooler error: no more connections allowed (max_client_conn) x1",
            ]
        );
        assert_eq!(seen.lines, 14);
        assert_eq!(seen.entries[1].at, "2026-11-23T17:03:11.328Z".parse().ok());
    }

    #[test]
    fn syslogs_lines_and_zones_by_name_are_read_too() {
        let line = "Nov 23 18:03:11 host pgbouncer[24521]: S-0x55ee431a08f0: dead/app@127.0.0.1:21599 closing because: connect failed (age=0s)\n";
        assert_eq!(
            told(&seen(line, "")),
            ["LOG S dead/app@127.0.0.1:21599 closing because: connect failed x1"]
        );
        let berlin = LOG.replace("17:03", "18:03").replace("UTC", "CET");
        let seen = seen(&berlin, "2026-11-23T17:03:21.800Z");
        assert_eq!(seen.entries[1].at, "2026-11-23T17:03:11.328Z".parse().ok());
    }

    #[test]
    fn what_is_no_line_of_pgbouncers_is_passed_over() {
        for text in ["", "x", "2026-11-23 17:03:08.992 UTC [x] LOG y", "S-0x: ", "pgbouncer[é]: C-0xé: @"] {
            assert!(seen(text, "").entries.is_empty(), "{text}");
        }
        let secret =
            "2026-11-23 17:03:08.992 UTC [1] WARNING postgres://app:hunter2@db/app password=hunter2\n";
        assert!(!told(&seen(secret, ""))[0].contains("hunter2"));
    }

    #[test]
    fn the_log_is_where_the_configuration_puts_it() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for line in [
            "pgbouncer -d /etc/x.ini",
            "pgbouncer -u postgres -q ../etc/x.ini",
            "pgbouncer --user a /etc/x.ini",
        ] {
            let file = configuration(&words(line), Path::new("/var")).expect("a file");
            assert!(file.ends_with("etc/x.ini"), "{}", file.display());
        }
        assert_eq!(configuration(&words("pgbouncer -v"), Path::new("/")), None);
        let folder = tempfile::tempdir().expect("a folder");
        let (main, more) = (folder.path().join("main.ini"), folder.path().join("more.ini"));
        std::fs::write(&main, "[pgbouncer]\n; logfile = no\n%include more.ini\n").expect("a file");
        std::fs::write(&more, "logfile = pb.log\n").expect("a file");
        let place = Place::here(folder.path());
        assert_eq!(logfile(&place, &main), Some(folder.path().join("pb.log")));
        std::fs::write(folder.path().join("pb.log"), LOG).expect("a file");
        let now = Timestamp(0);
        let read = read(u32::MAX, None, (&words("pgbouncer main.ini"), folder.path()), now).expect("a log");
        assert_eq!(read.lines, 14);
        assert!(super::read(u32::MAX, None, (&words("pgbouncer"), folder.path()), now).is_err());
    }
}
