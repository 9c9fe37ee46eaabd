//! `half-open-session`: the server still sends to a client that is gone.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste;
use crate::platform::evidence::{FlowEnd, FlowView, HostEvidence};
use crate::rooms::sessions::ending;
use crate::sql::facts::SessionView;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Severity, Source};

cause! {
    /// The server sends an answer to a client that is not there any more, and holds on to the session.
    ///
    /// ## What it is
    /// The client's machine, or the way to it, went away in the middle of an answer, without FIN or reset. The server's
    /// kernel sends the same segment again and again, for about 15 minutes; meanwhile the session is `active`, waits in
    /// `ClientWrite`, keeps its slot, its locks and its snapshot. The client, if it lives, hangs just as long.
    ///
    /// ## What proves it
    /// On the server's host the connection has data in its send queue and a retransmission (or window probe) timer that
    /// counts: `ss -tnoi` shows Send-Q above 0 with `timer:(on,…)` or `timer:(persist,…)`. A client that merely reads slowly
    /// answers each probe. pgmedic counts from the third try in vain.
    ///
    /// ## What mends it
    /// 1. Terminate that one session; its transaction is rolled back, and slot and locks are free.
    /// 2. See why the way broke: the client's machine, a firewall that was changed, a NAT that was restarted.
    ///
    /// ## What makes it worse
    /// Waiting: 15 tries take a quarter of an hour. Cancelling: the backend does not wait for its query but for the network.
    ///
    /// ## What prevents it
    /// `tcp_user_timeout` of 30 to 60 s, `tcp_keepalives_idle` 60, `client_connection_check_interval` (14+); on the
    /// client's side a statement timeout and keepalives.
    ///
    /// ## References
    /// Postgres manual, "Connections and Authentication" (`tcp_user_timeout`, `client_connection_check_interval`), wait event
    /// `ClientWrite`; tcp(7), `tcp_retries2`; RFC 9293 section 3.8.3; ss(8), `-o`.
    "half-open-session" in Network, proved by Proof::Drill;
}

/// From so many tries in vain on nobody is there.
const TRIES: u64 = 3;

fn find(e: &Evidence) -> Option<Finding> {
    let host = e.host.get()?;
    let gone = |f: &&FlowView| f.end == FlowEnd::Server && f.tries >= TRIES;
    let flows: Vec<&FlowView> = host.unheard.iter().filter(gone).collect();
    let worst = *flows.iter().max_by_key(|f| f.tries)?;
    let session = session(e, worst);
    let who = session.map_or_else(
        || match (&worst.program, worst.pid) {
            (Some(program), Some(pid)) => format!("{program} (pid {pid})"),
            _ => "a session".to_owned(),
        },
        ending::named,
    );
    let more = match flows.len() {
        1 => String::new(),
        n => format!("; {} more like it", n - 1),
    };
    let summary = format!(
        "{who} sends to {}, which acknowledges nothing any more: tried {} times in vain{more}",
        worst.remote, worst.tries
    );
    let mut facts = flows.iter().take(8).map(|flow| fact(host, flow));
    let proof = facts.next()?;
    let finding = Finding::new(CAUSE.id, CAUSE.room, Severity::Warning, Confidence::Certain, summary, proof)
        .and_all(facts);
    Some(finding.mended_by(end(e, worst, session)))
}

pub(super) fn fact(host: &HostEvidence, flow: &FlowView) -> Fact {
    let how = if flow.window_shut { "window probes" } else { "retransmissions" };
    let said = format!(
        "{} bytes for {} not acknowledged after {} {how} in a row",
        flow.unacknowledged_bytes, flow.remote, flow.tries
    );
    let place = flow.pid.map_or_else(|| flow.local.clone(), |pid| format!("{} (pid {pid})", flow.local));
    Fact::new(Source::Host, host.at, place, said).value(flow.tries)
}

/// The session behind a flow, by the process id of its backend.
fn session<'a>(e: &'a Evidence, flow: &FlowView) -> Option<&'a SessionView> {
    let pid = i32::try_from(flow.pid?).ok()?;
    ending::session(e.facts()?, pid)
}

/// To end it: by its identity where the server told of it, else a look at it first.
fn end(e: &Evidence, flow: &FlowView, session: Option<&SessionView>) -> RemedyPlan {
    if let Some(s) = session {
        let why = "nobody reads its answer; its transaction is rolled back";
        return ending::terminate_active(e, s, "terminate-half-open", why);
    }
    let look = format!("ss -tnoi dst {}", paste::argument(&flow.remote));
    let whose = flow.pid.map_or_else(String::new, |pid| {
        format!("; {}", paste::psql(e, &format!("select * from pg_stat_activity where pid = {pid}")))
    });
    let plan = "see whose session it is; terminate it once its client is known to be gone";
    RemedyPlan::by_hand("find-half-open", RemedyKind::Advice, plan, format!("{look}{whose}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, window, with_facts};
    use crate::rooms::sessions::ending::tests::session_of;

    /// A connection of this host that tried so often in vain.
    pub(crate) fn flow(end: FlowEnd, tries: u64) -> FlowView {
        let (local, remote) = match end {
            FlowEnd::Server => ("10.0.0.7:5432", "10.0.0.5:41000"),
            FlowEnd::Client => ("10.0.0.5:41000", "10.0.0.7:5432"),
        };
        FlowView {
            end,
            local: local.into(),
            remote: remote.into(),
            unacknowledged_bytes: 128_160,
            tries,
            window_shut: false,
            pid: Some(42),
            program: Some("postgres".into()),
            orphan: false,
        }
    }

    #[test]
    fn half_open_session_is_certain_by_the_servers_own_socket() {
        let mut e = with_facts(|f| f.sessions.sessions = vec![session_of(42, "active", 9_000.0)]);
        window(&mut e, |host| host.unheard = vec![flow(FlowEnd::Server, 5)]);
        let found = find(&e).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Warning, Confidence::Certain));
        assert_eq!(
            found.summary,
            "pid 42 (renderflow-api as app) sends to 10.0.0.5:41000, which acknowledges nothing any more: tried 5 times \
             in vain"
        );
        assert_eq!(found.remedies[0].kind, RemedyKind::Sessions);
        assert!(found.remedies[0].command.contains("pg_terminate_backend(pid)"));
    }

    #[test]
    fn half_open_session_is_not_a_slow_reader_nor_a_client_of_this_host() {
        let mut e = healthy();
        window(&mut e, |host| host.unheard = vec![flow(FlowEnd::Server, 2), flow(FlowEnd::Client, 9)]);
        assert!(find(&e).is_none());
        assert!(find(&healthy()).is_none());
    }
}
