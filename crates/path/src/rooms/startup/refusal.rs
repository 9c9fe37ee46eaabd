//! A refused login as the causes of this room read it: who was refused, in which words, through a pooler or
//! not; and what the server's log tells of a failed password, which the client is not told. Pure.

use crate::cause::Cause;
use crate::evidence::{Evidence, RouteEvidence};
use crate::paste::argument;
use crate::rooms::server::log;
use crate::said;
use crate::ways::{Around, Struck, host_and_port, struck};
use pgmedic_model::pooler_words::{self, Words};
use pgmedic_model::{Confidence, Fact, Finding, ServerError, Source, SqlState};

/// Log entries older than this are evidence of another failure, in ms.
const LOG_IS_FRESH_MS: i64 = 600_000;

/// A refused login.
pub(crate) struct Refusal<'a> {
    /// On which way in.
    pub(crate) way: Struck<'a>,
    /// In which words.
    pub(crate) error: &'a ServerError,
    /// The role that was refused.
    pub(crate) user: &'a str,
    /// The database that it asked for.
    pub(crate) database: &'a str,
    /// True where a pooler said it: its own words, or the server's words relayed.
    pub(crate) pooled: bool,
}

/// The first way in that is refused with an error for which `test` holds.
pub(crate) fn refused(
    e: &Evidence,
    test: impl Fn(&RouteEvidence, &ServerError) -> bool,
) -> Option<Refusal<'_>> {
    let way = struck(e, Around::Behind, |r| r.refusal().is_some_and(|error| test(r, error)))?;
    let error = way.route.refusal()?;
    let startup = way.route.startup.as_ref();
    Some(Refusal {
        error,
        user: startup.map_or(&e.target.user, |s| &s.user),
        database: startup.map_or(&e.target.database, |s| &s.database),
        pooled: by_a_pooler(way.route, error),
        way,
    })
}

/// True where message or DETAIL holds the text of `words`.
pub(crate) fn says(error: &ServerError, words: Words) -> bool {
    pooler_words::says(&error.message, words)
        || error.detail.as_deref().is_some_and(|d| pooler_words::says(d, words))
}

/// True for an error with this SQLSTATE and these words, or these words relayed by a pooler (which had no
/// other SQLSTATE than 08P01 before PgBouncer 1.20).
pub(crate) fn is(error: &ServerError, code: &str, words: Words) -> bool {
    (error.is(code) || error.is(SqlState::PROTOCOL_VIOLATION)) && says(error, words)
}

/// True where the error was raised in this routine of the server (field R): it tells errors of one SQLSTATE
/// apart in any language.
pub(crate) fn raised_in(error: &ServerError, routine: &str) -> bool {
    error.routine.as_deref() == Some(routine)
}

fn by_a_pooler(route: &RouteEvidence, error: &ServerError) -> bool {
    error.is(SqlState::PROTOCOL_VIOLATION) || route.startup.as_ref().is_some_and(|s| s.pooler.is_some())
}

impl Refusal<'_> {
    /// Certain by the server's own words; likely where a pooler relays them.
    pub(crate) const fn confidence(&self) -> Confidence {
        if self.pooled { Confidence::Likely } else { Confidence::Certain }
    }

    /// A finding on the refusal, with what the other ways in were told.
    pub(crate) fn finding(&self, e: &Evidence, cause: &Cause, confidence: Confidence, what: &str) -> Finding {
        let at = self.way.route.refused_at();
        let mut cited: Vec<Fact> = said::errors(e)
            .filter(|s| s.route == self.way.name || self.way.others.iter().any(|r| r.address == s.place))
            .map(|s| s.fact())
            .collect();
        let proof = if cited.is_empty() {
            Fact::new(Source::Startup, at, &self.way.route.address, self.error.to_string())
        } else {
            cited.remove(0)
        };
        let summary = format!("{what}{}", self.way.on_the_way());
        let pooler = self.way.route.startup.as_ref().and_then(|s| s.pooler.as_ref()).map(|why| {
            Fact::new(Source::Startup, at, &self.way.route.address, format!("a pooler answers: {why}"))
        });
        Finding::new(cause.id, cause.room, self.way.severity, confidence, summary, proof)
            .and_all(cited)
            .and_all(pooler)
    }

    /// A login as the refused role, for pasting; it asks for the password.
    pub(crate) fn login(&self, database: &str, sql: &str) -> String {
        let (host, port) = host_and_port(&self.way.route.address);
        format!(
            "psql -h {} -p {port} -U {} -d {} -c {}",
            argument(host),
            argument(self.user),
            argument(database),
            argument(sql)
        )
    }
}

/// Why a password was turned down, as the server's log tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is not the role's password.
    Mismatch,
    /// The role has none.
    NoPassword,
    /// It is stored as MD5, and SCRAM is demanded: none can be right until it is set anew.
    NoScramSecret,
    /// There is no such role.
    RoleMissing,
    /// It was valid until a time that has passed.
    Expired,
}

/// A refused password.
pub(crate) fn password_refused(e: &Evidence) -> Option<Refusal<'_>> {
    refused(e, |_, error| error.is(SqlState::INVALID_PASSWORD) || says(error, Words::PasswordFailed))
}

/// What the server's log says of the newest refused password of `user`.
pub(crate) fn told_by_log(e: &Evidence, user: &str) -> Option<(Told, Fact)> {
    let (log, read) = log::view(e)?;
    let whose = format!("user \"{user}\"");
    let entry = log.entries.iter().rev().find(|entry| {
        let failed = pooler_words::says(&entry.message, Words::PasswordFailed);
        let fresh = entry.at.is_none_or(|at| at.0 >= e.started_at.0 - LOG_IS_FRESH_MS);
        failed && fresh && entry.message.contains(&whose)
    })?;
    let told = [
        (Words::PasswordExpired, Told::Expired),
        (Words::NoPasswordAssigned, Told::NoPassword),
        (Words::NoScramSecret, Told::NoScramSecret),
        (Words::RoleDoesNotExist, Told::RoleMissing),
        (Words::PasswordMismatch, Told::Mismatch),
        (Words::HbaLineMatched, Told::Mismatch),
    ]
    .into_iter()
    .find_map(|(words, told)| pooler_words::says(&entry.message, words).then_some(told))?;
    let fact = format!("{}: {}", entry.severity, entry.message);
    Some((told, Fact::new(Source::Log, entry.at.unwrap_or(read), &log.path, fact)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{AT, healthy, late, log_of, refused as walk_refused, window};
    use pgmedic_model::Ms;

    const FAILED: &str = "password authentication failed for user \"app\"";

    #[test]
    fn the_log_tells_what_the_client_is_not_told() {
        for (detail, told) in [
            (
                "User \"app\" has an expired password. Connection matched pg_hba.conf line 3",
                Some(Told::Expired),
            ),
            (
                "User \"app\" has no password assigned. Connection matched pg_hba.conf line 3",
                Some(Told::NoPassword),
            ),
            (
                "User \"app\" does not have a valid SCRAM secret. Connection matched pg_hba.conf line 3",
                Some(Told::NoScramSecret),
            ),
            ("Role \"app\" does not exist. Connection matched pg_hba.conf line 3", Some(Told::RoleMissing)),
            ("Password does not match for user \"app\".", Some(Told::Mismatch)),
            (
                "Connection matched pg_hba.conf line 3: \"host all all all scram-sha-256\"",
                Some(Told::Mismatch),
            ),
            ("", None),
        ] {
            let mut e = walk_refused("28P01", FAILED);
            window(&mut e, |host| host.log = Some(log_of("28P01", &format!("{FAILED} DETAIL: {detail}"))));
            assert_eq!(told_by_log(&e, "app").map(|t| t.0), told, "{detail}");
            assert_eq!(told_by_log(&e, "another"), None);
        }
    }

    #[test]
    fn an_old_entry_of_the_log_is_of_another_failure() {
        let mut e = walk_refused("28P01", FAILED);
        window(&mut e, |host| {
            let mut log = log_of("28P01", &format!("{FAILED} Role \"app\" does not exist."));
            log.entries[0].at = Some(AT.plus(Ms(-900_000.0)));
            host.log = Some(log);
        });
        assert_eq!(told_by_log(&e, "app"), None);
    }

    #[test]
    fn a_pooler_relays_the_servers_refusal_in_the_place_of_the_querys_answer() {
        let mut e = healthy();
        late(&mut e, "08P01", FAILED);
        assert_eq!(password_refused(&e).map(|r| r.pooled), Some(true));
        // From 1.20 on with the server's own code: then the pooler must be known by something else.
        late(&mut e, "28P01", FAILED);
        assert!(password_refused(&e).is_none());
        if let Some(startup) = &mut e.front.startup {
            startup.pooler = Some("it refused a startup parameter as PgBouncer does".to_owned());
        }
        assert!(password_refused(&e).is_some());
        let report = crate::report(&e, crate::diagnose(&e));
        let line = &report.path[5];
        assert_eq!(line.status, pgmedic_model::RoomStatus::Failed);
        assert!(
            line.summary.starts_with("a pooler lets its client in, then: FATAL 28P01"),
            "{}",
            line.summary
        );
    }

    #[test]
    fn a_pooler_is_known_by_its_code_or_by_what_the_walk_learnt() {
        let pooled = |e: &Evidence| password_refused(e).map(|r| r.pooled);
        assert_eq!(pooled(&walk_refused("08P01", FAILED)), Some(true));
        let mut e = walk_refused("28P01", FAILED);
        assert_eq!(pooled(&e), Some(false));
        if let Some(startup) = &mut e.front.startup {
            startup.pooler = Some("it refused a startup parameter as PgBouncer does".to_owned());
        }
        assert_eq!(pooled(&e), Some(true));
    }
}
