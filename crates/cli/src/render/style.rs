//! How a terminal wants it: colours, characters, width. Colours have a meaning and are never needed.

use crate::args::When;
use rustix::termios::tcgetwinsize;
use std::io::IsTerminal;

/// What a text is painted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Well.
    Good,
    /// To be mended.
    Warning,
    /// Broken.
    Bad,
    /// A command to paste.
    Command,
    /// Less important.
    Dim,
    /// A heading.
    Strong,
}

/// How a page looks where it goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// With colours.
    pub(crate) colour: bool,
    /// With characters beyond ASCII.
    pub(crate) unicode: bool,
    /// Columns.
    pub(crate) width: usize,
}

impl Look {
    /// How stdout wants it.
    pub(crate) fn of_stdout(color: When) -> Self {
        Self { colour: wanted_on_stdout(Some(color)), unicode: unicode(), width: columns(std::io::stdout()) }
    }

    /// The text, painted where colours are wanted.
    pub(crate) fn paint(&self, paint: Paint, text: &str) -> String {
        let code = match paint {
            Paint::Good => "32",
            Paint::Warning => "33",
            Paint::Bad => "1;31",
            Paint::Command => "36",
            Paint::Dim => "2",
            Paint::Strong => "1",
        };
        if self.colour && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// True where stdout is to be coloured: `--color`, then NO_COLOR (no-color.org), CLICOLOR_FORCE, CLICOLOR
/// (bixense.com/clicolors), then whether it is a terminal that can.
pub(crate) fn wanted_on_stdout(color: Option<When>) -> bool {
    match color.unwrap_or(When::Auto) {
        When::Always => true,
        When::Never => false,
        When::Auto if variable("NO_COLOR").is_some() => false,
        When::Auto if variable("CLICOLOR_FORCE").is_some_and(|force| force != "0") => true,
        When::Auto => {
            variable("CLICOLOR").as_deref() != Some("0")
                && variable("TERM").is_some_and(|term| term != "dumb")
                && std::io::stdout().is_terminal()
        }
    }
}

/// True where the locale is UTF-8 (locale(7): LC_ALL, then LC_CTYPE, then LANG). macOS without any is.
pub(crate) fn unicode() -> bool {
    match variable("LC_ALL").or_else(|| variable("LC_CTYPE")).or_else(|| variable("LANG")) {
        Some(locale) => {
            let locale = locale.to_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        }
        None => cfg!(target_os = "macos"),
    }
}

/// Columns of a terminal, else COLUMNS, else 80; from 40 to 120.
pub(crate) fn columns(terminal: impl std::os::fd::AsFd + IsTerminal) -> usize {
    let seen = if terminal.is_terminal() {
        tcgetwinsize(terminal).ok().map(|size| size.ws_col.into())
    } else {
        None
    };
    let said = || variable("COLUMNS").and_then(|columns| columns.parse().ok());
    seen.filter(|columns| *columns > 0).or_else(said).unwrap_or(80).clamp(40, 120)
}
