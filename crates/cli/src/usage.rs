//! The command line's mistakes: clap's words, without secrets, and with this house's exit codes.

use crate::args::Cli;
use crate::failure::Failure;
use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;

/// What the command line asks for.
pub(crate) enum Asked {
    /// A verb.
    Verb(Box<Cli>),
    /// A text for stdout: `--help`, `--version`.
    Text(String),
}

/// Parses the command line.
///
/// # Errors
/// Where it asks for what does not exist.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Asked, Failure> {
    let error = match Cli::try_parse_from(arguments) {
        Ok(cli) => return Ok(Asked::Verb(Box::new(cli))),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let colours = crate::render::style::wanted_on_stdout(None);
            let text = error.render();
            Ok(Asked::Text(if colours { text.ansi().to_string() } else { text.to_string() }))
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Err(Failure::Usage(format!("a verb is missing\n\n{}", error.render().to_string().trim_end())))
        }
        ErrorKind::InvalidSubcommand => Err(Failure::Usage(unknown_verb(&error))),
        _ => {
            let text = error.render().to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
            Err(Failure::Usage(without_secrets(text, arguments)))
        }
    }
}

fn unknown_verb(error: &clap::Error) -> String {
    let verb = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(verb)) => verb.as_str(),
        _ => "",
    };
    if may_hold_a_secret(verb) {
        return "a verb comes first: pgmedic check URL".to_owned();
    }
    match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(near)) if !near.is_empty() => {
            format!("no verb {verb:?}; nearest: {}", near.join(", "))
        }
        _ => format!("no verb {verb:?}; see pgmedic --help"),
    }
}

/// True where an argument looks like a connection string, well-formed or not.
pub(crate) fn may_hold_a_secret(argument: &str) -> bool {
    argument.contains("://") || argument.contains('@') || argument.contains('=') || argument.contains(':')
}

/// clap quotes the arguments it refuses: a connection string among them is cut out.
fn without_secrets(text: &str, arguments: &[OsString]) -> String {
    let mut text = text.to_owned();
    for argument in arguments.iter().skip(1) {
        let argument = argument.to_string_lossy();
        let value = match argument.split_once('=') {
            Some((option, value)) if option.starts_with("--") && !value.is_empty() => value,
            _ => &argument,
        };
        if value.len() > 1 && may_hold_a_secret(value) {
            text = text.replace(value, "…");
        }
    }
    text
}

/// True where `--format json` stands on the command line, however much else is wrong with it.
pub(crate) fn format_asked_for(arguments: &[OsString]) -> Option<String> {
    let mut arguments = arguments.iter().map(|a| a.to_string_lossy());
    while let Some(argument) = arguments.next() {
        if argument == "--format" {
            return arguments.next().map(std::borrow::Cow::into_owned);
        }
        if let Some(format) = argument.strip_prefix("--format=") {
            return Some(format.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(arguments: &[&str]) -> String {
        let arguments: Vec<OsString> =
            std::iter::once("pgmedic").chain(arguments.iter().copied()).map(Into::into).collect();
        match parse(&arguments) {
            Err(Failure::Usage(text)) => text,
            _ => panic!("{arguments:?} was taken"),
        }
    }

    #[test]
    fn what_is_refused_shows_no_password() {
        for arguments in [
            vec!["postgres://u:hunter2@h/d"],
            vec!["check", "shop", "postgres://u:hunter2@h/d"],
            vec!["check", "--timeout", "postgres://u:hunter2@h/d"],
            vec!["check", "--format=postgres://u:hunter2@h/d"],
            vec!["check", "--polr=postgres://u:hunter2@h/d"],
            vec!["check", "shop", "host=h password=hunter2"],
            vec!["explain", "a", "u:hunter2@h"],
        ] {
            let text = refusal(&arguments);
            assert!(!text.contains("hunter2"), "{arguments:?}: {text}");
        }
    }

    #[test]
    fn a_verb_that_is_none_is_told_the_nearest() {
        assert!(refusal(&["chekc"]).contains("nearest: check"));
    }
}
