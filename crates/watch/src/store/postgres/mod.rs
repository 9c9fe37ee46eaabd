//! The store in a Postgres that several watchers share, in a schema of its own. Every operation is bounded in time, here and
//! on the server; what fails is tried again on a new connection.
//!
//! *Who tells and who mends.* Each service has one watcher that speaks for it: whoever holds its lease. A lease is taken with
//! the first incident that is put, or with the first question whether one may act, is renewed every few seconds, and runs
//! out [`LEASE`] after its watcher has gone. An incident that another watcher speaks for is not kept a second time, nor are
//! its alerts: whoever put it is told so, with the incident as the other one has it. A lease that ran out falls to whoever
//! watches the service, and with it all that its watcher left: open incidents, to be gone on with or proved over, and alerts
//! that were not delivered. That is so, too, where a watcher comes back under another name, for its host has another. Times
//! are the server's, so that the watchers' clocks need not agree.

mod glance;
mod lease;
mod run;
mod samples;
mod schema;
mod tls;

pub(super) use glance::Glance;

use super::Keep;
use super::entry::StoreError;
use super::op::{Answer, Op};
use super::sqlite::Said;
use pgmedic_model::target::Host;
use pgmedic_model::{SslMode, Target};
use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;
use tokio_postgres::config::SslNegotiation;
use tokio_postgres::{Client, Config, NoTls};

/// The longest that one operation takes, its connection included.
const TIME: Duration = Duration::from_secs(3);
/// For how long a watcher that is gone still speaks for its services, in seconds.
const LEASE: f64 = 15.0;
/// What the server ends by itself; and what was acknowledged is on its disk, whatever the database's default.
const BOUNDS: &str = "set synchronous_commit = on; set statement_timeout = '2500ms'; set lock_timeout = '2s';
    set idle_in_transaction_session_timeout = '5s'; set client_min_messages = warning";

/// The store.
#[derive(Debug)]
pub(super) struct Shared {
    target: Box<Target>,
    keep: Keep,
    watcher: String,
    said: Said,
    link: Option<Link>,
    /// It was down when it was last asked.
    down: bool,
    /// Services that this watcher watches: what nobody speaks for of them falls to it.
    watched: BTreeSet<String>,
    /// Others that it has to do with, for which another one spoke when they were last asked for.
    followed: BTreeSet<String>,
}

/// A connection. Its task ends with it.
#[derive(Debug)]
struct Link {
    client: Client,
    task: tokio::task::AbortHandle,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why an operation failed.
#[derive(Debug)]
enum Trouble {
    Server(tokio_postgres::Error),
    Words(String),
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

impl From<serde_json::Error> for Trouble {
    fn from(error: serde_json::Error) -> Self {
        Self::Words(error.to_string())
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // What the server said, or what became of the connection; neither holds a secret.
            Self::Server(error) => match (error.as_db_error(), std::error::Error::source(error)) {
                (Some(said), _) => write!(f, "{} {}", said.code().code(), said.message()),
                (None, Some(source)) => write!(f, "{error}: {source}"),
                (None, None) => write!(f, "{error}"),
            },
            Self::Words(words) => f.write_str(words),
        }
    }
}

impl Shared {
    /// What of these services nobody speaks for falls to this watcher. Others that it once had to do with do no more.
    pub(super) fn watch(&mut self, services: BTreeSet<String>) {
        self.followed.clear();
        self.watched = services;
    }

    /// Nothing is connected to yet.
    pub(super) const fn new(target: Box<Target>, keep: Keep, watcher: String, said: Said) -> Self {
        Self {
            target,
            keep,
            watcher,
            said,
            link: None,
            down: false,
            watched: BTreeSet::new(),
            followed: BTreeSet::new(),
        }
    }

    /// Does one thing, within [`TIME`].
    pub(super) async fn run(&mut self, op: Op) -> Result<Answer, StoreError> {
        let what = run::what(&op);
        let done = tokio::time::timeout(TIME, self.once(op)).await;
        let why = match done {
            Ok(Ok(answer)) => {
                if std::mem::take(&mut self.down) {
                    self.say(format!("the store at {} is reached again", self.target.display()));
                }
                return Ok(answer);
            }
            Ok(Err(trouble)) => trouble.to_string(),
            Err(_) => format!("no answer within {} s", TIME.as_secs()),
        };
        // Whatever was under way on it is given up.
        self.link = None;
        let place = self.target.display();
        if !std::mem::replace(&mut self.down, true) {
            self.say(format!("the store at {place} is not there ({why}): it is tried again, until then memory keeps what it can"));
        }
        Err(StoreError::Failed { place, what, why })
    }

    async fn once(&mut self, op: Op) -> Result<Answer, Trouble> {
        let mut link = match self.link.take().filter(|link| !link.client.is_closed()) {
            Some(link) => link,
            None => connect(&self.target).await?,
        };
        let answer = run::run(self, &mut link.client, op).await?;
        self.link = Some(link);
        Ok(answer)
    }

    fn say(&self, words: String) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).push(words);
    }
}

/// A connection, with the schema as this version needs it.
async fn connect(target: &Target) -> Result<Link, Trouble> {
    let mut link = link(target, "pgmedic-watch").await?;
    let turn = link.client.transaction().await?;
    schema::bring_up(&turn).await?;
    turn.commit().await?;
    Ok(link)
}

/// A connection with its bounds, under that name.
async fn link(target: &Target, name: &str) -> Result<Link, Trouble> {
    let config = config(target, name);
    let link = if target.tls.mode == SslMode::Disable || matches!(target.host, Host::Socket(_)) {
        let (client, connection) = config.connect(NoTls).await?;
        Link { client, task: tokio::spawn(connection).abort_handle() }
    } else {
        let tls = tls::Tls::new(target).map_err(Trouble::Words)?;
        let (client, connection) = config.connect(tls).await?;
        Link { client, task: tokio::spawn(connection).abort_handle() }
    };
    link.client.batch_execute(BOUNDS).await?;
    Ok(link)
}

fn config(target: &Target, name: &str) -> Config {
    let mut config = Config::new();
    match &target.host {
        Host::Socket(folder) => config.host_path(folder),
        Host::Name(name) => config.host(name),
        Host::Address(address) => config.host(address.to_string()),
    };
    if let Some(address) = target.hostaddr {
        config.hostaddr(address);
    }
    config.port(target.port).user(&target.user).dbname(&target.database);
    if let Some(password) = &target.password {
        config.password(password.reveal());
    }
    if let Some(options) = &target.options {
        config.options(options);
    }
    config.ssl_mode(match target.tls.mode {
        SslMode::Disable => tokio_postgres::config::SslMode::Disable,
        SslMode::Allow | SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
            tokio_postgres::config::SslMode::Require
        }
    });
    if target.tls.direct {
        config.ssl_negotiation(SslNegotiation::Direct);
    }
    config.application_name(name).connect_timeout(TIME);
    config
}
