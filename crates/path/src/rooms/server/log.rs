//! What the end of the server's log says of now. Not in here: reading it (`platform`).

use crate::evidence::Evidence;
use crate::platform::evidence::{ServerLogEntry, ServerLogView};
use pgmedic_model::pooler_words::{self, Words};
use pgmedic_model::{Fact, Source, Timestamp};

/// An entry older than this, in ms, tells of the past.
const RECENT_MS: i64 = 600_000;

/// The newest recent entry that `words` describe, since the server was last ready: what it got over is no reason for
/// what it does now. One without a time counts only while the door is shut.
pub(crate) fn recent(e: &Evidence, words: Words) -> Option<(&ServerLogEntry, Fact)> {
    find(e, since_ready(e), |n| pooler_words::says(&n.message, words))
}

/// The same, though the server was ready again since.
pub(crate) fn of_late(e: &Evidence, words: Words) -> Option<(&ServerLogEntry, Fact)> {
    find(e, entries(e), |n| pooler_words::says(&n.message, words))
}

/// Why the last start was given up, where no server came of it since, however long ago: by its words, or because it was
/// said after a server had shut down, when only a start could say it. A lock file that stands is a cause of its own.
pub(crate) fn start_given_up(e: &Evidence) -> Option<(&ServerLogEntry, Fact)> {
    let all = since_ready(e);
    let down = all.iter().position(|n| pooler_words::says(&n.message, Words::ShutDown)).unwrap_or(all.len());
    let words = [Words::StartGivenUp, Words::ConfigurationErrors, Words::LockFileStands];
    let given_up = |at: usize, n: &ServerLogEntry| {
        at > down || words.iter().any(|words| pooler_words::says(&n.message, *words))
    };
    let mut fatal =
        all.iter().enumerate().rev().filter(|(_, n)| matches!(n.severity.as_str(), "FATAL" | "PANIC"));
    let (_, entry) = fatal.find(|(at, n)| given_up(*at, n))?;
    let last = !pooler_words::says(&entry.message, Words::LockFileStands);
    last.then_some((entry, cite(e, entry)?))
}

/// Somebody asked the server to stop, nothing went wrong after that, it took its lock file away, and nobody has started
/// it since: who asked for what.
pub(crate) fn stopped_in_good_order(e: &Evidence) -> Option<(&ServerLogEntry, Fact)> {
    e.host.get().filter(|h| h.postmaster_status.is_none() && start_given_up(e).is_none())?;
    let last = since_ready(e)
        .iter()
        .rev()
        .find(|n| n.severity == "PANIC" || pooler_words::says(&n.message, Words::ShutdownRequest))?;
    let fact = cite(e, last).filter(|_| last.severity != "PANIC")?;
    Some((last, fact))
}

/// The server's log: this host's, else the platform's; and when it was read.
pub(crate) fn view(e: &Evidence) -> Option<(&ServerLogView, Timestamp)> {
    let here = e.host.get().and_then(|host| Some((host.log.as_ref()?, host.at)));
    here.or_else(|| e.platform.get().and_then(|told| Some((told.db_log.get()?, told.at))))
}

fn entries(e: &Evidence) -> &[ServerLogEntry] {
    view(e).map_or(&[], |(log, _)| &log.entries)
}

/// The entries after the last one that says the server is up.
fn since_ready(e: &Evidence) -> &[ServerLogEntry] {
    let all = entries(e);
    let ready = |n: &ServerLogEntry| pooler_words::says(&n.message, Words::ReadyForConnections);
    all.iter().rposition(ready).map_or(all, |at| &all[at + 1..])
}

fn find<'a>(
    e: &Evidence,
    among: &'a [ServerLogEntry],
    test: impl Fn(&ServerLogEntry) -> bool,
) -> Option<(&'a ServerLogEntry, Fact)> {
    let is_recent = |entry: &&ServerLogEntry| {
        entry.at.map_or_else(|| !e.front.admitted(), |at| e.started_at.0.saturating_sub(at.0) <= RECENT_MS)
    };
    let entry = among.iter().rev().filter(is_recent).find(|n| test(n))?;
    Some((entry, cite(e, entry)?))
}

/// The last entry that says more than that the server is down: where a server is gone it often says why.
pub(crate) fn last_word(e: &Evidence) -> Option<Fact> {
    cite(e, entries(e).iter().rev().find(|n| !pooler_words::says(&n.message, Words::ShutDown))?)
}

fn cite(e: &Evidence, entry: &ServerLogEntry) -> Option<Fact> {
    let (log, at) = view(e)?;
    let code = entry.code.as_ref().map(|c| format!(" {c}")).unwrap_or_default();
    let text = format!("{}{code}: {}", entry.severity, entry.message);
    Some(Fact::new(Source::Log, entry.at.unwrap_or(at), log.path.as_str(), text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{AT, healthy, log_of, window};

    #[test]
    fn what_the_server_got_over_is_no_reason_for_now() {
        let mut e = healthy();
        e.front.startup = None;
        let mut log = log_of("00000", "server process (PID 4711) was terminated by signal 9: Killed");
        let mut ready = log.entries[0].clone();
        ready.message = "database system is ready to accept connections".into();
        log.entries.push(ready);
        window(&mut e, |host| host.log = Some(log));
        assert!(recent(&e, Words::TerminatedBySignal).is_none());
        assert!(of_late(&e, Words::TerminatedBySignal).is_some());
        assert!(last_word(&e).unwrap().fact.ends_with("is ready to accept connections"));
    }

    #[test]
    fn an_old_entry_tells_of_the_past() {
        let at = |at: Option<Timestamp>| {
            let mut e = healthy();
            let mut log = log_of("53100", "could not extend file: No space left on device");
            log.entries[0].at = at;
            window(&mut e, |host| host.log = Some(log));
            e
        };
        let now = at(Some(Timestamp(AT.0 - 1_000)));
        let (_, fact) = recent(&now, Words::NoSpaceLeft).unwrap();
        assert_eq!(fact.fact, "FATAL 53100: could not extend file: No space left on device");
        assert!(recent(&at(Some(Timestamp(AT.0 - 700_000))), Words::NoSpaceLeft).is_none());
        assert!(recent(&at(None), Words::NoSpaceLeft).is_none());
        assert!(last_word(&at(None)).is_some());
        let mut shut = at(None);
        shut.front.startup = None;
        assert!(recent(&shut, Words::NoSpaceLeft).is_some());
    }
}
