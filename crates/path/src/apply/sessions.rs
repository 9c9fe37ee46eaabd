//! Cancels and ends sessions: small batches, the number of clients read anew before each, and each signalled session seen
//! to be gone (`pg_terminate_backend` giving true proves nothing: causes.md, fact 11). Not in here: which (`ending`).

use super::statement::{Signal, left, signal};
use super::way::Hold;
use super::{BRIEF, Came, turn, way};
use crate::evidence::Evidence;
use crate::service::Service;
use pgmedic_model::{SessionClass, SessionOutcome, SessionRef, StepOutcome};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// Sessions that are signalled before it is looked again.
const BATCH: usize = 10;
/// Time between two looks at whether they are gone.
const STEP: Duration = Duration::from_millis(20);

/// Cancels what these sessions run.
pub(super) async fn cancel(service: &Service, e: &Evidence, sessions: &[SessionRef]) -> Came {
    all(service, e, sessions, Signal::Cancel, None).await
}

/// Ends these sessions, no more than leave `down_to` clients.
pub(super) async fn terminate(
    service: &Service,
    e: &Evidence,
    sessions: &[SessionRef],
    class: SessionClass,
    down_to: Option<u64>,
) -> Came {
    all(service, e, sessions, Signal::Terminate(class), down_to).await
}

async fn all(
    service: &Service,
    e: &Evidence,
    sessions: &[SessionRef],
    how: Signal,
    down_to: Option<u64>,
) -> Came {
    let own = |role: &str| sessions.iter().all(|s| s.usename == role);
    let right = |me: &crate::sql::facts::Me| me.superuser || me.may_signal || own(&me.role);
    let mut session = match way::open(service, e, right).await {
        Ok(session) => session,
        Err(came) => return came,
    };
    if let Err(came) = turn::take(&mut session).await {
        session.close().await;
        return came;
    }
    let mut work = Work { signalled: BTreeSet::new(), gone: BTreeSet::new(), trouble: None, enough: false };
    for batch in sessions.chunks(BATCH) {
        let batch = match work.room(&mut session, how, batch, down_to).await {
            Some(batch) if !batch.is_empty() => batch,
            _ => break,
        };
        if !work.signal(&mut session, how, batch, &service.policy).await {
            break;
        }
    }
    turn::give_back(&mut session).await;
    session.close().await;
    work.came(how, sessions)
}

/// What has been done so far.
struct Work {
    signalled: BTreeSet<i32>,
    gone: BTreeSet<i32>,
    trouble: Option<String>,
    /// Clients enough have gone by themselves or by us.
    enough: bool,
}

impl Work {
    /// As much of a batch as there is still need for. None where the server did not say.
    async fn room<'s>(
        &mut self,
        session: &mut Hold<'_>,
        how: Signal,
        batch: &'s [SessionRef],
        down_to: Option<u64>,
    ) -> Option<&'s [SessionRef]> {
        let Some(down_to) = down_to else { return Some(batch) };
        let (_, clients) = self.look(session, how, batch).await?;
        let needed = usize::try_from(clients.saturating_sub(down_to)).unwrap_or(usize::MAX);
        self.enough = needed < batch.len();
        Some(&batch[..needed.min(batch.len())])
    }

    /// Signals a batch and waits until its sessions are gone. False where it must not go on.
    async fn signal(
        &mut self,
        session: &mut Hold<'_>,
        how: Signal,
        batch: &[SessionRef],
        policy: &pgmedic_model::Policy,
    ) -> bool {
        let until = Instant::now() + BRIEF;
        let reply = session.ask(&signal(how, batch, policy), until).await;
        let rows = match way::rows(reply) {
            Ok(rows) => rows,
            Err(why) => {
                self.trouble = Some(why);
                return false;
            }
        };
        let pid = |row: &Vec<Option<String>>| row.first()?.as_deref()?.parse::<i32>().ok();
        let hit: BTreeSet<i32> = rows.iter().filter_map(pid).collect();
        self.signalled.extend(&hit);
        loop {
            let Some((left, _)) = self.look(session, how, batch).await else { return false };
            self.gone.extend(hit.iter().filter(|pid| !left.contains(pid)));
            if hit.iter().all(|pid| self.gone.contains(pid)) {
                return true;
            }
            if Instant::now() >= until {
                let stay = hit.iter().filter(|pid| left.contains(pid)).map(i32::to_string);
                let stay: Vec<_> = stay.collect();
                self.trouble = Some(format!("pid {} was signalled and is still there", stay.join(", ")));
                return false;
            }
            tokio::time::sleep(STEP).await;
        }
    }

    /// Who of a batch is still there, and how many clients there are.
    async fn look(
        &mut self,
        session: &mut Hold<'_>,
        how: Signal,
        batch: &[SessionRef],
    ) -> Option<(BTreeSet<i32>, u64)> {
        let reply = session.ask(&left(how, batch), Instant::now() + BRIEF).await;
        match way::rows(reply) {
            Ok(rows) => {
                let number = |row: &[Option<String>], at: usize| row.get(at)?.as_deref()?.parse::<i64>().ok();
                let pids = rows.iter().filter_map(|row| i32::try_from(number(row, 0)?).ok()).collect();
                let clients = rows.first().and_then(|row| number(row, 1)).unwrap_or(0);
                Some((pids, u64::try_from(clients).unwrap_or(0)))
            }
            Err(why) => {
                self.trouble = Some(why);
                None
            }
        }
    }

    fn came(self, how: Signal, sessions: &[SessionRef]) -> Came {
        let outcomes: Vec<SessionOutcome> = sessions
            .iter()
            .map(|s| SessionOutcome {
                pid: s.pid,
                backend_start: s.backend_start.clone(),
                application_name: s.application_name.clone(),
                usename: s.usename.clone(),
                state: s.state.clone(),
                terminated: self.gone.contains(&s.pid),
            })
            .collect();
        let verb = if how == Signal::Cancel { "cancelled" } else { "ended" };
        let (gone, all) = (self.gone.len(), sessions.len());
        let spared = match (all - gone, self.enough) {
            (0, _) => String::new(),
            (n, true) => format!("; {n} were not needed any more"),
            (n, false) if self.trouble.is_none() => {
                format!("; {n} had moved on, were gone, or are protected, and were let be")
            }
            (n, false) => format!("; {n} were not"),
        };
        let trouble = self.trouble.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
        let outcome = match (&self.trouble, gone, self.signalled.len()) {
            (Some(_), 0, 0) | (Some(_), _, 1..) => StepOutcome::Failed,
            (None, 0, _) => StepOutcome::NotNeeded,
            (_, _, _) => StepOutcome::Applied,
        };
        let detail = format!("{gone} of {all} sessions {verb}{spared}{trouble}");
        Came { sessions: outcomes, ..Came::to(outcome, detail) }
    }
}
