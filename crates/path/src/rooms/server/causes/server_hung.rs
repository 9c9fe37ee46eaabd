//! `server-hung`: the postmaster is stopped or stuck.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::proxy::silence::{Silent, after_the_login, by_a_pooler, fact, heard, weigh};
use crate::rooms::server::startup_process;
use pgmedic_model::{Action, Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// The postmaster hangs: the kernel takes connections for it, and nobody answers.
    ///
    /// ## What it is
    /// The postmaster is stopped by a signal, stuck in the kernel (a storage stall), or starved. Sessions that exist go
    /// on; nobody new gets in. A plain TCP check stays green.
    ///
    /// ## What proves it
    /// TCP connects, then silence, through the proxy and around it; the postmaster's state is `T` or `D`
    /// (`ps -o stat,wchan`), and connections wait in its listener's Recv-Q.
    ///
    /// ## What mends it
    /// State `T`: `kill -CONT` the postmaster. State `D`: find the storage stall first (`dmesg`, `wchan`); a restart
    /// waits for the same disk. Only a postmaster that is proved stuck for good is restarted, after the disk's free
    /// space was looked at.
    ///
    /// ## What makes it worse
    /// `kill -9` of the postmaster: its children live on over the same data directory, and the next start must recover.
    ///
    /// ## What prevents it
    /// A health check that speaks the protocol and logs in; alerts on I/O pressure.
    ///
    /// ## References
    /// Postgres manual, "Shutting Down the Server"; ss(8); proc(5) on process states.
    "server-hung" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let finding = weigh(e)
        .filter(|verdict| verdict.who == Silent::Server)
        .map(|verdict| verdict.into_finding(CAUSE.id, Room::Server))
        .or_else(|| stopped_behind_another_failure(e))
        .or_else(|| silent_after_the_login(e))?;
    let pid = e.host.get().and_then(|h| h.postmaster.as_ref()).map(|p| p.pid);
    let look = pid.map_or_else(
        || "ps -o pid,stat,wchan:32,cmd -C postgres; ss -ltn   # on the database's host".to_owned(),
        |pid| format!("ps -o pid,stat,wchan:32,cmd -p {pid}; cat /proc/pressure/io; kill -CONT {pid}   # if stat is T"),
    );
    let wake = RemedyPlan::by_hand(
        "wake-postmaster",
        RemedyKind::Advice,
        "see why the postmaster does not run: continue it if it was stopped, mend the storage if it is stuck",
        look,
    );
    let data = startup_process::data_directory(e);
    let restart = RemedyPlan::by_hand(
        "restart-database",
        RemedyKind::DbRestart,
        "last: restart the database; every session ends, and it recovers before it lets anybody in",
        format!("pg_ctl -D {data} -m immediate -w restart   # as postgres; or systemctl restart postgresql"),
    );
    Some(finding.mended_by(wake).mended_by(restart.doing(Action::RestartDb)))
}

/// The window shows a stopped postmaster although something in front of it fails first.
fn stopped_behind_another_failure(e: &Evidence) -> Option<Finding> {
    let host = e.host.get()?;
    let postmaster = host.postmaster.as_ref().filter(|p| matches!(p.state, 'T' | 't'))?;
    let said = "the postmaster's state is T (stopped by a signal)";
    let proof = Fact::new(Source::Host, host.at, format!("pid {}", postmaster.pid), said).value("T");
    let summary =
        format!("the postmaster (pid {}) is stopped by a signal; it answers nobody", postmaster.pid);
    Some(Finding::new(CAUSE.id, Room::Server, Severity::Critical, Confidence::Certain, summary, proof))
}

/// Logged in, and then nothing, with no pooler known of that could be the reason.
fn silent_after_the_login(e: &Evidence) -> Option<Finding> {
    let silence = after_the_login(&e.front)?;
    let pooled = e.pooler.get().is_some() || by_a_pooler(e).is_some();
    if pooled {
        return None;
    }
    let proof = fact(&e.front, silence);
    let how = if heard(&e.front) == 0 { "answers no query" } else { "gets to the end of no answer" };
    let summary = format!("{} logs in and then {how}", e.front.address);
    Some(
        Finding::new(CAUSE.id, Room::Server, Severity::Critical, Confidence::Possible, summary, proof)
            .or_else(
                "pooler-pool-exhausted",
                "the pooler's console, if there is a PgBouncer (configure `pooler`)",
            )
            .or_else("mtu-black-hole", "small answers pass and large ones do not: `ping -M do -s 1400`")
            .or_else(
                "packets-dropped",
                "`ss -tio` here: data of this connection is sent again and never acknowledged",
            ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{first_bytes, healthy, window};
    use crate::evidence::{QueryOutcome, Seen};
    use crate::platform::evidence::{ListenerView, ProcessView};
    use crate::rooms::proxy::evidence::FirstBytes;

    #[test]
    fn server_hung_is_possible_where_nothing_decides() {
        let found = find(&first_bytes(FirstBytes::Silent)).expect("found");
        assert_eq!(found.confidence, Confidence::Possible);
        let others: Vec<_> = found.alternatives.iter().map(|a| a.cause.as_str()).collect();
        assert_eq!(others, ["proxy-hung", "proxy-client-limit", "pooler-hung", "packets-dropped"]);
    }

    #[test]
    fn server_hung_is_certain_where_the_postmaster_is_stopped() {
        let mut e = first_bytes(FirstBytes::Silent);
        window(&mut e, |host| {
            host.front_listener = Some(ListenerView { recv_q: 3, pid: Some(9), ..ListenerView::default() });
            host.postmaster = Some(ProcessView { pid: 9, state: 'T', ..ProcessView::default() });
        });
        let found = find(&e).expect("found");
        assert_eq!(found.confidence, Confidence::Certain);
        assert!(found.evidence.iter().any(|f| f.fact.contains("Recv-Q")));
    }

    #[test]
    fn server_hung_is_likely_where_the_way_around_the_proxy_is_silent_too() {
        let mut e = first_bytes(FirstBytes::Silent);
        e.direct = Seen::Seen(first_bytes(FirstBytes::Silent).front);
        assert_eq!(find(&e).expect("found").confidence, Confidence::Likely);
    }

    #[test]
    fn server_hung_is_possible_where_a_login_is_followed_by_silence() {
        let mut e = healthy();
        if let Some(query) = &mut e.front.query {
            query.outcome = QueryOutcome::Silent;
        }
        assert_eq!(find(&e).expect("found").confidence, Confidence::Possible);
        assert!(find(&healthy()).is_none());
    }
}
