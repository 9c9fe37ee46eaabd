//! Several nameservers asked at once for one name, and their answers taken together: in order for the evidence, and as
//! a resolver would take them where they stand in for the system's.

use super::evidence::{Answer, AnswerOutcome, NameserverEvidence, StandIn, SystemLookup, SystemOutcome};
use super::nameserver::{self, Limit, Nameserver};
use super::system::failed;
use crate::clock::Stopwatch;
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long glibc waits for one nameserver before it asks the next (`RES_TIMEOUT` of resolv.h).
const BEFORE_THE_NEXT: Duration = Duration::from_secs(5);

/// Nameservers being asked, all at once. Dropped, it asks no more.
#[derive(Debug)]
pub(super) struct Asking {
    name: String,
    servers: Vec<Nameserver>,
    limit: watch::Sender<Instant>,
    tasks: JoinSet<(usize, NameserverEvidence)>,
    done: Vec<Option<NameserverEvidence>>,
}

impl Asking {
    /// Starts asking.
    pub(super) fn start(servers: Vec<Nameserver>, name: &str, names: Vec<String>, deadline: Instant) -> Self {
        let (limit, receiver) = watch::channel(deadline);
        let mut tasks = JoinSet::new();
        for (place, server) in servers.iter().cloned().enumerate() {
            let (name, names, limit): (_, _, Limit) = (name.to_owned(), names.clone(), receiver.clone());
            tasks.spawn(async move { (place, nameserver::ask(server, &name, &names, limit).await) });
        }
        let done = vec![None; servers.len()];
        Self { name: name.to_owned(), servers, limit, tasks, done }
    }

    /// Moves the deadline.
    pub(super) fn bring_nearer(&self, deadline: Instant) {
        self.limit.send_replace(deadline);
    }

    /// Waits for one more answer. False where there is none to wait for.
    async fn one_more(&mut self) -> bool {
        match self.tasks.join_next().await {
            None => false,
            Some(Ok((place, evidence))) => {
                self.done[place] = Some(evidence);
                true
            }
            // What panics in a reader of answers is missed below and said there.
            Some(Err(_)) => true,
        }
    }

    /// Every nameserver's answer, in order.
    pub(super) async fn all(mut self) -> Vec<NameserverEvidence> {
        while self.one_more().await {}
        let (servers, name) = (self.servers, self.name);
        let lost = |server| nameserver::unasked(server, &name, "the answer could not be read");
        self.done
            .into_iter()
            .zip(servers)
            .map(|(done, server)| done.unwrap_or_else(|| lost(server)))
            .collect()
    }

    /// Waits until a nameserver that is configured in `place` has addresses, and gives the first in order that has. Never
    /// comes back where none will.
    pub(super) async fn some_addresses(&mut self, place: &str) -> StandIn {
        loop {
            let known = self.done.iter().flatten().filter(|e| e.configured_in == place);
            let found = known.filter_map(|e| match as_system(e) {
                Some(SystemOutcome::Resolved(addresses)) => Some(StandIn { server: e.server, addresses }),
                _ => None,
            });
            if let Some(first) = found.into_iter().next() {
                return first;
            }
            if !self.one_more().await {
                return std::future::pending().await;
            }
        }
    }

    /// The lookup as a resolver with these nameservers would do it: the first that serves decides, and each has glibc's
    /// five seconds before the next is believed.
    pub(super) async fn stand_in(&mut self, deadline: Instant) -> SystemLookup {
        let watch = Stopwatch::start();
        let mut patience = Instant::now();
        for place in 0..self.servers.len() {
            patience = deadline.min(patience.max(Instant::now()) + BEFORE_THE_NEXT);
            while self.done[place].is_none() {
                if !tokio::time::timeout_at(patience, self.one_more()).await.unwrap_or(false) {
                    break;
                }
            }
            if let Some(outcome) = self.done[place].as_ref().and_then(as_system) {
                return SystemLookup { elapsed_ms: watch.elapsed(), outcome };
            }
        }
        let silent = |answer: &Answer| answer.outcome == AnswerOutcome::Silent;
        let heard = self.done.iter().flatten().any(|e| !silent(&e.a) || !silent(&e.aaaa));
        let outcome = if heard {
            failed("EAI_AGAIN", "Temporary failure in name resolution")
        } else {
            SystemOutcome::Silent
        };
        SystemLookup { elapsed_ms: watch.elapsed(), outcome }
    }
}

/// One nameserver's answer as getaddrinfo would give it; None where a resolver would ask the next.
fn as_system(evidence: &NameserverEvidence) -> Option<SystemOutcome> {
    let outcomes = [&evidence.aaaa.outcome, &evidence.a.outcome];
    let mut addresses: Vec<IpAddr> = Vec::new();
    for outcome in outcomes {
        if let AnswerOutcome::Addresses { addresses: found, .. } = outcome {
            addresses.extend(found);
        }
    }
    if !addresses.is_empty() {
        // RFC 6724 rules 1 and 6 with the default table: what this host has no way to goes last, IPv6 goes first.
        addresses.sort_by_key(|ip| !has_way_to(*ip));
        return Some(SystemOutcome::Resolved(addresses));
    }
    if outcomes.contains(&&AnswerOutcome::NxDomain) {
        return Some(failed("EAI_NONAME", "Name or service not known"));
    }
    outcomes
        .iter()
        .all(|outcome| **outcome == AnswerOutcome::NoData)
        .then(|| failed("EAI_NODATA", "No address associated with hostname"))
}

/// True where this host has a route and a source address for `ip`. Sends nothing.
fn has_way_to(ip: IpAddr) -> bool {
    let any = if ip.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    UdpSocket::bind(any).is_ok_and(|socket| socket.connect((ip, 53)).is_ok())
}
