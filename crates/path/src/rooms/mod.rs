//! THE table: the ten rooms in the order of the path, and the causes of each.

use crate::cause::Cause;

pub mod admission;
pub mod app;
pub mod dns;
pub mod network;
pub mod proxy;
pub mod server;
pub mod sessions;
pub mod startup;
pub mod storage;
pub mod tls;

/// Every cause, in the order of the path.
pub fn causes() -> impl Iterator<Item = &'static Cause> {
    [
        app::causes::ALL,
        dns::causes::ALL,
        network::causes::ALL,
        proxy::causes::ALL,
        tls::causes::ALL,
        startup::causes::ALL,
        admission::causes::ALL,
        server::causes::ALL,
        sessions::causes::ALL,
        storage::causes::ALL,
    ]
    .into_iter()
    .flatten()
    .copied()
}
