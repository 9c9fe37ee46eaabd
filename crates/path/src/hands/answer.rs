//! What an answer to a request that changes something says of the change: it is made, it was refused and nothing has
//! changed, or nobody knows. Not in here: the words of each platform.

use super::Undone;
use crate::http::Answer;
use crate::rooms::app::evidence::HttpOutcome;
use crate::rooms::app::probe::in_words;
use tokio::time::Instant;

/// How a request ended that was not carried out, or may not have been.
#[derive(Debug)]
pub(super) enum End {
    /// Nothing has changed.
    Refused(String),
    /// It may have.
    Unknown(String),
}

impl End {
    pub(super) fn undone(self, what: &str, request_ids: Vec<String>) -> Undone {
        match self {
            Self::Refused(why) => {
                Undone::Refused { why: format!("{what}: {why}; nothing has changed"), request_ids }
            }
            Self::Unknown(why) => Undone::Unknown {
                why: format!("{what}: {why}; whether it was done nobody knows, look before you ask again"),
                request_ids,
            },
        }
    }
}

/// Whether there is time left to ask for a change: a request that is sent past its deadline may be carried out, and nobody
/// would be there to hear of it.
pub(super) fn in_time(until: Instant) -> Result<(), End> {
    if Instant::now() < until { Ok(()) } else { Err(End::Refused("no time was left to ask".to_owned())) }
}

/// The answer of a request that was carried out (2xx). A status from 400 on says that it was not (RFC 9110, "Client Error
/// 4xx"), but for 408 and 499, with which a proxy before the platform ends what it has passed on; what came of a 5xx, of
/// a redirect, or of no answer is not known, unless nothing was sent at all.
pub(super) fn carried_out(
    result: Result<Answer, HttpOutcome>,
    in_its_words: impl Fn(&Answer) -> String,
) -> Result<Answer, End> {
    match result {
        Ok(answer) if (200..300).contains(&answer.status) => Ok(answer),
        Ok(answer) => {
            let why = in_its_words(&answer);
            let refused = (400..500).contains(&answer.status) && ![408, 499].contains(&answer.status);
            Err(if refused { End::Refused(why) } else { End::Unknown(why) })
        }
        Err(outcome) if nothing_sent(&outcome) => Err(End::Refused(in_words(&outcome))),
        Err(outcome) => Err(End::Unknown(in_words(&outcome))),
    }
}

/// True where the request cannot have reached anybody: there was no connection to send it over.
const fn nothing_sent(outcome: &HttpOutcome) -> bool {
    matches!(outcome, HttpOutcome::NotResolved | HttpOutcome::NotConnected(_) | HttpOutcome::TlsFailed(_))
}

/// The object in an answer; None for what is none, or is cut off.
pub(super) fn object(answer: &Answer) -> Option<serde_json::Value> {
    let value = answer.whole.then(|| serde_json::from_slice(&answer.body).ok()).flatten();
    value.filter(serde_json::Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_changed_nothing_and_what_is_no_answer_may_have() {
        let answer =
            |status| Answer { status, headers: hyper::HeaderMap::new(), body: Vec::new(), whole: true };
        let end = |status| carried_out(Ok(answer(status)), |_| String::new());
        for status in [200, 202, 204] {
            assert!(end(status).is_ok(), "{status}");
        }
        for status in [400, 401, 403, 404, 409, 412, 422, 429] {
            assert!(matches!(end(status), Err(End::Refused(_))), "{status}");
        }
        for status in [101, 302, 304, 408, 499, 500, 502, 503, 504] {
            assert!(matches!(end(status), Err(End::Unknown(_))), "{status}");
        }
        let outcome = |outcome| carried_out(Err(outcome), |_| String::new());
        for sent in [HttpOutcome::Silent, HttpOutcome::Closed, HttpOutcome::NotHttp("SSH".into())] {
            assert!(matches!(outcome(sent), Err(End::Unknown(_))));
        }
        assert!(matches!(outcome(HttpOutcome::NotResolved), Err(End::Refused(_))));
    }
}
