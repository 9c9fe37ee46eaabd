//! `unauthenticated-flood`: clients that connect and never log in use the server up.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::psql;
use crate::platform::evidence::HostEvidence;
use crate::rooms::admission::slots::{self, Slots};
use crate::said;
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source};

cause! {
    /// Clients that connect and never log in leave no room for those who would.
    ///
    /// ## What it is
    /// Each TCP connection gets a backend process before a word is said, and keeps it for `authentication_timeout` (60 s)
    /// even if nothing comes. Past twice `max_connections` or so the postmaster turns everybody away. A port scanner, a load
    /// balancer's TCP check that does not hang up, a client whose TLS or DNS hangs after connecting, or an attack.
    ///
    /// ## What proves it
    /// `FATAL 53300 sorry, too many clients already`, for superusers too, while `pg_stat_activity` would be nearly empty: it
    /// has no row for who has not logged in. On the server's host the postmaster has many children without a title, and
    /// `ss -tn sport = :5432` far more connections than there are sessions.
    ///
    /// ## What mends it
    /// 1. Block the source at the firewall, or stop what connects (the addresses are named below).
    /// 2. `ALTER SYSTEM SET authentication_timeout = '5s'`, then reload: it holds for connections from then on. Who is in
    ///    already goes within a minute.
    ///
    /// ## What makes it worse
    /// Raising `max_connections`: a restart, and the flood fills it again. Ending sessions: they are not what fills it.
    ///
    /// ## What prevents it
    /// No port open to the internet; a proxy or PgBouncer in front, which holds such clients cheaply (`client_login_timeout`);
    /// health checks that log in or hang up.
    ///
    /// ## References
    /// Postgres manual: `authentication_timeout`; `canAcceptConnections` in postmaster.c (until 17), `pmchild.c` (18).
    "unauthenticated-flood" in Admission, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let refused = said::error(e, Words::TooManyClients)?;
    let (host, silent) = silent(e)?;
    let slots = slots::count(e);
    let max = slots.as_ref().map(|s| s.max).or(host.max_connections).filter(|max| *max > 0)?;
    let taken = slots.as_ref().map_or(0, |s| s.taken);
    // Newcomers are without a title for a moment, and so are those that are being refused.
    if silent * 2 < max || taken >= max {
        return None;
    }
    let from = sources(host);
    let summary = format!(
        "{silent} clients are connected and have not begun to log in, {taken} of {max} slots are taken: the server turns \
         everybody away{from}"
    );
    let said = format!("{silent} children of the postmaster have had no startup packet{from}");
    let place = host.postmaster.as_ref().map_or_else(String::new, |p| format!("children of pid {}", p.pid));
    let finding = Finding::new(
        CAUSE.id,
        Room::Admission,
        Severity::Critical,
        Confidence::Certain,
        summary,
        Fact::new(Source::Host, host.at, place, said).value(silent),
    )
    .and(refused.fact())
    .and_all(slots.iter().flat_map(|s: &Slots| s.facts(e).into_iter().take(1)));
    Some(finding.mended_by(find_the_source(e)).mended_by(be_less_patient(e)))
}

/// Children of the postmaster of whose client nothing has come.
fn silent(e: &Evidence) -> Option<(&HostEvidence, u64)> {
    let host = e.host.get()?;
    Some((host, host.unstarted?))
}

/// `; 220 connections come from 10.0.0.66`.
fn sources(host: &HostEvidence) -> String {
    host.peers.first().map_or_else(String::new, |(ip, n)| format!("; {n} connections come from {ip}"))
}

fn find_the_source(e: &Evidence) -> RemedyPlan {
    let port = e.direct.get().map_or(e.front.address.as_str(), |d| d.address.as_str());
    let (_, port) = crate::ways::host_and_port(port);
    RemedyPlan::by_hand(
        "block-source",
        RemedyKind::Advice,
        "on the server's host, see where the connections come from; block that source or stop what connects",
        format!(
            "ss -Htn state established sport = :{port} | awk '{{sub(/:[0-9]+$/,\"\",$4); print $4}}' | sort | uniq -c | sort -rn | head"
        ),
    )
}

fn be_less_patient(e: &Evidence) -> RemedyPlan {
    RemedyPlan::by_hand(
        "shorten-authentication-timeout",
        RemedyKind::Settings,
        "once somebody can log in again (within a minute): let the server hang up on who does not log in",
        psql(e, "alter system set authentication_timeout = '5s'")
            + " && "
            + &psql(e, "select pg_reload_conf()"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, refused as walk_refused, window};
    use crate::platform::evidence::{ProcessView, TitleGroup};
    use pgmedic_model::Role;

    fn flood(silent: u64, sessions: u64) -> Evidence {
        let mut e = walk_refused("53300", "sorry, too many clients already");
        window(&mut e, |host| {
            host.max_connections = Some(100);
            host.postmaster = Some(ProcessView { pid: 812, ..ProcessView::default() });
            let idle = TitleGroup {
                role: "app".into(),
                activity: "idle".into(),
                count: sessions,
                ..TitleGroup::default()
            };
            host.backends = Some(vec![idle]);
            host.unstarted = Some(silent);
            host.peers = vec![("10.0.0.66".into(), 220)];
        });
        e
    }

    #[test]
    fn unauthenticated_flood_is_seen_in_the_postmasters_children() {
        let found = crate::diagnose(&flood(220, 5));
        let told: Vec<_> = found.iter().map(|f| (f.cause.as_str(), f.role)).collect();
        assert_eq!(told, [(CAUSE.id, Role::Root), ("all-slots-exhausted", Role::Symptom)]);
        assert_eq!(found[0].confidence, Confidence::Certain);
        assert!(found[0].summary.ends_with("everybody away; 220 connections come from 10.0.0.66"));
        assert!(found[0].remedies[0].command.contains("sport = :5432"));
    }

    #[test]
    fn unauthenticated_flood_is_not_a_house_full_of_sessions() {
        assert!(find(&flood(12, 100)).is_none(), "newcomers that are being refused");
        assert!(find(&flood(60, 100)).is_none());
        assert!(find(&flood(3, 5)).is_none());
        assert!(find(&healthy()).is_none());
        let mut admitted = healthy();
        window(&mut admitted, |host| host.unstarted = Some(90));
        assert!(find(&admitted).is_none(), "nobody is turned away");
    }
}
