//! `all-slots-exhausted`: superusers are refused too.

use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::rooms::admission::slots::{self, Slots};
use crate::rooms::sessions::ending;
use crate::said::{self, Said};
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{Confidence, Finding, RemedyKind, RemedyPlan, Room, Severity};

cause! {
    /// Every connection slot is taken, the reserved ones included: superusers are refused too.
    ///
    /// ## What it is
    /// All of `max_connections` are in use, so the server says no before it asks for a password. It happens where the
    /// application logs in as a superuser (Fly's `attach` made one by default) or where tools took the reserve.
    ///
    /// ## What proves it
    /// `FATAL 53300 sorry, too many clients already`, for a superuser as well. Nothing inside can be asked; the host's
    /// process titles (`ps -o args --ppid POSTMASTER`) show role, database, client and what each backend does.
    ///
    /// ## What mends it
    /// 1. Whoever is in already can end idle sessions: a console left open, or `pgmedic watch` by its standing session.
    /// 2. Stop one instance of the application that holds most: its sessions close.
    /// 3. On the database's host, end chosen *idle* backends: `kill -TERM PID` (the same as `pg_terminate_backend`).
    /// 4. Restart the application, one instance at a time.
    /// 5. Last, and only with disk space free: restart the database in fast mode.
    ///
    /// ## What makes it worse
    /// `kill -9` of any backend: the server then ends every session and goes through crash recovery. A restart under
    /// hundreds of clients brings them all back at once.
    ///
    /// ## What prevents it
    /// No superuser role for applications; `reserved_connections` (16+) and a `rescue` role with
    /// `pg_use_reserved_connections`; a budget of machines x pool max; PgBouncer.
    ///
    /// ## References
    /// Postgres manual: "Connections and Authentication", "Shutting Down the Server" (signals). Clients that connect
    /// and never log in exhaust the postmaster the same way (`unauthenticated-flood`): the view is then nearly empty.
    "all-slots-exhausted" in Admission, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<Finding> {
    let refused = said::error(e, Words::TooManyClients);
    let slots = slots::count(e);
    let full = slots.as_ref().is_some_and(|s| s.exact && s.max > 0 && s.taken >= s.max);
    if (refused.is_none() && !full) || slots.as_ref().is_some_and(Slots::reserve_free) {
        return None;
    }
    let nearly_empty = slots.as_ref().is_some_and(|s| s.taken * 2 < s.max);
    let sure = refused.is_some() && !nearly_empty;
    let confidence = if sure { Confidence::Certain } else { Confidence::Likely };
    let mut facts = refused.iter().map(Said::fact).chain(slots.iter().flat_map(|s| s.facts(e)));
    let proof = facts.next()?;
    let summary = summary(e, slots.as_ref());
    let mut finding = Finding::new(CAUSE.id, Room::Admission, Severity::Critical, confidence, summary, proof)
        .and_all(facts);
    // Whoever is in already, a standing session, can end others'. Where connections that never log in may hold the
    // places, nobody's sessions are in the way.
    let terminate = ending::terminate_idle(e).filter(|_| !nearly_empty);
    let from_inside = terminate.is_some();
    finding = terminate.into_iter().chain([signal_from_the_host(e)]).fold(finding, Finding::mended_by);
    if let Some(restart) = slots::restart_holder(e, slots.as_ref()).filter(|_| !nearly_empty && !from_inside)
    {
        finding = finding.mended_by(restart);
    }
    if nearly_empty {
        finding = finding.or_else(
            "unauthenticated-flood",
            "connections of the postmaster that never log in: `ss -tn sport = :5432 | wc -l` on the server's host far \
             above the sessions it has",
        );
    }
    Some(finding)
}

fn summary(e: &Evidence, slots: Option<&Slots>) -> String {
    match slots {
        Some(s) if s.taken >= s.ordinary => {
            let who = s.who(e).map(|who| format!("; {who}")).unwrap_or_default();
            let reserve = if s.max > s.ordinary { ", the reserved ones too" } else { "; none is reserved" };
            format!("{} of {} slots taken{reserve}{who}", s.taken.min(s.max), s.max)
        }
        Some(s) => format!(
            "the server says that it has too many clients, yet {} of {} slots are seen taken",
            s.taken, s.max
        ),
        None => {
            "every slot is taken, the reserved ones too; who holds them can only be seen on the server's host"
                .into()
        }
    }
}

fn signal_from_the_host(e: &Evidence) -> RemedyPlan {
    let postmaster = e.host.get().and_then(|h| h.postmaster.as_ref());
    let parent = postmaster.map_or_else(|| "$(pgrep -o -x postgres)".to_owned(), |p| p.pid.to_string());
    RemedyPlan::by_hand(
        "signal-idle-backends",
        RemedyKind::Sessions,
        "on the server's host, list idle backends of the largest application and end a few with kill -TERM (never -9)",
        format!("ps -o pid,etime,args --ppid {parent} | grep ' idle$'   # then: kill -TERM PID"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, refused, window, with_facts};
    use crate::platform::evidence::{ProcessView, TitleGroup};

    const TOO_MANY: &str = "sorry, too many clients already";

    fn with_titles(count: u64) -> Evidence {
        let mut e = refused("53300", TOO_MANY);
        window(&mut e, |host| {
            host.max_connections = Some(100);
            host.postmaster = Some(ProcessView { pid: 812, ..ProcessView::default() });
            let idle =
                TitleGroup { role: "app".into(), activity: "idle".into(), count, ..TitleGroup::default() };
            host.backends = Some(vec![idle]);
        });
        e
    }

    #[test]
    fn all_slots_exhausted_by_the_refusal_alone() {
        let found = find(&refused("53300", TOO_MANY)).unwrap();
        assert_eq!(found.confidence, Confidence::Certain);
        assert!(found.alternatives.is_empty());
        assert!(find(&healthy()).is_none());
        assert!(find(&refused("53300", "remaining connection slots are reserved")).is_none());
    }

    #[test]
    fn all_slots_exhausted_names_the_holders_by_process_titles() {
        let found = find(&with_titles(100)).unwrap();
        assert_eq!(found.summary, "100 of 100 slots taken, the reserved ones too; 100 by role app, idle");
        assert!(found.remedies[0].command.contains("--ppid 812"));
    }

    #[test]
    fn all_slots_exhausted_is_mended_by_a_restart_of_the_api_where_its_role_holds_most() {
        let restart = |e: &Evidence| find(e).unwrap().remedies.get(1).and_then(|r| r.action.clone());
        assert_eq!(restart(&with_titles(100)), Some(pgmedic_model::Action::RestartApi));
        let mut others = with_titles(100);
        others.target.user = "shop".into();
        assert_eq!(restart(&others), None, "another program's are not given back by it");
        assert_eq!(find(&with_titles(4)).unwrap().remedies.len(), 1, "a flood holds them");
    }

    #[test]
    fn all_slots_exhausted_ends_idle_sessions_where_a_standing_one_is_in() {
        let mut e = refused("53300", TOO_MANY);
        e.standing = crate::evidence::Seen::Seen(
            with_facts(|f| {
                f.admission.client_backends = 100;
                f.sessions.sessions = vec![ending::tests::session_of(7, "idle", 900_000.0)];
            })
            .front,
        );
        let found = find(&e).unwrap();
        assert!(
            found.summary.starts_with("100 of 100 slots taken, the reserved ones too"),
            "{}",
            found.summary
        );
        let remedies: Vec<_> =
            found.remedies.iter().map(|r| (r.remedy.as_str(), r.action.is_some())).collect();
        assert_eq!(remedies, [("terminate-idle-sessions", true), ("signal-idle-backends", false)]);
    }

    #[test]
    fn all_slots_exhausted_where_none_is_reserved() {
        let mut e = with_titles(1);
        let crate::evidence::Seen::Seen(host) = &mut e.host else { unreachable!() };
        (host.max_connections, host.superuser_reserved) = (Some(1), Some(0));
        assert_eq!(find(&e).unwrap().summary, "1 of 1 slots taken; none is reserved; 1 by role app, idle");
    }

    #[test]
    fn all_slots_exhausted_is_not_said_while_a_reserved_slot_is_free() {
        let e = with_titles(97);
        assert!(find(&e).is_none());
        let found = crate::rooms::admission::causes::slots_exhausted::CAUSE.find;
        assert_eq!(found(&e).unwrap().summary, "97 of 97 ordinary slots taken; 97 by role app, idle");
    }

    #[test]
    fn all_slots_exhausted_with_few_sessions_may_be_a_flood() {
        let found = find(&with_titles(4)).unwrap();
        assert_eq!(found.confidence, Confidence::Likely);
        assert_eq!(found.alternatives[0].cause, "unauthenticated-flood");
    }
}
