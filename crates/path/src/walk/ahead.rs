//! Asking an admitted connection what the server's next start would meet. Not in here: what the answers mean
//! (`sql::preflight`), and the files themselves, which the window looks at.

use super::Purpose;
use super::budget::Budget;
use super::statement::{bounded, rows};
use crate::audit::facts::AuditFacts;
use crate::clock::Stopwatch;
use crate::evidence::{QueryOutcome, Seen};
use crate::paste::identifier;
use crate::preflight::{BrokenLine, Preflight};
use crate::rooms::startup::session::Session;
use crate::rooms::startup::wire::readable;
use crate::sql::preflight::{self, May};
use crate::sql::{ReadError, audit, version_num};
use pgmedic_model::ServerError;

/// The oldest server that tells of base backups.
const TELLS_OF_BACKUPS: u32 = 130_000;

/// A connection on which the server has told of itself, and who asks there.
pub(super) struct Desk<'a> {
    pub(super) session: &'a mut Session,
    pub(super) place: &'a str,
    pub(super) role: &'a str,
    pub(super) server_version: Option<&'a str>,
}

/// What the next start would meet, and what only an audit wants to know.
pub(super) type Ahead = (Seen<Preflight>, Seen<AuditFacts>);

/// Of a check.
pub(super) fn not_asked() -> Ahead {
    let why = || "a check does not look ahead; an audit does".to_owned();
    (Seen::NotSeen(why()), Seen::NotSeen(why()))
}

/// Where no way in led to somebody who could be asked.
pub(super) fn nobody_told() -> Ahead {
    let why = || "no way in was admitted on which the server told of itself".to_owned();
    (Seen::NotSeen(why()), Seen::NotSeen(why()))
}

impl Desk<'_> {
    /// Asks for whatever the purpose is.
    pub(super) async fn tell(&mut self, purpose: Purpose, budget: &Budget) -> Ahead {
        let preflight = self.ask(budget).await;
        let audit = match purpose {
            Purpose::Audit => self.audit(preflight.get().is_some_and(|p| p.may_hba), budget).await,
            Purpose::Check | Purpose::Preflight => Seen::NotSeen("an audit asks for it".to_owned()),
        };
        (preflight, audit)
    }

    /// Asks what the next start would meet.
    async fn ask(&mut self, budget: &Budget) -> Seen<Preflight> {
        let watch = Stopwatch::start();
        let version = self.server_version.and_then(version_num).unwrap_or(super::statement::OLDEST);
        let queries = preflight::queries(version);
        let May { hba: may_hba, settings: may_settings, base_backups } =
            match self.query(&queries.may, budget, preflight::may).await {
                Ok(may) => may,
                Err(why) => return Seen::NotSeen(why.to_string()),
            };
        let hba = if may_hba {
            Seen::Seen(self.query(&queries.hba, budget, preflight::hba).await.or_else(Unread::into_line))
        } else {
            Seen::NotSeen(self.refused("pg_hba_file_rules", &[]))
        };
        let (settings, pending_restart) = if may_settings {
            let read = self.query(&queries.settings, budget, preflight::settings).await;
            let (broken, pending) = match read {
                Ok((broken, pending)) => (Ok(broken), pending),
                Err(why) => (why.into_line(), Vec::new()),
            };
            (Seen::Seen(broken), pending)
        } else {
            let grants = ["grant pg_read_all_settings to"];
            (Seen::NotSeen(self.refused("pg_show_all_file_settings", &grants)), Vec::new())
        };
        let backups = if version < TELLS_OF_BACKUPS {
            Seen::NotSeen("Postgres tells of base backups since 13".to_owned())
        } else {
            Seen::Seen(base_backups)
        };
        Seen::Seen(Preflight {
            at: watch.at,
            elapsed_ms: watch.elapsed(),
            place: self.place.to_owned(),
            hba: flat(hba),
            settings: flat(settings),
            pending_restart,
            base_backups: backups,
            may_hba,
        })
    }

    /// Asks what only an audit wants to know. `may_hba` where the role may ask for the rules of pg_hba.conf.
    async fn audit(&mut self, may_hba: bool, budget: &Budget) -> Seen<AuditFacts> {
        let watch = Stopwatch::start();
        let version = self.server_version.and_then(version_num).unwrap_or(super::statement::OLDEST);
        let queries = audit::queries(version);
        let told = match self.query(&queries.told, budget, audit::told).await {
            Ok(told) => told,
            Err(why) => return Seen::NotSeen(why.to_string()),
        };
        let hba = if may_hba {
            match self.query(&queries.hba, budget, audit::hba).await {
                Ok(rules) => Seen::Seen(rules),
                Err(why) => Seen::NotSeen(why.to_string()),
            }
        } else {
            Seen::NotSeen(self.refused("pg_hba_file_rules", &[]))
        };
        Seen::Seen(AuditFacts {
            at: watch.at,
            elapsed_ms: watch.elapsed(),
            place: self.place.to_owned(),
            settings: told.settings,
            roles: told.roles,
            set_for: told.set_for,
            owners: told.owners,
            hba,
        })
    }

    /// Why a view is not asked, and what lets this role.
    fn refused(&self, function: &str, more: &[&str]) -> String {
        let role = identifier(self.role);
        let more: String = more.iter().map(|grant| format!("; {grant} {role}")).collect();
        format!(
            "{} may not ask {function}(): grant execute on function {function}() to {role}{more}",
            self.role
        )
    }

    async fn query<T>(
        &mut self,
        sql: &str,
        budget: &Budget,
        read: impl FnOnce(&[Vec<Option<String>>]) -> Result<T, ReadError>,
    ) -> Result<T, Unread> {
        let bounded_sql =
            if self.session.bounded { sql.to_owned() } else { bounded(sql, budget.bounds(true)) };
        let answer = self.session.simple_query(&bounded_sql, budget.statement(true)).await;
        match rows(answer.reply) {
            Ok(rows) => read(&rows).map_err(|error| Unread::Why(readable(error.to_string().as_bytes()))),
            Err(QueryOutcome::Error(error)) => Err(Unread::Error(error)),
            Err(QueryOutcome::Unreadable(why)) => Err(Unread::Why(why)),
            Err(QueryOutcome::Closed) => Err(Unread::Why("the server hung up".to_owned())),
            Err(_) => Err(Unread::Why("no answer in time".to_owned())),
        }
    }
}

/// Why a query told nothing.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error("{0}")]
    Error(ServerError),
    #[error("{0}")]
    Why(String),
}

impl Unread {
    /// The role may ask, and the server cannot open or read the file (58P01, 42501, …): that is what a start will say.
    /// Anything else says nothing of the file.
    fn into_line(self) -> Result<Vec<BrokenLine>, String> {
        match self {
            Self::Error(error) if of_the_file(&error) => {
                Ok(vec![BrokenLine { error: error.message, ..BrokenLine::default() }])
            }
            other => Err(other.to_string()),
        }
    }
}

/// Class 58 (system error), or what `errcode_for_file_access` makes of EACCES: 42501, which is the file's here, for the role
/// may call the function.
fn of_the_file(error: &ServerError) -> bool {
    error.code.as_ref().is_some_and(|code| code.as_str().starts_with("58") || code.as_str() == "42501")
}

/// A part that was asked for and not told is one that was not seen.
fn flat<T>(part: Seen<Result<T, String>>) -> Seen<T> {
    match part {
        Seen::Seen(Ok(told)) => Seen::Seen(told),
        Seen::Seen(Err(why)) | Seen::NotSeen(why) => Seen::NotSeen(why),
    }
}
