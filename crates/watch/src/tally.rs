//! What is kept of a service from look to look for the metrics and the API, each bounded: times spent in each room, findings
//! of the last hour, the names that have a label of their own, and the volumes' samples. No I/O, no clock of its own.

use crate::forecast::Track;
use crate::seen::{Kind, Seen};
use pgmedic_model::{Role, Room, RoomStatus, Severity, Timestamp};
use pgmedic_path::Evidence;
use pgmedic_path::platform::evidence::{VolumeUse, VolumeView};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a finding's series and a name are kept after they were last seen, in ms.
const KEPT_MS: i64 = 3_600_000;
/// The most findings that are kept of one service, those that hold among them.
const FINDINGS: usize = 64;
/// The most volumes of one service.
const VOLUMES: usize = 10;

/// What is kept of one service.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Of each room in the order of the path: how often it was passed or failed, and the seconds spent in it.
    pub rooms: [(u64, f64); 10],
    /// Findings with when they were last seen, those of the last hour.
    pub(crate) found: BTreeMap<Found, Timestamp>,
    /// Applications with a label of their own.
    pub(crate) applications: Names<20>,
    /// Databases, likewise.
    pub(crate) databases: Names<10>,
    /// Replication slots, likewise.
    pub(crate) slots: Names<10>,
    /// Samples of each volume by its label.
    pub volumes: BTreeMap<String, Track>,
}

/// What tells one finding's series from another's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    pub(crate) cause: Arc<str>,
    pub(crate) severity: Severity,
    pub(crate) role: &'static str,
}

impl Tally {
    /// Takes in one look or walk.
    pub fn take(&mut self, seen: &Seen) {
        // A look carries on what the last walk found at the door: that was counted then.
        let anew = |room: Room| {
            seen.kind == Kind::Walk || matches!(room, Room::App | Room::Dns) || room >= Room::Admission
        };
        for room in seen.report.path.iter().filter(|r| anew(r.room)) {
            if !matches!(room.status, RoomStatus::NotSeen | RoomStatus::NotReached) {
                let (count, seconds) = &mut self.rooms[place(room.room)];
                *count += 1;
                *seconds += room.elapsed_ms.0 / 1000.0;
            }
        }
        self.take_findings(seen);
        let Some(facts) = seen.evidence.facts() else { return self.take_volumes(seen) };
        self.applications.take(seen.at, facts.admission.groups.iter().map(|g| g.application.as_str()));
        self.databases.take(seen.at, facts.admission.groups.iter().map(|g| g.database.as_str()));
        self.slots.take(seen.at, facts.storage.slots.iter().map(|s| s.name.as_str()));
        self.take_volumes(seen);
    }

    fn take_findings(&mut self, seen: &Seen) {
        self.found.retain(|_, at| seen.at.0 - at.0 < KEPT_MS);
        for finding in &seen.report.findings {
            let at = |found: &Found| {
                *found.cause == *finding.cause
                    && found.severity == finding.severity
                    && found.role == role_word(finding.role)
            };
            let room = self.found.len() < FINDINGS;
            match self.found.iter_mut().find(|(found, _)| at(found)) {
                Some((_, last)) => *last = seen.at,
                None if room => {
                    let found = Found {
                        cause: Arc::from(finding.cause.as_str()),
                        severity: finding.severity,
                        role: role_word(finding.role),
                    };
                    self.found.insert(found, seen.at);
                }
                None => {}
            }
        }
    }

    fn take_volumes(&mut self, seen: &Seen) {
        let volumes = volumes(&seen.evidence);
        if volumes.is_empty() {
            return;
        }
        self.volumes.retain(|label, _| volumes.iter().any(|(l, _)| l == label));
        for (label, view) in volumes {
            let used =
                view.total_bytes.saturating_sub(view.reserved_bytes).saturating_sub(view.available_bytes);
            self.volumes.entry(label).or_default().sample(seen.at, used, view.available_bytes);
        }
    }
}

/// A room's place in the order of the path.
pub(crate) fn place(room: Room) -> usize {
    Room::ALL.iter().position(|r| *r == room).unwrap_or(0)
}

/// The word for a role.
pub(crate) const fn role_word(role: Role) -> &'static str {
    match role {
        Role::Root => "root",
        Role::Symptom => "symptom",
        Role::Contributing => "contributing",
    }
}

/// The database's volumes with a label for each, `data`, `wal`, `tablespace:/mnt/fast`: this host's window shows them, else
/// the platform. At most ten.
pub(crate) fn volumes(evidence: &Evidence) -> Vec<(String, &VolumeView)> {
    let mut list: Vec<(String, &VolumeView)> = Vec::new();
    if let Some(host) = evidence.host.get() {
        list.extend(host.volumes.iter().map(|v| (label(v), v)));
    }
    if list.is_empty() {
        let told = evidence.platform.get().and_then(|p| p.volumes.get()).map_or(&[][..], Vec::as_slice);
        let shown = told.iter().filter_map(|v| Some((v, v.filesystem.as_ref()?)));
        list.extend(shown.map(|(v, f)| (format!("{}:{}", word(f.holds), v.name), f)));
    }
    list.sort_by(|a, b| a.0.cmp(&b.0));
    list.dedup_by(|a, b| a.0 == b.0);
    list.truncate(VOLUMES);
    list
}

fn label(view: &VolumeView) -> String {
    match view.holds {
        VolumeUse::Tablespace => format!("tablespace:{}", view.path),
        holds => word(holds).to_owned(),
    }
}

const fn word(holds: VolumeUse) -> &'static str {
    match holds {
        VolumeUse::Data => "data",
        VolumeUse::Wal => "wal",
        VolumeUse::Tablespace => "tablespace",
        VolumeUse::Log => "log",
    }
}

/// Names from outside that have a label of their own: the first `N`, each until it has not been seen for an hour. The rest is
/// `other`, so that names that are new at each look make no series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names<const N: usize>(Vec<(Box<str>, Timestamp)>);

impl<const N: usize> Names<N> {
    /// Takes in the names of one look, those that matter most first.
    pub(crate) fn take<'n>(&mut self, at: Timestamp, names: impl Iterator<Item = &'n str>) {
        self.0.retain(|(_, last)| at.0 - last.0 < KEPT_MS);
        for name in names.filter(|n| !n.is_empty()) {
            let room = self.0.len() < N;
            match self.0.iter_mut().find(|(known, _)| **known == *name) {
                Some((_, last)) => *last = at,
                None if room => self.0.push((name.into(), at)),
                None => {}
            }
        }
    }

    /// True where it is one of the names.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| **known == *name)
    }

    /// The name's label. No name is one too.
    pub(crate) fn label<'n>(&self, name: &'n str) -> &'n str {
        match name.is_empty() || self.has(name) {
            true => name,
            false => Self::REST,
        }
    }

    /// What stands for all others.
    pub(crate) const REST: &'static str = "other";
}

/// Seconds, counted into fixed buckets.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// How many were no longer than each bound; not cumulated.
    pub(crate) buckets: [u64; Self::BOUNDS.len()],
    /// How many in all.
    pub(crate) count: u64,
    /// Their sum.
    pub(crate) sum: f64,
}

impl Histogram {
    /// Upper bounds in seconds: from a look on loopback to the longest timeout.
    pub const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

    /// Counts one.
    pub fn take(&mut self, seconds: f64) {
        self.count += 1;
        self.sum += seconds;
        if let Some(at) = Self::BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.buckets[at] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_name_at_each_look_gets_no_label_and_the_first_keep_theirs() {
        let mut names = Names::<3>::default();
        for n in 0..1000 {
            let hostile = format!("app-{n}");
            names.take(Timestamp(n * 1000), ["api", hostile.as_str()].into_iter());
        }
        assert_eq!(
            (names.label("api"), names.label("app-0"), names.label("app-999")),
            ("api", "app-0", "other")
        );
        assert_eq!(names.0.len(), 3);
        names.take(Timestamp(1000 + KEPT_MS), ["worker"].into_iter());
        assert_eq!((names.label("worker"), names.label("app-0")), ("worker", "other"), "an hour later");
    }

    #[test]
    fn a_histogram_counts_each_once_and_what_is_beyond_in_the_count_alone() {
        let mut h = Histogram::default();
        [0.0005, 0.001, 0.3, 9.0].iter().for_each(|s| h.take(*s));
        assert_eq!((h.count, h.buckets[0], h.buckets[8], h.buckets.iter().sum::<u64>()), (4, 2, 1, 3));
    }
}
