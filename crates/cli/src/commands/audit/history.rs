//! What `pgmedic watch` has seen of what grows, from the store that the configuration names, for the forecast. What cannot be
//! read is said in one line, and the audit goes on without it. Not in here: reading a store
//! (`pgmedic_watch::store::reader`), the forecast (`pgmedic_path::forecast`).

use crate::config::Config;
use crate::failure::Failure;
use crate::select::{Whom, home};
use crate::surroundings::Surroundings;
use pgmedic_path::Evidence;
use pgmedic_path::audit::growth::Series;
use pgmedic_path::identity::of_the_front;
use pgmedic_watch::settings::StoreAt;
use pgmedic_watch::store::reader::Reader;

/// Whoever can be asked for it. Nothing is opened before it is asked.
pub(super) enum History {
    /// No daemon has a history of this service.
    None,
    /// This store.
    In(Reader),
    /// There should be one, and here is why it cannot be had.
    Barred(String),
}

impl History {
    /// By the configuration that the service stands in. A URL has none.
    pub(super) fn of(whom: Whom<'_>) -> Self {
        let Some(home) = home(whom) else { return Self::None };
        let mut around = Surroundings::default();
        let Some(state) = around.state_folder() else { return Self::None };
        let at = Config::load(&home)
            .map_err(Failure::from)
            .and_then(|config| Ok(config.store(&state, &mut around)?));
        match at {
            Err(failure) => Self::Barred(failure.one_line()),
            // Where no daemon has been, nobody misses its store.
            Ok(StoreAt::Sqlite(path)) if path == Config::default_store(&state) && !path.exists() => {
                Self::None
            }
            Ok(at) => Reader::of(&at)
                .map_or_else(|| Self::Barred("the daemon keeps its history in memory".to_owned()), Self::In),
        }
    }

    /// What it has of the service that was walked; or why it has nothing to say, in words.
    pub(super) async fn read(self, walked: &Evidence) -> Result<Vec<Series>, String> {
        match self {
            Self::None => Ok(Vec::new()),
            Self::Barred(why) => Err(why),
            Self::In(mut reader) => {
                let history = reader.history(&walked.service, of_the_front(walked), walked.started_at);
                history.await.map_err(|error| error.to_string())
            }
        }
    }
}
