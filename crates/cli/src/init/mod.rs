//! What `pgmedic init` finds in a folder and on this host, and the `pgmedic.toml` that it drafts from that.
//!
//! Files are read and nothing else: no connection is opened, no program is run. A password is dropped where it is read
//! (`connection`), so that no draft can hold one. Not in here: the verb (`commands/init.rs`), and the reader of the result
//! (`config`).

mod compose;
mod connection;
mod dotenv;
mod draft;
mod fly;
mod from_compose;
mod from_fly;
mod from_host;
mod host;
mod place;
mod proxies;
mod text;
mod urls;
mod yaml;

pub(crate) use place::Place;

use draft::{Draft, Drafts};
use place::{Note, Notes};
use std::fmt::Write;

/// What was found, and what is made of it.
pub(crate) struct Found {
    notes: Notes,
    drafts: Vec<Draft>,
    /// The text of `pgmedic.toml`.
    pub(crate) text: String,
}

/// Looks at the place and drafts.
pub(crate) fn look(place: &Place) -> Found {
    let mut notes = Notes::default();
    let names = place.names_in_folder(&mut notes);
    let urls = urls::read(place, &mut notes);
    let apps = fly::read(place, &names, &mut notes);
    let compose = compose::read(place, &mut notes);
    let ways = proxies::read(place, &names, &mut notes);
    let mut units = host::units(place, &names, &mut notes);
    let clusters = host::clusters(place, &mut notes);
    let mut all: Vec<urls::Url> = urls;
    all.extend(apps.iter().flat_map(|app| app.urls.clone()));
    all.append(&mut units);
    let mut drafts = Drafts::new(all);
    for app in &apps {
        from_fly::draft(app, &mut drafts);
    }
    if let Some(compose) = &compose {
        from_compose::draft(compose, &apps, &mut drafts);
    }
    from_host::draft(&ways, &clusters, &mut drafts);
    let drafts = drafts.done();
    notes.found.dedup();
    notes.unread.dedup();
    let text = text::written(&drafts);
    Found { notes, drafts, text }
}

impl Found {
    /// True where nothing was found of which a service could be made.
    pub(crate) fn nothing(&self) -> bool {
        self.drafts.is_empty()
    }

    /// The names of the services, in the order of the file.
    pub(crate) fn services(&self) -> impl Iterator<Item = &str> {
        self.drafts.iter().map(|draft| draft.name.as_str())
    }

    /// What was found and what could not be read, for people.
    pub(crate) fn account(&self) -> String {
        let mut out = String::new();
        list(&mut out, "Found", &self.notes.found);
        list(&mut out, "Could not be read", &self.notes.unread);
        out
    }

    /// What has to be done before each service can be checked, for people.
    pub(crate) fn needs(&self) -> String {
        let mut out = String::new();
        for draft in &self.drafts {
            for need in &draft.needs {
                let _in_memory = writeln!(out, "  {}: {}", draft.name, crate::render::text::visible(need));
            }
        }
        out
    }
}

fn list(out: &mut String, title: &str, notes: &[Note]) {
    if notes.is_empty() {
        return;
    }
    let width = notes.iter().map(|note| note.at.chars().count()).filter(|w| *w <= 40).max().unwrap_or(0);
    let _in_memory = writeln!(out, "{title}");
    for note in notes {
        let _in_memory = writeln!(out, "  {:width$}  {}", note.at, note.what);
    }
}
