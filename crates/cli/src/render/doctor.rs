//! A doctor's account on a screen: each right on a line, and of what lacks why it matters and what grants it. A line to
//! paste is never wrapped or cut.

use super::human::Page;
use super::style::{Look, Paint};
use crate::doctor::{Account, By, Check, Grant, Looked, Standing, State};

/// The whole account.
pub(crate) fn screen(account: &Account, look: &Look) -> String {
    let mut page = Page { look: *look, out: String::new() };
    for looked in &account.services {
        service(&mut page, looked);
        page.line("");
    }
    let heading = page.paint(Paint::Strong, "pgmedic itself");
    page.line(&heading);
    for check in &account.here {
        one(&mut page, check);
    }
    page.line("");
    let all = account.services.iter().flat_map(|looked| &looked.checks).chain(&account.here);
    let lacking = all.filter(|check| check.lacks()).count();
    let (paint, verdict) = match account.status {
        Standing::Ok => (Paint::Good, "All that is promised is there.".to_owned()),
        Standing::Lacking => (Paint::Warning, format!("{lacking} of what is promised is not there.")),
        Standing::Unreached => {
            (Paint::Bad, "No way in led to a server: what may be seen there is not known.".to_owned())
        }
    };
    let verdict = page.paint(paint, &verdict);
    page.line(&verdict);
    page.out
}

fn service(page: &mut Page, looked: &Looked) {
    let name = page.paint(Paint::Strong, &looked.service);
    let target = page.text(&looked.target);
    page.line(&format!("{name}  {target}  in {}", looked.elapsed_ms));
    page.line("");
    for check in &looked.checks {
        one(page, check);
    }
}

fn one(page: &mut Page, check: &Check) {
    let (mark, paint) = match (check.state, check.needed) {
        (State::Ok, _) => ("✔", Paint::Good),
        (State::Missing, true) => ("✘", Paint::Bad),
        (State::NotSeen, true) => ("○", Paint::Warning),
        (State::Missing | State::NotSeen, false) | (State::NotConfigured, _) => ("·", Paint::Dim),
    };
    let mark = page.paint(paint, mark);
    let word = match (check.state, check.needed) {
        (State::Missing, true) => "missing: ",
        (State::Missing, false) => "missing, and nothing promised hangs on it: ",
        (State::NotSeen, _) => "not seen: ",
        (State::Ok | State::NotConfigured, _) => "",
    };
    // The mark may be painted, so that it is no part of what is measured.
    let body = format!("{}: {word}{}", check.looked, check.said);
    let mut inner = Page { look: page.look, out: String::new() };
    inner.paragraph("    ", "      ", &body, 4);
    page.out.push_str(&format!("  {mark} {}", inner.out.strip_prefix("    ").unwrap_or(&inner.out)));
    if check.state == State::NotConfigured || check.state == State::Ok && check.grants.is_empty() {
        return;
    }
    if !check.without.is_empty() {
        page.paragraph("      without  it cannot ", "               ", check.without, 3);
    }
    for grant in &check.grants {
        line(page, grant);
    }
    if !check.note.is_empty() {
        page.paragraph("      note     ", "               ", check.note, 3);
    }
}

fn line(page: &mut Page, grant: &Grant) {
    let place = match grant.by {
        By::Sql => format!("psql, as a superuser in database {}", grant.place),
        By::Shell | By::File => grant.place.clone(),
    };
    page.paragraph("      grant    ", "               ", &format!("{place}:"), 2);
    let command = page.paint(Paint::Command, &grant.line);
    page.line(&format!("        {command}"));
}
