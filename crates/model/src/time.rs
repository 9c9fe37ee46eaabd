//! Points and spans of time as reports write them: RFC 3339 in UTC, and milliseconds as numbers.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time, in milliseconds since the Unix epoch. Written as RFC 3339 UTC with milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From the system clock's reading. The caller reads the clock; this crate does not.
    #[must_use]
    pub fn from_system(time: std::time::SystemTime) -> Self {
        let ms = match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        };
        Self(ms)
    }

    /// This point moved by a span of milliseconds.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "whole milliseconds are what a timestamp holds")]
    pub fn plus(self, span: Ms) -> Self {
        Self(self.0 + span.0 as i64)
    }
}

/// Days since 1970-01-01 of a civil date (H. Hinnant, "chrono-compatible low-level date algorithms").
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y - era * 400;
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

/// The civil date of a day number (the inverse of [`days_from_civil`]).
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z - era * 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + if month <= 2 { 1 } else { 0 }, month, doy - (153 * mp + 2) / 5 + 1)
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (days, ms) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = civil_from_days(days);
        let (h, m, s, milli) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{milli:03}Z")
    }
}

impl std::str::FromStr for Timestamp {
    type Err = String;

    /// Reads RFC 3339 in UTC (`2026-11-23T03:12:09Z`, with or without a fraction).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || format!("not an RFC 3339 UTC time: {text:?}");
        let body = text.strip_suffix('Z').ok_or_else(bad)?;
        let (date, time) = body.split_once('T').ok_or_else(bad)?;
        // Four digits at most: what a peer sends must not overflow below.
        let number = |s: &str| if s.len() > 4 { Err(bad()) } else { s.parse::<i64>().map_err(|_| bad()) };
        let mut d = date.splitn(3, '-');
        let mut t = time.splitn(3, ':');
        let next = |it: &mut std::str::SplitN<'_, char>| it.next().map(str::to_owned).ok_or_else(bad);
        let (year, month, day) = (next(&mut d)?, next(&mut d)?, next(&mut d)?);
        let (hour, minute, second) = (next(&mut t)?, next(&mut t)?, next(&mut t)?);
        let (whole, fraction) = second.split_once('.').unwrap_or((&second, "0"));
        let milli: String = fraction.chars().chain("000".chars()).take(3).collect();
        let days = days_from_civil(number(&year)?, number(&month)?, number(&day)?);
        let seconds = number(&hour)? * 3600 + number(&minute)? * 60 + number(whole)?;
        Ok(Self(days * 86_400_000 + seconds * 1000 + number(&milli)?))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A span of time in milliseconds, rounded to microseconds when written.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Ms(pub f64);

impl From<std::time::Duration> for Ms {
    fn from(d: std::time::Duration) -> Self {
        Self((d.as_secs_f64() * 1_000_000.0).round() / 1000.0)
    }
}

impl Serialize for Ms {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_f64((self.0 * 1000.0).round() / 1000.0)
    }
}

impl<'de> Deserialize<'de> for Ms {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        f64::deserialize(d).map(Self)
    }
}

impl std::fmt::Display for Ms {
    /// As a person reads it: `0.4 ms`, `14 ms`, `3.0 s`, `4 min`, `2.5 h`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = self.0;
        // Each limit is where rounding would show the next unit's first figure.
        let text = if ms < 9.95 {
            format!("{ms:.1} ms")
        } else if ms < 999.5 {
            format!("{ms:.0} ms")
        } else if ms < 59_950.0 {
            format!("{:.1} s", ms / 1000.0)
        } else if ms < 5_400_000.0 {
            format!("{:.0} min", ms / 60_000.0)
        } else if ms < 172_800_000.0 {
            format!("{:.1} h", ms / 3_600_000.0)
        } else {
            format!("{:.1} days", ms / 86_400_000.0)
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_reads_back_what_it_wrote() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_827_696_789, "2000-02-29T12:34:56.789Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (1_795_403_529_000, "2026-11-23T03:12:09.000Z"),
        ] {
            assert_eq!(Timestamp(ms).to_string(), text);
            assert_eq!(text.parse::<Timestamp>(), Ok(Timestamp(ms)));
        }
        assert_eq!("2026-11-23T03:12:09Z".parse::<Timestamp>(), Ok(Timestamp(1_795_403_529_000)));
        for text in
            ["yesterday", "99999999999999999-01-01T00:00:00Z", "2026-11-23T9223372036854775807:00:00Z"]
        {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_span_reads_as_a_person_says_it() {
        let said: Vec<_> = [0.42, 9.96, 14.2, 999.6, 3040.0, 59_960.0, 240_000.0, 9_000_000.0]
            .map(|ms| Ms(ms).to_string())
            .into();
        assert_eq!(said, ["0.4 ms", "10 ms", "14 ms", "1.0 s", "3.0 s", "1 min", "4 min", "2.5 h"]);
    }
}
