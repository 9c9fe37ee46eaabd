//! A door at which a way may stand and wait: seen from the side, and left when somebody there knows that nobody will open.
//! Not in here: who knows that, and why.

use crate::rooms::startup::wire::{Duplex, Io};
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

/// What a way shows while it is walked, and the word that ends its waiting.
#[derive(Debug)]
pub struct Door {
    addresses: OnceLock<Vec<IpAddr>>,
    waiting: AtomicBool,
    give_up: watch::Sender<bool>,
}

impl Default for Door {
    fn default() -> Self {
        Self {
            addresses: OnceLock::new(),
            waiting: AtomicBool::new(false),
            give_up: watch::Sender::new(false),
        }
    }
}

impl Door {
    /// The addresses that the way's name led to, once they are known.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        self.addresses.get().map_or(&[], Vec::as_slice)
    }

    /// True while the way is connected and has not come to ReadyForQuery.
    #[must_use]
    pub fn is_waited_at(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Ends the waiting: what has not been said by now counts as silence.
    pub fn give_up(&self) {
        if self.is_waited_at() {
            self.give_up.send_replace(true);
        }
    }

    /// The name has led to these.
    pub(super) fn leads_to(&self, addresses: &[IpAddr]) {
        self.addresses.get_or_init(|| addresses.to_vec());
    }

    /// The way stands at the door, or has left it.
    pub(super) fn waits(&self, waiting: bool) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    /// A stream on which reading ends in [`io::ErrorKind::TimedOut`] when the way is given up.
    pub(super) fn guard(&self, io: Io) -> Io {
        let mut word = self.give_up.subscribe();
        let given_up = Box::pin(async move {
            if word.wait_for(|given_up| *given_up).await.is_err() {
                // Nobody is left who could say it.
                std::future::pending::<()>().await;
            }
        });
        Box::new(Guarded { io, given_up: Some(given_up) })
    }
}

/// A stream that may be given up. What was read before stands, and it stays open.
struct Guarded {
    io: Io,
    /// None once the word has come.
    given_up: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_ready() {
            return read;
        }
        if let Some(given_up) = &mut self.given_up {
            if given_up.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.given_up = None;
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

const _: fn(Guarded) -> Box<dyn Duplex> = |guarded| Box::new(guarded);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::startup::wire::{End, Wire};
    use std::time::Duration;
    use tokio::io::AsyncWriteExt;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_door_that_is_given_up_is_silent_at_once_and_what_was_said_before_stands() {
        let (mine, mut theirs) = tokio::io::duplex(64);
        let door = Door::default();
        let mut wire = Wire::new(door.guard(Box::new(mine)));
        let deadline = Instant::now() + Duration::from_secs(5);
        door.give_up();
        theirs.write_all(b"N").await.expect("open");
        assert_eq!(wire.fill(deadline).await, Ok(()), "nobody waits there yet: the word does not count");
        door.waits(true);
        let from = Instant::now();
        let (end, ()) = tokio::join!(wire.fill(deadline), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            door.give_up();
        });
        assert_eq!((end, from.elapsed()), (Err(End::Silent), Duration::from_millis(300)));
        assert_eq!(wire.buffered(), b"N");
        theirs.write_all(b"x").await.expect("the connection is still open");
    }

    #[tokio::test(start_paused = true)]
    async fn a_door_that_nobody_watches_is_waited_at_to_the_deadline() {
        let (mine, _theirs) = tokio::io::duplex(64);
        let guarded = Door::default().guard(Box::new(mine));
        let from = Instant::now();
        let end = Wire::new(guarded).fill(from + Duration::from_secs(2)).await;
        assert_eq!((end, from.elapsed()), (Err(End::Silent), Duration::from_secs(2)));
    }
}
