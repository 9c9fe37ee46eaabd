//! Calls of the system that may hang and that nothing can cancel (getaddrinfo, a file on a dead network share), on
//! threads that are left behind where they do. tokio's own blocking threads would keep the runtime from ending.

use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The most calls at a time, those that hang among them: a daemon asks again and again, and a dead network share must not cost
/// it a thread for each look.
const MOST: usize = 1024;

/// Calls in flight.
static IN_FLIGHT: AtomicUsize = AtomicUsize::new(0);

/// One of them.
struct Flight;

impl Flight {
    fn begin() -> Result<Self, NoResult> {
        let flight = Self;
        if IN_FLIGHT.fetch_add(1, Ordering::Relaxed) >= MOST {
            return Err(NoResult::Failed(format!("{MOST} calls of this host hang already")));
        }
        Ok(flight)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        IN_FLIGHT.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum NoResult {
    /// The call had not returned at the deadline. Its thread is left behind.
    #[error("no answer before the deadline")]
    Silent,
    /// The system gave no thread, or the call panicked in it.
    #[error("this host cannot do it: {0}")]
    Failed(String),
}

/// Runs a call on a thread of its own, at most until the deadline.
///
/// # Errors
/// Where the call does not return in time, or there is no thread for it.
pub async fn call<T: Send + 'static>(
    name: &str,
    deadline: Instant,
    f: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoResult> {
    let flight = Flight::begin()?;
    let (send, receive) = oneshot::channel();
    let run = move || {
        let _flight = flight;
        // Nobody waits any more where this fails.
        let _ = send.send(f());
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|error| NoResult::Failed(error.to_string()))?;
    match tokio::time::timeout_at(deadline, receive).await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(_)) => Err(NoResult::Failed("the call panicked".to_owned())),
        Err(_) => Err(NoResult::Silent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_call_that_hangs_holds_up_neither_the_walk_nor_the_end_of_the_runtime() {
        let started = std::time::Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (_keep, never) = std::sync::mpsc::channel::<()>();
        let outcome = runtime.block_on(async move {
            let deadline = Instant::now() + Duration::from_millis(50);
            call("hangs", deadline, move || never.recv()).await
        });
        assert!(matches!(outcome, Err(NoResult::Silent)));
        drop(runtime);
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn a_result_and_a_panic_are_told_apart() {
        let soon = || Instant::now() + Duration::from_secs(5);
        assert_eq!(call("adds", soon(), || 1 + 1).await.unwrap(), 2);
        let panicked = call("panics", soon(), || panic!("as the test wants")).await;
        assert!(matches!(panicked, Err::<(), _>(NoResult::Failed(_))));
    }
}
