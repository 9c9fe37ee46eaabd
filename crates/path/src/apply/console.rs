//! Commands of PgBouncer's admin console: `RESUME` and `ENABLE` (PgBouncer manual, "Admin console"). Nothing else is ever
//! sent to it. Not in here: reading it (`rooms::proxy::console`).

use super::{BRIEF, Came, way};
use crate::paste::identifier;
use crate::rooms::dns::probe::Resolver;
use crate::route;
use crate::service::Service;
use crate::unrecognised::break_of;
use pgmedic_model::StepOutcome;
use tokio::time::Instant;

/// Resumes one database, or all.
pub(super) async fn resume(service: &Service, database: Option<&str>) -> Came {
    let command = database.map_or_else(|| "RESUME".to_owned(), |name| format!("RESUME {}", identifier(name)));
    command_of(service, &command).await
}

/// Enables a database.
pub(super) async fn enable(service: &Service, database: &str) -> Came {
    command_of(service, &format!("ENABLE {}", identifier(database))).await
}

async fn command_of(service: &Service, command: &str) -> Came {
    let Some(target) = &service.pooler else {
        return Came::to(StepOutcome::Refused, "the pooler's console is not configured (`pooler`)");
    };
    let resolver = Resolver::of(service);
    let (walked, session) = route::open(target, &resolver, None, Instant::now() + BRIEF).await;
    let Some(mut session) = session else {
        let said = break_of(&walked).map_or_else(|| "no session".to_owned(), |b| b.said);
        return Came::to(StepOutcome::Refused, format!("the console at {}: {said}", walked.address));
    };
    let reply = session.simple_query(command, Instant::now() + BRIEF).await.reply;
    session.close().await;
    match way::rows(reply) {
        Ok(_) => Came::to(StepOutcome::Applied, format!("{command}: done")),
        // PgBouncer's words where somebody was quicker (janitor.c, admin.c).
        Err(why) if why.contains("is not paused") || why.contains("not paused/suspended") => {
            Came::to(StepOutcome::NotNeeded, format!("{command}: {why}"))
        }
        // A role of stats_users may look, and change nothing (admin.c).
        Err(why) if why.contains("admin access needed") => {
            let next = "`pooler` needs a role of PgBouncer's admin_users";
            Came::to(StepOutcome::Refused, format!("{command}: {why}: {next}"))
        }
        Err(why) => Came::to(StepOutcome::Failed, format!("{command}: {why}")),
    }
}
