//! The end of a log that is put together from several: of containers, of pods.

/// Bytes that are given, the newest.
const END: usize = 256 * 1024;

/// The newest lines, at most 256 KiB. Lines of several containers are put in the order of the times that they begin with,
/// all of them in UTC.
pub(super) fn newest_lines(mut lines: Vec<String>, several: bool) -> String {
    if several {
        lines.sort();
    }
    let mut room = END;
    let fits = |line: &&String| {
        let left = room.checked_sub(line.len() + 1);
        room = left.unwrap_or(0);
        left.is_some()
    };
    let mut newest: Vec<&str> = lines.iter().rev().take_while(fits).map(String::as_str).collect();
    newest.reverse();
    newest.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_and_several_logs_are_one() {
        let lines = |all: &[&str]| all.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        assert_eq!(newest_lines(lines(&["b", "a"]), false), "b\na");
        assert_eq!(
            newest_lines(lines(&["2026-11-23T03:12:02Z b", "2026-11-23T03:12:01Z a"]), true).lines().last(),
            Some("2026-11-23T03:12:02Z b")
        );
        let flood: Vec<String> = (0..500).map(|n| format!("{n:04} {}", "x".repeat(2000))).collect();
        let text = newest_lines(flood, false);
        assert!(text.len() <= END && text.len() > END / 2);
        assert!(text.lines().last().unwrap().starts_with("0499"));
    }
}
