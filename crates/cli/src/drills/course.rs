//! The course of one drill: a healthy lab, the fault, the walk, the verdict, the fault away, healthy again.

use super::child;
use super::mending::{self, Broken};
use super::{Drill, Found, service};
use pgmedic_lab::api::Kind;
use pgmedic_lab::bystanders::Bystanders;
use pgmedic_lab::{Lab, LabError, wait};
use pgmedic_model::{Ms, Report, Role, Status};
use pgmedic_path::fix::News;
use pgmedic_path::walk::Purpose;
use pgmedic_path::{Evidence, Service, diagnose, latent, report, veiled, walk_for};
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, Instant};

/// `--timeout` of the walks: long enough for a loaded machine, short enough to wait for a silent peer.
pub(super) const WALK_WITHIN: Duration = Duration::from_secs(3);
/// How long a service may take to be well once the fault is gone.
const WELL_WITHIN: Duration = Duration::from_secs(15);

/// How a drill ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// The cause was found, alone, and the service was well again.
    Passed,
    /// It was not.
    Failed,
    /// Only root can do it.
    NeedsRoot,
    /// A program is not installed.
    MissingProgram,
    /// Two faults that cannot last in one lab.
    Apart,
}

/// A drill's record.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    /// The drill.
    pub(crate) drill: &'static str,
    /// How it ended.
    pub(crate) status: Outcome,
    /// The root that was expected.
    pub(crate) expected: &'static str,
    /// As what the drill's own cause was expected: `root`, `contributing`.
    pub(crate) role: Role,
    /// The roots that were found.
    pub(crate) roots: Vec<String>,
    /// The report on the broken service.
    pub(crate) report: Option<Report>,
    /// The whole drill.
    pub(crate) elapsed_ms: Ms,
    /// The walk and the diagnosis of the broken service.
    pub(crate) check_ms: Option<Ms>,
    /// The API that was there. None where there was none.
    pub(crate) api: Option<ApiThere>,
    /// What came of the fix, where one was made.
    pub(crate) fix: Option<mending::Record>,
    /// What went wrong, or is missing.
    pub(crate) detail: Option<String>,
}

/// The API that a drill had.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ApiThere {
    /// `renderflow` or `stand-in`.
    pub(crate) is: String,
    /// Why it is the stand-in.
    pub(crate) why: Option<String>,
}

impl ApiThere {
    /// That of a lab.
    pub(super) fn of(lab: &Lab) -> Option<Self> {
        let api = lab.api().ok()?;
        let why = match (api.kind(), api.instead()) {
            (Kind::Renderflow, _) => None,
            (Kind::StandIn, Some(why)) => Some(why.to_owned()),
            (Kind::StandIn, None) => Some("the API must do what renderflow does not".to_owned()),
        };
        Some(Self { is: api.kind().to_string(), why })
    }
}

/// What an onlooker is told while a drill runs.
pub(crate) enum Step<'a> {
    /// The lab is up and its service well.
    Healthy(&'a Report, Option<&'a ApiThere>),
    /// The fault is in.
    Broken,
    /// The broken service's report.
    Found(&'a Report),
    /// Something of the fix.
    Fix(&'a News<'a>),
    /// What it came to, while the lab is there.
    Fixed(&'a mending::Record),
    /// The fault is gone and the service well.
    Mended,
    /// The same after a fix: what it left of the fault was taken away.
    Restored,
}

/// Whoever is told.
pub(crate) type Told<'a> = &'a mut (dyn FnMut(Step<'_>) + Send);

/// Runs a drill to its end; with the fix, where that is wanted.
pub(crate) fn run(drill: &Drill, fix: bool, told: Told<'_>) -> Record {
    let from = Instant::now();
    let mut record = Record {
        drill: drill.name,
        status: Outcome::Passed,
        expected: drill.root_cause(),
        role: drill.role(),
        roots: Vec::new(),
        report: None,
        elapsed_ms: Ms::default(),
        check_ms: None,
        api: None,
        fix: None,
        detail: None,
    };
    let outcome = match drill.unmet().into_iter().next() {
        Some(unmet) => Err(Trouble::Lab(unmet)),
        None => go(drill, fix, &mut record, told),
    };
    if let Err(trouble) = outcome {
        record.status = trouble.outcome();
        record.detail = Some(trouble.to_string());
    }
    record.elapsed_ms = from.elapsed().into();
    record
}

/// Why a drill did not pass.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The lab could not do its part.
    #[error("{0}")]
    Lab(#[from] LabError),
    /// The walk could not be run.
    #[error("no runtime: {0}")]
    Runtime(#[from] std::io::Error),
    /// Something was found where nothing is wrong.
    #[error("the healthy lab is {0}")]
    NotHealthy(String),
    /// The wrong thing was found.
    #[error("found {0}")]
    Misdiagnosed(String),
    /// The fix did not come to what it must.
    #[error("fix: {0}")]
    NotFixed(String),
    /// The fault is gone and the service is not well.
    #[error("once the fault was gone: {0}")]
    NotMended(LabError),
    /// Two faults take the same.
    #[error("cannot last in one lab: {0}")]
    Apart(String),
    /// Two faults that should go together do not, in either order.
    #[error("cannot be brought about together: {0}; the other way round: {1}")]
    NotTogether(String, String),
}

impl Trouble {
    pub(super) const fn outcome(&self) -> Outcome {
        match self {
            Self::Apart(_) => Outcome::Apart,
            Self::Lab(LabError::NeedsRoot(_)) => Outcome::NeedsRoot,
            Self::Lab(LabError::MissingProgram { .. }) => Outcome::MissingProgram,
            _ => Outcome::Failed,
        }
    }
}

fn go(drill: &Drill, fix: bool, record: &mut Record, told: Told<'_>) -> Result<(), Trouble> {
    let lab = Lab::build(drill.parts)?;
    let (mut service, purpose) = (service::of(&lab, &[drill.configure])?, drill.purpose());
    if fix {
        service = mending::handed(service, &lab);
    }
    let healthy = expect_well(&service, purpose)?;
    record.api = ApiThere::of(&lab);
    told(Step::Healthy(&healthy, record.api.as_ref()));
    let beside = if fix { Some(Bystanders::open(lab.postgres())?) } else { None };
    let guard = (drill.inject)(&lab)?;
    told(Step::Broken);
    let from = Instant::now();
    let (evidence, broken) = walked_under(drill.under, &service, purpose, lab.folder())?;
    record.check_ms = Some(from.elapsed().into());
    record.roots = broken.roots().map(|root| root.cause.clone()).collect();
    told(Step::Found(&broken));
    let mut verdict = judge(drill, &broken);
    if let (Ok(()), Some(beside)) = (&verdict, beside) {
        let broken = Broken { drill, lab: &lab, service: &service, evidence: &evidence, report: &broken };
        verdict = fixed(&broken, beside, record, told);
    }
    record.report = Some(broken);
    let removed = guard.remove();
    verdict?;
    removed.map_err(Trouble::NotMended)?;
    well_again(&service, purpose)?;
    told(if fix { Step::Restored } else { Step::Mended });
    Ok(())
}

/// Makes the fix and notes what came of it.
fn fixed(
    broken: &Broken<'_>,
    beside: Bystanders,
    record: &mut Record,
    told: Told<'_>,
) -> Result<(), Trouble> {
    let fix = mending::run(broken, beside, told)?;
    told(Step::Fixed(&fix));
    let verdict = if fix.right { Ok(()) } else { Err(Trouble::NotFixed(fix.detail.clone())) };
    record.fix = Some(fix);
    verdict
}

/// Walks once and diagnoses. A walk with a preflight tells besides what breaks nothing yet.
pub(super) fn walked(service: &Service, purpose: Purpose) -> Result<(Evidence, Report), std::io::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let evidence = runtime.block_on(walk_for(purpose, service, WALK_WITHIN, &|_| {}));
    runtime.shutdown_background();
    Ok(diagnosed(veiled(evidence, service), purpose))
}

/// The same as a process of its own under a command, where there is one.
pub(super) fn walked_under(
    under: &[&str],
    service: &Service,
    purpose: Purpose,
    folder: &Path,
) -> Result<(Evidence, Report), std::io::Error> {
    match under {
        [] => walked(service, purpose),
        under => Ok(diagnosed(child::walked(service, folder, under)?, purpose)),
    }
}

fn diagnosed(evidence: Evidence, purpose: Purpose) -> (Evidence, Report) {
    let mut findings = diagnose(&evidence);
    if purpose == Purpose::Preflight {
        findings.extend(latent(&evidence));
    }
    let report = report(&evidence, findings);
    (evidence, report)
}

fn check(service: &Service, purpose: Purpose) -> Result<Report, std::io::Error> {
    walked(service, purpose).map(|(_, report)| report)
}

/// The report on a service that nothing is wrong with.
pub(super) fn expect_well(service: &Service, purpose: Purpose) -> Result<Report, Trouble> {
    let report = check(service, purpose)?;
    if is_well(&report) { Ok(report) } else { Err(Trouble::NotHealthy(summary(&report))) }
}

/// True where everything was seen to be well.
pub(super) fn is_well(report: &Report) -> bool {
    report.status == Status::Ok && report.findings.is_empty()
}

/// Exactly the expected root, or both of two; and the drill's own cause in its expected role.
fn judge(drill: &Drill, report: &Report) -> Result<(), Trouble> {
    let roots: Vec<&str> = report.roots().map(|root| root.cause.as_str()).collect();
    let in_its_role = || report.findings.iter().any(|f| f.cause == drill.name && f.role == drill.role());
    let expected = match drill.found {
        Found::Beside(other) => vec![drill.name, other],
        _ => vec![drill.root_cause()],
    };
    let all = roots.len() == expected.len() && expected.iter().all(|root| roots.contains(root));
    let right = all && in_its_role();
    if right { Ok(()) } else { Err(Trouble::Misdiagnosed(summary(report))) }
}

/// Walks until the service is well.
pub(super) fn well_again(service: &Service, purpose: Purpose) -> Result<(), Trouble> {
    let look = || {
        Ok(check(service, purpose)
            .map_err(|e| e.to_string())
            .and_then(|report| if is_well(&report) { Ok(()) } else { Err(summary(&report)) }))
    };
    wait::until("a service that is well", WELL_WITHIN, look).map_err(Trouble::NotMended)
}

/// A report on one line: its verdict and its findings with their roles.
pub(super) fn summary(report: &Report) -> String {
    let findings: Vec<String> = report
        .findings
        .iter()
        .map(|f| format!("{} ({:?}, {:?}: {})", f.cause, f.role, f.confidence, f.summary))
        .collect();
    format!(
        "{}: {}",
        report.status.as_str(),
        if findings.is_empty() { "nothing".to_owned() } else { findings.join("; ") }
    )
}
