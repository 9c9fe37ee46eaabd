//! The causes of the room `proxy`, one file each.

use crate::cause::Cause;

mod console;
pub mod pooler_breaks_prepared_statements;
pub mod pooler_client_limit;
pub mod pooler_database_disabled;
pub mod pooler_hung;
pub mod pooler_paused;
pub mod pooler_pool_exhausted;
pub mod pooler_rejects_parameter;
pub mod pooler_upstream_failing;
pub mod proxy_check_flaps;
pub mod proxy_client_limit;
pub mod proxy_drained_connections;
pub mod proxy_hung;
pub mod proxy_idle_timeout;
pub mod proxy_queue_timeout;
pub mod proxy_without_backend;
pub mod wrong_server;

/// Every cause of this room.
pub static ALL: &[&Cause] = &[
    &pooler_breaks_prepared_statements::CAUSE,
    &pooler_rejects_parameter::CAUSE,
    &proxy_without_backend::CAUSE,
    &proxy_hung::CAUSE,
    &proxy_client_limit::CAUSE,
    &proxy_queue_timeout::CAUSE,
    &proxy_idle_timeout::CAUSE,
    &proxy_check_flaps::CAUSE,
    &proxy_drained_connections::CAUSE,
    &pooler_hung::CAUSE,
    &pooler_paused::CAUSE,
    &pooler_database_disabled::CAUSE,
    &pooler_pool_exhausted::CAUSE,
    &pooler_client_limit::CAUSE,
    &pooler_upstream_failing::CAUSE,
    &wrong_server::CAUSE,
];
