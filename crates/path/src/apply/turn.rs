//! The turn under which sessions are signalled: two pgmedics, on whatever hosts and in whatever databases of one server, do it
//! one after the other. Each counts the clients when its turn has come, so that together they end no more than one would.
//!
//! An advisory lock is of one database (Postgres manual, "Advisory Locks"); `pg_locks` shows those of all. It is held by a
//! transaction, so that a pooler in between cannot keep it. Not in here: what is done meanwhile (`sessions`).

use super::statement::PREFIX;
use super::way::Hold;
use super::{BRIEF, Came, way};
use pgmedic_model::StepOutcome;
use std::time::Duration;
use tokio::time::Instant;

/// `pgmd`, and what it is for.
const LOCK: (u32, u32) = (1_885_826_404, 1);

/// Begins a transaction that has the turn, and waits for it for a while.
///
/// # Errors
/// Where another has it for longer, or the server says no: then nothing was done.
pub(super) async fn take(session: &mut Hold<'_>) -> Result<(), Came> {
    let until = Instant::now() + BRIEF;
    let mut pause = Duration::from_millis(10);
    loop {
        match free(session).await {
            Ok(true) => return Ok(()),
            Ok(false) if Instant::now() < until => {}
            Ok(false) => {
                let why = "another pgmedic is ending sessions of this server now: nothing is done twice";
                return Err(Came::to(StepOutcome::Refused, why));
            }
            Err(why) => return Err(Came::to(StepOutcome::Refused, why)),
        }
        // Two that saw each other do not meet again at the same moment.
        let noise = Instant::now().duration_since(until - BRIEF).subsec_nanos() % 17;
        tokio::time::sleep(pause + Duration::from_millis(noise.into())).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

/// Ends the turn.
pub(super) async fn give_back(session: &mut Hold<'_>) {
    // Where it does not come to its end, the session's own end ends it.
    let _ended = session.ask("commit", Instant::now() + BRIEF).await;
}

/// True where the turn is ours; else the transaction is at its end again.
async fn free(session: &mut Hold<'_>) -> Result<bool, String> {
    let (class, object) = LOCK;
    // A pgmedic that is stopped meanwhile does not keep the turn: the server ends its session.
    let bound = "set local idle_in_transaction_session_timeout to '15s'; ";
    let lock = format!("begin; {PREFIX}{bound}select pg_try_advisory_xact_lock({class}, {object})");
    let others = format!(
        "select not exists (select from pg_locks where locktype = 'advisory' and classid = {class}::oid and objid = {object}::oid \
         and objsubid = 2 and granted and pid <> pg_backend_pid())"
    );
    if yes(session, &lock).await? && yes(session, &others).await? {
        return Ok(true);
    }
    way::rows(session.ask("rollback", Instant::now() + BRIEF).await)?;
    Ok(false)
}

async fn yes(session: &mut Hold<'_>, sql: &str) -> Result<bool, String> {
    let rows = way::rows(session.ask(sql, Instant::now() + BRIEF).await)?;
    Ok(rows.first().and_then(|row| row.first()?.as_deref()) == Some("t"))
}
