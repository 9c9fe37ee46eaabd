//! The pool's own figures in the Prometheus text format (exposition formats, version 0.0.4; OpenMetrics 1.0 reads the same
//! here). Only what is named is taken; everything else is passed over.

use super::evidence::PoolMetrics;

/// Adds up the pool's figures over their label sets. False where there is none of them. A line that is no text is passed
/// over by itself: a page is not copied for it.
pub(super) fn read(page: &[u8], into: &mut PoolMetrics) -> bool {
    let mut any = false;
    let lines = page.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    for (name, value) in lines.filter_map(sample) {
        let figure = match name {
            "pg_pool_max" => &mut into.max,
            "pg_pool_size" => &mut into.size,
            "pg_pool_idle" => &mut into.idle,
            "pg_pool_in_use" => &mut into.in_use,
            "pg_pool_waiting" => &mut into.waiting,
            "pg_pool_timeouts_total" => &mut into.timeouts_total,
            _ => continue,
        };
        *figure = Some(figure.unwrap_or(0.0) + value);
        any = true;
    }
    any
}

/// `name{label="value",…} 12 1795403529000`: the name and the value, where the value is a number.
fn sample(line: &str) -> Option<(&str, f64)> {
    let line = line.trim_start();
    let end = line.find(|c: char| c.is_whitespace() || c == '{')?;
    let (name, rest) = line.split_at(end);
    if name.starts_with('#') {
        return None;
    }
    let rest = if rest.starts_with('{') { &rest[labels(rest)?..] } else { rest };
    let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
    value.is_finite().then_some((name, value))
}

/// The length of a label set: up to the brace that is in no label's value.
fn labels(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_summed_over_their_labels() {
        let mut metrics = PoolMetrics::default();
        let found = read(
            b"# HELP pg_pool_max The most connections.\n# TYPE pg_pool_max gauge\n\
             pg_pool_max{pool=\"read\"} 10\npg_pool_max{pool=\"we}ird\\\"\", x=\"}\"} 5 1795403529000\n\
             pg_pool_in_use 7.0\n pg_pool_waiting\t3\npg_pool_idle{ } 0\npg_pool_timeouts_total 1.2e1 # {id=\"1\"} 1\n\
             pg_pool_maximum 99\nprocess_open_fds 12\n",
            &mut metrics,
        );
        assert!(found);
        assert_eq!((metrics.max, metrics.in_use, metrics.waiting), (Some(15.0), Some(7.0), Some(3.0)));
        assert_eq!((metrics.idle, metrics.timeouts_total, metrics.size), (Some(0.0), Some(12.0), None));
    }

    #[test]
    fn what_is_no_sample_is_passed_over() {
        let mut metrics = PoolMetrics::default();
        let text = "pg_pool_max\npg_pool_max NaN\npg_pool_max{a=\"\npg_pool_max{a=\"é\\\n<html>\n{} 1\npg_pool_max x\n";
        assert!(!read(text.as_bytes(), &mut metrics));
        assert_eq!(metrics, PoolMetrics::default());
    }
}
