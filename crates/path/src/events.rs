//! What observers of a walk are told while it goes: a terminal draws it, a daemon counts it.

use pgmedic_model::{Ms, Room};

/// One step of a walk.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A room is entered on a route (`front`, `direct`, `rescue`) or by a side door (`pooler`, `host`).
    Entered {
        /// Which way.
        route: &'static str,
        /// Which room.
        room: Room,
    },
    /// A room was left.
    Left {
        /// Which way.
        route: &'static str,
        /// Which room.
        room: Room,
        /// True where the way goes on.
        passed: bool,
        /// Time spent in it.
        elapsed: Ms,
    },
}

/// Is told each event as it happens. Must not block.
pub type Observer<'a> = &'a (dyn Fn(&Event) + Sync);
