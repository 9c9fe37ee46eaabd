//! A TLS connector that says when the handshake begins and ends, and shows what passes inside it.
//!
//! Not in here: TLS itself, which is the caller's connector.

use super::Stream;
use super::stream::Tap;
use crate::reason::Stage;
use crate::wire::Wire;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// The caller's connector for one connection.
pub(crate) struct Told<C> {
    pub(crate) connect: C,
    pub(crate) wire: Arc<Wire>,
}

impl<C> TlsConnect<Stream> for Told<C>
where
    C: TlsConnect<Stream> + Send + 'static,
    C::Future: Send + 'static,
    C::Stream: Send,
{
    type Stream = Inside<C::Stream>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, Self::Error>> + Send>>;

    fn connect(self, mut stream: Stream) -> Self::Future {
        stream.unwatch();
        self.wire.reached(Stage::Tls);
        let handshake = self.connect.connect(stream);
        Box::pin(async move {
            let inner = handshake.await?;
            Ok(Inside { inner, tap: Tap::new(&self.wire) })
        })
    }
}

/// A TLS session's stream, watched.
pub(crate) struct Inside<S> {
    inner: S,
    tap: Tap,
}

impl<S: AsyncRead + Unpin> AsyncRead for Inside<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let outcome = Pin::new(&mut this.inner).poll_read(cx, buf);
        this.tap.read(&outcome, &buf.filled()[before..]);
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Inside<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.tap.wrote(&outcome, buf);
        outcome
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.inner).poll_flush(cx);
        // A TLS session takes bytes before the socket has.
        this.tap.flushed(&outcome);
        outcome
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Inside<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}
