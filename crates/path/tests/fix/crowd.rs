//! Two pgmedics at once on one server, each with evidence of its own, from the same database and from two: together they end
//! no more sessions than bring the clients down to what was asked.

use crate::scene::Scene;
use futures_util::future::join;
use pgmedic_lab::postgres::DATABASE;
use pgmedic_model::{Action, SessionClass, SessionRef, StepOutcome, Target};
use pgmedic_path::Service;
use pgmedic_path::apply::{Came, apply};

const CLIENTS: &str = "select count(*) from pg_stat_activity where backend_type = 'client backend' \
                       and application_name not in ('pgmedic', 'lab')";

fn clients(scene: &Scene) -> u64 {
    scene.server.value(CLIENTS).parse().unwrap()
}

fn terminate(sessions: Vec<SessionRef>, down_to: u64) -> Action {
    Action::Terminate { sessions, class: SessionClass::Idle, down_to: Some(down_to) }
}

fn gone(came: &Came) -> u64 {
    came.sessions.iter().filter(|s| s.terminated).count() as u64
}

#[test]
fn two_at_once_end_no_more_than_one_would() {
    let scene = Scene::new();
    for round in 0..6u64 {
        let database = if round % 2 == 0 { DATABASE } else { "postgres" };
        let target = Target { database: database.to_owned(), ..scene.service.target.clone() };
        let other = Service { target, ..scene.service.clone() };
        let one = scene.idle(&scene.login("one", "renderflow"), 25);
        let two = scene.idle(&scene.login("two", "renderflow"), 25);
        let evidence = scene.walk();
        let (before, down_to) = (clients(&scene), clients(&scene) - 13 - round);
        let first = terminate(scene.named("application_name = 'one'"), down_to);
        let second = terminate(scene.named("application_name = 'two'"), down_to);
        let both = join(apply(&scene.service, &evidence, &first), apply(&other, &evidence, &second));
        let (a, b) = scene.server.run(both);
        let words = format!("round {round}, {database}: {} | {}", a.detail, b.detail);
        assert_eq!(before - clients(&scene), 13 + round, "{words}");
        assert_eq!(gone(&a) + gone(&b), 13 + round, "{words}");
        assert!(
            [&a, &b].iter().all(|c| matches!(c.outcome, StepOutcome::Applied | StepOutcome::NotNeeded)),
            "{words}"
        );
        drop((one, two));
    }
}

#[test]
fn one_that_waits_in_vain_for_the_other_ends_nobody_and_says_so() {
    let scene = Scene::new();
    let _held = scene.idle(&scene.login("one", "renderflow"), 5);
    let evidence = scene.walk();
    let other = scene.idle(&scene.login("pgmedic", "rescue"), 1);
    other.run("begin; select pg_advisory_xact_lock(1885826404, 1)").unwrap();
    let came = scene.apply(&evidence, &terminate(scene.named("application_name = 'one'"), 0));
    assert_eq!((came.outcome, gone(&came)), (StepOutcome::Refused, 0), "{}", came.detail);
    assert!(came.detail.contains("another pgmedic"), "{}", came.detail);
    assert_eq!(scene.there("application_name = 'one'").len(), 5);
}
