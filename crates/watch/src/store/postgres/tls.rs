//! TLS to the store, by the same rules as on the walk: libpq's `sslmode`, its files, its checks.

use pgmedic_model::Target;
use pgmedic_path::rooms::startup::wire::Io;
use pgmedic_path::rooms::tls::probe::{Client, Handshake};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

/// Makes handshakes.
#[derive(Clone)]
pub(super) struct Tls(Arc<Client>);

impl Tls {
    /// Reads the files that the target names.
    pub(super) fn new(target: &Target) -> Result<Self, String> {
        let client =
            Client::new(target).map_err(|outcome| format!("its TLS cannot be begun: {outcome:?}"))?;
        Ok(Self(Arc::new(client)))
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Encrypted;
    type TlsConnect = Self;
    type Error = std::convert::Infallible;

    fn make_tls_connect(&mut self, _domain: &str) -> Result<Self, Self::Error> {
        Ok(self.clone())
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> TlsConnect<S> for Tls {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Shaking;

    fn connect(self, stream: S) -> Shaking {
        let io: Io = Box::new(stream);
        Shaking(self.0.begin(io))
    }
}

/// A handshake under way.
pub(super) struct Shaking(Handshake);

impl Future for Shaking {
    type Output = io::Result<Encrypted>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(|done| done.map(|stream| Encrypted(Box::new(stream))))
    }
}

/// The stream behind it.
pub(super) struct Encrypted(Io);

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
