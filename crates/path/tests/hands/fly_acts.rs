//! Fly's own: leases, spacing, what is said of a refusal, a postmaster that died in a machine that goes on, a volume.

use crate::contract::{AMPLE, run, within};
use crate::fly::{Behind, PARTS};
use pgmedic_lab::Parts;
use pgmedic_lab::api::Kind;
use pgmedic_lab::faults::{proxy_hung, server_cannot_start, server_down, server_hung};
use pgmedic_lab::fly::{
    ACTING_TOKEN, API_MACHINE, Asked, DB_MACHINE, FOREIGN_TOKEN, Generation, Misbehaviour, TOKEN, VOLUME,
};
use pgmedic_model::Deed;
use pgmedic_path::hands::{Done, Hands, Order, Target, Undone};
use pgmedic_path::platform::Part;
use pgmedic_path::platform::told::InstanceState;
use std::time::{Duration, Instant as Clock};

const BARE: Parts = Parts { proxy: None, pooler: None, dns: false, api: None, tls: false, volume_mb: None };

fn target(id: &str) -> Target {
    Target { id: id.to_owned(), name: id.to_owned(), size_gb: None }
}

fn act(behind: &Behind, token: Option<&str>, order: &Order, time: Duration) -> Result<Done, Undone> {
    run(behind.hands(token).act(order, within(time)))
}

fn restart_db() -> Order {
    Order::Restart(Part::Db, target(DB_MACHINE))
}

fn of_machine(asked: &[Asked]) -> Vec<String> {
    let to = |one: &Asked| {
        let rest = one.path.split_once(DB_MACHINE)?.1;
        Some(format!("{} {rest}{}", one.method, if one.nonce.is_some() { " under the lease" } else { "" }))
    };
    asked.iter().filter_map(to).collect()
}

#[test]
fn a_restart_is_asked_for_under_a_lease_that_is_given_back() {
    let behind = Behind::start(BARE, Generation::Flex);
    let done = act(&behind, Some(ACTING_TOKEN), &restart_db(), AMPLE).unwrap();
    let mut asked = of_machine(&behind.double.requests());
    asked.dedup();
    assert_eq!(
        asked,
        [
            "GET ",
            "POST /lease",
            "POST /restart under the lease",
            "GET /wait",
            "GET ",
            "DELETE /lease under the lease"
        ]
    );
    assert!(!behind.double.is_leased(DB_MACHINE));
    assert!(done.said.contains("it is started; checks: pg passing, role passing"), "{done:?}");
    assert!(
        done.request_ids.len() >= 6 && done.request_ids.iter().all(|id| id.starts_with("01J-lab")),
        "{done:?}"
    );
    let restart = behind.double.requests().into_iter().find(|one| one.path.ends_with("/restart")).unwrap();
    let grace =
        restart.query.strip_prefix("force_stop=false&timeout=").and_then(|rest| rest.strip_suffix('s'));
    assert!(
        grace.is_some_and(|grace| (1..=30).contains(&grace.parse::<u64>().unwrap())),
        "{}",
        restart.query
    );
}

#[test]
fn a_lease_of_somebody_elses_is_respected_and_its_owner_named() {
    let behind = Behind::start(BARE, Generation::Flex);
    let pid = behind.lab.postgres().pid().unwrap();
    let other = behind.double.lease_to(DB_MACHINE, "deployer@example.com");
    let end = act(&behind, Some(ACTING_TOKEN), &restart_db(), AMPLE);
    let Err(Undone::Refused { why, request_ids }) = end else { panic!("{end:?}") };
    assert!(
        why.contains("lease currently held by deployer@example.com") && why.contains("nothing has changed"),
        "{why}"
    );
    assert!(request_ids.iter().any(|id| id.starts_with("01J-lab-")), "{request_ids:?}");
    assert_eq!((behind.double.changes(), behind.lab.postgres().pid().unwrap()), (0, pid));
    assert!(behind.double.is_leased(DB_MACHINE), "it is still theirs");
    other.remove().unwrap();
    assert!(act(&behind, Some(ACTING_TOKEN), &restart_db(), AMPLE).is_ok());
}

#[test]
fn what_nobody_may_and_what_is_asked_too_often_changes_nothing_and_says_what_to_do() {
    let behind = Behind::start(BARE, Generation::Flex);
    let pid = behind.lab.postgres().pid().unwrap();
    for (token, words) in [
        (None, "no token: set FLY_API_TOKEN"),
        (Some("fo1_hunter2"), "status 401 unauthenticated"),
        (Some(FOREIGN_TOKEN), "may not change this app"),
        (Some(TOKEN), "fly tokens create deploy -a renderflow-db"),
    ] {
        let end = act(&behind, token, &restart_db(), AMPLE);
        let Err(Undone::Refused { why, .. }) = &end else { panic!("{end:?}") };
        assert!(why.contains(words) && !why.contains("hunter2"), "{why}");
    }
    let hands = behind.hands(Some(ACTING_TOKEN));
    for (status, words) in
        [(429, "asked too often"), (409, "lease"), (404, "fly machine list"), (422, "status 422")]
    {
        behind.double.misbehave(Some(Misbehaviour::RefusesToAct(status)));
        let end = run(hands.act(&restart_db(), within(AMPLE)));
        let Err(Undone::Refused { why, request_ids }) = &end else { panic!("{status}: {end:?}") };
        assert!(why.contains(words) && why.contains("nothing has changed"), "{why}");
        assert!(!request_ids.is_empty() && !behind.double.is_leased(DB_MACHINE), "{status}");
    }
    assert_eq!(behind.lab.postgres().pid().unwrap(), pid);
}

#[test]
fn what_was_not_answered_well_is_unknown_asked_once_and_the_lease_given_back() {
    for how in [
        Misbehaviour::ActsAndHangs,
        Misbehaviour::ActsAndSays(502),
        Misbehaviour::ActsAndSays(408),
        Misbehaviour::ActsAndSays(302),
        Misbehaviour::ActsAndGarbles,
        Misbehaviour::HangsBeforeActing,
    ] {
        let behind = Behind::start(BARE, Generation::Flex);
        behind.double.misbehave(Some(how));
        let begun = Clock::now();
        let end = act(&behind, Some(ACTING_TOKEN), &restart_db(), Duration::from_secs(2));
        let Err(Undone::Unknown { why, request_ids }) = &end else { panic!("{how:?}: {end:?}") };
        assert!(why.contains("look before you ask again") && !request_ids.is_empty(), "{how:?}: {why}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{how:?}: {:?}", begun.elapsed());
        assert_eq!(behind.double.changes(), 1, "{how:?}");
        assert!(!behind.double.is_leased(DB_MACHINE), "{how:?}");
        behind.double.settle();
    }
}

#[test]
fn an_api_of_fly_that_is_silent_from_the_beginning_has_changed_nothing() {
    let behind = Behind::start(BARE, Generation::Flex);
    for how in [Misbehaviour::Hang, Misbehaviour::Garbage, Misbehaviour::Endless, Misbehaviour::Half] {
        behind.double.misbehave(Some(how));
        let end = act(&behind, Some(ACTING_TOKEN), &restart_db(), Duration::from_secs(3));
        let Err(Undone::Refused { why, .. }) = &end else { panic!("{how:?}: {end:?}") };
        assert!(why.contains("nothing was asked of it"), "{how:?}: {why}");
    }
    assert_eq!(behind.double.changes(), 0);
}

#[test]
fn five_restarts_in_a_row_meet_no_429() {
    let behind = Behind::start(Parts { api: Some(Kind::StandIn), ..BARE }, Generation::Flex);
    let hands = behind.hands(Some(ACTING_TOKEN));
    for round in 0..5 {
        let done = run(hands.act(&Order::Restart(Part::Api, target(API_MACHINE)), within(AMPLE)));
        done.unwrap_or_else(|undone| panic!("{round}: {undone}"));
    }
    assert_eq!(behind.double.changes(), 5);
}

#[test]
fn a_dead_postmaster_in_a_machine_that_goes_on_is_started_by_the_machines_restart() {
    let behind = Behind::start(PARTS, Generation::Flex);
    let hands = behind.hands(Some(ACTING_TOKEN));
    let starts = || run(hands.targets(Deed::StartDb, within(AMPLE))).unwrap();
    assert_eq!(starts(), [], "nothing is to be started");
    let done = run(hands.act(&Order::StartDb(target(DB_MACHINE)), within(AMPLE))).unwrap();
    assert!(done.said.contains("nothing was to be done") && behind.double.changes() == 0, "{done:?}");

    let _fault = server_down::inject(&behind.lab).unwrap();
    let found = starts();
    assert_eq!(found.len(), 1, "{found:?}");
    let done = run(hands.act(&Order::StartDb(found[0].clone()), within(AMPLE))).unwrap();
    assert!(done.said.starts_with("restart of machine") && behind.lab.postgres().is_alive(), "{done:?}");
    assert_eq!(behind.double.changes(), 1);
}

#[test]
fn a_hung_server_and_its_proxy_are_back_after_the_machines_restart() {
    let behind = Behind::start(PARTS, Generation::Flex);
    let (server, proxy) =
        (server_hung::inject(&behind.lab).unwrap(), proxy_hung::inject(&behind.lab).unwrap());
    let done = act(&behind, Some(ACTING_TOKEN), &restart_db(), AMPLE).unwrap();
    behind.double.settle();
    assert!(behind.lab.postgres().sql("select 1").is_ok(), "{done:?}");
    behind.lab.proxy().unwrap().wait_server("UP").unwrap();
    for guard in [server, proxy] {
        guard.remove().unwrap();
    }
}

#[test]
fn a_database_that_cannot_start_is_not_done_though_its_machine_is_started() {
    let behind = Behind::start(BARE, Generation::Flex);
    let fault = server_cannot_start::inject(&behind.lab).unwrap();
    let order = Order::StartDb(target(DB_MACHINE));
    let end = act(&behind, Some(ACTING_TOKEN), &order, Duration::from_secs(8));
    let Err(Undone::Unknown { why, .. }) = &end else { panic!("{end:?}") };
    assert!(why.contains("it is started, but checks: pg critical, role critical"), "{why}");
    fault.remove().unwrap();
}

#[test]
fn needs_root_a_check_that_was_critical_for_want_of_room_is_said_and_does_not_undo_a_restart() {
    let behind = Behind::start(Parts { volume_mb: Some(200), ..BARE }, Generation::Flex);
    let _full = behind.lab.volume().unwrap().fill(1 << 20).unwrap();
    let done = act(&behind, Some(ACTING_TOKEN), &restart_db(), Duration::from_secs(8)).unwrap();
    assert!(done.said.contains("pg critical, role passing, vm critical"), "{done:?}");
    assert!(behind.lab.postgres().sql("select 1").is_ok());
}

#[test]
fn a_stopped_machine_is_started_and_not_restarted() {
    let behind = Behind::start(BARE, Generation::Flex);
    let _stopped = behind.double.stop_db().unwrap();
    let hands = behind.hands(Some(ACTING_TOKEN));
    let found = run(hands.targets(Deed::StartDb, within(AMPLE))).unwrap();
    let done = run(hands.act(&Order::StartDb(found[0].clone()), within(AMPLE))).unwrap();
    assert!(done.said.starts_with("start of machine"), "{done:?}");
    assert!(behind.double.requests().iter().any(|one| one.path.ends_with("/start") && one.nonce.is_some()));
    assert_eq!(behind.machine(Part::Db).state, InstanceState::Running);
}

#[test]
fn needs_root_a_volume_grows_once_and_never_shrinks() {
    let behind = Behind::start(Parts { volume_mb: Some(64), ..BARE }, Generation::Flex);
    let hands = behind.hands(Some(ACTING_TOKEN));
    let volume = run(hands.targets(Deed::ExtendVolume, within(AMPLE))).unwrap().remove(0);
    assert_eq!((volume.id.as_str(), volume.size_gb), (VOLUME, Some(1)));
    // As if somebody had not looked: the volume's own size of now counts.
    let unknown = Target { size_gb: None, ..volume.clone() };
    let end = run(hands.act(&Order::Extend(unknown, 1), within(AMPLE)));
    assert!(matches!(end, Err(Undone::Refused { .. })), "{end:?}");
    assert_eq!(behind.double.changes(), 0);

    behind.double.extensions_need_restart(true);
    let done = run(hands.act(&Order::Extend(volume.clone(), 2), within(AMPLE))).unwrap();
    assert!(done.needs_restart && done.said.contains("has 2 GB, of use after a restart"), "{done:?}");
    assert!(done.request_ids.len() == 1 && behind.double.changes() == 1, "{done:?}");
    assert_eq!(behind.lab.volume().unwrap().total().unwrap(), 2 << 30);

    behind.double.misbehave(Some(Misbehaviour::ActsAndGarbles));
    let end = run(hands.act(&Order::Extend(Target { size_gb: Some(2), ..volume }, 3), within(AMPLE)));
    assert!(matches!(end, Err(Undone::Unknown { .. })), "{end:?}");
    assert_eq!((behind.double.changes(), behind.lab.volume().unwrap().total().unwrap()), (2, 3 << 30));
}

#[test]
fn no_other_volume_and_no_proxy() {
    let behind = Behind::start(BARE, Generation::Flex);
    let end = act(&behind, Some(ACTING_TOKEN), &Order::Extend(target("vol_other"), 5), AMPLE);
    let Err(Undone::Refused { why, .. }) = &end else { panic!("{end:?}") };
    assert!(why.contains("has no volume vol_other"), "{why}");
    let end = act(&behind, Some(ACTING_TOKEN), &Order::RestartProxy(target(DB_MACHINE)), AMPLE);
    assert!(matches!(&end, Err(Undone::NotOffered(why)) if why.contains("restart_proxy")), "{end:?}");
    assert_eq!(behind.double.changes(), 0);
}
