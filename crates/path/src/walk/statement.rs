//! The one statement on an admitted connection, and a sign of life where it is refused.

use crate::evidence::{QueryEvidence, QueryOutcome};
use crate::rooms::startup::probe::Bounds;
use crate::rooms::startup::session::{ANSWER_LIMIT, Answer, Limits, Reply, Session};
use crate::rooms::startup::wire::{NOTICE_LIMIT, readable};
use crate::sql::{self, Account, ReadError};
use pgmedic_model::{Policy, ServerError, SqlState};
use std::panic::{AssertUnwindSafe, UnwindSafe, catch_unwind};
use std::time::Duration;
use tokio::time::Instant;

/// The oldest server whose account pgmedic knows how to ask for.
pub(crate) const OLDEST: u32 = 120_000;

/// The account is held meanwhile: the locks get half of its room. The statement asks for 1,100 rows at most.
const LOCKS: Limits = Limits { rows: usize::MAX, bytes: ANSWER_LIMIT / 2 };

/// 55P03 lock_not_available: `lock_timeout`.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// How much time the statement has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// For the account and the locks.
    pub(crate) statement: Instant,
    /// For `select 1` after a statement that was refused, and until when at the latest.
    pub(crate) life: (Duration, Instant),
    /// What the server is asked to end by itself.
    pub(crate) bounds: Bounds,
}

/// How a server introduced itself.
#[derive(Clone, Copy)]
pub(crate) struct Introduced<'a> {
    /// `server_version`.
    pub(crate) version: Option<&'a str>,
    /// What it is, where it is no Postgres.
    pub(crate) product: Option<&'a str>,
}

impl Introduced<'_> {
    /// The version whose statement is asked. A pooler may tell none, or its own; the oldest statement runs on all that
    /// follow.
    pub(crate) fn version_num(&self) -> u32 {
        self.version.and_then(sql::version_num).unwrap_or(OLDEST)
    }
}

/// Asks the server for its account of itself.
pub(crate) async fn ask(
    session: &mut Session,
    introduced: Introduced<'_>,
    policy: &Policy,
    pace: &Pace,
) -> QueryEvidence {
    let version = introduced.version_num();
    if let Some(why) = unread(introduced, version) {
        return sign_of_life(session, pace, why).await;
    }
    let statement = within_bounds(session, sql::statement(version), pace);
    ask_for_account(session, &statement, policy, pace).await
}

/// The same by a statement of the caller's, which is the account's or stands for it.
pub(crate) async fn ask_for_account(
    session: &mut Session,
    statement: &str,
    policy: &Policy,
    pace: &Pace,
) -> QueryEvidence {
    let deadline = pace.statement;
    let Answer { at, mut elapsed_ms, reply, mut notices, mut received_bytes } =
        session.simple_query(statement, deadline).await;
    let outcome = match account(reply) {
        Ok(mut account) => {
            if account.wants_locks() {
                let locks = within_bounds(session, sql::lock_statement(account.sees_all()), pace);
                let answer = session.simple_query_within(&locks, LOCKS, deadline).await;
                elapsed_ms.0 += answer.elapsed_ms.0;
                received_bytes += answer.received_bytes;
                notices.extend(answer.notices);
                notices.truncate(NOTICE_LIMIT);
                add_locks(&mut account, answer.reply);
            }
            assembled(account, policy)
        }
        Err(QueryOutcome::Error(error)) if !is_timeout(&error) => {
            let mut life = sign_of_life(session, pace, error.to_string()).await;
            if matches!(life.outcome, QueryOutcome::Alive(_)) {
                life.at = at;
                life.refused = Some(error);
                life.notices.splice(0..0, notices);
                life.notices.truncate(NOTICE_LIMIT);
                return life;
            }
            QueryOutcome::Error(error)
        }
        Err(outcome) => outcome,
    };
    QueryEvidence { at, elapsed_ms, outcome, notices, refused: None, received_bytes, aftermath: None }
}

/// Why a server's account of itself is none that pgmedic reads, if it is none.
pub(crate) fn unread(introduced: Introduced<'_>, version: u32) -> Option<String> {
    if let Some(product) = introduced.product {
        return Some(format!(
            "the server is {product}, no Postgres; pgmedic reads no account of its sessions and slots"
        ));
    }
    let said = introduced.version.filter(|_| version < OLDEST)?;
    Some(format!("the server says version {said}, and pgmedic reads 12 and later"))
}

/// The statement with pgmedic's own bounds around it, for a peer that did not take them at startup. The transaction
/// is not set to READ ONLY, because the statement tells whether the server made it so.
pub(crate) fn bounded(statement: &str, bounds: Bounds) -> String {
    format!(
        "BEGIN; SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {};\n{}\n;COMMIT",
        bounds.statement.as_millis().max(1),
        bounds.lock.as_millis().max(1),
        statement.trim_end().trim_end_matches(';'),
    )
}

/// The statement as it is sent on this session.
fn within_bounds(session: &Session, sql: String, pace: &Pace) -> String {
    if session.bounded { sql } else { bounded(&sql, pace.bounds) }
}

fn is_timeout(error: &ServerError) -> bool {
    error.is(SqlState::QUERY_CANCELED) || error.is(LOCK_NOT_AVAILABLE)
}

/// `select 1`, with why no more was asked or answered.
pub(crate) async fn sign_of_life(session: &mut Session, pace: &Pace, why: String) -> QueryEvidence {
    let (most, latest) = pace.life;
    let sql = if session.bounded { "SELECT 1" } else { "ROLLBACK; SELECT 1" };
    let answer = session.simple_query_within(sql, Limits::SMALL, latest.min(Instant::now() + most)).await;
    let Answer { at, elapsed_ms, reply, notices, received_bytes } = answer;
    let outcome = match rows(reply) {
        Ok(rows) if rows == [[Some("1".to_owned())]] => QueryOutcome::Alive(why),
        Ok(rows) => QueryOutcome::Unreadable(format!("{} other rows than the 1 asked for", rows.len())),
        Err(outcome) => outcome,
    };
    QueryEvidence { at, elapsed_ms, outcome, notices, refused: None, received_bytes, aftermath: None }
}

pub(crate) type Rows = Vec<Vec<Option<String>>>;

/// The rows of an answer, or what came in their place.
pub(crate) fn rows(reply: Reply) -> Result<Rows, QueryOutcome> {
    match reply {
        Reply::Rows { rows, .. } => Ok(rows),
        Reply::Error(error) => Err(QueryOutcome::Error(error)),
        Reply::Closed => Err(QueryOutcome::Closed),
        Reply::Silent => Err(QueryOutcome::Silent),
        Reply::Unreadable(text) => Err(QueryOutcome::Unreadable(text)),
    }
}

/// The server's account of itself, or what came in its place.
fn account(reply: Reply) -> Result<Account, QueryOutcome> {
    let rows = rows(reply)?;
    let account = unharmed(|| sql::read(rows))?;
    account.map_err(unreadable)
}

/// What is wrong with an answer, in words that may quote it.
fn unreadable(error: ReadError) -> QueryOutcome {
    QueryOutcome::Unreadable(readable(error.to_string().as_bytes()))
}

/// Adds the locks to an account, or why they were not told: the account stands without them.
fn add_locks(account: &mut Account, reply: Reply) {
    let added = rows(reply).and_then(|rows| {
        let added = unharmed(AssertUnwindSafe(|| account.add_locks(&rows)))?;
        added.map_err(unreadable)
    });
    if let Err(outcome) = added {
        account.locks_not_seen(match outcome {
            QueryOutcome::Error(error) => error.to_string(),
            QueryOutcome::Unreadable(why) => why,
            QueryOutcome::Closed => "the server hung up".to_owned(),
            _ => "no answer in time".to_owned(),
        });
    }
}

/// The account's facts.
fn assembled(account: Account, policy: &Policy) -> QueryOutcome {
    let facts = unharmed(AssertUnwindSafe(|| account.into_facts(policy)));
    facts.map_or_else(|outcome| outcome, |facts| QueryOutcome::Answered(Box::new(facts)))
}

/// What a reading gives, or that it tripped.
fn unharmed<T>(reading: impl FnOnce() -> T + UnwindSafe) -> Result<T, QueryOutcome> {
    let tripped = |_| QueryOutcome::Unreadable("a defect in pgmedic: the reader panicked".to_owned());
    catch_unwind(reading).map_err(tripped)
}
