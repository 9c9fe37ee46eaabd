//! What the pool counts, and how that is exported: `pg_pool_*`.
//!
//! Not in here: the exporters' own formats (one file each).

mod counts;
#[cfg(any(feature = "prometheus-client", feature = "metrics"))]
mod describe;
#[cfg(feature = "metrics")]
mod facade;
mod numbers;
#[cfg(feature = "prometheus-client")]
mod prometheus;

pub use counts::{BOUNDS, Observer};
pub(crate) use counts::{Counts, Discard};
#[cfg(feature = "metrics")]
pub use facade::Publisher;
pub use numbers::{Metered, Numbers, Times};
#[cfg(feature = "prometheus-client")]
pub use prometheus::PoolCollector;
