//! The way to the server below the protocol: names to addresses, addresses to streams.
//!
//! [`Transport`] is the seam where an API brings its own resolver, proxy or tunnel, and where tests script every gate.
//! Not in here: TLS and Postgres' own protocol (`handshake`).

use super::Stream;
use socket2::{SockRef, TcpKeepalive};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use tokio::net::TcpStream;
use tokio_postgres::Config;

/// A boxed future, as [`Transport`] gives it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// An address and port.
    Tcp(SocketAddr),
    /// A socket file.
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// How names become addresses and addresses become streams. Deadlines are the pool's affair: a future that is dropped
/// must let go of what it began.
pub trait Transport: Send + Sync + 'static {
    /// The addresses of a host's name, in the order in which to try them.
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;

    /// Connects to one address.
    fn dial<'a>(&'a self, to: &'a Endpoint, config: &'a Config) -> BoxFuture<'a, io::Result<Stream>>;
}

/// The system's resolver (`getaddrinfo` on a thread of tokio's) and its sockets, with the configuration's keepalives and
/// `tcp_user_timeout`.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Transport for System {
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
    }

    fn dial<'a>(&'a self, to: &'a Endpoint, config: &'a Config) -> BoxFuture<'a, io::Result<Stream>> {
        Box::pin(async move {
            match to {
                Endpoint::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    tune(&stream, config)?;
                    Ok(Stream::tcp(stream))
                }
                #[cfg(unix)]
                Endpoint::Unix(path) => Ok(Stream::unix(tokio::net::UnixStream::connect(path).await?)),
                #[cfg(not(unix))]
                Endpoint::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
            }
        })
    }
}

fn tune(stream: &TcpStream, config: &Config) -> io::Result<()> {
    let socket = SockRef::from(stream);
    #[cfg(target_os = "linux")]
    if let Some(timeout) = config.get_tcp_user_timeout() {
        socket.set_tcp_user_timeout(Some(*timeout))?;
    }
    if config.get_keepalives() {
        let mut keepalive = TcpKeepalive::new().with_time(config.get_keepalives_idle());
        if let Some(interval) = config.get_keepalives_interval() {
            keepalive = keepalive.with_interval(interval);
        }
        #[cfg(unix)]
        if let Some(retries) = config.get_keepalives_retries() {
            keepalive = keepalive.with_retries(retries);
        }
        socket.set_tcp_keepalive(&keepalive)?;
    }
    Ok(())
}
