//! `pooler-upstream-failing`: PgBouncer itself cannot log in to the server.

use super::console;
use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::proxy::log;
use crate::rooms::proxy::silence::{self, Silent, by_a_pooler, weigh};
use pgmedic_model::pooler_words::{Words, says};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// PgBouncer cannot log in to the server behind it and says so to its clients.
    ///
    /// ## What it is
    /// The server refuses PgBouncer or is not there. PgBouncer waits `server_login_retry` (15 s) between attempts and answers
    /// with the last error it had; before 1.24 often without the reason.
    ///
    /// ## What proves it
    /// `server login has been failing…` (08P01), at the login or in the place of the first query's answer; or a PgBouncer
    /// that answers for itself and keeps silent about the login, for as long as it waits for its next attempt. The
    /// reason stands in PgBouncer's log (`closing because: connect failed` of an `S-` line, `server login failed: …`), which
    /// the window on its host reads, and shows on a walk around it (`direct`).
    ///
    /// ## What mends it
    /// Whatever the walk around the pooler finds. Then wait `server_login_retry`, or `RECONNECT` on the console.
    ///
    /// ## What makes it worse
    /// Restarting PgBouncer: it drops the clients and changes nothing behind it.
    ///
    /// ## What prevents it
    /// `direct` configured, so that the reason is found at once.
    ///
    /// ## References
    /// PgBouncer manual: `server_login_retry`; NEWS of 1.20 and 1.24.
    "pooler-upstream-failing" in Proxy, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let finding = match said_in_its_log(e) {
        Some(finding) => finding,
        None => refused(e).or_else(|| never_welcomed(e)).or_else(|| waits_in_vain(e)).or_else(|| {
            let silent = weigh(e).filter(|v| v.who == Silent::PoolerUpstream)?;
            Some(silent.into_finding(CAUSE.id, Room::Proxy))
        })?,
    };
    let command = e.pooler.get().map_or_else(
        || "SHOW SERVERS;   -- on PgBouncer's admin console; the reason is in its log".to_owned(),
        |p| console::command(p, "SHOW DATABASES"),
    );
    let plan = "find why the server refuses the pooler: walk around it, or read PgBouncer's log";
    Some(finding.mended_by(RemedyPlan::by_hand("mend-upstream", RemedyKind::Advice, plan, command)))
}

/// The client is turned down or waits, and PgBouncer's log says what its own attempts come to.
fn said_in_its_log(e: &Evidence) -> Option<Finding> {
    let waiting = |m: &str| tells_of_the_server(m) || says(m, Words::QueryWaitTimeout);
    let met = match e.front.refusal() {
        Some(refusal) => console::refusal_fact(&e.front, Some(refusal).filter(|r| waiting(&r.message))?),
        None => {
            let silent = silence::after_the_login(&e.front).or_else(|| silence::at_the_door(&e.front))?;
            silence::fact(&e.front, silent)
        }
    };
    let (said, reason) = log::upstream_failure(e).filter(|_| !console::paused(e))?;
    let server = said.peer.as_ref().map_or_else(String::new, |peer| format!(" at {peer}"));
    let words = said.message.trim_start_matches("closing because: ");
    let place = &e.front.address;
    let summary = format!("PgBouncer at {place} has no connection to the server behind it{server}: {words}");
    let severity = Severity::Critical;
    Some(Finding::new(CAUSE.id, Room::Proxy, severity, Confidence::Certain, summary, met).and(reason))
}

/// True where PgBouncer tells its client of the server behind it.
fn tells_of_the_server(message: &str) -> bool {
    says(message, Words::ServerLoginFailing) || says(message, Words::ServerConnectionLost)
}

/// A client waits in vain at its login: PgBouncer has not been let in by the server since it began or reconnected, or it
/// would welcome the client with what it remembers (`welcome_msg_ready` in its `client.c`).
fn never_welcomed(e: &Evidence) -> Option<Finding> {
    let timed_out = e.front.refusal().filter(|r| says(&r.message, Words::QueryWaitTimeout))?;
    let console_told = e.pooler.get().is_some_and(|p| p.failure.is_none() && !p.silent);
    if e.front.late_refusal().is_some() || console_told {
        return None;
    }
    let direct = e.direct.get().filter(|d| d.admitted());
    let around = direct.map_or_else(String::new, |d| format!("; around it {} answers", d.address));
    let summary =
        format!("PgBouncer at {} has not been let in by the server behind it{around}", e.front.address);
    let proof = console::refusal_fact(&e.front, timed_out);
    let finding = Finding::new(CAUSE.id, Room::Proxy, Severity::Critical, Confidence::Likely, summary, proof);
    let (paused, full) = ("`SHOW DATABASES` on the console (configure `pooler`)", "`SHOW POOLS` there");
    Some(finding.or_else("pooler-paused", paused).or_else("pooler-pool-exhausted", full))
}

/// A client that was let in from memory waits at its query, and the pooler has not one connection to a server.
fn waits_in_vain(e: &Evidence) -> Option<Finding> {
    let timed_out = e.front.refusal().filter(|r| says(&r.message, Words::QueryWaitTimeout));
    let waited = match timed_out {
        Some(refusal) => console::refusal_fact(&e.front, refusal),
        None => {
            by_a_pooler(e)?;
            silence::fact(&e.front, silence::after_the_login(&e.front)?)
        }
    };
    let none = console::no_server_connection(e).filter(|_| !console::paused(e))?;
    let direct = e.direct.get().filter(|d| d.admitted());
    let around = direct.map_or_else(String::new, |d| format!("; around it {} answers", d.address));
    let summary = format!(
        "PgBouncer at {} has no connection to the server behind it, and its clients wait{around}",
        e.front.address
    );
    Some(
        Finding::new(CAUSE.id, Room::Proxy, Severity::Critical, Confidence::Likely, summary, waited)
            .and(none),
    )
}

fn refused(e: &Evidence) -> Option<Finding> {
    let refusal = e.front.refusal().filter(|r| tells_of_the_server(&r.message))?;
    let proof = console::refusal_fact(&e.front, refusal);
    let direct = e.direct.get().filter(|d| d.admitted());
    let around = direct.map_or_else(String::new, |d| format!("; around it {} answers", d.address));
    let summary = format!("PgBouncer at {} cannot log in to the server behind it{around}", e.front.address);
    Some(Finding::new(CAUSE.id, Room::Proxy, Severity::Critical, Confidence::Certain, summary, proof))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{AT, admitted, ended, healthy, late, refused, unconnected, window};
    use crate::evidence::{QueryOutcome, Seen};
    use crate::platform::evidence::{ListenerView, PoolerLogEntry, PoolerLogView, PoolerSide, ProcessView};
    use crate::rooms::network::evidence::ConnectOutcome;
    use crate::rooms::startup::evidence::StartupOutcome;
    use pgmedic_model::Role;

    #[test]
    fn pooler_upstream_failing_is_what_the_refusal_says() {
        let said = "server login has been failing, try again later (server_login_retry)";
        assert!(find(&refused("08P01", said)).is_some());
        let never = find(&refused("08P01", "query_wait_timeout")).expect("found");
        assert_eq!((never.confidence, never.alternatives.len()), (Confidence::Likely, 2));
        assert!(find(&healthy()).is_none());
    }

    /// PgBouncer 1.18 with its server stopped: the client is welcomed from memory and told at its first query.
    #[test]
    fn pooler_upstream_failing_may_be_said_in_place_of_the_querys_answer() {
        let mut e = healthy();
        late(&mut e, "08P01", "server login has been failing, try again later (server_login_retry)");
        let roots = crate::diagnose(&e);
        assert_eq!(roots.iter().map(|f| f.cause.as_str()).collect::<Vec<_>>(), [CAUSE.id]);
    }

    #[test]
    fn pooler_upstream_failing_is_explained_by_what_stops_the_way_around() {
        let said = "server login has been failing, try again later (server_login_retry)";
        let mut e = refused("08P01", said);
        e.direct = Seen::Seen(unconnected(&[("10.0.0.7:5433", ConnectOutcome::Refused, Some(111))]).front);
        let found = crate::diagnose(&e);
        let told: Vec<_> = found.iter().map(|f| (f.cause.as_str(), f.role, f.severity)).collect();
        let critical = Severity::Critical;
        assert_eq!(told, [("port-closed", Role::Root, critical), (CAUSE.id, Role::Symptom, critical)]);
        e.direct = Seen::Seen(refused("53300", "sorry, too many clients already").front);
        let found = crate::diagnose(&e);
        assert_eq!((found[0].cause.as_str(), found[1].role), ("all-slots-exhausted", Role::Symptom));
        e.direct = Seen::Seen(refused("28P01", "password authentication failed for user \"app\"").front);
        assert_eq!(crate::diagnose(&e)[0].cause, "wrong-password");
    }

    /// PgBouncer 1.18 before a dead server, `direct` and its console not configured.
    #[test]
    fn pooler_upstream_failing_is_said_in_poolers_log() {
        let entry = PoolerLogEntry {
            at: Some(AT),
            level: "LOG".into(),
            side: Some(PoolerSide::Server),
            database: Some("renderflow".into()),
            user: Some("app".into()),
            peer: Some("127.0.0.1:5433".into()),
            message: "closing because: connect failed".into(),
            count: 2,
        };
        let log = PoolerLogView { entries: vec![entry], ..PoolerLogView::default() };
        for mut e in [healthy(), refused("08P01", "query_wait_timeout")] {
            window(&mut e, |host| host.pooler_log = Some(log.clone()));
            if let Some(startup) = &mut e.front.startup {
                startup.pooler = Some("it refused a startup parameter as PgBouncer does".into());
            }
            assert_eq!(find(&e).is_none(), e.front.query.is_some(), "it answers");
            if let Some(query) = &mut e.front.query {
                query.outcome = QueryOutcome::Silent;
            }
            let found = crate::diagnose(&e);
            assert_eq!((found[0].cause.as_str(), found[0].confidence), (CAUSE.id, Confidence::Certain));
            assert!(found[0].summary.ends_with("at 127.0.0.1:5433: connect failed"), "{}", found[0].summary);
            assert!(!found.iter().any(|f| f.cause == "pooler-pool-exhausted"));
        }
    }

    /// After a failed attempt PgBouncer lets its clients wait for server_login_retry without a word.
    #[test]
    fn pooler_upstream_failing_is_a_pooler_silent_about_the_login() {
        let mut e = ended(StartupOutcome::Silent { waiting_for: "authentication request".into() });
        if let Some(startup) = &mut e.front.startup {
            startup.pooler = Some("it refused a startup parameter as PgBouncer does".into());
        }
        assert_eq!(find(&e).expect("found").confidence, Confidence::Possible);
        let mut upstream = |list: Vec<String>| {
            window(&mut e, |host| {
                let view =
                    ProcessView { pid: 7, program: "pgbouncer".into(), state: 'S', ..ProcessView::default() };
                host.front_listener = Some(ListenerView { pid: Some(7), ..ListenerView::default() });
                (host.proxy, host.proxy_upstream) = (Some(view), Some(list));
            });
            e.clone()
        };
        let (none, mut e) = (upstream(vec![]), upstream(vec!["10.0.0.7:5433".into()]));
        let found = find(&none).expect("found");
        assert_eq!(found.confidence, Confidence::Likely);
        let others: Vec<_> = found.alternatives.iter().map(|a| a.cause.as_str()).collect();
        assert_eq!(others, ["pooler-paused"]);
        assert_eq!(
            crate::diagnose(&e)[0].cause,
            "server-hung",
            "it is connected, and the server says nothing"
        );
        e.direct = Seen::Seen(admitted("renderflow-db.internal:5433"));
        assert!(find(&e).expect("found").summary.ends_with("around it renderflow-db.internal:5433 answers"));
    }
}
