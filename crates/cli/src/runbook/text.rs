//! Small pieces of Markdown: shell blocks, spans, shares, corrections.

use super::platform::Line;

/// A span of milliseconds as a configuration writes it: `10m`, `90s`, `1h`.
pub(super) fn ms(span: f64) -> String {
    let whole = |unit: f64| span >= unit && span % unit == 0.0;
    for (unit, name) in [(86_400_000.0, "d"), (3_600_000.0, "h"), (60_000.0, "m"), (1000.0, "s")] {
        if whole(unit) {
            return format!("{}{name}", span / unit);
        }
    }
    format!("{span}ms")
}

/// A share as a configuration writes it: `20%`.
pub(super) fn share(share: f64) -> String {
    format!("{}%", (share * 1000.0).round() / 10.0)
}

/// Commands as one block, each under what it is for; nothing where there are none.
pub(super) fn shell(lines: &[Line]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let one = |line: &Line| match line.says.as_str() {
        "" => format!("{}\n", line.command),
        says => format!("# {says}\n{}\n", line.command),
    };
    format!("\n```sh\n{}```\n", lines.iter().map(one).collect::<String>())
}

/// What is advised elsewhere, why it is dangerous, and what to do instead.
pub(super) struct Correction {
    /// Who says it.
    pub(super) who: &'static str,
    /// What is said, as it is typed.
    pub(super) says: String,
    pub(super) why: String,
    pub(super) instead: String,
}

impl Correction {
    /// In Markdown.
    pub(super) fn text(&self) -> String {
        let says = self.says.lines().map(|line| format!("> {line}\n")).collect::<String>();
        format!(
            "\n> **{} says**\n>\n> ```\n{says}> ```\n>\n> **Why not.** {}\n>\n> **Instead.** {}\n",
            self.who, self.why, self.instead
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_shares_are_written_as_they_are_configured() {
        for (span, text) in
            [(600_000.0, "10m"), (90_000.0, "90s"), (7_200_000.0, "2h"), (1.5, "1.5ms"), (0.0, "0ms")]
        {
            assert_eq!(ms(span), text);
        }
        assert_eq!((share(0.2), share(0.125)), ("20%".to_owned(), "12.5%".to_owned()));
    }
}
