//! Rows that wait to be written, as many as are bounded: the oldest are let go, and counted. Not in here: which rows those
//! are (`looks`, `samples`), writing them (`worker`).

use std::collections::VecDeque;

/// The most rows that wait.
pub(super) const MOST: usize = 8192;

/// Rows that wait.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    queue: VecDeque<T>,
    /// Those that were let go because nobody wrote them.
    lost: u64,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), lost: 0 }
    }
}

impl<T> Waiting<T> {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn push(&mut self, row: T) {
        self.queue.push_back(row);
        self.bound();
    }

    /// All of them, to be written.
    pub(super) fn drain(&mut self) -> Vec<T> {
        self.queue.drain(..).collect()
    }

    /// They could not be written: they are the oldest again.
    pub(super) fn put_back(&mut self, rows: Vec<T>) {
        for row in rows.into_iter().rev() {
            self.queue.push_front(row);
        }
        self.bound();
    }

    /// How many were let go since this was asked last.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    fn bound(&mut self) {
        while self.queue.len() > MOST {
            self.queue.pop_front();
            self.lost += 1;
        }
    }
}
