//! `/metrics`, `/health`, `/ready` and the JSON API, served. Not in here: what acts and what remembers (`acts` says what is
//! needed of them), what metrics there are (`crate::metrics`), web pages.

mod acts;
mod listen;

pub use acts::{Acts, Answer, Approval, Declined, Filter, History, Looked, Scope};
pub use listen::{ListenError, TOKEN_LENGTH, may_listen};

use crate::board::Board;
use crate::clock::Clock;
use crate::seen::Kind;
use pgmedic_model::Secret;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// What acts or remembers is given this long to answer; then the caller is told 503.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How it is served.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Who bears it may act, and read.
    pub token: Option<Secret>,
    /// Who bears it may read, and not act: for Prometheus, where reading needs a token.
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
    /// Where the listener's address may not be served without a token, as [`may_listen`] says.
    pub async fn run(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ListenError> {
        let at = listener.local_addr().map_err(|error| ListenError::Closed(error.to_string()))?;
        may_listen(at, self.config.token.as_ref())?;
        let _ = (&self.board, &self.acts, &self.history);
        shutdown.await;
        Ok(())
    }
}

/// The word for how a service was looked at.
pub(crate) const fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Look => "look",
        Kind::Walk => "walk",
    }
}
