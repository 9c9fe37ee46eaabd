//! `dead-address-among-answers`: one of several addresses does not work.

use crate::cause::Proof;
use crate::evidence::{Evidence, RouteEvidence};
use crate::paste::argument;
use crate::rooms::network::evidence::{Attempt, ConnectOutcome};
use crate::rooms::network::reading::{connected, fact, here_alone, how, is_loopback, is_v6};
use crate::ways::{Around, host_and_port, struck};
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Severity};

cause! {
    /// The database's name has several addresses, and not all of them work.
    ///
    /// ## What it is
    /// One address of the name leads to a dead or wrong machine while another works. A client that tries the
    /// dead one first loses its whole connect timeout (3.04 s with `connect_timeout=3`) before it goes on;
    /// clients that try only one fail at random.
    ///
    /// ## What proves it
    /// One attempt to each address: at least one connects and at least one is refused or stays silent. A
    /// silent one is the worse: a refusal costs no time.
    ///
    /// ## What mends it
    /// Take the dead machine's record out of DNS, or start what should listen there. Then restart or
    /// re-resolve clients that keep the old answer.
    ///
    /// ## What makes it worse
    /// Closing the alarm with "it works again": the next client draws the dead address.
    ///
    /// ## What prevents it
    /// Health-checked DNS records, a short timeout for each address, clients that try all addresses; where
    /// one address is a standby, `target_session_attrs=read-write`.
    ///
    /// ## References
    /// Postgres manual, "Parameter Key Words" (`connect_timeout` counts for each address;
    /// `load_balance_hosts`, `target_session_attrs`); RFC 8305 (happy eyeballs); RFC 6724.
    "dead-address-among-answers" in Network, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let way = struck(e, Around::Aside, |r| dead(r).is_some())?;
    let worst = dead(way.route)?;
    let attempts = &way.route.network.as_ref()?.attempts;
    let alive = attempts.iter().find(|a| connected(a))?;
    let price =
        if worst.outcome == ConnectOutcome::Silent { "; a client waits its whole timeout there" } else { "" };
    let summary = format!(
        "{} does not work ({}) while {} does{price}{}",
        worst.address,
        how(worst),
        alive.address,
        way.on_the_way()
    );
    let finding =
        Finding::new(CAUSE.id, CAUSE.room, Severity::Warning, Confidence::Certain, summary, fact(worst))
            .and_all(attempts.iter().filter(|a| *a != worst).take(8).map(fact));
    let (name, _) = host_and_port(&way.route.address);
    let (host, port) = host_and_port(&worst.address);
    Some(finding.mended_by(RemedyPlan::by_hand(
        "remove-dead-address",
        RemedyKind::Advice,
        format!("take {host} out of the name's records, or start what should listen there"),
        format!("getent ahosts {}; nc -vz -w 3 {} {port}", argument(name), argument(host)),
    )))
}

/// The worst of the addresses that do not work, where another one does: silence before refusals. An address
/// is excused where it is a loopback (`localhost` has two, and a server rarely listens on both), or where
/// this host lacks its family.
fn dead(route: &RouteEvidence) -> Option<&Attempt> {
    let attempts = &route.network.as_ref()?.attempts;
    if !attempts.iter().any(connected) {
        return None;
    }
    let reached = |v6: bool| attempts.iter().any(|a| is_v6(a) == v6 && !here_alone(a.outcome));
    let excused = |a: &Attempt| is_loopback(a) || (here_alone(a.outcome) && !reached(is_v6(a)));
    attempts
        .iter()
        .filter(|a| !connected(a) && !excused(a))
        .min_by_key(|a| a.outcome != ConnectOutcome::Silent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{ADDRESS, attempts, healthy, unconnected};

    const ALIVE: (&str, ConnectOutcome, Option<i32>) = (ADDRESS, ConnectOutcome::Connected, None);

    fn tried(list: &[(&str, ConnectOutcome, Option<i32>)]) -> Evidence {
        let mut e = healthy();
        e.front.network = Some(attempts(list));
        e
    }

    #[test]
    fn dead_address_among_answers_names_the_silent_one_first() {
        let refused = ("10.0.0.8:5432", ConnectOutcome::Refused, Some(111));
        let silent = ("10.0.0.9:5432", ConnectOutcome::Silent, None);
        let found = find(&tried(&[refused, silent, ALIVE])).expect("found");
        assert_eq!((found.severity, found.confidence), (Severity::Warning, Confidence::Certain));
        assert!(
            found
                .summary
                .starts_with("10.0.0.9:5432 does not work (no answer after 3.0 s) while 10.0.0.7:5432 does")
        );
        assert_eq!(found.evidence.len(), 3);
    }

    #[test]
    fn dead_address_among_answers_excuses_loopback_and_missing_families() {
        let loopback = ("[::1]:5432", ConnectOutcome::Refused, Some(111));
        assert!(find(&tried(&[loopback, ("127.0.0.1:5432", ConnectOutcome::Connected, None)])).is_none());
        for (outcome, errno) in [(ConnectOutcome::Unreachable, 101), (ConnectOutcome::CannotTry, 99)] {
            assert!(find(&tried(&[("[fdaa::3]:5432", outcome, Some(errno)), ALIVE])).is_none());
        }
        let other_six = ("[fdaa::4]:5432", ConnectOutcome::Connected, None);
        let no_way = ("[fdaa::3]:5432", ConnectOutcome::Unreachable, Some(101));
        assert!(find(&tried(&[no_way, other_six])).is_some(), "the family is there, the way is not");
    }

    #[test]
    fn dead_address_among_answers_needs_one_that_works() {
        assert!(find(&unconnected(&[(ADDRESS, ConnectOutcome::Silent, None)])).is_none());
        assert!(find(&healthy()).is_none());
    }
}
