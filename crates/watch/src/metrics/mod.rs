//! `/metrics`: what the board knows, in Prometheus' text format 0.0.4 or in OpenMetrics 1.0, rendered at the scrape. Not in
//! here: serving it (`crate::http`), the rules and dashboards that read it.

use crate::board::State;
use pgmedic_model::Timestamp;

/// In which format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`.
    Text,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

/// The whole page.
#[must_use]
pub fn render(_state: &State, _now: Timestamp, _format: Format) -> String {
    String::new()
}
