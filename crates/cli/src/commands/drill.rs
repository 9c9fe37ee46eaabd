//! `pgmedic drill`: rehearse on a throwaway lab. Breaks real parts, and holds the diagnosis to what was broken.

mod told;

use crate::args::When;
use crate::drills::course::{self, Outcome, Record};
use crate::drills::{Drill, table};
use crate::failure::Failure;
use crate::output;
use crate::render::{json, style::Look};
use clap::ValueEnum;
use pgmedic_model::nearest::nearest;
use serde::Serialize;

/// `pgmedic drill`.
#[derive(Debug, clap::Args)]
#[command(after_help = crate::help::DRILL)]
pub(crate) struct Args {
    /// Drills to run, by their names; --list has them
    #[arg(value_name = "NAME", conflicts_with_all = ["all", "runbook"])]
    names: Vec<String>,
    /// Say what there is to drill, and what each needs
    #[arg(long)]
    list: bool,
    /// Run every drill
    #[arg(long)]
    all: bool,
    /// The runbook's four faults, one after another, each with its report on screen
    #[arg(long, conflicts_with_all = ["all", "format"])]
    runbook: bool,
    /// Fail where a drill needs root or a program that is not here, also where it was not named
    #[arg(long)]
    strict: bool,
    /// How it is told
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
}

/// How drills are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each; a single drill with its whole report
    Human,
    /// One document, schema pgmedic.drill/1
    Json,
}

/// `pgmedic.drill/1`.
#[derive(Debug, Serialize)]
struct Document {
    schema: &'static str,
    passed: usize,
    failed: usize,
    needs_root: usize,
    missing: usize,
    /// Nothing is ever skipped: what cannot run is counted above.
    skipped: usize,
    drills: Vec<Record>,
}

impl Document {
    fn of(drills: Vec<Record>) -> Self {
        let count = |outcome| drills.iter().filter(|record| record.status == outcome).count();
        Self {
            schema: "pgmedic.drill/1",
            passed: count(Outcome::Passed),
            failed: count(Outcome::Failed),
            needs_root: count(Outcome::NeedsRoot),
            missing: count(Outcome::MissingProgram),
            skipped: 0,
            drills,
        }
    }

    /// 0 where all went well; what could not run counts only where it was wanted for certain.
    const fn exit(&self, certain: bool) -> i32 {
        let unable = self.needs_root + self.missing;
        if self.failed > 0 || (certain && unable > 0) { 1 } else { 0 }
    }
}

/// Drills, tells, and gives the exit code.
pub(crate) fn run(args: &Args, color: When) -> Result<i32, Failure> {
    let look = Look::of_stdout(color);
    let named = args.names.iter().map(|name| by_name(name)).collect::<Result<Vec<_>, _>>()?;
    if args.runbook {
        return Ok(Document::of(told::runbook(&look)).exit(args.strict));
    }
    let wanted: Vec<&Drill> = if named.is_empty() { table::drills().collect() } else { named };
    if args.list || (args.names.is_empty() && !args.all) {
        list(&wanted, args.format, &look);
        return Ok(0);
    }
    let certain = args.strict || !args.names.is_empty();
    let document = match args.format {
        Format::Json => Document::of(wanted.iter().map(|drill| course::run(drill, &mut |_| {})).collect()),
        Format::Human if wanted.len() == 1 => Document::of(vec![told::one(wanted[0], &look)]),
        Format::Human => told::each(&wanted, &look),
    };
    if args.format == Format::Json {
        output::stdout(&json::document(&document).map_err(|e| Failure::Defect(e.to_string()))?);
    }
    Ok(document.exit(certain))
}

/// The drill of this name.
fn by_name(name: &str) -> Result<&'static Drill, Failure> {
    table::find(name).ok_or_else(|| {
        let near = nearest(name, table::drills().map(|drill| drill.name));
        let near = near.map_or("pgmedic drill --list has them".to_owned(), |near| format!("nearest: {near}"));
        Failure::Usage(format!("no drill {:?}; {near}", crate::render::text::visible(name)))
    })
}

/// What there is to drill.
fn list(drills: &[&Drill], format: Format, look: &Look) {
    #[derive(Serialize)]
    struct Row {
        drill: &'static str,
        does: &'static str,
        needs: String,
    }
    let rows = drills.iter().map(|drill| Row { drill: drill.name, does: drill.does, needs: drill.needs() });
    let rows: Vec<Row> = rows.collect();
    output::stdout(&match format {
        Format::Json => {
            json::document(&serde_json::json!({ "schema": "pgmedic.drill-list/1", "drills": rows }))
                .unwrap_or_default()
        }
        Format::Human => {
            rows.iter().map(|row| told::listed(row.drill, row.does, &row.needs, look)).collect::<String>()
        }
    });
}
