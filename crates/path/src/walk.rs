//! The walk: every room in order, on every way in, within one deadline. It observes; it judges nothing.

use crate::events::Observer;
use crate::evidence::Evidence;
use crate::service::Service;
use std::time::Duration;

/// Walks a service and gives what was seen. Never fails and never takes longer than `timeout`.
pub async fn walk(_service: &Service, _timeout: Duration, _observer: Observer<'_>) -> Evidence {
    unimplemented!("landed by the way-in branch")
}
