//! How many connections there are at most, and who leaves where another one comes: the one that has been here longest
//! without a request in hand. Who opens connections and says nothing keeps nobody out.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The most connections.
pub(super) const SEATS: usize = 256;

/// One connection's seat.
#[derive(Debug, Default)]
pub(super) struct Seat {
    /// A request is being answered.
    pub(super) busy: AtomicBool,
    /// Told once that it must leave.
    pub(super) leave: Notify,
}

/// The seats that are taken, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats(Arc<Mutex<VecDeque<Arc<Seat>>>>);

impl Seats {
    /// A seat for one more, given back when it is dropped. None where all are taken by requests in hand.
    pub(super) fn take(&self) -> Option<Taken> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() >= SEATS {
            let idle = taken.iter().position(|seat| !seat.busy.load(Ordering::Relaxed))?;
            taken.remove(idle)?.leave.notify_one();
        }
        let seat = Arc::new(Seat::default());
        taken.push_back(Arc::clone(&seat));
        Some(Taken { seat, of: self.clone() })
    }
}

/// A seat that is taken.
#[derive(Debug)]
pub(super) struct Taken {
    seat: Arc<Seat>,
    of: Seats,
}

impl Deref for Taken {
    type Target = Seat;

    fn deref(&self) -> &Seat {
        &self.seat
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut taken = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|s| !Arc::ptr_eq(s, &self.seat));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_is_idle_leaves_for_a_new_one_and_the_busy_stay() {
        let seats = Seats::default();
        let mut all: Vec<_> = (0..SEATS).map(|_| seats.take().unwrap()).collect();
        all[0].busy.store(true, Ordering::Relaxed);
        let _new = seats.take().unwrap();
        let taken = seats.0.lock().unwrap().clone();
        assert_eq!(taken.len(), SEATS);
        assert!(
            taken.iter().any(|s| Arc::ptr_eq(s, &all[0].seat))
                && !taken.iter().any(|s| Arc::ptr_eq(s, &all[1].seat))
        );
        taken.iter().for_each(|s| s.busy.store(true, Ordering::Relaxed));
        assert!(seats.take().is_none());
        drop(all.swap_remove(0));
        assert!(seats.take().is_some());
    }
}
