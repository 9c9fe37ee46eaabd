//! Which server a service is known to have: the `system_identifier` that is expected behind its name, and those that the
//! walk met. Not in here: remembering it, which is the caller's, and what another one means (`wrong-server`).

use crate::evidence::{Evidence, RouteEvidence};
use pgmedic_model::{Fact, Source, Timestamp};
use serde::{Deserialize, Serialize};

/// The server that is expected behind a service's name.
///
/// `initdb` gives each cluster a `system_identifier` of its own (Postgres manual, `pg_control_system`; `BootStrapXLOG` in
/// xlog.c makes it of the time and its process id). Physical standbys and physical backups have their primary's; what
/// `pg_upgrade` or a restored dump brings up has another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// `system_identifier`, in decimal.
    pub system_identifier: String,
    /// How it is known.
    pub known: Known,
}

/// How an identity is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// `system_identifier` of `pgmedic.toml`.
    Pinned,
    /// A walk met it first then, and it was remembered.
    Remembered(Timestamp),
}

impl Known {
    /// `remembered since 2026-11-23T03:12:09.000Z`, `pinned in pgmedic.toml`.
    pub(crate) fn phrase(self) -> String {
        match self {
            Self::Pinned => "pinned in pgmedic.toml".to_owned(),
            Self::Remembered(since) => format!("remembered since {since}"),
        }
    }
}

/// An identity that the walk met.
pub(crate) struct Met<'a> {
    /// `front`, `direct`, `rescue`; `host` where it was read from the data directory on this host.
    pub(crate) way: &'static str,
    /// The `system_identifier`.
    pub(crate) system_identifier: &'a str,
    /// Who told.
    pub(crate) fact: Fact,
}

/// The identity of the server that answered on the service's own way, for remembering it.
#[must_use]
pub fn of_the_front(e: &Evidence) -> Option<&str> {
    told("front", &e.front).map(|met| met.system_identifier)
}

/// The identity that the walk met first, on whatever way, for accepting it.
#[must_use]
pub fn first_met(e: &Evidence) -> Option<&str> {
    met(e).next().map(|met| met.system_identifier)
}

/// True for what can be a `system_identifier`: a decimal number of 64 bits.
#[must_use]
pub fn is_identifier(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u64>().is_ok()
}

/// The identities that the walk met: told by a server, or read from the data directory of the one that listens where
/// the service's way leads.
pub(crate) fn met(e: &Evidence) -> impl Iterator<Item = Met<'_>> {
    e.routes().filter_map(|(way, route)| told(way, route)).chain(read_here(e))
}

/// The identity that is not the expected one, if the walk met such.
pub(crate) fn stranger(e: &Evidence) -> Option<(&Expected, Met<'_>)> {
    let expected = e.expected.as_ref()?;
    let other = met(e).find(|met| met.system_identifier != expected.system_identifier)?;
    Some((expected, other))
}

fn told<'a>(way: &'static str, route: &'a RouteEvidence) -> Option<Met<'a>> {
    let system_identifier =
        route.facts()?.server.system_identifier.as_deref().filter(|id| is_identifier(id))?;
    let at = route.query.as_ref()?.at;
    let said = format!("{way}: the server's system_identifier is {system_identifier}");
    let place = format!("pg_control_system() at {}", route.address);
    Some(Met {
        way,
        system_identifier,
        fact: Fact::new(Source::Sql, at, place, said).value(system_identifier),
    })
}

/// Only where the postmaster of that directory is the one that the service's own way, or the way around, leads to.
fn read_here(e: &Evidence) -> Option<Met<'_>> {
    let host = e.host.get()?;
    let system_identifier = host.system_identifier.as_deref()?;
    let postmaster = host.postmaster.as_ref()?.pid;
    let leads_here = [&host.front_listener, &host.direct_listener]
        .into_iter()
        .flatten()
        .any(|listener| listener.pid == Some(postmaster));
    let place =
        format!("global/pg_control in {}", host.data_directory.as_deref().unwrap_or("the data directory"));
    let said = format!("the system_identifier of the server that listens there is {system_identifier}");
    leads_here.then(|| Met {
        way: "host",
        system_identifier,
        fact: Fact::new(Source::Host, host.at, place, said).value(system_identifier),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::evidence::fixture::{healthy, refused, window, with_facts};
    use crate::platform::evidence::{ListenerView, ProcessView};

    /// What the fixtures' service is known to have.
    pub(crate) const OURS: &str = "7301234567890123456";
    /// Another cluster's.
    pub(crate) const ANOTHER: &str = "7412345678901234567";

    /// Expects [`OURS`] of a walk.
    pub(crate) fn expecting(mut e: Evidence) -> Evidence {
        let since = Timestamp(1_790_000_000_000);
        e.expected = Some(Expected { system_identifier: OURS.into(), known: Known::Remembered(since) });
        e
    }

    /// The walk that is answered by the server with this identity.
    pub(crate) fn answered_by(system_identifier: &str) -> Evidence {
        with_facts(|f| f.server.system_identifier = Some(system_identifier.to_owned()))
    }

    /// Lets the window show a postmaster at the front whose data directory has this identity.
    pub(crate) fn read_on_host(e: &mut Evidence, system_identifier: &str, listener: u32) {
        window(e, |host| {
            host.system_identifier = Some(system_identifier.to_owned());
            host.postmaster = Some(ProcessView { pid: 7, ..ProcessView::default() });
            host.front_listener = Some(ListenerView { pid: Some(listener), ..ListenerView::default() });
        });
    }

    #[test]
    fn a_stranger_is_told_by_sql_or_read_from_the_directory_that_listens_there() {
        assert!(stranger(&expecting(answered_by(OURS))).is_none());
        assert!(stranger(&answered_by(ANOTHER)).is_none(), "nothing is expected");
        assert!(stranger(&expecting(healthy())).is_none(), "nothing was told");
        let e = expecting(answered_by(ANOTHER));
        let (_, met) = stranger(&e).expect("another");
        assert_eq!((met.way, met.system_identifier), ("front", ANOTHER));
        let mut e = expecting(refused("28P01", "password authentication failed for user \"app\""));
        read_on_host(&mut e, ANOTHER, 7);
        assert_eq!(stranger(&e).map(|(_, met)| met.way), Some("host"));
        read_on_host(&mut e, ANOTHER, 8);
        assert!(stranger(&e).is_none(), "another process listens at the front: a proxy to anywhere");
    }
}
