//! The demands, in words of no platform.

use pgmedic_model::Deed;
use pgmedic_path::hands::{Done, Hands, Order, Target, Undone};
use pgmedic_path::platform::{Part, Untold};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant as Clock};
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// What is in a double's hidden places, and in what it is asked with; nothing that hands say may show it.
pub(crate) const SECRET: &str = "hunter2";
/// What the tokens of Fly's double begin with.
const TOKEN: &str = "fm2_";

/// How things go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// As they should.
    Willing,
    /// Whoever asks may not.
    Forbidden,
    /// It is done, and no answer comes.
    ActsAndHangs,
    /// It is done, or begun, and the answer is an error of whoever does it.
    ActsAndFails,
}

/// A platform of the test's, and what is seen of it from behind.
pub(crate) struct Double {
    pub(crate) hands: Arc<dyn Hands>,
    /// How often it was asked anything.
    pub(crate) asked: Box<dyn Fn() -> usize>,
    /// How often it was asked to change something.
    pub(crate) changes: Box<dyn Fn() -> usize>,
    /// What a part is by now: another text after each restart of it.
    pub(crate) life: Box<dyn Fn(Part) -> String>,
    /// True where a part runs.
    pub(crate) runs: Box<dyn Fn(Part) -> bool>,
    /// What keeps it alive.
    pub(crate) _alive: Box<dyn std::any::Any>,
}

/// One runtime for what the doubles serve and for what asks them. The lab is asked from ordinary code.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

pub(crate) fn within(time: Duration) -> Instant {
    Instant::now() + time
}

/// Time for what goes well.
pub(crate) const AMPLE: Duration = Duration::from_secs(40);

pub(crate) fn until(what: &str, so: impl Fn() -> bool) {
    let end = Clock::now() + Duration::from_secs(20);
    while !so() {
        assert!(Clock::now() < end, "in twenty seconds: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

const fn restart(part: Part) -> Deed {
    match part {
        Part::Api => Deed::RestartApi,
        Part::Db => Deed::RestartDb,
    }
}

impl Double {
    /// The one target of a deed.
    pub(crate) fn target(&self, deed: Deed) -> Target {
        let mut all =
            run(self.hands.targets(deed, within(AMPLE))).unwrap_or_else(|why| panic!("{deed:?}: {why}"));
        assert_eq!(all.len(), 1, "{deed:?}: {all:?}");
        all.remove(0)
    }

    /// Does it, and holds what comes of it to what holds always.
    pub(crate) fn act(&self, order: &Order, time: Duration) -> Result<Done, Undone> {
        let begun = Clock::now();
        let end = run(async {
            let until = within(time);
            tokio::time::timeout_at(until + Duration::from_secs(1), self.hands.act(order, until)).await
        });
        let end = end.unwrap_or_else(|_| panic!("{order:?} is not bounded: {:?}", begun.elapsed()));
        let said = match &end {
            Ok(done) => done.said.clone(),
            Err(undone) => undone.to_string(),
        };
        assert!((5..1200).contains(&said.len()) && !said.contains('\n'), "{said:?}");
        let all = format!("{end:?}{said}{:?}", self.hands);
        assert!(!all.contains(SECRET) && !all.contains(TOKEN), "{all}");
        end
    }
}

/// Holds hands to the demands.
pub(crate) fn holds(double: impl Fn(Case) -> Double) {
    offers_without_asking(&double(Case::Willing));
    restarts_exactly_one(&double(Case::Willing));
    refuses_what_is_not_there(&double(Case::Willing));
    refuses_without_permission(&double(Case::Forbidden));
    knows_not_what_was_not_answered(&double(Case::ActsAndHangs));
    knows_not_what_ended_in_an_error(&double(Case::ActsAndFails));
    never_shrinks(&double(Case::Willing));
    begins_nothing_without_time(&double(Case::Willing));
}

fn offers_without_asking(double: &Double) {
    let offers = double.hands.offers();
    assert!(offers.contains(&Deed::RestartApi) && offers.contains(&Deed::RestartDb), "{offers:?}");
    assert_eq!((double.asked)(), 0, "offering asks nobody");
    for deed in [Deed::RestartApi, Deed::RestartDb, Deed::StartDb, Deed::RestartProxy, Deed::ExtendVolume] {
        let targets = run(double.hands.targets(deed, within(AMPLE)));
        match (offers.contains(&deed), &targets) {
            (true, Ok(all)) => {
                assert!(all.iter().all(|one| !one.id.is_empty() && !one.name.is_empty()), "{all:?}");
                let must_be = matches!(deed, Deed::RestartApi | Deed::RestartDb | Deed::ExtendVolume);
                assert!(!must_be || !all.is_empty(), "{deed:?}: nobody is there");
            }
            (false, Err(Untold::NotOffered(_) | Untold::NotNamed(_))) => {}
            other => panic!("{deed:?}: {other:?}"),
        }
    }
    assert_eq!((double.changes)(), 0, "looking changes nothing");
}

fn restarts_exactly_one(double: &Double) {
    for (part, other) in [(Part::Api, Part::Db), (Part::Db, Part::Api)] {
        let target = double.target(restart(part));
        let (before, beside, changes) = ((double.life)(part), (double.life)(other), (double.changes)());
        let done = double.act(&Order::Restart(part, target.clone()), AMPLE);
        let done = done.unwrap_or_else(|undone| panic!("{part:?}: {undone:?}"));
        assert!((double.runs)(part), "{part:?} does not run: {done:?}");
        assert_ne!((double.life)(part), before, "{part:?} was not restarted: {done:?}");
        assert_eq!((double.life)(other), beside, "the other one was, too");
        assert_eq!((double.changes)(), changes + 1, "asked for once");
    }
}

fn refuses_what_is_not_there(double: &Double) {
    let folder = tempfile::tempdir().unwrap();
    let canary = folder.path().join("canary");
    let odd = format!("x; touch {0} $(touch {0}) `touch {0}` --now", canary.display());
    for id in ["nobody", "", "../..", "x y", &odd, "--help", "a/b?c=d#e", "x\r\nfoo: bar"] {
        let target = Target { id: id.to_owned(), name: "nobody".to_owned(), size_gb: None };
        let lives = ((double.life)(Part::Api), (double.life)(Part::Db));
        for order in [
            Order::Restart(Part::Api, target.clone()),
            Order::Restart(Part::Db, target.clone()),
            Order::StartDb(target.clone()),
        ] {
            let end = double.act(&order, AMPLE);
            let known = double.hands.offers().contains(&order.deed());
            assert!(
                matches!(end, Err(Undone::Refused { .. }))
                    || (!known && matches!(end, Err(Undone::NotOffered(_)))),
                "{id:?}: {end:?}"
            );
        }
        assert_eq!(((double.life)(Part::Api), (double.life)(Part::Db)), lives, "{id:?}");
    }
    assert!(!canary.exists(), "a name is no shell text");
}

fn refuses_without_permission(double: &Double) {
    let lives = ((double.life)(Part::Api), (double.life)(Part::Db));
    let target = double.target(Deed::RestartDb);
    let end = double.act(&Order::Restart(Part::Db, target), AMPLE);
    assert!(matches!(end, Err(Undone::Refused { .. })), "{end:?}");
    assert!((double.changes)() <= 1, "asked for once at most");
    assert_eq!(((double.life)(Part::Api), (double.life)(Part::Db)), lives, "nothing has changed");
}

fn knows_not_what_was_not_answered(double: &Double) {
    let (target, before) = (double.target(Deed::RestartDb), (double.life)(Part::Db));
    let end = double.act(&Order::Restart(Part::Db, target), Duration::from_millis(2500));
    assert!(matches!(end, Err(Undone::Unknown { .. })), "{end:?}");
    assert_eq!((double.changes)(), 1, "not asked for twice");
    until("what was not answered is done all the same", || (double.life)(Part::Db) != before);
}

fn knows_not_what_ended_in_an_error(double: &Double) {
    let target = double.target(Deed::RestartDb);
    let end = double.act(&Order::Restart(Part::Db, target), AMPLE);
    assert!(matches!(end, Err(Undone::Unknown { .. })), "{end:?}");
    assert_eq!((double.changes)(), 1, "not asked for twice");
}

fn never_shrinks(double: &Double) {
    if !double.hands.offers().contains(&Deed::ExtendVolume) {
        return;
    }
    let target = Target { size_gb: Some(3), ..double.target(Deed::ExtendVolume) };
    for size in [0, 2, 3] {
        let end = double.act(&Order::Extend(target.clone(), size), AMPLE);
        assert!(matches!(end, Err(Undone::Refused { .. })), "{size}: {end:?}");
    }
    assert_eq!((double.changes)(), 0, "not even asked for");
}

fn begins_nothing_without_time(double: &Double) {
    let (target, before) = (double.target(Deed::RestartDb), (double.life)(Part::Db));
    let end = double.act(&Order::Restart(Part::Db, target), Duration::ZERO);
    assert!(matches!(end, Err(Undone::Refused { .. })), "{end:?}");
    assert_eq!(((double.changes)(), (double.life)(Part::Db)), (0, before));
}
