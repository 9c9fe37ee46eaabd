//! `pgmedic.drill/1` as far as the page needs it. Its whole schema is `docs/drill.schema.json`.

use serde::Deserialize;
use std::collections::BTreeMap;

/// What one run of `pgmedic drill` wrote.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Document {
    pub(super) made: Made,
    pub(super) drills: Vec<Drill>,
    pub(super) pairs: Vec<Pair>,
    pub(super) healthy: Vec<Row>,
}

/// How it was made.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Made {
    pub(super) at: String,
    pub(super) machine: Machine,
    pub(super) versions: BTreeMap<String, String>,
}

/// The class of machine.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Machine {
    pub(super) cores: u64,
    pub(super) memory_mb: u64,
    pub(super) system: String,
}

/// One drill's record.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Drill {
    pub(super) drill: String,
    pub(super) status: String,
    pub(super) expected: String,
    pub(super) role: String,
    pub(super) roots: Vec<String>,
    pub(super) check_ms: Option<f64>,
    pub(super) detail: Option<String>,
}

/// One pair's record.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Pair {
    pub(super) status: String,
    pub(super) faults: Vec<Fate>,
    pub(super) false_roots: Vec<String>,
    pub(super) check_ms: Option<f64>,
    pub(super) detail: Option<String>,
}

/// What became of one of two faults.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Fate {
    pub(super) drill: String,
    pub(super) came_out: String,
    pub(super) behind: Option<String>,
}

/// A row of healthy checks.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Row {
    pub(super) layout: String,
    pub(super) checks: u64,
    pub(super) alarms: Vec<Alarm>,
    pub(super) check_ms: Spans,
    #[serde(default)]
    pub(super) load: Option<BTreeMap<String, u64>>,
    pub(super) detail: Option<String>,
}

/// A false alarm.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Alarm {
    pub(super) check: u64,
    pub(super) report: Report,
}

/// A report, as far as a false alarm is told.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Report {
    pub(super) status: String,
    pub(super) findings: Vec<Finding>,
}

/// A finding of it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Finding {
    pub(super) cause: String,
    pub(super) summary: String,
}

/// How long checks took, in milliseconds.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Spans {
    pub(super) median: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

/// The names in a `pgmedic.drill-list/1`.
pub(super) fn listed(text: &[u8]) -> Result<Vec<String>, serde_json::Error> {
    #[derive(Deserialize)]
    struct List {
        drills: Vec<Listed>,
    }
    #[derive(Deserialize)]
    struct Listed {
        drill: String,
    }
    let list: List = serde_json::from_slice(text)?;
    Ok(list.drills.into_iter().map(|listed| listed.drill).collect())
}
