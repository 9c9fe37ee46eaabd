//! `server-down`: the postmaster is gone.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::server::gone::{self, Gone, lets_in, nobody_there};
use crate::rooms::server::{log, startup_process};
use crate::said;
use pgmedic_model::pooler_words::{self, Words};
use pgmedic_model::{Action, Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// The server is down: its postmaster is gone.
    ///
    /// ## What it is
    /// It was killed, or died: a PANIC on a full WAL volume takes it down within 41 ms and it stays down, for not every
    /// platform starts it again. A server that somebody stopped in good order is `stopped-by-administrator`.
    ///
    /// ## What proves it
    /// Nothing listens (connections are refused, or the proxy closes them), and on its host no postmaster runs in its
    /// data directory; or the platform shows its instances stopped, failed or out of reach, or a health check in a running one
    /// finds nothing that listens. Sessions that were in heard `57P01 … due to unexpected postmaster exit`. Without a
    /// window on the host or the platform, `port-closed` is all that can be said.
    ///
    /// ## What mends it
    /// 1. Read the last FATAL or PANIC in the log: it says why.
    /// 2. Check free space *and* inodes of data and WAL volumes.
    /// 3. Only then start it.
    ///
    /// ## What makes it worse
    /// A restart loop: it hides the first error, and each crash recovery starts anew. Removing `postmaster.pid` while an
    /// old backend still runs: two servers on one directory is corruption.
    ///
    /// ## What prevents it
    /// A supervisor that restarts it, with a gate on free space; separate alerts for the WAL volume.
    ///
    /// ## References
    /// Postgres manual: "Starting the Database Server", "Shutting Down the Server".
    "server-down" in Server, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let by_platform = gone::seen(e).filter(|gone| !gone.requested);
    match on_its_host(e) {
        Some(found) => Some(found.and_all(by_platform.map(|gone| gone.proof))),
        None => by_platform.map(|gone| as_the_platform_tells(e, gone)),
    }
}

/// By the platform alone: there is no window on its host, or that shows nothing of it.
fn as_the_platform_tells(e: &Evidence, gone: Gone<'_>) -> Finding {
    let last = log::last_word(e);
    let word = last.as_ref().map(|fact| format!("; its log ends in {}", fact.fact)).unwrap_or_default();
    let summary = format!("the server is down: {}{word}", gone.what);
    let remedies = gone.remedies();
    let finding =
        Finding::new(CAUSE.id, Room::Server, Severity::Critical, gone.confidence, summary, gone.proof)
            .and_all(gone.facts)
            .and_all(last);
    remedies.into_iter().fold(finding, Finding::mended_by)
}

/// By this host's window, or by a backend that outlived it.
fn on_its_host(e: &Evidence) -> Option<Finding> {
    if lets_in(e) {
        return None;
    }
    let exit =
        said::errors(e).chain(said::notices(e)).find(|s| s.says(Words::PostmasterGone)).map(|s| s.fact());
    let gone =
        e.host.get().filter(|h| h.postmaster.as_ref().is_none_or(|p| p.state == 'Z')).and_then(|host| {
            let text = format!("no postmaster runs in {}", host.data_directory.as_ref()?);
            Some(Fact::new(Source::Host, host.at, "/proc", text))
        });
    let gone = gone.filter(|_| log::stopped_in_good_order(e).is_none());
    let closed = nobody_there(e).filter(|_| gone.is_some());
    let left = left_behind(e).filter(|_| gone.is_some());
    if exit.is_none() && closed.is_none() && left.is_none() {
        return None;
    }
    let confidence =
        if exit.is_some() || closed.is_some() { Confidence::Certain } else { Confidence::Likely };
    let last = log::last_word(e);
    let word = last.as_ref().map(|fact| match pooler_words::says(&fact.fact, Words::ReadyForConnections) {
        true => "; its log says nothing since it was ready".to_owned(),
        false => format!("; its log ends in {}", fact.fact),
    });
    let word = word.unwrap_or_default();
    let summary = format!("the server is down: its postmaster is gone{word}");
    let mut facts = exit.into_iter().chain(gone).chain(closed).chain(left).chain(last);
    let proof = facts.next()?;
    let data = startup_process::data_directory(e);
    Some(
        Finding::new(CAUSE.id, Room::Server, Severity::Critical, confidence, summary, proof)
            .and_all(facts)
            .mended_by(RemedyPlan::by_hand(
                "see-why-it-is-down",
                RemedyKind::Advice,
                "read why it went, and whether its volumes have space and inodes, before starting anything",
                format!("df -h {data} {data}/pg_wal; df -i {data}; journalctl -u 'postgresql*' -n 50 --no-pager"),
            ))
            .mended_by(RemedyPlan::by_hand(
                "start-database",
                RemedyKind::DbRestart,
                "start it, once the reason is known and there is space",
                format!("pg_ctl -D {data} -w -l /tmp/start.log start   # as postgres; or systemctl start postgresql"),
            ).doing(Action::StartDb)),
    )
}

/// Its lock file is still there, and every way in breaks before anybody's door: a dead name, a firewall. Where some way
/// comes to a door, that tells more. `server_down` is then likely, not certain: in another pid namespace its process
/// would not be seen from here.
fn left_behind(e: &Evidence) -> Option<Fact> {
    let connected = e.routes().any(|(_, route)| route.proxy.is_some());
    let host = e.host.get().filter(|host| !connected && host.blind.is_empty())?;
    let pid = host.lock_file.as_ref().filter(|lock| lock.process.is_none())?.pid?;
    let place = format!("{}/postmaster.pid", host.data_directory.as_ref()?);
    Some(Fact::new(
        Source::Host,
        host.at,
        place,
        format!("its lock file is left, and no process has its pid {pid}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{
        ADDRESS, AT, eai, first_bytes, healthy, log_of, refused, unconnected, unresolved, window,
    };
    use crate::instances::tests::{checked, instance, platform_tells};
    use crate::platform::evidence::{LockFileView, ProcessView};
    use crate::platform::told::{CheckLogin, Checked, Exit, Instance, InstanceState, MemberRole};
    use crate::rooms::dns::evidence::AnswerOutcome;
    use crate::rooms::network::evidence::ConnectOutcome;
    use crate::rooms::proxy::evidence::FirstBytes;
    use pgmedic_model::{Role, Timestamp};

    fn on_its_host(mut e: Evidence, postmaster: Option<ProcessView>) -> Evidence {
        window(&mut e, |host| {
            host.data_directory = Some("/var/lib/postgresql/15/main".into());
            host.postmaster = postmaster;
            host.log = Some(log_of(
                "53100",
                "could not write to file \"pg_wal/xlogtemp.29\": No space left on device",
            ));
        });
        e
    }

    #[test]
    fn server_down_behind_a_pooler_that_still_welcomes_its_clients() {
        let mut e = healthy();
        e.front.query = None;
        e.direct =
            crate::evidence::Seen::Seen(unconnected(&[(ADDRESS, ConnectOutcome::Refused, Some(111))]).front);
        let mut e = on_its_host(e, None);
        assert!(find(&e).is_none(), "what let us in may be the server");
        e.front.startup.as_mut().expect("startup").pooler = Some("it says so".into());
        assert_eq!(find(&e).expect("found").confidence, Confidence::Certain);
    }

    #[test]
    fn server_down_where_nothing_listens_and_no_postmaster_runs() {
        let refused = unconnected(&[(ADDRESS, ConnectOutcome::Refused, Some(111))]);
        for e in [refused.clone(), first_bytes(FirstBytes::Closed)] {
            assert!(find(&e).is_none(), "from outside it is port-closed, or a proxy without a backend");
            let found = find(&on_its_host(e, None)).unwrap();
            assert_eq!(found.confidence, Confidence::Certain);
            assert!(found.summary.contains("its log ends in FATAL 53100: could not write"));
            assert!(found.remedies[0].command.starts_with("df -h /var/lib/postgresql/15/main"));
        }
        let alive = ProcessView { pid: 812, state: 'S', ..ProcessView::default() };
        assert!(find(&on_its_host(refused, Some(alive))).is_none());
        assert!(find(&on_its_host(healthy(), None)).is_none());
    }

    #[test]
    fn server_down_is_not_a_server_that_somebody_stopped() {
        let refused = unconnected(&[(ADDRESS, ConnectOutcome::Refused, Some(111))]);
        let mut e = on_its_host(refused, None);
        let crate::evidence::Seen::Seen(host) = &mut e.host else { unreachable!() };
        let log = host.log.as_mut().unwrap();
        log.entries[0].severity = "LOG".into();
        log.entries[0].message = "received fast shutdown request".into();
        let stopped = e.clone();
        assert!(find(&stopped).is_none());
        let crate::evidence::Seen::Seen(host) = &mut e.host else { unreachable!() };
        host.postmaster_status = Some("ready".into());
        assert!(find(&e).is_some(), "its lock file is still there");
    }

    #[test]
    fn server_down_shows_through_the_window_where_no_way_leads_to_its_door() {
        let seen = |lock: Option<u32>, running: Option<ProcessView>, blind: &[&str]| {
            let dropped = unconnected(&[(ADDRESS, ConnectOutcome::Silent, None)]);
            let mut e = on_its_host(dropped, None);
            let crate::evidence::Seen::Seen(host) = &mut e.host else { unreachable!() };
            host.lock_file = lock.map(|pid| LockFileView { pid: Some(pid), process: running });
            host.blind = blind.iter().map(ToString::to_string).collect();
            find(&e).map(|found| found.confidence)
        };
        let other = ProcessView { pid: 812, state: 'S', ..ProcessView::default() };
        assert_eq!(seen(Some(812), None, &[]), Some(Confidence::Likely));
        assert_eq!(seen(None, None, &[]), None, "it may have been stopped in good order");
        assert_eq!(seen(Some(812), None, &["not every process was looked at"]), None);
        assert_eq!(seen(Some(812), Some(other), &[]), None);
    }

    #[test]
    fn server_down_is_told_by_a_backend_that_outlived_it() {
        let e = refused("57P01", "terminating connection due to unexpected postmaster exit");
        assert!(find(&e).is_some());
    }

    #[test]
    fn server_down_is_told_by_its_instances_where_no_window_shows_its_host() {
        let gone = |e: Evidence, change: fn(&mut Instance)| {
            let (mut e, mut i) = (e, instance(InstanceState::Running, "started"));
            change(&mut i);
            platform_tells(&mut e, vec![i]);
            find(&e).map(|found| found.confidence)
        };
        let shut = || first_bytes(FirstBytes::Closed);
        let nothing = |at| {
            let value = CheckLogin::NothingListens("connection refused".into());
            Some(Checked { value, check: "pg".into(), at })
        };
        assert_eq!(gone(shut(), |i| i.state = InstanceState::Failed), Some(Confidence::Certain));
        assert_eq!(
            gone(healthy(), |i| i.state = InstanceState::Failed),
            None,
            "somebody answers all the same"
        );
        let other = refused("28P01", "password authentication failed for user \"app\"");
        assert_eq!(
            gone(other, |i| i.state = InstanceState::Stopped),
            None,
            "it is another server's instance"
        );
        assert_eq!(gone(shut(), |i| i.unreachable = true), Some(Confidence::Likely));
        assert_eq!(gone(shut(), |i| i.state = InstanceState::Unknown), None);
        assert_eq!(gone(shut(), |_| ()), None);
        let told = |at, role: Option<MemberRole>| {
            let (mut e, mut i) = (shut(), instance(InstanceState::Running, "started"));
            i.server.login = nothing(at);
            let mut other = instance(InstanceState::Running, "started");
            other.server.login = checked(CheckLogin::Admitted);
            other.server.role = role.and_then(checked);
            let list = if role.is_some() { vec![i, other] } else { vec![i] };
            platform_tells(&mut e, list);
            find(&e).map(|found| found.confidence)
        };
        assert_eq!(told(Some(AT), None), Some(Confidence::Certain));
        assert_eq!(
            told(Some(Timestamp(AT.0 - 600_000)), None),
            Some(Confidence::Likely),
            "an old check's word"
        );
        assert_eq!(told(Some(AT), Some(MemberRole::Replica)), Some(Confidence::Certain));
        assert_eq!(told(Some(AT), Some(MemberRole::Primary)), None, "another member takes writes");
    }

    #[test]
    fn server_down_takes_the_name_with_it_and_a_stop_that_was_asked_for_is_another_cause() {
        let mut e =
            unresolved(eai("EAI_NONAME", "Name or service not known"), 30.0, &[AnswerOutcome::NxDomain]);
        let mut i = instance(InstanceState::Failed, "stopped");
        i.by_hand.start = "fly machine start 148e -a db".into();
        platform_tells(&mut e, vec![i.clone()]);
        let found = crate::diagnose(&e);
        let roles: Vec<_> = found.iter().map(|f| (f.cause.as_str(), f.role)).collect();
        assert_eq!(roles, [("server-down", Role::Root), ("name-not-found", Role::Symptom)]);
        assert_eq!(found[0].remedies[0].command, "fly machine start 148e -a db");
        i.state = InstanceState::Stopped;
        i.exit = Some(Exit { requested: true, ..Exit::default() });
        platform_tells(&mut e, vec![i]);
        assert!(find(&e).is_none());
        assert_eq!(crate::diagnose(&e)[0].cause, "stopped-by-administrator");
    }
}
