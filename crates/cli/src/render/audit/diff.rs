//! `audit --diff`: what is and what is advised, object by object, in the manner of a unified diff.

use super::object;
use crate::render::style::{Look, Paint};
use crate::render::text::visible;
use pgmedic_model::{AuditReport, Change, Object};

/// The diff, with its final newline; empty where nothing is to be changed.
pub(crate) fn diff(report: &AuditReport, look: &Look) -> String {
    let mut all: Vec<(&Object, &str, &Change)> = Vec::new();
    for finding in &report.findings {
        for change in finding.changes.iter().filter(|change| !change.current.is_empty()) {
            let known = all.iter().any(|(o, _, c)| {
                **o == change.object && c.setting == change.setting && c.advised == change.advised
            });
            if !known {
                all.push((&change.object, &finding.weakness, change));
            }
        }
    }
    all.sort_by_key(|(object, ..)| *object);
    if all.is_empty() {
        return String::new();
    }
    let mut out =
        format!("--- {} as it is\n+++ {} as advised\n", visible(&report.service), visible(&report.service));
    let mut last = None;
    for (of, weakness, change) in all {
        if last != Some(of) {
            out.push_str(&look.paint(Paint::Command, &format!("@@ {} @@", visible(&object(change)))));
            out.push('\n');
            last = Some(of);
        }
        let setting = visible(&change.setting);
        let minus = format!("-{setting} = {}", visible(&change.current));
        let plus = format!("+{setting} = {}", visible(&change.advised));
        out.push_str(&format!("{}\n", look.paint(Paint::Bad, &minus)));
        out.push_str(&look.paint(Paint::Good, &plus));
        out.push_str(&look.paint(Paint::Dim, &format!("  # {weakness}; {}", change.needs.words())));
        out.push('\n');
    }
    out
}
