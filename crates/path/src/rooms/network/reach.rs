//! One attempt to each address of a target, all at once: the first in the system's order that connects is walked on, the
//! others are closed at once, and what becomes of those still under way is collected later.

use crate::clock::Stopwatch;
use crate::rooms::network::evidence::{Attempt, ConnectOutcome, NetworkEvidence};
use crate::rooms::network::families;
use crate::rooms::network::probe::{Address, Connected, attempt};
use crate::rooms::network::reading::here_alone;
use pgmedic_model::Ms;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// How long an address waits for one before it in the order, once it has connected itself (the Connection Attempt
/// Delay of RFC 8305 section 5).
const PRECEDENCE: Duration = Duration::from_millis(250);

/// Attempts that have not all ended.
pub struct Reach {
    elapsed_ms: Ms,
    /// In the order of the addresses; None while it is under way.
    attempts: Vec<Option<Attempt>>,
    addresses: Vec<Address>,
    watch: Stopwatch,
    running: JoinSet<(usize, Attempt, Option<Connected>)>,
    /// True once it is known which connection is walked on: the others are closed as they come.
    decided: Arc<AtomicBool>,
}

/// Tries every address once. Comes back with the connection to walk on, or with none when all attempts have failed.
pub async fn reach(addresses: Vec<Address>, deadline: Instant) -> (Reach, Option<Connected>) {
    let watch = Stopwatch::start();
    let mut reach = Reach {
        elapsed_ms: Ms::default(),
        attempts: vec![None; addresses.len()],
        addresses,
        watch,
        running: JoinSet::new(),
        decided: Arc::default(),
    };
    if let [address] = &reach.addresses[..] {
        let (only, connected) = attempt(address, deadline).await;
        reach.attempts[0] = Some(only);
        reach.elapsed_ms = watch.elapsed();
        return (reach, connected);
    }
    for (index, address) in reach.addresses.iter().cloned().enumerate() {
        let decided = Arc::clone(&reach.decided);
        reach.running.spawn(async move {
            let (attempt, connected) = attempt(&address, deadline).await;
            (index, attempt, connected.filter(|_| !decided.load(Ordering::Relaxed)))
        });
    }
    let winner = reach.first_in_order().await;
    reach.decided.store(true, Ordering::Relaxed);
    while let Some(Ok((index, attempt, late))) = reach.running.try_join_next() {
        reach.attempts[index] = Some(attempt);
        drop(late);
    }
    reach.elapsed_ms = watch.elapsed();
    (reach, winner)
}

impl Reach {
    /// Until an attempt had succeeded, or all had failed.
    #[must_use]
    pub const fn elapsed(&self) -> Ms {
        self.elapsed_ms
    }

    /// The first in order that connects. One that comes later in the order is held back for [`PRECEDENCE`] while an
    /// earlier one is under way.
    async fn first_in_order(&mut self) -> Option<Connected> {
        let mut best: Option<(usize, Connected)> = None;
        let mut patience: Option<Instant> = None;
        loop {
            let settled = |index: usize| self.attempts[..index].iter().all(Option::is_some);
            if best.as_ref().is_some_and(|(index, _)| settled(*index)) {
                return best.map(|(_, connected)| connected);
            }
            let until = patience.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            let joined = tokio::select! {
                joined = self.running.join_next() => joined,
                () = sleep_until(until), if patience.is_some() => return best.map(|(_, connected)| connected),
            };
            match joined {
                None => return best.map(|(_, connected)| connected),
                // A panic in an attempt leaves its place empty; `settle` says so.
                Some(Err(_)) => {}
                Some(Ok((index, attempt, connected))) => {
                    self.attempts[index] = Some(attempt);
                    if let Some(connected) = connected
                        && best.as_ref().is_none_or(|(at, _)| index < *at)
                    {
                        patience.get_or_insert(Instant::now() + PRECEDENCE);
                        best = Some((index, connected));
                    }
                }
            }
        }
    }

    /// Waits for the attempts still under way, each within its deadline.
    pub async fn settle(mut self) -> NetworkEvidence {
        while let Some(joined) = self.running.join_next().await {
            if let Ok((index, attempt, _)) = joined {
                self.attempts[index] = Some(attempt);
            }
        }
        let (watch, addresses) = (self.watch, self.addresses);
        let attempts = self.attempts.into_iter().zip(addresses).map(|(attempt, address)| {
            attempt.unwrap_or_else(|| Attempt {
                at: watch.at,
                elapsed_ms: watch.elapsed(),
                address: address.to_string(),
                outcome: ConnectOutcome::Failed,
                errno: None,
            })
        });
        let attempts: Vec<Attempt> = attempts.collect();
        let families = attempts.iter().all(|a| here_alone(a.outcome)).then(families::of_this_host).flatten();
        NetworkEvidence { elapsed_ms: self.elapsed_ms, attempts, transport: None, families }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use tokio::net::TcpListener;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(2)
    }

    async fn closed() -> Address {
        Address::Tcp(TcpListener::bind("127.0.0.1:0").await.expect("loopback").local_addr().expect("bound"))
    }

    /// A port whose listener never accepts and whose queue is full: a SYN to it is dropped.
    async fn silent() -> (Address, Vec<Box<dyn std::any::Any>>) {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("bound");
        let listener = socket.listen(0).expect("listening");
        let address = Address::Tcp(listener.local_addr().expect("bound"));
        let mut kept: Vec<Box<dyn std::any::Any>> = vec![Box::new(listener)];
        while let (_, Some(connected)) = attempt(&address, Instant::now() + Duration::from_millis(200)).await
        {
            kept.push(Box::new(connected));
        }
        (address, kept)
    }

    #[tokio::test]
    async fn the_first_that_connects_is_walked_on_and_every_attempt_is_kept() {
        let one = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let two = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let [one, two] = [&one, &two].map(|l| Address::Tcp(l.local_addr().expect("bound")));
        let addresses = vec![closed().await, one.clone(), two];
        let (reach, winner) = reach(addresses, soon()).await;
        assert_eq!(winner.expect("one connects").address, one);
        let outcomes: Vec<_> = reach.settle().await.attempts.iter().map(|a| a.outcome).collect();
        assert_eq!(outcomes, [ConnectOutcome::Refused, ConnectOutcome::Connected, ConnectOutcome::Connected]);
    }

    #[tokio::test]
    async fn a_dead_address_holds_the_walk_up_only_briefly_and_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let live = Address::Tcp(listener.local_addr().expect("bound"));
        let (dead, _kept) = silent().await;
        let from = Instant::now();
        let (reach, winner) = reach(vec![dead, live.clone()], Instant::now() + Duration::from_secs(1)).await;
        assert_eq!(winner.expect("one connects").address, live);
        assert!(from.elapsed() >= PRECEDENCE && from.elapsed() < Duration::from_millis(900));
        let evidence = reach.settle().await;
        assert_eq!(evidence.attempts[0].outcome, ConnectOutcome::Silent);
        assert!(evidence.attempts[0].elapsed_ms.0 >= 990.0);
        assert!(evidence.elapsed_ms.0 < 900.0);
    }

    #[tokio::test]
    async fn no_address_connects() {
        let (reach, winner) = reach(vec![closed().await, closed().await], soon()).await;
        assert!(winner.is_none());
        assert!(reach.settle().await.attempts.iter().all(|a| a.outcome == ConnectOutcome::Refused));
    }
}
