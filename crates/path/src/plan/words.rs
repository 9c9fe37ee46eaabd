//! What a step says of itself: who is touched, what must hold, what proves it, what happens where it fails, what takes it
//! back. Not in here: whether it may be applied.

use crate::evidence::Evidence;
use crate::paste::identifier;
use crate::platform::told::InstanceState;
use pgmedic_model::{Action, Deed, LimitOf, SessionClass};

/// What a step says.
pub(super) struct Told {
    pub(super) radius: String,
    pub(super) sessions: Option<u64>,
    pub(super) precondition: String,
    pub(super) verification: String,
    pub(super) on_failure: String,
    pub(super) undo: Option<String>,
}

/// The key of `[service.platform]` that lets somebody do a deed.
pub(super) const fn key(deed: Deed) -> &'static str {
    match deed {
        Deed::RestartApi => "`api` (or restart_api, for kind \"host\")",
        Deed::RestartProxy => "`proxy` (or restart_proxy, for kind \"host\")",
        Deed::StartDb => "`db` (or start_db, for kind \"host\")",
        Deed::RestartDb => "`db` (or restart_db, for kind \"host\")",
        Deed::ExtendVolume => "`db` on Fly (or extend_volume, for kind \"host\")",
    }
}

/// The words for an action; for a person's, that it is theirs.
pub(super) fn of(e: &Evidence, action: Option<&Action>) -> Told {
    let Some(action) = action else {
        return told(
            "what the person decides",
            None,
            "a person has looked",
            "the next check",
            "nothing was changed",
        );
    };
    let count = action.sessions().len() as u64;
    let clients = e.facts().map(|f| f.admission.client_backends.saturating_sub(f.admission.own));
    match action {
        Action::Cancel { .. } => told(
            format!("{count} statement(s) end with an error; their sessions and all others live on"),
            Some(0),
            "each session runs the statement that it was seen to run (pid and backend_start, in the same statement)",
            "none of them runs that statement any more, and a fresh walk finds the service well",
            "the sessions that still run it are named, and nothing else is done to them",
        ),
        Action::Terminate { class, .. } => Told {
            undo: None,
            ..told(
                format!("{count} session(s) end, of {}; {}", of_class(*class), rolled_back(*class)),
                Some(count),
                "each is the one that was seen (pid and backend_start), still of its class, no superuser's, protected or \
                 pgmedic's, and without advisory locks: asked in the same statement",
                "they are gone from pg_stat_activity, and a fresh walk finds the service well",
                "the sessions that stay are named; the rest are left alone, and the next remedy is tried",
            )
        },
        Action::ResumePooler { .. } | Action::EnablePooler { .. } => told(
            "no session ends; clients that wait go on",
            Some(0),
            "the pooler's console still shows it paused, or disabled",
            "a fresh walk through the pooler is answered",
            "the console's error is shown, and nothing else is changed",
        ),
        Action::RaiseLimit { of, name, from, to } => Told {
            undo: Some(undo_limit(*of, name, *from)),
            ..told(
                format!("no session ends; up to {} more may log in", to - from),
                Some(0),
                format!("the limit is still {from}"),
                "a fresh walk is let in",
                "the limit is as it was",
            )
        },
        Action::RestartApi => told(
            format!(
                "{}: each instance's requests in flight end; one at a time, the next only when the one before is ready",
                instances(e)
            ),
            None,
            "its instances are asked for anew, and each is restarted once",
            "readiness answers 200, and a fresh walk finds the service well",
            "the instances after the one that does not come back are not touched",
        ),
        Action::RestartProxy => told(
            "every connection through the proxy ends; the database and who reaches it directly are not touched",
            None,
            "the proxy, and not the database, is seen to be at fault",
            "a fresh walk through the proxy is answered",
            "the database is not touched",
        ),
        Action::StartDb => told(
            "none: nobody is connected to a server that does not run",
            Some(0),
            "no server runs, and its volumes have space and inodes",
            "a fresh walk is let in",
            "the server's log is read for why; it is not started a second time",
        ),
        Action::RestartDb => told(
            clients.map_or("every session ends".to_owned(), |n| format!("every session ends: {n} now")),
            clients,
            "every gate is open: space, inodes, pg_hba.conf, configuration, key file, no recovery, no base backup, no prepared \
             transaction, nothing that waits for a restart",
            "a fresh walk is let in",
            "the server's log is read for why; it is not restarted a second time",
        ),
        Action::ExtendVolume { from_gb, to_gb, .. } => told(
            format!(
                "no downtime, but money: {} to {to_gb} GB, and it never shrinks",
                from_gb.map_or("grown".to_owned(), |gb| format!("from {gb} GB"))
            ),
            Some(0),
            "the volume is short of space, and the new size is within policy.max_volume_gb",
            "the volume has the space, and a fresh walk finds the service well",
            "nothing is restarted while there is no space",
        ),
    }
}

fn told(
    radius: impl Into<String>,
    sessions: Option<u64>,
    precondition: impl Into<String>,
    verification: impl Into<String>,
    on_failure: impl Into<String>,
) -> Told {
    Told {
        radius: radius.into(),
        sessions,
        precondition: precondition.into(),
        verification: verification.into(),
        on_failure: on_failure.into(),
        undo: None,
    }
}

const fn of_class(class: SessionClass) -> &'static str {
    match class {
        SessionClass::Idle => "those that idle",
        SessionClass::IdleInTransaction => "those that idle in a transaction",
        SessionClass::Active => "those at a statement",
        SessionClass::Ghost => "those whose clients are gone",
    }
}

const fn rolled_back(class: SessionClass) -> &'static str {
    match class {
        SessionClass::Idle => "none of them has work in hand",
        SessionClass::IdleInTransaction | SessionClass::Active => "their transactions are rolled back",
        SessionClass::Ghost => "nobody is there to miss them",
    }
}

/// `3 instances of the API`, as far as the platform tells.
fn instances(e: &Evidence) -> String {
    let list = e.platform.get().and_then(|told| told.api.get());
    let running = list.map(|list| list.iter().filter(|i| i.state == InstanceState::Running).count());
    match running {
        Some(1) => "1 instance of the API".to_owned(),
        Some(n) => format!("{n} instances of the API"),
        None => "the API".to_owned(),
    }
}

/// The statement that puts a limit back.
pub(crate) fn undo_limit(of: LimitOf, name: &str, from: i64) -> String {
    let what = match of {
        LimitOf::Role => "role",
        LimitOf::Database => "database",
    };
    format!("alter {what} {} connection limit {from}", identifier(name))
}
