//! The first bytes on a fresh connection: they tell a Postgres from a hop whose backend is gone, from one that hangs, and
//! from another protocol. The handshake and the startup that follow are not in here.

use crate::clock::Stopwatch;
use crate::rooms::network::probe::Connected;
use crate::rooms::proxy::evidence::{FirstBytes, ProxyEvidence, Sent};
use crate::rooms::proxy::first_bytes::{foreign, is_known_foreign, is_tls_record, message_tag};
use crate::rooms::startup::wire::{End, Held, Io, Wire, server_error};
use crate::rooms::tls::probe::{Client, Handshake};
use bytes::BytesMut;
use postgres_protocol::message::{backend::Message, frontend};
use std::future::{poll_fn, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};

/// How long the rest of a short greeting is waited for.
const REST_OF_GREETING: Duration = Duration::from_millis(100);

/// So many bytes tell one protocol from another.
const ENOUGH: usize = 8;

/// What is sent first.
pub enum Opening<'a> {
    /// An SSLRequest.
    SslRequest,
    /// A StartupMessage.
    Startup(&'a [u8]),
    /// A ClientHello.
    ClientHello(&'a Client),
}

/// The proof of passage: what the peer lets come next.
pub enum Passage {
    /// TLS was offered; the handshake is next.
    Offered(Io),
    /// TLS was not offered; the connection can go on in clear.
    NotOffered(Wire),
    /// A message answers the StartupMessage, which was sent when the watch was started.
    Answered(Wire, Stopwatch),
    /// A TLS record answers the ClientHello, which was sent when the watch was started.
    Hello(Handshake, Stopwatch),
}

/// What came of the first bytes.
pub struct Opened {
    /// What was seen.
    pub evidence: ProxyEvidence,
    /// How it goes on, if it does.
    pub passage: Option<Passage>,
    /// The connection of a silent peer.
    pub held: Option<Held>,
}

/// Sends the first bytes and reads the peer's.
pub async fn open(connected: Connected, opening: Opening<'_>, deadline: Instant) -> Opened {
    let watch = Stopwatch::start();
    match opening {
        Opening::SslRequest => {
            let mut request = BytesMut::new();
            frontend::ssl_request(&mut request);
            let mut wire = Wire::new(connected.io);
            let first = first_of(&mut wire, &request, deadline).await;
            let (first, elapsed) = match first {
                Ok(()) => (answer_to_ssl_request(&mut wire, deadline).await, watch.elapsed()),
                Err(end) => (nothing(end), watch.elapsed()),
            };
            let evidence = ProxyEvidence { at: watch.at, elapsed_ms: elapsed, sent: Sent::SslRequest, first };
            match evidence.first {
                FirstBytes::TlsOffered => passed(evidence, Passage::Offered(wire.into_io())),
                FirstBytes::TlsNotOffered => passed(evidence, Passage::NotOffered(wire)),
                _ => stopped(evidence, wire),
            }
        }
        Opening::Startup(message) => {
            let mut wire = Wire::new(connected.io);
            let first = match first_of(&mut wire, message, deadline).await {
                Ok(()) => answer_to_startup(&mut wire, deadline).await,
                Err(end) => nothing(end),
            };
            let evidence =
                ProxyEvidence { at: watch.at, elapsed_ms: watch.elapsed(), sent: Sent::Startup, first };
            match evidence.first {
                FirstBytes::Message(_) => passed(evidence, Passage::Answered(wire, watch)),
                _ => stopped(evidence, wire),
            }
        }
        Opening::ClientHello(client) => hello(connected.io, client, watch, deadline).await,
    }
}

fn passed(evidence: ProxyEvidence, passage: Passage) -> Opened {
    Opened { evidence, passage: Some(passage), held: None }
}

fn stopped(evidence: ProxyEvidence, connection: impl Send + 'static) -> Opened {
    let held: Option<Held> = (evidence.first == FirstBytes::Silent).then(|| Box::new(connection) as Held);
    Opened { evidence, passage: None, held }
}

/// Sends `bytes` and waits for the first byte to come back.
async fn first_of(wire: &mut Wire, bytes: &[u8], deadline: Instant) -> Result<(), End> {
    wire.send(bytes, deadline).await?;
    wire.fill(deadline).await
}

/// No byte came: why.
fn nothing(end: End) -> FirstBytes {
    match end {
        End::Closed => FirstBytes::Closed,
        End::Reset => FirstBytes::Reset,
        End::Silent => FirstBytes::Silent,
        End::Protocol2(text) => FirstBytes::ErrorV2(text),
        End::TlsAlert(text) | End::Malformed(text) => FirstBytes::Foreign(text),
    }
}

/// `S` or `N` alone, an error, or something else. Bytes in clear after the `S` could be passed off for encrypted ones
/// later; libpq refuses them since CVE-2021-23222.
async fn answer_to_ssl_request(wire: &mut Wire, deadline: Instant) -> FirstBytes {
    match *wire.buffered() {
        [b'S'] => {
            wire.skip_byte();
            FirstBytes::TlsOffered
        }
        [b'N'] => {
            wire.skip_byte();
            FirstBytes::TlsNotOffered
        }
        [b'E', ..] if !is_known_foreign(wire.buffered()) => error(wire, deadline).await,
        _ => other(wire, deadline).await,
    }
}

async fn answer_to_startup(wire: &mut Wire, deadline: Instant) -> FirstBytes {
    if wire.buffered() == b"E" {
        // Whether it is an error of protocol 3 or 2 shows in the bytes that follow; that none do shows later.
        let _ = wire.fill(deadline.min(Instant::now() + REST_OF_GREETING)).await;
    }
    match (message_tag(wire.buffered()), wire.buffered()) {
        (None, [b'E', ..]) => error(wire, deadline).await,
        _ => other(wire, deadline).await,
    }
}

/// An `E`: an error of protocol 3, or a text.
async fn error(wire: &mut Wire, deadline: Instant) -> FirstBytes {
    match wire.startup_message(deadline).await {
        Ok(Message::ErrorResponse(body)) => FirstBytes::Error(server_error(body.fields())),
        Ok(_) => FirstBytes::Foreign(foreign(b"E")),
        Err(End::Protocol2(text)) if !text.is_empty() => FirstBytes::ErrorV2(text),
        Err(_) => FirstBytes::Foreign(foreign(wire.buffered())),
    }
}

/// A message of protocol 3, or another protocol.
async fn other(wire: &mut Wire, deadline: Instant) -> FirstBytes {
    let rest = deadline.min(Instant::now() + REST_OF_GREETING);
    // A greeting may come in pieces; that the rest does not come changes nothing.
    while wire.buffered().len() < ENOUGH && wire.fill(rest).await.is_ok() {}
    let bytes = wire.buffered();
    match (message_tag(bytes), bytes) {
        _ if is_known_foreign(bytes) => FirstBytes::Foreign(foreign(bytes)),
        (Some(tag), _) => FirstBytes::Message(tag),
        (None, [b'S', ..]) => FirstBytes::Foreign("bytes in clear after the S (CVE-2021-23222)".to_owned()),
        _ => FirstBytes::Foreign(foreign(bytes)),
    }
}

/// Direct TLS: the handshake is begun, and its first bytes are watched.
async fn hello(io: Io, client: &Client, watch: Stopwatch, deadline: Instant) -> Opened {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut handshake = client.begin(Box::new(Watched { io, seen: Arc::clone(&seen) }));
    let bytes = || seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let first = poll_fn(|cx| match handshake.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending if !bytes().is_empty() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    let progress = timeout_at(deadline, first).await;
    let start = bytes();
    let first = match &progress {
        Err(_) => FirstBytes::Silent,
        Ok(Some(Err(error))) if start.is_empty() => nothing(End::from_io(error)),
        Ok(_) if is_tls_record(&start) => FirstBytes::TlsRecord,
        Ok(_) => FirstBytes::Foreign(foreign(&start)),
    };
    let evidence =
        ProxyEvidence { at: watch.at, elapsed_ms: watch.elapsed(), sent: Sent::ClientHello, first };
    if evidence.first != FirstBytes::TlsRecord {
        return stopped(evidence, handshake);
    }
    let handshake = match progress {
        Ok(Some(result)) => Box::pin(ready(result)),
        _ => handshake,
    };
    passed(evidence, Passage::Hello(handshake, watch))
}

/// A stream whose first bytes are kept.
struct Watched {
    io: Io,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_empty() {
            seen.extend(buf.filled()[before..].iter().take(64));
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
