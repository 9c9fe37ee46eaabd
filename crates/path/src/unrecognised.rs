//! The finding of last resort: the way in is broken and no cause accounts for it. It says what was seen, word for word,
//! and that it is not understood; it never names a cause that nothing shows.

use crate::cause::Proof;
use crate::evidence::{Evidence, QueryOutcome, RouteEvidence};
use crate::rooms::network::evidence::ConnectOutcome;
use crate::rooms::proxy::evidence::FirstBytes;
use crate::rooms::startup::evidence::StartupOutcome;
use crate::rooms::tls::evidence::TlsOutcome;
use pgmedic_model::{Confidence, Fact, Finding, RemedyKind, RemedyPlan, Room, Severity, Source, Timestamp};

cause! {
    /// The way in is broken, and no cause that pgmedic knows accounts for it.
    ///
    /// ## What it is
    /// Not a cause: pgmedic saw where the way in broke and what was said there, word for word, and will not guess. The
    /// finding stands in whichever room that was.
    ///
    /// ## What proves it
    /// The stage that failed, with its errno, SQLSTATE or first bytes, and every notice that came with it.
    ///
    /// ## What mends it
    /// Read the words, then the server's and the proxy's log for the same second. `direct`, `pooler`, `rescue` and
    /// `platform` in pgmedic.toml each show it more: a second look often has a name for it.
    ///
    /// ## What makes it worse
    /// Restarting things until it goes away: the evidence goes with it. Keep it first: `pgmedic check --record FILE`.
    ///
    /// ## What prevents it
    /// Report it with that recording (it holds no secret), and the next version knows it.
    ///
    /// ## References
    /// Postgres manual, appendix "PostgreSQL Error Codes"; `docs/causes/README.md` for what is known.
    "unrecognised-failure" in Startup, proved by Proof::None("it is the absence of a cause; odd peers stand in for it in the tests");
}

/// Finds nothing by itself: it takes the other findings to know that none of them accounts for the failure.
const fn find(_: &Evidence) -> Option<Finding> {
    None
}

/// The finding's id.
const ID: &str = "unrecognised-failure";

/// Where a route broke, and how.
pub(crate) struct Break {
    /// The room in which it broke.
    pub(crate) room: Room,
    source: Source,
    at: Timestamp,
    /// What happened there, in a clause.
    pub(crate) said: String,
}

/// Where a route broke; None where its query was answered.
pub(crate) fn break_of(route: &RouteEvidence) -> Option<Break> {
    let new = |room, source, at, said: String| Some(Break { room, source, at, said });
    let Some(network) = &route.network else {
        return new(Room::Dns, Source::Dns, route.dns.at, "the name gave no address".to_owned());
    };
    if !network.attempts.iter().any(|a| a.outcome == ConnectOutcome::Connected) {
        let first = network.attempts.first();
        let said = first.map_or_else(
            || "no address to try".to_owned(),
            |a| match &a.errno {
                Some(errno) => format!("{}: {errno} ({})", a.address, errno.meaning()),
                None => format!("{}: no answer within {}", a.address, a.elapsed_ms),
            },
        );
        return new(Room::Network, Source::Tcp, first.map_or(route.dns.at, |a| a.at), said);
    }
    let proxy = route.proxy.as_ref()?;
    let end = proxy.at.plus(proxy.elapsed_ms);
    match &proxy.first {
        FirstBytes::Closed => {
            return new(Room::Proxy, Source::Bytes, end, "the peer closed without a byte".to_owned());
        }
        FirstBytes::Reset => {
            return new(
                Room::Proxy,
                Source::Bytes,
                end,
                "the peer reset the connection without a byte".to_owned(),
            );
        }
        FirstBytes::Silent => {
            return new(
                Room::Proxy,
                Source::Bytes,
                end,
                format!("connected, then silence for {}", proxy.elapsed_ms),
            );
        }
        FirstBytes::Foreign(text) => {
            return new(Room::Proxy, Source::Bytes, end, format!("the peer does not speak Postgres: {text}"));
        }
        FirstBytes::ErrorV2(text) => return new(Room::Server, Source::Bytes, end, text.trim().to_owned()),
        FirstBytes::Error(error) if route.startup.is_none() => {
            return new(Room::Startup, Source::Startup, end, error.to_string());
        }
        _ => {}
    }
    break_after_first_bytes(route)
}

/// The same for the rooms behind the first bytes.
fn break_after_first_bytes(route: &RouteEvidence) -> Option<Break> {
    let new = |room, source, at, said: String| Some(Break { room, source, at, said });
    if let (Some(tls), None) = (&route.tls, &route.startup) {
        let said = match &tls.outcome {
            TlsOutcome::Plain { .. } | TlsOutcome::Established { .. } => {
                "no time was left for the login".to_owned()
            }
            TlsOutcome::NotOffered => "the server offers no TLS".to_owned(),
            TlsOutcome::HandshakeFailed { text, .. } => format!("the TLS handshake failed: {text}"),
            TlsOutcome::CertificateRefused => "the server's certificate was refused".to_owned(),
            TlsOutcome::LocalFile { path, text } => format!("{path}: {text}"),
            TlsOutcome::Closed => "the peer closed in the TLS handshake".to_owned(),
            TlsOutcome::Silent => format!("silence in the TLS handshake for {}", tls.elapsed_ms),
        };
        return new(Room::Tls, Source::Tls, tls.at.plus(tls.elapsed_ms), said);
    }
    let startup = route.startup.as_ref()?;
    let end = startup.at.plus(startup.elapsed_ms);
    let said = match &startup.outcome {
        StartupOutcome::Ready => None,
        StartupOutcome::Error(error) => Some(error.to_string()),
        StartupOutcome::ErrorV2(text) => Some(text.trim().to_owned()),
        StartupOutcome::Closed => Some("the peer closed during the login".to_owned()),
        StartupOutcome::Reset => Some("the peer reset the connection during the login".to_owned()),
        StartupOutcome::Silent { waiting_for } => Some(startup.waited(waiting_for)),
        StartupOutcome::NoPassword => {
            Some("the server asks for a password and none is configured".to_owned())
        }
        StartupOutcome::Unsupported(what) => Some(format!("not spoken here: {what}")),
        StartupOutcome::Protocol(what) => Some(format!("the server broke the protocol: {what}")),
    };
    if let Some(said) = said {
        return new(Room::Startup, Source::Startup, end, said);
    }
    let query = route.query.as_ref()?;
    let said = match &query.outcome {
        QueryOutcome::Answered(_) | QueryOutcome::Alive(_) => return None,
        QueryOutcome::Error(error) => error.to_string(),
        QueryOutcome::Closed => "the peer closed during the first query".to_owned(),
        QueryOutcome::Silent if query.received_bytes > 0 => format!(
            "{} bytes came, and no whole answer to the first query within {}",
            query.received_bytes, query.elapsed_ms
        ),
        QueryOutcome::Silent => format!("silence: waited {} for the first query", query.elapsed_ms),
        QueryOutcome::Unreadable(what) => format!("an answer that cannot be read: {what}"),
    };
    let room = if route.late_refusal().is_some() { Room::Startup } else { Room::Server };
    new(room, Source::Sql, query.at.plus(query.elapsed_ms), said)
}

/// The finding, where the front is broken and none of `findings` accounts for that.
pub(crate) fn last_resort(e: &Evidence, findings: &[Finding]) -> Option<Finding> {
    let accounted = findings.iter().any(|f| f.room != Room::App && f.severity == Severity::Critical);
    let broken = break_of(&e.front).filter(|_| !accounted)?;
    let place = e.front.address.clone();
    let notices =
        e.front.startup.iter().flat_map(|s| &s.notices).chain(e.front.query.iter().flat_map(|q| &q.notices));
    let notices = notices.map(|n| Fact::new(Source::Startup, broken.at, &place, format!("notice: {n}")));
    let summary = format!(
        "the way in breaks in the room {}: {}; pgmedic knows no cause for it",
        broken.room, broken.said
    );
    let proof = Fact::new(broken.source, broken.at, &place, broken.said);
    let finding = Finding::new(ID, broken.room, Severity::Critical, Confidence::Possible, summary, proof);
    Some(finding.and_all(notices).mended_by(RemedyPlan::by_hand(
        "report-evidence",
        RemedyKind::Advice,
        "keep the evidence of this failure (it holds no secret), and see the server's log for the same second",
        format!("pgmedic check {} --record failure.json", e.service),
    )))
}

#[cfg(test)]
mod tests {
    use crate::diagnose;
    use crate::evidence::fixture::{healthy, refused};

    #[test]
    fn what_no_cause_accounts_for_is_said_word_for_word() {
        let found = diagnose(&refused("58P01", "could not access file \"nolib\""));
        assert_eq!((found.len(), found[0].cause.as_str()), (1, super::ID));
        assert!(found[0].summary.contains("58P01: could not access file"));
        assert!(diagnose(&healthy()).is_empty());
    }
}
