//! An error in `pgmedic.toml`: file, line, column, the line itself, and the nearest valid word. Shows no secret.

use std::ops::Range;

/// What is wrong with the configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigError {
    /// The file as it was named.
    pub(crate) file: String,
    /// Line and column, from 1. None where the file as a whole is meant.
    pub(crate) at: Option<(usize, usize)>,
    /// What is wrong, in one sentence.
    pub(crate) problem: String,
    /// The valid word nearest to the one that stands there.
    pub(crate) nearest: Option<String>,
    /// The line, its strings masked unless they are what is wrong, and how many characters to underline.
    pub(crate) excerpt: Option<(String, usize)>,
}

/// Whether the text at the place of an error may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// A key, a number, a duration: show it.
    Text,
    /// It may be a secret, or stand beside one.
    KeysOnly,
}

impl ConfigError {
    /// An error that concerns the file as a whole.
    pub(crate) fn whole(file: &str, problem: impl Into<String>) -> Self {
        Self { file: file.to_owned(), at: None, problem: problem.into(), nearest: None, excerpt: None }
    }

    /// An error at a byte range of the text.
    pub(super) fn at(
        file: &str,
        text: &str,
        span: Range<usize>,
        problem: impl Into<String>,
        show: Show,
    ) -> Self {
        let start = floor(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line = text[line_start..line_end].trim_end_matches('\r');
        let end = floor(text, span.end).clamp(start, start.max(line_start + line.len()));
        let column = text[line_start..start].chars().count() + 1;
        let keep = (show == Show::Text).then_some(start - line_start..end - line_start);
        let excerpt = masked(line, keep);
        let length = text[start..end].chars().count();
        let room = (excerpt.chars().count() + 1).saturating_sub(column);
        Self {
            at: Some((text[..start].matches('\n').count() + 1, column)),
            excerpt: (room > 0 && !excerpt.trim().is_empty()).then_some((excerpt, length.min(room).max(1))),
            ..Self::whole(file, problem)
        }
    }

    /// The same with the valid word nearest to `word`.
    pub(super) fn near<'a>(mut self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        self.nearest = pgmedic_model::nearest::nearest(word, candidates).map(str::to_owned);
        self
    }

    /// File, line, column, problem and nearest word, in one line.
    pub(crate) fn one_line(&self) -> String {
        let place = self.at.map_or(String::new(), |(line, column)| format!(":{line}:{column}"));
        let near = self.nearest.as_ref().map_or(String::new(), |word| format!("; nearest: {word}"));
        format!("{}{place}: {}{near}", self.file, self.problem)
    }
}

impl std::error::Error for ConfigError {}

/// The nearest character boundary at or before a byte offset.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A line with everything masked that may be a secret: all strings and whatever follows `=` that is no plain word,
/// except the byte range to keep. Each masked character becomes `*`, so that columns stay true.
fn masked(line: &str, keep: Option<Range<usize>>) -> String {
    let header = line.trim_start().starts_with('[') && !line.contains(['"', '\'']);
    let value_at =
        if header { line.find('#').unwrap_or(line.len()) } else { line.find('=').map_or(0, |at| at + 1) };
    let mut comment = false;
    line.char_indices()
        .map(|(at, c)| {
            comment |= c == '#' && at < value_at;
            let kept = keep.as_ref().is_some_and(|range| range.contains(&at));
            let safe = (at < value_at && !comment) || c.is_whitespace() || "\"'[]{},=".contains(c);
            if kept || safe { c } else { '*' }
        })
        .map(|c| if c.is_control() && c != '\t' { '?' } else { c })
        .map(|c| if c == '\t' { ' ' } else { c })
        .collect()
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.one_line())?;
        if let (Some((line, column)), Some((excerpt, length))) = (self.at, &self.excerpt) {
            let number = line.to_string();
            let gap = " ".repeat(number.len());
            let (indent, carets) = (" ".repeat(column - 1), "^".repeat(*length));
            write!(f, "\n {number} | {excerpt}\n {gap} | {indent}{carets}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_shown_without_what_may_be_a_secret() {
        let text = "a = 1\nbad_key = \"hunter2\" # hunter2\n";
        let error = ConfigError::at("f.toml", text, 6..13, "unknown key bad_key", Show::Text);
        let shown = error.to_string();
        assert!(shown.starts_with("f.toml:2:1: unknown key bad_key\n 2 | bad_key = \"*******\""), "{shown}");
        assert!(shown.ends_with("   | ^^^^^^^"), "{shown}");
        assert!(!shown.contains("hunter2"));
    }

    #[test]
    fn any_span_of_any_text_gives_a_line() {
        let text = "é = 'ö'\n\n[x";
        for start in 0..=text.len() + 2 {
            for end in 0..=text.len() + 2 {
                let error = ConfigError::at("f", text, start..end.max(start), "p", Show::KeysOnly);
                assert!(!error.to_string().is_empty());
            }
        }
    }
}
