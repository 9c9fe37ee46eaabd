//! Those who wait for a connection, first come first served.
//!
//! A linked list in a table: joining, leaving from anywhere and being served are O(1), and nothing is allocated for a
//! waiter once the table has grown. Not in here: locks and time.

use crate::conn::Conn;
use crate::trouble::Report;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// What a waiter is given.
#[derive(Debug)]
pub(crate) enum Given {
    Conn(Box<Conn>),
    Down(Arc<Report>),
    Closed,
}

#[derive(Debug)]
struct Entry {
    before: Option<usize>,
    after: Option<usize>,
    waker: Option<Waker>,
    given: Option<Given>,
    place: &'static Location<'static>,
}

/// The queue. A key is its holder's alone, until it is taken or cancelled.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
    first: Option<usize>,
    last: Option<usize>,
    len: usize,
}

impl Queue {
    /// How many wait.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn enter(&mut self, entry: Entry) -> usize {
        self.len += 1;
        match self.free.pop() {
            Some(key) => {
                self.entries[key] = Some(entry);
                key
            }
            None => {
                self.entries.push(Some(entry));
                self.entries.len() - 1
            }
        }
    }

    /// Joins at the front: who had a connection that was no good, and waited its turn for that.
    pub(crate) fn join_again(&mut self, place: &'static Location<'static>) -> usize {
        let key = self.enter(Entry { before: None, after: self.first, waker: None, given: None, place });
        match self.first {
            Some(first) => {
                if let Some(first) = self.at(first) {
                    first.before = Some(key);
                }
            }
            None => self.last = Some(key),
        }
        self.first = Some(key);
        key
    }

    /// Joins at the end.
    pub(crate) fn join(&mut self, place: &'static Location<'static>) -> usize {
        let key = self.enter(Entry { before: self.last, after: None, waker: None, given: None, place });
        match self.last {
            Some(last) => {
                if let Some(last) = self.at(last) {
                    last.after = Some(key);
                }
            }
            None => self.first = Some(key),
        }
        self.last = Some(key);
        key
    }

    fn at(&mut self, key: usize) -> Option<&mut Entry> {
        self.entries.get_mut(key).and_then(Option::as_mut)
    }

    /// Who is served next, and the place that asked.
    pub(crate) fn first(&mut self) -> Option<(usize, &'static Location<'static>)> {
        let key = self.first?;
        self.at(key).map(|entry| (key, entry.place))
    }

    fn unlink(&mut self, key: usize) {
        let Some((before, after)) = self.at(key).map(|entry| (entry.before.take(), entry.after.take()))
        else {
            return;
        };
        match before {
            Some(before) => {
                if let Some(entry) = self.at(before) {
                    entry.after = after;
                }
            }
            None => self.first = after,
        }
        match after {
            Some(after) => {
                if let Some(entry) = self.at(after) {
                    entry.before = before;
                }
            }
            None => self.last = before,
        }
        self.len -= 1;
    }

    /// Serves one who waits; gives whom to wake.
    pub(crate) fn give(&mut self, key: usize, given: Given) -> Option<Waker> {
        self.unlink(key);
        let entry = self.at(key)?;
        entry.given = Some(given);
        entry.waker.take()
    }

    /// Serves everyone who waits with the same; gives whom to wake.
    pub(crate) fn give_all(&mut self, mut given: impl FnMut() -> Given) -> Vec<Waker> {
        let mut wakers = Vec::with_capacity(self.len);
        while let Some(key) = self.first {
            wakers.extend(self.give(key, given()));
        }
        wakers
    }

    /// Takes what was given, or leaves whom to wake.
    pub(crate) fn poll(&mut self, key: usize, waker: &Waker) -> Poll<Given> {
        let Some(entry) = self.at(key) else { return Poll::Pending };
        if let Some(given) = entry.given.take() {
            self.forget(key);
            return Poll::Ready(given);
        }
        if !entry.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            entry.waker = Some(waker.clone());
        }
        Poll::Pending
    }

    /// Leaves. What was given meanwhile comes back, so that it is not lost.
    pub(crate) fn leave(&mut self, key: usize) -> Option<Given> {
        let given = self.at(key)?.given.take();
        if given.is_none() {
            self.unlink(key);
        }
        self.forget(key);
        given
    }

    fn forget(&mut self, key: usize) {
        self.entries[key] = None;
        self.free.push(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue_of(n: usize) -> (Queue, Vec<usize>) {
        let mut queue = Queue::default();
        let keys = (0..n).map(|_| queue.join(Location::caller())).collect();
        (queue, keys)
    }

    #[test]
    fn who_came_first_is_served_first_whoever_leaves() {
        for leaver in 0..4 {
            let (mut queue, keys) = queue_of(4);
            assert!(queue.leave(keys[leaver]).is_none());
            let mut served = Vec::new();
            while let Some((key, _)) = queue.first() {
                queue.give(key, Given::Closed);
                served.push(key);
            }
            let expected: Vec<usize> = keys.iter().copied().filter(|key| *key != keys[leaver]).collect();
            assert_eq!(served, expected);
            assert!(queue.is_empty());
        }
    }

    #[test]
    fn who_had_a_turn_and_got_nothing_by_it_is_next() {
        let (mut queue, keys) = queue_of(2);
        let again = queue.join_again(Location::caller());
        let mut served = Vec::new();
        while let Some((key, _)) = queue.first() {
            queue.give(key, Given::Closed);
            served.push(key);
        }
        assert_eq!(served, [again, keys[0], keys[1]]);
        let again = queue.join_again(Location::caller());
        assert_eq!(queue.first().map(|(key, _)| key), Some(again));
    }

    #[test]
    fn what_was_given_to_one_who_leaves_comes_back() {
        let (mut queue, keys) = queue_of(2);
        queue.give(keys[0], Given::Closed);
        assert!(matches!(queue.leave(keys[0]), Some(Given::Closed)));
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.first().map(|(key, _)| key), Some(keys[1]));
    }

    #[test]
    fn places_in_the_table_are_used_again() {
        let (mut queue, keys) = queue_of(3);
        for key in keys {
            queue.leave(key);
        }
        for _ in 0..3 {
            queue.join(Location::caller());
        }
        assert_eq!(queue.entries.len(), 3);
        assert_eq!(queue.len(), 3);
    }
}
