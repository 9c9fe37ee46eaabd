//! Whether something may be done for an incident by itself, now. Pure: no I/O and no clock. Not in here: which remedy, on whom,
//! and its gates (`pgmedic_path::plan`), doing it (`mend`).

use crate::incident::Incident;
use crate::settings::{Automatic, Watched};
use pgmedic_model::{Confidence, Policy, RemedyKind, Timestamp};

/// One fix that was begun for a service, by this daemon, another watcher or a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// When it was begun.
    pub at: Timestamp,
    /// When it ended. None where it is in hand, or nobody knows.
    pub ended_at: Option<Timestamp>,
    /// It was begun without asking anybody.
    pub automatic: bool,
    /// How many steps it applied. None where it is not known: it counts then.
    pub applied: Option<u32>,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// When.
    pub now: Timestamp,
    /// For which service.
    pub watched: &'a Watched,
    /// For which incident.
    pub incident: &'a Incident,
    /// When the newest look that found its root was begun.
    pub seen_at: Timestamp,
    /// What was done for the service in the last hour and more, from the store and from the record.
    pub done: &'a [Done],
    /// Who paused it, and until when: the service itself or all of them.
    pub paused: Option<&'a str>,
    /// The stop file is there, or nobody can tell whether it is.
    pub stopped: bool,
}

/// What may be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Kinds that may be applied without asking; never empty.
    pub kinds: Vec<RemedyKind>,
}

/// Why nothing is done by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Held {
    /// `auto` is empty.
    #[error("nothing is allowed without asking: [service.policy] auto is empty")]
    NotAllowed,
    /// Nothing that would mend it is of an allowed kind, or can be done by pgmedic.
    #[error("{0}")]
    Person(String),
    /// The stop file is there.
    #[error("the stop file is there: nothing is done by itself")]
    StopFile,
    /// Somebody paused it.
    #[error("paused by {0}")]
    Paused(String),
    /// The automatic remedies failed too often for this incident.
    #[error("{0} fixes failed for this incident: a person is needed")]
    Escalated(u32),
    /// It is only possible.
    #[error("the diagnosis is only possible, not likely: a person is to judge it")]
    Unsure,
    /// It is over.
    #[error("the incident is closed")]
    Over,
    /// What was seen is from before the incident.
    #[error("what was seen is older than the incident: it is looked at anew first")]
    Stale,
    /// It is quiet time.
    #[error("quiet hours until {0}: nothing is done by itself")]
    Quiet(Timestamp),
    /// The last one was too lately.
    #[error("something was done lately: the next may be at {0} (cooldown)")]
    Cooldown(Timestamp),
    /// There were too many within an hour.
    #[error("{of} fixes within an hour: the next may be at {until} (max_per_hour)")]
    PerHour {
        /// How many there were.
        of: u32,
        /// When there may be another.
        until: Timestamp,
    },
}

impl Held {
    /// When to ask again, where time alone decides.
    #[must_use]
    pub const fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Quiet(at) | Self::Cooldown(at) | Self::PerHour { until: at, .. } => Some(*at),
            _ => None,
        }
    }
}

/// An hour, in ms.
const HOUR: i64 = 3_600_000;

/// By how much the clocks of two watchers may differ, in ms.
const AHEAD: i64 = 600_000;

/// Whether something may be done now, and of which kinds.
///
/// # Errors
/// The first reason against it, the one that a person can do most about first.
pub fn may(ask: &Ask<'_>) -> Result<Granted, Held> {
    let Ask { incident, watched, .. } = *ask;
    let Policy { auto, .. } = &watched.service.policy;
    if ask.stopped {
        return Err(Held::StopFile);
    }
    if let Some(by) = ask.paused {
        return Err(Held::Paused(by.to_owned()));
    }
    if !incident.is_open() {
        return Err(Held::Over);
    }
    if incident.escalated || incident.failed_fixes >= watched.automatic.escalate_after {
        return Err(Held::Escalated(incident.failed_fixes));
    }
    let kinds = kinds(auto, incident)?;
    if incident.confidence == Confidence::Possible {
        return Err(Held::Unsure);
    }
    if ask.seen_at < incident.since() {
        return Err(Held::Stale);
    }
    in_time(ask, &watched.automatic)?;
    Ok(Granted { kinds })
}

/// The kinds that are allowed, where the incident has a remedy of one that can be done by itself.
fn kinds(auto: &[RemedyKind], incident: &Incident) -> Result<Vec<RemedyKind>, Held> {
    let allowed: Vec<RemedyKind> = auto.iter().copied().filter(|kind| *kind != RemedyKind::Advice).collect();
    if allowed.is_empty() {
        return Err(Held::NotAllowed);
    }
    let able = || incident.remedies.iter().filter(|remedy| remedy.automatic);
    if able().any(|remedy| allowed.contains(&remedy.kind)) {
        return Ok(allowed);
    }
    Err(Held::Person(match able().next() {
        Some(remedy) => format!(
            "{} would mend it, and {} is not among what [service.policy] auto allows",
            remedy.remedy,
            remedy.kind.as_str()
        ),
        None => "only a person can mend it".to_owned(),
    }))
}

/// Quiet hours, the cooldown and the count within an hour.
fn in_time(ask: &Ask<'_>, automatic: &Automatic) -> Result<(), Held> {
    let now = ask.now;
    if let Some(end) = quiet_until(now, automatic) {
        return Err(Held::Quiet(end));
    }
    // One from the time to come was written before the clock was set back: how long ago it was nobody knows.
    let counted = || ask.done.iter().filter(|done| done.applied != Some(0) && done.at.0 <= now.0 + AHEAD);
    let cooldown = pgmedic_model::Ms(ask.watched.service.policy.cooldown_ms);
    let free = counted().map(|done| done.ended_at.unwrap_or(done.at).plus(cooldown)).max();
    if let Some(free) = free.filter(|free| *free > now) {
        return Err(Held::Cooldown(free));
    }
    let mut lately: Vec<i64> =
        counted().filter(|done| done.automatic && done.at.0 > now.0 - HOUR).map(|done| done.at.0).collect();
    lately.sort_unstable();
    let most = usize::try_from(automatic.per_hour).unwrap_or(usize::MAX);
    if lately.len() < most {
        return Ok(());
    }
    let of = u32::try_from(lately.len()).unwrap_or(u32::MAX);
    // The one whose leaving the hour makes the count fall below the most; with a most of 0 none ever does.
    let until = lately.get(lately.len() - most).map_or(Timestamp(now.0 + HOUR), |at| Timestamp(at + HOUR));
    Err(Held::PerHour { of, until })
}

/// The end of the quiet time that it is, through those that follow on from each other. None where it is none.
fn quiet_until(now: Timestamp, automatic: &Automatic) -> Option<Timestamp> {
    const MINUTE: i64 = 60_000;
    let quiet = |at: Timestamp| automatic.quiet.iter().any(|quiet| quiet.holds(at));
    if !quiet(now) {
        return None;
    }
    let begun = now.0.div_euclid(MINUTE) * MINUTE;
    // A whole day of it: it is asked again a day later.
    let end = (1..=1440).map(|minutes| Timestamp(begun + minutes * MINUTE)).find(|at| !quiet(*at));
    Some(end.unwrap_or(Timestamp(begun + 1440 * MINUTE)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incidents::scene::{Scene, at, critical};
    use crate::incidents::{Incidents, Verdict};
    use crate::settings::Quiet;
    use pgmedic_model::target::{Settings, Surroundings};
    use pgmedic_model::{RemedyPlan, Room};
    use pgmedic_path::Service;

    const MINUTE: i64 = 60_000;

    fn watched() -> Watched {
        let target =
            Settings::parse("postgres://app@db/app").unwrap().resolve(&Surroundings::default()).unwrap();
        let policy = Policy { auto: vec![RemedyKind::Sessions], ..Policy::default() };
        let service = Service { name: "a".to_owned(), named: true, policy, ..Service::bare(target) };
        let automatic = Automatic::default();
        Watched { service, labels: std::collections::BTreeMap::new(), automatic, standing: true }
    }

    /// Slots that idle sessions hold, which pgmedic can end.
    fn incident() -> Incident {
        let plan =
            RemedyPlan::by_hand("terminate-idle-sessions", RemedyKind::Sessions, "end 20", "pgmedic fix");
        let finding =
            critical("slots-exhausted", Room::Admission).mended_by(RemedyPlan { automatic: true, ..plan });
        let scene = Scene::walk("a").finds(finding);
        let mut incidents = Incidents::default();
        incidents.take(&scene.seen(at(-10)), at(-10));
        let Some(Verdict::Changed(_, incident)) = incidents.take(&scene.seen(at(0)), at(0)).pop() else {
            panic!("not opened")
        };
        (*incident).clone()
    }

    /// One that was begun so many ms after the start, and took a second.
    fn done(ms: i64) -> Done {
        Done { at: at(ms), ended_at: Some(at(ms + 1000)), automatic: true, applied: Some(1) }
    }

    /// What is allowed and asked, in the making: by default it may.
    struct Case {
        now: i64,
        watched: Watched,
        incident: Incident,
        seen_at: i64,
        done: Vec<Done>,
        paused: Option<&'static str>,
        stopped: bool,
    }

    fn asked(change: impl FnOnce(&mut Case)) -> Result<Granted, Held> {
        let mut case = Case {
            now: 100 * MINUTE,
            watched: watched(),
            incident: incident(),
            seen_at: 100 * MINUTE,
            done: Vec::new(),
            paused: None,
            stopped: false,
        };
        change(&mut case);
        may(&Ask {
            now: at(case.now),
            watched: &case.watched,
            incident: &case.incident,
            seen_at: at(case.seen_at),
            done: &case.done,
            paused: case.paused,
            stopped: case.stopped,
        })
    }

    #[test]
    fn what_is_allowed_and_fresh_and_likely_may_be_done() {
        assert_eq!(asked(|_| {}), Ok(Granted { kinds: vec![RemedyKind::Sessions] }));
        assert!(asked(|c| c.incident.confidence = Confidence::Likely).is_ok());
        assert!(asked(|c| c.seen_at = 0).is_ok(), "seen when it was opened");
        assert!(asked(|c| c.incident.failed_fixes = 1).is_ok());
    }

    #[test]
    fn a_stop_file_and_a_pause_stop_everything() {
        assert_eq!(asked(|c| c.stopped = true), Err(Held::StopFile));
        let held = asked(|c| c.paused = Some("eve")).unwrap_err();
        assert_eq!((held.to_string().as_str(), held.until()), ("paused by eve", None));
    }

    #[test]
    fn only_allowed_kinds_are_done_and_only_where_pgmedic_can() {
        assert_eq!(asked(|c| c.watched.service.policy.auto.clear()), Err(Held::NotAllowed));
        let advice = asked(|c| c.watched.service.policy.auto = vec![RemedyKind::Advice]);
        assert_eq!(advice, Err(Held::NotAllowed), "advice is for people");
        let held = asked(|c| c.watched.service.policy.auto = vec![RemedyKind::Storage]).unwrap_err();
        assert!(
            held.to_string().contains("terminate-idle-sessions would mend it, and sessions is not"),
            "{held}"
        );
        let held = asked(|c| c.incident.remedies[0].automatic = false).unwrap_err();
        assert_eq!(held.to_string(), "only a person can mend it");
    }

    #[test]
    fn nothing_is_done_on_what_is_only_possible_or_older_than_the_incident_or_over() {
        assert_eq!(asked(|c| c.incident.confidence = Confidence::Possible), Err(Held::Unsure));
        assert_eq!(asked(|c| c.seen_at = -1), Err(Held::Stale));
        let back = asked(|c| {
            c.incident.back_at = Some(at(50 * MINUTE));
            c.seen_at = 50 * MINUTE - 1;
        });
        assert_eq!(back, Err(Held::Stale), "it came back since");
        assert_eq!(asked(|c| c.incident.closed_at = Some(at(1))), Err(Held::Over));
    }

    #[test]
    fn after_the_second_failure_a_person_is_needed() {
        assert_eq!(asked(|c| c.incident.failed_fixes = 2), Err(Held::Escalated(2)));
        assert_eq!(asked(|c| c.incident.escalated = true), Err(Held::Escalated(0)));
        let more = asked(|c| {
            c.incident.failed_fixes = 2;
            c.watched.automatic.escalate_after = 3;
        });
        assert!(more.is_ok());
    }

    #[test]
    fn between_two_remedies_the_cooldown_passes_from_the_end_of_the_last() {
        let cooldown = 5 * MINUTE;
        let end = 90 * MINUTE + 1000;
        let ask =
            |now: i64| asked(move |c| (c.now, c.done) = (now, vec![done(90 * MINUTE), done(3 * MINUTE)]));
        assert_eq!(ask(end + cooldown - 1), Err(Held::Cooldown(at(end + cooldown))));
        assert!(ask(end + cooldown).is_ok());
        // A person's counts too; one that found nothing to do does not; one that is in hand, from its beginning.
        let one = |change: fn(&mut Done)| {
            asked(move |c| {
                let mut one = done(99 * MINUTE);
                change(&mut one);
                c.done = vec![one];
            })
        };
        assert!(matches!(one(|d| d.automatic = false), Err(Held::Cooldown(_))));
        assert!(one(|d| d.applied = Some(0)).is_ok());
        assert_eq!(one(|d| (d.ended_at, d.applied) = (None, None)), Err(Held::Cooldown(at(104 * MINUTE))));
    }

    #[test]
    fn in_any_hour_only_so_many_are_done() {
        let three = || vec![done(45 * MINUTE), done(60 * MINUTE), done(75 * MINUTE)];
        let ask = |now: i64| asked(move |c| (c.now, c.done) = (now, three()));
        assert_eq!(ask(100 * MINUTE), Err(Held::PerHour { of: 3, until: at(105 * MINUTE) }));
        assert!(ask(105 * MINUTE).is_ok());
        let by_hand = asked(|c| {
            c.done = three();
            c.done[1].automatic = false;
        });
        assert!(by_hand.is_ok(), "a person's are not counted");
        // More than may be, for the limit was lowered: until all but two are an hour ago.
        let lowered = asked(|c| (c.done, c.watched.automatic.per_hour) = (three(), 1));
        assert_eq!(lowered, Err(Held::PerHour { of: 3, until: at(135 * MINUTE) }));
        let never = asked(|c| c.watched.automatic.per_hour = 0);
        assert!(matches!(never, Err(Held::PerHour { of: 0, .. })));
    }

    #[test]
    fn in_quiet_hours_nothing_is_done_and_it_is_said_until_when() {
        // The start is 03:12:09 UTC; it is asked at 04:52:09.
        let ask = |quiet: &[(u16, u16)]| {
            let quiet: Vec<Quiet> =
                quiet.iter().map(|(from, until)| Quiet { from: *from, until: *until }).collect();
            asked(move |c| c.watched.automatic.quiet = quiet)
        };
        let until = |text: &str| Err(Held::Quiet(text.parse().unwrap()));
        assert_eq!(ask(&[(4 * 60, 6 * 60)]), until("2026-11-26T06:00:00Z"));
        assert_eq!(ask(&[(22 * 60, 5 * 60)]), until("2026-11-26T05:00:00Z"));
        assert_eq!(ask(&[(22 * 60, 5 * 60), (5 * 60, 7 * 60)]), until("2026-11-26T07:00:00Z"));
        assert!(ask(&[(6 * 60, 22 * 60), (60, 4 * 60 + 52)]).is_ok());
        assert!(matches!(ask(&[(0, 12 * 60), (12 * 60, 1440)]), Err(Held::Quiet(_))), "all day");
    }
}
