//! What a fix of a drilled fault must have come to. Pure. Not in here: the fix itself (`mending`).

use pgmedic_model::{FixReport, FixStep, RemedyKind, Report, StepOutcome};

/// What a fix came to.
pub(super) struct Came<'a> {
    /// The cause of what was broken.
    pub(super) cause: &'a str,
    /// Its document.
    pub(super) report: &'a FixReport,
    /// Whether the API calls itself ready, where there is one.
    pub(super) ready: Option<Result<(), String>>,
    /// Bystanders that are gone or were cut off.
    pub(super) harmed: &'a [String],
    /// What a person is told to run.
    pub(super) command: Option<&'a str>,
}

/// Judges it: `mends` are the remedies by which the service must be well again, in this order; none where nothing may be
/// touched.
///
/// # Errors
/// What is wrong.
pub(super) fn judge(mends: &[&str], came: &Came<'_>) -> Result<(), String> {
    if let Some(first) = came.harmed.first() {
        return Err(format!("harm to {} bystander(s): {first}", came.harmed.len()));
    }
    let touched = touched(&came.report.steps);
    if touched != mends {
        let said = |ids: &[&str]| if ids.is_empty() { "nothing".to_owned() } else { ids.join(", ") };
        return Err(format!(
            "did {} where it was to do {} ({})",
            said(&touched),
            said(mends),
            came.report.summary
        ));
    }
    if mends.is_empty() {
        return came.command.map(drop).ok_or_else(|| "a person is told nothing to do".to_owned());
    }
    if let Some(failed) = came.report.steps.iter().find(|s| s.outcome == StepOutcome::Failed) {
        return Err(format!("{}: {}", failed.remedy, failed.detail));
    }
    if !came.report.recovered {
        return Err(format!("not recovered: {}", came.report.summary));
    }
    if still(came) {
        return Err(format!("{} is found all the same", came.cause));
    }
    came.ready.clone().unwrap_or(Ok(()))
}

/// True where the cause is found at the end and is no milder than it was: of sessions that idle only as many are ended as
/// are in the way.
fn still(came: &Came<'_>) -> bool {
    let severity =
        |report: &Report| report.findings.iter().find(|f| f.cause == came.cause).map(|f| f.severity);
    let after = came.report.after.as_ref().and_then(severity);
    after.is_some_and(|after| severity(&came.report.before).is_none_or(|before| after >= before))
}

/// The remedies that were begun, each once.
fn touched(steps: &[FixStep]) -> Vec<&str> {
    let mut ids: Vec<&str> = Vec::new();
    let begun = |s: &&FixStep| matches!(s.outcome, StepOutcome::Applied | StepOutcome::Failed);
    for step in steps.iter().filter(begun) {
        if !ids.contains(&step.remedy.as_str()) {
            ids.push(&step.remedy);
        }
    }
    ids
}

/// True where a step was a start or restart of the whole database: whoever was connected to it is not any more.
pub(super) fn ends_every_session(steps: &[FixStep]) -> bool {
    let begun = |s: &FixStep| matches!(s.outcome, StepOutcome::Applied | StepOutcome::Failed);
    steps.iter().any(|s| begun(s) && s.kind == RemedyKind::DbRestart)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgmedic_model::{Confidence, Fact, Finding, Ms, Room, Severity, Source, Status, Timestamp};

    fn step(remedy: &str, kind: RemedyKind, outcome: StepOutcome) -> FixStep {
        FixStep {
            remedy: remedy.into(),
            kind,
            cause: "slots-exhausted".into(),
            target: "20 sessions".into(),
            outcome,
            detail: "20 of 20 sessions ended".into(),
            at: Timestamp(0),
            elapsed_ms: Ms(12.0),
            sessions: Vec::new(),
            request_ids: Vec::new(),
            undo: None,
        }
    }

    fn report(steps: Vec<FixStep>, recovered: bool) -> FixReport {
        let before = Report {
            schema: Report::SCHEMA.into(),
            service: "shop".into(),
            target: "db:5432/shop as app".into(),
            direct: Vec::new(),
            started_at: Timestamp(0),
            elapsed_ms: Ms(1.0),
            status: Status::Critical,
            path: Vec::new(),
            findings: Vec::new(),
            unseen: Vec::new(),
        };
        FixReport {
            schema: FixReport::SCHEMA.into(),
            service: "shop".into(),
            started_at: Timestamp(0),
            before,
            plan: Vec::new(),
            steps,
            after: None,
            recovered,
            recovered_after_ms: None,
            stable_ms: None,
            summary: "so it went".into(),
            elapsed_ms: Ms(20.0),
            incident: None,
        }
    }

    fn ended(outcome: StepOutcome) -> FixStep {
        step("terminate-idle-sessions", RemedyKind::Sessions, outcome)
    }

    fn judged(mends: &[&str], report: &FixReport, change: impl FnOnce(&mut Came<'_>)) -> Result<(), String> {
        let mut came = Came {
            cause: "slots-exhausted",
            report,
            ready: Some(Ok(())),
            harmed: &[],
            command: Some("df -h"),
        };
        change(&mut came);
        judge(mends, &came)
    }

    const IDLE: &[&str] = &["terminate-idle-sessions"];

    #[test]
    fn well_again_by_the_expected_remedy_alone_is_right() {
        let right = report(vec![ended(StepOutcome::Applied)], true);
        assert_eq!(judged(IDLE, &right, |_| ()), Ok(()));
        let twice = report(vec![ended(StepOutcome::Applied), ended(StepOutcome::Applied)], true);
        assert_eq!(judged(IDLE, &twice, |_| ()), Ok(()), "a second class of sessions");
        let other = judged(&["recycle-api-pool"], &right, |_| ()).unwrap_err();
        assert!(other.contains("did terminate-idle-sessions where it was to do recycle-api-pool"), "{other}");
        let more = vec![
            ended(StepOutcome::Applied),
            step("recycle-api-pool", RemedyKind::AppRestart, StepOutcome::Applied),
        ];
        assert!(judged(IDLE, &report(more, true), |_| ()).is_err(), "more than was needed");
    }

    #[test]
    fn not_recovered_not_ready_or_failed_is_wrong() {
        let vain = report(vec![ended(StepOutcome::Applied)], false);
        assert!(judged(IDLE, &vain, |_| ()).unwrap_err().starts_with("not recovered"));
        let failed = report(vec![ended(StepOutcome::Failed)], true);
        assert!(judged(IDLE, &failed, |_| ()).unwrap_err().starts_with("terminate-idle-sessions: "));
        let right = report(vec![ended(StepOutcome::Applied)], true);
        let unready = judged(IDLE, &right, |came| came.ready = Some(Err("readiness: 503".into())));
        assert_eq!(unready, Err("readiness: 503".into()));
        assert!(judged(IDLE, &report(vec![ended(StepOutcome::Refused)], true), |_| ()).is_err());
    }

    #[test]
    fn a_cause_that_is_still_found_is_not_mended() {
        let mut right = report(vec![ended(StepOutcome::Applied)], true);
        let fact = Fact::new(Source::Sql, Timestamp(0), "here", "so it is");
        let (room, severity) = (Room::Admission, Severity::Warning);
        let still = Finding::new("slots-exhausted", room, severity, Confidence::Certain, "still", fact);
        right.after = Some(Report { findings: vec![still.clone()], ..right.before.clone() });
        assert!(judged(IDLE, &right, |_| ()).unwrap_err().contains("all the same"));
        assert_eq!(judged(IDLE, &right, |came| came.cause = "disk-full"), Ok(()));
        right.before.findings = vec![still.clone()];
        assert!(judged(IDLE, &right, |_| ()).is_err(), "a warning that stays");
        right.before.findings = vec![Finding { severity: Severity::Critical, ..still }];
        assert_eq!(judged(IDLE, &right, |_| ()), Ok(()), "nothing critical is left of it");
    }

    #[test]
    fn harm_outweighs_a_recovery() {
        let right = report(vec![ended(StepOutcome::Applied)], true);
        let harmed = vec!["a superuser's session (pid 7) is gone".to_owned()];
        let came =
            Came { cause: "slots-exhausted", report: &right, ready: None, harmed: &harmed, command: None };
        assert!(judge(IDLE, &came).unwrap_err().contains("superuser"));
    }

    #[test]
    fn what_only_a_person_can_do_is_left_untouched_and_said() {
        let none = report(Vec::new(), false);
        assert_eq!(judged(&[], &none, |_| ()), Ok(()));
        assert!(judged(&[], &none, |came| came.command = None).is_err());
        for outcome in [StepOutcome::Applied, StepOutcome::Failed] {
            let told = judged(&[], &report(vec![ended(outcome)], true), |_| ()).unwrap_err();
            assert!(told.contains("where it was to do nothing"), "{told}");
        }
        assert_eq!(judged(&[], &report(vec![ended(StepOutcome::Refused)], false), |_| ()), Ok(()));
    }

    #[test]
    fn only_a_restart_of_the_database_ends_everybody() {
        let restart = |kind| [step("x", kind, StepOutcome::Applied)];
        assert!(ends_every_session(&restart(RemedyKind::DbRestart)));
        assert!(!ends_every_session(&restart(RemedyKind::ProxyRestart)));
        assert!(!ends_every_session(&[step("x", RemedyKind::DbRestart, StepOutcome::Refused)]));
    }
}
