//! Why a connection attempt failed, in the words of `pgmedic-model`: a SQLSTATE, an errno, or a stage that ran out.
//!
//! Not in here: how attempts are made (`connect`) and what follows from their failures (`trouble`).

use pgmedic_model::pooler_words::{self, Words};
use pgmedic_model::{Errno, Ms, ServerError, SqlState, Timestamp, mask};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Longest text of a reason, in characters.
const LONGEST: usize = 300;

/// The stages that a caller passes on the way to a connection, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// Waiting for one of the pool's own connections.
    Queue,
    /// Looking the host's name up.
    Dns,
    /// Connecting to an address: TCP or a unix socket.
    Connect,
    /// Asking for TLS, and its handshake.
    Tls,
    /// The startup message and authentication; `pg_hba.conf`, role and database are judged here.
    Startup,
    /// The server (or pooler) lets the authenticated client in, or has no place for it: slots, limits, starting up,
    /// shutting down.
    Admission,
    /// Testing a connection that idled, before it is handed out.
    Recycle,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 7] =
        [Self::Queue, Self::Dns, Self::Connect, Self::Tls, Self::Startup, Self::Admission, Self::Recycle];

    /// Its name, as in `pg_pool_timeouts_total{stage="…"}`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Startup => "startup",
            Self::Admission => "admission",
            Self::Recycle => "recycle",
        }
    }

    pub(crate) fn from_index(index: u8) -> Self {
        Self::ALL.get(usize::from(index)).copied().unwrap_or(Self::Queue)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why one attempt failed. Texts are masked and cut; none holds a password.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The server, or a pooler in front of it, said so.
    Server(Box<ServerError>),
    /// The operating system said so.
    Os(Errno),
    /// Nothing came within the time that the stage had.
    TimedOut(Duration),
    /// The peer closed the connection without a word.
    Closed,
    /// The name does not resolve: the resolver's words.
    Unresolved(String),
    /// TLS could not be agreed on: the TLS library's words.
    Tls(String),
    /// A server that is read-only (or is not), where `target_session_attrs` demands the other.
    WrongRole(&'static str),
    /// A password that is missing, a SCRAM exchange that failed at our end, a message that is no Postgres'.
    Protocol(String),
    /// `Builder::on_connect` refused the new connection: its words.
    Hook(String),
    /// The runtime that the attempt ran on has ended.
    RuntimeGone,
}

impl Reason {
    /// A short word of bounded variety for a metric's label: the SQLSTATE, the errno's name, or what happened.
    #[must_use]
    pub fn label(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Server(e) => {
                return e
                    .code
                    .as_ref()
                    .map_or(Cow::Borrowed("server"), |c| Cow::Owned(c.as_str().to_owned()));
            }
            Self::Os(errno) => return Cow::Owned(errno.name.clone()),
            Self::TimedOut(_) => "timeout",
            Self::Closed => "closed",
            Self::Unresolved(_) => "dns",
            Self::Tls(_) => "tls",
            Self::WrongRole(_) => "wrong_role",
            Self::Protocol(_) => "protocol",
            Self::Hook(_) => "hook",
            Self::RuntimeGone => "runtime",
        })
    }

    /// The SQLSTATE, where the server gave one.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&SqlState> {
        match self {
            Self::Server(e) => e.code.as_ref(),
            _ => None,
        }
    }

    /// The errno, where the operating system gave one.
    #[must_use]
    pub const fn errno(&self) -> Option<&Errno> {
        match self {
            Self::Os(errno) => Some(errno),
            _ => None,
        }
    }

    /// Reads an error of the driver that came up at `stage`.
    pub(crate) fn of_driver(error: &tokio_postgres::Error, stage: Stage) -> Self {
        if let Some(db) = error.as_db_error() {
            return Self::Server(Box::new(ServerError {
                severity: db.severity().to_owned(),
                code: Some(SqlState::new(db.code().code())),
                message: mask::excerpt(db.message(), LONGEST),
                detail: db.detail().map(|text| mask::excerpt(text, LONGEST)),
                hint: db.hint().map(|text| mask::excerpt(text, LONGEST)),
                file: None,
                routine: db.routine().map(str::to_owned),
            }));
        }
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            if let Some(io) = inner.downcast_ref::<std::io::Error>()
                && let Some(reason) = Self::of_system(io)
            {
                return reason;
            }
            source = inner.source();
        }
        if error.is_closed() {
            return Self::Closed;
        }
        let text = said(error);
        if stage == Stage::Tls { Self::Tls(text) } else { Self::Protocol(text) }
    }

    /// Reads an error of the operating system.
    pub(crate) fn of_io(error: &std::io::Error) -> Self {
        Self::of_system(error).unwrap_or_else(|| Self::Protocol(mask::excerpt(&error.to_string(), LONGEST)))
    }

    fn of_system(error: &std::io::Error) -> Option<Self> {
        if let Some(number) = error.raw_os_error() {
            return Some(Self::Os(Errno::from_number(number)));
        }
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::BrokenPipe => Some(Self::Closed),
            std::io::ErrorKind::ConnectionRefused => Some(Self::Os(Errno::from_number(111))),
            std::io::ErrorKind::ConnectionReset => Some(Self::Os(Errno::from_number(104))),
            _ => None,
        }
    }

    /// The stage that a reason belongs to, where its SQLSTATE knows better than the protocol's position: a server with no
    /// slot refuses before it authenticates.
    pub(crate) fn stage(&self, reached: Stage) -> Stage {
        match self.verdict() {
            Verdict::Full => Stage::Admission,
            Verdict::Refused => Stage::Startup,
            Verdict::Down if self.sqlstate().is_some_and(|c| c.as_str().starts_with("57P")) => {
                Stage::Admission
            }
            Verdict::Down => reached,
        }
    }

    /// What it says of the database as a whole.
    pub(crate) fn verdict(&self) -> Verdict {
        let Self::Server(error) = self else { return Verdict::Down };
        let full = [
            Words::MaxClientConn,
            Words::ClientLimitOfDatabaseOrUser,
            Words::QueryWaitTimeout,
            Words::TooManyClients,
            Words::SlotsReserved,
        ];
        if error.is(SqlState::TOO_MANY_CONNECTIONS)
            || error.is("53400")
            || full.iter().any(|words| pooler_words::says(&error.message, *words))
        {
            return Verdict::Full;
        }
        match error.code.as_ref().map(SqlState::as_str) {
            Some(SqlState::INVALID_CATALOG_NAME | SqlState::INSUFFICIENT_PRIVILEGE) => Verdict::Refused,
            Some(code) if code.starts_with("28") => Verdict::Refused,
            _ => Verdict::Down,
        }
    }
}

/// The words of the driver's error and of all that it came of.
fn said(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let words = inner.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = inner.source();
    }
    mask::excerpt(&text, LONGEST)
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(e) => e.fmt(f),
            Self::Os(errno) => write!(f, "{errno}: {}", errno.meaning()),
            Self::TimedOut(waited) => write!(f, "no answer within {}", Ms::from(*waited)),
            Self::Closed => f.write_str("the peer closed the connection without a word"),
            Self::Unresolved(text) => write!(f, "the name does not resolve: {text}"),
            Self::Tls(text) | Self::Protocol(text) => f.write_str(text),
            Self::WrongRole(text) => f.write_str(text),
            Self::Hook(text) => write!(f, "on_connect refused it: {text}"),
            Self::RuntimeGone => f.write_str("the tokio runtime that the pool was built on has ended"),
        }
    }
}

/// What a failed attempt says of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It cannot be reached, is silent, or lets nobody in now.
    Down,
    /// It is there and has no place for another client; others may leave.
    Full,
    /// It is there and turns this client down for what it is: password, role, `pg_hba.conf`, database.
    Refused,
}

/// One attempt to open a connection that failed, or has not come to an end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Where to: `10.0.0.5:5432`, `/run/postgresql/.s.PGSQL.5432`, or the name where it did not resolve.
    pub address: String,
    /// How far it came.
    pub stage: Stage,
    /// What it failed of.
    pub reason: Reason,
    /// When it failed, UTC.
    pub at: Timestamp,
    /// How long it took.
    pub elapsed: Duration,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.address, self.stage, self.reason)
    }
}
