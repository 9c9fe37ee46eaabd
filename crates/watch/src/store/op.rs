//! What the handle asks of a store's backend, and what that answers. Values only.

use super::entry::{Begun, Found, Put};
use super::samples::Sample;
use crate::alerts::Entry;
use crate::http::{Filter, Looked};
use crate::incident::Incident;
use crate::policy::Done;
use pgmedic_model::Timestamp;
use pgmedic_path::audit::growth::Series;
use std::sync::Arc;

/// One thing to do.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// Keep an incident with its alerts, or alerts alone.
    Put(Option<Arc<Incident>>, Vec<Entry>),
    /// Keep looks, each with its service.
    Looks(Vec<(Arc<str>, Looked)>),
    /// Keep samples of what grows.
    Samples(Vec<Sample>),
    /// Alerts that are not delivered, by id.
    Pending { after: i64, limit: usize },
    /// Alerts that were delivered, and those that were tried in vain: id, tries, due.
    Settle { delivered: Vec<i64>, tried: Vec<(i64, u32, Timestamp)> },
    /// A fix is begun.
    Begin(Begun, Timestamp),
    /// Fixes as another store had them.
    Fixes(Vec<FixRow>),
    /// A fix ended.
    Ended { number: i64, applied: u32, recovered: bool, at: Timestamp },
    /// Fixes of a service since then.
    Done { service: String, since: Timestamp },
    /// Incidents, the latest opened first, without their reports.
    Incidents(Filter),
    /// One by its id or the beginning of it.
    Find { id: String, whole: bool },
    /// Looks of a service.
    LooksOf { service: String, since: Timestamp, limit: usize },
    /// Samples of a service on that server; of all that it was on, where that is empty.
    SamplesOf { service: String, server: String, now: Timestamp },
    /// Incidents that are open, or were closed since then.
    Restore(Timestamp),
    /// Drop what is too old, or too much.
    Prune(Timestamp),
    /// Who speaks for a service: this watcher, where nobody else does.
    Leads(String),
    /// Keep what this watcher speaks for, and take over what nobody does any more.
    Renew,
}

impl Op {
    /// The version of the schema that it needs.
    pub(super) const fn since(&self) -> usize {
        match self {
            Self::Samples(_) | Self::SamplesOf { .. } => 2,
            _ => 1,
        }
    }
}

/// A fix as it is kept.
#[derive(Clone, Debug)]
pub(super) struct FixRow {
    pub(super) number: i64,
    pub(super) service: String,
    pub(super) incident: String,
    pub(super) automatic: bool,
    pub(super) by: String,
    pub(super) at: Timestamp,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) applied: Option<u32>,
    pub(super) recovered: Option<bool>,
}

/// What fell to this watcher, since another one is gone.
#[derive(Debug, Default)]
pub(super) struct Fell {
    /// Services that it speaks for now.
    pub(super) services: Vec<String>,
    /// Alerts that were not delivered.
    pub(super) entries: Vec<Entry>,
    /// Incidents that were left open.
    pub(super) incidents: Vec<Incident>,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Answer {
    Nothing,
    Put(Put),
    Entries(Vec<Entry>),
    Number(i64),
    /// Fixes by their numbers.
    Done(Vec<(i64, Done)>),
    /// Another watcher that speaks for a service, if it is not this one.
    Led(Option<String>),
    Incidents(Vec<Incident>),
    Found(Found),
    Looks(Vec<Looked>),
    Samples(Vec<Series>),
    /// Bytes that the store takes.
    Size(u64),
    /// What fell to this watcher.
    Fell(Fell),
}

/// An incident as it is kept: its report apart, which does not change.
pub(super) fn taken_apart(incident: &Incident) -> Result<(String, Option<String>), serde_json::Error> {
    let report = incident.report.as_ref().map(serde_json::to_string).transpose()?;
    let slim = Incident { report: None, ..incident.clone() };
    Ok((serde_json::to_string(&slim)?, report))
}

/// And as it was.
pub(super) fn put_together(body: &str, report: Option<&str>) -> Result<Incident, serde_json::Error> {
    let mut incident: Incident = serde_json::from_str(body)?;
    incident.report = report.map(serde_json::from_str).transpose()?;
    Ok(incident)
}
