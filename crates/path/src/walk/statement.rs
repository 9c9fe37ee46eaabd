//! The one statement on an admitted connection, and a sign of life where it is refused.

use super::budget::Budget;
use crate::evidence::{QueryEvidence, QueryOutcome};
use crate::rooms::startup::session::{Answer, Reply, Session};
use crate::sql;
use pgmedic_model::{Policy, ServerError, SqlState};
use std::panic::catch_unwind;

/// The oldest server whose account pgmedic knows how to ask for.
const OLDEST: u32 = 120_000;

/// 55P03 lock_not_available: `lock_timeout`.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Asks the server for its account of itself. `only` where there is no other way to ask on.
pub(super) async fn ask(
    session: &mut Session,
    server_version: Option<&str>,
    policy: &Policy,
    budget: &Budget,
    only: bool,
) -> QueryEvidence {
    // A pooler may tell no version, or its own; the oldest statement runs on all that follow.
    let version = server_version.and_then(sql::version_num).unwrap_or(OLDEST);
    if version < OLDEST {
        let why = format!(
            "the server says version {}, and pgmedic reads 12 and later",
            server_version.unwrap_or("?")
        );
        return sign_of_life(session, budget, why).await;
    }
    let statement = sql::statement(version, policy);
    let deadline = budget.statement(only);
    let asked = if session.bounded { statement } else { bounded(&statement, budget, only) };
    let answer = session.simple_query(&asked, deadline).await;
    match &answer.reply {
        Reply::Error(error) if !is_timeout(error) => {
            let mut life = sign_of_life(session, budget, error.to_string()).await;
            if !matches!(life.outcome, QueryOutcome::Alive(_)) {
                return told(answer);
            }
            life.at = answer.at;
            life.notices.splice(0..0, answer.notices);
            life
        }
        _ => told(answer),
    }
}

/// The statement with pgmedic's own bounds around it, for a peer that did not take them at startup. The transaction
/// is not set to READ ONLY, because the statement tells whether the server made it so.
fn bounded(statement: &str, budget: &Budget, only: bool) -> String {
    let bounds = budget.bounds(only);
    format!(
        "BEGIN; SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {};\n{}\n;COMMIT",
        bounds.statement.as_millis().max(1),
        bounds.lock.as_millis().max(1),
        statement.trim_end().trim_end_matches(';'),
    )
}

fn is_timeout(error: &ServerError) -> bool {
    error.is(SqlState::QUERY_CANCELED) || error.is(LOCK_NOT_AVAILABLE)
}

/// `select 1`, with why no more was asked or answered.
async fn sign_of_life(session: &mut Session, budget: &Budget, why: String) -> QueryEvidence {
    let sql = if session.bounded { "SELECT 1" } else { "ROLLBACK; SELECT 1" };
    let answer = session.simple_query(sql, budget.sign_of_life()).await;
    let alive = matches!(&answer.reply, Reply::Rows { rows, .. } if rows == &[vec![Some("1".to_owned())]]);
    let mut evidence = told(answer);
    if alive {
        evidence.outcome = QueryOutcome::Alive(why);
    }
    evidence
}

/// An answer as evidence. A document that cannot be read, or that trips its reader, is told as that.
fn told(answer: Answer) -> QueryEvidence {
    let outcome = match answer.reply {
        Reply::Rows { rows, .. } => match rows.as_slice() {
            [row] => match row.as_slice() {
                [Some(document)] => read(document),
                _ => QueryOutcome::Unreadable(format!("{} columns", row.len())),
            },
            _ => QueryOutcome::Unreadable(format!("{} rows", rows.len())),
        },
        Reply::Error(error) => QueryOutcome::Error(error),
        Reply::Closed => QueryOutcome::Closed,
        Reply::Silent => QueryOutcome::Silent,
        Reply::Unreadable(text) => QueryOutcome::Unreadable(text),
    };
    QueryEvidence { at: answer.at, elapsed_ms: answer.elapsed_ms, outcome, notices: answer.notices }
}

fn read(document: &str) -> QueryOutcome {
    match catch_unwind(|| sql::read(document)) {
        Ok(Ok(facts)) => QueryOutcome::Answered(Box::new(facts)),
        Ok(Err(error)) => QueryOutcome::Unreadable(error.to_string()),
        Err(_) => QueryOutcome::Unreadable("a defect in pgmedic: the reader panicked".to_owned()),
    }
}
