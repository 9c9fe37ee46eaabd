//! What a pool is made of, with its defaults.
//!
//! Not in here: what they bring about.

use crate::connect::{Connector, Handshake, Plain, Stream, System, Transport, WithTls};
use crate::driver::OnMessage;
use crate::event::Event;
use crate::inner::Inner;
use crate::pool::Pool;
use pgmedic_model::mask;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Client, Config};

/// Why no pool can be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The URL or key-value string cannot be read. The text is masked.
    #[error("the connection string cannot be read: {0}")]
    Unreadable(String),
    /// Neither `host` nor `hostaddr`.
    #[error("the configuration names no host: give host, hostaddr or a URL with one")]
    NoHost,
    /// libpq pairs hosts with their addresses and ports, so each list is as long as the hosts', or ports a single one.
    #[error("{given} {what}s for {hosts} hosts: give one for each")]
    Uneven {
        /// `hostaddr` or `port`.
        what: &'static str,
        /// How many were given.
        given: usize,
        /// For so many hosts.
        hosts: usize,
    },
    /// A pool of no connections.
    #[error("max must be at least 1")]
    NoRoom,
    /// A pool does its work in the background of a tokio runtime.
    #[error("a pool is built inside a tokio runtime: call build() in async code, or within Runtime::enter()")]
    NoRuntime,
}

/// What a connection goes through when it comes back to the pool. A transaction left open is always rolled back, a query
/// left in flight cancelled, and LISTEN undone: each is seen on the wire, and costs nothing where it did not happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recycle {
    /// No more than that: `SET`, temporary tables and session-level advisory locks stay. The default.
    #[default]
    Fast,
    /// `DISCARD ALL` after each checkout: a round trip, and prepared statements are forgotten (`prepare_cached` prepares
    /// them anew).
    DiscardAll,
    /// A statement of one's own after each checkout: a round trip.
    Sql(String),
}

pub(crate) type OnEvent = Arc<dyn Fn(&Event) + Send + Sync>;

pub(crate) type OnConnect = Arc<
    dyn for<'a> Fn(&'a Client) -> Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send + 'a>>
        + Send
        + Sync,
>;

/// The numbers.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) name: Option<String>,
    pub(crate) max: usize,
    pub(crate) min_idle: usize,
    pub(crate) acquire_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) test_after: Option<Duration>,
    pub(crate) recycle_timeout: Duration,
    pub(crate) leak_after: Option<Duration>,
    pub(crate) recycle: Recycle,
    pub(crate) on_event: Option<OnEvent>,
    pub(crate) on_message: Option<OnMessage>,
    pub(crate) on_connect: Option<OnConnect>,
}

/// Makes a [`Pool`]. Nothing is connected until it is asked, or `min_idle` demands it.
pub struct Builder {
    config: Config,
    options: Options,
    transport: Box<dyn Transport>,
    handshake: Box<dyn Handshake>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("max", &self.options.max).finish_non_exhaustive()
    }
}

impl Builder {
    pub(crate) fn of(config: Config) -> Self {
        let connect_timeout = config.get_connect_timeout().copied().filter(|given| !given.is_zero());
        let options = Options {
            name: None,
            max: 10,
            min_idle: 0,
            acquire_timeout: Duration::from_secs(10),
            connect_timeout: connect_timeout.unwrap_or(Duration::from_secs(10)),
            idle_timeout: Some(Duration::from_secs(20)),
            max_lifetime: Some(Duration::from_secs(600)),
            test_after: Some(Duration::from_secs(5)),
            recycle_timeout: Duration::from_secs(2),
            leak_after: Some(Duration::from_secs(60)),
            recycle: Recycle::Fast,
            on_event: None,
            on_message: None,
            on_connect: None,
        };
        Self { config, options, transport: Box::new(System), handshake: Box::new(Plain) }
    }

    pub(crate) fn read(url: &str) -> Result<Self, BuildError> {
        let config = Config::from_str(url).map_err(|e| {
            let why = std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
            BuildError::Unreadable(mask::excerpt(&why, 200))
        })?;
        Ok(Self::of(config))
    }

    /// The value of the label `pool` on its metrics; without, they have no such label.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.name = Some(name.into());
        self
    }

    /// Connections at most. Default 10. Those that are being opened count.
    #[must_use]
    pub fn max(mut self, max: usize) -> Self {
        self.options.max = max;
        self
    }

    /// Idle connections to keep ready. Default 0.
    #[must_use]
    pub fn min_idle(mut self, min: usize) -> Self {
        self.options.min_idle = min;
        self
    }

    /// How long `get` may take in all. Default 10 s.
    #[must_use]
    pub fn acquire_timeout(mut self, budget: Duration) -> Self {
        self.options.acquire_timeout = budget;
        self
    }

    /// How long the opening of a connection may take in all: every address of every host, and every stage. Default: the
    /// configuration's `connect_timeout`, else 10 s.
    #[must_use]
    pub fn connect_timeout(mut self, budget: Duration) -> Self {
        self.options.connect_timeout = budget;
        self
    }

    /// How long a connection may idle before it is closed. Default 20 s; None: for ever.
    #[must_use]
    pub fn idle_timeout(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.options.idle_timeout = after.into();
        self
    }

    /// How old a connection may become: proxies drain, failovers move names. Default 600 s, less up to a tenth by chance, so
    /// that connections opened together do not end together; None: no limit.
    #[must_use]
    pub fn max_lifetime(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.options.max_lifetime = age.into();
        self
    }

    /// A connection on which nothing was heard for so long is tested before it is handed out: one empty query. Default 5 s;
    /// None: never.
    #[must_use]
    pub fn test_after(mut self, silence: impl Into<Option<Duration>>) -> Self {
        self.options.test_after = silence.into();
        self
    }

    /// How long that test, and the cleaning of a connection that came back unclean, may each take. Default 2 s.
    #[must_use]
    pub fn recycle_timeout(mut self, budget: Duration) -> Self {
        self.options.recycle_timeout = budget;
        self
    }

    /// A checkout longer than this is reported once, with the place that took it. Default 60 s; None: never.
    #[must_use]
    pub fn leak_after(mut self, held: impl Into<Option<Duration>>) -> Self {
        self.options.leak_after = held.into();
        self
    }

    /// What a connection goes through when it comes back.
    #[must_use]
    pub fn recycle(mut self, how: Recycle) -> Self {
        self.options.recycle = how;
        self
    }

    /// Called for each [`Event`]: for an API's log. It must not block.
    #[must_use]
    pub fn on_event(mut self, hook: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.options.on_event = Some(Arc::new(hook));
        self
    }

    /// Called for each notice and notification of any of its connections. It must not block.
    #[must_use]
    pub fn on_message(mut self, hook: impl Fn(&AsyncMessage) + Send + Sync + 'static) -> Self {
        self.options.on_message = Some(Arc::new(hook));
        self
    }

    /// Called once on each new connection before it is handed out: `SET`, a check of the schema. An error refuses it.
    #[must_use]
    pub fn on_connect<F>(mut self, hook: F) -> Self
    where
        F: for<'a> Fn(
                &'a Client,
            )
                -> Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send + 'a>>
            + Send
            + Sync
            + 'static,
    {
        self.options.on_connect = Some(Arc::new(hook));
        self
    }

    /// TLS, as the configuration's `sslmode` says. Without this a configuration with `sslmode=require` fails at stage `tls`.
    #[must_use]
    pub fn tls<T>(mut self, connector: T) -> Self
    where
        T: MakeTlsConnect<Stream> + Clone + Send + Sync + 'static,
        T::Stream: Send + 'static,
        T::TlsConnect: Send + 'static,
        <T::TlsConnect as TlsConnect<Stream>>::Future: Send + 'static,
    {
        self.handshake = Box::new(WithTls(connector));
        self
    }

    /// Another way to addresses and streams than the system's.
    #[must_use]
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Box::new(transport);
        self
    }

    /// Makes the pool.
    ///
    /// # Errors
    /// [`BuildError`]: a configuration that cannot work, or no runtime. Whether the database is there is not asked.
    pub fn build(self) -> Result<Pool, BuildError> {
        let Self { config, options, transport, handshake } = self;
        if options.max == 0 {
            return Err(BuildError::NoRoom);
        }
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let connector = Connector::new(config, transport, handshake)?;
        Ok(Pool::of(Inner::start(options, connector, runtime)))
    }
}
