//! The warm look of each interval: the account through the standing session, the name resolved, readiness asked, this
//! host's volumes measured, all side by side within one deadline; with what only the door shows from the last walk. It
//! walks nothing, and judges only whether a walk is due at once.

use super::{Depth, Standing};
use crate::aside;
use crate::clock::Stopwatch;
use crate::evidence::{Evidence, QueryOutcome, RouteEvidence, Seen};
use crate::platform::evidence::VolumeView;
use crate::platform::volumes::measured_anew;
use crate::rooms::app::evidence::{HttpOutcome, ReadyEvidence};
use crate::rooms::app::probe::ready;
use crate::rooms::dns::evidence::DnsEvidence;
use crate::rooms::dns::probe::{Resolver, look_aside};
use crate::service::{Service, Window};
use pgmedic_model::Host;
use tokio::time::Instant;

/// Looks at a service without walking to its door, and gives what it saw together with the rest of `last`, an earlier walk
/// or look. Each fact says when it was seen: `started_at` is this look's, and what was not looked at anew keeps its time.
pub async fn look(service: &Service, last: &Evidence, deadline: Instant) -> Evidence {
    let (watch, timeout) = (Stopwatch::start(), deadline.saturating_duration_since(Instant::now()));
    let resolver = Resolver::of(service);
    let account = async {
        match &service.standing {
            Some(standing) => through(standing, service, last, deadline).await,
            None => Seen::NotSeen("none is kept".to_owned()),
        }
    };
    let name = async {
        match (&service.target.host, service.target.hostaddr) {
            (host @ Host::Name(_), None) => Some(Box::pin(look_aside(host, &resolver, deadline)).await),
            _ => None,
        }
    };
    let readiness = async {
        match &service.ready {
            Some(url) => Some(Box::pin(ready(url, &resolver, deadline)).await),
            None => None,
        }
    };
    let (standing, name, readiness, volumes) =
        tokio::join!(account, name, readiness, volumes(service, last, deadline));
    let mut seen = Evidence {
        pgmedic: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: watch.at,
        timeout_ms: timeout.into(),
        policy: service.policy.clone(),
        expected: service.expected.clone(),
        standing,
        ..last.clone()
    };
    seen.front = front(seen.front, name);
    if let Some(readiness) = readiness {
        seen.app.ready = readiness;
    }
    if let (Seen::Seen(host), Some(volumes)) = (&mut seen.host, volumes) {
        host.volumes = volumes;
    }
    seen.elapsed_ms = watch.elapsed();
    if let Some(standing) = &service.standing {
        standing.note(&seen);
    }
    seen
}

/// The account: a brief one where nothing stands out, and the whole one at once where something does.
async fn through(
    standing: &Standing,
    service: &Service,
    last: &Evidence,
    deadline: Instant,
) -> Seen<RouteEvidence> {
    if standing.wants_all(last) {
        return standing.look(&service.policy, Depth::Whole, deadline).await;
    }
    let brief = standing.look(&service.policy, Depth::Brief, deadline).await;
    match brief.get().and_then(RouteEvidence::facts) {
        Some(facts) if standing.stands_out(facts, &service.policy) => {
            standing.look(&service.policy, Depth::Whole, deadline).await
        }
        _ => brief,
    }
}

/// The way in as it was walked last, with the name as it is now. One that leads nowhere leads to no door.
fn front(last: RouteEvidence, name: Option<DnsEvidence>) -> RouteEvidence {
    let Some(dns) = name else { return last };
    if dns.addresses().is_empty() {
        return RouteEvidence {
            address: last.address,
            dns,
            network: None,
            proxy: None,
            tls: None,
            startup: None,
            query: None,
        };
    }
    let mut front = last;
    // What single nameservers said, the walk has asked them.
    front.dns = DnsEvidence { nameservers: std::mem::take(&mut front.dns.nameservers), ..dns };
    front
}

/// The volumes that the last walk found on this host, measured anew. None where it found none.
async fn volumes(service: &Service, last: &Evidence, deadline: Instant) -> Option<Vec<VolumeView>> {
    let found = last.host.get().map(|host| host.volumes.clone()).filter(|found| !found.is_empty())?;
    if matches!(service.window, Window::Off) {
        return None;
    }
    // A filesystem may hang.
    aside::call("statvfs", deadline, move || measured_anew(&found)).await.ok()
}

/// What makes a walk due at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Odd {
    /// The standing session has ended, or was not answered.
    Session,
    /// The name leads elsewhere, or nowhere.
    Name,
    /// Readiness answers otherwise.
    Readiness,
    /// The account took very much longer.
    Slow,
}

/// From here on a look that takes ten times as long as the one before is slow, in ms.
const SLOW_MS: f64 = 100.0;

/// What a look shows otherwise than the walk or look before it, besides what a diagnosis finds.
#[must_use]
pub fn odd(before: &Evidence, now: &Evidence) -> Vec<Odd> {
    let mut odd = Vec::new();
    if stood(before) && !stood(now) {
        odd.push(Odd::Session);
    }
    let addresses = |e: &Evidence| {
        let mut addresses = e.front.dns.addresses();
        addresses.sort_unstable();
        addresses
    };
    if addresses(before) != addresses(now) {
        odd.push(Odd::Name);
    }
    if readiness(before) != readiness(now) {
        odd.push(Odd::Readiness);
    }
    let took = |e: &Evidence| e.standing.get().and_then(|r| r.query.as_ref()).map(|q| q.elapsed_ms.0);
    if let (Some(before), Some(now)) = (took(before), took(now))
        && now >= SLOW_MS
        && now >= before * 10.0
    {
        odd.push(Odd::Slow);
    }
    odd
}

/// The server answered through the standing session.
fn stood(e: &Evidence) -> bool {
    let answered = |r: &RouteEvidence| matches!(&r.query, Some(q) if matches!(q.outcome, QueryOutcome::Answered(_) | QueryOutcome::Alive(_)));
    e.standing.get().is_some_and(answered)
}

/// How readiness answers: the status and what it says of the database, or how there was no answer.
fn readiness(e: &Evidence) -> Option<(u16, Option<&str>, std::mem::Discriminant<HttpOutcome>)> {
    let ReadyEvidence { outcome, .. } = e.app.ready.get()?;
    let kind = std::mem::discriminant(outcome);
    Some(match outcome {
        HttpOutcome::Answered { status, db, .. } => (*status, db.as_deref(), kind),
        _ => (0, None, kind),
    })
}
