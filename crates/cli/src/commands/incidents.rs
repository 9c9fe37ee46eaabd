//! `pgmedic incidents`: reads the record. Not in here: writing it (`pgmedic_path::journal`).

use crate::args::{IncidentsArgs, IncidentsVerb, PageFormat, When};
use crate::failure::Failure;
use crate::output;
use crate::render::{incidents as page, json, style::Look};
use crate::surroundings::Surroundings;
use pgmedic_path::journal::incidents::{Incident, incidents};
use pgmedic_path::journal::read_all;
use serde::Serialize;

/// The document of `--format json`.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    incidents: &'a [Incident],
}

/// Shows the record.
pub(crate) fn run(args: &IncidentsArgs, color: When) -> Result<i32, Failure> {
    let around = Surroundings::default();
    let Some(state) = around.state_folder() else {
        return Err(Failure::Environment(
            "there is no place for a record: set PGMEDIC_STATE to a folder".to_owned(),
        ));
    };
    let read = read_all(&state).map_err(|error| {
        Failure::Environment(format!("the record in {} cannot be read: {error}", state.display()))
    })?;
    let list = incidents(&read);
    let look = Look::of_stdout(color);
    let chosen = match &args.what {
        None | Some(IncidentsVerb::List) => {
            let text = match args.format {
                PageFormat::Human => page::list(&list, &look),
                PageFormat::Markdown => page::table(&list),
                PageFormat::Json => document(&list),
            };
            output::stdout(&text);
            return Ok(0);
        }
        Some(IncidentsVerb::Show { id: None }) => list.last().ok_or("the record is empty".to_owned()),
        Some(IncidentsVerb::Show { id: Some(id) }) => find(&list, id),
    };
    let incident = chosen.map_err(Failure::Usage)?;
    output::stdout(&match args.format {
        PageFormat::Human => page::screen(incident, &look),
        PageFormat::Markdown => page::post_mortem(incident),
        PageFormat::Json => document(std::slice::from_ref(incident)),
    });
    Ok(0)
}

fn document(list: &[Incident]) -> String {
    json::document(&Document { schema: "pgmedic.incidents/1", incidents: list }).unwrap_or_default()
}

/// The incident of that id, or the only one whose id begins so.
fn find<'i>(list: &'i [Incident], id: &str) -> Result<&'i Incident, String> {
    if let Some(exact) = list.iter().rfind(|i| i.id == id) {
        return Ok(exact);
    }
    let mut begun = list.iter().filter(|i| i.id.starts_with(id));
    match (begun.next(), begun.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(format!("several incidents begin with {id:?}; see pgmedic incidents")),
        (None, _) => Err(format!("no incident {id:?}; see pgmedic incidents")),
    }
}
