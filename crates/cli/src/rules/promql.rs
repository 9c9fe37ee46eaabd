//! Words of PromQL: selectors, spans of time, numbers.

use std::time::Duration;

/// `label="value"`, quoted.
pub(super) fn matcher(label: &str, value: &str) -> String {
    format!("{label}={}", quoted(value))
}

/// A string of PromQL. Its escapes are Go's, of which JSON's common ones are a part.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `metric{a="b",c="d"}`.
pub(super) fn selector(metric: &str, own: Option<&str>, matchers: &str) -> String {
    let all: Vec<&str> = own.into_iter().chain(Some(matchers).filter(|m| !m.is_empty())).collect();
    if all.is_empty() { metric.to_owned() } else { format!("{metric}{{{}}}", all.join(",")) }
}

/// A span as Prometheus writes it: `1h30m`, `15s`, `0s`.
pub(super) fn span(span: Duration) -> String {
    let ms = span.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let mut left = ms;
    let mut out = String::new();
    for (unit, size) in units {
        if left >= size {
            out.push_str(&format!("{}{unit}", left / size));
            left %= size;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// A share as a percentage for people: `85%`.
pub(super) fn percent(share: f64) -> String {
    format!("{}%", number(share * 100.0))
}

/// A number without the noise of binary fractions: `0.85`.
pub(super) fn number(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_numbers_are_written_as_prometheus_reads_them() {
        for (ms, text) in
            [(0, "0s"), (15_000, "15s"), (5_400_000, "1h30m"), (60_500, "1m500ms"), (172_800_000, "2d")]
        {
            assert_eq!(span(Duration::from_millis(ms)), text);
        }
        assert_eq!((number(1.0 - 0.2), percent(0.85), number(3.0)), ("0.8".into(), "85%".into(), "3".into()));
    }

    #[test]
    fn a_selector_holds_its_own_matcher_and_others() {
        assert_eq!(selector("up", None, ""), "up");
        assert_eq!(selector("up", Some("a=\"b\""), "c!=\"d\""), "up{a=\"b\",c!=\"d\"}");
        assert_eq!(matcher("service", "a\"b"), r#"service="a\"b""#);
    }
}
