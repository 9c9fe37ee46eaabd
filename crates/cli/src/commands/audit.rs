//! `pgmedic audit`: walk once, or again and again for a rate, take what the daemon has seen before, and say what will break,
//! nearest first. Changes nothing. Not in here: the daemon's history (`history`).

mod history;

use crate::args::{AuditArgs, When};
use crate::commands::check::{begun, piped_log, recording, until_a_signal};
use crate::failure::Failure;
use crate::output;
use crate::render::{self, style::Look, text::visible};
use history::History;
use pgmedic_model::Status;
use pgmedic_path::audit::{audit, growth};
use pgmedic_path::events::Observer;
use pgmedic_path::walk::Purpose;
use pgmedic_path::{Evidence, Service, veiled, walk_for};
use recording::Recording;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Looks for a forecast: from eight on a rate has an interval.
const LOOKS: u32 = 9;
/// Looks lie no nearer together than this.
const NEAREST: Duration = Duration::from_secs(1);

/// Audits, writes the report, the script or the diff, and gives the exit code of the verdict.
pub(crate) fn run(args: &AuditArgs, color: When) -> Result<i32, Failure> {
    let evidence = match &args.replay {
        Some(file) => recording::replay(file)?,
        None => live(args)?,
    };
    let report = audit(&evidence);
    let look = Look::of_stdout(color);
    output::stdout(&if args.sql {
        render::audit::script::script(&report)
    } else if args.diff {
        render::audit::diff::diff(&report, &look)
    } else {
        render::audit::report(&report, args.format, &look)
    });
    Ok(match report.status {
        Status::Ok => 0,
        Status::Warning => 1,
        Status::Critical => 2,
        Status::Unknown => 3,
    })
}

fn live(args: &AuditArgs) -> Result<Evidence, Failure> {
    let (mut service, mut memory) = begun(args.into(), false)?;
    let recording = args.record.as_deref().map(Recording::begin).transpose()?;
    piped_log(&args.sides, args.timeout, &mut service);
    let (walked, unread) = until_a_signal(async |tell| {
        let mut walked = looked(&service, args, tell).await;
        let read = History::of(args.into()).read(&walked).await;
        let unread = read.map(|series| walked.history = series).err();
        (walked, unread)
    })?;
    if let Some(why) = unread {
        let line = format!("{why}; the forecast is without watch's history");
        output::stderr(&format!("pgmedic: {}\n", visible(&line)));
    }
    let evidence = veiled(walked, &service);
    memory.take_note(&evidence);
    match recording {
        None => Ok(evidence),
        Some(recording) => recording.finish(evidence),
    }
}

/// The walk of the audit, after as many looks as the forecast wants, evenly over the time that is given.
async fn looked(service: &Service, args: &AuditArgs, tell: Observer<'_>) -> Evidence {
    let mut earlier = Vec::new();
    if let Some(span) = args.watch_for {
        let steps = (span.as_secs() / NEAREST.as_secs()).min(u64::from(LOOKS - 1)).max(1);
        let steps = u32::try_from(steps).unwrap_or(LOOKS - 1);
        if std::io::stderr().is_terminal() {
            output::stderr(&format!("pgmedic: {} looks, {} s in all\n", steps + 1, span.as_secs()));
        }
        let begin = Instant::now();
        for step in 0..steps {
            sleep_until(begin + span * step / steps).await;
            // Not a check: on a service that is well that has a glance at the data's volume alone, or none.
            let seen = walk_for(Purpose::Preflight, service, args.timeout, &|_| {}).await;
            earlier.push(growth::look(&seen));
        }
        sleep_until(begin + span).await;
    }
    let mut evidence = walk_for(Purpose::Audit, service, args.timeout, tell).await;
    evidence.earlier = earlier;
    evidence
}
