//! `pgmedic fix`: walk, plan, show, ask, apply, prove. Not in here: which step and whether (`pgmedic_path::fix`).

mod ask;

use crate::args::{FixArgs, FixFormat, When};
use crate::failure::Failure;
use crate::identity::Memory;
use crate::output;
use crate::render::{self, fix as screen, style::Look};
use crate::select;
use crate::surroundings::Surroundings;
use ask::{Asking, Quiet};
use pgmedic_model::{FixReport, Permit, RemedyKind, StepOutcome};
use pgmedic_path::Service;
use pgmedic_path::fix::{Company, Options, fix};
use pgmedic_path::journal::{Journal, JournalError};
use pgmedic_path::plan::Permits;
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
    if let Some(only) = args.only.as_deref().filter(|only| !is_a_remedys_name(only)) {
        return Err(Failure::Usage(format!(
            "--only: {only:?} cannot be a remedy's name: `pgmedic fix --plan` shows them"
        )));
    }
    let look = Look::of_stdout(color);
    let mut company: Box<dyn Company> =
        if human { Box::new(Asking::new(look)) } else { Box::new(Quiet::new(asks)) };
    let state = around.state_folder();
    let home = select::home(args.into())
        .map(|path| path.canonicalize().unwrap_or(path).display().to_string())
        .unwrap_or_else(|| service.target.display());
    let outcome = mend(args, &service, asks, state, &home, company.as_mut());
    let report = match outcome? {
        Ok(report) => report,
        // Nothing was begun: another pgmedic is at it, or there is nowhere to write.
        Err(why) => {
            output::stderr(&format!("pgmedic: {}\n", render::text::visible(&why.to_string())));
            return Ok(1);
        }
    };
    match args.format {
        FixFormat::Human => output::stdout(&screen::end(&report, &look)),
        FixFormat::Json => output::stdout(&render::json::document(&report).unwrap_or_default()),
    }
    Ok(exit(&report))
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

fn is_a_remedys_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
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
    state: Option<PathBuf>,
    home: &str,
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
    let mut record = || {
        let folder = state.clone().unwrap_or_else(|| PathBuf::from("/var/lib/pgmedic"));
        Journal::open(&folder, &service.name, home)
    };
    let outcome = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
        let mut mending = std::pin::pin!(fix(service, &options, &mut record, company));
        loop {
            tokio::select! {
                biased;
                outcome = &mut mending => return Ok(outcome),
                _ = interrupt.recv() => leave(&stop, "SIGINT", 130)?,
                _ = terminate.recv() => leave(&stop, "SIGTERM", 143)?,
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
