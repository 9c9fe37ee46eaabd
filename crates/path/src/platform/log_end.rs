//! The end of a log file: its last bytes, and how its clock stands to ours. Not in here: what the lines say.

use crate::log_time::Stamp;
use pgmedic_model::Timestamp;
use rustix::fs::{Mode, OFlags};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// How much of the end is read.
const TAIL_BYTES: u64 = 256 << 10;
/// Zones differ from UTC by multiples of a quarter of an hour.
const QUARTER_MS: i64 = 900_000;
/// The farthest zones are 14 h ahead of UTC and 12 h behind it.
const FARTHEST_MS: i64 = 14 * 3_600_000;
/// A last line counts as written with the file's last change where its clock is this near to a zone's.
const NEAR_MS: i64 = 5_000;

/// The end of a log file.
#[derive(Debug, Default)]
pub(super) struct LogEnd {
    /// Its last 256 KiB, without the line that was cut.
    pub(super) text: String,
    /// When it was last written.
    pub(super) written: Option<Timestamp>,
}

/// Reads the end of a regular file.
///
/// # Errors
/// What the system says; or that it is no regular file, whose bytes would belong to another reader.
pub(super) fn read(path: &Path) -> std::io::Result<LogEnd> {
    // Without waiting, as opening a FIFO would for its writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mut file = std::fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let length = file.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let written = file.metadata()?.modified().ok().and_then(|time| {
        let since = time.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis()).ok().map(Timestamp)
    });
    let mut bytes = Vec::with_capacity(usize::try_from(length - from).unwrap_or_default());
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let text = match text.split_once('\n') {
        Some((_, whole)) if from > 0 => whole.to_owned(),
        _ => text.into_owned(),
    };
    Ok(LogEnd { text, written })
}

/// How a log's clock, whose zone it does not tell (or by an abbreviation that is not unique), stands to UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Clock {
    /// What the log's clock shows more than UTC, in ms. None where it could not be told.
    ahead_ms: Option<i64>,
}

impl Clock {
    /// By the newest stamp in the log and the file's last change: the two are the same moment.
    pub(super) fn of(newest: Option<Stamp>, written: Option<Timestamp>) -> Self {
        let ahead = || {
            let Stamp::Local(newest) = newest? else { return None };
            let ahead = newest.0.checked_sub(written?.0)?;
            let zone = ahead.checked_add(QUARTER_MS / 2)?.div_euclid(QUARTER_MS) * QUARTER_MS;
            (zone.abs() <= FARTHEST_MS && (ahead - zone).abs() <= NEAR_MS).then_some(zone)
        };
        Self { ahead_ms: ahead() }
    }

    /// The moment of a stamp of this log.
    pub(super) fn moment(self, stamp: Stamp) -> Option<Timestamp> {
        match stamp {
            Stamp::Zoned(at) => Some(at),
            Stamp::Local(at) => Some(Timestamp(at.0.checked_sub(self.ahead_ms?)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_read_and_no_cut_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let line = "0123456789abcde\n";
        std::fs::write(&path, line.repeat(40_000)).expect("a file");
        let end = read(&path).expect("the end");
        assert!(end.text.len() as u64 <= TAIL_BYTES && end.text.lines().all(|l| l.len() == 15));
        assert!(end.written.is_some());
        std::fs::write(&path, "short").expect("a file");
        assert_eq!(read(&path).expect("all").text, "short");
        assert!(read(folder.path()).is_err() && read(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn a_clock_without_a_zone_is_told_by_the_last_line() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let written = Some(at("2026-11-23T03:12:10Z"));
        for (newest, moment) in [
            ("2026-11-23T03:12:09.500Z", Some("2026-11-23T03:12:09.500Z")),
            ("2026-11-23T08:57:09Z", Some("2026-11-23T03:12:09Z")),
            ("2026-11-22T19:12:11Z", Some("2026-11-23T03:12:11Z")),
            // Nothing was written for five minutes, or something else was: no zone fits.
            ("2026-11-23T03:07:00Z", None),
            ("2026-11-20T03:12:10Z", None),
        ] {
            let newest = Stamp::Local(at(newest));
            assert_eq!(Clock::of(Some(newest), written).moment(newest), moment.map(at), "{newest:?}");
        }
        let now = at("2026-11-23T03:12:10Z");
        assert_eq!(Clock::of(None, written).moment(Stamp::Local(now)), None);
        assert_eq!(Clock::of(None, written).moment(Stamp::Zoned(now)), Some(now));
        assert_eq!(Clock::of(Some(Stamp::Local(Timestamp(i64::MIN))), Some(Timestamp(1))), Clock::default());
    }
}
