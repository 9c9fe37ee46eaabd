//! `pgmedic completions`: a script for a shell, with the ids of the causes and the names of the drills in it.

use crate::args::{Cli, CompletionsArgs};
use crate::drills::table;
use crate::failure::Failure;
use crate::output;
use clap::CommandFactory;
use clap::builder::PossibleValuesParser;
use clap_complete::Shell;
use pgmedic_path::rooms;

/// Writes the script.
pub(crate) fn run(args: &CompletionsArgs) -> Result<i32, Failure> {
    let causes: Vec<&'static str> = rooms::causes().map(|cause| cause.id).collect();
    let drills: Vec<&'static str> = table::drills().map(|drill| drill.name).collect();
    let known = [("explain", "cause", causes), ("drill", "names", drills)];
    let mut command = Cli::command();
    for (verb, argument, words) in &known {
        let words = PossibleValuesParser::new(words.clone());
        command = command.mut_subcommand(verb, |verb| verb.mut_arg(argument, |arg| arg.value_parser(words)));
    }
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "pgmedic", &mut script);
    if args.shell == Shell::Fish {
        // clap_complete gives fish no values for an argument without an option.
        for (verb, _, words) in &known {
            let line = format!("complete -c pgmedic -n '__fish_seen_subcommand_from {verb}' -f -a");
            script.extend(format!("{line} '{}'\n", words.join(" ")).into_bytes());
        }
    }
    output::document(None, &String::from_utf8_lossy(&script))?;
    Ok(0)
}
