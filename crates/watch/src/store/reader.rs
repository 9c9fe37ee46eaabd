//! A store for whoever only reads it, beside a daemon that has it or without one: nothing is made, brought up or locked. Not in
//! here: the daemon's own handle, [`super::Store`].

use super::entry::{Found, StoreError};
use super::op::{Answer, Op};
use super::{postgres, sqlite};
use crate::http::Filter;
use crate::incident::Incident;
use crate::settings::StoreAt;
use pgmedic_model::Timestamp;
use pgmedic_path::audit::growth::Series;
use std::path::PathBuf;

/// A store, to be read.
#[derive(Debug)]
pub struct Reader(Source);

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Shared(Box<postgres::Glance>),
}

impl Reader {
    /// The most incidents that are listed.
    pub const MOST: usize = 1000;

    /// Whoever reads that store; nothing is opened yet. None for memory: nobody but the daemon sees into it.
    #[must_use]
    pub fn of(at: &StoreAt) -> Option<Self> {
        match at {
            StoreAt::Sqlite(path) => Some(Self(Source::File(path.clone()))),
            StoreAt::Postgres(target) => {
                Some(Self(Source::Shared(Box::new(postgres::Glance::new(target.clone())))))
            }
            StoreAt::Memory => None,
        }
    }

    /// The incidents, the latest opened first, at most [`Reader::MOST`], without their reports.
    ///
    /// # Errors
    /// Where there is no store, or it cannot be read within 5 s.
    pub async fn incidents(&mut self) -> Result<Vec<Incident>, StoreError> {
        let filter = Filter { limit: Self::MOST, ..Filter::default() };
        match self.ask(Op::Incidents(filter)).await? {
            Answer::Incidents(found) => Ok(found),
            _ => Err(StoreError::Closed),
        }
    }

    /// The one incident of this id, or whose id begins so, with its report.
    ///
    /// # Errors
    /// As [`Reader::incidents`].
    pub async fn find(&mut self, id: &str) -> Result<Found, StoreError> {
        match self.ask(Op::Find { id: id.to_owned(), whole: false }).await? {
            Answer::Found(found) => Ok(found),
            _ => Err(StoreError::Closed),
        }
    }

    /// What the daemon saw of what grows of a service, of each subject at most 200 points, the oldest first, the latest the
    /// densest. Only what was seen of the server with that `system_identifier`, where it is known: another configuration's
    /// service of the same name may be in the same store.
    ///
    /// # Errors
    /// As [`Reader::incidents`]; and where `pgmedic watch` has not brought the store to this version yet.
    pub async fn history(
        &mut self,
        service: &str,
        server: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<Series>, StoreError> {
        let (service, server) = (service.to_owned(), server.unwrap_or_default().to_owned());
        match self.ask(Op::SamplesOf { service, server, now }).await? {
            Answer::Samples(series) => Ok(series),
            _ => Err(StoreError::Closed),
        }
    }

    async fn ask(&mut self, op: Op) -> Result<Answer, StoreError> {
        let what = sqlite::what(&op);
        let (place, answer) = match &mut self.0 {
            Source::File(path) => (path.display().to_string(), sqlite::glance(path, &op)),
            Source::Shared(shared) => (shared.place(), shared.ask(op).await),
        };
        answer.map_err(|why| StoreError::Failed { place, what, why })
    }
}
