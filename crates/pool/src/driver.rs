//! The task that does a connection's I/O, says when it has settled, and notices when it is lost.
//!
//! Not in here: what becomes of a connection that came back unclean (`clean`).

use crate::connect::Drive;
use crate::inner::Inner;
use crate::reason::{Reason, Stage};
use crate::wire::{Noting, Wire};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use tokio_postgres::AsyncMessage;

/// What an API may do with a notice or a notification.
pub(crate) type OnMessage = Arc<dyn Fn(&AsyncMessage) + Send + Sync>;

/// Drives one connection to its end.
pub(crate) struct Driver {
    drive: Box<dyn Drive>,
    wire: Arc<Wire>,
    waker: Waker,
    pool: Weak<Inner>,
    id: u64,
    on_message: Option<OnMessage>,
    ended: Option<Reason>,
}

impl Driver {
    pub(crate) fn new(
        drive: Box<dyn Drive>,
        wire: &Arc<Wire>,
        pool: Weak<Inner>,
        id: u64,
        on_message: Option<OnMessage>,
    ) -> Self {
        let waker = Waker::from(Arc::new(Noting(Arc::clone(wire))));
        Self { drive, wire: Arc::clone(wire), waker, pool, id, on_message, ended: None }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.wire.begin(cx.waker());
        loop {
            let mut noting = Context::from_waker(&this.waker);
            match this.drive.poll_message(&mut noting) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(message))) => {
                    if let Some(hook) = &this.on_message {
                        hook(&message);
                    }
                }
                Poll::Ready(Some(Err(e))) => {
                    this.ended = Some(Reason::of_driver(&e, Stage::Recycle));
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
            }
        }
        if let Some((conn, clean)) = this.wire.end() {
            match this.pool.upgrade() {
                Some(pool) => pool.settled(conn, clean),
                None => drop(conn),
            }
        }
        Poll::Pending
    }
}

/// However the task ends, also with its runtime, the connection is over.
impl Drop for Driver {
    fn drop(&mut self) {
        let parked = self.wire.over();
        if let Some(pool) = self.pool.upgrade() {
            pool.lost(self.id, self.ended.take());
        }
        drop(parked);
    }
}
