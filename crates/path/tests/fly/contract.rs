//! What the window tells when Fly answers, and when it does not.

use super::{double, real, window};
use double::{Generation, Misbehaviour};
use pgmedic_lab::Parts;
use pgmedic_lab::api::Kind;
use pgmedic_lab::faults::server_down;
use pgmedic_path::platform::fly::{Fly, FlyPlaces};
use pgmedic_path::platform::told::{CheckLogin, CheckStatus, InstanceState, MemberRole};
use pgmedic_path::platform::{Part, Platform, Untold};
use real::Server;
use std::time::Duration;
use tokio::time::Instant;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn started(parts: Parts, generation: Generation) -> (Server, double::Fly) {
    let server = Server::build(parts);
    let fly = double::Fly::start(server.lab(), generation).unwrap();
    (server, fly)
}

#[test]
fn machines_volumes_and_logs_are_told_as_they_are() {
    let (server, double) = started(Parts { api: Some(Kind::StandIn), ..Parts::default() }, Generation::Flex);
    let fly = window(&double, Some(double::TOKEN));
    let (db, api, volumes, log) = server.run(async {
        tokio::join!(
            fly.instances(Part::Db, soon()),
            fly.instances(Part::Api, soon()),
            fly.volumes(soon()),
            fly.log(Part::Db, soon())
        )
    });
    let (db, api, volumes, log) = (db.unwrap(), api.unwrap(), volumes.unwrap(), log.unwrap());
    assert_eq!((db[0].id.as_str(), db[0].state), (double::DB_MACHINE, InstanceState::Running));
    assert_eq!(db[0].server.login.as_ref().map(|l| &l.value), Some(&CheckLogin::Admitted));
    assert_eq!(db[0].server.role.as_ref().map(|r| r.value), Some(MemberRole::Primary));
    assert_eq!(
        db[0].server.connections.as_ref().map(|c| c.value.max.to_string()),
        Some(server.value("show max_connections"))
    );
    assert_eq!((api[0].state, api[0].checks[0].status), (InstanceState::Running, CheckStatus::Passing));
    assert!(volumes.is_empty(), "this lab has none");
    assert!(log.contains("database system is ready to accept connections"), "{log}");
    assert!(log.starts_with("20") && !log.contains("postgres |"), "{log}");
    let mut asked = double.asked();
    asked.sort();
    assert_eq!(
        asked,
        [
            "GET /api/v1/apps/renderflow-db/logs",
            "GET /v1/apps/renderflow-api/machines",
            "GET /v1/apps/renderflow-db/machines",
            "GET /v1/apps/renderflow-db/volumes"
        ],
        "each thing once"
    );
}

#[test]
fn needs_root_a_volume_is_told_with_its_blocks() {
    let (server, double) = started(Parts { volume_mb: Some(64), ..Parts::default() }, Generation::Flex);
    let fly = window(&double, Some(double::TOKEN));
    let volume = server.run(fly.volumes(soon())).unwrap().remove(0);
    let here = server.lab().volume().unwrap();
    let seen = volume.filesystem.unwrap();
    assert_eq!(seen.total_bytes, here.total().unwrap());
    assert!(seen.available_bytes > 0 && seen.available_bytes <= seen.total_bytes);
    assert_eq!((volume.id.as_str(), volume.instance.as_deref()), (double::VOLUME, Some(double::DB_MACHINE)));
    let disk = server.run(fly.instances(Part::Db, soon())).unwrap().remove(0).server.disk.unwrap().value;
    assert!(
        disk.available_bytes.is_some_and(|bytes| bytes.abs_diff(seen.available_bytes) < 1 << 20),
        "{disk:?}"
    );
}

#[test]
fn a_machine_goes_on_where_its_postmaster_does_not_unless_that_is_the_machine() {
    for (generation, state) in
        [(Generation::Flex, InstanceState::Running), (Generation::Plain, InstanceState::Failed)]
    {
        let (server, double) = started(Parts::default(), generation);
        let fly = window(&double, Some(double::TOKEN));
        let fault = server_down::inject(server.lab()).unwrap();
        let db = server.run(fly.instances(Part::Db, soon())).unwrap().remove(0);
        assert_eq!(db.state, state, "{generation:?}");
        match generation {
            Generation::Plain => {
                let exit = db.exit.unwrap();
                assert_eq!((exit.signal, exit.code, exit.requested), (Some(9), Some(137), false));
            }
            _ => {
                let login = db.server.login.unwrap().value;
                assert!(matches!(login, CheckLogin::NothingListens(_)), "{login:?}");
                assert!(db.checks.iter().any(|check| check.status == CheckStatus::Critical));
            }
        }
        fault.remove().unwrap();
    }
}

#[test]
fn a_stopped_machine_says_who_wanted_it() {
    let (server, double) = started(Parts::default(), Generation::Flex);
    let fly = window(&double, Some(double::TOKEN));
    let guard = double.stop_db().unwrap();
    let db = server.run(fly.instances(Part::Db, soon())).unwrap().remove(0);
    assert_eq!((db.state, db.exit.map(|exit| exit.requested)), (InstanceState::Stopped, Some(true)));
    guard.remove().unwrap();
    let db = server.run(fly.instances(Part::Db, soon())).unwrap().remove(0);
    assert_eq!(
        (db.state, db.server.role.map(|r| r.value)),
        (InstanceState::Running, Some(MemberRole::Primary))
    );
}

/// Why the machines were not told, and how long that took.
fn untold(server: &Server, fly: &Fly, within: Duration) -> (String, Duration) {
    let from = std::time::Instant::now();
    let asked = async {
        let until = Instant::now() + within;
        tokio::time::timeout_at(until + Duration::from_secs(2), fly.instances(Part::Db, until)).await
    };
    match server.run(asked) {
        Ok(Err(why)) => (why.to_string(), from.elapsed()),
        Ok(Ok(told)) => panic!("{told:?}"),
        Err(_) => panic!("not bounded in time"),
    }
}

#[test]
fn a_refusal_says_what_was_refused_and_the_next_step() {
    let (server, double) = started(Parts::default(), Generation::Flex);
    let second = Duration::from_secs(5);
    for (token, words) in [
        (None, "no token: set FLY_API_TOKEN"),
        (
            Some("fo1_wrong"),
            "status 401 unauthenticated (fly-request-id 01J-lab-ord); the token is not accepted",
        ),
        (
            Some(double::FOREIGN_TOKEN),
            "status 403 forbidden (fly-request-id 01J-lab-ord); the token may not read this app",
        ),
    ] {
        let why = untold(&server, &window(&double, token), second).0;
        assert!(why.contains(words), "{why}");
        assert!(token.is_none_or(|token| !why.contains(token)), "{why}");
    }
    let fly = window(&double, Some(double::TOKEN));
    for (status, words) in [
        (404, "no such app"),
        (408, "status.flyio.net"),
        (429, "it is not tried again"),
        (500, "itself fails"),
    ] {
        double.misbehave(Some(Misbehaviour::Status(status)));
        let before = double.asked().len();
        let why = untold(&server, &fly, second).0;
        assert!(why.contains(&format!("status {status} ")) && why.contains(words), "{why}");
        assert_eq!(double.asked().len(), before + 1, "nothing is tried twice");
    }
    double.misbehave(None);
    let other = FlyPlaces { machines: Some(double.url()), db: Some("other".into()), ..FlyPlaces::default() };
    let other = Fly::new(other, Some(&pgmedic_model::Secret::new(double::TOKEN))).unwrap();
    assert!(untold(&server, &other, second).0.contains("status 404 app not found"));
    let unnamed = server.run(other.instances(Part::Api, soon())).unwrap_err();
    assert_eq!(unnamed, Untold::NotNamed("api"));
}

#[test]
fn what_is_no_answer_ends_in_time_and_in_bounds() {
    let (server, double) = started(Parts::default(), Generation::Flex);
    let fly = window(&double, Some(double::TOKEN));
    for (how, words) in [
        (Misbehaviour::Garbage, "not JSON"),
        (Misbehaviour::Half, "the answer broke off"),
        (Misbehaviour::Endless, "longer than"),
        (Misbehaviour::Hang, "no whole answer in time"),
    ] {
        double.misbehave(Some(how));
        let within =
            if how == Misbehaviour::Endless { Duration::from_secs(8) } else { Duration::from_millis(400) };
        let (why, took) = untold(&server, &fly, within);
        assert!(why.contains(words), "{how:?}: {why}");
        assert!(took < within + Duration::from_secs(1), "{how:?}: {took:?}");
    }
    let nowhere = FlyPlaces {
        machines: Some("http://127.0.0.1:1".into()),
        db: Some("a".into()),
        ..FlyPlaces::default()
    };
    let nowhere = Fly::new(nowhere, Some(&pgmedic_model::Secret::new("x"))).unwrap();
    assert!(
        untold(&server, &nowhere, Duration::from_secs(2))
            .0
            .ends_with("/v1/apps/a/machines: connection refused")
    );
}

#[test]
fn a_hung_server_keeps_no_check_waiting_for_ever() {
    let (server, double) = started(Parts::default(), Generation::Flex);
    let fault = pgmedic_lab::faults::server_hung::inject(server.lab()).unwrap();
    let fly = window(&double, Some(double::TOKEN));
    let db = server.run(fly.instances(Part::Db, soon())).unwrap().remove(0);
    assert_eq!(db.server.login.map(|l| l.value), Some(CheckLogin::Silent));
    fault.remove().unwrap();
}
