//! What a finding has in common with the same finding of other services: the resolver, the host, the proxy's address, the
//! server. From evidence alone; two services that share none of it have two incidents. Pure.

use crate::seen::Seen;
use pgmedic_model::{Finding, Room};
use pgmedic_path::Evidence;
use pgmedic_path::rooms::dns::evidence::{AnswerOutcome, NameserverEvidence};
use pgmedic_path::rooms::network::evidence::ConnectOutcome;

/// The most places of one finding.
const MOST: usize = 8;

/// Where this finding is, in words that are the same for every service that shares it: `resolver 10.0.0.2`, `name
/// db.internal`, `host 10.0.0.7`, `server 10.0.0.7:5432`, `proxy db.internal:6432`, `this host`.
pub(super) fn places(seen: &Seen, finding: &Finding) -> Vec<String> {
    let e = &seen.evidence;
    let mut list = match finding.room {
        Room::App => app(e),
        Room::Dns => dns(e),
        Room::Network => network(e, &finding.cause),
        Room::Proxy => vec![format!("proxy {}", e.front.address)],
        Room::Tls | Room::Startup | Room::Admission | Room::Server | Room::Sessions | Room::Storage => {
            servers(e).into_iter().map(|server| narrowed(e, finding, server)).collect()
        }
    };
    list.sort();
    list.dedup();
    list.truncate(MOST);
    list
}

/// The API's own endpoint.
fn app(e: &Evidence) -> Vec<String> {
    e.app.ready.get().map(|ready| format!("API at {}", ready.url)).into_iter().collect()
}

/// The resolvers that failed; where every one answers, the name that it is about.
fn dns(e: &Evidence) -> Vec<String> {
    let bad = |outcome: &AnswerOutcome| {
        !matches!(outcome, AnswerOutcome::Addresses { .. } | AnswerOutcome::NoData | AnswerOutcome::NxDomain)
    };
    let failed = |n: &&NameserverEvidence| bad(&n.a.outcome) || bad(&n.aaaa.outcome);
    let failed: Vec<_> = e.front.dns.nameservers.iter().filter(failed).collect();
    if failed.is_empty() {
        return vec![format!("name {}", e.target.host)];
    }
    failed.iter().map(|nameserver| format!("resolver {}", nameserver.server.ip())).collect()
}

/// The address that was not reached; the host alone, where the host is what is not reached; this host, where it is this one.
fn network(e: &Evidence, cause: &str) -> Vec<String> {
    if cause.starts_with("client-") || cause == "address-family-mismatch" {
        return vec!["this host".to_owned()];
    }
    let by_port = ["port-closed", "accept-queue-full", "listening-elsewhere"].contains(&cause);
    let attempts = e.front.network.iter().flat_map(|network| &network.attempts);
    let failed = |outcome| outcome != ConnectOutcome::Connected;
    let all: Vec<_> = attempts.collect();
    let any_failed = all.iter().any(|attempt| failed(attempt.outcome));
    let told = all.iter().filter(|attempt| failed(attempt.outcome) || !any_failed);
    told.map(|attempt| match attempt.address.rsplit_once(':') {
        Some((host, _)) if !by_port && !attempt.address.starts_with(['/', '@']) => format!("host {host}"),
        _ => format!("server {}", attempt.address),
    })
    .collect()
}

/// The server: by its `system_identifier` where that is known, and by the address that was connected to.
fn servers(e: &Evidence) -> Vec<String> {
    let attempts = e.front.network.iter().flat_map(|network| &network.attempts);
    let connected: Vec<String> = attempts
        .clone()
        .filter(|attempt| attempt.outcome == ConnectOutcome::Connected)
        .map(|attempt| format!("server {}", attempt.address))
        .collect();
    let tried = || attempts.map(|attempt| format!("server {}", attempt.address)).collect::<Vec<_>>();
    let mut list = if connected.is_empty() { tried() } else { connected };
    if list.is_empty() {
        list.push(format!("server {}", e.target.address));
    }
    let identity = pgmedic_path::identity::first_met(e)
        .map(str::to_owned)
        .or_else(|| e.expected.as_ref().map(|expected| expected.system_identifier.clone()));
    list.extend(identity.map(|id| format!("server with system_identifier {id}")));
    list
}

/// Of a server, what the cause is about: a role or a database of it, or all of it.
fn narrowed(e: &Evidence, finding: &Finding, server: String) -> String {
    const OF_A_ROLE: [&str; 5] =
        ["wrong-password", "password-expired", "role-missing", "login-not-permitted", "role-limit-reached"];
    const OF_A_DATABASE: [&str; 4] =
        ["database-missing", "database-invalid", "database-not-accepting", "database-limit-reached"];
    const OF_BOTH: [&str; 3] = ["connect-privilege-missing", "hba-rejects", "startup-option-rejected"];
    let (role, database) = (&e.target.user, &e.target.database);
    match finding.cause.as_str() {
        cause if OF_A_ROLE.contains(&cause) => format!("role {role} of {server}"),
        cause if OF_A_DATABASE.contains(&cause) => format!("database {database} of {server}"),
        cause if OF_BOTH.contains(&cause) => format!("role {role} in database {database} of {server}"),
        _ if finding.room == Room::Sessions => format!("database {database} of {server}"),
        _ => server,
    }
}
