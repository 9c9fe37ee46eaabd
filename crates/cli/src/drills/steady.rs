//! A healthy service that works hard, checked again and again: whatever a check finds is a false alarm. The same walk
//! and diagnosis as `check`, in this process, one after another.

use super::{course, service};
use pgmedic_lab::api::Kind;
use pgmedic_lab::load::{Done, Load};
use pgmedic_lab::{Lab, Parts, PoolerSize};
use pgmedic_model::{Ms, Report};
use pgmedic_path::walk::Purpose;
use serde::Serialize;
use std::time::{Duration, Instant};

/// A way on which a healthy service is checked.
struct Layout {
    name: &'static str,
    parts: Parts,
}

const NAMED: Parts =
    Parts { proxy: None, pooler: None, dns: true, api: Some(Kind::Renderflow), tls: false, volume_mb: None };
const POOLER: Option<PoolerSize> = Some(PoolerSize { pool: 20, clients: 200 });

const LAYOUTS: [Layout; 4] = [
    Layout { name: "straight to the server", parts: NAMED },
    Layout { name: "through a proxy", parts: Parts { proxy: Some(200), ..NAMED } },
    Layout { name: "through a pooler", parts: Parts { pooler: POOLER, ..NAMED } },
    Layout {
        name: "through a proxy and a pooler",
        parts: Parts { proxy: Some(200), pooler: POOLER, ..NAMED },
    },
];

/// An alarm where nothing is wrong.
#[derive(Debug, Serialize)]
pub(crate) struct Alarm {
    /// Which check of its row it was, from 1.
    pub(crate) check: usize,
    /// What it found.
    pub(crate) report: Report,
}

/// What the load did meanwhile. See [`Done`].
#[derive(Debug, Serialize)]
struct Worked {
    transactions: u64,
    logins: u64,
    lock_waits_seen: u64,
    checkpoints: u64,
    vacuums: u64,
    base_backups: u64,
    dumps: u64,
    replicas: u64,
    failures: u64,
}

impl From<Done> for Worked {
    fn from(done: Done) -> Self {
        Self {
            transactions: done.transactions,
            logins: done.logins,
            lock_waits_seen: done.lock_waits,
            checkpoints: done.checkpoints,
            vacuums: done.vacuums,
            base_backups: done.base_backups,
            dumps: done.dumps,
            replicas: done.replicas,
            failures: done.failures,
        }
    }
}

/// How long checks took.
#[derive(Debug, Default, Serialize)]
struct Spans {
    median: Ms,
    p99: Ms,
    max: Ms,
}

/// A row of checks on one layout.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    /// What lies between the API and the server.
    pub(crate) layout: &'static str,
    /// Checks that were made.
    pub(crate) checks: usize,
    /// Those that found something, each with its report.
    pub(crate) alarms: Vec<Alarm>,
    check_ms: Spans,
    load: Option<Worked>,
    elapsed_ms: Ms,
    /// The API that was there.
    api: Option<course::ApiThere>,
    /// Why not all checks were made, where that is so.
    pub(crate) detail: Option<String>,
}

impl Record {
    /// True where every check was made, none found anything, and the load was no idle one.
    pub(crate) fn passed(&self) -> bool {
        self.detail.is_none() && self.alarms.is_empty()
    }
}

/// Makes `checks` of them, shared out among the layouts; each row is told of as it ends.
pub(crate) fn run(checks: usize, told: &mut dyn FnMut(&Record)) -> Vec<Record> {
    let (each, over) = (checks / LAYOUTS.len(), checks % LAYOUTS.len());
    let row = |(n, layout): (usize, &Layout)| {
        let record = row(layout, each + usize::from(n < over));
        told(&record);
        record
    };
    LAYOUTS.iter().enumerate().map(row).collect()
}

/// One layout's row.
fn row(layout: &Layout, checks: usize) -> Record {
    let from = Instant::now();
    let mut record = Record {
        layout: layout.name,
        checks: 0,
        alarms: Vec::new(),
        check_ms: Spans::default(),
        load: None,
        elapsed_ms: Ms::default(),
        api: None,
        detail: None,
    };
    record.detail = go(layout, checks, &mut record).err().map(|trouble| trouble.to_string());
    record.elapsed_ms = from.elapsed().into();
    record
}

fn go(layout: &Layout, checks: usize, record: &mut Record) -> Result<(), course::Trouble> {
    let lab = Lab::build(layout.parts)?;
    let service = service::of(&lab, &[])?;
    record.api = course::ApiThere::of(&lab);
    let load = Load::start(&lab)?;
    let mut spans = Vec::with_capacity(checks);
    for check in 1..=checks {
        let from = Instant::now();
        let (_, report) = course::walked(&service, Purpose::Check)?;
        spans.push(from.elapsed());
        record.checks = check;
        if !course::is_well(&report) {
            record.alarms.push(Alarm { check, report });
        }
    }
    record.check_ms = of(&mut spans);
    record.load = Some(load.done().into());
    Ok(())
}

/// The median, the 99th of a hundred, the longest.
fn of(spans: &mut [Duration]) -> Spans {
    spans.sort_unstable();
    let at = |share: usize| spans.get(spans.len() * share / 100).copied().map(Ms::from).unwrap_or_default();
    Spans { median: at(50), p99: at(99), max: spans.last().copied().map(Ms::from).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_by_rank() {
        let mut spans: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        let told = of(&mut spans);
        assert_eq!((told.median.0, told.p99.0, told.max.0), (101.0, 199.0, 200.0));
        assert_eq!(of(&mut []).max.0, 0.0);
    }
}
