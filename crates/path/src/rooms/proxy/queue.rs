//! A client that stood in HAProxy's queue before full servers until HAProxy gave it up, told from one that met no server
//! at all: both are hung up on without a byte. Pure.

use super::evidence::{FirstBytes, ProxyEvidence};
use super::log::endings;
use crate::evidence::Evidence;
use crate::platform::evidence::{HaproxyRow, HaproxyView};
use pgmedic_model::haproxy_words::Ended;
use pgmedic_model::{Fact, Ms, Source};

/// Who was given up, and by which facts.
pub(crate) struct GivenUp<'a> {
    /// How the walk's own connection ended.
    pub(crate) proxy: &'a ProxyEvidence,
    /// The servers, all taken: what they have, and may have.
    pub(crate) taken: Option<(u64, u64)>,
    /// What shows it, HAProxy's own account first.
    pub(crate) facts: Vec<Fact>,
}

/// The walk's own connection, where HAProxy gave it up in the queue: it hung up, late, while every server that is up is
/// full, or its log says so of others.
pub(crate) fn given_up(e: &Evidence) -> Option<GivenUp<'_>> {
    let proxy = e.front.proxy.as_ref().filter(|p| p.first == FirstBytes::Closed)?;
    let view = e.host.get()?.haproxy.as_ref()?;
    let waited = view.timeouts.queue_ms.is_none_or(|Ms(queue)| proxy.elapsed_ms.0 >= queue * 0.9);
    let full = full_servers(view).filter(|_| waited);
    let logged = endings(e, &[Ended::QueuedTooLong]);
    // A line of the log is of another's connection: it counts where ours waited as well.
    let logged =
        logged.into_iter().map(|(_, fact)| fact).take(usize::from(waited && some_server_is_up(view)));
    let mut facts: Vec<Fact> = full.map(|(now, may)| fact(e, view, now, may)).into_iter().collect();
    facts.extend(logged);
    (!facts.is_empty()).then_some(GivenUp { proxy, taken: full, facts })
}

/// What the servers that are up have and may have, where all of them have all they may.
fn full_servers(view: &HaproxyView) -> Option<(u64, u64)> {
    let up: Vec<&HaproxyRow> = view.rows.iter().filter(|row| row.is_server() && !row.is_out()).collect();
    let full = |row: &&HaproxyRow| row.limit.is_some_and(|limit| limit > 0 && row.sessions >= limit);
    let all = !up.is_empty() && up.iter().all(full);
    all.then(|| (up.iter().map(|row| row.sessions).sum(), up.iter().filter_map(|row| row.limit).sum()))
}

fn some_server_is_up(view: &HaproxyView) -> bool {
    view.rows.iter().any(|row| row.is_server() && !row.is_out())
}

fn fact(e: &Evidence, view: &HaproxyView, now: u64, may: u64) -> Fact {
    let at = e.host.get().map_or(e.started_at, |host| host.at);
    let said = format!("every server that is up has all it may: {now} of {may} connections");
    Fact::new(Source::Host, at, &view.socket, said).value(now)
}
