//! HAProxy's own account of itself: its configuration on disk, and `show info` and `show stat` on its stats socket.
//!
//! Management guide, sections 9.1 (CSV format) and 9.3 (unix socket commands). Not in here: which process is a HAProxy.

use super::evidence::{HaproxyRow, HaproxyView};
use super::haproxy_timeouts::{self, Section};
use super::procfs;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Most configuration files, and most bytes of one.
const MOST_FILES: usize = 64;
const MOST_BYTES: u64 = 1 << 20;
/// Most bytes of an answer, and most rows kept of it.
const MOST_ANSWER: usize = 1 << 20;
const MOST_ROWS: usize = 200;
/// How long a stats socket may take: it answers from memory in well under a millisecond, unless it hangs.
const PATIENCE: Duration = Duration::from_millis(250);

/// What matters of a HAProxy's configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Configuration {
    /// Paths of `stats socket`.
    pub(super) stats: Vec<PathBuf>,
    /// Addresses of `server` lines that are literal, with names that mean loopback taken as such.
    pub(super) servers: Vec<SocketAddr>,
    /// Unix sockets of `server` lines.
    pub(super) server_sockets: Vec<PathBuf>,
    /// Addresses of `log` lines: `stdout`, `/dev/log`, `127.0.0.1:514`, `global`.
    pub(super) logs: Vec<String>,
    /// Its sections, for their timeouts.
    pub(super) sections: Vec<Section>,
}

/// Reads the files and folders that `-f` names on the command line. Relative names are below `cwd`.
pub(super) fn configuration(arguments: &[String], cwd: &Path) -> Configuration {
    let mut found = Configuration::default();
    for file in files(arguments, cwd) {
        if let Ok(text) = procfs::read_text(&file, MOST_BYTES) {
            text.lines().for_each(|line| found.take(line));
        }
    }
    found
}

/// The files that `-f` names; of a folder all `*.cfg` (HAProxy's own rule).
fn files(arguments: &[String], cwd: &Path) -> Vec<PathBuf> {
    let mut after_f = false;
    let mut all = Vec::new();
    for word in arguments.iter().skip(1) {
        // `-f` takes every word up to the next option; `--` ends the options and more files follow.
        match word.as_str() {
            "-f" | "--" => after_f = true,
            option if option.starts_with('-') => after_f = false,
            file if after_f => all.push(cwd.join(file)),
            _ => {}
        }
    }
    all.into_iter()
        .flat_map(|path| if path.is_dir() { folder(&path) } else { vec![path] })
        .take(MOST_FILES)
        .collect()
}

fn folder(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten().take(MOST_FILES);
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "cfg"));
    files.sort();
    files
}

impl Configuration {
    pub(super) fn take(&mut self, line: &str) {
        haproxy_timeouts::take(&mut self.sections, line);
        let mut words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
        match (words.next(), words.next(), words.next()) {
            (Some("stats"), Some("socket"), Some(address)) => {
                let path = address.strip_prefix("unix@").unwrap_or(address);
                self.stats.extend(path.starts_with('/').then(|| PathBuf::from(path)));
            }
            (Some("server"), Some(_name), Some(address)) => match server(address) {
                Some(Server::Tcp(address)) => self.servers.push(address),
                Some(Server::Unix(path)) => self.server_sockets.push(path),
                None => {}
            },
            (Some("log"), Some(address), _) => self.logs.push(address.to_owned()),
            _ => {}
        }
    }
}

enum Server {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A server's address: `127.0.0.1:5433`, `localhost:5433`, `ipv4@…`, `[::1]:5433`, `/run/…/.s.PGSQL.5433`.
fn server(address: &str) -> Option<Server> {
    let address = address.split_once('@').map_or(address, |(_, rest)| rest);
    if address.starts_with('/') {
        return Some(Server::Unix(address.into()));
    }
    let (host, port) = address.rsplit_once(':')?;
    let ip = match host.trim_matches(['[', ']']) {
        "localhost" => std::net::Ipv4Addr::LOCALHOST.into(),
        literal => literal.parse().ok()?,
    };
    Some(Server::Tcp(SocketAddr::new(ip, port.parse().ok()?)))
}

/// Asks the first stats socket that is there. None where the configuration names none.
pub(super) fn ask(sockets: &[PathBuf], until: Instant) -> Option<HaproxyView> {
    let socket = sockets.iter().find(|path| path.exists()).or_else(|| sockets.first())?;
    let mut view = HaproxyView { socket: socket.display().to_string(), ..HaproxyView::default() };
    match talk(socket, until.min(Instant::now() + PATIENCE)) {
        Ok(answer) => read_answer(&answer, &mut view),
        Err(failure) => view.failure = Some(failure),
    }
    Some(view)
}

/// One visit: both commands at once, the answer up to EOF.
fn talk(socket: &Path, until: Instant) -> Result<String, String> {
    let mut stream = connect(socket).map_err(|error| error.to_string())?;
    let left = || until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => "connected, then silent".to_owned(),
        _ => error.to_string(),
    };
    stream.set_nonblocking(false).map_err(failed)?;
    stream.set_write_timeout(Some(left())).map_err(failed)?;
    stream.write_all(b"show info;show stat\n").map_err(failed)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 16 << 10];
    while answer.len() < MOST_ANSWER && Instant::now() < until {
        stream.set_read_timeout(Some(left())).map_err(failed)?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&buffer[..length]),
            Err(error) if answer.is_empty() => return Err(failed(error)),
            Err(_) => break,
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Connects without waiting: the connect(2) of a unix socket blocks where the listener's queue is full.
fn connect(socket: &Path) -> std::io::Result<UnixStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&fd, &SocketAddrUnix::new(socket)?)?;
    Ok(UnixStream::from(fd))
}

/// Reads `Name: value` lines of `show info`, then the CSV of `show stat`.
pub(super) fn read_answer(answer: &str, view: &mut HaproxyView) {
    let value = |name: &str| {
        answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.trim().parse().ok())
    };
    view.current = value("CurrConns");
    view.max = value("Maxconn");
    view.uptime_s = value("Uptime_sec");
    let mut lines = answer.lines().skip_while(|line| !line.starts_with("# "));
    let header: Vec<&str> = lines.next().unwrap_or_default().trim_start_matches("# ").split(',').collect();
    let rows = lines.take_while(|line| !line.is_empty()).take(MOST_ROWS);
    view.rows = rows.map(|line| row(&header, &fields(line))).collect();
    if view.current.is_none() && view.rows.is_empty() {
        view.failure = Some("its answer could not be read".to_owned());
    }
}

/// The fields of a CSV row; a quoted one may hold commas.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().into_iter().for_each(|field| field.push(c)),
        }
    }
    fields
}

fn row(header: &[&str], fields: &[String]) -> HaproxyRow {
    let text = |name: &str| {
        let at = header.iter().position(|column| *column == name);
        at.and_then(|at| fields.get(at)).cloned().unwrap_or_default()
    };
    let number = |name: &str| text(name).parse::<u64>().ok();
    HaproxyRow {
        proxy: text("pxname"),
        server: text("svname"),
        status: text("status"),
        check: text("check_status").trim_start_matches("* ").to_owned(),
        sessions: number("scur").unwrap_or_default(),
        limit: number("slim"),
        queued: number("qcur").unwrap_or_default(),
        downs: number("chkdown"),
        since_change_s: number("lastchg"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CFG: &str = "global\n  log /dev/log local0\n  stats socket /run/haproxy/admin.sock mode 660 level admin\n  maxconn 5\n\
        frontend pg\n  bind :5432\nbackend pg\n  server a 127.0.0.1:5433 check\n  server b ipv6@[::1]:5434 # no\n\
        server c localhost:5435\n server d db.internal:5432\n server e unix@/run/.s.PGSQL.5432\n # server f 127.0.0.1:1\n\
        stats socket ipv4@127.0.0.1:9999\n";

    /// Cut from what HAProxy 2.6.12 answers to `show info;show stat`.
    const ANSWER: &str = "Name: HAProxy\nVersion: 2.6.12-1+deb12u2\nMaxconn: 5\nHard_maxconn: 5\nCurrConns: 5\n\n\
        # pxname,svname,qcur,qmax,scur,smax,slim,stot,status,check_status,last_chk,\n\
        fe,FRONTEND,,,5,5,5,9,OPEN,,,\n\
        be,s1,2,2,5,5,,9,DOWN,* L4CON,\"Connection refused, a, b\",\n\
        be,BACKEND,0,0,5,5,1,9,UP,,,\n\n";

    #[test]
    fn the_configuration_tells_the_stats_socket_and_the_servers() {
        let mut found = Configuration::default();
        CFG.lines().for_each(|line| found.take(line));
        assert_eq!(found.stats, [PathBuf::from("/run/haproxy/admin.sock")]);
        let servers: Vec<_> = found.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["127.0.0.1:5433", "[::1]:5434", "127.0.0.1:5435"]);
        assert_eq!(found.server_sockets, [PathBuf::from("/run/.s.PGSQL.5432")]);
        assert_eq!(found.logs, ["/dev/log"]);
    }

    #[test]
    fn files_are_those_that_f_names() {
        let words: Vec<_> =
            "haproxy -Ws -f a.cfg -p pid -f /b.cfg c.cfg -x s".split(' ').map(str::to_owned).collect();
        assert_eq!(
            files(&words, Path::new("/w")),
            [PathBuf::from("/w/a.cfg"), "/b.cfg".into(), "/w/c.cfg".into()]
        );
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("x.cfg"), CFG).expect("a file");
        std::fs::write(dir.path().join("x.txt"), "").expect("a file");
        let words = ["haproxy".to_owned(), "-f".to_owned(), dir.path().display().to_string()];
        assert_eq!(files(&words, Path::new("/")), [dir.path().join("x.cfg")]);
        assert_eq!(configuration(&words, Path::new("/")).stats.len(), 1);
    }

    #[test]
    fn the_answer_tells_connections_limits_and_rows() {
        let mut view = HaproxyView::default();
        read_answer(ANSWER, &mut view);
        assert_eq!((view.current, view.max, view.rows.len()), (Some(5), Some(5), 3));
        let down = HaproxyRow {
            proxy: "be".to_owned(),
            server: "s1".to_owned(),
            status: "DOWN".to_owned(),
            check: "L4CON".to_owned(),
            sessions: 5,
            limit: None,
            queued: 2,
            ..HaproxyRow::default()
        };
        assert_eq!((&view.rows[1], view.rows[0].limit), (&down, Some(5)));
        let mut view = HaproxyView::default();
        read_answer("Unknown command.", &mut view);
        assert!(view.failure.is_some());
    }

    #[test]
    fn a_silent_stats_socket_and_a_missing_one_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("admin.sock");
        let missing = ask(std::slice::from_ref(&path), Instant::now() + PATIENCE).expect("a view");
        assert!(missing.failure.is_some_and(|why| why.contains("No such file")));
        let _listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        let begun = Instant::now();
        let silent = ask(&[path], begun + Duration::from_millis(40)).expect("a view");
        assert_eq!(silent.failure.as_deref(), Some("connected, then silent"));
        assert!(begun.elapsed() < PATIENCE);
        assert_eq!(ask(&[], begun), None);
    }
}
