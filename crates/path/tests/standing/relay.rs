//! A hop that passes everything on, until it is told to pass nothing: a network that falls silent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

pub(crate) struct Relay {
    pub(crate) port: u16,
    mute: Arc<AtomicBool>,
    _runtime: tokio::runtime::Runtime,
}

impl Relay {
    pub(crate) fn to(port: u16) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mute = Arc::new(AtomicBool::new(false));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let own = listener.local_addr().unwrap().port();
        let silent = Arc::clone(&mute);
        runtime.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let silent = Arc::clone(&silent);
                tokio::spawn(async move {
                    let Ok(far) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await else {
                        return;
                    };
                    near.set_nodelay(true).unwrap();
                    far.set_nodelay(true).unwrap();
                    let (near, far) = (near.into_split(), far.into_split());
                    tokio::spawn(pass(near.0, far.1, Arc::clone(&silent)));
                    tokio::spawn(pass(far.0, near.1, silent));
                });
            }
        });
        Self { port: own, mute, _runtime: runtime }
    }

    pub(crate) fn mute(&self, mute: bool) {
        self.mute.store(mute, Ordering::SeqCst);
    }
}

/// What is read while the hop is mute is passed on when it is no more; an end is passed on likewise.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mute: Arc<AtomicBool>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        while mute.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
