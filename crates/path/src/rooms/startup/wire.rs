//! Protocol-3 framing over any stream, for hostile peers: every length, count and time is bounded.
//! What a message means is not in here.

use bytes::{Buf, BytesMut};
use fallible_iterator::FallibleIterator;
use pgmedic_model::{ServerError, SqlState};
use postgres_protocol::message::backend::{ErrorFields, Message};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout_at};

/// A stream to a peer, whatever it is made of.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A stream to a peer, boxed.
pub type Io = Box<dyn Duplex>;

/// Keeps a connection open for as long as it lives: what a silent hop does upstream with it is evidence.
pub type Held = Box<dyn Send>;

/// Longest message that is read before the server is ready, in bytes. libpq reads at most 30,000 bytes of an error
/// and 2,000 of anything else (`fe-connect.c`, `MAX_ERRLEN`).
pub const STARTUP_LIMIT: usize = 64 * 1024;

/// Longest protocol-2 error that is read, in bytes.
const PROTOCOL_2_LIMIT: usize = 8 * 1024;

/// Longest field of an error that is kept, in characters.
const FIELD_LIMIT: usize = 2_000;

/// Most notices that are kept.
pub const NOTICE_LIMIT: usize = 16;

/// Why no (further) message came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// FIN.
    Closed,
    /// RST.
    Reset,
    /// Nothing (more) before the deadline.
    Silent,
    /// A protocol-2 error: a text.
    Protocol2(String),
    /// A fatal TLS alert, by its name.
    TlsAlert(String),
    /// What came breaks the protocol; in words.
    Malformed(String),
}

impl End {
    /// Reads an error of the stream.
    #[must_use]
    pub fn from_io(error: &io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match (tls, error.kind()) {
            (Some(rustls::Error::AlertReceived(alert)), _) => Self::TlsAlert(format!("{alert:?}")),
            (Some(tls), _) => Self::Malformed(format!("TLS: {tls}")),
            (None, io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted) => Self::Reset,
            (None, io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe) => Self::Closed,
            (None, io::ErrorKind::TimedOut) => Self::Silent,
            (None, _) => Self::Malformed(error.to_string()),
        }
    }
}

/// A stream with what has been read of it and not yet been taken.
pub struct Wire {
    io: Io,
    buffer: BytesMut,
    received: u64,
}

impl Wire {
    /// Puts framing on a stream.
    #[must_use]
    pub fn new(io: Io) -> Self {
        Self { io, buffer: BytesMut::new(), received: 0 }
    }

    /// What has been read and not yet been taken.
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// How many bytes have been read.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Takes one byte that [`Self::buffered`] has shown.
    pub fn skip_byte(&mut self) {
        if !self.buffer.is_empty() {
            self.buffer.advance(1);
        }
    }

    /// The stream itself. What was buffered is lost: the caller has made sure that nothing is.
    #[must_use]
    pub fn into_io(self) -> Io {
        self.io
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// [`End::Silent`] where the peer does not take them before the deadline. A peer that has hung up is no error
    /// here: what it said before it did so is still to be read.
    pub async fn send(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), End> {
        let sending = async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        };
        timeout_at(deadline, sending).await.map(|_| ()).map_err(|_| End::Silent)
    }

    /// Ends this side of the stream.
    pub async fn shutdown(&mut self, deadline: Instant) {
        // The connection is given up: how the peer takes it changes nothing.
        let _ = timeout_at(deadline, self.io.shutdown()).await;
    }

    /// Reads whatever has come.
    ///
    /// # Errors
    /// Why nothing came.
    pub async fn fill(&mut self, deadline: Instant) -> Result<(), End> {
        self.buffer.reserve(8 * 1024);
        match timeout_at(deadline, self.io.read_buf(&mut self.buffer)).await {
            Err(_) => Err(End::Silent),
            Ok(Ok(0)) => Err(End::Closed),
            Ok(Ok(count)) => {
                self.received += count as u64;
                Ok(())
            }
            Ok(Err(error)) => Err(End::from_io(&error)),
        }
    }

    /// The next message, at most `limit` bytes long.
    ///
    /// # Errors
    /// Why none came.
    pub async fn message(&mut self, limit: usize, deadline: Instant) -> Result<Message, End> {
        loop {
            if let Some(message) = self.whole_message(limit)? {
                return Ok(message);
            }
            self.fill(deadline).await?;
        }
    }

    /// The same of a connection on which nothing is awaited: without a deadline, and without room for more than comes.
    pub fn poll_message(&mut self, limit: usize, cx: &mut Context<'_>) -> Poll<Result<Message, End>> {
        loop {
            match self.whole_message(limit) {
                Ok(None) => {}
                Ok(Some(message)) => return Poll::Ready(Ok(message)),
                Err(end) => return Poll::Ready(Err(end)),
            }
            let mut room = [0; 1024];
            let mut come = ReadBuf::new(&mut room);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut come)) {
                Ok(()) if come.filled().is_empty() => return Poll::Ready(Err(End::Closed)),
                Ok(()) => {
                    self.received += come.filled().len() as u64;
                    self.buffer.extend_from_slice(come.filled());
                }
                Err(error) => return Poll::Ready(Err(End::from_io(&error))),
            }
        }
    }

    /// The message at the head of the buffer, once all of it is there.
    fn whole_message(&mut self, limit: usize) -> Result<Option<Message>, End> {
        if self.frame(limit)?.is_none_or(|length| self.buffer.len() < length) {
            return Ok(None);
        }
        let parsed = Message::parse(&mut self.buffer).map_err(|e| End::Malformed(e.to_string()))?;
        parsed.map(Some).ok_or_else(|| End::Malformed("an incomplete message".to_owned()))
    }

    /// Gives the buffer's room back where nothing is in it.
    pub fn let_go(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// The next message before the server is ready: a protocol-2 error, which the postmaster sends where it cannot
    /// fork, is told apart (`postmaster.c`, `report_fork_failure_to_client`).
    ///
    /// # Errors
    /// Why none came.
    pub async fn startup_message(&mut self, deadline: Instant) -> Result<Message, End> {
        while self.buffer.len() < 5 {
            self.fill(deadline).await?;
        }
        if self.buffer[0] == b'E' && self.frame(STARTUP_LIMIT).is_err() {
            return Err(End::Protocol2(self.protocol_2_text(deadline).await));
        }
        self.message(STARTUP_LIMIT, deadline).await
    }

    /// Length of the message at the head of the buffer with its tag, once five bytes are there.
    fn frame(&self, limit: usize) -> Result<Option<usize>, End> {
        let [tag, a, b, c, d, ..] = self.buffer[..] else { return Ok(None) };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if (4..=limit).contains(&length) {
            Ok(Some(length + 1))
        } else {
            Err(End::Malformed(format!("a message {:?} of {length} bytes", char::from(tag))))
        }
    }

    /// The text after an `E`, to its NUL, the peer's FIN, the limit or the deadline.
    async fn protocol_2_text(&mut self, deadline: Instant) -> String {
        while self.buffer.len() < PROTOCOL_2_LIMIT && !self.buffer.contains(&0) {
            if self.fill(deadline).await.is_err() {
                break;
            }
        }
        let text = self.buffer[1..].split(|b| *b == 0).next().unwrap_or_default();
        readable(text).trim_end().to_owned()
    }
}

/// A peer's text as it may be kept: valid UTF-8, without control characters, of bounded length.
#[must_use]
pub fn readable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c })
        .take(FIELD_LIMIT)
        .collect()
}

/// The fields of an ErrorResponse or NoticeResponse. What cannot be read is left out.
#[must_use]
pub fn server_error(mut fields: ErrorFields<'_>) -> ServerError {
    let mut error = ServerError::default();
    while let Ok(Some(field)) = fields.next() {
        let value = readable(field.value_bytes());
        match field.type_() {
            b'V' => error.severity = value,
            b'S' if error.severity.is_empty() => error.severity = value,
            b'C' => error.code = Some(SqlState::new(&value)),
            b'M' => error.message = value,
            b'D' => error.detail = Some(value),
            b'H' => error.hint = Some(value),
            b'F' => error.file = Some(value),
            b'R' => error.routine = Some(value),
            _ => {}
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A wire whose peer sends `pieces`, one each 10 ms, and then hangs up or holds its peace.
    fn wire(pieces: Vec<Vec<u8>>, hangs_up: bool) -> Wire {
        let (mine, mut theirs) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move {
            for piece in pieces {
                tokio::time::sleep(Duration::from_millis(10)).await;
                theirs.write_all(&piece).await.expect("the test reads");
            }
            if !hangs_up {
                std::future::pending::<()>().await;
            }
        });
        Wire::new(Box::new(mine))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(1)
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_in_drips_is_read_whole() {
        let bytes = b"Z\0\0\0\x05I";
        let mut wire = wire(bytes.iter().map(|b| vec![*b]).collect(), false);
        assert!(matches!(wire.message(100, soon()).await, Ok(Message::ReadyForQuery(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn drips_do_not_prolong_the_deadline() {
        let mut wire = wire(vec![b"D\0\0\xff\xff".to_vec(); 1000], false);
        let from = Instant::now();
        assert_eq!(wire.message(STARTUP_LIMIT * 2, soon()).await.err(), Some(End::Silent));
        assert_eq!(from.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_absurd_length_is_refused_before_anything_is_reserved() {
        for bytes in [b"D\xff\xff\xff\xff".to_vec(), b"R\0\0\0\x03".to_vec(), b"R\x7f\xff\xff\xff".to_vec()] {
            let end = wire(vec![bytes], false).message(1 << 20, soon()).await.err();
            assert!(matches!(end, Some(End::Malformed(_))), "{end:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_error_of_a_failed_fork_is_read_as_text() {
        let text = "could not fork new process for connection: Resource temporarily unavailable";
        let sent = [b"E".as_slice(), text.as_bytes(), b"\n\0"].concat();
        for hangs_up in [true, false] {
            let end = wire(vec![sent.clone()], hangs_up).startup_message(soon()).await.err();
            assert_eq!(end, Some(End::Protocol2(text.to_owned())));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_message_and_a_fin_is_closed() {
        let end = wire(vec![b"R\0\0\0\x08\0".to_vec()], true).startup_message(soon()).await.err();
        assert_eq!(end, Some(End::Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn every_field_of_an_error_is_kept_and_made_safe_to_print() {
        let body = b"SFATALE\0VFATAL\0C53300\0Msorry,\x1b[2J too many\0Dd\0Hh\0Fproc.c\0RInitProcess\0\0";
        let mut sent = b"E".to_vec();
        sent.extend(u32::try_from(body.len() + 4).expect("short").to_be_bytes());
        sent.extend(body);
        let Ok(Message::ErrorResponse(body)) = wire(vec![sent], false).startup_message(soon()).await else {
            panic!("an error was sent");
        };
        let error = server_error(body.fields());
        assert_eq!(error.severity, "FATAL");
        assert!(error.is("53300"));
        assert_eq!(error.message, "sorry,\u{fffd}[2J too many");
        assert_eq!(error.detail.as_deref(), Some("d"));
        assert_eq!(error.hint.as_deref(), Some("h"));
        assert_eq!(error.file.as_deref(), Some("proc.c"));
        assert_eq!(error.routine.as_deref(), Some("InitProcess"));
    }
}
