//! The time stamps that loggers write: RFC 3339 and its looser kin, syslog's, the epoch of pino and zap.

use pgmedic_model::{Ms, Timestamp};

/// Characters of a line in which a stamp is looked for: JSON loggers put the level and the name first.
const NEAR: usize = 200;

/// A time stamp read from a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// A point in time.
    Zoned(Timestamp),
    /// A clock's reading in a zone that the line does not tell; to be compared only with its like.
    Local(Timestamp),
}

/// The first time stamp near the start of a line. `now` gives the year to stamps that have none.
pub(crate) fn stamp(line: &str, now: Timestamp) -> Option<Stamp> {
    let end = line.char_indices().nth(NEAR).map_or(line.len(), |(at, _)| at);
    let text = &line[..end];
    dated(text).or_else(|| epoch(text)).or_else(|| syslog(text, now))
}

/// `2026-11-23T03:12:09.123Z`, `2026-11-23 03:12:09,123 UTC`, `2026/11/23 03:12:09`, with or without an offset.
fn dated(text: &str) -> Option<Stamp> {
    let bytes = text.as_bytes();
    let starts = text
        .char_indices()
        .filter(|(at, c)| c.is_ascii_digit() && (*at == 0 || !bytes[at - 1].is_ascii_digit()));
    for (at, _) in starts {
        let Some(fields) = text.get(at..at + 19) else { continue };
        let shape = fields.bytes().map(|b| if b.is_ascii_digit() { b'0' } else { b }).collect::<Vec<u8>>();
        if !matches!(
            shape.as_slice(),
            b"0000-00-00T00:00:00" | b"0000-00-00 00:00:00" | b"0000/00/00 00:00:00" | b"0000-00-00t00:00:00"
        ) {
            continue;
        }
        let date = format!("{}-{}-{}", &fields[..4], &fields[5..7], &fields[8..10]);
        let rest = &text[at + 19..];
        let digits = rest.strip_prefix(['.', ',']).unwrap_or("");
        let length = digits.bytes().take_while(u8::is_ascii_digit).count();
        let fraction = if length == 0 { "0" } else { &digits[..length] };
        let local = point(&date, &fields[11..], fraction)?;
        let zone = if length == 0 { rest } else { &rest[length + 1..] };
        return Some(match offset(zone) {
            Some(offset) => Stamp::Zoned(local.plus(Ms(-offset))),
            None => Stamp::Local(local),
        });
    }
    None
}

/// A zone's offset from UTC in ms, where it is told: `Z`, `UTC`, `+02:00`, `-0530`, `+02`.
fn offset(text: &str) -> Option<f64> {
    let text = text.trim_start();
    if text.starts_with(['Z', 'z']) || text.starts_with("UTC") || text.starts_with("GMT") {
        return Some(0.0);
    }
    let sign = match text.chars().next()? {
        '+' => 1.0,
        '-' => -1.0,
        _ => return None,
    };
    let digits: String =
        text[1..].chars().filter(|c| *c != ':').take_while(char::is_ascii_digit).take(4).collect();
    let hours: f64 = digits.get(..2)?.parse().ok()?;
    let minutes: f64 = digits.get(2..4).and_then(|m| m.parse().ok()).unwrap_or(0.0);
    Some(sign * (hours * 60.0 + minutes) * 60_000.0)
}

/// `"time":1795403529000` (pino, in ms), `"ts":1795403529.12` (zap, in s).
fn epoch(text: &str) -> Option<Stamp> {
    let value = ["\"time\":", "\"ts\":", "\"timestamp\":"]
        .iter()
        .find_map(|key| text.split_once(key))?
        .1
        .trim_start();
    let (whole, rest) = value.split_at(value.bytes().take_while(u8::is_ascii_digit).count());
    let number: i64 = whole.parse().ok()?;
    match whole.len() {
        13 => Some(Stamp::Zoned(Timestamp(number))),
        10 => {
            let digits = rest.strip_prefix('.').unwrap_or("").chars().take_while(char::is_ascii_digit);
            let ms = digits.chain("000".chars()).take(3).collect::<String>().parse().unwrap_or(0);
            Some(Stamp::Zoned(Timestamp(number * 1000 + ms)))
        }
        _ => None,
    }
}

/// `Nov 23 03:12:09` at the line's start (RFC 3164 section 4.1.2): the year is this one, or the last where that is ahead.
fn syslog(text: &str, now: Timestamp) -> Option<Stamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // A priority may stand first: `<34>Nov 23 …`.
    let text = text.split_once('>').filter(|(p, _)| p.starts_with('<')).map_or(text, |(_, rest)| rest);
    let mut words = text.split_whitespace();
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? + 1;
    let day: u32 = words.next()?.parse().ok()?;
    let time = words.next()?.get(..8)?;
    let year: i64 = now.to_string().get(..4)?.parse().ok()?;
    let of = |year: i64| point(&format!("{year:04}-{month:02}-{day:02}"), time, "0");
    let day_ahead = Timestamp(now.0 + 86_400_000);
    of(year).filter(|this| *this <= day_ahead).or_else(|| of(year - 1)).map(Stamp::Local)
}

/// A date and a time of day as if in UTC; None where they are none.
fn point(date: &str, time: &str, fraction: &str) -> Option<Timestamp> {
    let two = |text: &str, from: usize| text.get(from..from + 2)?.parse::<u32>().ok();
    let (month, day) = (two(date, 5)?, two(date, 8)?);
    let (hour, minute, second) = (two(time, 0)?, two(time, 3)?, two(time, 6)?);
    let real =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    real.then(|| format!("{date}T{time}.{fraction}Z").parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_read_in_the_shapes_that_loggers_write() {
        let now = "2026-11-23T03:20:00Z".parse().unwrap();
        let at: Timestamp = "2026-11-23T03:12:09Z".parse().unwrap();
        let later = at.plus(Ms(120.0));
        for (line, said) in [
            ("2026-11-23T03:12:09Z ERROR x", Stamp::Zoned(at)),
            ("2026-11-23T03:12:09.12Z app[1] x", Stamp::Zoned(later)),
            ("2026-11-23T05:12:09.120+02:00 x", Stamp::Zoned(later)),
            ("[2026-11-22 21:42:09 -0530] x", Stamp::Zoned(at)),
            ("2026-11-23 03:12:09.120 UTC [77] FATAL: x", Stamp::Zoned(later)),
            (r#"{"level":"error","time":"2026-11-23T03:12:09Z","msg":"x"}"#, Stamp::Zoned(at)),
            (r#"{"level":50,"time":1795403529120,"msg":"x"}"#, Stamp::Zoned(later)),
            (r#"{"level":"error","ts":1795403529.12,"msg":"x"}"#, Stamp::Zoned(later)),
            ("2026-11-23 03:12:09,120 ERROR x", Stamp::Local(later)),
            ("2026/11/23 03:12:09 x", Stamp::Local(at)),
            ("Nov 23 03:12:09 host app[1]: x", Stamp::Local(at)),
            ("<34>Nov 23 03:12:09 host app[1]: x", Stamp::Local(at)),
        ] {
            assert_eq!(stamp(line, now), Some(said), "{line}");
        }
    }

    #[test]
    fn what_is_no_stamp_is_none() {
        let now = "2026-01-02T00:00:00Z".parse().unwrap();
        for line in
            ["", "x", "2026-13-23T03:12:09Z x", "12345678901234567890", "Nov x", "é2026-11-é", "\"time\":12"]
        {
            assert_eq!(stamp(line, now), None, "{line}");
        }
        let last_year = "2025-12-31T23:59:59Z".parse().unwrap();
        assert_eq!(stamp("Dec 31 23:59:59 host x", now), Some(Stamp::Local(last_year)));
    }
}
