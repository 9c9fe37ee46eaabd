//! `pgmedic completions`: a script for a shell, with the ids of the causes in it.

use crate::args::{Cli, CompletionsArgs};
use crate::failure::Failure;
use crate::output;
use clap::CommandFactory;
use clap::builder::PossibleValuesParser;
use pgmedic_path::rooms;

/// Writes the script.
pub(crate) fn run(args: &CompletionsArgs) -> Result<i32, Failure> {
    let ids: Vec<&'static str> = rooms::causes().map(|cause| cause.id).collect();
    let mut command = Cli::command().mut_subcommand("explain", |explain| {
        // An empty list of values would refuse every word.
        if ids.is_empty() {
            return explain;
        }
        explain.mut_arg("cause", |cause| cause.value_parser(PossibleValuesParser::new(ids)))
    });
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "pgmedic", &mut script);
    output::stdout(&String::from_utf8_lossy(&script));
    Ok(0)
}
