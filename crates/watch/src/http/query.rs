//! The query of a request, read by the route's parameters. What is not among them is refused, not overlooked.

use super::problem::Problem;
use super::routes::Param;
use std::borrow::Cow;

/// The most parameters of one request.
const MOST: usize = 16;

/// The parameters that were given.
#[derive(Debug)]
pub(super) struct Query<'q> {
    known: &'static [Param],
    given: Vec<(&'static str, Cow<'q, str>)>,
}

impl<'q> Query<'q> {
    pub(super) fn read(text: &'q str, known: &'static [Param]) -> Result<Self, Problem> {
        let mut given: Vec<(&'static str, Cow<'q, str>)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(param) = known.iter().find(|p| p.name == name) else {
                let names: Vec<&str> = known.iter().map(|p| p.name).collect();
                let takes = if names.is_empty() { "no parameter".to_owned() } else { names.join(", ") };
                return Err(Problem::request(
                    format!("{:?} is no parameter here", name.chars().take(40).collect::<String>()),
                    format!("this takes {takes}"),
                ));
            };
            if given.len() >= MOST || given.iter().any(|(name, _)| *name == param.name) {
                return Err(Problem::request(format!("{} is given twice", param.name), "give it once"));
            }
            given.push((param.name, decoded(value)?));
        }
        Ok(Self { known, given })
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(n, _)| *n == name).map(|(_, value)| &**value)
    }

    /// A parameter that takes one of a few words.
    pub(super) fn word(&self, name: &str) -> Result<Option<&str>, Problem> {
        let takes = self.known.iter().find(|p| p.name == name).map_or("", |p| p.takes);
        match self.text(name) {
            Some(text) if !takes.split('|').any(|word| word == text) => {
                Err(Problem::request(format!("{name} takes {takes}"), "give one of these words"))
            }
            text => Ok(text),
        }
    }

    /// `limit`.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        let Some(text) = self.text("limit") else { return Ok(100) };
        match text.parse::<usize>() {
            Ok(limit) if (1..=1000).contains(&limit) => Ok(limit),
            _ => Err(Problem::request(
                "limit takes a number from 1 to 1000",
                "ask for fewer, and go on by time",
            )),
        }
    }
}

/// A part of a path or a query without its percent signs.
pub(super) fn decoded(text: &str) -> Result<Cow<'_, str>, Problem> {
    percent_encoding::percent_decode_str(text).decode_utf8().map_err(|_| {
        Problem::request(
            "the address holds bytes that are no UTF-8",
            "encode each byte of the UTF-8 text as %XX",
        )
    })
}
