//! What the readiness endpoint's answer amounts to. Not in here: asking it (the probe) and what follows (the causes).

use crate::evidence::Evidence;
use crate::rooms::app::evidence::{HttpOutcome, LogEvidence, LogHit, LogPattern, ReadyEvidence};
use pgmedic_model::driver_words;
use pgmedic_model::{Action, Fact, RemedyPlan, Source};

/// Values of the `db` member that say no.
const DISCONNECTED: &[&str] = &["disconnected", "down", "error", "failed", "unavailable", "unhealthy"];

/// Values of the `db` member that say yes.
const CONNECTED: &[&str] = &["connected", "ok", "up", "healthy"];

/// A whole answer of the endpoint.
pub(crate) struct Told<'a> {
    /// The exchange.
    pub(crate) ready: &'a ReadyEvidence,
    /// Status code.
    pub(crate) status: u16,
    /// The `db` member.
    pub(crate) db: Option<&'a str>,
    /// The `reason` member.
    pub(crate) reason: Option<&'a str>,
    body: &'a str,
    host: &'a str,
}

/// What it answered, where it answered.
pub(crate) fn told(e: &Evidence) -> Option<Told<'_>> {
    answer(e.app.ready.get()?, &e.target.host)
}

fn answer<'a>(ready: &'a ReadyEvidence, host: &'a str) -> Option<Told<'a>> {
    match &ready.outcome {
        HttpOutcome::Answered { status, db, reason, body, .. } => {
            let (db, reason) = (db.as_deref(), reason.as_deref());
            Some(Told { ready, status: *status, db, reason, body, host })
        }
        _ => None,
    }
}

/// True where the API says that it cannot use its database, or took the question and does not answer.
pub(crate) fn misses_its_database(ready: &ReadyEvidence) -> bool {
    let no = |told: Told<'_>| told.failing() && told.about_the_database();
    ready.outcome == HttpOutcome::Silent || answer(ready, "").is_some_and(no)
}

/// True where the endpoint answered, and said no.
pub(crate) fn failing(e: &Evidence) -> bool {
    told(e).is_some_and(|t| t.failing())
}

/// True where the endpoint answered, and says that the API can use its database.
pub(crate) fn connected(e: &Evidence) -> bool {
    told(e).is_some_and(|t| t.connected())
}

/// A restart of the API for the sake of what its pool holds on to: done by pgmedic unless the API says that it can use its
/// database. Then its pool has let go by itself of what was dead, and a restart would end good connections in vain.
pub(crate) fn unless_connected(e: &Evidence, restart: RemedyPlan) -> RemedyPlan {
    if connected(e) { restart } else { restart.doing(Action::RestartApi) }
}

/// The API's log: the configured one, else the platform's.
pub(crate) fn log(e: &Evidence) -> Option<&LogEvidence> {
    e.app.log.get().or_else(|| e.platform.get().and_then(|told| told.api_log.get()))
}

/// True where the API's log tells of connections that were lost lately: more than one, which may be of a client that
/// was stopped itself.
pub(crate) fn lost_some(log: &LogEvidence) -> bool {
    log.hits.iter().any(|hit| hit.pattern == LogPattern::ConnectionLost && !hit.stale && hit.count >= 2)
}

/// The API's own word that connections of its pool were lost: in its readiness, else in its log.
pub(crate) fn lost_connections(e: &Evidence) -> Option<Fact> {
    let said = told(e).filter(|t| t.failing() && t.meaning() == Some(LogPattern::ConnectionLost));
    let logged = || logged(e, LogPattern::ConnectionLost).map(|(_, fact)| fact);
    said.map(|t| t.fact()).or_else(logged)
}

/// The hit for a known sentence in the API's log, where it still holds.
pub(crate) fn logged(e: &Evidence, pattern: LogPattern) -> Option<(&LogHit, Fact)> {
    let log = log(e)?;
    let hit = log.hits.iter().find(|h| h.pattern == pattern && !h.stale)?;
    let text = format!("{} times in {} lines, last: {}", hit.count, log.lines_read, hit.last);
    Some((hit, Fact::new(Source::Log, log.at, log.place.as_str(), text).value(hit.count)))
}

impl Told<'_> {
    const fn success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    fn db_is(&self, values: &[&str]) -> bool {
        self.db.is_some_and(|db| values.contains(&db.to_lowercase().as_str()))
    }

    /// The API says that it cannot use its database.
    pub(crate) fn failing(&self) -> bool {
        !self.success() || self.db_is(DISCONNECTED)
    }

    /// The API says that it can.
    pub(crate) fn connected(&self) -> bool {
        self.success() && (self.db.is_none() || self.db_is(CONNECTED))
    }

    /// Its `db` member says yes, whatever the status says of the rest of the API.
    pub(crate) fn vouches_for_the_database(&self) -> bool {
        self.db_is(CONNECTED)
    }

    /// The answer speaks of the database, rather than of a missing page, a missing permission, or something else that
    /// the API needs while its database is well.
    pub(crate) fn about_the_database(&self) -> bool {
        if self.vouches_for_the_database() {
            return false;
        }
        self.db.is_some() || self.reason.is_some() || matches!(self.status, 200..=299 | 500..=599)
    }

    /// What its reason (else its body) says, by the sentences known in logs. A reason for a `db` member that says no is
    /// about the database, whether it names it or not.
    pub(crate) fn meaning(&self) -> Option<LogPattern> {
        match self.reason {
            Some(reason) if self.db_is(DISCONNECTED) => {
                driver_words::meaning(&format!("database: {reason}"), self.host)
            }
            reason => driver_words::meaning(reason.unwrap_or(self.body), self.host),
        }
    }

    /// `503, db: disconnected (Database not initialised)`.
    pub(crate) fn phrase(&self) -> String {
        let db = self.db.map(|db| format!(", db: {db}")).unwrap_or_default();
        let reason = self.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("{}{db}{reason}", self.status)
    }

    /// It, as a fact. The value is the status.
    pub(crate) fn fact(&self) -> Fact {
        let at = self.ready.at.plus(self.ready.elapsed_ms);
        Fact::new(Source::Http, at, self.ready.url.as_str(), self.phrase()).value(self.status)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{AT, healthy, resolved};
    use pgmedic_model::Ms;

    /// The endpoint's exchange ended like this.
    pub(crate) fn ready_says(e: &mut Evidence, outcome: HttpOutcome) {
        e.app.ready = Seen::Seen(ReadyEvidence {
            at: AT,
            elapsed_ms: Ms(3.0),
            url: "http://renderflow-api.internal:3000/api/v1/ready".into(),
            dns: resolved(&["10.0.0.9"]),
            outcome,
        });
    }

    /// An answer with this status and `db` member.
    pub(crate) fn answered(status: u16, db: &str) -> HttpOutcome {
        HttpOutcome::Answered {
            status,
            db: Some(db.into()),
            state: None,
            reason: None,
            body: format!("{{\"db\":\"{db}\"}}"),
        }
    }

    #[test]
    fn an_answer_is_judged_by_status_and_db_member() {
        for (status, db, failing, connected) in [
            (200, "connected", false, true),
            (503, "disconnected", true, false),
            (200, "Disconnected", true, false),
            (503, "connected", true, false),
            (200, "degraded", false, false),
        ] {
            let mut e = healthy();
            ready_says(&mut e, answered(status, db));
            let told = told(&e).unwrap();
            assert_eq!((told.failing(), told.connected()), (failing, connected), "{status} {db}");
            assert!(told.fact().fact.starts_with(&status.to_string()));
        }
        assert!(!failing(&healthy()));
    }

    #[test]
    fn an_api_misses_its_database_where_it_says_so_or_says_nothing() {
        for (outcome, misses) in [
            (answered(503, "disconnected"), true),
            (answered(200, "connected"), false),
            (answered(503, "connected"), false),
            (HttpOutcome::Silent, true),
            (HttpOutcome::Closed, false),
        ] {
            let mut e = healthy();
            ready_says(&mut e, outcome.clone());
            assert_eq!(e.app.ready.get().map(misses_its_database), Some(misses), "{outcome:?}");
        }
    }
}
