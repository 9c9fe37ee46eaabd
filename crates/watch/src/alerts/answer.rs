//! What an answer means for what was told: it is told, it is to be told again, or it never will be. Pure.

use pgmedic_model::Timestamp;
use pgmedic_path::http::post::{Answered, Unanswered};
use std::time::Duration;

/// The longest that a receiver may ask us to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The receiver has it.
    Sent,
    /// To be tried again.
    Later {
        /// Not before this has passed: the receiver said so.
        after: Option<Duration>,
        /// Whose fault it seems to be.
        blame: Blame,
        /// Why.
        why: String,
    },
    /// The same bytes will be refused again.
    Refused(String),
}

/// Whose fault a failure seems to be: for how long to go on trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The receiver is away or overloaded: everything for it waits, and goes when it is back.
    Away,
    /// It may be this message (500).
    Unclear,
    /// How it is configured, which a person mends: a revoked key, an archived channel, a moved path.
    Setup,
}

/// Reads an answer.
pub(super) fn verdict(answer: &Result<Answered, Unanswered>, now: Timestamp) -> Verdict {
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => return Verdict::Later { after: None, blame: Blame::Away, why: why.to_string() },
    };
    let said = if answer.words.is_empty() { String::new() } else { format!(": {}", answer.words) };
    let why = format!("it answers {}{said}", answer.status);
    let after = || answer.retry_after.as_deref().and_then(|text| retry_after(text, now));
    match answer.status {
        200..=299 => Verdict::Sent,
        408 | 425 | 429 | 502..=504 => Verdict::Later { after: after(), blame: Blame::Away, why },
        400 | 406 | 409 | 411 | 413 | 415 | 422 => Verdict::Refused(why),
        300..=499 => Verdict::Later { after: after(), blame: Blame::Setup, why },
        _ => Verdict::Later { after: after(), blame: Blame::Unclear, why },
    }
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds, or a date. An hour at most.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => Duration::from_millis(u64::try_from(date(text)?.0 - now.0).unwrap_or(0)),
    };
    Some(wait.min(LONGEST_WAIT))
}

/// An IMF-fixdate: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<_> = text.split_ascii_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = words[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    format!("{year}-{month:02}-{day}T{time}Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(784_111_777_000); // Sun, 06 Nov 1994 08:49:37 GMT, of RFC 9110

    fn of(status: u16, retry_after: Option<&str>) -> Verdict {
        let retry_after = retry_after.map(str::to_owned);
        verdict(&Ok(Answered { status, retry_after, words: "no".to_owned() }), NOW)
    }

    fn wait(retry_after: &str) -> Option<Duration> {
        match of(429, Some(retry_after)) {
            Verdict::Later { after, .. } => after,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_taken_is_told() {
        for status in [200, 202, 204] {
            assert_eq!(of(status, None), Verdict::Sent);
        }
    }

    #[test]
    fn a_refused_body_is_not_sent_again() {
        for status in [400, 413, 422] {
            assert_eq!(of(status, Some("1")), Verdict::Refused(format!("it answers {status}: no")));
        }
    }

    #[test]
    fn each_failure_is_blamed_on_whom_it_seems_to_be() {
        let blame = |status| match of(status, None) {
            Verdict::Later { blame, .. } => blame,
            other => panic!("{status}: {other:?}"),
        };
        assert_eq!([408, 429, 502, 503, 504].map(blame), [Blame::Away; 5]);
        assert_eq!([301, 401, 403, 404, 410].map(blame), [Blame::Setup; 5]);
        assert_eq!([500, 501, 599, 101].map(blame), [Blame::Unclear; 4]);
        let silent = verdict(&Err(Unanswered("it did not answer in time".into())), NOW);
        assert!(matches!(silent, Verdict::Later { blame: Blame::Away, .. }));
    }

    #[test]
    fn a_receiver_may_say_when_to_come_back_within_an_hour() {
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("999999"), Some(LONGEST_WAIT));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:49 GMT"), Some(Duration::from_secs(12)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:07 GMT"), Some(Duration::ZERO), "it is past");
        for text in ["", "soon", "-5", "Sun, 06 Foo 1994 08:49:49 GMT", "Sunday"] {
            assert_eq!(wait(text), None, "{text}");
        }
    }
}
