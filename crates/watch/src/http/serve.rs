//! Connections: taken, bounded, and ended. Not in here: what a request is answered (`request`).

use super::Shared;
use super::seats::{Seats, Taken};
use super::stall::Stall;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A request's head must have come within this; so long may a connection be silent between two requests.
pub(super) const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// The largest head, and the most headers.
pub(super) const HEAD: usize = 16 * 1024;
const HEADERS: usize = 64;
/// Requests in hand are given this long at the end.
const LAST_WORD: Duration = Duration::from_secs(1);
/// Where no connection can be taken (descriptors ran out), the next try comes after this.
const BREATH: Duration = Duration::from_millis(100);

/// Serves until `shutdown` ends.
pub(super) async fn until(listener: TcpListener, shared: Arc<Shared>, shutdown: impl Future<Output = ()>) {
    let (end, ended) = watch::channel(false);
    let (mut connections, seats) = (JoinSet::new(), Seats::default());
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            _ = connections.join_next(), if !connections.is_empty() => {}
            taken = listener.accept() => match taken {
                Ok((stream, peer)) => {
                    if let Some(seat) = seats.take() {
                        let (shared, ended) = (Arc::clone(&shared), ended.clone());
                        connections.spawn(async move {
                            connection(stream, peer.ip(), &shared, &seat, ended).await;
                        });
                    }
                }
                Err(_) => tokio::time::sleep(BREATH).await,
            },
        }
    }
    drop(listener);
    // Nobody listens where every connection is gone already.
    let _ = end.send(true);
    let all = async { while connections.join_next().await.is_some() {} };
    let in_time = tokio::time::timeout(LAST_WORD, all).await;
    if in_time.is_err() {
        connections.shutdown().await;
    }
}

async fn connection(
    stream: TcpStream,
    peer: IpAddr,
    shared: &Arc<Shared>,
    seat: &Taken,
    mut ended: watch::Receiver<bool>,
) {
    // Answers are written whole; without this the last part of one may wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: Request<Incoming>| async move {
        seat.busy.store(true, Ordering::Relaxed);
        let reply = shared.respond(peer, request).await;
        seat.busy.store(false, Ordering::Relaxed);
        Ok::<Response<Full<Bytes>>, Infallible>(reply.into_response())
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD)
        .max_headers(HEADERS)
        .half_close(false)
        .serve_connection(Stall::new(TokioIo::new(stream)), service);
    let mut serving = pin!(serving);
    tokio::select! {
        // A peer that breaks off or sends nonsense has been answered by hyper as far as it can be.
        _ = serving.as_mut() => {}
        () = seat.leave.notified() => {}
        () = async { drop(ended.wait_for(|ended| *ended).await) } => {
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
        }
    }
}
