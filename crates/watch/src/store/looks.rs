//! Which looks history keeps: each change, and else one a minute of those that found nothing, one in ten seconds of those
//! that found something. Pure but for the lock that the handle holds.

use super::waiting::Waiting;
use crate::http::Looked;
use crate::seen::Seen;
use pgmedic_model::{Status, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;

/// From one look that found nothing to the next that is kept, in ms.
const WELL: i64 = 60_000;
/// The same for looks that found something, in ms.
const ILL: i64 = 10_000;
/// A service that was not seen for this long is none any more, in ms.
const GONE: i64 = 3_600_000;

/// Looks that are to be written.
#[derive(Debug, Default)]
pub(super) struct Looks {
    last: HashMap<Arc<str>, (Timestamp, Status, Vec<String>)>,
    pub(super) waiting: Waiting<(Arc<str>, Looked)>,
}

impl Looks {
    /// Takes one in; gives how many wait.
    pub(super) fn take(&mut self, seen: &Seen) -> usize {
        let status = seen.report.status;
        let roots = || seen.report.roots().map(|f| f.cause.as_str());
        let gap = if status == Status::Ok { WELL } else { ILL };
        let same = self.last.get(&seen.service).is_some_and(|(at, before, causes)| {
            *before == status
                && (0..gap).contains(&(seen.at.0 - at.0))
                && causes.iter().map(String::as_str).eq(roots())
        });
        if same {
            return self.waiting.len();
        }
        let roots: Vec<String> = roots().map(str::to_owned).collect();
        self.last.insert(Arc::clone(&seen.service), (seen.at, status, roots.clone()));
        let looked = Looked {
            at: seen.at,
            kind: seen.kind,
            status,
            elapsed_ms: seen.report.elapsed_ms,
            lag_ms: seen.lag,
            roots,
        };
        self.waiting.push((Arc::clone(&seen.service), looked));
        self.waiting.len()
    }

    /// Those that wait, to be written.
    pub(super) fn drain(&mut self, now: Timestamp) -> Vec<(Arc<str>, Looked)> {
        self.last.retain(|_, (at, ..)| now.0 - at.0 < GONE);
        self.waiting.drain()
    }
}

#[cfg(test)]
mod tests {
    use super::super::waiting::MOST;
    use super::*;
    use crate::incidents::scene::{Scene, at, critical};
    use pgmedic_model::Room;

    #[test]
    fn a_thousand_services_at_a_second_write_a_row_a_minute_each_and_every_change() {
        let mut looks = Looks::default();
        let mut rows = 0;
        for second in 0..120 {
            for n in 0..1000 {
                looks.take(&Scene::look(&format!("s{n}")).seen(at(second * 1000)));
            }
            rows += looks.drain(at(second * 1000)).len();
        }
        assert_eq!(rows, 2000);
        let down = Scene::look("s1").finds(critical("port-closed", Room::Network));
        for second in 120..150 {
            looks.take(&down.seen(at(second * 1000)));
        }
        looks.take(&Scene::look("s1").seen(at(150_000)));
        let kept: Vec<_> = looks.drain(at(150_000)).iter().map(|(_, l)| (l.at.0 - at(0).0) / 1000).collect();
        assert_eq!(kept, [120, 130, 140, 150]);
    }

    #[test]
    fn what_nobody_writes_is_bounded_and_counted() {
        let mut looks = Looks::default();
        for n in 0..10_000 {
            let scene =
                if n % 2 == 0 { Scene::look("a") } else { Scene::look("a").finds(critical("x", Room::App)) };
            looks.take(&scene.seen(at(n)));
        }
        assert_eq!(looks.waiting.take_lost(), 10_000 - MOST as u64);
        let rows = looks.drain(at(10_000));
        assert_eq!(rows.last().unwrap().1.at, at(9999), "the oldest go first");
        looks.waiting.put_back(rows);
        assert_eq!(looks.drain(at(10_000)).len(), MOST);
    }
}
