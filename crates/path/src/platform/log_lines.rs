//! The entries of a server's log that tell why it refuses, dies or does not come up, from its three formats.
//!
//! Kept are FATAL and PANIC, and what says the words of `KEPT`. STATEMENT, CONTEXT and QUERY lines are never read: they hold
//! SQL and so perhaps secrets. Not in here: where the log is (`server_log`).

use super::evidence::ServerLogEntry;
use super::log_end::{Clock, LogEnd};
use super::log_prefix::{self, Told};
use crate::log_time::Stamp;
use pgmedic_model::pooler_words::{Words, says};
use pgmedic_model::{SqlState, Timestamp, mask};
use std::collections::HashMap;

/// Longest message kept, in characters.
const MESSAGE_LIMIT: usize = 300;
/// Most entries kept, the newest.
const MOST_ENTRIES: usize = 20;
/// Most entries kept that say the same: a thousand refusals must not push out the one PANIC.
const MOST_ALIKE: usize = 3;
/// Severities of a line that begins an entry (elog.c, error_severity).
const SEVERITIES: [&str; 8] = ["DEBUG", "LOG", "INFO", "NOTICE", "WARNING", "ERROR", "FATAL", "PANIC"];
/// Fields of an entry, on lines of their own, that are passed over.
const PASSED_OVER: [&str; 6] = ["HINT", "CONTEXT", "STATEMENT", "QUERY", "LOCATION", "BACKTRACE"];
/// What is kept at any severity.
const KEPT: &[Words] = &[
    Words::TerminatedBySignal,
    Words::CouldNotFork,
    Words::NotReloaded,
    Words::ConfigurationErrors,
    Words::ShutdownRequest,
    Words::ShutDown,
    Words::ReadyForConnections,
    Words::CrashRecovery,
    Words::TooManyOpenFiles,
    Words::SharedMemoryFull,
    Words::OutOfSharedMemory,
    Words::RecoveryConflict,
    Words::ClientTimedOut,
];

/// What a login is told for which there is no slot.
const CROWD: &[Words] =
    &[Words::SlotsReserved, Words::TooManyClients, Words::RoleLimit, Words::DatabaseLimit];
/// How far back such logins are counted, in ms.
const CROWD_MS: i64 = 3_000;

/// How a log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `log_destination = stderr`: lines with a prefix.
    Stderr,
    /// `csvlog`.
    Csv,
    /// `jsonlog` (Postgres 15+).
    Json,
}

impl Format {
    /// By the ending that Postgres gives the file.
    pub(super) fn of(path: &std::path::Path) -> Self {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("csv") => Self::Csv,
            Some("json") => Self::Json,
            _ => Self::Stderr,
        }
    }
}

/// An entry while it is read.
#[derive(Default)]
struct Draft {
    told: Told,
    severity: String,
    message: String,
    detail: String,
}

impl Draft {
    fn is_kept(&self) -> bool {
        matches!(self.severity.as_str(), "FATAL" | "PANIC")
            || KEPT.iter().any(|words| says(&self.message, *words))
    }

    fn finish(self, clock: Clock) -> ServerLogEntry {
        // The DETAIL of a backend's death is the query it ran.
        let tell_detail = !self.detail.is_empty() && !says(&self.message, Words::TerminatedBySignal);
        let text =
            if tell_detail { format!("{} (DETAIL: {})", self.message, self.detail) } else { self.message };
        ServerLogEntry {
            at: self.told.at.and_then(|at| clock.moment(at)),
            severity: self.severity,
            code: self.told.code,
            message: mask::excerpt(&text, MESSAGE_LIMIT),
        }
    }
}

/// The entries worth telling of a text, oldest first. `prefix` is the server's `log_line_prefix`.
pub(super) fn entries(text: &str, format: Format, prefix: &str) -> Vec<ServerLogEntry> {
    worth_telling(text, None, format, prefix).0
}

/// The same of a file's end, whose last change tells the zone of its clock; and how many logins were refused for want of
/// a slot in the [`CROWD_MS`] before the newest entry.
pub(super) fn entries_of_file(end: &LogEnd, format: Format, prefix: &str) -> (Vec<ServerLogEntry>, u64) {
    worth_telling(&end.text, end.written, format, prefix)
}

/// The logins refused for want of a slot, by the log's own clock, whatever its zone.
fn turned_away(drafts: &[Draft]) -> u64 {
    let when = |draft: &Draft| match draft.told.at? {
        Stamp::Zoned(at) | Stamp::Local(at) => Some(at.0),
    };
    let Some(newest) = drafts.iter().rev().find_map(when) else { return 0 };
    let want = |draft: &&Draft| CROWD.iter().any(|words| says(&draft.message, *words));
    let lately = |draft: &&Draft| when(draft).is_some_and(|at| newest - at <= CROWD_MS);
    drafts.iter().rev().filter(want).filter(lately).count() as u64
}

fn worth_telling(
    text: &str,
    written: Option<Timestamp>,
    format: Format,
    prefix: &str,
) -> (Vec<ServerLogEntry>, u64) {
    let all = match format {
        Format::Stderr => stderr(text, prefix),
        Format::Csv => csv(text),
        Format::Json => text.lines().filter_map(json).collect(),
    };
    let clock = Clock::of(all.iter().rev().find_map(|draft| draft.told.at), written);
    let turned_away = turned_away(&all);
    let mut alike: HashMap<(String, String), usize> = HashMap::new();
    let mut newest: Vec<ServerLogEntry> = all
        .into_iter()
        .rev()
        .filter(Draft::is_kept)
        .map(|draft| draft.finish(clock))
        .filter(|entry| {
            let count = alike.entry((entry.severity.clone(), entry.message.clone())).or_default();
            *count += 1;
            *count <= MOST_ALIKE
        })
        .take(MOST_ENTRIES)
        .collect();
    newest.reverse();
    (newest, turned_away)
}

/// Which part of an entry the following lines belong to.
#[derive(Clone, Copy)]
enum Open {
    Message,
    Detail,
    PassedOver,
}

/// Lines with a prefix. Lines that begin with a tab continue what is above them.
fn stderr(text: &str, prefix: &str) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut open = Open::PassedOver;
    for line in text.lines() {
        if let (Some(more), Some(last)) = (line.strip_prefix('\t'), drafts.last_mut()) {
            match open {
                Open::Message => continue_with(&mut last.message, more),
                Open::Detail => continue_with(&mut last.detail, more),
                Open::PassedOver => {}
            }
            continue;
        }
        open = match split(line) {
            Some((before, "DETAIL", rest)) => {
                match drafts.last_mut().filter(|_| !before.is_empty() || prefix.is_empty()) {
                    Some(last) => {
                        rest.clone_into(&mut last.detail);
                        Open::Detail
                    }
                    None => Open::PassedOver,
                }
            }
            Some((before, severity, rest)) if SEVERITIES.contains(&severity) => {
                drafts.push(Draft {
                    told: log_prefix::read(prefix, before),
                    severity: severity.to_owned(),
                    message: rest.to_owned(),
                    detail: String::new(),
                });
                Open::Message
            }
            _ => {
                drafts.extend(before_the_log(line));
                Open::PassedOver
            }
        };
    }
    drafts
}

/// What the postmaster writes before it can log, without prefix and severity, and ends after (main.c, postmaster.c,
/// `write_stderr`): `postgres: could not find the database system`.
fn before_the_log(line: &str) -> Option<Draft> {
    let message = line.strip_prefix("postgres: ")?;
    Some(Draft { severity: "FATAL".to_owned(), message: message.to_owned(), ..Draft::default() })
}

fn continue_with(field: &mut String, more: &str) {
    field.push(' ');
    field.push_str(more);
}

/// Splits a line at its first `SEVERITY:  ` (two spaces, as elog.c writes it): prefix, severity, rest.
fn split(line: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(at) = line[from..].find(":  ").map(|at| from + at) {
        let head = &line[..at];
        let begin = head
            .rfind(|c: char| !c.is_ascii_uppercase())
            .map_or(0, |p| p + head[p..].chars().next().map_or(1, char::len_utf8));
        let word = &head[begin..];
        let bounded = !head[..begin].ends_with(|c: char| c.is_alphanumeric());
        let known = word == "DETAIL" || SEVERITIES.contains(&word) || PASSED_OVER.contains(&word);
        if known && bounded {
            return Some((&line[..begin], word, &line[at + 3..]));
        }
        from = at + 3;
    }
    None
}

/// csvlog: columns as in the manual, "Using CSV-Format Log Output".
fn csv(text: &str) -> Vec<Draft> {
    // The text may begin inside a quoted field: the first row is the first line that begins with a year.
    let starts_row = |line: &str| line.len() > 5 && line.as_bytes()[..4].iter().all(u8::is_ascii_digit);
    let skipped: usize = text.split_inclusive('\n').take_while(|line| !starts_row(line)).map(str::len).sum();
    let mut drafts = Vec::new();
    let mut row = vec![String::new()];
    let mut quoted = false;
    let mut rest = text[skipped..].chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            // Inside quotes a quote is written twice.
            '"' if quoted && rest.next_if_eq(&'"').is_some() => {
                row.last_mut().into_iter().for_each(|field| field.push('"'));
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(String::new()),
            '\n' if !quoted => drafts.extend(csv_row(&std::mem::replace(&mut row, vec![String::new()]))),
            c => row.last_mut().into_iter().for_each(|field| field.push(c)),
        }
    }
    drafts
}

fn csv_row(row: &[String]) -> Option<Draft> {
    let (at, _) = log_prefix::time(row.first()?)?;
    let [severity, code, message, detail] = row.get(11..15)? else { return None };
    Some(Draft {
        told: Told { at: Some(at), code: Some(SqlState::new(code)) },
        severity: severity.clone(),
        message: message.clone(),
        detail: detail.clone(),
    })
}

/// jsonlog: keys as in the manual, "Using JSON-Format Log Output".
fn json(line: &str) -> Option<Draft> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| value.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
    Some(Draft {
        told: Told {
            at: text("timestamp").and_then(|t| log_prefix::time(&t).map(|(at, _)| at)),
            code: text("state_code").map(|code| SqlState::new(&code)),
        },
        severity: text("error_severity")?,
        message: text("message")?,
        detail: text("detail").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, format: Format, prefix: &str) -> Vec<String> {
        let say = |e: ServerLogEntry| {
            let code = e.code.map(|c| format!(" {c}")).unwrap_or_default();
            let at = e.at.map_or_else(|| "-".to_owned(), |at| at.to_string());
            format!("{at} {}{code}: {}", e.severity, e.message)
        };
        entries(text, format, prefix).into_iter().map(say).collect()
    }

    /// Recorded on Postgres 15.18 with a full WAL volume, a killed backend and a broken pg_hba.conf.
    const LOG: &str = "2026-11-23 14:00:00.001 UTC [10] LOG:  database system is ready to accept connections
2026-11-23 14:00:01.000 UTC [10] LOG:  server process (PID 77) was terminated by signal 9: Killed
2026-11-23 14:00:01.000 UTC [10] DETAIL:  Failed process was running: alter role app password 'hunter2'
2026-11-23 14:00:02.000 UTC [81] app@app FATAL:  no pg_hba.conf entry for host \"127.0.0.1\", user \"app\", database \"app\", no encryption
2026-11-23 14:00:03.000 UTC [82] app@app ERROR:  division by zero: FATAL:  not one
2026-11-23 14:00:03.000 UTC [82] app@app STATEMENT:  select 'hunter2',
\t'FATAL:  not one either'
2026-11-23 14:00:04.000 UTC [10] LOG:  pg_hba.conf was not reloaded
2026-11-23 14:00:05.000 UTC [83] app@app FATAL:  password authentication failed for user \"app\"
2026-11-23 14:00:05.000 UTC [83] app@app DETAIL:  Connection matched pg_hba.conf line 1:
\t\"host all all all md5\"
2026-11-23 14:00:06.000 UTC [10] PANIC:  could not write to file \"pg_wal/xlogtemp.84\": No space left on device
2026-11-23 14:00:06.000 UTC [10] CONTEXT:  writing block hunter2
2026-11-23 14:00:07.000 UTC [10] LOG:  received fast shutdown request";

    #[test]
    fn refusals_deaths_and_their_details_are_kept_and_no_sql() {
        assert_eq!(
            said(LOG, Format::Stderr, "%m [%p] %q%u@%d "),
            [
                "2026-11-23T14:00:00.001Z LOG: database system is ready to accept connections",
                "2026-11-23T14:00:01.000Z LOG: server process (PID 77) was terminated by signal 9: Killed",
                "2026-11-23T14:00:02.000Z FATAL: no pg_hba.conf entry for host \"127.0.0.1\", user \"app\", database \"app\", no encryption",
                "2026-11-23T14:00:04.000Z LOG: pg_hba.conf was not reloaded",
                "2026-11-23T14:00:05.000Z FATAL: password authentication failed for user \"app\" (DETAIL: Connection matched pg_hba.conf line 1: \"host all all all md5\")",
                "2026-11-23T14:00:06.000Z PANIC: could not write to file \"pg_wal/xlogtemp.84\": No space left on device",
                "2026-11-23T14:00:07.000Z LOG: received fast shutdown request",
            ]
        );
    }

    #[test]
    fn a_flood_of_one_message_leaves_room_for_the_rest() {
        let mut text = String::from("2026-11-23 14:00:00.000 UTC [1] PANIC:  the one\n");
        for second in 10..60 {
            text += &format!(
                "2026-11-23 14:00:{second}.000 UTC [{second}] FATAL:  sorry, too many clients already\n"
            );
        }
        let said = said(&text, Format::Stderr, log_prefix::DEFAULT);
        assert_eq!(said.len(), 4, "{said:?}");
        assert!(said[0].ends_with("PANIC: the one") && said[3].starts_with("2026-11-23T14:00:59"));
    }

    #[test]
    fn logins_without_a_slot_are_counted_in_the_logs_last_seconds() {
        let refused = "FATAL:  sorry, too many clients already\n";
        let at =
            |second: u32, ms: u32, said: &str| format!("2026-11-23 14:00:{second}.{ms:03} UTC [7] {said}");
        let mut text = at(50, 0, refused);
        text.extend((0..40).map(|n| at(58, n * 20, refused)));
        text += &at(59, 0, "FATAL:  password authentication failed for user \"app\"\n");
        assert_eq!(worth_telling(&text, None, Format::Stderr, log_prefix::DEFAULT).1, 40);
        assert_eq!(worth_telling(&refused.repeat(40), None, Format::Stderr, "").1, 0, "no line has a time");
    }

    #[test]
    fn what_the_postmaster_says_before_it_can_log_is_kept() {
        let text = "postgres: could not find the database system
Expected to find it in the directory \"/data\",
but could not open file \"/data/global/pg_control\": No such file or directory\n";
        let said = said(text, Format::Stderr, log_prefix::DEFAULT);
        assert_eq!(said, ["- FATAL: could not find the database system"]);
    }

    #[test]
    fn a_prefix_may_be_empty_and_secrets_are_masked_in_messages() {
        assert_eq!(
            said("FATAL:  the database system is starting up", Format::Stderr, ""),
            ["- FATAL: the database system is starting up"]
        );
        let text = "FATAL:  could not connect: password=hunter2 at postgres://u:hunter2@h/d";
        let masked = said(text, Format::Stderr, "");
        assert!(!masked[0].contains("hunter2"), "{masked:?}");
    }

    #[test]
    fn a_zone_of_no_one_meaning_is_told_by_the_files_age() {
        let text = "2026-11-23 16:00:05.000 CET [1] FATAL:  a\n2026-11-23 16:00:07.000 CET [2] LOG:  b\n";
        let end = LogEnd { text: text.to_owned(), written: "2026-11-23T15:00:07.100Z".parse().ok() };
        let told = entries_of_file(&end, Format::Stderr, log_prefix::DEFAULT);
        assert_eq!(told.0[0].at, "2026-11-23T15:00:05Z".parse().ok());
    }

    #[test]
    fn csv_and_json_are_read_alike() {
        // Recorded on Postgres 15.18; the first line is the end of an entry that began before.
        let csv = "cut off, \"select\nselect 1\",,,\"psql\",\"client backend\",,0\n\
            2026-11-23 14:27:31.624 UTC,\"app\",\"app\",1800,\"127.0.0.1:5\",6561,1,\"authentication\",2026-11-23 14:27:31 UTC,3/2,0,FATAL,28P01,\"password authentication failed for user \"\"app\"\"\",\"Connection matched pg_hba.conf line 1: \"\"host all all all md5\"\"\",,,,,,,,\"\",\"client backend\",,0\n\
            2026-11-23 14:27:32.000 UTC,,,1,,1,1,,2026-11-23 14:27:31 UTC,,0,LOG,00000,\"received\nsmart shutdown request\",,,,,,,,,\"\",\"postmaster\",,0\n";
        let json = r#"{"timestamp":"2026-11-23 14:27:31.624 UTC","pid":1800,"error_severity":"FATAL","state_code":"28P01","message":"password authentication failed for user \"app\"","detail":"Connection matched pg_hba.conf line 1: \"host all all all md5\""}
{"timestamp":"2026-11-23 14:27:32.000 UTC","error_severity":"LOG","state_code":"00000","message":"received\nsmart shutdown request"}
{"cut": "#;
        let from_csv = said(csv, Format::Csv, "");
        assert_eq!(from_csv.len(), 2, "{from_csv:?}");
        assert!(from_csv[0].starts_with("2026-11-23T14:27:31.624Z FATAL 28P01: password"), "{from_csv:?}");
        assert!(from_csv[0].contains("for user \"app\" (DETAIL: Connection matched"), "{from_csv:?}");
        assert_eq!(said(json, Format::Json, "").len(), 2);
        assert!(said(json, Format::Json, "")[1].ends_with("received smart shutdown request"));
        assert!(said("", Format::Csv, "").is_empty() && said("\"", Format::Csv, "").is_empty());
    }
}
