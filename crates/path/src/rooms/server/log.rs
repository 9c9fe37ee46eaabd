//! What the end of the server's log says of now. Not in here: reading it (`platform`).

use crate::evidence::Evidence;
use crate::platform::evidence::ServerLogEntry;
use pgmedic_model::pooler_words::{self, Words};
use pgmedic_model::{Fact, Source};

/// An entry older than this, in ms, tells of the past.
const RECENT_MS: i64 = 600_000;

/// The newest recent entry that `words` describe. One without a time counts only while the door is shut.
pub(crate) fn recent(e: &Evidence, words: Words) -> Option<(&ServerLogEntry, Fact)> {
    let log = e.host.get()?.log.as_ref()?;
    let is_recent = |entry: &&ServerLogEntry| {
        entry.at.map_or_else(|| !e.front.admitted(), |at| e.started_at.0.saturating_sub(at.0) <= RECENT_MS)
    };
    let entry = log.entries.iter().rev().filter(is_recent).find(|n| pooler_words::says(&n.message, words))?;
    Some((entry, cite(e, entry)?))
}

/// The last entry, whatever it says: where a server is gone it often says why.
pub(crate) fn last_word(e: &Evidence) -> Option<Fact> {
    cite(e, e.host.get()?.log.as_ref()?.entries.last()?)
}

fn cite(e: &Evidence, entry: &ServerLogEntry) -> Option<Fact> {
    let host = e.host.get()?;
    let path = &host.log.as_ref()?.path;
    let code = entry.code.as_ref().map(|c| format!(" {c}")).unwrap_or_default();
    let text = format!("{}{code}: {}", entry.severity, entry.message);
    Some(Fact::new(Source::Log, entry.at.unwrap_or(host.at), path.as_str(), text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{AT, healthy, log_of, window};
    use pgmedic_model::Timestamp;

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
