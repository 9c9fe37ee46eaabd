//! How a service stands, from its last look and its last walk together: a look through the standing session does not see the
//! door, and what the walk found there holds until the next walk. Pure; read by the metrics and by the API.

use crate::board::Patient;
use crate::seen::Seen;
use pgmedic_model::{Finding, Room, RoomReport, RoomStatus, Severity, Status};

/// How a service stands.
#[derive(Debug)]
pub struct Now<'p> {
    /// Of each room, in the order of the path, what was last seen of it. None before the first look.
    pub rooms: [Option<&'p RoomReport>; 10],
    /// Every finding that holds.
    pub findings: Vec<&'p Finding>,
    /// The verdict. `Unknown` before the first look, and where looks break down.
    pub status: Status,
}

impl Patient {
    /// How it stands.
    #[must_use]
    pub fn now(&self) -> Now<'_> {
        let last = self.last.as_ref();
        // A walk that is the last itself, or that came before one, adds nothing.
        let walk = self.last_walk.as_ref().filter(|w| last.is_some_and(|l| l.at != w.at || l.kind != w.kind));
        let mut rooms = [None; 10];
        let mut findings: Vec<&Finding> = last.map_or_else(Vec::new, |l| l.report.findings.iter().collect());
        for (at, room) in Room::ALL.into_iter().enumerate() {
            let (of_last, of_walk) = (last.and_then(|s| entry(s, room)), walk.and_then(|s| entry(s, room)));
            rooms[at] = match (of_last, of_walk) {
                (Some(l), Some(w)) if unseen(l) && !unseen(w) => {
                    let missed = walk.into_iter().flat_map(|s| &s.report.findings);
                    let of_room = missed.filter(|f| f.room == room);
                    for finding in of_room {
                        if !findings.iter().any(|f| f.cause == finding.cause) {
                            findings.push(finding);
                        }
                    }
                    Some(w)
                }
                (l, w) => l.or(w),
            };
        }
        let worst = findings.iter().map(|f| f.severity).max();
        let status = match (worst, last.map(|l| l.report.status)) {
            // Nobody knows, and neither that it is well nor that it is ill is claimed.
            _ if self.blind => Status::Unknown,
            (Some(Severity::Critical), _) => Status::Critical,
            (_, None | Some(Status::Unknown)) => Status::Unknown,
            (Some(Severity::Warning), _) => Status::Warning,
            (None, Some(status)) => status,
        };
        Now { rooms, findings, status }
    }
}

fn entry(seen: &Seen, room: Room) -> Option<&RoomReport> {
    seen.report.path.iter().find(|r| r.room == room)
}

fn unseen(room: &RoomReport) -> bool {
    room.status == RoomStatus::NotSeen
}
