//! What the end of a proxy's log says of now: HAProxy's and PgBouncer's. Not in here: reading it (`platform`).

use crate::evidence::Evidence;
use crate::platform::evidence::{HaproxyEnding, HaproxyEvent, PoolerLogEntry, PoolerSide};
use pgmedic_model::haproxy_words::{self, Ended, HaproxyWords};
use pgmedic_model::pooler_words::{self, Words};
use pgmedic_model::{Fact, Source, Timestamp};

/// An entry older than this, in ms, tells of the past.
const RECENT_MS: i64 = 600_000;
/// What PgBouncer tried longer ago than this, in ms, it may have got over without a word (`log_connections` off).
const STANDING_MS: i64 = 60_000;

/// Recent sessions through HAProxy that ended in one of these ways, the newest first, each with its fact.
pub(crate) fn endings<'a>(e: &'a Evidence, ways: &[Ended]) -> Vec<(&'a HaproxyEnding, Fact)> {
    let Some(log) = e.host.get().and_then(|h| h.haproxy_log.as_ref()) else { return Vec::new() };
    let wanted = |n: &&HaproxyEnding| {
        is_recent(e, n.at) && haproxy_words::ended(&n.flags).is_some_and(|ended| ways.contains(&ended))
    };
    let found = log.endings.iter().rev().filter(wanted);
    found.map(|n| (n, cite(e, n.at, &log.path, n.count, &n.last))).collect()
}

/// The newest recent message of HAProxy that means this, with its fact.
pub(crate) fn event(e: &Evidence, words: HaproxyWords) -> Option<(&HaproxyEvent, Fact)> {
    let log = e.host.get()?.haproxy_log.as_ref()?;
    let found = log.events.iter().rev().find(|n| n.words == words && is_recent(e, n.at))?;
    Some((found, cite(e, found.at, &log.path, found.count, &found.message)))
}

/// The newest recent message of PgBouncer about a connection of this side that means this, with its fact. Of the
/// target's database, where the message says of which it is.
pub(crate) fn pooler_says(e: &Evidence, side: PoolerSide, words: Words) -> Option<(&PoolerLogEntry, Fact)> {
    let log = e.host.get()?.pooler_log.as_ref()?;
    let ours = |n: &&PoolerLogEntry| {
        n.side.is_none_or(|s| s == side) && n.database.as_ref().is_none_or(|d| *d == e.target.database)
    };
    let fits = |n: &&PoolerLogEntry| pooler_words::says(&n.message, words) && is_recent(e, n.at);
    let found = log.entries.iter().rev().filter(ours).find(fits)?;
    let said = format!("{} {}", found.level, found.message);
    Some((found, cite(e, found.at, &log.path, found.count, &said)))
}

/// PgBouncer's newest word on why it has no connection to the target's server, if it was said within the last minute
/// (`server_login_retry` and `server_connect_timeout` are 15 s each) and no server was reached since.
pub(crate) fn upstream_failure(e: &Evidence) -> Option<(&PoolerLogEntry, Fact)> {
    const FAILURES: [Words; 4] = [
        Words::PoolerCannotReach,
        Words::PoolerCannotResolve,
        Words::PoolerLoginRefused,
        Words::PoolerTlsFailed,
    ];
    let log = e.host.get()?.pooler_log.as_ref()?;
    let ours = |n: &&PoolerLogEntry| {
        n.side == Some(PoolerSide::Server) && n.database.as_deref() == Some(e.target.database.as_str())
    };
    let reached = |n: &&PoolerLogEntry| pooler_words::says(&n.message, Words::PoolerReachedServer);
    let failed = |n: &&PoolerLogEntry| FAILURES.iter().any(|words| pooler_words::says(&n.message, *words));
    let found = log.entries.iter().rev().filter(ours).find(|n| reached(n) || failed(n)).filter(failed)?;
    let stands = |at: Timestamp| e.started_at.0.saturating_sub(at.0) <= STANDING_MS;
    if !found.at.map_or_else(|| is_recent(e, None), stands) {
        return None;
    }
    let at = found.peer.as_ref().map_or_else(String::new, |peer| format!(" ({peer})"));
    let said = format!("{} {}{at}", found.level, found.message);
    Some((found, cite(e, found.at, &log.path, found.count, &said)))
}

/// A line without a time counts only while the door is shut.
fn is_recent(e: &Evidence, at: Option<Timestamp>) -> bool {
    at.map_or_else(|| !e.front.admitted(), |at| e.started_at.0.saturating_sub(at.0) <= RECENT_MS)
}

fn cite(e: &Evidence, at: Option<Timestamp>, path: &str, count: u64, said: &str) -> Fact {
    let times = if count > 1 { format!(" ({count} times)") } else { String::new() };
    let seen = e.host.get().map_or(e.started_at, |host| host.at);
    Fact::new(Source::Log, at.unwrap_or(seen), path, format!("{said}{times}")).value(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{AT, healthy, window};
    use crate::platform::evidence::{HaproxyLogView, PoolerLogView};

    fn with(ending: HaproxyEnding, entry: PoolerLogEntry) -> Evidence {
        let mut e = healthy();
        window(&mut e, |host| {
            let path = "/var/log/haproxy.log".to_owned();
            let event = HaproxyEvent {
                words: HaproxyWords::NoServerAvailable,
                at: ending.at,
                proxy: Some("be".into()),
                server: None,
                count: 1,
                message: "backend be has no server available!".into(),
            };
            let (endings, events) = (vec![ending], vec![event]);
            host.haproxy_log = Some(HaproxyLogView { path, endings, events, ..HaproxyLogView::default() });
            host.pooler_log = Some(PoolerLogView { entries: vec![entry], ..PoolerLogView::default() });
        });
        e
    }

    fn ending(at: Option<Timestamp>) -> HaproxyEnding {
        let (flags, last) = ("sQ".to_owned(), "fe be/<NOSRV> 1503/-1/1502 0 sQ".to_owned());
        HaproxyEnding { flags, at, count: 3, last, ..HaproxyEnding::default() }
    }

    fn entry(database: &str) -> PoolerLogEntry {
        PoolerLogEntry {
            at: Some(AT),
            level: "LOG".into(),
            side: Some(PoolerSide::Client),
            database: Some(database.into()),
            user: Some("app".into()),
            peer: None,
            message: "closing because: query_wait_timeout".into(),
            count: 1,
        }
    }

    #[test]
    fn recent_lines_are_cited_with_how_many_there_are() {
        let e = with(ending(Some(AT)), entry("renderflow"));
        let found = endings(&e, &[Ended::QueuedTooLong]);
        assert_eq!(found[0].1.fact, "fe be/<NOSRV> 1503/-1/1502 0 sQ (3 times)");
        assert!(endings(&e, &[Ended::ClientIdle]).is_empty());
        assert!(event(&e, HaproxyWords::NoServerAvailable).is_some());
        let (_, fact) = pooler_says(&e, PoolerSide::Client, Words::QueryWaitTimeout).unwrap();
        assert_eq!(fact.fact, "LOG closing because: query_wait_timeout");
        assert!(pooler_says(&e, PoolerSide::Server, Words::QueryWaitTimeout).is_none());
    }

    #[test]
    fn a_failure_upstream_stands_until_a_server_is_reached() {
        let said = |message: &str, at: Timestamp| {
            let peer = Some("127.0.0.1:5433".to_owned());
            let (side, message) = (Some(PoolerSide::Server), message.to_owned());
            PoolerLogEntry { at: Some(at), side, peer, message, ..entry("renderflow") }
        };
        let failed = || said("closing because: connect failed", AT);
        let mut e = with(ending(None), failed());
        let (_, fact) = upstream_failure(&e).unwrap();
        assert_eq!(fact.fact, "LOG closing because: connect failed (127.0.0.1:5433)");
        let mut push = |entry: PoolerLogEntry| {
            window(&mut e, |host| {
                let entries = vec![failed(), entry];
                host.pooler_log = Some(PoolerLogView { entries, ..PoolerLogView::default() });
            });
            upstream_failure(&e).is_some()
        };
        assert!(!push(said("new connection to server (from 127.0.0.1:2)", AT)));
        assert!(push(entry("renderflow")), "the client's side");
        assert!(push(entry("other")), "another database");
        let old = said("closing because: connect failed", Timestamp(AT.0 - 90_000));
        assert!(upstream_failure(&with(ending(None), old)).is_none());
    }

    #[test]
    fn the_past_and_other_databases_are_left_alone() {
        let old = with(ending(Some(Timestamp(AT.0 - 700_000))), entry("other"));
        assert!(endings(&old, &[Ended::QueuedTooLong]).is_empty());
        assert!(event(&old, HaproxyWords::NoServerAvailable).is_none());
        assert!(pooler_says(&old, PoolerSide::Client, Words::QueryWaitTimeout).is_none());
        let mut timeless = with(ending(None), entry("renderflow"));
        assert!(endings(&timeless, &[Ended::QueuedTooLong]).is_empty(), "the door is open");
        timeless.front.startup = None;
        assert_eq!(endings(&timeless, &[Ended::QueuedTooLong]).len(), 1);
    }
}
