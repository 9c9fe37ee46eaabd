//! On which way in a failure is, and how bad that makes it: the front is the service's own way; `direct` and
//! `rescue` are help, and their failures are warnings unless they are what the front stumbles over. Not in
//! here: any cause.

use crate::evidence::{Evidence, RouteEvidence};
use crate::rooms::proxy::silence;
use pgmedic_model::Severity;
use pgmedic_model::pooler_words::{Words, says};

/// A failure, with the way in that speaks for it and the others that share it.
pub(crate) struct Struck<'a> {
    /// `front`, `direct`, `rescue` or `standing`.
    pub(crate) name: &'static str,
    /// The first way that fails so.
    pub(crate) route: &'a RouteEvidence,
    /// The other ways that fail so.
    pub(crate) others: Vec<&'a RouteEvidence>,
    /// Critical on the front.
    pub(crate) severity: Severity,
}

impl Struck<'_> {
    /// The end of a summary: which way it is, where that is not the service's own.
    pub(crate) fn on_the_way(&self) -> &'static str {
        match self.name {
            "direct" => ", on the way around the proxy",
            "rescue" => ", on the way in of the rescue role",
            "standing" => ", through the standing session",
            _ => "",
        }
    }

    /// The end of a summary of something that each way meets at an address of its own.
    pub(crate) fn and_the_others(&self) -> String {
        let elsewhere = self.others.iter().map(|r| r.address.as_str()).filter(|a| *a != self.route.address);
        let list: Vec<&str> = elsewhere.collect();
        if list.is_empty() { String::new() } else { format!("; likewise on {}", list.join(" and ")) }
    }
}

/// What a failure of the way around the proxy means while the front fails in another manner.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Around {
    /// Nothing for the service: at most a warning.
    Aside,
    /// What the service would meet there itself: the front stumbles over it in its own words, or is broken before it
    /// and hides it.
    Behind,
}

/// The ways in on which `fails` holds, the front first. None where it holds on none.
pub(crate) fn struck<'a>(
    e: &'a Evidence,
    around: Around,
    fails: impl Fn(&RouteEvidence) -> bool,
) -> Option<Struck<'a>> {
    let mut ways = e.routes().filter(|(_, route)| fails(route));
    let (name, route) = ways.next()?;
    let others = ways.map(|(_, route)| route).collect();
    let hidden = around == Around::Behind && tells_nothing_of_the_server(e);
    let critical = name == "front" || (name == "direct" && hidden);
    let severity = if critical { Severity::Critical } else { Severity::Warning };
    Some(Struck { name, route, others, severity })
}

/// The front came neither to an answer nor to a refusal of the server's.
fn tells_nothing_of_the_server(e: &Evidence) -> bool {
    (!e.front.admitted() && e.front.refusal().is_none()) || pooler_cannot_log_in(e)
}

/// A pooler says that it has no way to its server, or is silent where it would need one.
fn pooler_cannot_log_in(e: &Evidence) -> bool {
    let words = [Words::ServerLoginFailing, Words::ServerConnectionLost, Words::QueryWaitTimeout];
    let says_so = e.front.refusal().is_some_and(|r| words.iter().any(|w| says(&r.message, *w)));
    let waits = || silence::at_the_door(&e.front).or_else(|| silence::after_the_login(&e.front)).is_some();
    says_so || (silence::by_a_pooler(e).is_some() && waits())
}

/// The host and port of a route's address, for a command line: the socket's directory, or the host without
/// brackets.
pub(crate) fn host_and_port(address: &str) -> (&str, &str) {
    if let Some((directory, number)) = address.rsplit_once("/.s.PGSQL.") {
        return (directory, number);
    }
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "5432"));
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{admitted, first_bytes, healthy, late, refuse, refused};
    use crate::rooms::proxy::evidence::FirstBytes;
    use crate::rooms::startup::evidence::StartupOutcome;

    fn with_direct_refused(mut e: Evidence) -> Evidence {
        let mut direct = admitted("renderflow-db.internal:5433");
        refuse(&mut direct, StartupOutcome::Closed);
        e.direct = Seen::Seen(direct);
        e
    }

    fn severity(e: &Evidence, around: Around) -> Option<Severity> {
        struck(e, around, |r| r.address.ends_with(":5433") && !r.admitted()).map(|s| s.severity)
    }

    #[test]
    fn a_failure_aside_is_a_warning_unless_the_front_stumbles_over_it() {
        let other = with_direct_refused(refused("28P01", "password authentication failed for user \"app\""));
        assert_eq!(
            severity(&other, Around::Behind),
            Some(Severity::Warning),
            "the server spoke on the front"
        );
        let warning = with_direct_refused(healthy());
        assert_eq!(severity(&warning, Around::Behind), Some(Severity::Warning));
        let hop = with_direct_refused(first_bytes(FirstBytes::Closed));
        assert_eq!(severity(&hop, Around::Behind), Some(Severity::Critical));
        let pooler = with_direct_refused(refused("08P01", "server login has been failing, try again later"));
        assert_eq!(severity(&pooler, Around::Behind), Some(Severity::Critical));
        assert_eq!(severity(&pooler, Around::Aside), Some(Severity::Warning));
        let mut late_word = with_direct_refused(healthy());
        late(&mut late_word, "08P01", "query_wait_timeout");
        assert_eq!(severity(&late_word, Around::Behind), Some(Severity::Critical));
        assert_eq!(severity(&healthy(), Around::Aside), None);
    }

    #[test]
    fn the_front_speaks_for_the_others() {
        let e = with_direct_refused(refused("28P01", "password authentication failed for user \"app\""));
        let struck = struck(&e, Around::Aside, |r| !r.admitted()).expect("both fail");
        assert_eq!((struck.name, struck.others.len(), struck.severity), ("front", 1, Severity::Critical));
        assert_eq!(struck.on_the_way(), "");
        assert_eq!(struck.and_the_others(), "; likewise on renderflow-db.internal:5433");
    }

    #[test]
    fn an_address_is_taken_apart_for_the_command_line() {
        assert_eq!(host_and_port("db.internal:5432"), ("db.internal", "5432"));
        assert_eq!(host_and_port("[fdaa::3]:5433"), ("fdaa::3", "5433"));
        assert_eq!(host_and_port("/var/run/postgresql/.s.PGSQL.5432"), ("/var/run/postgresql", "5432"));
    }
}
