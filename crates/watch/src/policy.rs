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
    let counted = || ask.done.iter().filter(|done| done.applied != Some(0));
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
