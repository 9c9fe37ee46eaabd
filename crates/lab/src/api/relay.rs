//! A way of the API's own to its database: a tunnel, a sidecar. What comes in goes on to a port of this host, and back.

use crate::error::{LabError, Tried as _};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, JoinSet};

/// The way. Dropped, nobody listens there any more, and what went over it is cut.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    /// Holds the connections.
    listening: JoinHandle<()>,
}

impl Relay {
    pub(super) fn start(runtime: &Handle, port: u16) -> Result<Self, LabError> {
        let address: SocketAddr = (Ipv4Addr::LOCALHOST, crate::ports::free()?).into();
        let listener = runtime.block_on(TcpListener::bind(address));
        let listener = listener.tried(|| format!("a way to port {port} at {address}"))?;
        let listening = runtime.spawn(async move {
            let mut under_way = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                while under_way.try_join_next().is_some() {}
                under_way.spawn(async move {
                    // Either side may end it.
                    if let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
                        let _ended = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Ok(Self { address, listening })
    }

    /// Where it begins.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes it away, and waits until it is.
    pub fn cut(mut self, runtime: &Handle) {
        self.listening.abort();
        let _aborted = runtime.block_on(&mut self.listening);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.listening.abort();
    }
}
