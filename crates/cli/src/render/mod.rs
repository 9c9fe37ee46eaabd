//! From a report to text: a screen, a document, a line, a page. Nothing here judges; what is shown is in the report.

pub(crate) mod audit;
pub(crate) mod doctor;
pub(crate) mod fix;
mod human;
pub(crate) mod incidents;
pub(crate) mod json;
mod markdown;
pub(crate) mod nagios;
pub(crate) mod page;
pub(crate) mod progress;
pub(crate) mod style;
pub(crate) mod text;

use crate::args::ReportFormat;
use pgmedic_model::Report;

/// A report in the format that is asked for, with its final newline.
pub(crate) fn report(report: &Report, format: ReportFormat, look: &style::Look) -> String {
    match format {
        ReportFormat::Human => human::screen(report, look),
        ReportFormat::Json => json::document(report).unwrap_or_default(),
        ReportFormat::Nagios => nagios::line(report),
        ReportFormat::Markdown => markdown::page(report),
    }
}

#[cfg(test)]
mod samples;
