//! `pgmedic explain`: the pages of the causes, offline.

use crate::args::{ExplainArgs, PageFormat, When};
use crate::failure::Failure;
use crate::output;
use crate::render::{json, page, style::Look};
use crate::usage::may_hold_a_secret;
use pgmedic_model::Room;
use pgmedic_model::nearest::nearest;
use pgmedic_path::{Cause, rooms};
use serde::Serialize;

/// Writes one page, or the list of all.
pub(crate) fn run(args: &ExplainArgs, color: When) -> Result<i32, Failure> {
    let look = Look::of_stdout(color);
    let text = match &args.cause {
        None => list(args.format, &look)?,
        Some(id) => one(find(id)?, args.format, &look)?,
    };
    output::stdout(&text);
    Ok(0)
}

fn find(id: &str) -> Result<&'static Cause, Failure> {
    rooms::pages().find(|cause| cause.id == id).ok_or_else(|| {
        let near = nearest(id, rooms::pages().map(|cause| cause.id));
        let near =
            near.map_or("; pgmedic explain lists them".to_owned(), |near| format!("; nearest: {near}"));
        let shown = if may_hold_a_secret(id) { "of that name".to_owned() } else { format!("{id:?}") };
        Failure::Usage(format!("no cause {shown}{near}"))
    })
}

/// One cause as JSON: schema `pgmedic.cause/1`, or a member of `pgmedic.causes/1`.
#[derive(Serialize)]
struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'static str>,
    id: &'static str,
    room: Room,
    title: &'static str,
    /// It breaks nothing yet: `audit` reports it.
    latent: bool,
    page: String,
}

/// What is said of a latent cause under its title.
const LATENT: &str = "Latent: it breaks nothing yet. `pgmedic audit` reports it; `pgmedic check` does not.";

/// A cause's page in Markdown.
fn text(cause: &Cause) -> String {
    let page = page::markdown(cause.page);
    match page.split_once("\n\n") {
        Some((title, rest)) if cause.latent => format!("{title}\n\n{LATENT}\n\n{rest}"),
        _ => page,
    }
}

/// A cause's title in the list of all.
fn entry(cause: &Cause) -> String {
    let latent = if cause.latent { " (latent: audit)" } else { "" };
    format!("{}{latent}", cause.title())
}

impl Entry {
    fn of(cause: &Cause, schema: Option<&'static str>) -> Self {
        Self {
            schema,
            id: cause.id,
            room: cause.room,
            title: cause.title(),
            latent: cause.latent,
            page: text(cause),
        }
    }
}

/// Every cause as JSON.
#[derive(Serialize)]
struct All {
    schema: &'static str,
    causes: Vec<Entry>,
}

fn document(value: &impl Serialize) -> Result<String, Failure> {
    json::document(value).map_err(|error| Failure::Defect(error.to_string()))
}

fn one(cause: &Cause, format: PageFormat, look: &Look) -> Result<String, Failure> {
    Ok(match format {
        PageFormat::Human => page::human(cause.id, cause.room, &text(cause), look),
        PageFormat::Json => document(&Entry::of(cause, Some("pgmedic.cause/1")))?,
        PageFormat::Markdown => format!("# {}\n\n{}\n", cause.id, text(cause)),
    })
}

fn list(format: PageFormat, look: &Look) -> Result<String, Failure> {
    let by_room = Room::ALL.map(|room| (room, rooms::causes().filter(move |cause| cause.room == room)));
    let mut out = String::new();
    match format {
        PageFormat::Json => {
            let causes = rooms::causes().map(|cause| Entry::of(cause, None)).collect();
            return document(&All { schema: "pgmedic.causes/1", causes });
        }
        PageFormat::Markdown => {
            for (room, causes) in by_room {
                out.push_str(&format!("## {room}\n\n"));
                out.extend(causes.map(|cause| format!("- `{}`: {}\n", cause.id, entry(cause))));
                out.push('\n');
            }
        }
        PageFormat::Human => {
            for (room, causes) in by_room {
                let rows: Vec<_> = causes.map(|cause| (cause.id, entry(cause))).collect();
                let rows: Vec<_> = rows.iter().map(|(id, title)| (*id, title.as_str())).collect();
                out.push_str(&page::group(room, &rows, look));
            }
        }
    }
    Ok(out)
}
