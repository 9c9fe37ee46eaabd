//! Raises a CONNECTION LIMIT, where it is still what was seen. Postgres manual, ALTER ROLE and ALTER DATABASE: it takes
//! effect at once, for logins from then on.

use super::statement::PREFIX;
use super::{BRIEF, Came, way};
use crate::evidence::Evidence;
use crate::paste::{identifier, literal};
use crate::service::Service;
use pgmedic_model::{LimitOf, StepOutcome};
use tokio::time::Instant;

/// Raises it.
pub(super) async fn raise(
    service: &Service,
    e: &Evidence,
    whose: (LimitOf, &str),
    from: i64,
    to: i64,
) -> Came {
    let (of, name) = whose;
    let (what, catalog, limit, key) = match of {
        LimitOf::Role => ("role", "pg_roles", "rolconnlimit", "rolname"),
        LimitOf::Database => ("database", "pg_database", "datconnlimit", "datname"),
    };
    let mut session = match way::open(service, e, |me| me.superuser).await {
        Ok(session) => session,
        Err(came) => return came,
    };
    let look = format!("{PREFIX}select {limit} from {catalog} where {key} = {}", literal(name));
    let now = way::rows(session.ask(&look, Instant::now() + BRIEF).await);
    let alter = format!("alter {what} {} connection limit {to}", identifier(name));
    let came = match now.map(|rows| rows.into_iter().flatten().next().flatten()) {
        Ok(Some(limit)) if limit == from.to_string() => {
            match way::rows(session.ask(&alter, Instant::now() + BRIEF).await) {
                Ok(_) => Came::to(
                    StepOutcome::Applied,
                    format!("the limit of {what} {name} is {to}, it was {from}"),
                ),
                Err(why) => Came::to(StepOutcome::Failed, why),
            }
        }
        Ok(found) => Came::to(
            StepOutcome::NotNeeded,
            format!(
                "the limit of {what} {name} is {} by now",
                found.unwrap_or_else(|| "not to be seen".into())
            ),
        ),
        Err(why) => Came::to(StepOutcome::Refused, why),
    };
    session.close().await;
    came
}
