//! TLS and startup over a stream, with the TLS connector's type erased.
//!
//! Not in here: reading what passes (`wire`).

use super::tls::Told;
use super::{BoxFuture, Fresh, Stream};
use crate::reason::Reason;
use crate::wire::Wire;
use std::future::Future as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Error, NoTls, SimpleQueryMessage};

/// A connection's I/O, as its driver polls it.
pub(crate) trait Drive: Send {
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>>;
}

impl<S, T> Drive for Connection<S, T>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>> {
        Self::poll_message(self, cx)
    }
}

/// A client and its I/O.
pub(crate) type Parts = (Client, Box<dyn Drive>);

/// TLS and startup.
pub(crate) trait Handshake: Send + Sync {
    fn startup<'a>(
        &'a self,
        stream: Stream,
        tls_name: &'a str,
        config: &'a Config,
        wire: &'a Arc<Wire>,
    ) -> BoxFuture<'a, Result<Parts, Error>>;

    /// Sends a CancelRequest and waits until the server closes, which it does when it has passed the request on.
    fn cancel<'a>(
        &'a self,
        stream: Stream,
        tls_name: &'a str,
        config: &'a Config,
        wire: &'a Wire,
    ) -> BoxFuture<'a, Result<(), Reason>>;
}

/// Without TLS.
pub(crate) struct Plain;

impl Handshake for Plain {
    fn startup<'a>(
        &'a self,
        stream: Stream,
        _: &'a str,
        config: &'a Config,
        _: &'a Arc<Wire>,
    ) -> BoxFuture<'a, Result<Parts, Error>> {
        Box::pin(async move {
            let (client, connection) = config.connect_raw(stream, NoTls).await?;
            Ok((client, Box::new(connection) as Box<dyn Drive>))
        })
    }

    fn cancel<'a>(
        &'a self,
        stream: Stream,
        _: &'a str,
        _: &'a Config,
        wire: &'a Wire,
    ) -> BoxFuture<'a, Result<(), Reason>> {
        Box::pin(cancel_over(stream, wire))
    }
}

/// With the caller's TLS connector, as `sslmode` says.
pub(crate) struct WithTls<T>(pub(crate) T);

impl<T> Handshake for WithTls<T>
where
    T: MakeTlsConnect<Stream> + Clone + Send + Sync + 'static,
    T::Stream: Send + 'static,
    T::TlsConnect: Send + 'static,
    <T::TlsConnect as TlsConnect<Stream>>::Future: Send + 'static,
{
    fn startup<'a>(
        &'a self,
        stream: Stream,
        tls_name: &'a str,
        config: &'a Config,
        wire: &'a Arc<Wire>,
    ) -> BoxFuture<'a, Result<Parts, Error>> {
        Box::pin(async move {
            // A connector that does not like the name fails the handshake, where there is one.
            let tls = self.0.clone().make_tls_connect(tls_name);
            let connect = Lazy(tls.map_err(Into::into));
            let told = Told { connect, wire: Arc::clone(wire) };
            let (client, connection) = config.connect_raw(stream, told).await?;
            Ok((client, Box::new(connection) as Box<dyn Drive>))
        })
    }

    fn cancel<'a>(
        &'a self,
        mut stream: Stream,
        tls_name: &'a str,
        config: &'a Config,
        wire: &'a Wire,
    ) -> BoxFuture<'a, Result<(), Reason>> {
        Box::pin(async move {
            if config.get_ssl_mode() == SslMode::Disable || !asks_for_tls(&mut stream, config).await? {
                return cancel_over(stream, wire).await;
            }
            let failed = |e: Box<dyn std::error::Error + Send + Sync>| Reason::Tls(e.to_string());
            let connect = self.0.clone().make_tls_connect(tls_name).map_err(|e| failed(e.into()))?;
            let stream = connect.connect(stream).await.map_err(|e| failed(e.into()))?;
            cancel_over(stream, wire).await
        })
    }
}

/// A connector, or why there is none.
struct Lazy<C>(Result<C, Box<dyn std::error::Error + Send + Sync>>);

impl<C> TlsConnect<Stream> for Lazy<C>
where
    C: TlsConnect<Stream> + Send + 'static,
    C::Future: Send + 'static,
    C::Stream: Send,
{
    type Stream = C::Stream;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = std::pin::Pin<
        Box<dyn std::future::Future<Output = Result<Self::Stream, Self::Error>> + Send + 'static>,
    >;

    fn connect(self, stream: Stream) -> Self::Future {
        match self.0 {
            Ok(connect) => {
                let handshake = connect.connect(stream);
                Box::pin(async move { handshake.await.map_err(Into::into) })
            }
            Err(why) => Box::pin(std::future::ready(Err(why))),
        }
    }
}

/// Asks for TLS where it must be asked for; true where the server agrees.
async fn asks_for_tls(stream: &mut Stream, config: &Config) -> Result<bool, Reason> {
    if config.get_ssl_negotiation() == SslNegotiation::Direct {
        return Ok(true);
    }
    let mut request = [0, 0, 0, 8, 0, 0, 0, 0];
    request[4..].copy_from_slice(&80_877_103_u32.to_be_bytes());
    stream.write_all(&request).await.map_err(|e| Reason::of_io(&e))?;
    let answer = stream.read_u8().await.map_err(|e| Reason::of_io(&e))?;
    Ok(answer == b'S')
}

async fn cancel_over<S>(mut stream: S, wire: &Wire) -> Result<(), Reason>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    // CancelRequest (Postgres manual, "Message Formats"): its length, its code, the backend's process and its key.
    let numbers =
        [16, 80_877_102, wire.process_id.load(Relaxed), wire.secret_key.load(Relaxed)].map(i32::to_be_bytes);
    let io = |e: std::io::Error| Reason::of_io(&e);
    stream.write_all(numbers.as_flattened()).await.map_err(io)?;
    stream.flush().await.map_err(io)?;
    let mut rest = [0; 64];
    loop {
        match stream.read(&mut rest).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // Closed without a farewell is closed all the same.
            Err(_) => return Ok(()),
        }
    }
}

/// Asks one question over a connection that has no driver yet; gives the first column of the first row.
pub(crate) async fn ask(fresh: &mut Fresh, question: &str) -> Result<Option<String>, Error> {
    let Fresh { client, drive, .. } = fresh;
    let mut answer = std::pin::pin!(client.simple_query(question));
    let messages = std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            match drive.poll_message(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(e))) => return Poll::Ready(Err(e)),
                Poll::Ready(None) => return answer.as_mut().poll(cx),
                Poll::Pending => return answer.as_mut().poll(cx),
            }
        }
    })
    .await?;
    Ok(messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}
