//! `ghost-sessions`: sessions whose clients are gone hold slots.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::{identifier, psql};
use crate::platform::evidence::{HostEvidence, MuteView};
use crate::rooms::admission::slots;
use crate::rooms::sessions::ending;
use crate::rooms::sessions::ghosts::ghosts;
use crate::sql::facts::SessionView;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

cause! {
    /// Sessions whose clients vanished without a word go on holding their slots.
    ///
    /// ## What it is
    /// A machine of the API died, or its network went, without FIN or reset. The server does not notice: an idle session
    /// sends nothing, and the kernel asks after two hours (`tcp_keepalives_idle` 0 is 7200 s). Restarting the API's machines
    /// opens new sessions beside the old ones, until the slots are used up.
    ///
    /// ## What proves it
    /// On the server's host: connections at rest whose keepalive probes stay without an answer (`ss -tno`:
    /// `timer:(keepalive,…,N)` with N from 2 on). pgmedic looks there where slots run out, or where sessions that have
    /// rested for long take a fifth of them. Where keepalives are at their default nothing is to be seen for two hours: then
    /// compare `client_addr` with the machines that live (`idle-sessions`).
    ///
    /// ## What mends it
    /// 1. Terminate exactly the sessions whose clients are gone; behind a proxy or NAT never by address alone.
    /// 2. Let the server notice by itself: `ALTER ROLE app SET tcp_keepalives_idle = 60`, `…_interval = 10`, `…_count = 3`;
    ///    it holds for new sessions.
    ///
    /// ## What makes it worse
    /// Restarting the API again: more sessions, and the ghosts stay. Ending by age: it hits live pools at the same address.
    ///
    /// ## What prevents it
    /// `tcp_keepalives_idle` 60, `tcp_keepalives_interval` 10, `tcp_keepalives_count` 3; `tcp_user_timeout`;
    /// `client_connection_check_interval` (14+) for sessions that are active.
    ///
    /// ## References
    /// Postgres manual, "Connections and Authentication" (`tcp_keepalives_idle`, `client_connection_check_interval`); tcp(7);
    /// ss(8), `-o`.
    "ghost-sessions" in Sessions, proved by Proof::Drill;
}

/// Addresses that are named.
const NAMED: usize = 4;

fn find(e: &Evidence) -> Option<Finding> {
    let host = e.host.get().filter(|host| !host.mute.is_empty())?;
    let count = host.mute.len() as u64;
    let ghosts = ghosts(e);
    let slots = slots::count(e);
    let many = slots.as_ref().is_some_and(|s| count * 5 >= s.ordinary);
    let critical = many && !e.front.admitted();
    let severity = if critical { Severity::Critical } else { Severity::Warning };
    let summary =
        format!("{count} sessions are held for clients that answer no more: {}", by_address(&host.mute));
    let proof = fact(host, host.mute.iter().max_by_key(|m| m.probes)?, count);
    let known = (!ghosts.is_empty()).then(|| told(e, &ghosts)).flatten();
    let finding = Finding::new(CAUSE.id, Room::Sessions, severity, Confidence::Certain, summary, proof)
        .and_all(known)
        .and_all(slots.iter().flat_map(|s| s.facts(e).into_iter().take(1)));
    let end = ending::terminate_ghosts(e, &ghosts).unwrap_or_else(look);
    Some(finding.mended_by(end).mended_by(notice_sooner(e)))
}

/// `10.0.0.9 (12), 10.0.0.10 (8)`.
fn by_address(mute: &[MuteView]) -> String {
    let mut counts: BTreeMap<IpAddr, u64> = BTreeMap::new();
    for remote in mute.iter().filter_map(|m| m.remote.parse::<SocketAddr>().ok()) {
        *counts.entry(remote.ip()).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(ip, n)| (std::cmp::Reverse(*n), *ip));
    let more = if counts.len() > NAMED { ", …" } else { "" };
    let named: Vec<String> = counts.iter().take(NAMED).map(|(ip, n)| format!("{ip} ({n})")).collect();
    named.join(", ") + more
}

fn fact(host: &HostEvidence, worst: &MuteView, count: u64) -> Fact {
    let said = format!(
        "{count} connections at rest whose clients answer no keepalive probes; {} has left {} in a row without an answer",
        worst.remote, worst.probes
    );
    Fact::new(Source::Host, host.at, format!("sockets at {}", worst.local), said).value(count)
}

/// What the server knows of them.
fn told(e: &Evidence, ghosts: &[&SessionView]) -> Option<Fact> {
    let (_, at, place) = e.told()?;
    let open = ghosts.iter().filter(|s| ending::is_idle_in_transaction(s)).count();
    let first = ending::named(ghosts.first()?);
    let said =
        format!("{} of them by the server's account, {open} in a transaction; {first} is one", ghosts.len());
    Some(Fact::new(Source::Sql, at, format!("pg_stat_activity at {place}"), said).value(ghosts.len()))
}

fn look() -> RemedyPlan {
    RemedyPlan::by_hand(
        "find-ghost-sessions",
        RemedyKind::Advice,
        "on the server's host, list the connections whose clients answer no probes; terminate those sessions by client_addr \
         and client_port",
        "ss -tno state established | grep -E 'keepalive,[^)]*,[1-9][0-9]*\\)'",
    )
}

fn notice_sooner(e: &Evidence) -> RemedyPlan {
    let role = identifier(&e.target.user);
    let sql = format!(
        "alter role {role} set tcp_keepalives_idle = 60; alter role {role} set tcp_keepalives_interval = 10; alter role \
         {role} set tcp_keepalives_count = 3"
    );
    RemedyPlan::by_hand(
        "shorten-keepalives",
        RemedyKind::Settings,
        "let the server notice a vanished client within two minutes; for sessions that begin from now on",
        psql(e, &sql),
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{healthy, refused, window, with_facts};
    use crate::rooms::sessions::ending::tests::session_of;
    use pgmedic_model::Role;

    /// Lets the window show so many mute connections of 10.0.0.9.
    pub(crate) fn haunted(e: &mut Evidence, count: u16) {
        window(e, |host| {
            let one = |n| MuteView {
                local: "10.0.0.7:5432".into(),
                remote: format!("10.0.0.9:{}", 40_000 + n),
                probes: 3,
            };
            host.mute = (0..count).map(one).collect();
        });
    }

    fn session(n: u16, state: &str) -> SessionView {
        let (client, client_port) = ("10.0.0.9".to_owned(), Some(40_000 + n));
        SessionView { client, client_port, ..session_of(i32::from(n) + 1, state, 60_000.0) }
    }

    #[test]
    fn ghost_sessions_are_ended_by_their_identity_and_no_others() {
        let mut e = with_facts(|f| {
            f.admission.client_backends = 41;
            f.sessions.sessions = (0..40).map(|n| session(n, "idle")).collect();
            f.sessions.sessions.push(session(900, "idle"));
        });
        haunted(&mut e, 40);
        let found = find(&e).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Warning, Confidence::Certain));
        assert_eq!(found.summary, "40 sessions are held for clients that answer no more: 10.0.0.9 (40)");
        let end = &found.remedies[0];
        assert_eq!((end.remedy.as_str(), end.kind), ("terminate-ghost-sessions", RemedyKind::Sessions));
        assert!(end.command.contains("(40, '") && !end.command.contains("(901, '"), "{}", end.command);
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn ghost_sessions_explain_slots_that_are_used_up() {
        let mut e = refused(
            "53300",
            "remaining connection slots are reserved for roles with the SUPERUSER attribute",
        );
        let full = with_facts(|f| {
            (f.admission.client_backends, f.admission.own) = (98, 1);
            f.sessions.sessions = (0..97).map(|n| session(n, "idle in transaction")).collect();
            f.sessions.idle_in_transaction = 97;
        });
        e.rescue = Seen::Seen(full.front);
        haunted(&mut e, 97);
        let found = crate::diagnose(&e);
        let told: Vec<_> = found.iter().map(|f| (f.cause.as_str(), f.role)).collect();
        assert_eq!(told[0], (CAUSE.id, Role::Root));
        assert!(told[1..].iter().all(|(_, role)| *role == Role::Symptom), "{told:?}");
        assert!(told.contains(&("slots-exhausted", Role::Symptom)));
    }

    #[test]
    fn ghost_sessions_that_are_few_only_contribute() {
        let mut e = refused(
            "53300",
            "remaining connection slots are reserved for roles with the SUPERUSER attribute",
        );
        e.rescue = Seen::Seen(with_facts(|f| (f.admission.client_backends, f.admission.own) = (98, 1)).front);
        haunted(&mut e, 4);
        let found = crate::diagnose(&e);
        let told: Vec<_> = found.iter().map(|f| (f.cause.as_str(), f.role)).collect();
        assert_eq!(told, [("slots-exhausted", Role::Root), (CAUSE.id, Role::Contributing)]);
    }
}
