//! A cause's page on a terminal: Markdown with headings, lists and code blocks, no more than the pages use.

use super::style::{Look, Paint};
use super::text::{ascii, width, wrap};
use pgmedic_model::Room;

/// The Markdown of a doc comment: without the space that follows `///`.
pub(crate) fn markdown(page: &str) -> String {
    let lines: Vec<_> = page.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    lines.join("\n").trim().to_owned()
}

/// The page for a terminal.
pub(crate) fn human(id: &str, room: Room, page: &str, look: &Look) -> String {
    let mut out = format!("{}  {}\n", look.paint(Paint::Strong, id), look.paint(Paint::Dim, room.as_str()));
    let mut paragraph = String::new();
    let mut fenced = false;
    for line in page.lines().chain([""]) {
        let heading = line.strip_prefix("## ").filter(|_| !fenced);
        let item = line.trim_start().starts_with(['-', '*', '|']) || numbered(line);
        if fenced || line.is_empty() || heading.is_some() || line.starts_with("```") || item {
            flush(&mut out, &mut paragraph, look);
        }
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            let code = look.paint(Paint::Command, &shown(line, look));
            out.push_str(&format!("    {code}\n"));
        } else if let Some(heading) = heading {
            out.push_str(&format!("\n{}\n", look.paint(Paint::Strong, &shown(heading, look))));
        } else if !line.is_empty() {
            paragraph.push_str(line);
            paragraph.push(' ');
        } else if !out.ends_with("\n\n") {
            out.push('\n');
        }
    }
    out.truncate(out.trim_end().len());
    // A heading's blank line and a paragraph's may meet.
    while out.contains("\n\n\n") {
        out = out.replace("\n\n\n", "\n\n");
    }
    out + "\n"
}

fn numbered(line: &str) -> bool {
    line.split_once(". ").is_some_and(|(n, _)| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
}

fn shown(text: &str, look: &Look) -> String {
    if look.unicode { text.to_owned() } else { ascii(text) }
}

/// Writes a paragraph or an item, wrapped; what follows an item's mark is indented.
fn flush(out: &mut String, paragraph: &mut String, look: &Look) {
    let text = shown(paragraph.trim_end(), look);
    paragraph.clear();
    if text.is_empty() {
        return;
    }
    let hang = if text.starts_with("- ") || text.starts_with("* ") { "    " } else { "  " };
    for (number, line) in wrap(&text, look.width.saturating_sub(hang.len())).into_iter().enumerate() {
        let lead = if number == 0 { "  " } else { hang };
        out.push_str(&format!("{lead}{line}\n"));
    }
}

/// A room's causes with their titles.
pub(crate) fn group(room: Room, rows: &[(&str, &str)], look: &Look) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut out = format!("{}\n", look.paint(Paint::Strong, room.as_str()));
    for (id, title) in rows {
        let lead = format!("  {id:<30}  ");
        for (number, line) in
            wrap(&shown(title, look), look.width.saturating_sub(width(&lead)).max(20)).iter().enumerate()
        {
            let lead = if number == 0 { lead.clone() } else { " ".repeat(width(&lead)) };
            out.push_str(&format!("{lead}{line}\n"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_wrapped_and_its_code_is_not() {
        let page = markdown(
            " One sentence that is long enough to be wrapped at forty columns.\n\n ## What it is\n\n A thing.\n - an item that is also rather too long\n\n ```sql\n select 'a very long statement that stays as it is';\n ```\n\n ## References\n",
        );
        let text = human("some-cause", Room::Dns, &page, &Look { colour: false, unicode: true, width: 40 });
        let expected = "\
some-cause  dns
  One sentence that is long enough to be
  wrapped at forty columns.

What it is

  A thing.
  - an item that is also rather too
    long

    select 'a very long statement that stays as it is';

References
";
        assert_eq!(text, expected);
    }
}
