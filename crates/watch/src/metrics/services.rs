//! How each service stands: verdict, findings, rooms, looks.

use super::page::Page;
use super::{Row, seconds, t};
use crate::board::State;
use crate::tally::{Found, Histogram, role_word};
use pgmedic_model::{Room, RoomStatus, Severity, Status};

/// The most labels of a service's configuration.
const LABELS: usize = 16;

pub(super) fn write(page: &mut Page, state: &State, rows: &[Row<'_>]) {
    page.family(&t::SERVICE_UP);
    for row in rows.iter().filter(|r| r.now.status != Status::Unknown) {
        page.sample(&row.label, &[], row.now.status != Status::Critical);
    }
    page.family(&t::SERVICE_STATUS);
    for row in rows {
        page.sample(&row.label, &[], status(row.now.status));
    }
    page.family(&t::SERVICE_INFO);
    for row in rows {
        info(page, row);
    }
    page.family(&t::SERVICE_PAUSED);
    let all = state.paused.contains("*");
    for (row, name) in rows.iter().zip(state.services.keys()) {
        page.sample(&row.label, &[], all || state.paused.contains(&**name));
    }
    page.family(&t::SERVICE_MENDING);
    for row in rows {
        page.sample(&row.label, &[], row.patient.mending);
    }
    findings(page, rows);
    rooms(page, rows);
    looks(page, rows);
    page.family(&t::LOOK_DURATION);
    histogram(page, "look", &state.own.look_seconds);
    histogram(page, "walk", &state.own.walk_seconds);
}

const fn status(status: Status) -> u64 {
    match status {
        Status::Unknown => 0,
        Status::Ok => 1,
        Status::Warning => 2,
        Status::Critical => 3,
    }
}

fn info(page: &mut Page, row: &Row<'_>) {
    // Two names that differ in what no label's name may hold would be one label.
    let mut names: Vec<(String, &str)> = Vec::new();
    for (name, value) in row.patient.labels.iter().take(LABELS) {
        let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let name: String = "label_".chars().chain(name.chars().take(50).map(legal)).collect();
        if !names.iter().any(|(n, _)| *n == name) {
            names.push((name, value));
        }
    }
    let labels: Vec<(&str, &str)> = names.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    page.sample(&row.label, &labels, true);
}

fn findings(page: &mut Page, rows: &[Row<'_>]) {
    page.family(&t::FINDING);
    for row in rows {
        let holds = |found: &Found| {
            row.now.findings.iter().any(|f| {
                *f.cause == *found.cause && f.severity == found.severity && role_word(f.role) == found.role
            })
        };
        for found in row.patient.tally.found.keys() {
            let severity = match found.severity {
                Severity::Warning => "warning",
                Severity::Critical => "critical",
            };
            let labels = [("cause", &*found.cause), ("severity", severity), ("role", found.role)];
            page.sample(&row.label, &labels, holds(found));
        }
    }
}

fn rooms(page: &mut Page, rows: &[Row<'_>]) {
    page.family(&t::ROOM_STATUS);
    for row in rows {
        for (room, seen) in Room::ALL.into_iter().zip(row.now.rooms) {
            let status = match seen.map_or(RoomStatus::NotSeen, |r| r.status) {
                RoomStatus::NotSeen => 0_u64,
                RoomStatus::Ok => 1,
                RoomStatus::Warning => 2,
                RoomStatus::Failed => 3,
                RoomStatus::NotReached => 4,
            };
            page.sample(&row.label, &[("room", room.as_str())], status);
        }
    }
    page.family(&t::ROOM_DURATION);
    for row in rows {
        for (room, (count, sum)) in Room::ALL.into_iter().zip(row.patient.tally.rooms) {
            let labels = [("room", room.as_str())];
            page.suffixed("_sum", &row.label, &labels, sum);
            page.suffixed("_count", &row.label, &labels, count);
        }
    }
}

fn looks(page: &mut Page, rows: &[Row<'_>]) {
    page.family(&t::LOOKS);
    for row in rows {
        page.sample(&row.label, &[("kind", "look")], row.patient.looks);
        page.sample(&row.label, &[("kind", "walk")], row.patient.walks);
    }
    page.family(&t::MISSED);
    for row in rows {
        page.sample(&row.label, &[], row.patient.missed);
    }
    page.family(&t::LAG);
    for row in rows {
        page.sample(&row.label, &[], row.patient.lag.0 / 1000.0);
    }
    page.family(&t::LAST_LOOK);
    for row in rows {
        if let Some(last) = &row.patient.last {
            page.sample(&row.label, &[], seconds(last.at));
        }
    }
}

fn histogram(page: &mut Page, kind: &str, of: &Histogram) {
    let mut below = 0;
    for (bound, n) in Histogram::BOUNDS.iter().zip(of.buckets) {
        below += n;
        // OpenMetrics has `1.0` for what 0.0.4 has as `1`; both read this one.
        let le = if bound.fract() == 0.0 { format!("{bound:.1}") } else { bound.to_string() };
        page.suffixed("_bucket", "", &[("kind", kind), ("le", &le)], below);
    }
    page.suffixed("_bucket", "", &[("kind", kind), ("le", "+Inf")], of.count);
    page.suffixed("_sum", "", &[("kind", kind)], of.sum);
    page.suffixed("_count", "", &[("kind", kind)], of.count);
}
