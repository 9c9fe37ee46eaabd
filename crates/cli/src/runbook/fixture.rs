//! Subjects for the tests of this folder.

use super::Subject;
use super::platform::Platform;
use crate::surroundings::Surroundings;

/// A database of which only the URL is known.
pub(super) fn bare(url: &str) -> Subject {
    Subject::bare(&Surroundings::default().target(Some(url)).unwrap(), None)
}

/// renderflow on Fly, its URL in the environment.
pub(super) fn fly() -> Subject {
    let platform = Platform::Fly { api: Some("renderflow-api".into()), db: Some("renderflow-db".into()) };
    Subject {
        whom: "renderflow".into(),
        door: None,
        psql: "\"$DATABASE_URL\"".into(),
        direct: Some(("renderflow-db.internal".into(), "5433".into())),
        ready: Some("http://renderflow-api.internal:3000/api/v1/ready".into()),
        platform,
        ..bare("postgres://u@h/renderflow")
    }
}
