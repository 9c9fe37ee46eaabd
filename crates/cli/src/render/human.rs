//! The report on one screen: the path with a mark where it breaks, the root cause, its evidence, what to do next.

use super::style::{Look, Paint};
use super::text::{ascii, cut, visible, width, wrap_at_most};
use pgmedic_model::{Confidence, Fact, Finding, Ms, Report, Role, Room, RoomReport, RoomStatus, Status};

/// Facts shown for a root; the rest are in the JSON.
const FACTS: usize = 5;
/// Remedies shown for a root.
const REMEDIES: usize = 3;
/// Things not seen that are shown with the reason; of more, the names alone.
const UNSEEN: usize = 3;
/// Lines shown of each further list.
const LINES: usize = 5;

/// The whole screen.
pub(crate) fn screen(report: &Report, look: &Look) -> String {
    let mut page = Page { look: *look, out: String::new() };
    page.head(report);
    if report.direct.is_empty() {
        page.path(report);
    } else {
        page.two_paths(report);
    }
    for root in report.roots() {
        page.root(root);
    }
    if report.findings.is_empty() {
        page.verdict_without_findings(report);
    }
    page.others(report);
    page.unseen(&report.unseen);
    page.out
}

/// The confidence as a word.
pub(crate) const fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Certain => "certain",
        Confidence::Likely => "likely",
        Confidence::Possible => "possible",
    }
}

pub(super) struct Page {
    pub(super) look: Look,
    pub(super) out: String,
}

impl Page {
    /// A text made harmless, and ASCII where nothing else can be shown.
    pub(super) fn text(&self, text: &str) -> String {
        let text = visible(text);
        if self.look.unicode { text } else { ascii(&text) }
    }

    pub(super) fn paint(&self, paint: Paint, text: &str) -> String {
        self.look.paint(paint, &self.text(text))
    }

    pub(super) fn line(&mut self, line: &str) {
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    /// A text cut to what is left of a line.
    pub(super) fn cut(&self, text: &str, columns: usize) -> String {
        let text = cut(&self.text(text), columns);
        if self.look.unicode { text } else { cut_ascii(&ascii(&text), columns) }
    }

    fn head(&mut self, report: &Report) {
        self.heading(&report.service, &report.target, report.status, report.elapsed_ms);
    }

    /// Whose report this is, and the verdict.
    pub(super) fn heading(&mut self, service: &str, target: &str, status: Status, elapsed: Ms) {
        let paint = match status {
            Status::Ok => Paint::Good,
            Status::Warning => Paint::Warning,
            Status::Critical => Paint::Bad,
            Status::Unknown => Paint::Strong,
        };
        let verdict = format!("{} in {elapsed}", status.as_str().to_uppercase());
        let service = self.cut(service, 30.min(self.look.width / 3));
        let room = self.look.width.saturating_sub(width(&service) + width(&verdict) + 4);
        let target = self.cut(target, room);
        let gap = " ".repeat(room.saturating_sub(width(&target)));
        let verdict = self.paint(paint, &verdict);
        let service = self.look.paint(Paint::Strong, &service);
        self.line(&format!("{service}  {target}{gap}  {verdict}"));
        self.line("");
    }

    /// Ten lines; rooms in a row that were not reached share one.
    fn path(&mut self, report: &Report) {
        let broken = broken_rooms(report);
        let mut rooms = report.path.as_slice();
        while let [first, rest @ ..] = rooms {
            let run = rooms.iter().take_while(|room| room.status == RoomStatus::NotReached).count();
            if run > 1 {
                self.not_reached(&rooms[..run]);
                rooms = &rooms[run..];
                continue;
            }
            let here = broken.iter().find(|(room, _)| *room == first.room).map(|(_, cause)| *cause);
            let tail = here.map_or(String::new(), |cause| format!("  ◀ {cause}"));
            let left = self.look.width.saturating_sub(25);
            let beside = left.saturating_sub(width(&tail) + 1);
            if beside < 16 && here.is_some() {
                let cell = self.cell(first, left);
                self.line(&format!("  {cell}"));
                self.mark_below(here);
            } else {
                let cell = self.cell(first, beside);
                let tail = self.paint(Paint::Bad, &tail);
                self.line(&format!("  {cell}{tail}"));
            }
            rooms = rest;
        }
    }

    /// Front and direct side by side.
    fn two_paths(&mut self, report: &Report) {
        let broken = broken_rooms(report);
        let half = (self.look.width - 17) / 2;
        let heading = format!("               {:<half$} {}", "front", "around the proxy");
        let heading = self.look.paint(Paint::Dim, &self.cut(&heading, self.look.width));
        self.line(&heading);
        let mut at = 0;
        while let Some(front) = report.path.get(at) {
            let beside = |room: Room| report.direct.iter().find(|direct| direct.room == room);
            let run = report.path[at..]
                .iter()
                .take_while(|room| room.status == RoomStatus::NotReached && beside(room.room).is_none())
                .count();
            if run > 1 {
                self.not_reached(&report.path[at..at + run]);
                at += run;
                continue;
            }
            let here = broken.iter().find(|(room, _)| *room == front.room).map(|(_, cause)| *cause);
            let name = format!("  {:<11}", front.room.to_string());
            match beside(front.room) {
                Some(direct) => {
                    let left = self.half(front, half);
                    let right = self.half(direct, half);
                    self.line(&format!("{name}{left} {right}"));
                }
                None => {
                    let left = self.half(front, self.look.width.saturating_sub(14));
                    self.line(&format!("{name}{left}"));
                }
            }
            self.mark_below(here);
            at += 1;
        }
    }

    /// The mark of a break on a line of its own.
    fn mark_below(&mut self, cause: Option<&str>) {
        if let Some(cause) = cause {
            let mark = self.paint(Paint::Bad, &format!("◀ {cause}"));
            self.line(&format!("             {mark}"));
        }
    }

    fn not_reached(&mut self, rooms: &[RoomReport]) {
        let names: Vec<_> = rooms.iter().map(|room| room.room.as_str()).collect();
        let text = self.cut(&format!("· {}: not reached", names.join(", ")), self.look.width - 2);
        let text = self.look.paint(Paint::Dim, &text);
        self.line(&format!("  {text}"));
    }

    /// `✔ network    0.1 ms  connected`.
    fn cell(&self, room: &RoomReport, columns: usize) -> String {
        let (mark, paint) = mark(room.status);
        let mark = self.paint(paint, mark);
        let name = format!("{:<10}", room.room.to_string());
        let time = format!("{:>8}", time(room));
        let summary = self.cut(&room.summary, columns);
        let summary = if dim(room) { self.look.paint(Paint::Dim, &summary) } else { summary };
        format!("{mark} {name} {time}  {summary}")
    }

    /// `✔ 0.1 ms  connected`, padded.
    fn half(&self, room: &RoomReport, columns: usize) -> String {
        let (mark, paint) = mark(room.status);
        let time = time(room);
        let text = if time.is_empty() { room.summary.clone() } else { format!("{time}  {}", room.summary) };
        let text = self.cut(&text, columns.saturating_sub(2));
        let gap = " ".repeat(columns.saturating_sub(2 + width(&text)));
        let text = if dim(room) { self.look.paint(Paint::Dim, &text) } else { text };
        format!("{} {text}{gap}", self.paint(paint, mark))
    }

    fn root(&mut self, finding: &Finding) {
        self.line("");
        let title = self.paint(Paint::Bad, &format!("Root cause: {}", finding.cause));
        self.line(&format!("{title} ({})", confidence(finding.confidence)));
        self.paragraph("  ", "  ", &finding.summary, 3);
        let facts = in_order(&finding.evidence);
        for fact in facts.iter().take(FACTS) {
            let lead = format!("    {:<9} ", fact.way);
            self.paragraph(&lead, "              ", &format!("{}: {}", fact.place, fact.fact), 2);
        }
        if facts.len() > FACTS {
            let more = self.paint(Paint::Dim, &format!("{} more with --format json", facts.len() - FACTS));
            self.line(&format!("              {more}"));
        }
        for other in &finding.alternatives {
            let text = format!("{}; decided by: {}", other.cause, other.decided_by);
            self.paragraph("    or        ", "              ", &text, 2);
        }
        if !finding.remedies.is_empty() {
            self.line("");
            let heading = self.paint(Paint::Strong, "What to do next");
            self.line(&heading);
        }
        for remedy in finding.remedies.iter().take(REMEDIES) {
            self.paragraph("  ", "  ", &remedy.plan, 3);
            if !remedy.command.is_empty() {
                let command = self.paint(Paint::Command, &remedy.command);
                self.line(&format!("    {command}"));
            }
        }
        let more = self.paint(Paint::Dim, &format!("  more: pgmedic explain {}", finding.cause));
        self.line(&more);
    }

    fn others(&mut self, report: &Report) {
        for (role, label) in [(Role::Contributing, "contributing"), (Role::Symptom, "symptom")] {
            let found: Vec<_> = report.findings.iter().filter(|finding| finding.role == role).collect();
            if !found.is_empty() {
                self.line("");
            }
            for finding in found.iter().take(LINES) {
                let text = format!("{}: {}", finding.cause, finding.summary);
                let text = self.cut(&text, self.look.width.saturating_sub(15));
                let label = self.paint(Paint::Warning, &format!("{label:<13}"));
                self.line(&format!("{label}  {text}"));
            }
            self.rest(found.len());
        }
    }

    pub(super) fn unseen(&mut self, unseen: &[String]) {
        if unseen.is_empty() {
            return;
        }
        self.line("");
        if unseen.len() > UNSEEN {
            let mut labels: Vec<&str> = Vec::new();
            for text in unseen {
                let label = text.split(": ").next().unwrap_or(text);
                if !labels.contains(&label) {
                    labels.push(label);
                }
            }
            let text = format!("{} (why: --format json)", labels.join(", "));
            self.paragraph("not seen       ", "               ", &text, 3);
            return;
        }
        for text in unseen {
            self.paragraph("not seen       ", "               ", text, 1);
        }
    }

    fn rest(&mut self, all: usize) {
        if all > LINES {
            let more =
                self.paint(Paint::Dim, &format!("               {} more with --format json", all - LINES));
            self.line(&more);
        }
    }

    fn verdict_without_findings(&mut self, report: &Report) {
        self.line("");
        let text = match report.status {
            Status::Ok => "Nothing is wrong with what could be seen.",
            _ => "Too little could be seen to say what is wrong.",
        };
        self.paragraph("", "", text, 2);
    }

    /// A text in at most `most` lines, with one lead for the first and another for the rest.
    pub(super) fn paragraph(&mut self, first: &str, rest: &str, text: &str, most: usize) {
        let columns = self.look.width.saturating_sub(width(first)).max(20);
        let text = self.text(text);
        for (number, line) in wrap_at_most(&text, columns, most).into_iter().enumerate() {
            let line = if self.look.unicode { line } else { cut_ascii(&ascii(&line), columns) };
            let lead = if number == 0 { first } else { rest };
            self.line(&format!("{lead}{line}"));
        }
    }
}

/// The rooms in which a root is, with its cause: where the path breaks.
fn broken_rooms(report: &Report) -> Vec<(Room, &str)> {
    report.roots().map(|finding| (finding.room, finding.cause.as_str())).collect()
}

const fn mark(status: RoomStatus) -> (&'static str, Paint) {
    match status {
        RoomStatus::Ok => ("✔", Paint::Good),
        RoomStatus::Warning => ("▲", Paint::Warning),
        RoomStatus::Failed => ("✘", Paint::Bad),
        RoomStatus::NotReached => ("·", Paint::Dim),
        RoomStatus::NotSeen => ("○", Paint::Dim),
    }
}

const fn dim(room: &RoomReport) -> bool {
    matches!(room.status, RoomStatus::NotReached | RoomStatus::NotSeen)
}

/// The time spent in a room. Rooms that the one statement showed took none of their own.
fn time(room: &RoomReport) -> String {
    if dim(room) || room.elapsed_ms.0 == 0.0 { String::new() } else { room.elapsed_ms.to_string() }
}

/// Walked first, then reported, then seen through a window; each said once.
pub(crate) fn in_order(facts: &[Fact]) -> Vec<&Fact> {
    let mut out: Vec<&Fact> = Vec::new();
    for way in ["walked", "reported", "window"] {
        for fact in facts.iter().filter(|fact| fact.way == way) {
            if !out.iter().any(|said| said.place == fact.place && said.fact == fact.fact) {
                out.push(fact);
            }
        }
    }
    out
}

/// Cuts a text that is ASCII already, where an ellipsis takes three columns.
fn cut_ascii(text: &str, columns: usize) -> String {
    if text.len() <= columns {
        return text.to_owned();
    }
    format!("{}...", text[..columns.saturating_sub(3)].trim_end().trim_end_matches('.'))
}

#[cfg(test)]
mod tests;
