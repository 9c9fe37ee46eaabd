//! What the kernel's account of the walk's own connection adds up to: whether what was sent arrived, and whether what
//! was lost is mended. Weighed once for the causes that share the question. Pure; not in here: asking the kernel.

use super::evidence::Transport;
use crate::evidence::{Aftermath, QueryEvidence, QueryOutcome, RouteEvidence};
use crate::rooms::proxy::silence;
use pgmedic_model::{Fact, Source};

/// So often in a row a segment is sent again in vain before the way is held for closed: a healthy network loses one
/// segment, hardly the same one twice.
const IN_VAIN: u32 = 2;

/// So many segments lost on one short connection are more than chance has it.
const LOSSES: u32 = 2;

/// The account, where what this side sent is not acknowledged although it was sent again and again. A process that
/// hangs is no reason: its kernel acknowledges for it.
pub(crate) fn unheard(route: &RouteEvidence) -> Option<&Transport> {
    transport(route).filter(|t| t.unacked > 0 && t.retransmits >= IN_VAIN)
}

/// The account, where the network lost segments and the connection went on.
pub(crate) fn lossy(route: &RouteEvidence) -> Option<&Transport> {
    transport(route).filter(|t| t.retransmitted + t.out_of_order.unwrap_or(0) >= LOSSES)
}

/// The kernel's account of the connection that a route was walked on.
pub(crate) fn transport(route: &RouteEvidence) -> Option<&Transport> {
    route.network.as_ref()?.transport.as_ref()
}

/// Why a query was not answered on a connection that was let in, where the network is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// A small answer came, a large one did not: proved on one and the same connection.
    LargeAnswer,
    /// Small questions and answers pass; what stands out is as large as a segment may be.
    LargeSegments,
    /// Small and large pass on another connection; the answer was sent on this one and did not come.
    ThisConnection,
    /// Not even a login passes any more.
    Everything,
}

/// Why the network lost a query or its answer, if it did. None too where the server itself may be silent.
pub(crate) fn lost(route: &RouteEvidence) -> Option<Lost> {
    let (query, aftermath) = silent_query(route)?;
    let stuck = unheard(route).is_some();
    let holes = transport(route).is_some_and(|t| t.out_of_order.is_some_and(|n| n > 0));
    match aftermath {
        Some(Aftermath { small: true, large: Some(false), .. }) => Some(Lost::LargeAnswer),
        Some(Aftermath { small: true, .. }) if stuck => Some(Lost::LargeSegments),
        Some(seen @ Aftermath { small: true, .. }) if holes || has_answered(seen) => {
            Some(if holes && query.received_bytes == 0 { Lost::LargeSegments } else { Lost::ThisConnection })
        }
        Some(Aftermath { small: true, .. }) => None,
        Some(Aftermath { .. }) | None => stuck.then_some(Lost::Everything),
    }
}

/// The query that was not answered, and what a second connection showed.
pub(crate) fn silent_query(route: &RouteEvidence) -> Option<(&QueryEvidence, Option<&Aftermath>)> {
    let query = route.query.as_ref().filter(|q| q.outcome == QueryOutcome::Silent)?;
    Some((query, query.aftermath.as_ref()))
}

/// The first connection's backend has done its work, as the second was told: it waits for the next query, or for its
/// client to take the answer.
fn has_answered(seen: &Aftermath) -> bool {
    seen.first_backend.as_deref().is_some_and(|s| s.starts_with("idle") || s.ends_with("ClientWrite"))
}

/// The account, as a fact.
pub(crate) fn fact(t: &Transport) -> Fact {
    let again = if t.retransmits > 0 {
        format!("{} segments unacknowledged, sent again {} times in a row", t.unacked, t.retransmits)
    } else {
        format!("{} segments unacknowledged", t.unacked)
    };
    let holes = t.out_of_order.map_or(String::new(), |n| format!(", {n} came with one missing before them"));
    let said = format!(
        "the kernel's account of {}: {again}; {} sent again in all{holes}; round trip {}",
        t.local, t.retransmitted, t.round_trip_ms
    );
    Fact::new(Source::Tcp, t.at, &t.peer, said).value(t.retransmitted)
}

/// The silence of a query, with what had come by then, as a fact.
pub(crate) fn silence_fact(route: &RouteEvidence) -> Option<Fact> {
    let (query, _) = silent_query(route)?;
    let at = query.at.plus(query.elapsed_ms);
    let said = format!(
        "{} bytes of the first query's answer came, then silence: waited {}",
        query.received_bytes, query.elapsed_ms
    );
    Some(Fact::new(Source::Bytes, at, &route.address, said).value(query.received_bytes))
}

/// What the second connection showed, as a fact.
pub(crate) fn aftermath_fact(route: &RouteEvidence) -> Option<Fact> {
    let seen = silent_query(route)?.1?;
    let large = match seen.large {
        Some(true) => format!(", and one of {} bytes", Aftermath::LARGE),
        Some(false) => format!(", and one of {} bytes did not come", Aftermath::LARGE),
        None => String::new(),
    };
    let backend =
        seen.first_backend.as_ref().map_or(String::new(), |s| format!("; the first's backend is {s}"));
    let said = match seen {
        Aftermath { small: true, .. } => {
            format!("a second connection logs in, a small answer comes{large}{backend}")
        }
        Aftermath { admitted: true, .. } => "a second connection logs in and gets no answer".to_owned(),
        _ => "a second connection gets no login".to_owned(),
    };
    Some(Fact::new(Source::Sql, seen.at.plus(seen.elapsed_ms), &route.address, said).value(seen.small))
}

/// The account, where nothing was heard of a peer to whom TCP had connected.
pub(crate) fn unheard_at_the_door(route: &RouteEvidence) -> Option<&Transport> {
    silence::at_the_door(route)?;
    unheard(route)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::evidence::Evidence;
    use crate::evidence::fixture::{AT, healthy};
    use pgmedic_model::Ms;

    /// The walk whose front's connection has this account.
    pub(crate) fn carried(e: &mut Evidence, change: impl FnOnce(&mut Transport)) {
        let mut transport = Transport {
            at: AT,
            peer: "10.0.0.7:5432".to_owned(),
            local: "10.0.0.5:41000".to_owned(),
            out_of_order: Some(0),
            segment_bytes: 1448,
            round_trip_ms: Ms(0.4),
            ..Transport::default()
        };
        change(&mut transport);
        if let Some(network) = &mut e.front.network {
            network.transport = Some(transport);
        }
    }

    /// The walk whose query was not answered, with what a second connection showed.
    pub(crate) fn unanswered(aftermath: Option<Aftermath>) -> Evidence {
        let mut e = healthy();
        if let Some(query) = &mut e.front.query {
            query.outcome = QueryOutcome::Silent;
            query.elapsed_ms = Ms(4_000.0);
            query.received_bytes = 0;
            query.aftermath = aftermath;
        }
        e
    }

    /// A second connection on which small answers come.
    pub(crate) fn small_answers(large: bool, first_backend: &str) -> Option<Aftermath> {
        Some(Aftermath {
            at: AT,
            elapsed_ms: Ms(900.0),
            admitted: true,
            small: true,
            first_backend: Some(first_backend.to_owned()),
            large: Some(large),
        })
    }

    #[test]
    fn a_server_that_is_still_at_work_is_not_the_networks_fault() {
        assert_eq!(lost(&unanswered(small_answers(true, "active")).front), None);
        assert_eq!(lost(&unanswered(None).front), None);
        let mut hung = unanswered(Some(Aftermath { at: AT, ..Aftermath::default() }));
        carried(&mut hung, |_| {});
        assert_eq!(lost(&hung.front), None, "its kernel acknowledges what the hung server does not read");
        assert_eq!(lost(&healthy().front), None);
    }

    #[test]
    fn what_is_lost_is_told_by_the_second_connection_and_the_kernel() {
        assert_eq!(
            lost(&unanswered(small_answers(false, "idle, ClientRead")).front),
            Some(Lost::LargeAnswer)
        );
        let mut e = unanswered(small_answers(true, "active"));
        carried(&mut e, |t| (t.unacked, t.retransmits) = (8, 4));
        assert_eq!(lost(&e.front), Some(Lost::LargeSegments), "the query itself is larger than a segment");
        assert_eq!(
            lost(&unanswered(small_answers(true, "idle, ClientRead")).front),
            Some(Lost::ThisConnection)
        );
        let mut cut = unanswered(Some(Aftermath { at: AT, ..Aftermath::default() }));
        carried(&mut cut, |t| (t.unacked, t.retransmits) = (3, 5));
        assert_eq!(lost(&cut.front), Some(Lost::Everything));
    }
}
