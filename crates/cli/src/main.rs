//! The binary `pgmedic`: read what is asked for, do it, write one document, leave with the code that says how it went.

mod args;
mod arguments;
mod commands;
mod config;
mod doctor;
mod drills;
mod failure;
mod help;
mod identity;
mod init;
mod output;
mod render;
mod rules;
mod runbook;
mod select;
mod surroundings;
mod usage;

use args::{SelfCommand, Verb};
use failure::Failure;
use std::ffi::OsString;
use usage::Asked;

fn main() {
    let arguments = arguments::given();
    std::panic::set_hook(Box::new(failure::announce_defect));
    let outcome = std::panic::catch_unwind(|| run(&arguments))
        .unwrap_or_else(|_| Err(Failure::Defect("pgmedic panicked; see stderr".to_owned())));
    let exit = outcome.unwrap_or_else(|failure| {
        failure.tell(usage::format_asked_for(&arguments).as_deref());
        failure.exit()
    });
    // A lookup that hangs in the system's resolver cannot be cancelled: its thread is not waited for.
    std::process::exit(exit)
}

/// Does what is asked for and gives the exit code.
fn run(arguments: &[OsString]) -> Result<i32, Failure> {
    match usage::parse(arguments)? {
        Asked::Text(text) => {
            output::stdout(&text);
            Ok(0)
        }
        Asked::Verb(cli) => match cli.verb {
            Verb::Check(args) => commands::check::run(&args, cli.color),
            Verb::Fix(args) => commands::fix::run(&args, cli.color),
            Verb::Audit(args) => commands::audit::run(&args, cli.color),
            Verb::Watch(args) => commands::watch::run(&args, cli.color),
            Verb::Pause(args) => commands::pause::pause(&args),
            Verb::Resume(args) => commands::pause::resume(&args),
            Verb::Incidents(args) => commands::incidents::run(&args, cli.color),
            Verb::Drill(args) => commands::drill::run(&args, cli.color),
            Verb::Explain(args) => commands::explain::run(&args, cli.color),
            Verb::Rules(args) => commands::rules::run(&args),
            Verb::Runbook(args) => commands::runbook::run(&args),
            Verb::Init(args) => commands::init::run(&args),
            Verb::Itself(SelfCommand::Doctor(args)) => commands::doctor::run(&args, cli.color),
            Verb::Completions(args) => commands::completions::run(&args),
            Verb::Itself(SelfCommand::Man(args)) => commands::man::run(&args),
        },
    }
}
