//! HAProxy's log: where it is, and what its lines say of sessions, servers and HAProxy itself.
//!
//! Configuration manual, 3.1 (`log`), 8.2.2 (TCP log format) and 8.5 (termination flags). Read is `option tcplog`; of a
//! `log-format` of somebody's own only HAProxy's messages about itself. Not in here: what the flags mean (`haproxy_words`
//! of the model), and a log that goes to journald, which is another window's.

use super::evidence::{HaproxyEnding, HaproxyEvent, HaproxyLogView};
use super::log_end::{self, Clock, LogEnd};
use super::procfs;
use crate::log_time::{Stamp, stamp};
use pgmedic_model::haproxy_words::{self, HaproxyWords};
use pgmedic_model::{Ms, Timestamp, mask};
use std::path::{Path, PathBuf};

/// Most endings, and most events.
const MOST_KEPT: usize = 40;
/// Longest line kept, in characters.
const LINE_LIMIT: usize = 200;
/// Bytes looked at of one line: HAProxy's own limit is 1024 unless `log … len` raises it.
const MOST_LINE: usize = 4096;
/// Longest session, in ms, for which its end is reckoned from its start: a year.
const LONGEST_MS: u64 = 366 * 86_400_000;
/// Where distributions let their syslog daemon put HAProxy's lines: Debian's own rule first, then the common files.
const SYSLOG_FILES: [&str; 4] =
    ["/var/log/haproxy.log", "/var/log/haproxy/haproxy.log", "/var/log/syslog", "/var/log/messages"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Where the lines go.
#[derive(Debug, PartialEq, Eq)]
enum Goal {
    /// To a descriptor of the process.
    Descriptor(u32),
    /// To this host's syslog daemon.
    Syslog,
    /// To a receiver whose files are not known.
    Elsewhere(String),
}

/// Reads the end of the log of a HAProxy: the file that is given, else where `targets` lead, the addresses of its `log`
/// lines.
///
/// # Errors
/// Why it was not read, in a sentence for `blind`.
pub(super) fn read(
    pid: u32,
    given: Option<&Path>,
    targets: &[String],
    now: Timestamp,
) -> Result<HaproxyLogView, String> {
    if let Some(file) = given {
        let end = log_end::read(file).map_err(|e| format!("HAProxy's log {}: {e}", file.display()))?;
        // It may be a syslog daemon's, with others' lines in it.
        let tagged = view(file, &end, true, now);
        return Ok(if tagged.lines > 0 { tagged } else { view(file, &end, false, now) });
    }
    let mut goals: Vec<Goal> = targets.iter().filter(|t| *t != "global").map(|t| goal(t)).collect();
    // Without a log HAProxy still tells of its servers on stderr, where it stays in the foreground.
    goals.push(Goal::Descriptor(2));
    let mut reason = None;
    for goal in &goals {
        let files = match goal {
            Goal::Descriptor(number) => std::fs::read_link(procfs::of(pid, &format!("fd/{number}")))
                .map(|end| vec![end])
                .unwrap_or_default(),
            Goal::Syslog => SYSLOG_FILES.iter().map(PathBuf::from).collect(),
            Goal::Elsewhere(_) => Vec::new(),
        };
        for file in files {
            match log_end::read(&file) {
                Ok(end) => {
                    let view = view(&file, &end, *goal == Goal::Syslog, now);
                    if view.lines > 0 {
                        return Ok(view);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    reason.get_or_insert(format!("HAProxy's log {}: {error}", file.display()));
                }
                Err(_) => {}
            }
        }
        match goal {
            Goal::Syslog => {
                reason
                    .get_or_insert("HAProxy logs to syslog, and no file of it here has its lines (platform.proxy_log would name it)".to_owned());
            }
            Goal::Elsewhere(place) => {
                reason.get_or_insert(format!("HAProxy logs to {place}: no file of this host that is known (platform.proxy_log would name it)"));
            }
            Goal::Descriptor(_) => {}
        }
    }
    Err(reason
        .unwrap_or_else(|| "HAProxy's log: its configuration names none that is a file here".to_owned()))
}

/// What the address of a `log` line leads to: `stdout`, `fd@2`, `/dev/log`, `127.0.0.1:514`, `ring@…`.
fn goal(address: &str) -> Goal {
    match address {
        "stdout" => return Goal::Descriptor(1),
        "stderr" => return Goal::Descriptor(2),
        _ => {}
    }
    if let Some(number) = address.strip_prefix("fd@").and_then(|number| number.parse().ok()) {
        return Goal::Descriptor(number);
    }
    let plain = address.split_once('@').map_or(address, |(_, rest)| rest);
    let host = plain.rsplit_once(':').map_or(plain, |(host, _)| host).trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    // A chroot has its own /dev/log, which Debian's rsyslog reads as well: `/var/lib/haproxy/dev/log`.
    if loopback || plain.ends_with("/dev/log") || matches!(plain, "/run/systemd/journal/dev-log" | "dev/log")
    {
        return Goal::Syslog;
    }
    Goal::Elsewhere(mask::excerpt(address, LINE_LIMIT))
}

/// A line while it is read: its time still by the log's clock.
struct Line {
    stamp: Option<Stamp>,
    /// Written to stderr in the foreground, perhaps besides its log.
    on_stderr: bool,
    what: What,
}

enum What {
    Ending(HaproxyEnding),
    Event(HaproxyEvent),
}

impl Line {
    const fn event(&self) -> Option<HaproxyWords> {
        match &self.what {
            What::Event(event) => Some(event.words),
            What::Ending(_) => None,
        }
    }
}

/// The view of a log's end. Of a syslog's file only the lines that HAProxy wrote count.
pub(super) fn view(path: &Path, end: &LogEnd, syslog: bool, now: Timestamp) -> HaproxyLogView {
    let mut view = HaproxyLogView { path: path.display().to_string(), ..HaproxyLogView::default() };
    let mut lines = Vec::new();
    let mut newest = None;
    for text in end.text.lines() {
        let text = cut(text);
        let mut stamp = stamp(text, now);
        if let Some((message, on_stderr)) = message(text, syslog) {
            view.lines += 1;
            let what = ending(message).map(|(ended, ending)| {
                stamp = stamp.filter(|at| matches!(at, Stamp::Zoned(_))).or(Some(Stamp::Local(ended)));
                What::Ending(ending)
            });
            let what = what.or_else(|| event(message).map(What::Event));
            lines.extend(what.map(|what| Line { stamp, on_stderr, what }));
        }
        newest = stamp.or(newest);
    }
    let clock = Clock::of(newest, end.written);
    let logged: Vec<HaproxyWords> =
        lines.iter().filter(|line| !line.on_stderr).filter_map(Line::event).collect();
    for line in lines {
        // What is on stderr as well as in the log was said once.
        if line.on_stderr && line.event().is_some_and(|words| logged.contains(&words)) {
            continue;
        }
        let at = line.stamp.and_then(|stamp| clock.moment(stamp));
        match line.what {
            What::Ending(ending) => keep_ending(&mut view.endings, HaproxyEnding { at, ..ending }),
            What::Event(event) => keep_event(&mut view.events, HaproxyEvent { at, ..event }),
        }
    }
    view.endings.drain(..view.endings.len().saturating_sub(MOST_KEPT));
    view.events.drain(..view.events.len().saturating_sub(MOST_KEPT));
    view
}

/// Adds an ending to those that are alike, the newest last.
fn keep_ending(all: &mut Vec<HaproxyEnding>, mut new: HaproxyEnding) {
    let alike = |n: &HaproxyEnding| {
        (&n.frontend, &n.backend, &n.server, &n.flags)
            == (&new.frontend, &new.backend, &new.server, &new.flags)
    };
    if let Some(old) = all.iter().position(alike).map(|at| all.remove(at)) {
        new.count += old.count;
        let (short, long) = old.total_range_ms;
        new.total_range_ms = (Ms(short.0.min(new.total_ms.0)), Ms(long.0.max(new.total_ms.0)));
    }
    all.push(new);
}

/// Adds an event to those that are alike, the newest last.
fn keep_event(all: &mut Vec<HaproxyEvent>, mut new: HaproxyEvent) {
    let alike = |n: &HaproxyEvent| (n.words, &n.proxy, &n.server) == (new.words, &new.proxy, &new.server);
    if let Some(old) = all.iter().position(alike).map(|at| all.remove(at)) {
        new.count += old.count;
        new.at = new.at.or(old.at);
    }
    all.push(new);
}

/// HAProxy's part of a line: behind syslog's tag, or behind the level on stderr (then true). None where another program
/// wrote it.
fn message(line: &str, syslog: bool) -> Option<(&str, bool)> {
    if let Some((_, rest)) = line.split_once("haproxy[") {
        let (pid, message) = rest.split_once("]: ")?;
        return pid.bytes().all(|b| b.is_ascii_digit()).then_some((message, false));
    }
    if syslog || line.trim().is_empty() {
        return None;
    }
    // `[WARNING]  (20045) : Server be/s1 is DOWN, …`
    if let Some((_, rest)) = line.strip_prefix('[').and_then(|rest| rest.split_once(") : ")) {
        return Some((rest, true));
    }
    // `<134>`: a priority, where the format is not `raw`.
    Some(match line.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        Some((priority, rest)) if priority.bytes().all(|b| b.is_ascii_digit()) => (rest, false),
        _ => (line, false),
    })
}

/// Reads a session's line: when it ended by the log's clock, and how.
///
/// `127.0.0.1:42614 [23/Nov/2026:17:01:37.508] fe be/<NOSRV> 1503/-1/1502 0 sQ 2/2/1/0/0 0/1`
fn ending(message: &str) -> Option<(Timestamp, HaproxyEnding)> {
    let (_client, rest) = message.split_once(" [")?;
    let (accepted, rest) = rest.split_once("] ")?;
    let mut words = rest.split_ascii_whitespace();
    // A `~` behind the frontend's name means that it speaks TLS.
    let frontend = words.next()?.trim_end_matches('~');
    let (backend, server) = words.next()?.split_once('/')?;
    // In the queue, to connect, in all. HTTP's line has five times, and is not a database's.
    let [queue, connect, total] = numbers::<3>(words.next()?)?;
    let bytes = words.next()?.trim_start_matches('+').parse().ok()?;
    let flags = words.next()?;
    haproxy_words::ended(flags)?;
    let [_, _, _, _, retries] = numbers::<5>(words.next()?)?;
    let [in_server, in_backend] = numbers::<2>(words.next()?)?;
    let total = total.unwrap_or(0);
    let ended = Timestamp(date(accepted)?.0.checked_add(i64::try_from(total.min(LONGEST_MS)).ok()?)?);
    let total_ms = ms(total);
    let ending = HaproxyEnding {
        frontend: mask::excerpt(frontend, LINE_LIMIT),
        backend: mask::excerpt(backend, LINE_LIMIT),
        server: (server != "<NOSRV>").then(|| mask::excerpt(server, LINE_LIMIT)),
        flags: flags.to_owned(),
        count: 1,
        at: None,
        queue_ms: queue.map(ms),
        connect_ms: connect.map(ms),
        total_ms,
        total_range_ms: (total_ms, total_ms),
        bytes,
        retries: retries.unwrap_or(0),
        queued: (in_server.unwrap_or(0), in_backend.unwrap_or(0)),
        last: mask::excerpt(message, LINE_LIMIT),
    };
    Some((ended, ending))
}

/// Numbers parted by `/`; -1 is none, and a `+` (`option logasap`: not yet at its end; a redispatch) is passed over.
fn numbers<const N: usize>(text: &str) -> Option<[Option<u64>; N]> {
    let mut found = [None; N];
    let mut parts = text.split('/');
    for slot in &mut found {
        let part = parts.next()?;
        *slot = match part.trim_start_matches('+') {
            "-1" => None,
            number => Some(number.parse().ok()?),
        };
    }
    parts.next().is_none().then_some(found)
}

#[expect(clippy::cast_precision_loss, reason = "a session's milliseconds need no more than 52 bits")]
const fn ms(number: u64) -> Ms {
    Ms(number as f64)
}

/// `23/Nov/2026:17:01:37.508`, read as if it were UTC.
fn date(text: &str) -> Option<Timestamp> {
    let (day, rest) = text.split_once('/')?;
    let (month, rest) = rest.split_once('/')?;
    let (year, time) = rest.split_once(':')?;
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let day: u8 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    let year: u16 = year.parse().ok()?;
    format!("{year:04}-{month:02}-{day:02}T{time}Z").parse().ok()
}

/// Reads a message that is about no session.
fn event(message: &str) -> Option<HaproxyEvent> {
    let words = haproxy_words::meaning(message)?;
    let (proxy, server) = subject(message, words);
    let named = |name: &str| Some(mask::excerpt(name, LINE_LIMIT)).filter(|name| !name.is_empty());
    let message = mask::excerpt(message, LINE_LIMIT);
    Some(HaproxyEvent {
        words,
        at: None,
        proxy: proxy.and_then(named),
        server: server.and_then(named),
        count: 1,
        message,
    })
}

/// Whom a message is about: `Server be/s1 is …`, `backend 'be' has …`, `Proxy fe stopped …`.
fn subject(message: &str, words: HaproxyWords) -> (Option<&str>, Option<&str>) {
    let after = |key: &str| {
        let (_, rest) = message.split_once(key)?;
        rest.split_ascii_whitespace().next().map(|word| word.trim_matches(['\'', ':', '"']))
    };
    let about_server = matches!(
        words,
        HaproxyWords::ServerDown
            | HaproxyWords::ServerUp
            | HaproxyWords::ServerInMaintenance
            | HaproxyWords::NameUnresolved
    );
    if about_server {
        let pair = after("Server ").or_else(|| after("'server ")).and_then(|name| name.split_once('/'));
        return (pair.map(|(proxy, _)| proxy), pair.map(|(_, server)| server));
    }
    (after("backend ").or_else(|| after("proxy ")).or_else(|| after("Proxy ")), None)
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

    /// Recorded on HAProxy 2.6.12, `log stdout format raw local0`.
    const RAW: &str = "\
127.0.0.1:42588 [23/Nov/2026:17:01:37.165] fe be/s1 1/0/23 476 -- 1/1/0/0/0 0/0
127.0.0.1:42614 [23/Nov/2026:17:01:37.508] fe be/<NOSRV> 1503/-1/1502 0 sQ 2/2/1/0/0 0/1
127.0.0.1:42600 [23/Nov/2026:17:01:37.210] fe be/s1 1/1/2004 410 cD 1/1/0/0/0 0/0
127.0.0.1:47424 [23/Nov/2026:17:01:39.252] dead dead/d1 1/-1/1001 0 SC 1/1/0/0/1 0/0
127.0.0.1:42622 [23/Nov/2026:17:01:40.306] fe be/s1 1/2/2011 410 cD 1/1/0/0/0 0/0
Connect from 127.0.0.1:56340 to 127.0.0.1:21515 (def/TCP)
Server be/s1 is DOWN, reason: Layer4 connection problem, info: \"Connection refused\", check duration: 0ms. 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.
backend be has no server available!
127.0.0.1:53588 [23/Nov/2026:17:01:47.102] fe be/<NOSRV> -1/-1/0 0 SC 1/1/0/0/0 0/0
";

    fn now() -> Timestamp {
        "2026-11-23T17:05:00Z".parse().expect("a time")
    }

    fn seen(text: &str, written: &str, syslog: bool) -> HaproxyLogView {
        let end = LogEnd { text: text.to_owned(), written: written.parse().ok() };
        view(Path::new("/log"), &end, syslog, now())
    }

    #[test]
    fn sessions_are_told_by_how_they_ended() {
        let seen = seen(RAW, "2026-11-23T17:01:47.102Z", false);
        assert_eq!(seen.lines, 9);
        let told: Vec<_> = seen
            .endings
            .iter()
            .map(|n| {
                (
                    n.flags.as_str(),
                    n.server.as_deref(),
                    n.count,
                    n.at.map(|t| t.to_string()).unwrap_or_default(),
                )
            })
            .collect();
        let at = |time: &str| format!("2026-11-23T17:01:{time}Z");
        assert_eq!(
            told,
            [
                ("--", Some("s1"), 1, at("37.188")),
                ("sQ", None, 1, at("39.010")),
                ("SC", Some("d1"), 1, at("40.253")),
                ("cD", Some("s1"), 2, at("42.317")),
                ("SC", None, 1, at("47.102")),
            ]
        );
        let queued = &seen.endings[1];
        assert_eq!((queued.queue_ms, queued.connect_ms, queued.queued), (Some(Ms(1503.0)), None, (0, 1)));
        let idle = &seen.endings[3];
        assert_eq!((idle.total_range_ms, idle.bytes), ((Ms(2004.0), Ms(2011.0)), 410));
        assert_eq!(seen.endings[2].retries, 1);
    }

    #[test]
    fn what_haproxy_says_of_servers_is_told_once() {
        let both = format!("{RAW}[ALERT]    (20045) : backend 'be' has no server available!\n");
        let seen = seen(&both, "2026-11-23T17:01:47.102Z", false);
        let told: Vec<_> =
            seen.events.iter().map(|n| (n.words, n.proxy.as_deref(), n.server.as_deref(), n.count)).collect();
        assert_eq!(
            told,
            [
                (HaproxyWords::ServerDown, Some("be"), Some("s1"), 1),
                (HaproxyWords::NoServerAvailable, Some("be"), None, 1)
            ]
        );
        assert!(seen.events[0].message.contains("Layer4 connection problem"));
    }

    #[test]
    fn of_a_syslogs_file_only_haproxys_lines_count_and_the_zone_is_told_by_the_files_age() {
        let line =
            |time: &str, program: &str, message: &str| format!("Nov 23 {time} host {program}: {message}\n");
        let session = "10.0.0.1:4 [23/Nov/2026:18:01:37.508] fe~ be/<NOSRV> 1503/-1/1502 0 sQ 2/2/1/0/0 0/1";
        let text = line("18:01:39", "haproxy[9]", session)
            + &line("18:01:40", "app[1]", RAW.lines().next().expect("a line"))
            + &line("18:01:41", "haproxy[9]", "backend be has no server available!");
        let seen = seen(&text, "2026-11-23T17:01:41.300Z", true);
        assert_eq!((seen.lines, seen.endings.len(), seen.events.len()), (2, 1, 1));
        assert_eq!(seen.endings[0].frontend, "fe");
        assert_eq!(seen.endings[0].at, "2026-11-23T17:01:39.010Z".parse().ok());
        assert_eq!(seen.events[0].at, "2026-11-23T17:01:41Z".parse().ok());
    }

    #[test]
    fn rfc_3339_stamps_of_rsyslog_tell_their_zone() {
        let text = "2026-11-23T18:01:41.123456+01:00 host haproxy[9]: backend be has no server available!\n";
        let seen = seen(text, "2026-11-23T20:00:00Z", true);
        assert_eq!(seen.events[0].at, "2026-11-23T17:01:41.123Z".parse().ok());
    }

    #[test]
    fn what_is_no_such_line_is_none() {
        for text in [
            "",
            "x [",
            "10.0.0.1:4 [23/Nov/2026:18:01:37.508] http~ be/s1 0/0/1/2/3 200 15 - - ---- 1/1/0/0/0 0/0 \"GET / HTTP/1.1\"",
            "10.0.0.1:4 [23/Nov/2026:18:01:37.508] fe be/s1 1/0/99999999999999999999 4 -- 1/1/0/0/0 0/0",
            "10.0.0.1:4 [99/Foo/2026:18:01:37.508] fe be/s1 1/0/9 4 -- 1/1/0/0/0 0/0",
            "10.0.0.1:4 [23/Nov/2026:18:01:37.508] fe be/s1 1/0/9 4 é- 1/1/0/0/0 0/0",
        ] {
            assert!(ending(text).is_none(), "{text}");
        }
        let flood: String = (0..500)
            .map(|n| format!("1.1.1.1:1 [23/Nov/2026:18:01:37.508] f{n} b/s 1/0/9 4 cD 1/1/0/0/0 0/0\n"))
            .collect();
        assert_eq!(seen(&flood, "", false).endings.len(), MOST_KEPT);
    }

    #[test]
    fn targets_lead_to_descriptors_syslog_or_elsewhere() {
        for (address, expected) in [
            ("stdout", Goal::Descriptor(1)),
            ("fd@2", Goal::Descriptor(2)),
            ("/dev/log", Goal::Syslog),
            ("/var/lib/haproxy/dev/log", Goal::Syslog),
            ("127.0.0.1:514", Goal::Syslog),
            ("[::1]:514", Goal::Syslog),
            ("localhost", Goal::Syslog),
            ("udp@127.0.0.1", Goal::Syslog),
            ("10.0.0.9:514", Goal::Elsewhere("10.0.0.9:514".to_owned())),
            ("ring@myring", Goal::Elsewhere("ring@myring".to_owned())),
            ("/run/receiver.sock", Goal::Elsewhere("/run/receiver.sock".to_owned())),
        ] {
            assert_eq!(goal(address), expected, "{address}");
        }
        let why = read(u32::MAX, None, &["10.0.0.9:514".to_owned()], now()).expect_err("no such process");
        assert!(why.contains("10.0.0.9:514"), "{why}");
    }
}
