//! One service as its incidents see it: what is in doubt, and which incidents hold for it. Pure.

use super::confirm::Doubts;
use crate::seen::{Kind, Seen};
use pgmedic_model::{Finding, Room, RoomStatus, Severity, Status, Timestamp};
use std::collections::BTreeMap;

/// One service.
#[derive(Clone, Debug, Default)]
pub(super) struct Case {
    pub(super) doubts: Doubts,
    /// The incidents that hold for it, by their ids.
    pub(super) shares: BTreeMap<String, Share>,
}

/// One service's share of an open incident.
#[derive(Clone, Debug)]
pub(super) struct Share {
    /// The root's name for this service.
    pub(super) cause: String,
    /// The root's room.
    pub(super) room: Room,
    /// How bad it was when it was last found.
    pub(super) severity: Severity,
    /// How it was last found.
    pub(super) by: Kind,
    /// Since when walks by the door find it well.
    pub(super) well_since: Option<Timestamp>,
    /// Another name under which its root was found, and when first: one that is seen once in passing renames nothing.
    pub(super) other: Option<(String, Timestamp)>,
    /// A walk was asked for, to prove that it is over.
    pub(super) asked: bool,
}

impl Share {
    pub(super) const fn of(finding: &Finding, cause: String, by: Kind) -> Self {
        let (room, severity) = (finding.room, finding.severity);
        Self { cause, room, severity, by, well_since: None, other: None, asked: false }
    }
}

/// What one look says of a root that it did not find as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// It is gone: this walk came to where it was.
    Gone,
    /// Nothing: it could not see that far, or it is a look, which proves nothing of the door.
    Nothing,
    /// It did not see that far, or saw too little: what was proved before counts no more.
    Unproved,
}

/// What a look says of a root that it did not find.
pub(super) fn says(seen: &Seen, share: &Share) -> Says {
    if seen.kind == Kind::Look {
        return Says::Nothing;
    }
    let found = seen.report.findings.iter().any(|f| f.cause == share.cause);
    let room = seen.report.path.iter().find(|r| r.room == share.room).map(|r| r.status);
    let in_its_room = matches!(room, Some(RoomStatus::Ok | RoomStatus::Warning));
    let gone = match seen.report.status {
        Status::Unknown => false,
        Status::Critical => in_its_room,
        // Whoever is let in and answered has no critical root; a room that nobody looked into tells nothing of a warning.
        Status::Ok | Status::Warning => share.severity == Severity::Critical || in_its_room,
    };
    if gone && !found { Says::Gone } else { Says::Unproved }
}

impl Share {
    /// True where its root was found by this name before, with no other between.
    pub(super) fn was_seen_as(&mut self, cause: &str, at: Timestamp) -> bool {
        match &self.other {
            Some((name, first)) if name == cause => *first != at,
            _ => {
                self.other = Some((cause.to_owned(), at));
                false
            }
        }
    }
}

impl Case {
    /// True where a root of this name holds for the service already.
    pub(super) fn has(&self, cause: &str) -> bool {
        self.shares.values().any(|share| share.cause == cause)
    }

    /// The share whose root goes by another name now: it is found no more as a root, nothing showed that it had been over,
    /// and this look could have found it. The one in the same room first, then the latest.
    pub(super) fn displaced(
        &self,
        seen: &Seen,
        finding: &Finding,
        was_named: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let roots: Vec<&str> = seen.report.roots().map(|f| f.cause.as_str()).collect();
        let may = |(id, share): &(&String, &Share)| {
            let named_so = was_named(id);
            let worse = share.severity == Severity::Warning && finding.severity == Severity::Critical;
            let explained = finding.explains.contains(&share.cause);
            let kin =
                share.severity == finding.severity || (worse && (share.room == finding.room || explained));
            !roots.contains(&share.cause.as_str())
                && (share.well_since.is_none_or(|since| since == seen.at) || named_so)
                && (kin || named_so)
                && could_see(seen, share)
        };
        let shares = self.shares.iter().filter(may);
        shares.max_by_key(|(id, share)| (share.room == finding.room, (*id).clone())).map(|(id, _)| id.clone())
    }
}

/// This look could have found the share's root. A look through the standing session sees nothing of the door; a walk that was
/// not let in sees nothing of what only a session shows.
fn could_see(seen: &Seen, share: &Share) -> bool {
    match (seen.kind, share.by) {
        (Kind::Look, by) => by == Kind::Look,
        (Kind::Walk, Kind::Walk) => true,
        (Kind::Walk, Kind::Look) => {
            let inside = matches!(share.room, Room::Admission | Room::Sessions | Room::Storage);
            let room = seen.report.path.iter().find(|r| r.room == share.room).map(|r| r.status);
            !inside || !matches!(room, Some(RoomStatus::NotReached | RoomStatus::NotSeen) | None)
        }
    }
}
