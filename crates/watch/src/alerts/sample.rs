//! An incident to test with. Not in here: how one comes about.

use crate::incident::{Act, Affected, Incident, Named};
use pgmedic_model::{
    Confidence, Fact, RemedyKind, RemedyPlan, Room, Severity, Source, StepOutcome, Timestamp,
};

/// When it was opened: 2026-11-26T03:12:09Z.
pub(super) const OPENED: Timestamp = Timestamp(1_795_662_729_000);

/// All slots of renderflow are taken.
pub(super) fn incident() -> Incident {
    let fact = |text: &str| Fact::new(Source::Sql, OPENED, "pg_stat_activity", text);
    let summary = "97 of 97 slots are taken, 81 of them by idle sessions of worker";
    let remedy = RemedyPlan::by_hand(
        "terminate-idle-sessions",
        RemedyKind::Sessions,
        "end 81 idle sessions of worker",
        "pgmedic fix renderflow --only terminate-idle-sessions",
    );
    Incident {
        schema: Incident::SCHEMA.to_owned(),
        id: "20261126T031209-renderflow".to_owned(),
        cause: "slots-exhausted".to_owned(),
        causes: vec![Named { cause: "slots-exhausted".to_owned(), at: OPENED, summary: summary.to_owned() }],
        room: Room::Admission,
        severity: Severity::Critical,
        confidence: Confidence::Certain,
        summary: summary.to_owned(),
        service: "renderflow".to_owned(),
        services: [affected("renderflow", summary)].into(),
        shared: None,
        places: Vec::new(),
        opened_at: OPENED,
        back_at: None,
        updated_at: OPENED,
        closed_at: None,
        proof: None,
        flaps: 0,
        evidence: vec![fact("97 sessions of 97 slots"), fact("81 sessions of worker are idle")],
        remedies: vec![remedy],
        actions: Vec::new(),
        held: None,
        failed_fixes: 0,
        escalated: false,
        report: None,
    }
}

/// One more service.
pub(super) fn affected(name: &str, summary: &str) -> (String, Affected) {
    (
        name.to_owned(),
        Affected {
            since: OPENED,
            until: None,
            summary: summary.to_owned(),
            cause: "slots-exhausted".to_owned(),
        },
    )
}

/// The same, later.
pub(super) fn updated(mut incident: Incident, summary: &str) -> Incident {
    incident.updated_at.0 += 1000;
    summary.clone_into(&mut incident.summary);
    incident
}

/// The same, over.
pub(super) fn closed(mut incident: Incident) -> Incident {
    incident.updated_at.0 += 60_000;
    incident.closed_at = Some(incident.updated_at);
    incident
}

/// Something that was done.
pub(super) fn act(outcome: Option<StepOutcome>) -> Act {
    Act {
        service: "renderflow".to_owned(),
        at: OPENED,
        remedy: "terminate-idle-sessions".to_owned(),
        kind: RemedyKind::Sessions,
        target: "81 sessions of worker".to_owned(),
        outcome,
        detail: "81 of 81 ended".to_owned(),
        record: None,
        by: "policy".to_owned(),
    }
}
