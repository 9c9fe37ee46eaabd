//! The stream that a connection runs over, which shows what passes to a [`Wire`].
//!
//! Not in here: what the bytes mean (`wire`), and what passes inside TLS (`tls`).

use crate::wire::{Incoming, Outgoing, Wire};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A stream to a server. TLS connectors for the pool are `MakeTlsConnect<Stream>`; those of `tokio-postgres-rustls`,
/// `postgres-native-tls` and `postgres-openssl` are, as they take any stream.
pub struct Stream {
    socket: Socket,
    tap: Option<Tap>,
}

enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
    Other(Box<dyn Io>),
}

/// What a stream of another kind must be able to do.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.socket {
            Socket::Tcp(_) => "tcp",
            #[cfg(unix)]
            Socket::Unix(_) => "unix",
            Socket::Other(_) => "other",
        };
        f.debug_struct("Stream").field("kind", &kind).finish_non_exhaustive()
    }
}

impl Stream {
    /// Over TCP.
    #[must_use]
    pub fn tcp(stream: TcpStream) -> Self {
        Self { socket: Socket::Tcp(stream), tap: None }
    }

    /// Over a unix socket.
    #[cfg(unix)]
    #[must_use]
    pub fn unix(stream: tokio::net::UnixStream) -> Self {
        Self { socket: Socket::Unix(stream), tap: None }
    }

    /// Over anything else: a tunnel, a proxy, a pipe.
    #[must_use]
    pub fn other(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { socket: Socket::Other(Box::new(stream)), tap: None }
    }

    pub(crate) fn watched(mut self, wire: &Arc<Wire>) -> Self {
        self.tap = Some(Tap::new(wire));
        self
    }

    /// What passes from now on is TLS, and no message can be read off it.
    pub(crate) fn unwatch(&mut self) {
        self.tap = None;
    }
}

macro_rules! each {
    ($socket:expr, $stream:ident => $body:expr) => {
        match $socket {
            Socket::Tcp($stream) => $body,
            #[cfg(unix)]
            Socket::Unix($stream) => $body,
            Socket::Other($stream) => $body,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let outcome = each!(&mut this.socket, s => Pin::new(s).poll_read(cx, buf));
        if let Some(tap) = &mut this.tap {
            tap.read(&outcome, &buf.filled()[before..]);
        }
        outcome
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = each!(&mut this.socket, s => Pin::new(s).poll_write(cx, buf));
        if let Some(tap) = &mut this.tap {
            tap.wrote(&outcome, buf);
        }
        outcome
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(&mut self.get_mut().socket, s => Pin::new(s).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(&mut self.get_mut().socket, s => Pin::new(s).poll_shutdown(cx))
    }
}

/// Reads along, in both directions.
pub(crate) struct Tap {
    wire: Arc<Wire>,
    incoming: Incoming,
    outgoing: Outgoing,
}

impl Tap {
    pub(crate) fn new(wire: &Arc<Wire>) -> Self {
        Self { wire: Arc::clone(wire), incoming: Incoming::default(), outgoing: Outgoing::default() }
    }

    pub(crate) fn read(&mut self, outcome: &Poll<io::Result<()>>, mut bytes: &[u8]) {
        if outcome.is_pending() {
            self.wire.read(true);
            return;
        }
        if bytes.is_empty() {
            return;
        }
        self.wire.read(false);
        if self.outgoing.asked_for_tls {
            // The answer to an SSLRequest: one byte, before any message.
            self.outgoing.asked_for_tls = false;
            bytes = &bytes[1..];
        }
        self.incoming.take(bytes, &self.wire);
    }

    pub(crate) fn wrote(&mut self, outcome: &Poll<io::Result<usize>>, bytes: &[u8]) {
        match outcome {
            Poll::Ready(Ok(n)) => {
                self.wire.wrote(*n < bytes.len());
                self.outgoing.take(&bytes[..*n], &self.wire);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.wire.wrote(true),
        }
    }

    pub(crate) fn flushed(&self, outcome: &Poll<io::Result<()>>) {
        self.wire.wrote(outcome.is_pending());
    }
}
