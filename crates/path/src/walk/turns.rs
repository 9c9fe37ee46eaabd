//! Whose turn it is to look for closed doors through the window on this host. Such a look reads every process and socket of
//! the host: of many services of one host that are down at once each would read the same, and all of them together would
//! take the processor from those that are well. One looks at a time; who cannot have a turn soon goes without, and asks
//! again at the next walk. Not in here: the look (`window`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout_at};

/// A turn is waited for so long at most.
const PATIENCE: Duration = Duration::from_secs(1);
/// Where so many wait,
const MANY: usize = 8;
/// the next turn begins so many times as long after a look as that has taken: the window takes a quarter of one processor.
const REST: u32 = 3;

static TURN: Semaphore = Semaphore::const_new(1);
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// A turn, until it is dropped.
pub(super) struct Turn {
    permit: Option<SemaphorePermit<'static>>,
    begun: Instant,
}

/// One who waits, however that ends.
struct Waiting;

impl Waiting {
    fn new() -> Self {
        WAITING.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits for a turn, not beyond `until`.
///
/// # Errors
/// Why there is none, in words for a report.
pub(super) async fn turn(until: Instant) -> Result<Turn, String> {
    let _waiting = Waiting::new();
    let latest = until.min(Instant::now() + PATIENCE);
    match timeout_at(latest, TURN.acquire()).await {
        Ok(Ok(permit)) => Ok(Turn { permit: Some(permit), begun: Instant::now() }),
        Ok(Err(_)) | Err(_) => {
            Err("this host was being looked at for other services; the next walk looks again".to_owned())
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        if WAITING.load(Ordering::Relaxed) < MANY {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let rest = self.begun.elapsed() * REST;
            drop(runtime.spawn(async move {
                sleep(rest).await;
                drop(permit);
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_looks_at_a_time_and_of_many_each_waits_no_longer_than_its_patience() {
        let until = Instant::now() + Duration::from_secs(60);
        let first = turn(until).await.unwrap();
        let begun = Instant::now();
        let many: Vec<_> =
            (0..20).map(|_| tokio::spawn(async move { turn(until).await.map(drop) })).collect();
        tokio::task::yield_now().await;
        sleep(Duration::from_millis(100)).await;
        // Many wait: the next has its turn after three times as long again.
        drop(first);
        let mut had = Vec::new();
        for waiter in many {
            had.push(waiter.await.unwrap());
        }
        assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
        assert!(begun.elapsed() <= PATIENCE + Duration::from_millis(10), "{:?}", begun.elapsed());
        assert!(had.iter().all(Result::is_ok), "looks that take no time leave a turn for all");

        let held = turn(until).await.unwrap();
        let begun = Instant::now();
        assert!(turn(until).await.is_err_and(|why| why.contains("other services")));
        assert_eq!(begun.elapsed(), PATIENCE);
        drop(held);
        assert!(turn(Instant::now()).await.is_ok(), "nobody waits: it is free at once");
    }
}
