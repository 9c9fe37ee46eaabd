//! The window on this host: whether it may be looked through for this service, and what it is asked.

use super::turns::turn;
use crate::aside;
use crate::evidence::Seen;
use crate::platform::evidence::HostEvidence;
use crate::platform::host::{Endpoint, HostQuestion, is_of_this_host, look, may_look, may_look_at};
use crate::platform::stuck;
use crate::route::Walked;
use crate::service::{HostPaths, Service, Window};
use crate::sql::facts::SqlFacts;
use pgmedic_model::{Host, Policy, Target};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use tokio::time::Instant;

/// What the ways have come to, as far as the window needs to know.
pub(super) struct Ways<'a> {
    pub(super) front: &'a Walked,
    pub(super) direct: Option<&'a Walked>,
    /// The addresses of the way around, where they are known.
    pub(super) around: Vec<IpAddr>,
    /// The server's account of itself, where it told.
    pub(super) facts: Option<&'a SqlFacts>,
    /// True where every way was admitted, the server told of itself, and the API does not say otherwise.
    pub(super) healthy: bool,
}

/// A look at the volumes while the front's statement is under way. What it saw counts only if [`Glance::bears_out`].
pub(super) async fn glance(service: &Service, front: &Walked, until: Instant) -> Option<Glance> {
    let ways = Ways { front, direct: None, around: Vec::new(), facts: None, healthy: true };
    front.backend_pid()?;
    match look_through(service, &ways, until).await {
        Seen::Seen(seen) if !seen.volumes.is_empty() && seen.blind.is_empty() => Some(Glance(seen)),
        _ => None,
    }
}

/// What a glance saw.
pub(super) struct Glance(HostEvidence);

impl Glance {
    /// The look, if the server's account of itself bears it out: it may be another host's, behind a tunnel.
    pub(super) fn bears_out(self, facts: &SqlFacts) -> Option<HostEvidence> {
        let same =
            facts.storage.data_directory.is_none() || facts.storage.data_directory == self.0.data_directory;
        same.then_some(self.0)
    }
}

/// Looks whether the sessions that SQL found in others' way, or at work for too long, run at all. Where there are none, nothing
/// is looked at.
pub(super) async fn look_at_suspects(
    seen: &mut HostEvidence,
    facts: &SqlFacts,
    policy: &Policy,
    until: Instant,
) {
    let pids = suspects(facts, policy);
    // Without it nothing bore out that the server is on this host.
    if pids.is_empty() || seen.postmaster_by.is_none() {
        return;
    }
    let told = facts.storage.data_directory.clone().map(PathBuf::from);
    match aside::call("backends", until, move || stuck::among(&pids, told.as_deref())).await {
        Ok(stuck) => {
            let known: Vec<u32> = seen.stuck.iter().map(|p| p.pid).collect();
            seen.stuck.extend(stuck.into_iter().filter(|p| !known.contains(&p.pid)));
        }
        Err(error) => seen.blind.push(format!("whether blocking sessions run: {error}")),
    }
}

/// Those whom somebody has waited for longer than a moment, and those who idle in a transaction or run a query for too long.
fn suspects(facts: &SqlFacts, policy: &Policy) -> Vec<i32> {
    let sessions = &facts.sessions.sessions;
    let long = |ms: Option<f64>, most: f64| ms.is_some_and(|ms| ms >= most);
    let waits_long = |pid: i32| sessions.iter().any(|s| s.pid == pid && long(s.query_ms, A_MOMENT_MS));
    let waits = facts.sessions.waits.iter().filter(|wait| waits_long(wait.pid));
    let mut pids: Vec<i32> =
        waits.flat_map(|wait| wait.blocked_by.iter().copied()).filter(|pid| *pid > 0).collect();
    let at_work = sessions.iter().filter(|s| match s.state.as_deref() {
        Some("active") => long(s.query_ms, policy.long_query_after_ms),
        Some(state) if state.starts_with("idle in transaction") => {
            long(s.state_ms, policy.idle_in_transaction_after_ms)
        }
        _ => false,
    });
    pids.extend(at_work.map(|s| s.pid));
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Who waits for a lock for less than this is none's victim, in ms.
const A_MOMENT_MS: f64 = 1000.0;

/// Looks at this host where the service allows it.
pub(super) async fn look_through(service: &Service, ways: &Ways<'_>, until: Instant) -> Seen<HostEvidence> {
    let why = match allowed(service, &ways.front.addresses()) {
        Ok(why) => why,
        Err(why) => return Seen::NotSeen(why),
    };
    let HostPaths { data_directory, log, proxy_log } = match &service.window {
        Window::Host(paths) => paths.clone(),
        Window::ByItself | Window::Off => HostPaths::default(),
    };
    // A pooler makes up the process id of its key; the server's own word goes before it.
    let told_pid = ways.facts.and_then(|facts| u32::try_from(facts.me.pid).ok());
    let key_pid = || ways.front.backend_pid().or_else(|| ways.direct.and_then(Walked::backend_pid));
    let question = HostQuestion {
        why,
        front: endpoints(&service.target, &ways.front.addresses()),
        // A unix socket has no address, and is one way or none.
        direct: match &service.direct {
            Some(target) if ways.direct.is_some() || !ways.around.is_empty() => {
                endpoints(target, &ways.around)
            }
            _ => Vec::new(),
        },
        targets: ways.front.addresses().iter().map(|ip| SocketAddr::new(*ip, service.target.port)).collect(),
        own: [Some(ways.front), ways.direct]
            .into_iter()
            .flatten()
            .filter_map(Walked::ends)
            .map(|e| e.0)
            .collect(),
        admitted_backend_pid: told_pid.or_else(key_pid),
        data_directory,
        told_data_directory: ways
            .facts
            .and_then(|facts| facts.storage.data_directory.clone().map(PathBuf::from)),
        log,
        proxy_log,
        refused_since: ways.front.refused_since().or_else(|| ways.direct.and_then(Walked::refused_since)),
        healthy: ways.healthy,
        doors_alone: false,
        titles: ways.facts.is_some_and(|facts| facts.storage.archives_silently()),
    };
    // An admitted look at the volumes is small.
    let _turn = if ways.healthy {
        None
    } else {
        match turn(until).await {
            Ok(turn) => Some(turn),
            Err(why) => return Seen::NotSeen(why),
        }
    };
    let limit = until.into_std();
    match aside::call("window", until + SLACK, move || look(&question, limit)).await {
        Ok(seen) => Seen::Seen(seen),
        Err(error) => Seen::NotSeen(error.to_string()),
    }
}

/// A look at the doors of ways that are still under way, as far as their addresses are known. None where this host may not
/// be looked at.
pub(super) async fn glimpse(
    service: &Service,
    front: &[IpAddr],
    direct: &[IpAddr],
    until: Instant,
) -> Option<HostEvidence> {
    let data_directory = match &service.window {
        Window::Host(paths) => paths.data_directory.clone(),
        Window::ByItself | Window::Off => None,
    };
    let question = HostQuestion {
        why: allowed(service, front).ok()?,
        front: endpoints(&service.target, front),
        direct: service.direct.as_ref().map(|target| endpoints(target, direct)).unwrap_or_default(),
        data_directory,
        doors_alone: true,
        ..HostQuestion::default()
    };
    let _turn = turn(until).await.ok()?;
    let limit = until.into_std();
    aside::call("glimpse", until + SLACK, move || look(&question, limit)).await.ok()
}

/// The look ends itself in time; this is for the thread to say so.
const SLACK: std::time::Duration = std::time::Duration::from_millis(50);

/// Why this host may be looked at: by the service's word or the target's, or because the name led to it.
fn allowed(service: &Service, addresses: &[IpAddr]) -> Result<String, String> {
    may_look(service).or_else(|why| match service.window {
        Window::ByItself => addresses.iter().find_map(|ip| may_look_at(*ip).ok()).ok_or(why),
        Window::Host(_) | Window::Off => Err(why),
    })
}

/// The addresses of a target that are this host's.
fn endpoints(target: &Target, addresses: &[IpAddr]) -> Vec<Endpoint> {
    match &target.host {
        Host::Socket(_) => vec![Endpoint::Unix(PathBuf::from(target.address()))],
        Host::Name(_) | Host::Address(_) => addresses
            .iter()
            .filter(|ip| is_of_this_host(**ip))
            .map(|ip| Endpoint::Tcp(SocketAddr::new(*ip, target.port)))
            .collect(),
    }
}
