//! Settings as `SHOW` writes them, read into what they stand for. Not in here: which settings are asked for.

/// Whether a setting's text is true: any beginning of `true` or `yes`, `on`, `1` (`parse_bool`).
pub(super) fn is_true(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    !text.is_empty() && ["true", "yes"].iter().any(|word| word.starts_with(&text))
        || ["on", "1"].contains(&text.as_str())
}

/// A size as `SHOW` writes it, `1GB`, in bytes; None for -1, which means no limit.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let power = ["B", "kB", "MB", "GB", "TB"].iter().position(|name| *name == unit.trim()).unwrap_or(0);
    number.parse::<u64>().ok()?.checked_mul(1 << (10 * power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_truths_are_read_as_the_server_writes_them() {
        for (text, number) in [
            ("1GB", Some(1 << 30)),
            ("48MB", Some(48 << 20)),
            ("0", Some(0)),
            ("-1", None),
            ("2TB", Some(2 << 40)),
        ] {
            assert_eq!(bytes(text), number, "{text}");
        }
        for (text, truth) in
            [("on", true), ("T", true), ("ye", true), ("1", true), ("off", false), ("", false), ("o", false)]
        {
            assert_eq!(is_true(text), truth, "{text}");
        }
    }
}
