//! `idle-flow-forgotten`: something on the way has forgotten a connection that idled.

use super::half_open_session;
use crate::cause::Proof;
use crate::evidence::{Evidence, QueryOutcome};
use crate::paste::argument;
use crate::platform::evidence::{FlowEnd, FlowView, HostEvidence};
use crate::rooms::app::evidence::LogPattern;
use crate::rooms::app::readiness;
use crate::rooms::server::log;
use crate::ways::host_and_port;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Severity, Source};

cause! {
    /// Something on the way has forgotten a connection that idled: fresh ones work, old ones do not.
    ///
    /// ## What it is
    /// A NAT, a firewall with state or a cloud's load balancer keeps each connection in a table, and drops the entry of one
    /// that was idle for too long (AWS NLB 350 s, Azure 4 min, many firewalls 1 h), or loses the table in a restart. Both
    /// ends still believe in the connection. The next query into it hangs, or gets a reset, depending on what stands there.
    ///
    /// ## What proves it
    /// pgmedic's fresh connection works, while on this host an older one to the same address has data that nobody
    /// acknowledges (`ss -tnoi dst ADDRESS`: Send-Q above 0, `timer:(on,…)`); or the API lost connections while the server's
    /// log says `could not receive data from client: Connection timed out`, its keepalives having met nobody.
    /// Before a connection is used nothing shows: from one walk alone a flow that *will be* forgotten cannot be told.
    ///
    /// ## What mends it
    /// 1. Restart the API's instances one at a time: their pools open fresh connections.
    /// 2. Keepalives that are more frequent than the table forgets: `keepalives_idle=60` in the URL (libpq), or the driver's
    ///    own; `tcp_keepalives_idle = 60` on the server.
    /// 3. The pool's idle timeout and `max_lifetime` below the table's.
    ///
    /// ## What makes it worse
    /// Restarting the database: the dead ends stay in the pool. Raising the pool's idle timeout.
    ///
    /// ## What prevents it
    /// Keepalive below the idle timeout of whatever is on the way; a test on checkout; `tcp_user_timeout`.
    ///
    /// ## References
    /// RFC 5382 (NAT behaviour for TCP: at least 2 h 4 min idle, which few keep); AWS and Azure on the idle timeouts of their
    /// load balancers; Postgres manual, `tcp_keepalives_idle` and `keepalives_idle`; tcp(7). A cloud's load balancer itself
    /// cannot be had on a development machine: the drill forgets the flow in a packet filter.
    "idle-flow-forgotten" in Network, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let answered = |q: &crate::evidence::QueryEvidence| matches!(q.outcome, QueryOutcome::Answered(_));
    let query = e.front.query.as_ref().filter(|q| answered(q))?;
    let fresh = format!("a fresh connection logs in and is answered in {}", query.elapsed_ms);
    let fresh = Fact::new(Source::Sql, query.at, e.front.address.as_str(), fresh);
    by_a_socket(e).or_else(|| by_both_logs(e)).map(|finding| finding.and(fresh))
}

fn severity(e: &Evidence) -> Severity {
    if readiness::failing(e) { Severity::Critical } else { Severity::Warning }
}

/// On this host an older connection is unheard while the walk's fresh one is answered.
fn by_a_socket(e: &Evidence) -> Option<Finding> {
    let host: &HostEvidence = e.host.get()?;
    // What nobody holds any more tells of what was: an API that uses its database has let go of it.
    let over = readiness::connected(e);
    let dead = |f: &&FlowView| f.end == FlowEnd::Client && !(f.orphan && over);
    let flows: Vec<&FlowView> = host.unheard.iter().filter(dead).collect();
    let worst = *flows.iter().max_by_key(|f| f.tries)?;
    let who = match (&worst.program, worst.pid) {
        (Some(program), Some(pid)) => format!("of {program} (pid {pid})"),
        _ => "of this host".to_owned(),
    };
    let summary = format!(
        "a connection {who} to {} is dead, tried {} times in vain, while a fresh one is answered",
        worst.remote, worst.tries
    );
    let mut facts = flows.iter().take(8).map(|flow| half_open_session::fact(host, flow));
    let proof = facts.next()?;
    let finding = Finding::new(CAUSE.id, CAUSE.room, severity(e), Confidence::Likely, summary, proof)
        .and_all(facts)
        .or_else(
            "packets-dropped",
            "`iptables -L -v -n`: a rule whose counter grows with each try of this connection",
        );
    Some(finding.mended_by(reset(e)))
}

/// The API lost connections, and the server's keepalives met nobody: it was neither of the two that closed.
fn by_both_logs(e: &Evidence) -> Option<Finding> {
    let (hit, lost) = readiness::logged(e, LogPattern::ConnectionLost)?;
    let (_, timed_out) = log::recent(e, Words::ClientTimedOut)?;
    let summary = format!(
        "the API lost {} connections while the server's keepalives met nobody: something between them forgot",
        hit.count
    );
    let finding = Finding::new(CAUSE.id, CAUSE.room, severity(e), Confidence::Likely, summary, timed_out)
        .and(lost)
        .or_else(
            "half-open-session",
            "the clients' machines: one that was cut off or powered down leaves the same lines",
        );
    Some(finding.mended_by(reset(e)))
}

fn reset(e: &Evidence) -> RemedyPlan {
    let (host, _) = host_and_port(&e.front.address);
    let restart = RemedyPlan::by_hand(
        "recycle-api-pool",
        RemedyKind::AppRestart,
        "restart the API's instances one at a time, then keep connections alive below what the way forgets",
        format!(
            "ss -tnoi dst {}   # keepalives_idle=60 in the URL; tcp_keepalives_idle on the server",
            argument(host)
        ),
    );
    readiness::unless_connected(e, restart)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, log_of, refused, window};
    use crate::rooms::app::causes::api_not_initialised::tests::log_says;
    use crate::rooms::app::readiness::tests::{answered, ready_says};
    use half_open_session::tests::flow;

    #[test]
    fn idle_flow_forgotten_where_an_old_connection_is_dead_and_a_fresh_one_answers() {
        let mut e = healthy();
        window(&mut e, |host| host.unheard = vec![flow(FlowEnd::Client, 2)]);
        let found = crate::diagnose(&e);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].cause.as_str(), found[0].confidence), (CAUSE.id, Confidence::Likely));
        assert_eq!(found[0].severity, Severity::Warning);
        let mut over = e.clone();
        window(&mut over, |host| host.unheard = vec![FlowView { orphan: true, ..flow(FlowEnd::Client, 9) }]);
        assert!(find(&over).is_some(), "nobody says that it is over");
        ready_says(&mut over, answered(200, "connected"));
        assert!(find(&over).is_none(), "the API has let go of it");
        let mut shut = refused("53300", "sorry, too many clients already");
        window(&mut shut, |host| host.unheard = vec![flow(FlowEnd::Client, 2)]);
        assert!(find(&shut).is_none(), "nothing is answered: it is no single flow");
    }

    #[test]
    fn idle_flow_forgotten_by_the_words_of_both_ends() {
        let mut e = healthy();
        log_says(&mut e, LogPattern::ConnectionLost, false);
        assert!(find(&e).is_none(), "one end's word is not enough");
        window(&mut e, |host| {
            let mut log = log_of("08006", "could not receive data from client: Connection timed out");
            log.entries[0].severity = "LOG".to_owned();
            host.log = Some(log);
        });
        assert_eq!(find(&e).map(|f| f.confidence), Some(Confidence::Likely));
        assert!(find(&healthy()).is_none());
    }
}
