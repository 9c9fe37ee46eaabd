//! `/metrics`: what the board knows, in Prometheus' text format 0.0.4 or in OpenMetrics 1.0, rendered at the scrape. Not in
//! here: serving it (`crate::http`), the rules and dashboards that read it.

mod docs;
mod page;
mod process;
mod server;
mod services;
mod storage;
mod table;
#[cfg(test)]
mod tests;

pub use docs::document;
pub use page::Format;
pub use table::{ALL, Family, Type};

use crate::board::{Patient, State};
use crate::now::Now;
use page::Page;
use pgmedic_path::Evidence;
use pgmedic_path::sql::facts::SqlFacts;
use table as t;

/// The whole page, of the state as it is. 1,000 services take a few milliseconds; whoever holds the board waits for them.
#[must_use]
pub fn render(state: &State, format: Format) -> String {
    // About what a service with ten rooms, a few applications and one volume takes.
    let mut page = Page::new(format, 16_384 + state.services.len() * 8_192);
    write(&mut page, state);
    page.finish()
}

fn write(page: &mut Page, state: &State) {
    let rows: Vec<Row<'_>> = state.services.iter().map(|(name, patient)| Row::new(name, patient)).collect();
    services::write(page, state, &rows);
    server::write(page, &rows);
    storage::write(page, &rows);
    incidents(page, state);
    own(page, state);
    process::write(page);
    page.family(&t::PROCESS_START);
    page.sample("", &[], seconds(state.own.started_at));
}

/// A family with where its number stands in a `T`.
type Reading<T> = (&'static Family, fn(&T) -> Option<f64>);

/// One service as the writers of families read it.
struct Row<'s> {
    /// `service="…"`.
    label: String,
    patient: &'s Patient,
    now: Now<'s>,
    /// The last look's evidence and the last walk's, in this order.
    evidence: [Option<&'s Evidence>; 2],
    /// The server's account, where the last look or walk has one.
    facts: Option<&'s SqlFacts>,
    /// The account that names the sessions: a brief one of a look names none, and then the last walk's does.
    named: Option<&'s SqlFacts>,
}

impl<'s> Row<'s> {
    fn new(name: &str, patient: &'s Patient) -> Self {
        let of = |seen: &'s Option<crate::seen::Seen>| seen.as_ref().map(|s| &*s.evidence);
        let evidence = [of(&patient.last), of(&patient.last_walk)];
        // A server that no longer answers has no sessions to count: the walk's account is not carried over.
        let facts = evidence[0].and_then(Evidence::facts);
        let names = |f: &&SqlFacts| f.admission.groups.iter().any(|g| !g.application.is_empty());
        let named =
            facts.and_then(|_| evidence.into_iter().flatten().filter_map(Evidence::facts).find(names));
        Self {
            label: page::escaped("service", name),
            patient,
            now: patient.now(),
            evidence,
            facts,
            named: named.or(facts),
        }
    }
}

fn seconds(at: pgmedic_model::Timestamp) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are 41 bits")]
    let seconds = at.0 as f64 / 1000.0;
    seconds
}

fn incidents(page: &mut Page, state: &State) {
    page.family(&t::INCIDENTS);
    for cause in pgmedic_path::rooms::pages() {
        page.sample("", &[("cause", cause.id)], state.own.incidents.get(cause.id).copied().unwrap_or(0));
    }
    page.family(&t::INCIDENT_OPEN);
    let mut open: Vec<(&str, &str)> = Vec::new();
    for incident in state.incidents.values().filter(|i| i.is_open()) {
        let ill = incident.services.iter().filter(|(_, affected)| affected.until.is_none());
        open.extend(ill.map(|(service, _)| (service.as_str(), incident.first_cause())));
    }
    open.sort_unstable();
    open.dedup();
    for (service, cause) in open {
        page.sample(&page::escaped("service", service), &[("cause", cause)], true);
    }
}

/// The most series of remedies: more causes with remedies than there are.
const REMEDIES: usize = 500;

fn own(page: &mut Page, state: &State) {
    let own = &state.own;
    page.family(&t::REMEDIES);
    for ((cause, remedy, outcome), n) in own.remedies.iter().take(REMEDIES) {
        page.sample("", &[("cause", cause), ("remedy", remedy), ("outcome", outcome)], *n);
    }
    page.family(&t::ALERTS);
    for ((receiver, outcome), n) in &own.alerts {
        page.sample("", &[("receiver", receiver), ("outcome", outcome)], *n);
    }
    page.family(&t::REQUESTS);
    for ((route, code), n) in &own.requests {
        page.sample("", &[("route", route), ("code", &code.to_string())], *n);
    }
    page.family(&t::RELOADS);
    for outcome in ["refused", "taken"] {
        page.sample("", &[("outcome", outcome)], own.reloads.get(outcome).copied().unwrap_or(0));
    }
    for (family, n) in [
        (&t::PANICS, own.panics),
        (&t::STORE_BYTES, own.store_bytes),
        (&t::STORE_FAILURES, own.store_failures),
        (&t::SERVICES, state.services.len() as u64),
    ] {
        page.family(family);
        page.sample("", &[], n);
    }
    page.family(&t::BUILD_INFO);
    page.sample("", &[("version", env!("CARGO_PKG_VERSION"))], true);
}
