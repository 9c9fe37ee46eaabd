//! `slots-exhausted`: ordinary roles are refused, reserved slots are left.

use crate::cause::Proof;
use crate::evidence::{Evidence, Seen};
use crate::rooms::admission::slots::{self, Slots};
use crate::rooms::sessions::ending;
use crate::said::{self, Said};
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Finding, RemedyPlan, Room, Severity};

cause! {
    /// Every ordinary connection slot is taken: ordinary roles are refused, only reserved slots are left.
    ///
    /// ## What it is
    /// Postgres admits `max_connections` client sessions and keeps `superuser_reserved_connections` (3) and, since 16,
    /// `reserved_connections` (0) of them back. The rest is taken, so each new login of the API fails after its
    /// password was accepted. Sessions that are in already go on working. `pg_isready` still says "accepting".
    ///
    /// ## What proves it
    /// `FATAL 53300 remaining connection slots are reserved for …` (PgBouncer before 1.20 relays it as `08P01`). From
    /// inside: `select count(*) from pg_stat_activity where backend_type = 'client backend'` is `max_connections` less
    /// both reserves. Plain `count(*)` counts background processes too.
    ///
    /// ## What mends it
    /// 1. See who holds them, by application and state. Locks (`lock-pile-up`) first: ending idle sessions does
    ///    nothing there.
    /// 2. Terminate *one class* of *one application*: idle longest first, a small batch, then look again.
    /// 3. Restart that application's instances, one at a time.
    /// 4. A limit for the greedy role, without a restart: `alter role x connection limit n`.
    ///
    /// ## What makes it worse
    /// Killing members of a healthy pool: it reconnects at once, net nothing. A restart of the database brings every
    /// client back at the same moment. Raising `max_connections` needs a restart and more memory.
    ///
    /// ## What prevents it
    /// Machines x pool max below the ordinary slots; an idle timeout in the pool; `connection limit` per role;
    /// PgBouncer; a `rescue` role that may use reserved slots.
    ///
    /// ## References
    /// Postgres manual: "Connections and Authentication" (`max_connections`, `superuser_reserved_connections`,
    /// `reserved_connections`), `pg_stat_activity`. Runbook, section 1.
    "slots-exhausted" in Admission, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let slots = slots::count(e);
    let full = slots.as_ref().is_some_and(Slots::reserve_free);
    let too_many = said::error(e, Words::TooManyClients);
    if too_many.is_some() && !full {
        return None;
    }
    let refused = said::error(e, Words::SlotsReserved).or(too_many);
    if refused.is_none() && !full {
        return None;
    }
    let sure = refused.is_some() || e.facts().is_some();
    let confidence = if sure { Confidence::Certain } else { Confidence::Likely };
    let mut facts = refused.iter().map(Said::fact).chain(slots.iter().flat_map(|s| s.facts(e)));
    let proof = facts.next()?;
    let finding = Finding::new(
        CAUSE.id,
        Room::Admission,
        Severity::Critical,
        confidence,
        summary(e, slots.as_ref()),
        proof,
    )
    .and_all(facts);
    let terminate = ending::terminate_idle(e).or_else(|| end_the_commonest(e));
    let restart = if terminate.is_none() { slots::restart_holder(e, slots.as_ref()) } else { None };
    Some(terminate.into_iter().chain([slots::look(e)]).chain(restart).fold(finding, Finding::mended_by))
}

/// Where most sessions run one long statement each, or sit in a transaction, ending that frees slots sooner than a
/// restart of their application.
fn end_the_commonest(e: &Evidence) -> Option<RemedyPlan> {
    let sessions = &e.facts()?.sessions;
    let most = |n: u64| n * 2 > sessions.active + sessions.idle + sessions.idle_in_transaction;
    if most(sessions.active) {
        let mut long: Vec<_> = sessions.sessions.iter().filter(|s| ending::is_long(s)).collect();
        long.sort_by(|a, b| b.query_ms.unwrap_or(0.0).total_cmp(&a.query_ms.unwrap_or(0.0)));
        let plan = format!(
            "cancel {} statement(s) running for over 2 s, the longest first: their clients can go on, and close what they \
             do not need",
            long.len().min(e.policy.max_terminations as usize)
        );
        return ending::cancel_long(e, &long, &plan);
    }
    // A transaction that has only just gone quiet is at work: what it has written is not thrown away for a slot.
    let after = e.policy.idle_in_transaction_after_ms;
    let in_transaction = sessions
        .sessions
        .iter()
        .filter(|s| ending::is_idle_in_transaction(s) && s.state_ms.is_some_and(|ms| ms > after));
    let longest =
        in_transaction.max_by(|a, b| a.state_ms.unwrap_or(0.0).total_cmp(&b.state_ms.unwrap_or(0.0)))?;
    most(sessions.idle_in_transaction)
        .then(|| ending::terminate_idle_in_transaction(e, longest, "terminate-idle-in-transaction"))
}

fn summary(e: &Evidence, slots: Option<&Slots>) -> String {
    match slots {
        Some(s) if s.taken >= s.ordinary => {
            let who = s.who(e).map(|who| format!("; {who}")).unwrap_or_default();
            format!("{} ordinary slots taken{who}", s.ratio())
        }
        Some(s) => format!("refused for want of an ordinary slot; a moment later {} were taken", s.ratio()),
        None if matches!(e.rescue, Seen::Seen(_)) => {
            "every ordinary slot is taken; who holds them cannot be seen: the rescue way did not get in either".into()
        }
        None => "every ordinary slot is taken; who holds them cannot be seen from outside: configure `rescue`, a role \
                 that may use reserved slots"
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, refused, with_facts};
    use crate::sql::facts::SessionGroup;

    const RESERVED: &str =
        "remaining connection slots are reserved for non-replication superuser connections";

    #[test]
    fn slots_exhausted_by_the_refusal_alone_says_what_it_cannot_see() {
        for code in ["53300", "08P01"] {
            let found = find(&refused(code, RESERVED)).unwrap();
            assert_eq!((found.severity, found.confidence), (Severity::Critical, Confidence::Certain));
            assert!(found.summary.ends_with("configure `rescue`, a role that may use reserved slots"));
            assert_eq!(found.remedies[0].remedy, "see-who-holds-slots");
        }
        assert!(find(&refused("53300", "sorry, too many clients already")).is_none());
        assert!(find(&healthy()).is_none());
    }

    #[test]
    fn slots_exhausted_names_the_holders_by_the_rescue_way() {
        let mut e = refused("53300", RESERVED);
        e.rescue = Seen::Seen(
            with_facts(|f| {
                (f.admission.client_backends, f.admission.own) = (98, 1);
                f.admission.groups = vec![SessionGroup {
                    application: "renderflow-api".into(),
                    state: Some("idle".into()),
                    count: 91,
                    over_idle_after: 91,
                    ..SessionGroup::default()
                }];
                f.sessions.sessions = vec![ending::tests::session_of(7, "idle", 900_000.0)];
            })
            .front,
        );
        let found = find(&e).unwrap();
        assert_eq!(found.summary, "97 of 97 ordinary slots taken; 91 by renderflow-api, idle over 10 min");
        assert_eq!(found.evidence.len(), 3);
        let ids = |found: Finding| found.remedies.into_iter().map(|r| r.remedy).collect::<Vec<_>>();
        assert_eq!(ids(found), ["terminate-idle-sessions", "see-who-holds-slots"]);
        e.policy.idle_after_ms = 3_600_000.0;
        assert_eq!(ids(find(&e).unwrap()), ["see-who-holds-slots", "restart-largest-holder"]);
    }

    #[test]
    fn slots_exhausted_by_statements_or_transactions_ends_those_and_not_who_idles() {
        let remedies = |state: &str, after: f64| {
            let mut e = refused("53300", RESERVED);
            e.policy.idle_in_transaction_after_ms = after;
            let rescue = with_facts(|f| {
                f.admission.client_backends = 98;
                let counts = (state == "active", state == "idle in transaction");
                (f.sessions.active, f.sessions.idle_in_transaction) =
                    (90 * u64::from(counts.0), 90 * u64::from(counts.1));
                f.sessions.sessions = vec![
                    ending::tests::session_of(7, state, 9_000.0),
                    ending::tests::session_of(8, state, 12_000.0),
                ];
            });
            e.rescue = Seen::Seen(rescue.front);
            find(&e).unwrap().remedies
        };
        let active = remedies("active", 60_000.0);
        assert_eq!(active[0].remedy, "cancel-query");
        assert!(active[0].command.contains("in ((8, "), "{}", active[0].command);
        let open = remedies("idle in transaction", 10_000.0);
        assert!(open[0].remedy == "terminate-idle-in-transaction" && open[0].command.contains("((8, "));
        // What was written seconds ago is not thrown away.
        assert_ne!(remedies("idle in transaction", 60_000.0)[0].remedy, "terminate-idle-in-transaction");
    }

    #[test]
    fn slots_exhausted_is_seen_from_inside_without_counting_pgmedic() {
        let taken = |n: u64| with_facts(|f| f.admission.client_backends = n + 1);
        assert!(find(&taken(96)).is_none());
        assert!(find(&taken(97)).is_some());
    }
}
