//! Orders to the engine: signals of whoever started it, and the API's. Not in here: carrying them out.

use crate::http::{Acts, Answer, Approval, Declined, Scope};
use pgmedic_model::Timestamp;
use tokio::sync::{mpsc, oneshot};

/// Takes an answer to whoever waits for it.
pub type Reply = oneshot::Sender<Result<String, Declined>>;

/// What the engine is told to do.
#[derive(Debug)]
pub enum Order {
    /// End, finishing the steps in hand.
    Stop,
    /// Read the configuration anew. Whoever sends a signal waits for no answer.
    Reload(Option<Reply>),
    /// Begin a remedy that a person approved.
    Approve(Approval, Reply),
    /// Nothing is done by itself any more.
    Pause(Scope, Option<Timestamp>, String, Reply),
    /// It may be again.
    Resume(Scope, String, Reply),
}

/// The engine, as the API reaches it.
#[derive(Clone, Debug)]
pub struct Remote(mpsc::Sender<Order>);

impl Remote {
    /// One that sends its orders there.
    #[must_use]
    pub const fn new(to: mpsc::Sender<Order>) -> Self {
        Self(to)
    }

    async fn ask(&self, order: impl FnOnce(Reply) -> Order + Send) -> Result<String, Declined> {
        let ended = || Declined::NotNow("pgmedic is ending: ask the one that is started next".to_owned());
        let (tell, told) = oneshot::channel();
        self.0.send(order(tell)).await.map_err(|_| ended())?;
        told.await.map_err(|_| ended())?
    }
}

impl Acts for Remote {
    fn approve(&self, approval: Approval) -> Answer<'_, String> {
        Box::pin(self.ask(|reply| Order::Approve(approval, reply)))
    }

    fn pause(&self, scope: Scope, until: Option<Timestamp>, by: String) -> Answer<'_, String> {
        Box::pin(self.ask(move |reply| Order::Pause(scope, until, by, reply)))
    }

    fn resume(&self, scope: Scope, by: String) -> Answer<'_, String> {
        Box::pin(self.ask(move |reply| Order::Resume(scope, by, reply)))
    }

    fn reload(&self, _by: String) -> Answer<'_, String> {
        Box::pin(self.ask(|reply| Order::Reload(Some(reply))))
    }
}
