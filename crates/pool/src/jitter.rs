//! Chance, for spreading what would otherwise happen at once. Not for secrets.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Between half of a span and the whole of it.
pub(crate) fn most_of(span: Duration) -> Duration {
    span / 2 + up_to(span / 2)
}

/// Between nothing and the whole of a span.
pub(crate) fn up_to(span: Duration) -> Duration {
    let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(random() % nanos.saturating_add(1).max(1))
}

/// In any order.
pub(crate) fn shuffle<T>(items: &mut [T]) {
    for n in (1..items.len()).rev() {
        let other = usize::try_from(random() % (n as u64 + 1)).unwrap_or(0);
        items.swap(n, other);
    }
}
