//! How a fix enters the record: it opens an incident or goes on with the one that this is, and says of what was cut off that
//! it was. Not in here: the steps.

use super::look::Look;
use super::{Company, News};
use crate::journal::incidents::{Incident, done, ended, incidents, same};
use crate::journal::{Event, Journal, JournalError};
use crate::service::Service;
use pgmedic_model::FixReport;

/// The incident that a fix belongs to.
pub(super) struct Begun {
    pub(super) id: String,
    /// Steps that it has had.
    pub(super) steps: u64,
    pub(super) done: Vec<(String, Option<String>)>,
    /// Sessions that the fix which this one goes on with has ended, or may have.
    pub(super) ended: u64,
}

/// Opens an incident, or goes on with the one that this is; steps that were cut off are said to have been.
pub(super) fn begin(
    journal: &mut Journal,
    service: &Service,
    look: &Look,
    company: &mut dyn Company,
) -> Result<Begun, JournalError> {
    let now = crate::clock::now();
    let list = incidents(journal.entries());
    let (causes, report) = (look.root_causes(), Box::new(look.report.clone()));
    let Some(going_on) = same(&list, &causes, now) else {
        journal.make_room(None)?;
        let stamp: String = now.to_string().chars().filter(|c| c.is_ascii_alphanumeric()).take(15).collect();
        let taken = list.iter().filter(|i| i.id.starts_with(&stamp)).count();
        let more = if taken == 0 { String::new() } else { format!("-{}", taken + 1) };
        let id = format!("{stamp}-{}{more}", service.name);
        journal.append(&id, Event::Opened { causes, report })?;
        return Ok(Begun { id, steps: 0, done: Vec::new(), ended: 0 });
    };
    company.told(&News::Resumed(going_on));
    journal.make_room(Some(&going_on.id))?;
    say_what_was_cut_off(journal, going_on)?;
    journal.append(&going_on.id, Event::Resumed { causes, report })?;
    let steps = going_on.steps.iter().map(|s| s.step).max().unwrap_or(0);
    Ok(Begun { id: going_on.id.clone(), steps, done: done(going_on, now), ended: ended(going_on) })
}

fn say_what_was_cut_off(journal: &mut Journal, incident: &Incident) -> Result<(), JournalError> {
    for step in incident.steps.iter().filter(|s| s.outcome.is_none() && !s.interrupted) {
        let detail = format!(
            "{} on {} was begun at {} and cut off: whether it was done is not known, and it is not begun again",
            step.remedy, step.target, step.at
        );
        journal.append(&incident.id, Event::Interrupted { step: step.step, detail })?;
    }
    Ok(())
}

/// Closes the incident that a fix which was cut off has left open, where this one found the service well. Gives its id.
///
/// # Errors
/// Where the record cannot be written.
pub fn settle(journal: &mut Journal, well: &FixReport) -> Result<Option<String>, JournalError> {
    let list = incidents(journal.entries());
    let Some(left) = list.last().filter(|i| i.recovered.is_none() && well.recovered) else { return Ok(None) };
    say_what_was_cut_off(journal, left)?;
    let summary = "it was cut off, and the next fix found the service well".to_owned();
    let report = Box::new(well.before.clone());
    journal.append(&left.id, Event::Closed { recovered: true, summary, report })?;
    Ok(Some(left.id.clone()))
}
