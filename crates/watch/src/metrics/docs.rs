//! `docs/metrics.md`, written from the table.

use super::table::{ALL, Type};
use std::fmt::Write;

const HEAD: &str = "\
# Metrics

<!-- Written from crates/watch/src/metrics/table.rs: UPDATE_DOCS=1 cargo test -p pgmedic-watch --lib docs_ -->

`pgmedic watch` serves these on `/metrics`, in Prometheus' text format 0.0.4, or in OpenMetrics 1.0 where `Accept` prefers it.
Everything is read from the daemon's own state at the scrape: a scrape asks no server anything, and how often it comes does
not matter to one.

How many series there are is bounded, whatever a server holds: names from outside (applications, databases, replication
slots) have a label of their own only for the first few, the rest is `other`; a value longer than 100 characters is cut. A
service has at most about 450 series, and mostly 70.

Where reading needs a token (see `[watch]` in configuration.md) a scrape does too: give Prometheus the `read_token`, which
cannot act, as `authorization: { credentials_file: … }`.

";

/// The page.
#[must_use]
pub fn document() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n");
    for family in ALL {
        let kind = match family.kind {
            Type::Gauge => "gauge",
            Type::Counter => "counter",
            Type::Summary => "summary",
            Type::Histogram => "histogram",
        };
        let labels: Vec<String> = family.labels.iter().map(|l| format!("`{l}`")).collect();
        let note = if family.note.is_empty() { String::new() } else { format!(" {}", family.note) };
        // Writing into a String does not fail.
        let _ = writeln!(
            page,
            "| `{}` | {kind} | {} | {} | {}{note} |",
            family.name,
            family.unit,
            labels.join(", "),
            family.help
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_metrics_is_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, document()).unwrap();
        }
        let there = std::fs::read_to_string(path).unwrap();
        assert!(
            there == document(),
            "docs/metrics.md differs: UPDATE_DOCS=1 cargo test -p pgmedic-watch --lib docs_"
        );
    }
}
