//! `/metrics`, `/health`, `/ready` and the JSON API, served. Not in here: what acts and what remembers (`acts` says what is
//! needed of them), what metrics there are (`crate::metrics`), web pages.
//!
//! Everything that comes in is bounded: connections (`seats`), headers, bodies, and the time for each; an answer must be taken
//! in time (`stall`). Who may ask what is decided in `gate`, before anything of the request but its head is read.

mod accept;
mod acts;
mod answers;
mod documents;
mod gate;
mod listen;
mod openapi;
mod orders;
mod problem;
mod query;
mod reply;
mod request;
mod routes;
mod seats;
mod serve;
mod stall;
#[cfg(test)]
mod tests;
mod tokens;

pub use acts::{Acts, Answer, Approval, Declined, Filter, History, Looked, Scope};
pub use listen::{ListenError, TOKEN_LENGTH, may_listen, may_serve};
pub use openapi::document as openapi;

use crate::board::Board;
use crate::clock::Clock;
use gate::Gate;
use pgmedic_model::Secret;
use problem::Problem;
use reply::Reply;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokens::Tokens;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// What acts or remembers is given this long to answer; then the caller is told 503.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The most pages of metrics that are on their way at once.
const PAGES: usize = 8;

/// How it is served.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Who bears it may act, and read.
    pub token: Option<Secret>,
    /// Who bears it may read, and not act: for Prometheus, where reading needs a token. Held to the same length.
    pub read_token: Option<Secret>,
    /// Where people reach this daemon: a host name that is served besides the loopback's.
    pub external_url: Option<String>,
    /// What time it is.
    pub clock: Clock,
}

/// The server.
pub struct Server {
    config: Config,
    board: Board,
    acts: Arc<dyn Acts>,
    history: Arc<dyn History>,
}

impl Server {
    /// A server of this state.
    #[must_use]
    pub fn new(config: Config, board: Board, acts: Arc<dyn Acts>, history: Arc<dyn History>) -> Self {
        Self { config, board, acts, history }
    }

    /// Serves until `shutdown` ends; requests in hand are then given a second.
    ///
    /// # Errors
    /// Where the listener's address may not be served without a token, as [`may_listen`] says, or a token is no good.
    pub async fn run(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ListenError> {
        let at = listener.local_addr().map_err(|error| ListenError::Closed(error.to_string()))?;
        may_serve(at, self.config.token.as_ref(), self.config.read_token.as_ref())?;
        serve::until(listener, self.shared(at)?, shutdown).await;
        Ok(())
    }

    fn shared(self, at: SocketAddr) -> Result<Arc<Shared>, ListenError> {
        let Self { config, board, acts, history } = self;
        let tokens = Tokens::new(config.token.as_ref(), config.read_token.as_ref());
        let no_randomness = || ListenError::Closed("the system has no randomness".to_owned());
        let gate = Gate::new(at, tokens.ok_or_else(no_randomness)?, config.external_url.as_deref());
        Ok(Arc::new(Shared { config, board, acts, history, gate, pages: Arc::new(Semaphore::new(PAGES)) }))
    }
}

/// What every request is answered from.
struct Shared {
    config: Config,
    board: Board,
    acts: Arc<dyn Acts>,
    history: Arc<dyn History>,
    gate: Gate,
    pages: Arc<Semaphore>,
}

/// An answer of somebody else's, in time.
async fn within<T>(answer: Answer<'_, T>) -> Result<T, Problem> {
    match tokio::time::timeout(ANSWER_WITHIN, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Problem::not_now(
            format!("nothing was answered within {} s", ANSWER_WITHIN.as_secs()),
            "look at the daemon's log; ask again in a moment",
        )),
    }
}
