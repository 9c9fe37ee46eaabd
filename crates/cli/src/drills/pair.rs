//! The course of two faults at once: one lab with the parts of both, the one fault and then the other, one walk, the
//! verdict, both away, healthy again.

use super::course::{self, ApiThere, Outcome, Trouble};
use super::verdict::{self, Fate};
use super::{Drill, apart, service};
use pgmedic_lab::{Guard, Lab, Parts};
use pgmedic_model::{Fact, Ms, Report, Source};
use pgmedic_path::Service;
use pgmedic_path::walk::Purpose;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Instant;

/// A pair's record.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    /// The two drills.
    pub(crate) pair: [&'static str; 2],
    /// How it ended.
    pub(crate) status: Outcome,
    /// In which order the two were brought about.
    pub(crate) order: Option<[&'static str; 2]>,
    /// What became of each.
    pub(crate) faults: Vec<Fate>,
    /// The roots that were found.
    pub(crate) roots: Vec<String>,
    /// Those of them that are neither's.
    pub(crate) false_roots: Vec<String>,
    /// The report on the broken service.
    pub(crate) report: Option<Report>,
    /// The whole drill.
    pub(crate) elapsed_ms: Ms,
    /// The walk and the diagnosis of the broken service.
    pub(crate) check_ms: Option<Ms>,
    /// The API that was there. None where there was none.
    pub(crate) api: Option<ApiThere>,
    /// What went wrong, is missing, or keeps the two apart.
    pub(crate) detail: Option<String>,
}

/// What shows each fault when it lasts alone, learnt when it is asked for.
#[derive(Default)]
pub(crate) struct Proofs(BTreeMap<&'static str, Vec<Source>>);

impl Proofs {
    /// The sources of the facts of the finding that a fault evokes by itself, its proof first; none where it evoked none.
    fn of(&mut self, drill: &Drill) -> Vec<Source> {
        let learn = || {
            let record = course::run(drill, false, &mut |_| {});
            let report = record.report.filter(|_| record.status == Outcome::Passed)?;
            let own = report.findings.iter().find(|finding| finding.cause == drill.name)?;
            Some(own.evidence.iter().map(|fact| met(&report, fact)).collect())
        };
        self.0.entry(drill.name).or_insert_with(|| learn().unwrap_or_default()).clone()
    }
}

/// How a fact was come by. A line that the server wrote during the walk was evoked by it: it is met on the way in.
fn met(report: &Report, fact: &Fact) -> Source {
    if fact.source == Source::Log && fact.at >= report.started_at { Source::Startup } else { fact.source }
}

/// Breaks both at once and judges.
pub(crate) fn run(pair: [&'static Drill; 2], proofs: &mut Proofs) -> Record {
    let from = Instant::now();
    let mut record = Record {
        pair: pair.map(|drill| drill.name),
        status: Outcome::Passed,
        order: None,
        faults: Vec::new(),
        roots: Vec::new(),
        false_roots: Vec::new(),
        report: None,
        elapsed_ms: Ms::default(),
        check_ms: None,
        api: None,
        detail: None,
    };
    let outcome = match (apart::apart(pair[0], pair[1]), unmet(pair)) {
        (Some(why), _) => Err(Trouble::Apart(why)),
        (None, Some(unmet)) => Err(Trouble::Lab(unmet)),
        (None, None) => go(pair, &mut record, proofs),
    };
    if let Err(trouble) = outcome {
        record.status = trouble.outcome();
        record.detail = Some(trouble.to_string());
    }
    record.elapsed_ms = from.elapsed().into();
    record
}

/// What either needs that is not here.
fn unmet(pair: [&Drill; 2]) -> Option<pgmedic_lab::LabError> {
    pair.iter().find_map(|drill| drill.unmet().into_iter().next())
}

/// A lab in which both last.
struct Broken {
    /// The guards, the one brought about last first: what it stands on is still broken when it is mended.
    guards: Vec<Guard>,
    service: Service,
    purpose: Purpose,
    /// Ends after its guards.
    lab: Lab,
}

fn go(pair: [&'static Drill; 2], record: &mut Record, proofs: &mut Proofs) -> Result<(), Trouble> {
    let parts = pair[0].parts.united(pair[1].parts).map_err(|why| Trouble::Apart(why.to_owned()))?;
    let (order, broken) = broken(pair, parts)?;
    record.api = ApiThere::of(&broken.lab);
    record.order = Some(order.map(|drill| drill.name));
    let from = Instant::now();
    let (evidence, report) = course::walked(&broken.service, broken.purpose)?;
    record.check_ms = Some(from.elapsed().into());
    record.roots = report.roots().map(|root| root.cause.clone()).collect();
    let mended = mend(broken);
    let verdict = verdict::judge(&evidence, &report, pair, &mut |drill| proofs.of(drill));
    let passed = verdict.passed();
    (record.faults, record.false_roots) = (verdict.faults, verdict.false_roots);
    let said = course::summary(&report);
    record.report = Some(report);
    if !passed {
        return Err(Trouble::Misdiagnosed(said));
    }
    mended
}

/// Brings both about, each in its turn; where the first keeps the second from coming about (nobody gets in any more to
/// take the slots), the other way round in a fresh lab, unless the first would then undo the second.
fn broken(pair: [&'static Drill; 2], parts: Parts) -> Result<([&'static Drill; 2], Broken), Trouble> {
    let [a, b] = pair;
    let in_turn = if apart::turn(a) <= apart::turn(b) { [a, b] } else { [b, a] };
    let other_way = [in_turn[1], in_turn[0]];
    let undone = apart::undoes(in_turn[0], in_turn[1]);
    match brought_about(in_turn, parts) {
        Ok(broken) => Ok((in_turn, broken)),
        Err(Trouble::Lab(first)) if undone => Err(Trouble::Apart(first.to_string())),
        Err(Trouble::Lab(first)) => match brought_about(other_way, parts) {
            Ok(broken) => Ok((other_way, broken)),
            Err(second) => Err(Trouble::NotTogether(first.to_string(), second.to_string())),
        },
        Err(other) => Err(other),
    }
}

/// A healthy lab, then the two faults in this order.
fn brought_about(order: [&'static Drill; 2], parts: Parts) -> Result<Broken, Trouble> {
    let lab = Lab::build(parts)?;
    let service = service::of(&lab, &order.map(|drill| drill.configure))?;
    let ahead = order.iter().any(|drill| drill.purpose() == Purpose::Preflight);
    let purpose = if ahead { Purpose::Preflight } else { Purpose::Check };
    course::expect_well(&service, purpose)?;
    let first = (order[0].inject)(&lab)?;
    let second = (order[1].inject)(&lab)?;
    Ok(Broken { guards: vec![second, first], service, purpose, lab })
}

/// Takes both faults away, each however the other's end went, and waits for a service that is well.
fn mend(broken: Broken) -> Result<(), Trouble> {
    let mut outcome = Ok(());
    for guard in broken.guards {
        let removed = guard.remove();
        outcome = outcome.and(removed);
    }
    outcome.map_err(Trouble::NotMended)?;
    course::well_again(&broken.service, broken.purpose)
}
