//! `pgmedic explain`: the pages of the causes and of the weaknesses, offline.

use crate::args::{ExplainArgs, PageFormat, When};
use crate::failure::Failure;
use crate::output;
use crate::render::{json, page, style::Look};
use crate::usage::may_hold_a_secret;
use pgmedic_model::Room;
use pgmedic_model::nearest::nearest;
use pgmedic_path::{audit, rooms};
use serde::Serialize;

/// What there is a page of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A cause that breaks something.
    Cause,
    /// A cause at which the next start ends.
    Latent,
    /// What an audit finds.
    Weakness,
}

/// A page.
#[derive(Clone, Copy)]
struct Topic {
    id: &'static str,
    room: Room,
    title: &'static str,
    page: &'static str,
    kind: Kind,
}

fn of_cause(cause: &'static pgmedic_path::Cause) -> Topic {
    let kind = if cause.latent { Kind::Latent } else { Kind::Cause };
    Topic { id: cause.id, room: cause.room, title: cause.title(), page: cause.page, kind }
}

/// Every topic that the list has, in the order of the path.
fn listed() -> impl Iterator<Item = Topic> {
    rooms::causes().map(of_cause).chain(weaknesses())
}

fn weaknesses() -> impl Iterator<Item = Topic> {
    audit::weaknesses::all().map(|w| Topic {
        id: w.id,
        room: w.room,
        title: w.title(),
        page: w.page,
        kind: Kind::Weakness,
    })
}

/// Every page that a finding may lead to.
fn topics() -> impl Iterator<Item = Topic> {
    rooms::pages().map(of_cause).chain(weaknesses())
}

/// Writes one page, or the list of all.
pub(crate) fn run(args: &ExplainArgs, color: When) -> Result<i32, Failure> {
    let look = Look::of_stdout(color);
    let text = match &args.cause {
        None => list(args.format, &look)?,
        Some(id) => one(&find(id)?, args.format, &look)?,
    };
    output::stdout(&text);
    Ok(0)
}

fn find(id: &str) -> Result<Topic, Failure> {
    topics().find(|topic| topic.id == id).ok_or_else(|| {
        let near = nearest(id, topics().map(|topic| topic.id));
        let near =
            near.map_or("; pgmedic explain lists them".to_owned(), |near| format!("; nearest: {near}"));
        let shown = if may_hold_a_secret(id) { "of that name".to_owned() } else { format!("{id:?}") };
        Failure::Usage(format!("no cause {shown}{near}"))
    })
}

/// One topic as JSON: schema `pgmedic.cause/1`, or a member of `pgmedic.causes/1`.
#[derive(Serialize)]
struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'static str>,
    id: &'static str,
    room: Room,
    title: &'static str,
    /// It breaks nothing yet: `audit` reports it.
    latent: bool,
    /// It is no cause of a failure but a weakness, which only `audit` reports.
    weakness: bool,
    page: String,
}

impl Kind {
    /// What is said under the title of what breaks nothing yet.
    const fn remark(self) -> Option<&'static str> {
        match self {
            Self::Cause => None,
            Self::Latent => {
                Some("Latent: it breaks nothing yet. `pgmedic audit` reports it; `pgmedic check` does not.")
            }
            Self::Weakness => Some("A weakness: nothing is broken yet. `pgmedic audit` reports it."),
        }
    }
}

impl Topic {
    /// The page in Markdown.
    fn text(&self) -> String {
        let page = page::markdown(self.page);
        match (page.split_once("\n\n"), self.kind.remark()) {
            (Some((title, rest)), Some(remark)) => format!("{title}\n\n{remark}\n\n{rest}"),
            _ => page,
        }
    }

    /// The title in the list of all.
    fn entry(&self) -> String {
        let remark = match self.kind {
            Kind::Cause => "",
            Kind::Latent => " (latent: audit)",
            Kind::Weakness => " (weakness: audit)",
        };
        format!("{}{remark}", self.title)
    }

    fn document(&self, schema: Option<&'static str>) -> Entry {
        Entry {
            schema,
            id: self.id,
            room: self.room,
            title: self.title,
            latent: self.kind != Kind::Cause,
            weakness: self.kind == Kind::Weakness,
            page: self.text(),
        }
    }
}

/// Every topic as JSON.
#[derive(Serialize)]
struct All {
    schema: &'static str,
    causes: Vec<Entry>,
}

fn document(value: &impl Serialize) -> Result<String, Failure> {
    json::document(value).map_err(|error| Failure::Defect(error.to_string()))
}

fn one(topic: &Topic, format: PageFormat, look: &Look) -> Result<String, Failure> {
    Ok(match format {
        PageFormat::Human => page::human(topic.id, topic.room, &topic.text(), look),
        PageFormat::Json => document(&topic.document(Some("pgmedic.cause/1")))?,
        PageFormat::Markdown => format!("# {}\n\n{}\n", topic.id, topic.text()),
    })
}

fn list(format: PageFormat, look: &Look) -> Result<String, Failure> {
    let by_room = Room::ALL.map(|room| (room, listed().filter(move |topic| topic.room == room)));
    let mut out = String::new();
    match format {
        PageFormat::Json => {
            let causes = listed().map(|topic| topic.document(None)).collect();
            return document(&All { schema: "pgmedic.causes/1", causes });
        }
        PageFormat::Markdown => {
            for (room, topics) in by_room {
                out.push_str(&format!("## {room}\n\n"));
                out.extend(topics.map(|topic| format!("- `{}`: {}\n", topic.id, topic.entry())));
                out.push('\n');
            }
        }
        PageFormat::Human => {
            for (room, topics) in by_room {
                let rows: Vec<_> = topics.map(|topic| (topic.id, topic.entry())).collect();
                let rows: Vec<_> = rows.iter().map(|(id, title)| (*id, title.as_str())).collect();
                out.push_str(&page::group(room, &rows, look));
            }
        }
    }
    Ok(out)
}
