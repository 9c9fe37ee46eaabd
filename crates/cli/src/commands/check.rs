//! `pgmedic check`: walk (or replay), diagnose, report.

pub(crate) mod recording;
mod stdin;

use crate::args::{CheckArgs, Sides, When};
use crate::failure::Failure;
use crate::identity::Memory;
use crate::output;
use crate::render::progress::Progress;
use crate::render::{self, style::Look};
use crate::select::{self, Whom};
use crate::surroundings::Surroundings;
use pgmedic_model::Status;
use pgmedic_path::events::Observer;
use pgmedic_path::service::LogSource;
use pgmedic_path::{Evidence, Service, diagnose, report, veiled, walk};
use recording::Recording;
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Checks, writes the report, and gives the exit code of its verdict.
pub(crate) fn run(args: &CheckArgs, color: When) -> Result<i32, Failure> {
    let evidence = match &args.replay {
        Some(file) => recording::replay(file)?,
        None => live(args)?,
    };
    let report = report(&evidence, diagnose(&evidence));
    output::stdout(&render::report(&report, args.format, &Look::of_stdout(color)));
    Ok(match report.status {
        Status::Ok => 0,
        Status::Warning => 1,
        Status::Critical => 2,
        Status::Unknown => 3,
    })
}

/// Walks, and records where that is asked for. A recording that cannot be begun is refused before anything is
/// touched; one that cannot be finished costs a word, not the diagnosis.
fn live(args: &CheckArgs) -> Result<Evidence, Failure> {
    let (mut service, mut memory) = begun(args.into(), args.accept_identity)?;
    let recording = args.record.as_deref().map(Recording::begin).transpose()?;
    piped_log(&args.sides, args.timeout, &mut service);
    let timeout = args.timeout;
    let walked = until_a_signal(async |tell| walk(&service, timeout, tell).await)?;
    let evidence = veiled(walked, &service);
    memory.take_note(&evidence);
    match recording {
        None => Ok(evidence),
        Some(recording) => recording.finish(evidence),
    }
}

/// The service that is meant, and what is remembered of its server.
pub(crate) fn begun(whom: Whom<'_>, accept_identity: bool) -> Result<(Service, Memory), Failure> {
    let mut around = Surroundings::default();
    let mut service = select::service(whom, &mut around)?;
    for note in &around.notes {
        output::stderr(&format!("pgmedic: {}\n", render::text::visible(note)));
    }
    let memory = Memory::of(whom, accept_identity, &mut service, &around)?;
    Ok((service, memory))
}

/// Reads the API's log from stdin where `--api-log -` asks for it.
pub(crate) fn piped_log(sides: &Sides, timeout: Duration, service: &mut Service) {
    if sides.api_log.as_deref() == Some(Path::new("-")) {
        service.api_log = Some(LogSource::Text(stdin::piped(timeout / 2)));
    }
}

/// What walks, until it ends or a signal stops it. It is given whom to tell of its progress.
pub(crate) fn until_a_signal<T>(walks: impl AsyncFnOnce(Observer<'_>) -> T) -> Result<T, Failure> {
    let broken = |error: std::io::Error| Failure::Defect(format!("no runtime: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(broken)?;
    let progress = Progress::on_stderr();
    let tell = |event: &_| progress.tell(event);
    let outcome = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
        tokio::select! {
            biased;
            _ = interrupt.recv() => Err(Failure::Signal { name: "SIGINT", exit: 130 }),
            _ = terminate.recv() => Err(Failure::Signal { name: "SIGTERM", exit: 143 }),
            walked = walks(&tell) => Ok(walked),
        }
    });
    progress.erase();
    runtime.shutdown_background();
    outcome
}
