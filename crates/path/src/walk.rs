//! The walk: every room in order, on every way in, within one deadline. It observes; it judges nothing.
//!
//! The ways and the looks from the side go on side by side; each is bounded by a share of the timeout (`budget`), and
//! what panics in one of them becomes what that one came to.

mod aftermath;
mod ahead;
mod alone;
mod budget;
mod doors;
pub(crate) mod statement;
mod turns;
mod ways;
mod window;

use crate::clock::Stopwatch;
use crate::events::Observer;
use crate::evidence::{Evidence, Seen, TargetView};
use crate::platform::observe;
use crate::platform::told::PlatformEvidence;
use crate::rooms::app;
use crate::rooms::app::evidence::{AppEvidence, LogEvidence, ReadyEvidence};
use crate::rooms::app::readiness::{lost_some, misses_its_database};
use crate::rooms::dns::probe::Resolver;
use crate::rooms::proxy::console;
use crate::rooms::proxy::evidence::PoolerEvidence;
use crate::route::Door;
use crate::service::Service;
use budget::Budget;
use doors::Doors;
use futures_util::FutureExt;
use pgmedic_model::Target;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::oneshot;

/// What stands in a look's place where it panicked.
const PANICKED: &str = "a defect in pgmedic: the look panicked";

/// What a walk is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To see whether the service reaches its database, and why not. As little as will do is looked at.
    Check,
    /// To see besides what the server's next start would meet: before anything is restarted, and for an audit. The
    /// server is asked three more things, and the window looks at everything though all is well.
    Preflight,
    /// To see besides what would break a service that is well: settings, roles, rules. pgmedic sets nothing for its own
    /// session at startup, so that the session has what the role's sessions get; each statement is bounded by itself.
    Audit,
}

impl Purpose {
    /// True where the walk looks at more than a check would.
    const fn looks_ahead(self) -> bool {
        matches!(self, Self::Preflight | Self::Audit)
    }
}

/// Walks a service and gives what was seen. Never fails and never takes longer than `timeout`; where the service keeps a
/// standing session, it waits before for whoever has the service's one other session.
pub async fn walk(service: &Service, timeout: Duration, observer: Observer<'_>) -> Evidence {
    walk_for(Purpose::Check, service, timeout, observer).await
}

/// The same for a purpose.
pub async fn walk_for(
    purpose: Purpose,
    service: &Service,
    timeout: Duration,
    observer: Observer<'_>,
) -> Evidence {
    let _second = match &service.standing {
        Some(standing) => Some(standing.second().await),
        None => None,
    };
    let watch = Stopwatch::start();
    let budget = Budget::new(timeout);
    let resolver = Resolver::of(service);
    let doors = Doors::default();
    let (tell, told) = oneshot::channel();
    let tell = |ready: &Seen<ReadyEvidence>, log: &Seen<LogEvidence>| {
        // Nobody listens any more where the ways are done.
        let _late =
            tell.send(ready.get().is_some_and(misses_its_database) || log.get().is_some_and(lost_some));
    };
    let api_is_well = async { !told.await.unwrap_or(false) };
    let (app, pooler, platform, seen) = tokio::join!(
        unharmed(on_the_heap(|| app::probe::look(service, budget.sides(), tell))),
        unharmed(on_the_heap(|| look_at_console(service, &resolver, &budget, &doors.console))),
        unharmed(on_the_heap(|| ask_platform(service, &budget))),
        on_the_heap(|| ways::walk(purpose, service, &resolver, &budget, observer, &doors, api_is_well)),
    );
    Evidence {
        schema: Evidence::SCHEMA.to_owned(),
        pgmedic: env!("CARGO_PKG_VERSION").to_owned(),
        service: service.name.clone(),
        named: service.named,
        started_at: watch.at,
        elapsed_ms: watch.elapsed(),
        timeout_ms: timeout.into(),
        target: view(&service.target),
        policy: service.policy.clone(),
        expected: service.expected.clone(),
        app: app.unwrap_or_else(|| AppEvidence { ready: panicked(), metrics: panicked(), log: panicked() }),
        front: seen.front,
        direct: seen.direct,
        rescue: seen.rescue,
        standing: seen.standing,
        rescue_configured: service.rescue.is_some(),
        pooler: pooler.unwrap_or_else(panicked),
        host: seen.host,
        platform: platform.unwrap_or_else(panicked),
        preflight: seen.preflight,
        audit: seen.audit,
        budget: service.budget.clone(),
        earlier: Vec::new(),
        history: Vec::new(),
        offers: service.hands.as_ref().map(|hands| hands.offers()).unwrap_or_default(),
    }
}

/// The pooler's console, where one is configured.
async fn look_at_console(
    service: &Service,
    resolver: &Resolver,
    budget: &Budget,
    door: &Door,
) -> Seen<PoolerEvidence> {
    match &service.pooler {
        Some(target) => Seen::Seen(console::read(target, resolver, budget.ways(), Some(door)).await),
        None => Seen::NotSeen("not configured (`pooler`, PgBouncer's admin console)".to_owned()),
    }
}

/// The platform, where one is configured.
async fn ask_platform(service: &Service, budget: &Budget) -> Seen<PlatformEvidence> {
    match &service.platform {
        Some(platform) => {
            let database = service.target.host.to_string();
            Seen::Seen(observe(platform.as_ref(), &database, budget.sides()).await)
        }
        None => Seen::NotSeen(
            "not configured (`[service.platform]`, what runs the API and the database)".to_owned(),
        ),
    }
}

/// A target as it may be shown.
fn view(target: &Target) -> TargetView {
    TargetView {
        url: target.display(),
        address: target.address(),
        host: target.host.to_string(),
        port: target.port,
        user: target.user.clone(),
        database: target.database.clone(),
        ssl_mode: target.tls.mode,
        has_password: target.password.is_some(),
        wants_standby: target.wants_standby,
        asks_read_only: target
            .options
            .as_deref()
            .is_some_and(|o| o.contains("default_transaction_read_only")),
    }
}

fn panicked<T>() -> Seen<T> {
    Seen::NotSeen(PANICKED.to_owned())
}

/// A future that is large, out of its caller's frame: it is made here and not there, too.
fn on_the_heap<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::pin(make())
}

/// Runs a look; None where it panicked.
async fn unharmed<T>(look: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(look).catch_unwind().await.ok()
}
