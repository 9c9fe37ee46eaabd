//! What stands in front of a line of the server's log: `log_line_prefix`, read back by its own format.
//!
//! Manual, "Error Reporting and Logging". Only the time and the SQLSTATE are taken. Not in here: the rest of the line.

use crate::log_time::Stamp;
use pgmedic_model::{SqlState, Timestamp};

/// Postgres' default since version 10.
pub(super) const DEFAULT: &str = "%m [%p] ";

/// What a prefix tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) at: Option<Stamp>,
    pub(super) code: Option<SqlState>,
}

/// Reads `text`, which `format` made. Where they part, what was read until then stands; a time at the very start is
/// read in any case.
pub(super) fn read(format: &str, text: &str) -> Told {
    let mut told = Told::default();
    let mut rest = text;
    let mut format = format;
    while let Some(c) = format.chars().next() {
        format = &format[c.len_utf8()..];
        let step = if c == '%' { escape(&mut format, rest, &mut told) } else { rest.strip_prefix(c) };
        match step {
            Some(after) => rest = after,
            None => break,
        }
    }
    told.at = told.at.or_else(|| time(text.trim_start()).map(|(at, _)| at));
    told
}

/// Reads what one escape made; gives what follows. `format` is moved behind the escape.
fn escape<'a>(format: &mut &str, rest: &'a str, told: &mut Told) -> Option<&'a str> {
    // `%-10u` pads to a width.
    let padded = format.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit());
    let wide = padded.len() != format.len();
    let rest = if wide { rest.trim_start() } else { rest };
    let letter = padded.chars().next()?;
    *format = &padded[letter.len_utf8()..];
    let after = match letter {
        '%' => rest.strip_prefix('%'),
        // Processes without a session stop here.
        'q' => (!rest.is_empty()).then_some(rest),
        't' | 'm' => {
            let (at, after) = time(rest)?;
            told.at = Some(at);
            Some(after)
        }
        's' => time(rest).map(|(_, after)| after),
        'n' => {
            let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
            told.at = epoch(&rest[..end]).map(Stamp::Zoned);
            Some(&rest[end..])
        }
        'e' => {
            let code = rest.get(..5).filter(|code| code.bytes().all(|b| b.is_ascii_alphanumeric()))?;
            told.code = Some(SqlState::new(code));
            Some(&rest[5..])
        }
        _ => text_up_to(format, rest),
    };
    if wide { after.map(str::trim_start) } else { after }
}

/// Skips a value of unknown shape: it ends where the format's next literal character stands.
fn text_up_to<'a>(format: &str, rest: &'a str) -> Option<&'a str> {
    match format.trim_start_matches("%q").chars().next() {
        None => Some(""),
        Some('%') => None,
        Some(literal) => rest.find(literal).map(|at| &rest[at..]),
    }
}

/// `1795444033.123`: seconds since the epoch.
#[expect(clippy::cast_possible_truncation, reason = "milliseconds of a time near ours fit")]
fn epoch(text: &str) -> Option<Timestamp> {
    let seconds: f64 = text.parse().ok()?;
    Some(Timestamp((seconds * 1000.0).round() as i64))
}

/// Reads `2026-11-23 14:27:15.450 UTC`; gives what follows. A clock's reading where the zone's offset is not known.
pub(super) fn time(text: &str) -> Option<(Stamp, &str)> {
    let (date, rest) = text.split_once(' ')?;
    let (clock, rest) = rest.split_once(' ')?;
    let shaped = date.len() == 10 && clock.len() >= 8 && date.starts_with(|c: char| c.is_ascii_digit());
    let at: Timestamp = shaped.then(|| format!("{date}T{clock}Z").parse().ok())??;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '+' || c == '-')).unwrap_or(rest.len());
    let (zone, after) = rest.split_at(end);
    let stamp = offset_ms(zone)
        .map_or(Stamp::Local(at), |offset| Stamp::Zoned(Timestamp(at.0.saturating_sub(offset))));
    Some((stamp, after))
}

/// A zone's offset: `UTC`, `GMT`, `+05`, `-0330`. Other abbreviations are not unique (`IST`), so they give None.
fn offset_ms(zone: &str) -> Option<i64> {
    if matches!(zone, "UTC" | "GMT" | "Z" | "UCT") {
        return Some(0);
    }
    let sign = match zone.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let digits = &zone[1..];
    let (hours, minutes) = match digits.len() {
        2 => (digits, "0"),
        4 => digits.split_at_checked(2)?,
        _ => return None,
    };
    Some(sign * (hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?) * 60_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(format: &str, text: &str) -> (String, String) {
        let told = read(format, text);
        let said = |value: Option<String>| value.unwrap_or_default();
        let at = told.at.map(|at| match at {
            Stamp::Zoned(at) => at.to_string(),
            Stamp::Local(at) => format!("{at} somewhere"),
        });
        (said(at), said(told.code.map(|code| code.to_string())))
    }

    #[test]
    fn prefixes_are_read_back_by_their_format() {
        for (format, text, at, code) in [
            (DEFAULT, "2026-11-23 14:27:15.450 UTC [1513] ", "2026-11-23T14:27:15.450Z", ""),
            // Debian
            (
                "%m [%p] %q%u@%d ",
                "2026-11-23 14:27:15.450 UTC [1513] app@db ",
                "2026-11-23T14:27:15.450Z",
                "",
            ),
            ("%m [%p] %q%u@%d ", "2026-11-23 14:27:15.450 UTC [1513] ", "2026-11-23T14:27:15.450Z", ""),
            // Amazon RDS
            (
                "%t:%r:%u@%d:[%p]:",
                "2026-11-23 14:27:15 UTC:10.0.0.1(45926):app@db:[1513]:",
                "2026-11-23T14:27:15.000Z",
                "",
            ),
            // pgBadger's advice, with %e
            (
                "%t [%p]: [%l-1] %e user=%u,db=%d,app=%a,client=%h ",
                "2026-11-23 14:27:15 GMT [25006]: [1-1] 53300 user=app,db=app,app=[unknown],client=::1 ",
                "2026-11-23T14:27:15.000Z",
                "53300",
            ),
            (
                "%m %-6e [%p] ",
                "2026-11-23 17:27:15.450 +03 28P01  [25006] ",
                "2026-11-23T14:27:15.450Z",
                "28P01",
            ),
            ("%m [%p] ", "2026-11-23 10:57:15.450 -0330 [1] ", "2026-11-23T14:27:15.450Z", ""),
            ("%m [%p] ", "2026-11-23 14:27:15.450 CET [1] ", "2026-11-23T14:27:15.450Z somewhere", ""),
            ("%n %e ", "1795444035.450 57P03 ", "2026-11-23T14:27:15.450Z", "57P03"),
            // A format that is not this log's: the time at the start is read all the same, a code is not guessed.
            ("<%u> %e ", "2026-11-23 14:27:15.450 UTC [53300] ", "2026-11-23T14:27:15.450Z", ""),
            ("", "", "", ""),
            ("%", "x", "", ""),
            ("%m", "2026-11-23", "", ""),
            ("%e", "é", "", ""),
        ] {
            assert_eq!(told(format, text), (at.to_owned(), code.to_owned()), "{format} on {text}");
        }
    }
}
