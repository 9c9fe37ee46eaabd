//! `pgmedic fix`: walk, plan, show, ask, apply, prove. Not in here: which step and whether (`pgmedic_path::fix`).

mod ask;

use crate::args::{FixArgs, FixFormat, When};
use crate::failure::Failure;
use crate::identity::Memory;
use crate::output;
use crate::render::{self, fix as screen, style::Look};
use crate::select;
use crate::surroundings::Surroundings;
use crate::usage::may_hold_a_secret;
use ask::{Asking, Quiet};
use pgmedic_model::nearest::nearest;
use pgmedic_model::{FixReport, Permit, RemedyKind, StepOutcome};
use pgmedic_path::Service;
use pgmedic_path::fix::{Company, Options, fix, settle};
use pgmedic_path::journal::{Journal, JournalError, is_left_open};
use pgmedic_path::plan::{Permits, REMEDIES};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// Mends, writes what was done, and gives the exit code of how it ended.
pub(crate) fn run(args: &FixArgs, color: When) -> Result<i32, Failure> {
    let mut around = Surroundings::default();
    let mut service = select::service(args.into(), &mut around)?;
    for note in &around.notes {
        output::stderr(&format!("pgmedic: {}\n", render::text::visible(note)));
    }
    let _memory = Memory::of(args.into(), false, &mut service, &around)?;
    let human = args.format == FixFormat::Human;
    let asks = !args.plan && !args.yes;
    if asks && !std::io::stdin().is_terminal() {
        let why = "nobody is there to be asked (stdin is no terminal): --plan shows what would be done, --yes does what is allowed";
        return Err(Failure::Usage(why.to_owned()));
    }
    if let Some(only) = args.only.as_deref().filter(|only| !REMEDIES.contains(only)) {
        let near = nearest(only, REMEDIES).map_or(String::new(), |near| format!("; nearest: {near}"));
        let shown = if may_hold_a_secret(only) { "that".to_owned() } else { format!("{only:?}") };
        return Err(Failure::Usage(format!(
            "--only: {shown} is no remedy that pgmedic applies{near}. `pgmedic fix --plan` shows those of the moment"
        )));
    }
    let look = Look::of_stdout(color);
    let mut company: Box<dyn Company> =
        if human { Box::new(Asking::new(look)) } else { Box::new(Quiet::new(asks)) };
    let place = Place {
        state: around.state_folder().unwrap_or_else(|| PathBuf::from("/var/lib/pgmedic")),
        service: service.name.clone(),
        home: select::home(args.into()).map_or_else(
            || whereabouts(&service),
            |path| path.canonicalize().unwrap_or(path).display().to_string(),
        ),
    };
    let report = mend(args, &service, asks, &place, company.as_mut())?
        .map_err(|why| Failure::Record(why.to_string()))?;
    if report.recovered && report.incident.is_none() && !args.plan {
        place.settle(&report);
    }
    match args.format {
        FixFormat::Human => output::stdout(&screen::end(&report, &look)),
        FixFormat::Json => output::stdout(&render::json::document(&report).unwrap_or_default()),
    }
    Ok(exit(&report))
}

/// Where the record of a service is kept.
struct Place {
    state: PathBuf,
    service: String,
    /// What tells services of one name apart.
    home: String,
}

impl Place {
    fn open(&self) -> Result<Journal, JournalError> {
        Journal::open(&self.state, &self.service, &self.home)
    }

    /// Closes an incident that was left open, now that the service was found well. That it cannot is no reason to call the
    /// service ill; another pgmedic that is at it closes it itself.
    fn settle(&self, report: &FixReport) {
        if !is_left_open(&self.state, &self.service, &self.home) {
            return;
        }
        match self.open().and_then(|mut journal| settle(&mut journal, report)) {
            Ok(_) | Err(JournalError::Busy { .. }) => {}
            Err(why) => output::stderr(&format!("pgmedic: {}\n", render::text::visible(&why.to_string()))),
        }
    }
}

/// Where a service without a configuration is: another server's database of the same name is another service.
fn whereabouts(service: &Service) -> String {
    let target = &service.target;
    format!("{:?} {:?} {}", target.host, target.hostaddr, target.port)
}

/// 0 well; 1 nothing (more) is allowed; 2 tried in vain.
fn exit(report: &FixReport) -> i32 {
    let tried = report.steps.iter().any(|s| matches!(s.outcome, StepOutcome::Applied | StepOutcome::Failed));
    match (report.recovered, tried) {
        (true, _) => 0,
        (false, true) if !more_is_only_forbidden(report) => 2,
        (false, _) => 1,
    }
}

/// What was done did what it was to do, and what is left is only not allowed.
fn more_is_only_forbidden(report: &FixReport) -> bool {
    let forbidden = |p: &Permit| matches!(p, Permit::NotAllowed(_));
    let left = report.plan.iter().filter(|s| s.action.is_some());
    let done: Vec<_> = report.steps.iter().map(|s| s.remedy.as_str()).collect();
    let mut left = left.filter(|s| !done.contains(&s.remedy.as_str())).peekable();
    left.peek().is_some() && left.all(|s| forbidden(&s.permit))
}

/// The kinds that need no word: those of the command line, else the policy's, else `sessions`. Where somebody is asked, those
/// of the command line alone.
fn kinds(args: &FixArgs, service: &Service, asks: bool) -> Vec<RemedyKind> {
    match (&args.allow, asks) {
        (given, _) if !given.is_empty() => given.clone(),
        (_, true) => Vec::new(),
        (_, false) if !service.policy.auto.is_empty() => service.policy.auto.clone(),
        _ => vec![RemedyKind::Sessions],
    }
}

fn mend(
    args: &FixArgs,
    service: &Service,
    asks: bool,
    place: &Place,
    company: &mut dyn Company,
) -> Result<Result<FixReport, JournalError>, Failure> {
    let broken = |error: std::io::Error| Failure::Defect(format!("no runtime: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(broken)?;
    let stop = Arc::new(AtomicBool::new(false));
    let permits =
        Permits { kinds: kinds(args, service, asks), asks, only: args.only.clone(), ..Permits::default() };
    let options = Options {
        permits,
        timeout: args.timeout,
        stable: args.stable,
        plan_only: args.plan,
        stop: Arc::clone(&stop),
    };
    let mut record = || place.open();
    let outcome = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
        // A terminal that is gone: a lost ssh connection does not cut a step in half.
        let mut hangup = signal(SignalKind::hangup()).map_err(broken)?;
        let mut mending = std::pin::pin!(fix(service, &options, &mut record, company));
        loop {
            tokio::select! {
                // A signal goes before an answer that came with it.
                biased;
                _ = interrupt.recv() => leave(&stop, "SIGINT", 130)?,
                _ = terminate.recv() => leave(&stop, "SIGTERM", 143)?,
                _ = hangup.recv() => leave(&stop, "SIGHUP", 129)?,
                outcome = &mut mending => return Ok(outcome),
            }
        }
    });
    runtime.shutdown_background();
    outcome
}

/// The first signal lets the step in hand end; the second leaves at once. The record says what was begun.
fn leave(stop: &AtomicBool, name: &'static str, exit: i32) -> Result<(), Failure> {
    if stop.swap(true, Ordering::Relaxed) {
        return Err(Failure::Signal { name, exit });
    }
    output::stderr(
        "\npgmedic: the step in hand is finished, and no other is begun (once more: leave at once)\n",
    );
    Ok(())
}
