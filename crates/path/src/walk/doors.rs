//! The doors at which front, direct and the pooler's console are waited at, watched from the side: where the window on this host shows that nobody will
//! open, the ways need not wait for their deadline. Looked at only once a door has been shut for longer than any healthy
//! server takes, and left only on two looks that agree. Not in here: what the window shows (`platform`).

use super::window::glimpse;
use crate::platform::evidence::HostEvidence;
use crate::rooms::proxy::silence;
use crate::route::Door;
use crate::service::Service;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a door is shut before it is looked at from the side, and between two looks.
const BETWEEN: Duration = Duration::from_millis(300);

/// Looks that must agree.
const LOOKS: u32 = 2;

/// The doors of a walk.
#[derive(Default)]
pub(super) struct Doors {
    pub(super) front: Door,
    pub(super) direct: Door,
    pub(super) console: Door,
}

/// Watches the doors for as long as it is let.
pub(super) async fn watch(service: &Service, doors: &Doors, until: Instant) -> Infallible {
    let each = [&doors.front, &doors.direct, &doors.console];
    let mut agreed = [0; 3];
    loop {
        sleep(BETWEEN).await;
        if !each.iter().any(|door| door.is_waited_at()) {
            continue;
        }
        let (front, direct) = (doors.front.addresses(), doors.direct.addresses());
        let seen: Option<HostEvidence> = glimpse(service, front, direct, until).await;
        let shut = seen.map(|host| silence::shut(&host)).unwrap_or_default();
        for ((door, agreed), is_shut) in
            each.into_iter().zip(&mut agreed).zip([shut.front, shut.direct, shut.console])
        {
            *agreed = if is_shut { *agreed + 1 } else { 0 };
            if *agreed >= LOOKS {
                door.give_up();
            }
        }
    }
}
