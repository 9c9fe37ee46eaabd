//! The schedule under paused time, with scripted eyes: nothing of it waits for real.

use super::*;
use crate::board::Patient;
use crate::fixture::evidence;
use crate::seen::Kind;
use pgmedic_model::Status;
use pgmedic_path::Evidence;
use pgmedic_path::evidence::Seen as Shown;
use pgmedic_path::rooms::network::evidence::ConnectOutcome;
use pgmedic_path::sql::facts::SqlFacts;
use std::fmt::Debug;
use std::sync::Mutex;
use tokio::task::LocalSet;

/// What a look does.
#[derive(Clone, Debug)]
enum Does {
    /// Sees a service that is well, after this time.
    Well(u64),
    /// Sees one that does not answer, after this time.
    Ill(u64),
    Hangs,
    Panics,
    /// There is nothing to look through.
    Nothing,
}

type Script = dyn Fn(Kind, u64) -> Does + Send + Sync;

struct Eye {
    name: String,
    script: Box<Script>,
    looks: Mutex<(u64, u64)>,
    end: Notify,
}

impl Debug for Eye {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Eye {
    fn new(name: &str, script: impl Fn(Kind, u64) -> Does + Send + Sync + 'static) -> Arc<Self> {
        let script = Box::new(script);
        Arc::new(Self { name: name.to_owned(), script, looks: Mutex::default(), end: Notify::new() })
    }

    fn doing(&self, kind: Kind) -> Looking<'_> {
        let number = {
            let mut looks = self.looks.lock().unwrap();
            let counter = if kind == Kind::Look { &mut looks.0 } else { &mut looks.1 };
            *counter += 1;
            *counter
        };
        let does = (self.script)(kind, number);
        Box::pin(async move {
            let wait = |ms| tokio::time::sleep(Duration::from_millis(ms));
            match does {
                Does::Well(ms) => wait(ms).await,
                Does::Ill(ms) => {
                    wait(ms).await;
                    return Some(Arc::new(self.evidence(false, ms)));
                }
                Does::Hangs => std::future::pending().await,
                Does::Panics => panic!("as the test wants"),
                Does::Nothing => return None,
            }
            let Does::Well(ms) = does else { unreachable!() };
            Some(Arc::new(self.evidence(true, ms)))
        })
    }

    fn evidence(&self, well: bool, ms: u64) -> Evidence {
        let mut facts = SqlFacts { version_num: 150_018, ..SqlFacts::default() };
        let admission = &mut facts.admission;
        (admission.max_connections, admission.superuser_reserved, admission.client_backends) = (100, 3, 10);
        let mut seen = evidence(&self.name, well.then_some(facts));
        seen.app.metrics = Shown::NotSeen("not configured".to_owned());
        seen.host = Shown::NotSeen("not configured".to_owned());
        seen.elapsed_ms = Duration::from_millis(ms).into();
        if !well {
            (seen.front.proxy, seen.front.tls, seen.front.startup) = (None, None, None);
            for attempt in seen.front.network.iter_mut().flat_map(|network| &mut network.attempts) {
                attempt.outcome = ConnectOutcome::Refused;
            }
        }
        seen
    }
}

impl Eyes for Eye {
    fn look(&self) -> Looking<'_> {
        self.doing(Kind::Look)
    }

    fn walk(&self) -> Looking<'_> {
        self.doing(Kind::Walk)
    }

    fn walked<'a>(&'a self, _: &'a Evidence) -> Ending<'a> {
        Box::pin(std::future::ready(()))
    }

    fn ended(&self) -> Ending<'_> {
        Box::pin(self.end.notified())
    }
}

const ROUNDS: Rounds = Rounds {
    interval: Duration::from_secs(1),
    walk: Duration::from_secs(5),
    timeout: Duration::from_secs(5),
};

/// One thing that was seen: of whom, how, whether it was well, and when since the start.
#[derive(Clone, Debug)]
struct Told {
    service: String,
    kind: Kind,
    well: bool,
    at: Duration,
    lag: f64,
}

/// Runs services for a while, and gives what was seen, and the board.
fn watched(eyes: Vec<Arc<Eye>>, span: Duration) -> (Vec<Told>, Board) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let board = Board::default();
    let told = runtime.unwrap().block_on(LocalSet::new().run_until(async {
        let (see, mut seen) = mpsc::channel(16);
        let mut schedule = Schedule::new(board.clone(), Clock::System, see);
        let begun = Instant::now();
        for eye in &eyes {
            let name: Arc<str> = eye.name.as_str().into();
            board.state().services.insert(Arc::clone(&name), Patient::default());
            schedule.begin(&name, Arc::clone(eye) as _, ROUNDS);
        }
        let mut told = Vec::new();
        while let Ok(Some(seen)) = tokio::time::timeout_at(begun + span, seen.recv()).await {
            told.push(Told {
                service: seen.service.to_string(),
                kind: seen.kind,
                well: seen.is_well(),
                at: begun.elapsed(),
                lag: seen.lag.0,
            });
        }
        told
    }));
    (told, board)
}

fn secs(number: u64) -> Duration {
    Duration::from_secs(number)
}

#[test]
fn those_that_begin_together_are_spread_over_the_interval_and_walk_at_different_times() {
    let eyes: Vec<_> = (0..300).map(|n| Eye::new(&format!("s{n}"), |_, _| Does::Well(1))).collect();
    let (told, _) = watched(eyes, secs(20));
    let bucket = |kind, from: u128, width: u128| {
        let in_it = |t: &&Told| t.kind == kind && (from..from + width).contains(&t.at.as_millis());
        told.iter().filter(in_it).count()
    };
    for tenth in 0..10 {
        let looks = bucket(Kind::Look, 12_000 + tenth * 100, 100);
        assert!((10..60).contains(&looks), "{looks} of 300 in tenth {tenth}");
    }
    for second in 10..15 {
        let walks = bucket(Kind::Walk, second * 1000, 1000);
        assert!((30..90).contains(&walks), "{walks} of 300 in second {second}");
    }
}

#[test]
fn three_in_ten_that_hang_cost_the_others_no_interval() {
    let eyes: Vec<_> = (0..400)
        .map(|n| {
            let hangs = n % 10 < 3;
            Eye::new(&format!("{}{n}", if hangs { "hung" } else { "well" }), move |_, _| {
                if hangs { Does::Hangs } else { Does::Well(2) }
            })
        })
        .collect();
    let (told, board) = watched(eyes, secs(21));
    assert!(told.iter().all(|t| t.well && t.service.starts_with("well")));
    let state = board.state();
    for (name, patient) in state.services.iter().filter(|(name, _)| name.starts_with("well")) {
        let looks = told.iter().filter(|t| *t.service == **name && t.kind == Kind::Look).count();
        let walks = told.iter().filter(|t| *t.service == **name && t.kind == Kind::Walk).count();
        assert!((20..=21).contains(&looks) && (4..=6).contains(&walks), "{name}: {looks}, {walks}");
        assert_eq!(patient.missed, 0, "{name}");
    }
    let worst = told.iter().map(|t| t.lag).fold(0.0, f64::max);
    assert!(worst <= 5.0, "a lag of {worst} ms");
    assert!(state.own.panics >= 120, "what hung was cut off: {}", state.own.panics);
}

#[test]
fn looks_do_not_drift_though_each_takes_a_while() {
    let (told, board) = watched(vec![Eye::new("slow", |_, _| Does::Well(300))], secs(101));
    let looks = told.iter().filter(|t| t.kind == Kind::Look).count();
    assert!((100..=101).contains(&looks), "{looks}");
    assert_eq!(board.state().services["slow"].missed, 0);
}

#[test]
fn intervals_that_go_by_meanwhile_are_missed_and_counted() {
    let (told, board) = watched(vec![Eye::new("slower", |_, _| Does::Well(2300))], secs(60));
    let state = board.state();
    let missed = state.services["slower"].missed;
    let rounds = told.iter().filter(|t| t.kind == Kind::Look).count() as u64;
    assert!(missed >= 30 && (55..=61).contains(&(missed + rounds)), "{missed} missed, {rounds} made");
}

#[test]
fn a_look_that_panics_is_an_outcome_of_that_one_and_the_next_is_made_as_ever() {
    let panics = |kind, number| match (kind, number) {
        (Kind::Walk, 2) | (Kind::Look, 7) => Does::Panics,
        _ => Does::Well(1),
    };
    let (told, board) =
        watched(vec![Eye::new("shaky", panics), Eye::new("calm", |_, _| Does::Well(1))], secs(20));
    assert_eq!(board.state().own.panics, 2);
    for name in ["shaky", "calm"] {
        let looks = told.iter().filter(|t| t.service == name && t.kind == Kind::Look).count();
        assert!((18..=21).contains(&looks), "{name}: {looks}");
    }
}

#[test]
fn a_look_that_is_odd_is_followed_by_a_walk_at_once_and_so_is_the_end_of_the_session() {
    let turns = |kind, number| match (kind, number) {
        (Kind::Look, 10..) => Does::Ill(1),
        _ => Does::Well(1),
    };
    let (told, _) = watched(vec![Eye::new("shop", turns)], secs(15));
    let ill = told.iter().position(|t| !t.well).unwrap();
    let walk = &told[ill + 1];
    assert_eq!(walk.kind, Kind::Walk);
    assert!(walk.at - told[ill].at <= Duration::from_millis(2), "{walk:?}");

    let eye = Eye::new("shop", |_, _| Does::Well(1));
    let ends = Arc::clone(&eye);
    let thread = Arc::new(Mutex::new(0u64));
    let counted = Arc::clone(&thread);
    let ending = Eye::new("ending", move |kind, number| {
        if kind == Kind::Look && number == 7 {
            ends.end.notify_one();
        }
        *counted.lock().unwrap() += 1;
        Does::Well(1)
    });
    let (told, _) = watched(vec![eye, ending], secs(12));
    let heard =
        told.iter().find(|t| t.service == "ending" && t.kind == Kind::Look && t.at > secs(6)).unwrap().at;
    let near = |t: &&Told| {
        t.service == "shop" && t.kind == Kind::Walk && t.at.abs_diff(heard) <= Duration::from_millis(5)
    };
    assert!(told.iter().any(|t| near(&t)), "no walk when the session ended: {told:#?}");
}

#[test]
fn one_that_is_ill_is_walked_at_every_interval_and_recovery_is_seen_within_one() {
    let down = |kind, number| match (kind, number) {
        (Kind::Look, _) => Does::Nothing,
        (Kind::Walk, 3..=300) => Does::Ill(1),
        _ => Does::Well(1),
    };
    let (told, _) = watched(vec![Eye::new("shop", down)], secs(310));
    let walks: Vec<_> = told.iter().filter(|t| t.kind == Kind::Walk).collect();
    let longest = walks.windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap();
    assert!(longest <= Duration::from_millis(1010), "{longest:?}: no back-off while it is down");
    assert!(walks.iter().any(|t| t.well && t.at > secs(290)));
}

#[test]
fn a_look_that_hangs_is_overtaken_by_a_walk() {
    let hangs = |kind, number| match (kind, number) {
        (Kind::Look, 10..) => Does::Hangs,
        (Kind::Walk, 4..) => Does::Ill(1),
        _ => Does::Well(1),
    };
    let (told, _) = watched(vec![Eye::new("shop", hangs)], secs(30));
    let last = told.iter().rfind(|t| t.kind == Kind::Look).unwrap().at;
    let seen = told.iter().find(|t| !t.well).unwrap().at;
    assert!(seen - last <= Duration::from_millis(5300), "seen {:?} after the last look", seen - last);
}

#[test]
fn what_asks_for_walks_without_end_gets_three_in_an_interval() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let walks = runtime.unwrap().block_on(LocalSet::new().run_until(async {
        let (see, mut seen) = mpsc::channel(16);
        let mut schedule = Schedule::new(Board::default(), Clock::System, see);
        let name: Arc<str> = "shop".into();
        schedule.begin(&name, Eye::new("shop", |_, _| Does::Well(1)) as _, ROUNDS);
        let (until, mut walks) = (Instant::now() + secs(10), 0);
        while let Ok(Some(seen)) = tokio::time::timeout_at(until, seen.recv()).await {
            walks += u64::from(seen.kind == Kind::Walk);
            schedule.walk_now("shop");
        }
        walks
    }));
    assert!((20..=50).contains(&walks), "{walks}");
}

#[test]
fn what_is_scripted_is_found_so() {
    let eye = Eye::new("shop", |_, _| Does::Well(1));
    for (well, status) in [(true, Status::Ok), (false, Status::Critical)] {
        let seen = eye.evidence(well, 1);
        let report = pgmedic_path::report(&seen, pgmedic_path::diagnose(&seen));
        assert_eq!(report.status, status, "{:#?} {:?}", report.findings, report.unseen);
    }
}

#[test]
fn a_service_whose_every_look_and_walk_breaks_down_is_unknown_and_known_again_when_one_does_not() {
    let breaks = |kind, number| match (kind, number) {
        (Kind::Look, 10..) => Does::Panics,
        (Kind::Walk, n) if (5..100).contains(&n) => {
            if n % 2 == 0 {
                Does::Panics
            } else {
                Does::Hangs
            }
        }
        _ => Does::Well(1),
    };
    let hurt = || vec![Eye::new("shop", breaks), Eye::new("calm", |_, _| Does::Well(1))];
    let (_, board) = watched(hurt(), secs(120));
    let state = board.state();
    assert!(state.services["shop"].blind && !state.services["calm"].blind);
    let (told, board) = watched(hurt(), secs(1500));
    assert!(told.iter().any(|t| t.service == "shop" && t.at > secs(200)), "it was walked on");
    assert!(!board.state().services["shop"].blind, "and is known again");
}

#[test]
fn two_walks_that_break_down_leave_a_service_as_known_as_it_was() {
    let breaks = |kind, number| match (kind, number) {
        (Kind::Walk, 3 | 4) => Does::Panics,
        _ => Does::Well(1),
    };
    let (_, board) = watched(vec![Eye::new("shop", breaks)], secs(17));
    assert!(board.state().own.panics == 2 && !board.state().services["shop"].blind);
}

#[test]
fn another_version_of_a_service_looks_once_the_one_before_has_ended_with_what_it_had_in_hand() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(LocalSet::new().run_until(async {
        let (see, mut seen) = mpsc::channel(16);
        let mut schedule = Schedule::new(Board::default(), Clock::System, see);
        let name: Arc<str> = "shop".into();
        let slow = |kind, _| if kind == Kind::Walk { Does::Well(3000) } else { Does::Nothing };
        schedule.begin(&name, Eye::new("shop", slow) as _, ROUNDS);
        tokio::time::sleep(secs(2)).await;
        let after = Eye::new("shop", |_, _| Does::Well(1));
        let (left, mut gone) = tokio::sync::oneshot::channel();
        schedule.replace(&name, Arc::clone(&after) as _, ROUNDS, async move {
            left.send(Instant::now()).unwrap();
        });
        // It began within the first second, and takes three.
        tokio::time::sleep(Duration::from_millis(900)).await;
        assert_eq!(*after.looks.lock().unwrap(), (0, 0), "the next is not begun before");
        let first = seen.recv().await.unwrap();
        assert_eq!(first.evidence.elapsed_ms.0, 3000.0, "the walk in hand came to its end");
        let second = seen.recv().await.unwrap();
        assert_eq!(second.evidence.elapsed_ms.0, 1.0);
        assert!(gone.try_recv().unwrap() <= Instant::now(), "what was left is gone");
        // One that hangs is not waited for longer than any look may take.
        schedule.replace(&name, Eye::new("shop", |_, _| Does::Hangs) as _, ROUNDS, std::future::ready(()));
        tokio::time::sleep(secs(2)).await;
        schedule.replace(&name, Eye::new("shop", |_, _| Does::Well(7)) as _, ROUNDS, std::future::ready(()));
        let begun = Instant::now();
        while seen.recv().await.unwrap().evidence.elapsed_ms.0 < 7.0 {}
        assert!(begun.elapsed() <= ROUNDS.timeout * 2 + secs(2), "{:?}", begun.elapsed());
    }));
}
