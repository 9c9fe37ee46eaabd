//! Our own spacing of requests, so that Fly never has to say 429: one request a second for each action and machine or
//! app, three at once; a machine's own document five a second (superfly/docs, `machines/api/working-with-machines-api`, "Rate limits"). Not in here: asking.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// A little more than a second: their clock is not ours.
const PERIOD: Duration = Duration::from_millis(1100);
/// So many at once.
const BURST: u32 = 3;

/// The action of a look at one machine.
pub(super) const LOOK: &str = "get";

/// When the next request of each action may go, as the generic cell rate algorithm counts (ITU-T I.371, annex A): its
/// theoretical arrival time.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<String, Instant>>);

impl Pace {
    /// Waits for the turn of an action on something. False where that is not before `until`.
    pub(super) async fn turn(&self, action: &str, id: &str, until: Instant) -> bool {
        let now = Instant::now();
        let at = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, arrival| *arrival > now);
            let arrival = all.entry(format!("{action} {id}")).or_insert(now);
            let period = if action == LOOK { PERIOD / 4 } else { PERIOD };
            let at = (*arrival).checked_sub(period * (BURST - 1)).unwrap_or(now).max(now);
            if at >= until {
                return false;
            }
            *arrival = (*arrival).max(now) + period;
            at
        };
        sleep_until(at).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn three_at_once_then_one_a_second_for_each_action_and_id() {
        let (pace, begun) = (Pace::default(), Instant::now());
        let late = begun + Duration::from_secs(60);
        for _ in 0..3 {
            assert!(pace.turn("restart", "a", late).await);
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(pace.turn("restart", "b", late).await && pace.turn("start", "a", late).await);
        assert_eq!(begun.elapsed(), Duration::ZERO, "each for itself");
        assert!(pace.turn("restart", "a", late).await);
        assert_eq!(begun.elapsed(), PERIOD);
        assert!(
            !pace.turn("restart", "a", Instant::now() + Duration::from_millis(10)).await,
            "in time or never"
        );
        tokio::time::advance(Duration::from_secs(30)).await;
        let begun = Instant::now();
        for _ in 0..3 {
            assert!(pace.turn("restart", "a", Instant::now() + PERIOD).await);
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
