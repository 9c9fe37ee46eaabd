//! The API's documents about services, as values; their schemas are in `schemas.json`.

use crate::board::{Patient, State};
use crate::seen::{Kind, Seen};
use crate::tally::volumes;
use pgmedic_model::{Finding, Ms, Role, RoomReport, Severity, Status, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// `pgmedic.services/1`.
#[derive(Serialize)]
pub(super) struct Services<'s> {
    pub(super) schema: &'static str,
    /// All are paused.
    pub(super) paused: bool,
    pub(super) services: Vec<Line<'s>>,
}

/// One service in a line.
#[derive(Serialize)]
pub(super) struct Line<'s> {
    pub(super) name: &'s str,
    pub(super) status: Status,
    pub(super) labels: &'s BTreeMap<String, String>,
    /// When it was last looked at.
    pub(super) at: Option<Timestamp>,
    pub(super) roots: Vec<Root<'s>>,
    /// Ids of its open incidents.
    pub(super) incidents: Vec<&'s str>,
    pub(super) paused: bool,
    pub(super) mending: bool,
}

/// A root cause in a line.
#[derive(Serialize)]
pub(super) struct Root<'s> {
    pub(super) cause: &'s str,
    pub(super) severity: Severity,
    pub(super) summary: &'s str,
}

/// `pgmedic.service/1`.
#[derive(Serialize)]
pub(super) struct Service<'s> {
    pub(super) schema: &'static str,
    #[serde(flatten)]
    pub(super) line: Line<'s>,
    pub(super) last: Option<Last>,
    pub(super) last_walk: Option<Last>,
    pub(super) looks: u64,
    pub(super) walks: u64,
    pub(super) missed_intervals: u64,
    pub(super) rooms: Vec<&'s RoomReport>,
    pub(super) findings: Vec<&'s Finding>,
    pub(super) volumes: Vec<Volume>,
}

/// A look or a walk.
#[derive(Serialize)]
pub(super) struct Last {
    at: Timestamp,
    kind: Kind,
    elapsed_ms: Ms,
    lag_ms: Ms,
}

/// A volume and what is to be expected of it.
#[derive(Serialize)]
pub(super) struct Volume {
    volume: String,
    size_bytes: u64,
    free_bytes: u64,
    forecast: Option<Expected>,
}

/// A forecast. A time that is infinite is null.
#[derive(Serialize)]
pub(super) struct Expected {
    growth_bytes_per_second: f64,
    full_s: Option<f64>,
    soonest_s: Option<f64>,
    latest_s: Option<f64>,
}

/// Ids of the open incidents of each service.
pub(super) fn open(state: &State) -> BTreeMap<&str, Vec<&str>> {
    let mut open: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (id, incident) in state.incidents.iter().filter(|(_, i)| i.is_open()) {
        for service in incident.services.keys() {
            open.entry(service).or_default().push(id);
        }
    }
    open
}

/// One service in a line, with its open incidents.
pub(super) fn line<'s>(
    state: &'s State,
    name: &'s str,
    patient: &'s Patient,
    incidents: Vec<&'s str>,
) -> Line<'s> {
    let now = patient.now();
    let roots = now.findings.iter().filter(|f| f.role == Role::Root);
    let root = |f: &&'s Finding| Root { cause: &f.cause, severity: f.severity, summary: &f.summary };
    Line {
        name,
        status: now.status,
        labels: &patient.labels,
        at: patient.last.as_ref().map(|s| s.at),
        roots: roots.map(root).collect(),
        incidents,
        paused: state.paused.contains("*") || state.paused.contains(name),
        mending: patient.mending,
    }
}

/// How one service stands.
pub(super) fn service<'s>(state: &'s State, name: &'s str, patient: &'s Patient) -> Service<'s> {
    let now = patient.now();
    let last = |seen: &Option<Seen>| {
        let seen = seen.as_ref()?;
        Some(Last { at: seen.at, kind: seen.kind, elapsed_ms: seen.report.elapsed_ms, lag_ms: seen.lag })
    };
    Service {
        schema: "pgmedic.service/1",
        line: line(state, name, patient, open(state).remove(name).unwrap_or_default()),
        last: last(&patient.last),
        last_walk: last(&patient.last_walk),
        looks: patient.looks,
        walks: patient.walks,
        missed_intervals: patient.missed,
        rooms: now.rooms.into_iter().flatten().collect(),
        findings: now.findings,
        volumes: shown(patient),
    }
}

fn shown(patient: &Patient) -> Vec<Volume> {
    let mut looks = [&patient.last, &patient.last_walk].into_iter().flatten();
    let list = looks.find_map(|s| Some(volumes(&s.evidence)).filter(|list| !list.is_empty()));
    let finite = |seconds: f64| seconds.is_finite().then_some(seconds);
    let of = |(volume, view): (String, &pgmedic_path::platform::evidence::VolumeView)| Volume {
        size_bytes: view.total_bytes.saturating_sub(view.reserved_bytes),
        free_bytes: view.available_bytes,
        forecast: patient.tally.volumes.get(&volume).and_then(crate::forecast::Track::forecast).map(|f| {
            Expected {
                growth_bytes_per_second: f.slope,
                full_s: finite(f.full_s),
                soonest_s: finite(f.soonest_s),
                latest_s: finite(f.latest_s),
            }
        }),
        volume,
    };
    list.unwrap_or_default().into_iter().map(of).collect()
}
