//! The demands, in words of no platform.

use pgmedic_path::platform::told::InstanceState;
use pgmedic_path::platform::{Part, Platform, Untold};
use std::time::Duration;
use tokio::time::Instant;

/// What is in a double's hidden places; nothing that a platform tells may show it.
pub(crate) const SECRET: &str = "hunter2";

/// How things stand with the database of a double. The API runs and has logged `Database not initialised` last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// The database runs.
    Running,
    /// It was stopped by somebody.
    Stopped,
    /// It was killed for want of memory.
    Failed,
    /// There is nothing of that name.
    Unknown,
    /// The platform does not let us ask.
    Denied,
    /// It takes the question and says nothing.
    Hang,
    /// It says what makes no sense.
    Garbage,
    /// It never stops talking.
    Endless,
}

/// The most that a log may have.
const LOG: usize = 256 * 1024;

/// A double of a platform, and what keeps it alive.
pub(crate) struct Double {
    pub(crate) platform: Box<dyn Platform>,
    /// What the refusal of [`Case::Denied`] must say for a person to go on.
    pub(crate) denied: &'static str,
    /// The name that nothing has in [`Case::Unknown`].
    pub(crate) unknown: &'static str,
    pub(crate) _alive: Box<dyn Send>,
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// Holds a platform to the demands.
pub(crate) async fn holds<F: Future<Output = Double>>(double: impl Fn(Case) -> F) {
    tells_states(&double).await;
    says_why_not(&double).await;
    is_bounded(&double).await;
}

async fn tells_states<F: Future<Output = Double>>(double: &impl Fn(Case) -> F) {
    for (case, state) in [
        (Case::Running, InstanceState::Running),
        (Case::Stopped, InstanceState::Stopped),
        (Case::Failed, InstanceState::Failed),
    ] {
        let double = double(case).await;
        let told = double.platform.instances(Part::Db, soon()).await;
        let told = told.unwrap_or_else(|why| panic!("{case:?}: {why}"));
        let [one] = told.as_slice() else { panic!("{case:?}: {told:?}") };
        assert_eq!(one.state, state, "{one:?}");
        assert!(!one.id.is_empty() && !one.name.is_empty() && !one.word.is_empty(), "{one:?}");
        assert!(one.by_hand.look.contains(&one.name) || one.by_hand.look.contains(&one.id), "{one:?}");
        assert!(!format!("{told:?}").contains(SECRET), "{told:?}");
        match case {
            Case::Stopped => assert!(!one.exit.as_ref().is_some_and(|exit| exit.out_of_memory), "{one:?}"),
            Case::Failed => assert!(one.exit.as_ref().is_some_and(|exit| exit.out_of_memory), "{one:?}"),
            _ => {
                let log = double.platform.log(Part::Api, soon()).await.unwrap();
                let last = log.lines().last().unwrap_or_default();
                assert!(last.contains("Database not initialised"), "{log}");
                assert!(last.starts_with("20"), "a line of the API has its time: {last}");
            }
        }
        assert!(!format!("{:?}", double.platform).contains(SECRET));
    }
}

async fn says_why_not<F: Future<Output = Double>>(double: &impl Fn(Case) -> F) {
    for case in [Case::Unknown, Case::Denied, Case::Garbage] {
        let double = double(case).await;
        let why = match double.platform.instances(Part::Db, soon()).await {
            Err(Untold::Failed(why)) => why,
            other => panic!("{case:?}: {other:?}"),
        };
        let must = match case {
            Case::Unknown => double.unknown,
            Case::Denied => double.denied,
            _ => "",
        };
        assert!(why.contains(must) && !why.contains(SECRET), "{case:?}: {why}");
        assert!((10..1000).contains(&why.len()) && !why.contains('\n'), "{case:?}: {why}");
        if case != Case::Unknown {
            let log = double.platform.log(Part::Db, soon()).await;
            assert!(log.is_err(), "{case:?}: {log:?}");
        }
    }
}

async fn is_bounded<F: Future<Output = Double>>(double: &impl Fn(Case) -> F) {
    for (case, within) in [(Case::Hang, 300), (Case::Endless, 5_000)] {
        let double = double(case).await;
        let within = Duration::from_millis(within);
        let begun = Instant::now();
        let told = double.platform.instances(Part::Db, begun + within).await;
        assert!(matches!(told, Err(Untold::Failed(_))), "{case:?}: {told:?}");
        let log = double.platform.log(Part::Db, Instant::now() + within).await;
        assert!(log.as_ref().is_ok_and(|text| text.len() <= LOG) || log.is_err(), "{case:?}");
        assert!(begun.elapsed() < 2 * within + Duration::from_secs(1), "{case:?}: {:?}", begun.elapsed());
    }
}
