//! What a cause is: an id, a room, a page, a proof and one pure function. One cause, one file.

use crate::evidence::Evidence;
use pgmedic_model::{Finding, Room};

/// How a cause is proved on the real thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A drill of the cause's own name breaks a real part and must evoke it.
    Drill,
    /// Why there is no drill.
    None(&'static str),
}

/// A way in which an API loses its database.
pub struct Cause {
    /// The id: the file's name, the drill's name, the page's name, the metric's label.
    pub id: &'static str,
    /// The room it is in.
    pub room: Room,
    /// The page in Markdown: first a sentence, then the fixed headings.
    pub page: &'static str,
    /// How it is proved.
    pub proof: Proof,
    /// True where it breaks nothing yet: an audit reports it, a check does not.
    pub latent: bool,
    /// Finds it in the evidence, or does not. Pure: no I/O, no clock.
    pub find: fn(&Evidence) -> Option<Finding>,
}

impl Cause {
    /// The headings that every page has, in this order.
    pub const HEADINGS: [&'static str; 6] = [
        "What it is",
        "What proves it",
        "What mends it",
        "What makes it worse",
        "What prevents it",
        "References",
    ];

    /// The page's first sentence.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.page.trim_start().lines().next().unwrap_or_default().trim()
    }
}

/// Declares a file's cause. The doc comment is the page that `pgmedic explain` prints; it opens with one sentence and
/// then has the headings of [`Cause::HEADINGS`] as `## …`. The file has `fn find(e: &Evidence) -> Option<Finding>`.
/// `latent` stands after the room of a cause that breaks nothing yet.
macro_rules! cause {
    ($(#[doc = $page:expr])* $id:literal in $room:ident, proved by $proof:expr;) => {
        $(#[doc = $page])*
        pub static CAUSE: crate::cause::Cause = crate::cause::Cause {
            id: $id,
            room: pgmedic_model::Room::$room,
            page: concat!($($page, "\n"),*),
            proof: $proof,
            latent: false,
            find,
        };
    };
    ($(#[doc = $page:expr])* $id:literal in $room:ident, latent, proved by $proof:expr;) => {
        $(#[doc = $page])*
        pub static CAUSE: crate::cause::Cause = crate::cause::Cause {
            id: $id,
            room: pgmedic_model::Room::$room,
            page: concat!($($page, "\n"),*),
            proof: $proof,
            latent: true,
            find,
        };
    };
}
