//! Show 5: a day in which five services go down and come back 10,000 times each. Simulated time, the real file.

use super::keep;
use crate::incident::{Change, Incident};
use crate::incidents::scene::{Scene, at, critical};
use crate::incidents::{Incidents, Verdict};
use crate::store::Keep;
use crate::store::looks::Looks;
use crate::store::op::{Answer, Op};
use crate::store::sqlite::Book;
use pgmedic_model::Room;
use std::sync::Arc;
use std::time::Duration;

const SERVICES: i64 = 5;

struct Day {
    incidents: Incidents,
    looks: Looks,
    book: Book,
    opened: usize,
    writes: usize,
}

impl Day {
    fn see(&mut self, scene: &Scene, now: i64) {
        let seen = scene.seen(at(now));
        self.looks.take(&seen);
        let mut verdicts = self.incidents.take(&seen, at(now));
        verdicts.extend(self.incidents.tick(at(now)));
        for verdict in verdicts {
            let (Verdict::Changed(_, incident) | Verdict::Noted(incident)) = &verdict else { continue };
            let entries = match &verdict {
                Verdict::Changed(..) => vec![super::entry(now, incident)],
                _ => Vec::new(),
            };
            self.opened += usize::from(matches!(&verdict, Verdict::Changed(Change::Opened, _)));
            let delivered: Vec<i64> = entries.iter().map(|e| e.id).collect();
            self.book.run(Op::Put(Some(Arc::clone(incident)), entries)).unwrap();
            if !delivered.is_empty() {
                self.book.run(Op::Settle { delivered, tried: Vec::new() }).unwrap();
            }
            self.writes += 1;
        }
    }

    fn minute(&mut self, now: i64) -> u64 {
        let rows = self.looks.drain(at(now));
        self.book.run(Op::Looks(rows)).unwrap();
        match self.book.run(Op::Prune(at(now))).unwrap() {
            Answer::Size(bytes) => bytes,
            other => panic!("{other:?}"),
        }
    }

    fn kept(&mut self) -> Vec<Incident> {
        match self.book.run(Op::Restore(at(0))).unwrap() {
            Answer::Incidents(incidents) => incidents,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn ten_thousand_flaps_in_a_day_are_one_incident_for_each_service_and_a_small_file() {
    // What is counted here is bytes and writes, not the disk's patience.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let limit = 6 << 20;
    let small = Keep { limit, ..keep() };
    let book = Book::open(Some(folder.path().join("pgmedic.db")), small, Arc::default()).unwrap();
    let incidents = Incidents::new(Duration::from_secs(5));
    let mut day = Day { incidents, looks: Looks::default(), book, opened: 0, writes: 0 };
    let mut most = 0;
    // Down for 3 s and up for 5.6 s: each service on a server of its own.
    for flap in 0..10_000i64 {
        for (offset, ill) in [(0, true), (5, true), (3000, false), (8000, false)] {
            for n in 0..SERVICES {
                let scene = Scene::walk(&format!("s{n}"));
                let scene = if ill { scene.finds(critical("port-closed", Room::Network)) } else { scene };
                day.see(&scene, flap * 8640 + offset + n);
            }
        }
        if flap % 35 == 0 {
            most = most.max(day.minute(flap * 8640));
        }
    }
    let kept = day.kept();
    assert_eq!((day.opened, kept.len()), (5, 5));
    assert_eq!(day.incidents.known(), 5);
    assert!(day.writes < 10_000, "{} writes for 50,000 flaps", day.writes);
    assert!(most <= limit, "{most}");
    for incident in &kept {
        assert!(incident.is_open() && incident.flaps > 9_900, "{}", incident.flaps);
        let size = serde_json::to_vec(incident).unwrap().len();
        assert!(size < 20_000, "{size}");
    }
}
