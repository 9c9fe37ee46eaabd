//! The causes of the room `app`, one file each.

use crate::cause::Cause;

pub mod api_holds_stale_state;
pub mod api_not_initialised;
pub mod api_unreachable;
pub mod pool_leak;
pub mod pool_starved;
pub mod pools_exceed_slots;
pub mod readiness_failing;
pub mod readiness_lies;
pub mod reconnect_storm;
pub mod stale_pooled_sockets;

/// Every cause of this room.
pub static ALL: &[&Cause] = &[
    &reconnect_storm::CAUSE,
    &pools_exceed_slots::CAUSE,
    &pool_leak::CAUSE,
    &readiness_failing::CAUSE,
    &api_not_initialised::CAUSE,
    &api_unreachable::CAUSE,
    &api_holds_stale_state::CAUSE,
    &pool_starved::CAUSE,
    &readiness_lies::CAUSE,
    &stale_pooled_sockets::CAUSE,
];
