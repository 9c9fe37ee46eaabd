//! Asks a platform everything at once, and turns its logs into evidence.

use super::evidence::ServerLogView;
use super::told::PlatformEvidence;
use super::{Asked, Part, Platform, log_lines, log_prefix};
use crate::clock::Stopwatch;
use crate::evidence::Seen;
use crate::rooms::app::log;
use pgmedic_model::Ms;
use tokio::time::{Instant, timeout_at};

/// Everything that the platform tells until then. `database` is the database's host as the API names it.
pub(crate) async fn observe(platform: &dyn Platform, database: &str, until: Instant) -> PlatformEvidence {
    let watch = Stopwatch::start();
    let (api, db, volumes, api_log, db_log) = tokio::join!(
        told(platform.instances(Part::Api, until), until),
        told(platform.instances(Part::Db, until), until),
        told(platform.volumes(until), until),
        told(platform.log(Part::Api, until), until),
        told(platform.log(Part::Db, until), until),
    );
    let place = |part: &str| format!("{}'s log of the {part}", platform.kind());
    PlatformEvidence {
        at: watch.at,
        elapsed_ms: watch.elapsed(),
        platform: platform.kind().to_owned(),
        api,
        db,
        volumes,
        api_log: seen_as(api_log, |text| {
            log::evidence(watch.at, &place("API"), text.as_bytes(), Ms(0.0), database)
        }),
        db_log: seen_as(db_log, |text| ServerLogView {
            path: place("database"),
            entries: log_lines::entries(&text, log_lines::Format::Stderr, log_prefix::DEFAULT),
            ..ServerLogView::default()
        }),
    }
}

/// What was told until then, or why not.
async fn told<T>(asked: Asked<'_, T>, until: Instant) -> Seen<T> {
    match timeout_at(until, asked).await {
        Ok(Ok(told)) => Seen::Seen(told),
        Ok(Err(untold)) => Seen::NotSeen(untold.to_string()),
        Err(_) => Seen::NotSeen("the platform did not answer in time".to_owned()),
    }
}

fn seen_as<T, U>(seen: Seen<T>, read: impl FnOnce(T) -> U) -> Seen<U> {
    match seen {
        Seen::Seen(value) => Seen::Seen(read(value)),
        Seen::NotSeen(why) => Seen::NotSeen(why),
    }
}
