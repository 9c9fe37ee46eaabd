//! `pgmedic drill`: rehearse on a throwaway lab. Breaks real parts, and holds the diagnosis to what was broken.

mod told;

use crate::args::When;
use crate::drills::course::{self, Outcome, Record};
use crate::drills::made::Made;
use crate::drills::pair::{self, Proofs};
use crate::drills::{Drill, steady, table};
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
    /// Drills to run, by their names; --list has them. A+B breaks both at once
    #[arg(value_name = "NAME", conflicts_with_all = ["all", "runbook", "pairs", "healthy"])]
    names: Vec<String>,
    /// Say what there is to drill, and what each needs
    #[arg(long)]
    list: bool,
    /// Run every drill
    #[arg(long)]
    all: bool,
    /// Run a chosen set of faults from every room two at a time, all pairs of them
    #[arg(long)]
    pairs: bool,
    /// Check a healthy service under load so many times; whatever is found is a false alarm
    #[arg(long, value_name = "CHECKS", value_parser = clap::value_parser!(u32).range(1..))]
    healthy: Option<u32>,
    /// The runbook's four faults, one after another, each with its report and its fix on screen
    #[arg(long, conflicts_with_all = ["all", "pairs", "healthy", "format"])]
    runbook: bool,
    /// Once a fault is found, mend it for real, with everything allowed, and hold the fix to what it must come to
    #[arg(long, conflicts_with_all = ["pairs", "healthy"])]
    fix: bool,
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

/// `pgmedic.drill/1`; its schema is `docs/drill.schema.json`.
#[derive(Debug, Serialize)]
struct Document {
    schema: &'static str,
    made: Made,
    passed: usize,
    failed: usize,
    needs_root: usize,
    missing: usize,
    /// Pairs that cannot last in one lab.
    apart: usize,
    /// Nothing is ever skipped: what cannot run is counted above.
    skipped: usize,
    drills: Vec<Record>,
    pairs: Vec<pair::Record>,
    healthy: Vec<steady::Record>,
}

impl Document {
    fn of(drills: Vec<Record>, pairs: Vec<pair::Record>, healthy: Vec<steady::Record>) -> Self {
        let ends = || drills.iter().map(|d| d.status).chain(pairs.iter().map(|p| p.status));
        let count = |outcome| ends().filter(|status| *status == outcome).count();
        let unwell = healthy.iter().filter(|row| !row.passed()).count();
        Self {
            schema: "pgmedic.drill/1",
            made: Made::here(),
            passed: count(Outcome::Passed) + healthy.len() - unwell,
            failed: count(Outcome::Failed) + unwell,
            needs_root: count(Outcome::NeedsRoot),
            missing: count(Outcome::MissingProgram),
            apart: count(Outcome::Apart),
            skipped: 0,
            drills,
            pairs,
            healthy,
        }
    }

    /// 0 where all went well; what could not run counts only where it was wanted for certain.
    const fn exit(&self, certain: bool) -> i32 {
        let unable = self.needs_root + self.missing;
        if self.failed > 0 || (certain && unable > 0) { 1 } else { 0 }
    }
}

/// What is to be run.
#[derive(Default)]
struct Wanted {
    drills: Vec<&'static Drill>,
    pairs: Vec<[&'static Drill; 2]>,
    checks: usize,
    /// Whether what is broken is mended.
    fix: bool,
}

impl Wanted {
    /// What the command line names.
    fn of(args: &Args) -> Result<Self, Failure> {
        let mut wanted = Self { fix: args.fix, ..Self::default() };
        for name in &args.names {
            match name.split_once('+') {
                None => wanted.drills.push(by_name(name)?),
                Some(_) if args.fix => {
                    return Err(Failure::Usage(format!("--fix mends one fault at a time, not {name:?}")));
                }
                Some((a, b)) => wanted.pairs.push([by_name(a)?, by_name(b)?]),
            }
        }
        if args.all {
            wanted.drills.extend(table::drills());
        }
        if args.pairs {
            wanted.pairs.extend(table::pairs());
        }
        wanted.checks = args.healthy.unwrap_or_default() as usize;
        Ok(wanted)
    }

    /// Runs it all and tells nobody.
    fn quietly(&self) -> Document {
        let mut proofs = Proofs::default();
        Document::of(
            self.drills.iter().map(|drill| course::run(drill, self.fix, &mut |_| {})).collect(),
            self.pairs.iter().map(|pair| pair::run(*pair, &mut proofs)).collect(),
            if self.checks > 0 { steady::run(self.checks, &mut |_| {}) } else { Vec::new() },
        )
    }
}

/// Drills, tells, and gives the exit code.
pub(crate) fn run(args: &Args, color: When) -> Result<i32, Failure> {
    let look = Look::of_stdout(color);
    let wanted = Wanted::of(args)?;
    if args.runbook {
        return Ok(Document::of(told::runbook(&look), Vec::new(), Vec::new()).exit(args.strict));
    }
    let named = !args.names.is_empty();
    if args.list || !(named || args.all || args.pairs || wanted.checks > 0) {
        list(wanted, args.format, &look);
        return Ok(0);
    }
    let certain = args.strict || named;
    let document = match (args.format, wanted.drills.as_slice(), wanted.pairs.as_slice()) {
        (Format::Json, ..) => wanted.quietly(),
        (Format::Human, [drill], []) => {
            Document::of(vec![told::one(drill, wanted.fix, &look)], Vec::new(), Vec::new())
        }
        (Format::Human, [], [pair]) => Document::of(Vec::new(), vec![told::two(*pair, &look)], Vec::new()),
        (Format::Human, ..) => told::each(&wanted, &look),
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

/// What there is to drill: what is named, else every drill.
fn list(wanted: Wanted, format: Format, look: &Look) {
    #[derive(Serialize)]
    struct Row {
        drill: String,
        does: String,
        needs: String,
    }
    let one = |drill: &Drill| Row {
        drill: drill.name.to_owned(),
        does: drill.does.to_owned(),
        needs: drill.needs(),
    };
    let two = |pair: &[&Drill; 2]| Row {
        drill: pair.map(|drill| drill.name).join("+"),
        does: pair.map(|drill| drill.does).join(" And: "),
        needs: pair
            .map(|drill| drill.needs())
            .into_iter()
            .filter(|needs| !needs.is_empty())
            .collect::<Vec<_>>()
            .join(", "),
    };
    let Wanted { mut drills, pairs, .. } = wanted;
    if drills.is_empty() && pairs.is_empty() {
        drills.extend(table::drills());
    }
    let rows: Vec<Row> = drills.into_iter().map(one).chain(pairs.iter().map(two)).collect();
    output::stdout(&match format {
        Format::Json => {
            json::document(&serde_json::json!({ "schema": "pgmedic.drill-list/1", "drills": rows }))
                .unwrap_or_default()
        }
        Format::Human => {
            rows.iter().map(|row| told::listed(&row.drill, &row.does, &row.needs, look)).collect::<String>()
        }
    });
}
