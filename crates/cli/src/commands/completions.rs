//! `pgmedic completions`: a script for a shell, with the ids of the causes in it.

use crate::args::{Cli, CompletionsArgs};
use crate::failure::Failure;
use crate::output;
use clap::CommandFactory;
use clap::builder::PossibleValuesParser;
use clap_complete::Shell;
use pgmedic_path::rooms;

/// Writes the script.
pub(crate) fn run(args: &CompletionsArgs) -> Result<i32, Failure> {
    let ids: Vec<&'static str> = rooms::causes().map(|cause| cause.id).collect();
    let mut command = Cli::command().mut_subcommand("explain", |explain| {
        // An empty list of values would refuse every word.
        if ids.is_empty() {
            return explain;
        }
        explain.mut_arg("cause", |cause| cause.value_parser(PossibleValuesParser::new(ids.clone())))
    });
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "pgmedic", &mut script);
    if args.shell == Shell::Fish {
        // clap_complete gives fish no values for an argument without an option.
        let line = "complete -c pgmedic -n '__fish_seen_subcommand_from explain' -f -a";
        script.extend(format!("{line} '{}'\n", ids.join(" ")).into_bytes());
    }
    output::stdout(&String::from_utf8_lossy(&script));
    Ok(0)
}
