//! Who may act, of two watchers that share a store: an approval given at the one that does not, and a lease that changes hands
//! in the midst of a fix. Not in here: the lease itself (`store`), and what a fix does (`pgmedic_path`).

use super::*;
use crate::board::Board;
use crate::store::tests::shared::{self, scene};
use crate::store::tests::{incident, open_by};
use pgmedic_lab::faults::slots_exhausted;
use pgmedic_lab::postgres::{DATABASE, PASSWORD, ROLE};
use pgmedic_lab::{Lab, Parts};
use pgmedic_model::target::{Settings, Surroundings};
use std::net::TcpListener;
use std::time::Instant;

/// Mends for one watcher.
struct Side {
    mender: Mender,
    out: mpsc::UnboundedReceiver<Mended>,
    store: Store,
    _state: tempfile::TempDir,
}

impl Side {
    fn of(scene: &shared::Scene, watcher: &str) -> Self {
        let state = tempfile::tempdir().unwrap();
        let store = scene.runtime.block_on(open_by(&scene.place, watcher, &Board::default()));
        let hold = Hold::new(state.path().to_owned(), state.path().join("stop"), Clock::System);
        let (told, out) = mpsc::unbounded_channel();
        let (folder, home) = (state.path().to_owned(), "here".to_owned());
        let mender = Mender::new(folder, home, Arc::new(hold), store.clone(), Clock::System, told);
        Self { mender, out, store, _state: state }
    }

    fn ends(&mut self) -> End {
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            match self.out.try_recv() {
                Ok(Mended::Over(over)) => return over.end,
                Ok(Mended::Acted(..)) => {}
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        panic!("it does not end");
    }
}

/// What a person wants done for the service `a`, whose server is nowhere.
fn approved() -> Job {
    let url = format!("postgres://{ROLE}@127.0.0.1:1/shop");
    let target = Settings::parse(&url).and_then(|s| s.resolve(&Surroundings::default())).unwrap();
    Job {
        service: Arc::new(Service { name: "a".to_owned(), ..Service::bare(target) }),
        incident: incident("a", 1).id.clone(),
        purpose: Purpose::Mend,
        kinds: vec![RemedyKind::Sessions],
        barred: Vec::new(),
        only: Some("terminate-idle-sessions".to_owned()),
        by: "ann".to_owned(),
        asked: None,
        timeout: Duration::from_millis(500),
        stable: Duration::ZERO,
    }
}

#[test]
fn an_approval_beside_another_watcher_is_refused_and_says_where_to_give_it() {
    let scene = scene();
    let (one, mut two) = (Side::of(&scene, "host-1 /etc/pgmedic.toml"), Side::of(&scene, "host-2"));
    assert_eq!(scene.runtime.block_on(one.store.led_by_another("a")).unwrap(), None);
    let begun = two.mender.begin_approved(approved()).unwrap();
    let why = begun.blocking_recv().unwrap().unwrap_err();
    assert!(why.contains("host-1 /etc/pgmedic.toml") && why.contains("approved there"), "{why}");
    assert!(matches!(two.ends(), End::Elsewhere(said) if said == why));
    let begun = scene.runtime.block_on(two.store.done("a", Duration::from_secs(3600))).unwrap();
    assert_eq!(begun, [], "nothing was begun");
    // At the one that acts it is.
    let mut one = one;
    assert_eq!(one.mender.begin_approved(approved()).unwrap().blocking_recv().unwrap(), Ok(()));
    assert!(matches!(one.ends(), End::Done(report) if report.steps.is_empty()));
}

#[test]
fn a_lease_that_is_lost_in_the_midst_of_a_fix_keeps_the_next_step_from_being_begun() {
    let scene = scene();
    let sick = Lab::build(Parts::default()).unwrap();
    let fault = slots_exhausted::inject(&sick).unwrap();
    let mut one = Side::of(&scene, "host-1");
    // A readiness that never answers: each walk takes its whole time, in which the lease changes hands.
    let hung = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = |role: &str| {
        let url = format!("postgres://{role}:{PASSWORD}@127.0.0.1:{}/{DATABASE}", sick.postgres().port());
        Settings::parse(&url).and_then(|s| s.resolve(&Surroundings::default())).unwrap()
    };
    let mut service = Service { name: "a".to_owned(), ..Service::bare(target(ROLE)) };
    service.rescue = Some(target("rescue"));
    service.policy.idle_after_ms = 0.0;
    service.ready = Some(format!("http://{}/ready", hung.local_addr().unwrap()));
    let job = Job { service: Arc::new(service), timeout: Duration::from_secs(2), ..approved() };
    let idle = "select count(*) from pg_stat_activity where state = 'idle'";
    let sessions = || sick.postgres().value(idle).unwrap();
    let before = sessions();
    assert_eq!(one.mender.begin_approved(job).unwrap().blocking_recv().unwrap(), Ok(()));
    let steal = "update pgmedic.lease set watcher = 'host-2', until = clock_timestamp() + interval '1 min'";
    scene.lab.postgres().sql_in(DATABASE, steal).unwrap();
    let end = one.ends();
    let End::Stopped(report, why) = &end else { panic!("{end:#?}") };
    assert!(why.contains("host-2"), "{why}");
    assert!(report.steps.is_empty() && sessions() == before, "{report:#?}");
    fault.remove().unwrap();
}
