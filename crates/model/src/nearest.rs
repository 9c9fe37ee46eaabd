//! The valid word nearest to a mistyped one.

/// The candidate nearest to `word`, where one is near enough to be a likely mistake in typing. Case is not counted.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (strsim::normalized_damerau_levenshtein(&word, &candidate.to_lowercase()), candidate)
        })
        .filter(|(likeness, _)| *likeness >= 0.55)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_slip_and_no_more() {
        let words = ["sslmode", "sslcert", "host", "hostaddr"];
        assert_eq!(nearest("sslmod", words), Some("sslmode"));
        assert_eq!(nearest("SSLMODE", words), Some("sslmode"));
        assert_eq!(nearest("hsot", words), Some("host"));
        assert_eq!(nearest("zzz", words), None);
    }
}
