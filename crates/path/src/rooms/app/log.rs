//! The API's log: what its last lines say of the database, and whether that still holds. Reads the end of a regular file
//! or a text that was piped in; never a FIFO or a device, whose bytes belong to another reader.

use super::evidence::{LogEvidence, LogHit, LogPattern};
use super::log_shape;
use crate::aside::{self, NoResult};
use crate::clock;
use crate::evidence::Seen;
use crate::log_time::Stamp;
use crate::service::LogSource;
use pgmedic_model::driver_words::{meaning, says_connected};
use pgmedic_model::{Errno, Ms, Timestamp, mask};
use rustix::fs::{Mode, OFlags};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use tokio::time::Instant;

/// Bytes looked at, from the end.
const END: usize = 256 * 1024;
/// Characters of a line that are shown.
const SHOWN: usize = 200;
/// A line older than this tells of the past.
const FRESH: Ms = Ms(600_000.0);

/// Reads the log. `target` is the database's host as the API names it: common errors count only where they name it.
pub async fn look(source: &LogSource, target: &str, deadline: Instant) -> Seen<LogEvidence> {
    let at = clock::now();
    match source {
        LogSource::Text(text) => Seen::Seen(evidence(at, "stdin", end_of(text.as_bytes()), Ms(0.0), target)),
        LogSource::File(path) => {
            let (place, path, target) = (path.display().to_string(), path.clone(), target.to_owned());
            let named = place.clone();
            let read =
                move || end_of_file(&path).map(|(bytes, idle)| evidence(at, &named, &bytes, idle, &target));
            match aside::call("read-log", deadline, read).await {
                Ok(Ok(evidence)) => Seen::Seen(evidence),
                Ok(Err(why)) => Seen::NotSeen(format!("{place}: {why}")),
                Err(error @ (NoResult::Silent | NoResult::Failed(_))) => {
                    Seen::NotSeen(format!("{place}: {error}; is it on a network share that hangs?"))
                }
            }
        }
    }
}

/// The end of a text, from a line's start.
fn end_of(bytes: &[u8]) -> &[u8] {
    match bytes.len().checked_sub(END) {
        None => bytes,
        Some(from) => from_a_line(&bytes[from..]),
    }
}

/// Drops the first line, which is only a part of one.
fn from_a_line(bytes: &[u8]) -> &[u8] {
    bytes.iter().position(|b| *b == b'\n').map_or(bytes, |end| &bytes[end + 1..])
}

/// The end of a regular file, and how long ago it was last written. Else why not, and what to do.
fn end_of_file(path: &Path) -> Result<(Vec<u8>, Ms), String> {
    let kind = std::fs::metadata(path).map_err(|error| advice(&error))?;
    if !kind.is_file() {
        return Err("not a regular file, so it is not read; give a file, or pipe the lines in".to_owned());
    }
    // Without waiting, in case a FIFO has taken the file's place meanwhile.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| advice(&error.into()))?;
    read_end(File::from(file)).map_err(|error| advice(&error))
}

fn read_end(mut file: File) -> std::io::Result<(Vec<u8>, Ms)> {
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(std::io::Error::other("it is no longer a regular file"));
    }
    let from = about.len().saturating_sub(END as u64);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(END as u64).read_to_end(&mut bytes)?;
    if from > 0 {
        bytes = from_a_line(&bytes).to_vec();
    }
    let idle = about.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
    Ok((bytes, idle.into()))
}

/// What the system said, and what would let pgmedic read the file.
fn advice(error: &std::io::Error) -> String {
    let Some(number) = error.raw_os_error() else { return error.to_string() };
    let errno = Errno::from_number(number);
    let advice = match errno.name.as_str() {
        "EACCES" | "EPERM" => "; run pgmedic as a user that may read it, or pipe the lines in",
        "ENOENT" => "; give the path of the API's log on this host, or pipe the lines in",
        _ => "",
    };
    format!("{errno}: {}{advice}", errno.meaning())
}

/// A line worth remembering.
struct Hit<'l> {
    text: Cow<'l, str>,
    count: u64,
    /// The line's place, for telling what came after it.
    place: usize,
    stamp: Option<Stamp>,
}

/// Reads the lines. `idle` is the time since the last of them was written.
pub(crate) fn evidence(at: Timestamp, place: &str, bytes: &[u8], idle: Ms, target: &str) -> LogEvidence {
    let text = String::from_utf8_lossy(bytes);
    let mut newest_first: VecDeque<(LogPattern, Hit<'_>)> = VecDeque::new();
    let (mut lines_read, mut connected, mut stamped, mut newest_local) = (0, None, None, None);
    for (number, line) in text.lines().enumerate() {
        lines_read += 1;
        let told = log_shape::told(line, at);
        // A line without a stamp goes with the last that has one, as a stack trace does.
        stamped = told.stamp.or(stamped);
        if let Some(Stamp::Local(time)) = stamped {
            newest_local = newest_local.max(Some(time));
        }
        if let Some(pattern) = meaning(&told.text, target) {
            let before =
                newest_first.iter().position(|(p, _)| *p == pattern).and_then(|i| newest_first.remove(i));
            let count = before.map_or(0, |(_, hit)| hit.count) + 1;
            newest_first.push_front((pattern, Hit { text: told.text, count, place: number, stamp: stamped }));
        } else if says_connected(&told.text) {
            connected = Some(number);
        }
    }
    let old = |stamp: Option<Stamp>| match (stamp, newest_local) {
        (Some(Stamp::Zoned(time)), _) => (at.0 - time.0) as f64 > FRESH.0,
        // The zone is not told: such a stamp is as old as the newest of its kind, which was written `idle` ago.
        (Some(Stamp::Local(time)), Some(newest)) => (newest.0 - time.0) as f64 + idle.0 > FRESH.0,
        (Some(Stamp::Local(_)) | None, _) => idle.0 > FRESH.0,
    };
    let hits = newest_first.into_iter().rev().map(|(pattern, hit)| LogHit {
        pattern,
        count: hit.count,
        last: mask::excerpt(&hit.text, SHOWN),
        stale: connected.is_some_and(|place| place > hit.place) || old(hit.stamp),
    });
    LogEvidence { at, place: place.to_owned(), lines_read, hits: hits.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const AT: &str = "2026-11-23T03:20:00Z";

    fn read(text: &str) -> LogEvidence {
        evidence(AT.parse().unwrap(), "stdin", end_of(text.as_bytes()), Ms(0.0), "renderflow-db.internal")
    }

    fn staleness(text: &str) -> Vec<(LogPattern, u64, bool)> {
        read(text).hits.iter().map(|hit| (hit.pattern, hit.count, hit.stale)).collect()
    }

    #[test]
    fn lines_are_counted_by_what_they_mean_newest_last() {
        let found = staleness(
            "2026-11-23T03:19:00Z error: Database not initialised\n\
             2026-11-23T03:19:01Z error: write CONNECT_TIMEOUT renderflow-db.internal:5432\n\
             2026-11-23T03:19:02Z GET /api/v1/ready 503\n\
             2026-11-23T03:19:03Z error: write CONNECT_TIMEOUT renderflow-db.internal:5432\n",
        );
        assert_eq!(found, [(LogPattern::NotInitialised, 1, false), (LogPattern::ConnectTimeout, 2, false)]);
    }

    #[test]
    fn what_was_mended_since_is_stale() {
        let text = "2026-11-23T03:19:00Z Database not initialised\n2026-11-23T03:19:09Z Database connected\n";
        assert_eq!(staleness(text), [(LogPattern::NotInitialised, 1, true)]);
        let again = format!("{text}2026-11-23T03:19:30Z Database not initialised\n");
        assert_eq!(staleness(&again), [(LogPattern::NotInitialised, 2, false)]);
    }

    #[test]
    fn what_is_older_than_ten_minutes_is_stale() {
        assert!(staleness("2026-11-23T03:09:59Z Database not initialised")[0].2);
        assert!(!staleness("2026-11-23T03:10:01Z Database not initialised")[0].2);
        assert!(staleness("2026-11-23T03:09:59Z Error:\n    Database not initialised\n    at x.ts:1")[0].2);
        assert!(!staleness("Database not initialised")[0].2);
    }

    #[test]
    fn a_stamp_without_a_zone_is_measured_against_its_like() {
        let old =
            "2026-11-22 22:00:00,000 ERROR Database not initialised\n2026-11-22 22:30:00,000 INFO GET /\n";
        assert!(staleness(old)[0].2);
        let now =
            "2026-11-22 22:29:00,000 ERROR Database not initialised\n2026-11-22 22:30:00,000 INFO GET /\n";
        assert!(!staleness(now)[0].2);
    }

    #[test]
    fn json_lines_are_shown_by_what_they_say() {
        let text = r#"{"level":50,"time":1795403950000,"pid":7,"err":{"message":"write CONNECT_TIMEOUT db:5432"},"msg":"job"}"#;
        let hit = read(text).hits.remove(0);
        assert_eq!((hit.last.as_str(), hit.stale), ("write CONNECT_TIMEOUT db:5432 job", false));
        let mended = format!("{text}\n{{\"time\":1795403951000,\"db\":\"connected\",\"msg\":\"ready\"}}");
        assert!(read(&mended).hits[0].stale);
    }

    #[test]
    fn a_shown_line_is_masked_and_short() {
        let text = format!("Database not initialised: postgres://app:hunter2@db/app {}", "x".repeat(100_000));
        let last = read(&text).hits.remove(0).last;
        assert!(!last.contains("hunter2") && last.contains("***"), "{last}");
        assert_eq!(last.chars().count(), SHOWN);
    }

    #[tokio::test]
    async fn only_the_end_of_a_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.log");
        let mut text = "Database not initialised\n".to_owned();
        while text.len() < 2 * END {
            text.push_str("GET /health 200\n");
        }
        std::fs::write(&path, &text).unwrap();
        let soon = Instant::now() + Duration::from_secs(5);
        match look(&LogSource::File(path), "", soon).await {
            Seen::Seen(log) => {
                assert!(log.hits.is_empty());
                assert!((10_000..20_000).contains(&log.lines_read), "{}", log.lines_read);
            }
            Seen::NotSeen(why) => panic!("{why}"),
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_says_why_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, Mode::RUSR).unwrap();
        let soon = || Instant::now() + Duration::from_secs(5);
        for (path, words) in [
            (fifo, "not a regular file"),
            ("/dev/null".into(), "not a regular file"),
            (folder.path().into(), "not a regular file"),
            (folder.path().join("none"), "ENOENT 2"),
        ] {
            match look(&LogSource::File(path), "", soon()).await {
                Seen::NotSeen(why) => assert!(why.contains(words), "{why}"),
                Seen::Seen(log) => panic!("{log:?}"),
            }
        }
    }
}
