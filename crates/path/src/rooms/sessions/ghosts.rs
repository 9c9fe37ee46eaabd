//! Which sessions' clients are gone: what the server tells of its sessions, joined with what its host shows of their
//! sockets. Not in here: what follows from it (`ghost-sessions`).

use crate::evidence::Evidence;
use crate::sql::facts::SessionView;
use std::net::SocketAddr;

/// The sessions behind the mute connections, where the server told of its sessions: the client's address and port are the
/// connection's other end.
pub(crate) fn ghosts(e: &Evidence) -> Vec<&SessionView> {
    let (Some(facts), Some(host)) = (e.facts(), e.host.get()) else { return Vec::new() };
    let remotes: Vec<SocketAddr> = host.mute.iter().filter_map(|m| m.remote.parse().ok()).collect();
    let end = |s: &SessionView| Some(SocketAddr::new(s.client.parse().ok()?, s.client_port?));
    facts.sessions.sessions.iter().filter(|s| end(s).is_some_and(|end| remotes.contains(&end))).collect()
}
