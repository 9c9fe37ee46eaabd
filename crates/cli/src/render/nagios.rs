//! One line as monitoring plugins write it: status, what is wrong, perfdata ("Monitoring Plugins Development
//! Guidelines", plugin output and performance data).

use super::text::visible;
use pgmedic_model::{Report, RoomStatus, Status};

/// The line, with its newline.
pub(crate) fn line(report: &Report) -> String {
    let status = report.status.as_str().to_uppercase();
    let mut told: Vec<String> =
        report.roots().map(|root| format!("{}: {}", root.cause, root.summary)).collect();
    if told.is_empty() {
        told.push(match report.status {
            Status::Ok => format!("{}: the path is clear", report.service),
            _ => format!("{}: {}", report.service, report.unseen.join(", ")),
        });
    }
    let mut perfdata = format!("time={:.3}s;;;0", report.elapsed_ms.0 / 1000.0);
    for room in &report.path {
        if !matches!(room.status, RoomStatus::NotReached | RoomStatus::NotSeen) {
            perfdata.push_str(&format!(" {}={:.6}s;;;0", room.room, room.elapsed_ms.0 / 1000.0));
        }
    }
    format!("PGMEDIC {status} - {} | {perfdata}\n", line_of(&told.join("; ")))
}

/// A text that keeps to one line and does not begin the perfdata.
pub(crate) fn line_of(text: &str) -> String {
    visible(text).replace('|', "/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn one_line_whatever_the_server_says() {
        let text = line(&samples::slots_exhausted());
        assert!(
            text.starts_with("PGMEDIC CRITICAL - slots-exhausted: 97 of 97 ordinary slots taken"),
            "{text}"
        );
        assert!(text.contains(" | time=0.014s;;;0 app=0.003100s;;;0 dns=0.000400s;;;0"), "{text}");
        assert_eq!((text.matches('\n').count(), text.matches('|').count()), (1, 1));
        let text = line(&samples::hostile());
        assert_eq!((text.matches('\n').count(), text.matches('|').count()), (1, 1), "{text}");
        assert!(line(&samples::healthy()).starts_with("PGMEDIC OK - shop: the path is clear | time="));
    }
}
