//! `pgmedic self man`: the manual pages, from the same text as `--help`. Not in here: that text (`args`, `help`).

use crate::args::Cli;
use crate::failure::Failure;
use crate::output;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use pgmedic_model::nearest::nearest;
use std::path::PathBuf;

/// `pgmedic self man`.
#[derive(Debug, clap::Args)]
#[command(after_help = crate::help::MAN)]
pub(crate) struct Args {
    /// The page of this verb instead of pgmedic's own: check, or rules prometheus
    #[arg(value_name = "VERB")]
    verb: Vec<String>,
    /// Write every page into this folder, as pgmedic-VERB.1; it is made where it is missing
    #[arg(long, value_name = "DIR", conflicts_with = "verb")]
    output: Option<PathBuf>,
}

/// Writes one page to stdout, or all of them into a folder.
pub(crate) fn run(args: &Args) -> Result<i32, Failure> {
    let all = pages();
    let Some(folder) = &args.output else {
        let name = [&["pgmedic".to_owned()], args.verb.as_slice()].concat().join("-");
        let Some(page) = all.iter().find(|page| page.name == name) else {
            let verbs: Vec<String> =
                all.iter().skip(1).map(|page| page.name.replacen("pgmedic-", "", 1)).collect();
            let words = args.verb.join(" ");
            let near = nearest(&words.replace(' ', "-"), verbs.iter().map(String::as_str));
            let near = near.map(|verb| format!("; nearest: {}", verb.replace('-', " "))).unwrap_or_default();
            return Err(Failure::Usage(format!("no verb {words:?} has a page{near}")));
        };
        output::document(None, &page.text)?;
        return Ok(0);
    };
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::Usage(format!("--output {}: {error}", folder.display())))?;
    for page in &all {
        output::file(&folder.join(format!("{}.1", page.name)), &page.text)?;
    }
    Ok(0)
}

/// A manual page.
struct Page {
    /// `pgmedic-check`.
    name: String,
    /// In roff's man macros (groff_man(7)).
    text: String,
}

/// pgmedic's own page first, then each verb's, those below a verb after it.
fn pages() -> Vec<Page> {
    let mut top = Cli::command();
    // Gives each its name among the others, and the options that hold everywhere.
    top.build();
    let mut all = Vec::new();
    add(&top, None, &mut all);
    all
}

fn add(command: &Command, parent: Option<&str>, all: &mut Vec<Page>) {
    let name =
        parent.map_or_else(|| "pgmedic".to_owned(), |parent| format!("{parent}-{}", command.get_name()));
    let shown =
        || command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help");
    all.push(Page { text: page(command, &name, parent, shown()), name: name.clone() });
    for below in shown() {
        add(below, Some(&name), all);
    }
}

fn page<'c>(
    command: &Command,
    name: &str,
    parent: Option<&str>,
    below: impl Iterator<Item = &'c Command>,
) -> String {
    let man = Man::new(command.clone().display_name(name));
    // No date, so that the same program writes the same pages; an empty field is one only in quotes.
    let title = name.to_uppercase();
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!(".TH \"{title}\" \"1\" \"\" \"pgmedic {version}\" \"pgmedic\"\n").into_bytes();
    // Into memory: it cannot fail.
    let _written = man
        .render_name_section(&mut text)
        .and_then(|()| man.render_synopsis_section(&mut text))
        .and_then(|()| man.render_description_section(&mut text))
        .and_then(|()| man.render_options_section(&mut text));
    let mut roff = Roff::new();
    verbs(&mut roff, name, below);
    if let Some(help) = command.get_after_help() {
        sections(&mut roff, &help.to_string());
    }
    let also = parent.unwrap_or("pgmedic-check");
    roff.control("SH", ["SEE ALSO"]);
    roff.text([
        bold(also),
        roman("(1), "),
        bold("pgmedic-explain"),
        roman("(1), "),
        bold("psql"),
        roman("(1)"),
    ]);
    String::from_utf8_lossy(&text).into_owned() + &roff.to_roff()
}

/// The verbs below one, each with its page.
fn verbs<'c>(roff: &mut Roff, name: &str, below: impl Iterator<Item = &'c Command>) {
    for (number, verb) in below.enumerate() {
        if number == 0 {
            roff.control("SH", ["VERBS"]);
        }
        roff.control("TP", []);
        roff.text([bold(format!("{name}-{}", verb.get_name())), roman("(1)")]);
        roff.text([roman(verb.get_about().map(ToString::to_string).unwrap_or_default())]);
    }
}

/// What `--help` ends with: a line that ends with a colon begins a section; what is indented stays as it stands.
fn sections(roff: &mut Roff, help: &str) {
    for block in help.split("\n\n") {
        let (first, rest) = block.split_once('\n').unwrap_or((block, ""));
        match first.strip_suffix(':') {
            Some(title) if rest.starts_with(' ') => {
                roff.control("SH", [title.to_uppercase().as_str()]);
                roff.control("nf", []);
                for line in rest.lines() {
                    roff.text([roman(line)]);
                }
                roff.control("fi", []);
            }
            _ => {
                roff.control("PP", []);
                roff.text([roman(block.replace('\n', " "))]);
            }
        }
    }
}
