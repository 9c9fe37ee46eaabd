//! What servers and poolers said in errors and notices, on every way in, each with where and when: for citing it.
//! Not in here: what the words mean; that is `pgmedic_model::pooler_words`.

use crate::evidence::{Evidence, QueryOutcome, RouteEvidence};
use crate::instances;
use crate::rooms::proxy::evidence::FirstBytes;
use crate::rooms::startup::evidence::StartupOutcome;
use pgmedic_model::pooler_words::{self, Words};
use pgmedic_model::{Fact, ServerError, Source, Timestamp};

/// One error or notice, and where it was said.
#[derive(Clone, Copy)]
pub(crate) struct Said<'a> {
    /// `front`, `direct`, `rescue`, `standing`; [`CHECK`].
    pub(crate) route: &'static str,
    /// What was said.
    pub(crate) error: &'a ServerError,
    /// When.
    pub(crate) at: Timestamp,
    /// To whom: the route's address.
    pub(crate) place: &'a str,
    /// At which stage.
    pub(crate) source: Source,
}

impl Said<'_> {
    /// True where message or DETAIL holds the text of `words`.
    pub(crate) fn says(&self, words: Words) -> bool {
        pooler_words::says(&self.error.message, words)
            || self.error.detail.as_deref().is_some_and(|d| pooler_words::says(d, words))
    }

    /// True on a way in by the service's own role: `rescue` and a platform's check have others, with limits and settings
    /// of their own.
    pub(crate) fn to_the_service(self) -> bool {
        !["rescue", CHECK].contains(&self.route)
    }

    /// It, as a fact. The value is the SQLSTATE.
    pub(crate) fn fact(&self) -> Fact {
        let fact = Fact::new(self.source, self.at, self.place, format!("{}: {}", self.route, self.error));
        match &self.error.code {
            Some(code) => fact.value(code.as_str()),
            None => fact,
        }
    }
}

/// The way in of a health check of the platform, which logs in as a superuser from within.
pub(crate) const CHECK: &str = "check";

/// Every ErrorResponse that ended a way in or refused its query, the front's first; and, where no way leads in, those
/// that a health check of the platform met.
pub(crate) fn errors(e: &Evidence) -> impl Iterator<Item = Said<'_>> {
    let by_checks = instances::refusals(e).map(|(place, error, at)| Said {
        route: CHECK,
        error,
        at,
        place,
        source: Source::Platform,
    });
    walked(e).chain(by_checks)
}

/// The errors that tell of the service's database: those to the service, and what the rescue role hears of the same
/// database once the service itself is refused for want of a slot, which Postgres looks at first.
pub(crate) fn errors_of_the_database(e: &Evidence) -> impl Iterator<Item = Said<'_>> {
    let rescue = e.rescue.get().and_then(|route| route.startup.as_ref());
    let same = rescue.is_some_and(|startup| startup.database == e.target.database);
    errors(e).filter(move |said| said.to_the_service() || (said.route == "rescue" && same))
}

/// Those of the ways in.
fn walked(e: &Evidence) -> impl Iterator<Item = Said<'_>> {
    e.routes().flat_map(|(route, r)| {
        let refusal = r.refusal().map(|error| {
            let source = match (&r.query, &r.startup) {
                (Some(_), _) => Source::Sql,
                (None, Some(_)) => Source::Startup,
                (None, None) => Source::Bytes,
            };
            Said { route, error, at: r.refused_at(), place: &r.address, source }
        });
        refusal.or_else(|| query_error(route, r))
    })
}

/// The first error that `words` describe.
pub(crate) fn error(e: &Evidence, words: Words) -> Option<Said<'_>> {
    errors(e).find(|said| said.says(words))
}

/// Every NoticeResponse of a way in or its query: crashes and shutdowns are told as notices before the end.
pub(crate) fn notices(e: &Evidence) -> impl Iterator<Item = Said<'_>> {
    e.routes().flat_map(|(route, r)| {
        let place = r.address.as_str();
        let startup = r.startup.iter().flat_map(move |s| {
            s.notices.iter().map(move |error| Said { route, error, at: s.at, place, source: Source::Startup })
        });
        let query = r.query.iter().flat_map(move |q| {
            q.notices.iter().map(move |error| Said { route, error, at: q.at, place, source: Source::Sql })
        });
        startup.chain(query)
    })
}

/// The text of a protocol-2 error, with the fact that cites it.
pub(crate) fn protocol_2(e: &Evidence) -> Option<(&str, Fact)> {
    e.routes().find_map(|(route, r)| {
        let (text, source) = match (&r.startup, &r.proxy) {
            (Some(s), _) => match &s.outcome {
                StartupOutcome::ErrorV2(text) => (text, Source::Startup),
                _ => return None,
            },
            (None, Some(p)) => match &p.first {
                FirstBytes::ErrorV2(text) => (text, Source::Bytes),
                _ => return None,
            },
            (None, None) => return None,
        };
        let told = format!("{route}: a protocol-2 error without SQLSTATE: {}", text.trim_end());
        Some((text.as_str(), Fact::new(source, r.refused_at(), r.address.as_str(), told)))
    })
}

fn query_error<'a>(route: &'static str, r: &'a RouteEvidence) -> Option<Said<'a>> {
    let query = r.query.as_ref()?;
    let error = match &query.outcome {
        QueryOutcome::Error(error) => error,
        QueryOutcome::Alive(_) => query.refused.as_ref()?,
        _ => return None,
    };
    let at = query.at.plus(query.elapsed_ms);
    Some(Said { route, error, at, place: &r.address, source: Source::Sql })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{ended, fatal, first_bytes, healthy, refused};

    #[test]
    fn errors_are_cited_with_route_stage_and_code() {
        let mut e = refused("53300", "sorry, too many clients already");
        e.direct = Seen::Seen(healthy().front);
        if let Seen::Seen(direct) = &mut e.direct {
            direct.query.as_mut().unwrap().outcome =
                QueryOutcome::Error(fatal("53100", "No space left on device"));
        }
        let cited: Vec<_> = errors(&e).map(|s| s.fact().fact).collect();
        assert_eq!(
            cited,
            [
                "front: FATAL 53300: sorry, too many clients already",
                "direct: FATAL 53100: No space left on device"
            ]
        );
        assert_eq!(error(&e, Words::NoSpaceLeft).unwrap().source, Source::Sql);
        assert!(errors(&healthy()).next().is_none());
    }

    #[test]
    fn a_protocol_2_error_is_found_at_either_stage() {
        let text = "could not fork new process for connection: Resource temporarily unavailable\n";
        for e in [ended(StartupOutcome::ErrorV2(text.into())), first_bytes(FirstBytes::ErrorV2(text.into()))]
        {
            assert_eq!(protocol_2(&e).unwrap().0, text);
        }
        assert!(protocol_2(&healthy()).is_none());
    }
}
