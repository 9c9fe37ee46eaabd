//! The daemon's incidents, from the store that the configuration names: what cannot be read is said once, and the record is
//! shown without it. Not in here: reading a store (`pgmedic_watch::store::reader`).

use crate::config::Config;
use crate::failure::Failure;
use crate::output;
use crate::render::text::visible;
use crate::select::DEFAULT;
use crate::surroundings::Surroundings;
use pgmedic_watch::incident::Incident;
use pgmedic_watch::settings::StoreAt;
use pgmedic_watch::store::reader::Reader;
use pgmedic_watch::store::{Found, StoreError};
use std::path::Path;
use tokio::runtime::{Builder, Runtime};

/// Whoever can be asked for the daemon's incidents.
pub(super) struct Daemon {
    runtime: Runtime,
    /// None where there is no store, or it did not answer.
    reader: Option<Reader>,
}

impl Daemon {
    /// By the configuration that is named, else ./pgmedic.toml, else the store in the state folder where there is one.
    ///
    /// # Errors
    /// Where a configuration that was named cannot be read.
    pub(super) fn of(
        config: Option<&Path>,
        state: &Path,
        around: &mut Surroundings,
    ) -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Defect(format!("no runtime: {error}")))?;
        let at = match config {
            Some(path) => Some(Config::load(path)?.store(state, around)?),
            // A mistake in it is no reason not to show the record.
            None => by_itself(state, around).unwrap_or_else(|failure| {
                say(&format!("{}; without the daemon's incidents", failure.one_line()));
                None
            }),
        };
        for note in &around.notes {
            say(note);
        }
        let is_default = |path: &Path| path == Config::default_store(state);
        let reader = match &at {
            None => None,
            // Where no daemon has been, nobody misses its store.
            Some(StoreAt::Sqlite(path)) if is_default(path) && !path.exists() => None,
            Some(at) => {
                let reader = Reader::of(at);
                if reader.is_none() {
                    say("the daemon keeps its incidents in memory: GET /api/v1/incidents has them");
                }
                reader
            }
        };
        Ok(Self { runtime, reader })
    }

    /// All of them, the latest opened first, without their reports.
    pub(super) fn list(&mut self) -> Vec<Incident> {
        let Some(reader) = &mut self.reader else { return Vec::new() };
        let list = self.runtime.block_on(reader.incidents());
        list.unwrap_or_else(|error| self.given_up(&error))
    }

    /// The one of this id, or whose id begins so, with its report.
    pub(super) fn find(&mut self, id: &str) -> Found {
        let Some(reader) = &mut self.reader else { return Found::Nothing };
        let found = self.runtime.block_on(reader.find(id));
        found.unwrap_or_else(|error| {
            let _none: Vec<Incident> = self.given_up(&error);
            Found::Nothing
        })
    }

    /// It is not asked again.
    fn given_up(&mut self, error: &StoreError) -> Vec<Incident> {
        say(&format!("{error}; without the daemon's incidents"));
        self.reader = None;
        Vec::new()
    }
}

fn by_itself(state: &Path, around: &mut Surroundings) -> Result<Option<StoreAt>, Failure> {
    if Path::new(DEFAULT).exists() {
        return Ok(Some(Config::load(Path::new(DEFAULT))?.store(state, around)?));
    }
    Ok(Some(StoreAt::Sqlite(Config::default_store(state))))
}

/// One line on stderr.
pub(super) fn say(words: &str) {
    output::stderr(&format!("pgmedic: {}\n", visible(words)));
}
