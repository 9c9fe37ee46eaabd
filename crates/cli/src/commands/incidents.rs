//! `pgmedic incidents`: reads the record of `pgmedic fix`, and the daemon's store where there is one. Not in here: writing them
//! (`pgmedic_path::journal`, `pgmedic_watch::store`), finding the store (`daemon`).

mod daemon;

use crate::args::{IncidentsArgs, IncidentsVerb, PageFormat, When};
use crate::failure::Failure;
use crate::output;
use crate::render::incidents::{Shown, watched};
use crate::render::{incidents as page, json, style::Look};
use crate::surroundings::Surroundings;
use daemon::Daemon;
use pgmedic_path::journal::incidents::{Incident, incidents};
use pgmedic_path::journal::read_all;
use pgmedic_watch::incident::Incident as Watched;
use pgmedic_watch::store::{Found, reader::Reader};
use serde::Serialize;

/// The document of `--format json`.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    /// The record's.
    incidents: Vec<&'a Incident>,
    /// The daemon's, each a pgmedic.incident/1. Left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    watched: Vec<&'a Watched>,
}

/// Shows the record.
pub(crate) fn run(args: &IncidentsArgs, color: When) -> Result<i32, Failure> {
    let mut around = Surroundings::default();
    let Some(state) = around.state_folder() else {
        return Err(Failure::Environment(
            "there is no place for a record: set PGMEDIC_STATE to a folder".to_owned(),
        ));
    };
    let read = read_all(&state).map_err(|error| {
        Failure::Environment(format!("the record in {} cannot be read: {error}", state.display()))
    })?;
    let record = incidents(&read);
    let mut daemon = Daemon::of(args.config.as_deref(), &state, &mut around)?;
    let look = Look::of_stdout(color);
    let text = match &args.what {
        None | Some(IncidentsVerb::List) => list(&daemon.list(), &record, args.format, &look),
        Some(IncidentsVerb::Show { id }) => {
            let chosen = match id {
                None => newest(&mut daemon, &record),
                Some(id) => find(&mut daemon, &record, id),
            };
            match chosen.map_err(Failure::Usage)? {
                Chosen::Watch(w) => one(&Shown::Watch(&w, fixes(&w, &record)), args.format, &look),
                Chosen::Fix(i) => one(&Shown::Fix(i), args.format, &look),
            }
        }
    };
    output::stdout(&text);
    Ok(0)
}

fn list(watch: &[Watched], record: &[Incident], format: PageFormat, look: &Look) -> String {
    if watch.len() == Reader::MOST {
        daemon::say(&format!("of the daemon's incidents the latest {} are shown", Reader::MOST));
    }
    let all = merged(watch, record);
    match format {
        PageFormat::Human => page::list(&all, look),
        PageFormat::Markdown => page::table(&all),
        PageFormat::Json => document(record.iter().collect(), watch.iter().rev().collect()),
    }
}

fn one(shown: &Shown<'_>, format: PageFormat, look: &Look) -> String {
    match (format, shown) {
        (PageFormat::Human, Shown::Fix(i)) => page::screen(i, look),
        (PageFormat::Human, Shown::Watch(w, fixes)) => watched::screen(w, fixes, look),
        (PageFormat::Markdown, Shown::Fix(i)) => page::post_mortem(i),
        (PageFormat::Markdown, Shown::Watch(w, fixes)) => watched::post_mortem(w, fixes),
        (PageFormat::Json, Shown::Fix(i)) => document(vec![i], Vec::new()),
        (PageFormat::Json, Shown::Watch(w, fixes)) => document(fixes.clone(), vec![w]),
    }
}

fn document(incidents: Vec<&Incident>, watched: Vec<&Watched>) -> String {
    json::document(&Document { schema: "pgmedic.incidents/1", incidents, watched }).unwrap_or_default()
}

/// Both, oldest first. What was done for one of the daemon's stands below it: below the latest that names it.
fn merged<'a>(watch: &'a [Watched], record: &'a [Incident]) -> Vec<Shown<'a>> {
    let mut left: Vec<&Incident> = record.iter().collect();
    let mut all = Vec::with_capacity(watch.len() + record.len());
    for w in watch {
        let (its, others): (Vec<_>, Vec<_>) = left.into_iter().partition(|fix| belongs(fix, w));
        left = others;
        all.push(Shown::Watch(w, its));
    }
    all.reverse();
    all.extend(left.into_iter().map(Shown::Fix));
    all.sort_by_key(Shown::opened_at);
    all
}

/// What `pgmedic fix`, or the daemon by its means, did for it.
fn fixes<'a>(w: &Watched, record: &'a [Incident]) -> Vec<&'a Incident> {
    record.iter().filter(|fix| belongs(fix, w)).collect()
}

/// True where an act names it; or where both were begun in one second, and so have one id.
fn belongs(fix: &Incident, w: &Watched) -> bool {
    let is_named = |act: &pgmedic_watch::incident::Act| {
        act.record.as_ref() == Some(&fix.id) && act.service == fix.service
    };
    (w.id == fix.id && w.service == fix.service) || w.actions.iter().any(is_named)
}

/// The one that is to be shown.
enum Chosen<'a> {
    Watch(Box<Watched>),
    Fix(&'a Incident),
}

fn newest<'a>(daemon: &mut Daemon, record: &'a [Incident]) -> Result<Chosen<'a>, String> {
    let watch = daemon.list();
    match merged(&watch, record).pop() {
        None => Err("the record is empty".to_owned()),
        Some(Shown::Watch(w, _)) => match daemon.find(&w.id) {
            Found::One(whole) => Ok(Chosen::Watch(whole)),
            // It went out of the store in between.
            Found::Nothing | Found::Several(_) => Ok(Chosen::Watch(Box::new(w.clone()))),
        },
        Some(Shown::Fix(fix)) => {
            let same = |i: &&Incident| i.id == fix.id && i.service == fix.service;
            record.iter().rfind(same).map(Chosen::Fix).ok_or("the record is empty".to_owned())
        }
    }
}

/// The incident of that id, or the only one whose id begins so. What is shown below another does not stand in its way.
fn find<'a>(daemon: &mut Daemon, record: &'a [Incident], id: &str) -> Result<Chosen<'a>, String> {
    let watch = daemon.find(id);
    if let Found::One(w) = &watch
        && w.id == id
    {
        return Ok(Chosen::Watch(w.clone()));
    }
    if let Some(exact) = record.iter().rfind(|i| i.id == id) {
        return Ok(Chosen::Fix(exact));
    }
    let below = |i: &Incident| matches!(&watch, Found::One(w) if belongs(i, w));
    let mut begun = record.iter().filter(|i| i.id.starts_with(id) && !below(i));
    let (first, second) = (begun.next(), begun.next());
    match (watch, first, second) {
        (Found::One(w), None, _) => Ok(Chosen::Watch(w)),
        (Found::Nothing, Some(one), None) => Ok(Chosen::Fix(one)),
        (Found::Nothing, None, _) => Err(format!("no incident {id:?}; see pgmedic incidents")),
        _ => Err(format!("several incidents begin with {id:?}; see pgmedic incidents")),
    }
}
