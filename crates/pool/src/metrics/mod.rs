//! What the pool counts, and how that is exported: `pg_pool_*`.
//!
//! Not in here: the exporters' own formats (one file each).

mod counts;
mod numbers;

pub(crate) use counts::{Counts, Discard};
pub use numbers::{Metered, Numbers, Times};
