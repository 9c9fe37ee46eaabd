//! An admitted connection: simple queries within bounds, and an end that leaves nothing behind. Dropping it in any
//! way closes the socket; its statement is bounded by the server's own `statement_timeout` besides.

use crate::clock::Stopwatch;
use crate::rooms::network::probe::{Address, attempt};
use crate::rooms::startup::wire::{End, NOTICE_LIMIT, Wire, readable, server_error};
use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use pgmedic_model::{Ms, ServerError, Timestamp};
use postgres_protocol::message::backend::{DataRowBody, Message, RowDescriptionBody};
use postgres_protocol::message::frontend;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// Most bytes that one answer may take in memory, and most that are read for one: some 5,000 sessions. What a hostile peer
/// can make us hold is kept below what a healthy check takes as it is (`scripts/bench --memory`).
pub const ANSWER_LIMIT: usize = 7 * 512 * 1024;

/// Most bytes of one message of an answer.
const MESSAGE_LIMIT: usize = 256 * 1024;

/// Most bytes of a message that nothing had asked for.
const UNASKED_LIMIT: usize = 16 * 1024;

/// What a row and a value take in memory besides their text, an allocation's own bytes and what is made of the row
/// (`SessionRow`) included.
const ROW_BYTES: usize = 384;
const VALUE_BYTES: usize = 40;

/// Most columns of an answer (Postgres' own limit on a target list, `MaxTupleAttributeNumber`).
const COLUMN_LIMIT: usize = 1664;

/// Time for a CancelRequest and for a Terminate. They are spent beyond a deadline, so they are short.
const FAREWELL: Duration = Duration::from_millis(250);

/// How much of one answer is held.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows that are kept; those that follow are passed over.
    pub rows: usize,
    /// Bytes that the kept rows may take; beyond them the answer is given up.
    pub bytes: usize,
}

impl Limits {
    /// For an answer of which every row counts.
    pub const WHOLE: Self = Self { rows: usize::MAX, bytes: ANSWER_LIMIT };
    /// For an answer of a row or two.
    pub const SMALL: Self = Self { rows: 16, bytes: 64 * 1024 };
}

/// An admitted connection.
pub struct Session {
    wire: Wire,
    address: Address,
    key: Option<(i32, i32)>,
    /// True where the server took pgmedic's own `statement_timeout` and `lock_timeout` at startup. Where not, a
    /// caller that needs them sets them itself.
    pub bounded: bool,
    /// When the last farewell must have been said.
    last: Instant,
    in_step: bool,
}

/// The answer to one simple query.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// When the query was sent.
    pub at: Timestamp,
    /// Until ReadyForQuery, or the end.
    pub elapsed_ms: Ms,
    /// What came.
    pub reply: Reply,
    /// NoticeResponses that came meanwhile, at most 16.
    pub notices: Vec<ServerError>,
    /// Bytes that came meanwhile.
    pub received_bytes: u64,
}

/// What came of one simple query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Rows of the last statement that gives any, with the columns' names.
    Rows {
        /// The columns' names.
        columns: Vec<String>,
        /// The rows, in text form.
        rows: Vec<Vec<Option<String>>>,
    },
    /// ErrorResponse.
    Error(ServerError),
    /// The peer hung up or reset the connection.
    Closed,
    /// No (whole) answer before the deadline; a CancelRequest has been sent.
    Silent,
    /// An answer that breaks the protocol or the bounds, with what is wrong.
    Unreadable(String),
}

impl Session {
    /// Takes over a connection that has come to ReadyForQuery.
    pub(crate) fn new(
        wire: Wire,
        address: Address,
        key: Option<(i32, i32)>,
        bounded: bool,
        last: Instant,
    ) -> Self {
        Self { wire, address, key, bounded, last, in_step: true }
    }

    /// The end of a farewell that begins now.
    fn farewell(&self) -> Instant {
        self.last.min(Instant::now() + FAREWELL)
    }

    /// Sends one simple query, which may be several statements, and reads the whole answer.
    pub async fn simple_query(&mut self, sql: &str, deadline: Instant) -> Answer {
        self.simple_query_within(sql, Limits::WHOLE, deadline).await
    }

    /// The same, holding less of the answer.
    pub async fn simple_query_within(&mut self, sql: &str, limits: Limits, deadline: Instant) -> Answer {
        let watch = Stopwatch::start();
        let mut notices = Vec::new();
        let before = self.wire.received();
        // Whoever drops this in the midst of an answer leaves a connection that is out of step.
        let reply = if std::mem::take(&mut self.in_step) {
            match self.ask(sql, limits, &mut notices, deadline).await {
                Ok((reply, in_step)) => {
                    self.in_step = in_step;
                    reply
                }
                Err(end) => self.lost(end).await,
            }
        } else {
            Reply::Unreadable("the connection was given up".to_owned())
        };
        let received_bytes = self.wire.received() - before;
        Answer { at: watch.at, elapsed_ms: watch.elapsed(), reply, notices, received_bytes }
    }

    /// The reply, and whether another question may follow it.
    async fn ask(
        &mut self,
        sql: &str,
        limits: Limits,
        notices: &mut Vec<ServerError>,
        deadline: Instant,
    ) -> Result<(Reply, bool), End> {
        let mut bytes = BytesMut::new();
        if frontend::query(sql, &mut bytes).is_err() {
            return Ok((Reply::Unreadable("the statement holds a NUL".to_owned()), true));
        }
        self.wire.send(&bytes, deadline).await?;
        let mut sheet = Sheet::within(limits);
        let mut error = None;
        let end = self.wire.received() + ANSWER_LIMIT as u64;
        loop {
            // Whatever it is made of: notices without end are no answer either.
            if self.wire.received() > end {
                return Err(too_large(ANSWER_LIMIT));
            }
            let message = match self.wire.message(MESSAGE_LIMIT, deadline).await {
                // A FATAL is the last thing that the server says.
                Err(End::Closed | End::Reset) if error.is_some() => {
                    return Ok((error.map_or(Reply::Closed, Reply::Error), false));
                }
                message => message?,
            };
            match message {
                Message::RowDescription(body) => sheet.begin(&body)?,
                Message::DataRow(body) => sheet.add(&body)?,
                Message::ErrorResponse(body) => {
                    error.get_or_insert(server_error(body.fields()));
                }
                Message::NoticeResponse(body) if notices.len() < NOTICE_LIMIT => {
                    notices.push(server_error(body.fields()));
                }
                Message::ReadyForQuery(_) => {
                    let rows = Reply::Rows { columns: sheet.columns, rows: sheet.rows };
                    return Ok((error.map_or(rows, Reply::Error), true));
                }
                Message::CopyInResponse(_) | Message::CopyOutResponse(_) => {
                    return Err(End::Malformed("a COPY that was not asked for".to_owned()));
                }
                _ => {}
            }
        }
    }

    /// The exchange is out of step from here on. A statement that outlived its deadline is cancelled.
    async fn lost(&mut self, end: End) -> Reply {
        match end {
            End::Closed | End::Reset => Reply::Closed,
            End::Silent => {
                self.cancel().await;
                Reply::Silent
            }
            End::TlsAlert(alert) => Reply::Unreadable(format!("TLS alert {alert}")),
            End::Protocol2(text) | End::Malformed(text) => Reply::Unreadable(text),
        }
    }

    /// Sends a CancelRequest on a connection of its own, in clear as libpq's `PQcancel` does, and waits for the
    /// server to have taken it (it closes the connection then; Postgres manual, "Canceling Requests in Progress").
    async fn cancel(&self) {
        let Some((pid, key)) = self.key else { return };
        let mut bytes = BytesMut::new();
        frontend::cancel_request(pid, key, &mut bytes);
        let deadline = self.farewell();
        let request = async {
            let (_, connected) = attempt(&self.address, deadline).await;
            if let Some(mut connected) = connected
                && connected.io.write_all(&bytes).await.is_ok()
            {
                // Either way the request is as done as it will be.
                let _ = connected.io.read_u8().await;
            }
        };
        let _ = timeout_at(deadline, request).await;
    }

    /// Sends Terminate and closes.
    pub async fn close(mut self) {
        self.say_farewell().await;
    }

    /// The same, and waits for a moment until the server has closed too: its backend has left `pg_stat_activity` by then
    /// (`proc_exit` runs `pgstat_beshutdown_hook` before the process ends and its socket with it).
    pub async fn close_and_see(mut self) {
        self.say_farewell().await;
        let deadline = self.farewell();
        while self.wire.message(MESSAGE_LIMIT, deadline).await.is_ok() {}
    }

    async fn say_farewell(&mut self) {
        let deadline = self.farewell();
        let mut bytes = BytesMut::new();
        frontend::terminate(&mut bytes);
        if self.wire.send(&bytes, deadline).await.is_ok() {
            self.wire.shutdown(deadline).await;
        }
    }

    /// True while another question may be asked.
    pub(crate) const fn in_step(&self) -> bool {
        self.in_step
    }

    /// Process id of the backend, as its key says it. A pooler makes it up.
    pub(crate) const fn key_pid(&self) -> Option<i32> {
        match self.key {
            Some((pid, _)) => Some(pid),
            None => None,
        }
    }

    /// Goes on until another time: farewells may be said until then.
    pub(crate) const fn live_on(&mut self, last: Instant) {
        self.last = last;
    }

    /// Gives back what a large answer has taken.
    pub(crate) fn let_go(&mut self) {
        self.wire.let_go();
    }

    /// What the server says though nothing was asked.
    pub(crate) fn poll_unasked(&mut self, cx: &mut Context<'_>) -> Poll<Unasked> {
        Poll::Ready(match ready!(self.wire.poll_message(UNASKED_LIMIT, cx)) {
            Ok(Message::ErrorResponse(body)) => Unasked::Error(server_error(body.fields())),
            Ok(Message::NoticeResponse(body)) => Unasked::Notice(server_error(body.fields())),
            Ok(Message::ParameterStatus(body)) => match (body.name(), body.value()) {
                (Ok(name), Ok(value)) => {
                    Unasked::Setting(readable(name.as_bytes()), readable(value.as_bytes()))
                }
                _ => Unasked::End(End::Malformed("a setting that cannot be read".to_owned())),
            },
            Ok(_) => Unasked::End(End::Malformed("a message that nothing had asked for".to_owned())),
            Err(end) => Unasked::End(end),
        })
    }
}

/// What a server says of its own accord (Postgres manual, "Asynchronous Operations").
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unasked {
    /// An ErrorResponse: it ends the session.
    Error(ServerError),
    /// A NoticeResponse.
    Notice(ServerError),
    /// A ParameterStatus: name and value.
    Setting(String, String),
    /// It hung up, or broke the protocol.
    End(End),
}

/// An answer that is given up for its size.
fn too_large(limit: usize) -> End {
    End::Malformed(format!("an answer of more than {limit} bytes"))
}

/// The rows that have come.
struct Sheet {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
    bytes: usize,
    limits: Limits,
}

impl Sheet {
    const fn within(limits: Limits) -> Self {
        Self { columns: Vec::new(), rows: Vec::new(), bytes: 0, limits }
    }

    /// A RowDescription: the rows of this statement replace those of the one before.
    fn begin(&mut self, body: &RowDescriptionBody) -> Result<(), End> {
        self.rows.clear();
        self.columns = body
            .fields()
            .take(COLUMN_LIMIT)
            .map(|field| Ok(readable(field.name().as_bytes())))
            .collect()
            .map_err(|e| End::Malformed(e.to_string()))?;
        Ok(())
    }

    fn add(&mut self, body: &DataRowBody) -> Result<(), End> {
        if self.rows.len() >= self.limits.rows {
            return Ok(());
        }
        // A row without columns and a null take room too.
        self.take(ROW_BYTES)?;
        let mut row = Vec::new();
        let mut ranges = body.ranges();
        while let Some(range) = ranges.next().map_err(|e| End::Malformed(e.to_string()))? {
            let value = match range {
                Some(range) => Some(
                    body.buffer()
                        .get(range)
                        .ok_or_else(|| End::Malformed("a value that ends beyond its row".to_owned()))?,
                ),
                None => None,
            };
            self.take(VALUE_BYTES + value.map_or(0, <[u8]>::len))?;
            row.push(value.map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
        }
        self.rows.push(row);
        Ok(())
    }

    /// Takes room for so many bytes.
    fn take(&mut self, bytes: usize) -> Result<(), End> {
        self.bytes += bytes;
        if self.bytes > self.limits.bytes {
            return Err(too_large(self.limits.bytes));
        }
        Ok(())
    }
}
