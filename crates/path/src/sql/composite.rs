//! The text of Postgres' composite values, read back to the byte: what `record_out`, `array_out`, `timestamptz_out` (in
//! DateStyle ISO), `pg_lsn_out` and `boolout` write. What the columns mean is not in here.

use pgmedic_model::Timestamp;
use std::str::FromStr;

/// Most columns of a record. The widest that is asked for has some thirty.
const COLUMN_LIMIT: usize = 100;

/// Microseconds of the epoch.
pub(super) type Us = i64;

/// Why an answer could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not a tag and a record: something else was answered.
    #[error("row {0} of the answer is no tagged record")]
    Untagged(usize),
    /// Not the text of a composite value.
    #[error("a {tag} record is broken at byte {at}")]
    Record {
        /// The row's tag.
        tag: String,
        /// Where.
        at: usize,
    },
    /// A column that is missing, NULL where it cannot be, or not of its type.
    #[error("column {column} of a {tag} record is not what was asked for")]
    Column {
        /// The row's tag.
        tag: String,
        /// Which, counted from 1.
        column: usize,
    },
    /// The record of the server itself, which always comes, did not.
    #[error("the answer has no record of the server itself")]
    NoServer,
}

/// The columns of a record, taken in their order.
pub(super) struct Columns<'a> {
    tag: &'a str,
    values: std::vec::IntoIter<Option<String>>,
    taken: usize,
}

impl<'a> Columns<'a> {
    /// Takes a record apart.
    pub(super) fn of(tag: &'a str, text: &str) -> Result<Self, ReadError> {
        let values = record(text).map_err(|at| ReadError::Record { tag: tag.to_owned(), at })?;
        Ok(Self { tag, values: values.into_iter(), taken: 0 })
    }

    fn wrong(&self) -> ReadError {
        ReadError::Column { tag: self.tag.to_owned(), column: self.taken }
    }

    /// The next column, as text.
    pub(super) fn text(&mut self) -> Result<Option<String>, ReadError> {
        self.taken += 1;
        self.values.next().ok_or_else(|| self.wrong())
    }

    /// The next column, as what `read` makes of it.
    fn as_read<T>(&mut self, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, ReadError> {
        let text = self.text()?;
        text.map(|text| read(&text).ok_or_else(|| self.wrong())).transpose()
    }

    /// The next column, as a number.
    pub(super) fn number<T: FromStr>(&mut self) -> Result<Option<T>, ReadError> {
        self.as_read(|text| text.parse().ok())
    }

    /// The next column, as a boolean.
    pub(super) fn boolean(&mut self) -> Result<Option<bool>, ReadError> {
        self.as_read(|text| match text {
            "t" => Some(true),
            "f" => Some(false),
            _ => None,
        })
    }

    /// The next column, as a time.
    pub(super) fn time(&mut self) -> Result<Option<Us>, ReadError> {
        self.as_read(time)
    }

    /// The next column, as a position in the WAL.
    pub(super) fn lsn(&mut self) -> Result<Option<i64>, ReadError> {
        self.as_read(lsn)
    }

    /// The next column, as an array of numbers.
    pub(super) fn numbers(&mut self) -> Result<Option<Vec<i32>>, ReadError> {
        self.as_read(numbers)
    }

    /// The next column, as a record of its own.
    pub(super) fn record(&mut self) -> Result<Option<Self>, ReadError> {
        let text = self.text()?;
        text.map(|text| Self::of(self.tag, &text)).transpose()
    }

    /// A column that is never NULL.
    pub(super) fn never_null<T>(
        &mut self,
        take: impl FnOnce(&mut Self) -> Result<Option<T>, ReadError>,
    ) -> Result<T, ReadError> {
        take(self)?.ok_or_else(|| self.wrong())
    }
}

/// `(a,"b, ""c""",,"\\")`: nothing is NULL, `""` within quotes a quote, and a backslash stands before what it keeps from
/// being read (manual, "Composite Type Input and Output Syntax"). The error is the byte at which it breaks.
fn record(text: &str) -> Result<Vec<Option<String>>, usize> {
    let within = text.strip_prefix('(').ok_or(0_usize)?;
    let mut values = Vec::new();
    let mut value: Option<String> = None;
    let mut quoted = false;
    let mut chars = within.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                let (_, kept) = chars.next().ok_or(text.len())?;
                value.get_or_insert_default().push(kept);
            }
            '"' if quoted && chars.next_if(|(_, next)| *next == '"').is_some() => {
                value.get_or_insert_default().push('"');
            }
            '"' => {
                quoted = !quoted;
                value.get_or_insert_default();
            }
            ',' if !quoted && values.len() >= COLUMN_LIMIT => return Err(at + 1),
            ',' if !quoted => values.push(value.take()),
            ')' if !quoted => {
                values.push(value.take());
                return chars.next().map_or(Ok(values), |_| Err(at + 2));
            }
            c => value.get_or_insert_default().push(c),
        }
    }
    Err(text.len())
}

/// `2026-11-23 15:33:11.426279+05:45`. The offset is that of the session's TimeZone; it may have seconds.
fn time(text: &str) -> Option<Us> {
    let (date, rest) = text.split_once(' ')?;
    let sign = rest.rfind(['+', '-'])?;
    let (clock, offset) = rest.split_at(sign);
    let (seconds, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let plain = date.len() == "2026-11-23".len() && seconds.len() == "15:33:11".len();
    if !plain || fraction.len() > 6 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let Timestamp(ms) = format!("{date}T{seconds}Z").parse().ok()?;
    let micros: i64 = format!("{fraction:0<6}").parse().ok()?;
    let mut ahead = 0;
    for (part, unit) in offset[1..].splitn(3, ':').zip([3600, 60, 1]) {
        ahead += i64::from(part.parse::<u8>().ok()?) * unit;
    }
    let ahead = if offset.starts_with('-') { -ahead } else { ahead };
    ms.checked_mul(1000)?.checked_add(micros)?.checked_sub(ahead * 1_000_000)
}

/// `1A/2B3C4D5E`: the upper and the lower half of 64 bits.
fn lsn(text: &str) -> Option<i64> {
    let (high, low) = text.split_once('/')?;
    let half = |text| u32::from_str_radix(text, 16).ok();
    i64::try_from(u64::from(half(high)?) << 32 | u64::from(half(low)?)).ok()
}

/// `{1,2}`.
fn numbers(text: &str) -> Option<Vec<i32>> {
    let within = text.strip_prefix('{')?.strip_suffix('}')?;
    within.split(',').filter(|_| !within.is_empty()).map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `record_out` writes (`rowtypes.c`): quoted where empty or where a byte could be misread.
    fn written(values: &[Option<String>]) -> String {
        let one = |value: &Option<String>| match value {
            None => String::new(),
            Some(text)
                if text.is_empty()
                    || text.contains(|c: char| "\"\\(),".contains(c) || c.is_ascii_whitespace()) =>
            {
                format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\""))
            }
            Some(text) => text.clone(),
        };
        format!("({})", values.iter().map(one).collect::<Vec<_>>().join(","))
    }

    /// Numbers without a pattern, the same in every run (xorshift).
    fn dice(seed: &mut u64) -> u64 {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed
    }

    const PIECES: [&str; 14] =
        ["\"", "\\", "(", ")", ",", " ", "\n", "a", "é", "日", "\u{fffd}", "{", "'", "\"\""];

    #[test]
    fn every_record_comes_back_as_it_was() {
        let mut seed = 0x2026_1123;
        for _ in 0..20_000 {
            let values: Vec<_> = (0..=dice(&mut seed) % 6)
                .map(|_| {
                    let length = dice(&mut seed) % 9;
                    (length > 0)
                        .then(|| (1..length).map(|_| PIECES[(dice(&mut seed) % 14) as usize]).collect())
                })
                .collect();
            let text = written(&values);
            assert_eq!(record(&text).as_ref(), Ok(&values), "{text}");
            // A record within a record.
            let nested = written(&[Some(text.clone()), None]);
            assert_eq!(record(&nested), Ok(vec![Some(text), None]));
        }
    }

    #[test]
    fn no_text_whatever_makes_the_reader_panic() {
        let mut seed = 4711;
        for _ in 0..50_000 {
            let length = dice(&mut seed) % 12;
            let text: String = (0..length).map(|_| PIECES[(dice(&mut seed) % 14) as usize]).collect();
            for text in [text.clone(), format!("({text}"), format!("({text})")] {
                if let Err(at) = record(&text) {
                    assert!(at <= text.len(), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_broken_record_says_where() {
        for (text, at) in
            [("", 0), ("a", 0), ("(", 1), ("(a", 2), ("(a,b)c", 5), ("(\"a)", 4), ("(\\", 2), ("(a))", 3)]
        {
            assert_eq!(record(text), Err(at), "{text}");
        }
    }

    #[test]
    fn times_of_every_zone_are_the_same_instant() {
        let us = 1_795_444_257_216_492;
        for text in [
            "2026-11-23 14:30:57.216492+00",
            "2026-11-23 20:15:57.216492+05:45",
            "2026-11-23 11:00:57.216492-03:30",
            "2026-11-23 15:24:09.216492+00:53:12",
        ] {
            assert_eq!(time(text), Some(us), "{text}");
        }
        assert_eq!(time("1970-01-01 00:00:01.5+00"), Some(1_500_000));
        assert_eq!(time("1970-01-01 00:00:00+00"), Some(0));
        for text in [
            "",
            "infinity",
            "-infinity",
            "23.11.2026 14:30:57.216492 UTC",
            "Mon Nov 23 14:30:57.216492 2026 UTC",
            "11/23/2026 14:30:57.216492 UTC",
            "2026-11-23 14:30:57",
            "2026-11-23 14:30:57.1234567+00",
            "2026-11-23 14:30:57.-1+00",
            "9223372036854775807-11-23 14:30:57+00",
            "2026-11-23 14:30:57+é",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn positions_and_arrays_are_read() {
        assert_eq!(lsn("1A/2B3C4D5E"), Some(0x1A_2B3C_4D5E));
        assert_eq!((lsn("0/0"), lsn("FFFFFFFF/0"), lsn("0"), lsn("0/G")), (Some(0), None, None, None));
        assert_eq!((numbers("{}"), numbers("{0,17}")), (Some(vec![]), Some(vec![0, 17])));
        assert_eq!(
            (numbers("{1,}"), numbers("1"), numbers("{NULL}"), numbers("}{")),
            (None, None, None, None)
        );
    }

    #[test]
    fn a_column_that_is_not_what_was_asked_for_is_named() {
        let mut columns = Columns::of("slot", "(1,x,)").unwrap();
        assert_eq!(columns.number(), Ok(Some(1)));
        assert_eq!(columns.boolean(), Err(ReadError::Column { tag: "slot".to_owned(), column: 2 }));
        let wrong = Err(ReadError::Column { tag: "slot".to_owned(), column: 3 });
        assert_eq!(columns.never_null(Columns::text), wrong);
        assert_eq!(columns.text(), Err(ReadError::Column { tag: "slot".to_owned(), column: 4 }));
    }
}
