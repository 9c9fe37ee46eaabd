//! How one service is looked at: by the door, and through its standing session. Not in here: when (`ward`).

use pgmedic_model::Timestamp;
use pgmedic_path::identity::{Expected, Known, of_the_front};
use pgmedic_path::standing::{self, Standing};
use pgmedic_path::{Evidence, Service, veiled, walk};
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A look, under way. None where there is nothing to look through. It stays on the thread of the schedule. What it saw is
/// kept once, by whoever needs it: of a thousand services each copy is tens of megabytes.
pub type Looking<'a> = Pin<Box<dyn Future<Output = Option<Arc<Evidence>>> + 'a>>;
/// Comes back when the standing session ends; never, where there is none.
pub type Ending<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Whoever looks at one service. Each look is bounded in time by whoever looks, and cut off a little later by the schedule.
pub trait Eyes: Debug + Send + Sync {
    /// Through the standing session. None where there is none, or none that stands.
    fn look(&self) -> Looking<'_>;
    /// From outside, by the door.
    fn walk(&self) -> Looking<'_>;
    /// What is to be done after a walk, once it has been told: to open the standing session.
    fn walked<'a>(&'a self, evidence: &'a Evidence) -> Ending<'a>;
    /// When the standing session ends.
    fn ended(&self) -> Ending<'_>;
}

/// A service that is looked at for real.
#[derive(Debug)]
pub struct Sight {
    service: Mutex<Arc<Service>>,
    standing: Option<Arc<Standing>>,
    timeout: Duration,
    /// The last walk: what only the door shows is known from it between walks.
    last: Mutex<Option<Arc<Evidence>>>,
}

impl Sight {
    /// Of a service, through a standing session where one is wanted; each look takes at most `timeout`.
    #[must_use]
    pub fn of(mut service: Service, standing: bool, timeout: Duration) -> Self {
        let standing = standing.then(|| Arc::new(Standing::new()));
        service.standing.clone_from(&standing);
        Self { service: Mutex::new(Arc::new(service)), standing, timeout, last: Mutex::new(None) }
    }

    /// The same in place of another one, with its session where the way to it is the same. True where it has.
    #[must_use]
    pub fn after(before: &Self, mut service: Service, standing: bool, timeout: Duration) -> (Self, bool) {
        let (was, old) = (before.service(), before.standing.as_ref());
        let same = (&was.target, &was.direct, &was.nameservers, was.resolve_here)
            == (&service.target, &service.direct, &service.nameservers, service.resolve_here);
        let standing = standing.then(|| match old {
            Some(old) if same => Arc::clone(old),
            Some(old) => Arc::new(Standing::after(old)),
            None => Arc::new(Standing::new()),
        });
        service.standing.clone_from(&standing);
        let kept = standing.is_some() && old.is_some() && same;
        (Self { service: Mutex::new(Arc::new(service)), standing, timeout, last: Mutex::new(None) }, kept)
    }

    /// The service as it is known by now: with the server that is expected behind its name, once one was met.
    #[must_use]
    pub fn service(&self) -> Arc<Service> {
        Arc::clone(&locked(&self.service))
    }

    /// Ends the standing session in good order.
    pub async fn close(&self) {
        if let Some(standing) = &self.standing {
            standing.close().await;
        }
    }

    /// From the first server that is met on, the service is expected to have that one.
    fn expect(&self, evidence: &Evidence) {
        let mut service = locked(&self.service);
        if service.expected.is_none()
            && let Some(met) = of_the_front(evidence)
        {
            let mut known = Service::clone(&service);
            known.expected = Some(expected(met, evidence.started_at));
            *service = Arc::new(known);
        }
    }

    /// Opens the standing session, where the door has just been seen to be open.
    async fn stand(&self, service: &Service, evidence: &Evidence) {
        let Some(standing) = &self.standing else { return };
        let door = evidence.direct.get().unwrap_or(&evidence.front);
        if door.admitted() && !standing.is_open() {
            // Where it cannot be opened, the next walk says why.
            let _kept = standing.keep(service, Instant::now() + self.timeout).await;
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn expected(system_identifier: &str, since: Timestamp) -> Expected {
    Expected { system_identifier: system_identifier.to_owned(), known: Known::Remembered(since) }
}

impl Eyes for Sight {
    fn look(&self) -> Looking<'_> {
        Box::pin(async {
            if !self.standing.as_ref()?.is_open() {
                return None;
            }
            let last = locked(&self.last).clone()?;
            let service = self.service();
            let evidence = standing::look(&service, &last, Instant::now() + self.timeout).await;
            Some(Arc::new(veiled(evidence, &service)))
        })
    }

    fn walk(&self) -> Looking<'_> {
        Box::pin(async {
            let service = self.service();
            let evidence = walk(&service, self.timeout, &|_| {}).await;
            let evidence = Arc::new(veiled(evidence, &service));
            self.expect(&evidence);
            *locked(&self.last) = Some(Arc::clone(&evidence));
            Some(evidence)
        })
    }

    fn walked<'a>(&'a self, evidence: &'a Evidence) -> Ending<'a> {
        Box::pin(async {
            let service = self.service();
            self.stand(&service, evidence).await;
        })
    }

    fn ended(&self) -> Ending<'_> {
        Box::pin(async {
            let Some(standing) = &self.standing else { return std::future::pending().await };
            // A notice is in the evidence of the next look.
            while standing.ended().await.open {}
        })
    }
}
