//! The second half of a drill with `--fix`: once the fault is found, the real fix, with everything allowed, on the lab's
//! service, beside sessions that it may not harm. Not in here: what it should have come to (`judge`), and the lab's hands
//! (`hands`).

mod judge;

use super::course::{Step, Trouble, WALK_WITHIN};
use super::hands::LabHands;
use super::{Drill, Found};
use judge::{Came, judge};
use pgmedic_lab::Lab;
use pgmedic_lab::bystanders::{self, Bystanders};
use pgmedic_model::{FixReport, FixStep, Ms, Permit, PlanStep, RemedyKind, Report, Status};
use pgmedic_path::fix::{Answering, Company, News, Options, fix};
use pgmedic_path::journal::Journal;
use pgmedic_path::plan::{Permits, plan};
use pgmedic_path::{Evidence, Service, diagnose};
use serde::Serialize;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// From then on a session of the lab has idled for too long, in ms.
const IDLE_AFTER_MS: f64 = 500.0;
/// For how long the service must stay well.
const STABLE: Duration = Duration::from_millis(600);
/// The largest volume that may be asked for.
const MAX_VOLUME_GB: u64 = 4;
/// What the readiness endpoint may take.
const READY_WITHIN: Duration = Duration::from_secs(3);
/// The remedy that chooses among sessions that look alike.
const CHOOSES: &str = "terminate-idle-sessions";

/// What must come of a fix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Expected {
    /// The service is well again by the drill's remedies.
    Recovers,
    /// Nothing is touched, and a person is told what to do.
    Advice,
}

/// What came of a fix.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    /// What must come of it.
    pub(crate) expected: Expected,
    /// The remedies that must mend it, in order; none where a person must.
    pub(crate) remedy: &'static [&'static str],
    /// It came to what it must, and nobody was harmed.
    pub(crate) right: bool,
    /// The service was well at the end.
    pub(crate) recovered: bool,
    /// The API's readiness answered 200 afterwards. None where there is no API.
    pub(crate) ready: Option<bool>,
    /// What was done.
    pub(crate) steps: Vec<FixStep>,
    /// What was planned on the first walk, and whether it might be done.
    pub(crate) plan: Vec<Planned>,
    /// What a person is told to run first.
    pub(crate) command: Option<String>,
    /// Bystanders that were there when it began.
    pub(crate) bystanders: usize,
    /// How many of them it harmed.
    pub(crate) harm: usize,
    /// Who, and how.
    pub(crate) harmed: Vec<String>,
    /// The whole fix.
    pub(crate) elapsed_ms: Ms,
    /// Until the first walk that found the service well.
    pub(crate) recovered_after_ms: Option<Ms>,
    /// What went wrong, else the verdict.
    pub(crate) detail: String,
    /// Where the record lies, while the lab does.
    #[serde(skip)]
    pub(crate) state: PathBuf,
}

/// A step of the plan.
#[derive(Debug, Serialize)]
pub(crate) struct Planned {
    /// The remedy's id.
    remedy: String,
    /// Its kind.
    kind: RemedyKind,
    /// Whether it may be applied, and why not.
    permit: Permit,
}

impl From<&PlanStep> for Planned {
    fn from(step: &PlanStep) -> Self {
        Self { remedy: step.remedy.clone(), kind: step.kind, permit: step.permit.clone() }
    }
}

/// What a fix begins with.
pub(super) struct Broken<'a> {
    pub(super) drill: &'a Drill,
    pub(super) lab: &'a Lab,
    pub(super) service: &'a Service,
    pub(super) evidence: &'a Evidence,
    pub(super) report: &'a Report,
}

/// The service as somebody would have configured it who lets pgmedic do things: with the lab's hands.
pub(super) fn handed(mut service: Service, lab: &Lab) -> Service {
    service.hands = Some(Arc::new(LabHands::of(lab)));
    if let Some(console) = &mut service.pooler {
        pgmedic_lab::pgbouncer::ADMIN_ROLE.clone_into(&mut console.user);
    }
    service.policy.max_volume_gb = Some(MAX_VOLUME_GB);
    service.policy.protect.applications.push(bystanders::PROTECTED.replace("-7", "*"));
    service
}

/// Mends, and judges what came of it. `beside` are the sessions that it may not harm.
///
/// # Errors
/// Where there is no runtime, or no record to write into.
pub(super) fn run(
    broken: &Broken<'_>,
    mut beside: Bystanders,
    told: &mut (dyn FnMut(Step<'_>) + Send),
) -> Result<Record, Trouble> {
    let Broken { drill, lab, .. } = broken;
    let mut service = broken.service.clone();
    service.policy.idle_after_ms = service.policy.idle_after_ms.min(IDLE_AFTER_MS);
    if beside.count_from_here() == 0 && lab.postgres().sql("select 1").is_ok() {
        // The fault took them with it; where it lets others in, it must be good to those.
        if let Ok(others) = Bystanders::open(lab.postgres()) {
            beside = others;
        }
    }
    // Where a few are to go and are named exactly, those among them that it spares would be missed.
    if drill.mends.contains(&CHOOSES) && broken.report.status == Status::Critical {
        beside.look_like("renderflow-api");
    }
    // Sessions that are to count as idle must have idled; where nobody can be asked, or they come and go, it is tried all the same.
    let _in_time = beside.see(&idle_for_long(service.policy.idle_after_ms, &beside.pids()));
    let bystanders = beside.count_from_here();
    let state = lab.folder().join("state");
    let from = Instant::now();
    let report = match drill.under {
        [] => mended(&service, &state, told)?,
        _ => planned(broken),
    };
    let elapsed_ms = from.elapsed().into();
    let ready = service.ready.as_deref().map(is_ready);
    let harmed = if judge::ends_every_session(&report.steps) { Vec::new() } else { beside.harmed() };
    drop(beside);
    let command = command(&report.plan).or_else(|| latent_command(broken));
    let is_ready_now = ready.as_ref().map(Result::is_ok);
    let came = Came {
        cause: drill.root_cause(),
        report: &report,
        ready,
        harmed: &harmed,
        command: command.as_deref(),
    };
    let verdict = judge(drill.mends, &came);
    Ok(Record {
        expected: if drill.mends.is_empty() { Expected::Advice } else { Expected::Recovers },
        remedy: drill.mends,
        right: verdict.is_ok(),
        recovered: report.recovered,
        ready: is_ready_now,
        steps: report.steps,
        plan: report.plan.iter().map(Planned::from).collect(),
        command,
        bystanders,
        harm: harmed.len(),
        harmed,
        elapsed_ms,
        recovered_after_ms: report.recovered_after_ms,
        detail: verdict.err().unwrap_or(report.summary),
        state,
    })
}

/// True in the statement once no session but these idles and has done so for less than this.
fn idle_for_long(ms: f64, pids: &str) -> String {
    let those = if pids.is_empty() { "0" } else { pids };
    format!(
        "select not exists (select from pg_stat_activity where backend_type = 'client backend' and state = 'idle' \
         and pid not in ({those}) and application_name not like 'pgmedic%' \
         and state_change > clock_timestamp() - interval '{} ms')",
        ms + 50.0
    )
}

/// The real fix, with everything allowed.
fn mended(
    service: &Service,
    state: &Path,
    told: &mut (dyn FnMut(Step<'_>) + Send),
) -> Result<FixReport, Trouble> {
    let options = Options {
        permits: Permits { kinds: RemedyKind::ALL.to_vec(), ..Permits::default() },
        timeout: WALK_WITHIN,
        stable: STABLE,
        plan_only: false,
        stop: Arc::default(),
    };
    let mut record = || Journal::open(state, &service.name, "drill");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(fix(service, &options, &mut record, &mut Onlooker(told)));
    runtime.shutdown_background();
    report.map_err(|why| Trouble::NotFixed(why.to_string()))
}

/// Where the fault is one of the process that checks, there is nothing to do it from: what would be planned.
fn planned(broken: &Broken<'_>) -> FixReport {
    let permits = Permits { kinds: RemedyKind::ALL.to_vec(), ..Permits::default() };
    FixReport {
        schema: FixReport::SCHEMA.to_owned(),
        service: broken.service.name.clone(),
        started_at: broken.report.started_at,
        before: broken.report.clone(),
        plan: plan(broken.evidence, &diagnose(broken.evidence), &permits),
        steps: Vec::new(),
        after: None,
        recovered: false,
        recovered_after_ms: None,
        stable_ms: None,
        summary: "planned; nothing was done".to_owned(),
        elapsed_ms: Ms::default(),
        incident: None,
    }
}

/// The first command that a plan has for a person.
fn command(plan: &[PlanStep]) -> Option<String> {
    plan.iter().map(|step| step.command.clone()).find(|command| !command.trim().is_empty())
}

/// What breaks nothing yet is in no plan: a check ahead of a restart says what to do.
fn latent_command(broken: &Broken<'_>) -> Option<String> {
    let own = broken.report.findings.iter().find(|f| f.cause == broken.drill.name);
    let own = own.filter(|_| broken.drill.found == Found::Latent)?;
    own.remedies.iter().map(|remedy| remedy.command.clone()).find(|command| !command.trim().is_empty())
}

/// Whether the API calls itself ready: 200.
fn is_ready(url: &str) -> Result<(), String> {
    let (at, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).unwrap_or((url, ""));
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(at)?;
        stream.set_read_timeout(Some(READY_WITHIN))?;
        write!(stream, "GET /{path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| format!("readiness at {at}: {error}"))?;
    let status = answer.split_whitespace().nth(1).unwrap_or_default();
    if status == "200" { Ok(()) } else { Err(format!("readiness: {}", answer.replace("\r\n", " "))) }
}

/// Nobody is asked; whoever looks on is told.
struct Onlooker<'a>(&'a mut (dyn FnMut(Step<'_>) + Send));

impl Company for Onlooker<'_> {
    fn told(&mut self, news: &News<'_>) {
        (self.0)(Step::Fix(news));
    }

    fn may<'a>(&'a mut self, _: &'a PlanStep) -> Answering<'a> {
        Box::pin(async { false })
    }
}
