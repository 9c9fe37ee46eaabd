//! What a client takes (RFC 9110, 12.5.1): JSON, or which of the two text formats. Pure.

use crate::metrics::Format;

/// How well a client takes `kind/of`, from 0 to 1; parameters other than `q` are not looked at.
fn quality(accept: &str, kind: &str, of: &str) -> f32 {
    let mut best: (u8, f32) = (0, 0.0);
    for range in accept.split(',').take(64) {
        let mut parts = range.split(';').map(str::trim);
        let Some((k, o)) = parts.next().and_then(|r| r.split_once('/')) else { continue };
        let exact = match (k, o) {
            (k, o) if k.eq_ignore_ascii_case(kind) && o.eq_ignore_ascii_case(of) => 3,
            (k, "*") if k.eq_ignore_ascii_case(kind) => 2,
            ("*", "*") => 1,
            _ => continue,
        };
        let q = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")));
        let q = q.map_or(1.0, |q| q.trim().parse::<f32>().unwrap_or(0.0).clamp(0.0, 1.0));
        // A range that says more counts more; of equals the better one (versions of one type).
        if exact > best.0 || exact == best.0 && q > best.1 {
            best = (exact, q);
        }
    }
    best.1
}

/// True where the client takes JSON. No `Accept` takes anything.
pub(super) fn takes_json(accept: Option<&str>) -> bool {
    accept.is_none_or(|accept| quality(accept, "application", "json") > 0.0)
}

/// The format of metrics that the client likes best. None where it takes neither.
pub(super) fn format(accept: Option<&str>) -> Option<Format> {
    let Some(accept) = accept else { return Some(Format::Text) };
    let text = quality(accept, "text", "plain");
    let open = quality(accept, "application", "openmetrics-text");
    match (text, open) {
        (text, open) if open > text => Some(Format::OpenMetrics),
        (text, _) if text > 0.0 => Some(Format::Text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_is_given_what_it_likes_best() {
        let of_2_42 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                       text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(format(Some(of_2_42)), Some(Format::OpenMetrics));
        assert_eq!(format(Some("text/plain;version=0.0.4;q=0.5,*/*;q=0.1")), Some(Format::Text));
        for any in [None, Some("*/*"), Some("text/html,application/xhtml+xml,*/*;q=0.8"), Some("text/*")] {
            assert_eq!(format(any), Some(Format::Text), "{any:?}");
        }
        for none in ["image/png", "", "text/plain;q=0", "*/*;q=0", "nonsense"] {
            assert_eq!(format(Some(none)), None, "{none:?}");
        }
    }

    #[test]
    fn json_is_taken_by_name_by_kind_and_by_anything() {
        for accept in ["application/json", "application/*", "*/*", "text/html, application/JSON;q=0.1"] {
            assert!(takes_json(Some(accept)), "{accept}");
        }
        for accept in ["text/html", "application/json;q=0", "application/json;q=0, */*"] {
            assert!(!takes_json(Some(accept)), "{accept}");
        }
        assert!(takes_json(None));
    }
}
