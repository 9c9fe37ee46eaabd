//! `proxy-without-backend`: the proxy hangs up at once.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::instances;
use crate::platform::evidence::{HaproxyEnding, HaproxyRow};
use crate::platform::told::MemberRole;
use crate::rooms::proxy::evidence::{FirstBytes, ProxyEvidence, Sent};
use crate::rooms::proxy::log;
use crate::rooms::proxy::queue;
use pgmedic_model::haproxy_words::Ended;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// The proxy has no healthy server behind it and hangs up without a word.
    ///
    /// ## What it is
    /// TCP connects and the peer closes at once, with not one byte. A Postgres server never does that to a newcomer: it
    /// answers, or it sends an error. A HAProxy without a healthy backend does. Drivers say `server closed the
    /// connection unexpectedly`.
    ///
    /// ## What proves it
    /// A FIN with zero bytes after the first message. HAProxy's `show stat` has every server `DOWN` or `MAINT`, and its log
    /// ends the session with `SC` (no server, or it refused) or `sC` (it did not answer in `timeout connect`); the way
    /// around the proxy (`direct`) either works, and then the proxy's check or its resolver is wrong, or fails, and
    /// then that failure is the cause.
    ///
    /// ## What mends it
    /// First the database, if `direct` fails as well. If `direct` works: see why the check fails
    /// (`echo 'show stat' | socat stdio /run/haproxy/haproxy.sock`), mend the check's path or the name it resolves, and
    /// only then `set server BACKEND/SERVER state ready`.
    ///
    /// ## What makes it worse
    /// Restarting the API: it reconnects into the same nothing. Restarting the proxy while slots are full: its check
    /// fails because it cannot log in, and all sessions are cut again.
    ///
    /// ## What prevents it
    /// An alert on `haproxy_backend_active_servers == 0`; a check that does not need one of the slots that clients use
    /// up; API roles that are not superuser, so that the check's reserve stays free.
    ///
    /// ## References
    /// HAProxy management guide, 9.1 (CSV format) and 9.3 (`show stat`, `set server`). Postgres-flex: a `zombie` member
    /// leaves HAProxy without a backend although Postgres is up.
    "proxy-without-backend" in Proxy, proved by Proof::Drill;
}

/// A proxy that hangs up later than this has tried for a while.
const AT_ONCE_MS: f64 = 500.0;
/// HAProxy's log has milliseconds, but a syslog daemon's stamps have whole seconds.
const CLOCK_MS: i64 = 1_000;

fn find(e: &Evidence) -> Option<Finding> {
    // A server before Postgres 17 hangs up on a ClientHello: that is for the room tls to judge.
    let hung_up = |p: &&ProxyEvidence| {
        matches!(p.first, FirstBytes::Closed | FirstBytes::Reset) && p.sent != Sent::ClientHello
    };
    let proxy = e.front.proxy.as_ref().filter(hung_up)?;
    if queue::given_up(e).is_some() {
        return None;
    }
    let reset = proxy.first == FirstBytes::Reset;
    let how = if reset { "reset the connection" } else { "closed" };
    let said = format!("the peer {how} after {} without a byte", proxy.elapsed_ms);
    let proof = Fact::new(Source::Bytes, proxy.at, &e.front.address, said).value(proxy.elapsed_ms.0);
    let mut down = servers_down(e);
    down.extend(said_in_its_log(e));
    let (withheld, fact) = out_of_service(e).unzip();
    down.extend(fact);
    let direct_ok = e.direct.get().is_some_and(|d| d.admitted());
    // A proxy sends a FIN; a reset also comes from what does not care to read.
    let confidence = match (down.is_empty(), reset) {
        (false, _) => Confidence::Certain,
        (true, false) => Confidence::Likely,
        (true, true) => Confidence::Possible,
    };
    let around = match (e.direct.get(), direct_ok) {
        (Some(d), true) => format!("; around it {} answers", d.address),
        (Some(d), false) => format!("; around it {} fails as well", d.address),
        (None, _) => String::new(),
    };
    let when = if proxy.elapsed_ms.0 < AT_ONCE_MS {
        "at once".to_owned()
    } else {
        format!("after {}", proxy.elapsed_ms)
    };
    let why = withheld.map(|why| format!(": {why}")).unwrap_or_default();
    let summary =
        format!("the proxy at {} has no healthy server and hangs up {when}{around}{why}", e.front.address);
    let mut finding =
        Finding::new(CAUSE.id, Room::Proxy, Severity::Critical, confidence, summary, proof).and_all(down);
    if let Some(startup) = e.direct.get().filter(|d| d.admitted()).and_then(|d| d.startup.as_ref()) {
        let place = e.direct.get().map_or_else(String::new, |d| d.address.clone());
        finding =
            finding.and(Fact::new(Source::Startup, startup.at, place, "the way around the proxy logs in"));
    }
    if confidence != Confidence::Certain {
        finding = finding.or_else(
            "server-descriptors-exhausted",
            "the server's log (`Too many open files`) and /proc/PID/fd of the postmaster",
        );
    }
    Some(finding.mended_by(RemedyPlan::by_hand(
        "restore-backend",
        RemedyKind::Advice,
        "see which servers the proxy holds for down and why; mend the database or the check before the proxy",
        "echo 'show stat' | socat stdio UNIX-CONNECT:/run/haproxy/haproxy.sock | cut -d, -f1,2,18,37",
    )))
}

/// Why the platform's images keep their server from their proxy though it may be up: by the role that its check tells.
fn out_of_service(e: &Evidence) -> Option<(&'static str, Fact)> {
    let roles = [
        (MemberRole::Fenced, "its server is fenced, for it does not know whether another one takes writes"),
        (MemberRole::ReadOnly, "its server is kept from writes, for its disk is over the platform's limit"),
    ];
    if instances::of_db(e).iter().any(|i| instances::has_role(i, MemberRole::Primary)) {
        return None;
    }
    roles.iter().find_map(|(role, why)| {
        let (i, fact) = instances::with_role(e, *role, why)?;
        let fresh = i.server.role.as_ref().is_some_and(|told| instances::is_fresh(e, told.at));
        fresh.then_some((*why, fact))
    })
}

/// A fact for each server that HAProxy's own account shows as not up.
fn servers_down(e: &Evidence) -> Vec<Fact> {
    let Some((host, view)) = e.host.get().and_then(|h| h.haproxy.as_ref().map(|v| (h, v))) else {
        return Vec::new();
    };
    let fact = |row: &HaproxyRow| {
        let check = if row.check.is_empty() { String::new() } else { format!(", last check {}", row.check) };
        let said = format!("server {}/{} is {}{check}", row.proxy, row.server, row.status);
        Fact::new(Source::Host, host.at, &view.socket, said).value(row.status.clone())
    };
    view.rows.iter().filter(|row| row.is_server() && row.is_out()).map(fact).collect()
}

/// What HAProxy logged while the walk stood at its door: that it found no server for a session.
fn said_in_its_log(e: &Evidence) -> Option<Fact> {
    let refused = log::endings(e, &[Ended::ServerRefused, Ended::ServerSilent]);
    let ours = |(n, _): &(&HaproxyEnding, Fact)| n.at.is_none_or(|at| at.0 >= e.started_at.0 - CLOCK_MS);
    refused.into_iter().find(ours).map(|(_, fact)| fact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{AT, admitted, first_bytes, healthy, window};
    use crate::platform::evidence::{HaproxyLogView, HaproxyView};
    use pgmedic_model::Timestamp;

    #[test]
    fn proxy_without_backend_is_a_fin_without_bytes() {
        let found = find(&first_bytes(FirstBytes::Closed)).expect("found");
        assert_eq!(found.confidence, Confidence::Likely);
        assert_eq!(found.alternatives.len(), 1);
        assert!(find(&healthy()).is_none());
        assert!(find(&first_bytes(FirstBytes::Silent)).is_none());
        assert_eq!(find(&first_bytes(FirstBytes::Reset)).map(|f| f.confidence), Some(Confidence::Possible));
    }

    #[test]
    fn proxy_without_backend_is_certain_by_haproxys_own_account() {
        let mut e = first_bytes(FirstBytes::Closed);
        e.direct = Seen::Seen(admitted("db:5433"));
        window(&mut e, |host| {
            let row = HaproxyRow {
                proxy: "pg".into(),
                server: "s1".into(),
                status: "DOWN".into(),
                check: "L4CON".into(),
                ..HaproxyRow::default()
            };
            host.haproxy = Some(HaproxyView { rows: vec![row], ..HaproxyView::default() });
        });
        let found = find(&e).expect("found");
        assert_eq!(found.confidence, Confidence::Certain);
        assert!(found.evidence.iter().any(|f| f.fact.contains("pg/s1 is DOWN, last check L4CON")));
        assert!(found.summary.contains("around it db:5433 answers"));
    }

    #[test]
    fn proxy_without_backend_is_certain_by_haproxys_log() {
        let with = |flags: &str, at: i64| {
            let mut e = first_bytes(FirstBytes::Closed);
            let ending = HaproxyEnding {
                flags: flags.into(),
                count: 1,
                at: Some(Timestamp(AT.0 + at)),
                last: format!("fe be/<NOSRV> -1/-1/0 0 {flags}"),
                ..HaproxyEnding::default()
            };
            let log = HaproxyLogView { endings: vec![ending], ..HaproxyLogView::default() };
            window(&mut e, |host| host.haproxy_log = Some(log));
            find(&e).map(|found| found.confidence)
        };
        assert_eq!(with("SC", 40), Some(Confidence::Certain));
        assert_eq!(with("SC", -60_000), Some(Confidence::Likely), "another's, a minute ago");
        assert_eq!(with("cD", 40), Some(Confidence::Likely));
    }

    #[test]
    fn proxy_without_backend_is_explained_by_the_role_of_its_server() {
        use crate::instances::tests::{checked, instance, platform_tells};
        use crate::platform::told::InstanceState;
        let with = |roles: &[MemberRole]| {
            let mut e = first_bytes(FirstBytes::Closed);
            let member = |role: &MemberRole| {
                let mut i = instance(InstanceState::Running, "started");
                i.server.role = checked(*role);
                i
            };
            platform_tells(&mut e, roles.iter().map(member).collect());
            find(&e).unwrap()
        };
        let fenced = with(&[MemberRole::Fenced]);
        assert_eq!(fenced.confidence, Confidence::Certain);
        assert!(fenced.summary.contains(": its server is fenced"), "{}", fenced.summary);
        assert_eq!(with(&[MemberRole::Fenced, MemberRole::Primary]).confidence, Confidence::Likely);
    }
}
