//! A Postgres made of script: each gate on the way to an answer is ok, an error, slow, or never answers.
//!
//! It speaks as much of the protocol as `tokio-postgres` needs, over pipes in memory, under paused time. Not in here: what the
//! pool should make of it.

use pgmedic_pool::tokio_postgres::Config;
use pgmedic_pool::tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use pgmedic_pool::{BoxFuture, Endpoint, Stream, Transport};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::Notify;

/// How a gate behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    Ok,
    Error,
    Slow,
    Never,
}

pub(crate) const WAYS: [Way; 4] = [Way::Ok, Way::Error, Way::Slow, Way::Never];

impl Way {
    /// True where what comes after it is reached.
    pub(crate) fn passes(self) -> bool {
        matches!(self, Self::Ok | Self::Slow)
    }

    async fn pass(self) -> Result<(), ()> {
        match self {
            Self::Ok => Ok(()),
            Self::Error => Err(()),
            Self::Slow => {
                tokio::time::sleep(SLOW).await;
                Ok(())
            }
            Self::Never => std::future::pending().await,
        }
    }
}

pub(crate) const SLOW: Duration = Duration::from_secs(1);

/// Every gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Gates {
    pub(crate) resolve: Way,
    pub(crate) connect: Way,
    pub(crate) tls: Way,
    pub(crate) startup: Way,
    pub(crate) recycle: Way,
    pub(crate) query: Way,
    pub(crate) back: Way,
}

pub(crate) const ALL_OK: Gates = Gates {
    resolve: Way::Ok,
    connect: Way::Ok,
    tls: Way::Ok,
    startup: Way::Ok,
    recycle: Way::Ok,
    query: Way::Ok,
    back: Way::Ok,
};

/// The server and the way to it.
#[derive(Clone)]
pub(crate) struct Script(Arc<Shared>);

struct Shared {
    gates: Mutex<Gates>,
    next: AtomicI32,
    cancels: Mutex<HashMap<i32, Arc<Notify>>>,
    pub(crate) dialled: AtomicI32,
}

impl Script {
    pub(crate) fn new(gates: Gates) -> Self {
        Self(Arc::new(Shared {
            gates: Mutex::new(gates),
            next: AtomicI32::new(1),
            cancels: Mutex::default(),
            dialled: AtomicI32::new(0),
        }))
    }

    pub(crate) fn set(&self, gates: Gates) {
        *self.0.gates.lock().expect("no gate panics") = gates;
    }

    fn gates(&self) -> Gates {
        *self.0.gates.lock().expect("no gate panics")
    }

    /// Connections that were begun so far.
    pub(crate) fn dialled(&self) -> i32 {
        self.0.dialled.load(Relaxed)
    }

    fn cancel_of(&self, pid: i32) -> Arc<Notify> {
        Arc::clone(self.0.cancels.lock().expect("no gate panics").entry(pid).or_default())
    }
}

impl Transport for Script {
    fn resolve<'a>(&'a self, _: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move {
            self.gates().resolve.pass().await.map_err(|()| io::Error::other("no such host"))?;
            Ok(vec![([192, 0, 2, 1], port).into()])
        })
    }

    fn dial<'a>(&'a self, _: &'a Endpoint, _: &'a Config) -> BoxFuture<'a, io::Result<Stream>> {
        Box::pin(async move {
            self.0.dialled.fetch_add(1, Relaxed);
            self.gates().connect.pass().await.map_err(|()| io::Error::from_raw_os_error(111))?;
            let (ours, theirs) = tokio::io::duplex(4096);
            tokio::spawn(Session { script: self.clone(), stream: theirs, status: b'I' }.serve());
            Ok(Stream::other(ours))
        })
    }
}

/// TLS that leaves the bytes as they are.
#[derive(Clone)]
pub(crate) struct ScriptedTls(pub(crate) Script);

impl MakeTlsConnect<Stream> for ScriptedTls {
    type Stream = Clear;
    type TlsConnect = Self;
    type Error = io::Error;

    fn make_tls_connect(&mut self, _: &str) -> Result<Self, io::Error> {
        Ok(self.clone())
    }
}

impl TlsConnect<Stream> for ScriptedTls {
    type Stream = Clear;
    type Error = io::Error;
    type Future = BoxFuture<'static, Result<Clear, io::Error>>;

    fn connect(self, stream: Stream) -> Self::Future {
        Box::pin(async move {
            let gate = self.0.gates().tls;
            gate.pass().await.map_err(|()| io::Error::other("certificate has expired"))?;
            Ok(Clear(stream))
        })
    }
}

pub(crate) struct Clear(Stream);

impl AsyncRead for Clear {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Clear {
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

impl TlsStream for Clear {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

/// One connection's server side.
struct Session {
    script: Script,
    stream: DuplexStream,
    status: u8,
}

impl Session {
    async fn serve(mut self) {
        let _ = self.opening().await;
    }

    async fn opening(&mut self) -> io::Result<()> {
        loop {
            let length = self.stream.read_u32().await? as usize;
            let mut body = vec![0; length - 4];
            self.stream.read_exact(&mut body).await?;
            match i32::from_be_bytes([body[0], body[1], body[2], body[3]]) {
                80_877_103 => self.stream.write_all(b"S").await?,
                80_877_102 => {
                    let pid = i32::from_be_bytes([body[4], body[5], body[6], body[7]]);
                    if self.script.gates().back == Way::Never {
                        std::future::pending::<()>().await;
                    }
                    // One that does nothing just now is not hit, as with Postgres.
                    self.script.cancel_of(pid).notify_waiters();
                    return Ok(());
                }
                _ => break,
            }
        }
        if self.script.gates().startup.pass().await.is_err() {
            return self.refuse("28P01").await;
        }
        let pid = self.script.0.next.fetch_add(1, Relaxed);
        self.send(b'R', &0_i32.to_be_bytes()).await?;
        self.send(b'K', &[pid.to_be_bytes(), 7_i32.to_be_bytes()].concat()).await?;
        self.ready().await?;
        self.queries(pid).await
    }

    async fn queries(&mut self, pid: i32) -> io::Result<()> {
        let cancel = self.script.cancel_of(pid);
        loop {
            let kind = self.stream.read_u8().await?;
            let length = self.stream.read_u32().await? as usize;
            let mut body = vec![0; length - 4];
            self.stream.read_exact(&mut body).await?;
            if kind == b'X' {
                return Ok(());
            }
            let query = String::from_utf8_lossy(&body).trim_end_matches('\0').to_owned();
            let gates = self.script.gates();
            let (gate, after) = match query.as_str() {
                "" if self.status == b'I' => (gates.recycle, b'I'),
                "" => (gates.back, self.status),
                "ROLLBACK;" => (gates.back, b'I'),
                "begin; work" => (gates.query, b'T'),
                _ => (Way::Ok, self.status),
            };
            tokio::select! {
                passed = gate.pass() => match passed {
                    Ok(()) => {
                        self.status = after;
                        if query.is_empty() {
                            self.send(b'I', &[]).await?;
                        } else {
                            self.send(b'C', b"DONE\0").await?;
                        }
                    }
                    Err(()) => {
                        if self.status != b'I' || after == b'T' {
                            self.status = b'E';
                        }
                        self.error("XX000").await?;
                    }
                },
                () = cancel.notified() => {
                    self.status = b'E';
                    self.error("57014").await?;
                }
            }
            self.ready().await?;
        }
    }

    async fn ready(&mut self) -> io::Result<()> {
        let status = self.status;
        self.send(b'Z', &[status]).await
    }

    async fn refuse(&mut self, code: &str) -> io::Result<()> {
        self.error(code).await
    }

    async fn error(&mut self, code: &str) -> io::Result<()> {
        let fields = format!("SFATAL\0VFATAL\0C{code}\0Mscripted\0\0");
        self.send(b'E', fields.as_bytes()).await
    }

    async fn send(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 4).expect("short");
        self.stream.write_all(&[&[kind][..], &length.to_be_bytes(), body].concat()).await
    }
}
