//! Plans on evidence literals.

use super::*;
use crate::diagnose;
use crate::evidence::fixture::{refused, with_facts};
use crate::evidence::{Evidence, Seen};
use crate::rooms::sessions::ending::tests::session_of;
use crate::rooms::storage::volumes::tests::{volume, with_volumes};
use pgmedic_model::Deed;

const RESERVED: &str = "remaining connection slots are reserved for non-replication superuser connections";

/// 97 of 97 slots taken, 91 of them idle for over ten minutes, seen by the rescue role.
fn full() -> Evidence {
    let mut e = refused("53300", RESERVED);
    let inside = with_facts(|f| {
        (f.admission.client_backends, f.admission.own) = (98, 1);
        f.me.superuser = true;
        f.sessions.sessions = (1..=91i32).map(|n| session_of(n, "idle", 700_000.0 + f64::from(n))).collect();
        f.sessions.idle = 91;
    });
    e.rescue = Seen::Seen(inside.front);
    e.rescue_configured = true;
    e
}

fn planned(e: &Evidence, permits: &Permits) -> Vec<PlanStep> {
    plan(e, &diagnose(e), permits)
}

fn allowed(kinds: &[RemedyKind]) -> Permits {
    Permits { kinds: kinds.to_vec(), ..Permits::default() }
}

#[test]
fn the_least_disruptive_that_may_be_is_first_and_names_its_sessions() {
    let steps = planned(&full(), &allowed(&[RemedyKind::Sessions]));
    let first = steps.iter().find(|s| s.permit == Permit::Yes).expect("one");
    assert_eq!(first.remedy, "terminate-idle-sessions");
    assert_eq!((first.target.as_str(), first.radius_sessions), ("20 sessions", Some(20)));
    assert!(steps.windows(2).all(|w| w[0].kind <= w[1].kind));
}

#[test]
fn a_cause_that_was_left_to_a_person_is_not_mended_beside_another() {
    let permits = Permits { barred: vec!["slots-exhausted".into()], ..allowed(&[RemedyKind::Sessions]) };
    let steps = planned(&full(), &permits);
    assert!(steps.iter().all(|s| s.cause != "slots-exhausted" || s.permit != Permit::Yes), "{steps:?}");
    assert!(steps.iter().any(|s| matches!(&s.permit, Permit::NotAllowed(why) if why.contains("a person"))));
}

#[test]
fn a_kind_is_allowed_by_name_and_not_by_rank() {
    let steps = planned(&full(), &allowed(&[RemedyKind::DbRestart]));
    assert!(steps.iter().all(|s| s.permit != Permit::Yes), "{steps:?}");
    assert!(matches!(&steps.iter().find(|s| s.kind == RemedyKind::Sessions).unwrap().permit,
        Permit::NotAllowed(why) if why.contains("--allow sessions")));
}

#[test]
fn only_names_one_remedy_and_what_was_done_is_not_done_again() {
    let only = Permits { only: Some("recycle-api-pool".into()), asks: true, ..Permits::default() };
    assert!(planned(&full(), &only).iter().all(|s| s.permit != Permit::Yes));
    let done = vec![("terminate-idle-sessions".to_owned(), None)];
    let again = Permits { done, ..allowed(&[RemedyKind::Sessions]) };
    assert!(planned(&full(), &again).iter().any(|s| matches!(s.permit, Permit::Done(_))));
}

#[test]
fn the_cap_counts_what_this_fix_has_ended_already() {
    let late = Permits { ended: 40, ..allowed(&[RemedyKind::Sessions]) };
    let steps = planned(&full(), &late);
    assert!(matches!(&steps.iter().find(|s| s.remedy == "terminate-idle-sessions").unwrap().permit,
        Permit::Closed(why) if why.contains("max_terminations is 50")));
}

#[test]
fn without_a_right_or_hands_it_is_a_persons() {
    let mut e = full();
    e.rescue_configured = false;
    if let Seen::Seen(route) = &mut e.rescue
        && let Some(query) = &mut route.query
        && let crate::evidence::QueryOutcome::Answered(facts) = &mut query.outcome
    {
        (facts.me.superuser, facts.me.role) = (false, "watcher".into());
    }
    let steps = planned(&e, &allowed(&RemedyKind::ALL));
    let step = steps.iter().find(|s| s.remedy == "terminate-idle-sessions").expect("planned");
    assert!(matches!(&step.permit, Permit::Person(why) if why.contains("pg_signal_backend")));
    assert!(able(&e, &Action::RestartApi).is_err());
    e.offers = vec![Deed::RestartApi];
    assert!(able(&e, &Action::RestartApi).is_ok());
}

#[test]
fn a_full_disk_closes_the_way_to_a_start_whatever_is_allowed() {
    let mut e = crate::evidence::fixture::unconnected(&[(
        crate::evidence::fixture::ADDRESS,
        crate::rooms::network::evidence::ConnectOutcome::Refused,
        Some(111),
    )]);
    e = with_volumes(e, vec![volume(10_000, 0)]);
    e.offers = vec![Deed::StartDb, Deed::RestartDb, Deed::RestartApi];
    let steps = planned(&e, &Permits { asks: true, ..allowed(&RemedyKind::ALL) });
    let restarts = steps.iter().filter(|s| s.kind == RemedyKind::DbRestart && s.action.is_some());
    assert!(restarts.clone().all(|s| matches!(s.permit, Permit::Closed(_))), "{steps:?}");
}

#[test]
fn what_is_only_possible_is_never_acted_on() {
    let mut e = crate::evidence::fixture::first_bytes(crate::rooms::proxy::evidence::FirstBytes::Silent);
    e.direct = Seen::Seen(crate::evidence::fixture::admitted("db:5433"));
    e.offers = vec![Deed::RestartProxy];
    let steps = planned(&e, &allowed(&RemedyKind::ALL));
    let proxy = steps.iter().find(|s| s.remedy == "restart-proxy").expect("planned");
    assert!(matches!(&proxy.permit, Permit::Closed(why) if why.contains("proxy-hung is only possible")));
}

#[test]
fn a_server_that_likely_died_of_a_full_volume_is_started_once_there_is_space() {
    let f = Finding::new(
        "wal-volume-full",
        pgmedic_model::Room::Storage,
        Severity::Critical,
        Confidence::Likely,
        "it died",
        pgmedic_model::Fact::new(pgmedic_model::Source::Log, crate::evidence::fixture::AT, "log", "PANIC"),
    );
    let kind = RemedyKind::DbRestart;
    assert_eq!(too_unsure(&f, kind, &Action::StartDb), None, "nobody has sessions there");
    assert!(too_unsure(&f, kind, &Action::RestartDb).is_some());
    let possible = Finding { confidence: Confidence::Possible, ..f };
    assert!(too_unsure(&possible, kind, &Action::StartDb).is_some());
}

#[test]
fn a_report_says_what_pgmedic_can_do_by_itself() {
    let mut e = full();
    e.named = true;
    let found = marked(&e, diagnose(&e));
    let remedy = &found[0].remedies[0];
    assert!(remedy.automatic);
    assert_eq!(remedy.command, format!("pgmedic fix {} --only terminate-idle-sessions", e.service));
    assert!(remedy.by_hand.contains("pg_terminate_backend"));
}
