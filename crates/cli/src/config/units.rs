//! Spans of time and shares as a person writes them: `500ms`, `10s`, `1h30m`, `20%`.

use std::time::Duration;

/// Units of time, longest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// The longest span that is taken: a year. Longer is a slip.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Reads `10m`, `1h30m`, `500ms`: whole numbers with the units d, h, m, s, ms, largest first.
///
/// # Errors
/// Says what is wrong and what would be right.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "not a duration; write 500ms, 10s, 10m, 1h30m or 2d".to_owned();
    let mut rest = text.trim();
    let mut ms: u64 = 0;
    let mut after = 0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(|| {
            if rest == text.trim() {
                format!("a duration needs a unit: {rest}s, {rest}m or {rest}h")
            } else {
                wrong()
            }
        })?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let rank = UNITS.iter().position(|(name, _)| *name == unit).ok_or_else(wrong)?;
        if rank < after {
            return Err(wrong());
        }
        after = rank + 1;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        ms = number.checked_mul(UNITS[rank].1).and_then(|part| ms.checked_add(part)).ok_or_else(wrong)?;
        rest = tail;
    }
    let span = Duration::from_millis(ms);
    if span > LONGEST { Err("longer than a year".to_owned()) } else { Ok(span) }
}

/// Reads `256MB`: whole numbers of kB, MB and GB, each 1024 of the one before, as Postgres has them.
///
/// # Errors
/// Says what would be right.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let wrong = || "not a size; write 512kB, 256MB or 2GB".to_owned();
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start() {
        "kB" => 10,
        "MB" => 20,
        "GB" => 30,
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift)).ok_or_else(wrong)
}

/// Reads `22:00-06:00`: minutes since midnight, from and until.
///
/// # Errors
/// Says what would be right.
pub(crate) fn hours(text: &str) -> Result<(u16, u16), String> {
    let wrong = || "not a span of the day; write 22:00-06:00 (UTC)".to_owned();
    let minute = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let number = |text: &str, most: u16| {
            let two = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u16>().ok().filter(|number| two && *number <= most)
        };
        match (number(hour, 24)?, number(minute, 59)?) {
            (24, 0) => Some(1440),
            (24, _) => None,
            (hour, minute) => Some(hour * 60 + minute),
        }
    };
    let (from, until) = text.split_once('-').ok_or_else(wrong)?;
    match (minute(from), minute(until)) {
        (Some(from), Some(until)) if from != until && from < 1440 => Ok((from, until)),
        _ => Err(wrong()),
    }
}

/// Reads `20%`: a share from 0 to 1.
///
/// # Errors
/// Says what is wrong and what would be right.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let number = text.trim().strip_suffix('%').and_then(|number| number.trim_end().parse::<f64>().ok());
    match number {
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        Some(_) => Err("a share lies between 0% and 100%".to_owned()),
        None => Err("not a share; write 20%".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("1m500ms", 60_500),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "m", "10 m", "10x", "-1s", "1.5h", "30m1h", "1s1s", "99999999999999999999s", "400d"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration("10"), Err("a duration needs a unit: 10s, 10m or 10h".to_owned()));
    }

    #[test]
    fn shares() {
        assert_eq!(share("20%"), Ok(0.2));
        assert_eq!(share("12.5 %"), Ok(0.125));
        for text in ["20", "120%", "-1%", "%", "NaN%"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("256MB"), Ok(256 << 20));
        assert_eq!(size("2 GB"), Ok(2 << 30));
        assert_eq!(size("512kB"), Ok(512 << 10));
        for text in ["", "MB", "12", "1.5GB", "12MiB", "-1MB", "99999999999999999999GB", "99999999999GB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_of_the_day() {
        assert_eq!(hours("22:00-06:00"), Ok((1320, 360)));
        assert_eq!(hours("00:00 - 24:00"), Ok((0, 1440)));
        for text in [
            "",
            "22-6",
            "22:00",
            "24:30-06:00",
            "22:60-06:00",
            "7:00-8:00",
            "06:00-06:00",
            "24:00-06:00",
            "-1:00-02:00",
        ] {
            assert!(hours(text).is_err(), "{text}");
        }
    }
}
