//! Evidence and findings in, steps out: which remedies, in which order, on whom exactly, and whether each may be applied.
//! Pure. Not in here: the gates themselves (`gates`), the words of a step (`words`), and doing anything (`fix`).

mod words;

use crate::evidence::Evidence;
use crate::gates;
use crate::paste::argument;
use pgmedic_model::{
    Action, Confidence, Finding, Permit, PlanStep, RemedyKind, RemedyPlan, Role, SessionRef, Severity,
};

/// The remedies that pgmedic can apply, by their ids: those that some cause gives an action.
pub const REMEDIES: [&str; 19] = [
    "cancel-blocker",
    "cancel-query",
    "cancel-waiting-statement",
    "enable-pooler-database",
    "extend-volume",
    "raise-database-limit",
    "raise-role-limit",
    "recycle-api-pool",
    "restart-database",
    "restart-largest-holder",
    "restart-pooler",
    "restart-proxy",
    "resume-pooler",
    "start-database",
    "terminate-ghost-sessions",
    "terminate-half-open",
    "terminate-idle-in-transaction",
    "terminate-idle-sessions",
    "terminate-lock-root",
];

/// What may be applied, and what has been.
#[derive(Clone, Debug, Default)]
pub struct Permits {
    /// Kinds that may be applied without asking.
    pub kinds: Vec<RemedyKind>,
    /// Whoever can be asked is asked about each step, of whatever kind.
    pub asks: bool,
    /// Only this remedy.
    pub only: Option<String>,
    /// Causes that are left to a person, whatever the kind of their remedies.
    pub barred: Vec<String>,
    /// What the record says was done for this incident, or begun: remedy and target; None for whatever the target.
    pub done: Vec<(String, Option<String>)>,
    /// Sessions that this fix has ended so far.
    pub ended: u64,
}

/// The steps that the findings ask for: those of what is critical, where anything is, else those of what is found at all;
/// least disruptive first, and within a kind in the order of the causes' own ladders.
#[must_use]
pub fn plan(e: &Evidence, findings: &[Finding], permits: &Permits) -> Vec<PlanStep> {
    let critical = findings.iter().any(|f| f.severity == Severity::Critical);
    let worst = |f: &&Finding| !critical || f.severity == Severity::Critical || f.role == Role::Contributing;
    let of_role = |role: Role| findings.iter().filter(move |f| f.role == role).filter(worst);
    let mut steps: Vec<PlanStep> = Vec::new();
    for finding in of_role(Role::Root).chain(of_role(Role::Contributing)) {
        for remedy in &finding.remedies {
            let step = step(e, finding, remedy, permits);
            // Two causes may ask for the same, each under its own name.
            let asked_for = permits.only.as_deref() == Some(step.remedy.as_str());
            let twin = |s: &PlanStep| {
                (s.remedy == step.remedy && s.target == step.target)
                    || (!asked_for && s.action.is_some() && s.action == step.action)
            };
            if !steps.iter().any(twin) {
                steps.push(step);
            }
        }
    }
    steps.sort_by_key(|step| step.kind);
    steps
}

/// Why pgmedic cannot do this here, where it cannot: nobody with hands, or no way in that has the right.
///
/// # Errors
/// The reason, with what would make it possible.
pub fn able(e: &Evidence, action: &Action) -> Result<(), String> {
    if let Some(deed) = action.deed() {
        let key = words::key(deed);
        return if e.offers.contains(&deed) {
            Ok(())
        } else {
            Err(format!("nobody here can do it: {key} in [service.platform] would let pgmedic"))
        };
    }
    match action {
        Action::ResumePooler { .. } | Action::EnablePooler { .. } => match e.pooler.get() {
            Some(pooler) if pooler.failure.is_none() => Ok(()),
            _ => Err("the pooler's console was not reached (`pooler`)".to_owned()),
        },
        Action::RaiseLimit { .. } => {
            if e.routes().filter_map(|(_, r)| r.facts()).any(|f| f.me.superuser) {
                Ok(())
            } else {
                Err("no way in has the right to: it takes a superuser (`rescue`)".to_owned())
            }
        }
        _ => may_signal(e, action.sessions()),
    }
}

/// Some way in that was admitted may signal all of these sessions: as a superuser, as a member of `pg_signal_backend`, or
/// as their own role (Postgres manual, "Server Signaling Functions").
fn may_signal(e: &Evidence, sessions: &[SessionRef]) -> Result<(), String> {
    let own = |role: &str| sessions.iter().all(|s| s.usename == role);
    let mut ways = e.routes().filter_map(|(_, r)| r.facts());
    if ways.any(|f| f.me.superuser || f.me.may_signal || own(&f.me.role)) || e.rescue_configured {
        return Ok(());
    }
    Err("no way in may signal them: grant pg_signal_backend to the role, or configure `rescue`".to_owned())
}

/// Marks what pgmedic can apply by itself: its command is then `pgmedic fix`, and the one for a person stands beside it.
#[must_use]
pub fn marked(e: &Evidence, mut findings: Vec<Finding>) -> Vec<Finding> {
    for remedy in findings.iter_mut().flat_map(|f| &mut f.remedies) {
        let Some(action) = &remedy.action else { continue };
        remedy.automatic = able(e, action).is_ok();
        if remedy.automatic && remedy.by_hand.is_empty() {
            let command = format!("pgmedic fix {}--only {}", whom(e), remedy.remedy);
            remedy.by_hand = std::mem::replace(&mut remedy.command, command);
        }
    }
    findings
}

/// The service as the command line names it, with a space behind it: by its name where it stands in a configuration.
fn whom(e: &Evidence) -> String {
    if e.named { format!("{} ", argument(&e.service)) } else { "\"$DATABASE_URL\" ".to_owned() }
}

fn step(e: &Evidence, finding: &Finding, remedy: &RemedyPlan, permits: &Permits) -> PlanStep {
    debug_assert!(
        remedy.action.is_none() || REMEDIES.contains(&remedy.remedy.as_str()),
        "{} is missing in REMEDIES",
        remedy.remedy
    );
    let target = remedy.action.as_ref().map_or_else(|| "a person".to_owned(), Action::target);
    let told = words::of(e, remedy.action.as_ref());
    let command = if remedy.by_hand.is_empty() { &remedy.command } else { &remedy.by_hand };
    let permit = permit(e, finding, remedy, &target, permits);
    PlanStep {
        remedy: remedy.remedy.clone(),
        kind: remedy.kind,
        cause: finding.cause.clone(),
        target,
        plan: remedy.plan.clone(),
        radius: told.radius,
        radius_sessions: told.sessions,
        precondition: told.precondition,
        verification: told.verification,
        on_failure: told.on_failure,
        undo: told.undo,
        command: command.clone(),
        action: remedy.action.clone(),
        permit,
    }
}

/// Whether a step may be applied. The first thing that forbids it is said; a closed gate is never opened by a word.
fn permit(e: &Evidence, f: &Finding, remedy: &RemedyPlan, target: &str, permits: &Permits) -> Permit {
    let Some(action) = &remedy.action else {
        return Permit::Person("only a person can judge it".to_owned());
    };
    if permits.barred.contains(&f.cause) {
        return Permit::NotAllowed(format!(
            "{} was left to a person: fixes for it failed, or it is unsure",
            f.cause
        ));
    }
    if let Some(only) = permits.only.as_ref().filter(|only| **only != remedy.remedy) {
        return Permit::NotAllowed(format!("only {only} was asked for"));
    }
    if let Err(why) = able(e, action) {
        return Permit::Person(why);
    }
    if let Some(why) = gates::barred(e, action).or_else(|| too_unsure(f, remedy.kind, action)) {
        return Permit::Closed(why);
    }
    if let Some(why) = over_the_cap(e, action, permits.ended) {
        return Permit::Closed(why);
    }
    let again = |on: &Option<String>| on.as_deref().is_none_or(|on| on == target);
    if permits.done.iter().any(|(id, on)| *id == remedy.remedy && again(on)) {
        return Permit::Done(
            "it was done for this incident already, or begun: look before it is done again".into(),
        );
    }
    if !permits.asks && !permits.kinds.contains(&remedy.kind) {
        let kind = remedy.kind.as_str();
        return Permit::NotAllowed(format!("{kind} is not allowed: --allow {kind}, or policy.auto"));
    }
    Permit::Yes
}

/// What is only possible is never acted on; what costs everybody's sessions, only where it is certain. A volume is grown
/// on what measured it, of whatever age, and a start costs nobody's: their gates see to that.
fn too_unsure(f: &Finding, kind: RemedyKind, action: &Action) -> Option<String> {
    let costly = matches!(kind, RemedyKind::ProxyRestart | RemedyKind::DbRestart);
    let dear = costly && *action != Action::StartDb;
    let unsure = f.confidence == Confidence::Possible || (dear && f.confidence != Confidence::Certain);
    let decides = f.alternatives.first().map(|a| format!(" (or {}: {})", a.cause, a.decided_by));
    unsure.then(|| {
        let word = if f.confidence == Confidence::Possible { "possible" } else { "likely" };
        format!("{} is only {word}{}", f.cause, decides.unwrap_or_default())
    })
}

/// No more sessions are touched in one fix than the policy allows.
fn over_the_cap(e: &Evidence, action: &Action, ended: u64) -> Option<String> {
    let (count, most) = (action.sessions().len() as u64, u64::from(e.policy.max_terminations));
    (count > 0 && ended + count > most)
        .then(|| format!("policy.max_terminations is {most}, and {ended} sessions were ended already"))
}

#[cfg(test)]
mod tests;
