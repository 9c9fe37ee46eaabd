//! A platform that times out after it acted, refuses, answers nonsense or tells of instances that do not come back: nothing is
//! asked for twice in one incident, whoever asks, and the second instance is not touched while the first is not ready.

use crate::scene::Scene;
use pgmedic_model::{Deed, FixReport, PlanStep, RemedyKind, StepOutcome};
use pgmedic_path::Service;
use pgmedic_path::fix::{Answering, Company, News, Options, fix};
use pgmedic_path::hands::{Doing, Done, Hands, Listing, Order, Target, Undone};
use pgmedic_path::journal::Journal;
use pgmedic_path::journal::incidents::{Incident, incidents};
use pgmedic_path::plan::Permits;
use pgmedic_path::platform::Untold;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// What the next order comes to.
#[derive(Clone, Debug)]
enum Says {
    Done,
    /// Done, and the API is well by it.
    Mends,
    Refuses(&'static str),
    NotOffered,
    Unknown(&'static str),
    /// Never answers.
    Hangs,
}

/// Hands that do as they are told, and note it.
#[derive(Debug)]
struct Scripted {
    offers: Vec<Deed>,
    instances: Mutex<Result<Vec<&'static str>, &'static str>>,
    script: Mutex<VecDeque<Says>>,
    asked: Mutex<Vec<String>>,
    well: Arc<AtomicBool>,
}

impl Scripted {
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Hands for Scripted {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    fn offers(&self) -> Vec<Deed> {
        self.offers.clone()
    }

    fn targets(&self, _: Deed, _: Instant) -> Listing<'_> {
        let told = self.instances.lock().unwrap().clone();
        let named =
            |id: &&str| Target { id: (*id).to_owned(), name: format!("instance {id}"), size_gb: None };
        Box::pin(async move {
            match told {
                Ok(list) => Ok(list.iter().map(named).collect()),
                Err(why) => Err(Untold::Failed(why.into())),
            }
        })
    }

    fn act<'a>(&'a self, order: &'a Order, until: Instant) -> Doing<'a> {
        self.asked.lock().unwrap().push(order.target().id.clone());
        let says = self.script.lock().unwrap().pop_front().unwrap_or(Says::Done);
        Box::pin(async move {
            match says {
                Says::Done => Ok(Done { said: "done".into(), ..Done::default() }),
                Says::Mends => {
                    self.well.store(true, Ordering::Relaxed);
                    Ok(Done { said: "done".into(), ..Done::default() })
                }
                Says::Refuses(why) => Err(Undone::refused(why)),
                Says::NotOffered => Err(Undone::NotOffered("not here".into())),
                Says::Unknown(why) => Err(Undone::unknown(why)),
                Says::Hangs => {
                    tokio::time::sleep_until(until.min(Instant::now() + Duration::from_millis(300))).await;
                    Err(Undone::unknown("no answer in time"))
                }
            }
        })
    }
}

/// Nobody: what is allowed is done, the rest is not.
struct Nobody;

impl Company for Nobody {
    fn told(&mut self, _: &News<'_>) {}

    fn may<'a>(&'a mut self, _: &'a PlanStep) -> Answering<'a> {
        Box::pin(async { false })
    }
}

/// Who allows so many beginnings, and no more.
struct Yielding(u32);

impl Company for Yielding {
    fn told(&mut self, _: &News<'_>) {}

    fn may<'a>(&'a mut self, _: &'a PlanStep) -> Answering<'a> {
        Box::pin(async { false })
    }

    fn still<'a>(&'a mut self, _: &'a PlanStep) -> Answering<'a> {
        let may = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        Box::pin(async move { may })
    }
}

/// A service whose API has lost its database until it is restarted, its hands, and a record.
struct Shop {
    scene: Scene,
    service: Service,
    hands: Arc<Scripted>,
    state: tempfile::TempDir,
}

impl Shop {
    fn new(instances: &[&'static str], script: &[Says]) -> Self {
        let scene = Scene::new();
        let well = Arc::new(AtomicBool::new(false));
        let hands = Arc::new(Scripted {
            offers: vec![Deed::RestartApi],
            instances: Mutex::new(Ok(instances.to_vec())),
            script: Mutex::new(script.iter().cloned().collect()),
            asked: Mutex::default(),
            well: Arc::clone(&well),
        });
        let ready = Some(format!("http://127.0.0.1:{}/ready", api(well)));
        let service = Service { ready, hands: Some(Arc::clone(&hands) as _), ..scene.service.clone() };
        Self { scene, service, hands, state: tempfile::tempdir().unwrap() }
    }

    fn fix(&self) -> FixReport {
        self.fix_until(Arc::new(AtomicBool::new(false)))
    }

    fn fix_until(&self, stop: Arc<AtomicBool>) -> FixReport {
        self.fix_for(&mut Nobody, stop)
    }

    fn fix_for(&self, company: &mut dyn Company, stop: Arc<AtomicBool>) -> FixReport {
        let permits = Permits { kinds: RemedyKind::ALL.to_vec(), ..Permits::default() };
        let options = Options {
            permits,
            timeout: Duration::from_secs(5),
            stable: Duration::from_millis(300),
            plan_only: false,
            stop,
        };
        let mut record = || Journal::open(self.state.path(), "shop", "here");
        self.scene.server.run(fix(&self.service, &options, &mut record, company)).unwrap()
    }

    fn incidents(&self) -> Vec<Incident> {
        incidents(&pgmedic_path::journal::read_all(self.state.path()).unwrap())
    }
}

/// Readiness: 503 until it is well.
fn api(well: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _bounded = stream.set_read_timeout(Some(Duration::from_secs(1)));
            let _read = stream.read(&mut [0; 2048]);
            let (status, body) = match well.load(Ordering::Relaxed) {
                true => ("200 OK", r#"{"db":"connected"}"#),
                false => ("503 Service Unavailable", r#"{"db":"disconnected"}"#),
            };
            let head = "content-type: application/json\r\nconnection: close\r\n";
            let _gone =
                write!(stream, "HTTP/1.1 {status}\r\n{head}content-length: {}\r\n\r\n{body}", body.len());
        }
    });
    port
}

fn outcomes(report: &FixReport) -> Vec<StepOutcome> {
    report.steps.iter().map(|step| step.outcome).collect()
}

#[test]
fn what_may_have_been_done_is_asked_for_once_in_an_incident() {
    for says in
        [Says::Unknown("504 after 60 s"), Says::Unknown("an answer that makes no sense: <html>"), Says::Hangs]
    {
        let shop = Shop::new(&["m1", "m2"], &[says.clone(), Says::Unknown("504")]);
        let first = shop.fix();
        assert_eq!(
            (first.recovered, outcomes(&first)),
            (false, vec![StepOutcome::Failed]),
            "{}",
            first.summary
        );
        assert_eq!(shop.hands.asked(), ["m1"], "{says:?}: the second is not touched");
        // A second fix, and a third, of the same incident: the other instance may be done, the first is not asked again.
        let second = shop.fix();
        let third = shop.fix();
        let asked = shop.hands.asked();
        assert_eq!(asked.iter().filter(|id| *id == "m1").count(), 1, "{says:?}: {asked:?}");
        assert_eq!(asked.iter().filter(|id| *id == "m2").count(), 1, "{says:?}: {asked:?}");
        assert!(!second.recovered && !third.recovered);
        assert_eq!(outcomes(&third), [StepOutcome::NotNeeded], "{}", third.summary);
        assert_eq!(shop.incidents().len(), 1);
    }
}

#[test]
fn what_was_refused_may_be_tried_by_the_next_fix_and_not_again_by_this_one() {
    for says in
        [Says::Refuses("429 Too Many Requests"), Says::Refuses("409 a lease is held"), Says::NotOffered]
    {
        let shop = Shop::new(&["m1"], &[says.clone(), Says::Mends]);
        let first = shop.fix();
        assert_eq!((first.recovered, outcomes(&first)), (false, vec![StepOutcome::Refused]), "{says:?}");
        assert_eq!(shop.hands.asked(), ["m1"], "{says:?}");
        let second = shop.fix();
        assert_eq!(
            (second.recovered, outcomes(&second)),
            (true, vec![StepOutcome::Applied]),
            "{}",
            second.summary
        );
        assert_eq!(shop.hands.asked(), ["m1", "m1"], "{says:?}");
        let list = shop.incidents();
        assert_eq!((list.len(), list[0].steps.len(), list[0].recovered), (1, 2, Some(true)));
    }
}

#[test]
fn where_nobody_tells_whom_there_is_nothing_is_begun() {
    let shop = Shop::new(&[], &[]);
    assert_eq!(outcomes(&shop.fix()), [StepOutcome::Refused]);
    *shop.hands.instances.lock().unwrap() = Err("half a document");
    assert_eq!(outcomes(&shop.fix()), [StepOutcome::Refused]);
    assert!(shop.hands.asked().is_empty() && shop.incidents()[0].steps.is_empty());
}

#[test]
fn the_second_instance_is_not_touched_while_the_first_is_not_ready() {
    let shop = Shop::new(&["m1", "m2", "m3"], &[Says::Done]);
    // Somebody loses patience before pgmedic does: it waits for a minute.
    let (hands, stop) = (Arc::clone(&shop.hands), Arc::new(AtomicBool::new(false)));
    let stopping = Arc::clone(&stop);
    let impatient = std::thread::spawn(move || {
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while hands.asked().is_empty() && std::time::Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_secs(3));
        stopping.store(true, Ordering::Relaxed);
    });
    let report = shop.fix_until(stop);
    impatient.join().unwrap();
    assert_eq!(shop.hands.asked(), ["m1"], "{}", report.summary);
    assert!(report.steps[0].detail.contains("the other 2 are not touched"), "{}", report.steps[0].detail);
    assert!(!report.recovered && shop.incidents()[0].recovered.is_none(), "{}", report.summary);
    // The next fix takes up those that are left; the first is not touched again.
    shop.hands.script.lock().unwrap().push_back(Says::Mends);
    assert!(shop.fix().recovered);
    assert_eq!(shop.hands.asked(), ["m1", "m2", "m3"]);
}

#[test]
fn each_instance_is_restarted_once_in_order_while_each_comes_back() {
    let shop = Shop::new(&["m1", "m2", "m3"], &[Says::Mends]);
    let report = shop.fix();
    assert!(report.recovered, "{}", report.summary);
    assert_eq!(shop.hands.asked(), ["m1", "m2", "m3"]);
    let steps = &shop.incidents()[0].steps;
    let on: Vec<_> = steps.iter().map(|s| (s.on.as_deref().unwrap(), s.outcome)).collect();
    assert_eq!(on, ["m1", "m2", "m3"].map(|id| (id, Some(StepOutcome::Applied))));
}

#[test]
fn a_closed_incident_that_ended_ill_goes_on_under_another_name_of_its_root() {
    let shop = Shop::new(&["m1"], &[Says::Unknown("504")]);
    assert!(!shop.fix().recovered);
    // The next look finds another root first: the same trouble, and not one more restart.
    shop.scene
        .server
        .lab()
        .postgres()
        .sql("alter role rescue connection limit 0; alter database renderflow connection limit 0")
        .unwrap();
    let other = Service { target: shop.scene.server.target("monitor"), ..shop.service.clone() };
    let again = Shop { service: other, ..shop };
    let report = again.fix();
    assert!(!report.recovered, "{}", report.summary);
    assert_eq!(again.hands.asked(), ["m1"], "{}", report.summary);
    assert_eq!(again.incidents().len(), 1, "{:?}", again.incidents()[0].causes);
}

#[test]
fn whoever_may_no_more_begins_nothing_and_goes_on_with_no_second_target() {
    let none = Shop::new(&["m1", "m2"], &[]);
    let report = none.fix_for(&mut Yielding(0), Arc::default());
    assert_eq!((none.hands.asked(), report.steps.len()), (Vec::new(), 0), "{}", report.summary);
    let steps: usize = none.incidents().iter().map(|incident| incident.steps.len()).sum();
    assert_eq!((steps, report.recovered), (0, false), "nothing was written down as begun");

    let one = Shop::new(&["m1", "m2"], &[Says::Mends]);
    let report = one.fix_for(&mut Yielding(1), Arc::default());
    assert_eq!(one.hands.asked(), ["m1"], "{}", report.summary);
    assert!(report.steps[0].detail.contains("the other 1 are not touched"), "{report:#?}");
}
