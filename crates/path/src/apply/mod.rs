//! Applies one action, by a session, the pooler's console, or somebody's hands, and says what came of it. That it may be
//! done (`plan`) and is written down before (`journal`) is its caller's to see to; that it worked, only a walk can prove.

pub mod by_hand;
mod console;
mod limit;
mod orders;
mod sessions;
mod statement;
mod turn;
mod way;

use crate::evidence::Evidence;
use crate::hands::Order;
use crate::service::Service;
use crate::veil::veiled_words;
use pgmedic_model::{Action, SessionOutcome, StepOutcome};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

pub use orders::orders;

/// The longest that a statement, a console's command or one batch of sessions may take.
pub(crate) const BRIEF: Duration = Duration::from_secs(5);
/// The longest that a restart, a start or an extension of one target may take.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Came {
    /// How it ended.
    pub outcome: StepOutcome,
    /// What was said and seen, in one line.
    pub detail: String,
    /// The sessions that were chosen, with what became of each.
    pub sessions: Vec<SessionOutcome>,
    /// What the platform knows the requests by.
    pub request_ids: Vec<String>,
    /// A grown volume is of use only after its instance is restarted.
    pub needs_restart: bool,
}

impl Came {
    pub(crate) fn to(outcome: StepOutcome, detail: impl Into<String>) -> Self {
        Self {
            outcome,
            detail: detail.into(),
            sessions: Vec::new(),
            request_ids: Vec::new(),
            needs_restart: false,
        }
    }
}

/// An action, under way.
pub type Applying<'a> = Pin<Box<dyn Future<Output = Came> + Send + 'a>>;

/// Applies an action that a session or a console does. What needs hands is done order by order ([`order`]).
pub async fn apply(service: &Service, e: &Evidence, action: &Action) -> Came {
    let came = by_session(service, e, action).await;
    Came { detail: veiled_words(came.detail, service), ..came }
}

async fn by_session(service: &Service, e: &Evidence, action: &Action) -> Came {
    match action {
        Action::Cancel { sessions } => sessions::cancel(service, e, sessions).await,
        Action::Terminate { sessions, class, down_to } => {
            sessions::terminate(service, e, sessions, *class, *down_to).await
        }
        Action::ResumePooler { database } => console::resume(service, database.as_deref()).await,
        Action::EnablePooler { database } => console::enable(service, database).await,
        Action::RaiseLimit { of, name, from, to } => limit::raise(service, e, (*of, name), *from, *to).await,
        Action::RestartApi
        | Action::RestartProxy
        | Action::StartDb
        | Action::RestartDb
        | Action::ExtendVolume { .. } => {
            Came::to(StepOutcome::Refused, "this is done by hands, order by order")
        }
    }
}

/// Has one order done by the service's hands.
pub async fn order(service: &Service, order: &Order) -> Came {
    let came = orders::give(service, order).await;
    Came { detail: veiled_words(came.detail, service), ..came }
}
