//! Sessions as the server counts them by itself, in a brief account: by database, role and what they wait for. Not in here:
//! who they are; that is what a whole account is for.

use super::answer::{Account, SessionRow};
use super::assemble::Group;
use super::composite::{Columns, ReadError, Us};
use super::facts::CrowdFacts;

/// Backends of one database and role that wait for the same.
pub(super) struct CrowdRow {
    /// What they have in common, as sessions at rest: outside of a transaction, or at work where they are at no client's
    /// bidding.
    idle: SessionRow,
    /// The same in a transaction.
    within: SessionRow,
    count: u64,
    /// Those in a transaction.
    transactions: u64,
    xact: Option<Us>,
    asked: Option<Us>,
    resting: u64,
    pub(super) lately: u64,
    pub(super) just_now: u64,
}

impl CrowdRow {
    pub(super) fn read(c: &mut Columns<'_>) -> Result<Self, ReadError> {
        // 0 is nobody's: an auxiliary process has neither.
        let known = |oid: Option<String>| oid.filter(|oid| oid != "0");
        let (datid, role_id) = (known(c.text()?), known(c.text()?));
        let (role, waits_for) = (c.text()?, c.text()?);
        let role_id = role_id.filter(|_| !waits_for.as_deref().is_some_and(is_of_replication));
        let at_rest = waits_for.as_deref() == Some("ClientRead");
        let like = |state: &str| SessionRow {
            datid: datid.clone(),
            role_id: role_id.clone(),
            role: role.clone().filter(|_| role_id.is_some()),
            state: Some(state.to_owned()),
            wait_event: waits_for.clone(),
            wait_event_type: waits_for.as_deref().filter(|e| is_lock(e)).map(|_| "Lock".to_owned()),
            ..SessionRow::default()
        };
        Ok(Self {
            idle: like(if at_rest { "idle" } else { "active" }),
            within: like(if at_rest { "idle in transaction" } else { "active" }),
            count: c.never_null(Columns::number)?,
            transactions: c.never_null(Columns::number)?,
            xact: c.time()?,
            asked: c.time()?,
            resting: c.never_null(Columns::number)?,
            lately: c.never_null(Columns::number)?,
            just_now: c.never_null(Columns::number)?,
        })
    }

    pub(super) fn is_client(&self) -> bool {
        self.idle.datid.is_some() && self.idle.role_id.is_some()
    }
}

/// What only those wait for who are no clients though they have a database and a role: walsenders and workers of logical
/// replication.
fn is_of_replication(wait_event: &str) -> bool {
    wait_event.starts_with("WalSender") || wait_event.starts_with("Logical")
}

/// The heavyweight locks' wait events are in small letters (`LockTagTypeNames`); all others are not, but for those of light
/// locks before Postgres 13, which are taken for such then: whoever asks on is told better.
fn is_lock(wait_event: &str) -> bool {
    wait_event.starts_with(|c: char| c.is_ascii_lowercase())
}

impl Account {
    /// True where no session is told by itself.
    pub(super) const fn is_brief(&self) -> bool {
        self.sessions.is_empty() && !self.crowd.is_empty()
    }

    /// The crowd, in the groups that sessions told by themselves would make. One of them is this very session.
    pub(super) fn crowd_groups(&self) -> Vec<Group<'_>> {
        let mut groups = Vec::new();
        for row in &self.crowd {
            let both =
                [(&row.within, row.transactions), (&row.idle, row.count.saturating_sub(row.transactions))];
            for (like, count) in both.into_iter().filter(|(_, count)| *count > 0) {
                groups.push(Group { like, own: false, count, since: None, over_idle_after: 0 });
            }
        }
        let own = |g: &&mut Group<'_>| {
            let like = g.like;
            like.role.as_deref() == Some(&self.server.role)
                && self.name(like.datid.as_deref()) == self.server.database
                && like.state.as_deref() == Some("active")
                && like.wait_event.is_none()
        };
        if let Some(group) = groups.iter_mut().find(own) {
            group.count -= 1;
            let like = group.like;
            groups.push(Group { like, own: true, count: 1, since: None, over_idle_after: 0 });
            groups.retain(|g| g.count > 0);
        }
        groups
    }

    /// What a brief account tells of the sessions in place of their names.
    pub(super) fn crowd_facts(&self) -> Option<CrowdFacts> {
        if !self.is_brief() {
            return None;
        }
        let clients = || self.crowd.iter().filter(|row| row.is_client());
        let waits_for =
            |event: &'static str| move |row: &&CrowdRow| row.idle.wait_event.as_deref() == Some(event);
        let at_work = |row: &&CrowdRow| !waits_for("ClientRead")(row);
        Some(CrowdFacts {
            longest_transaction_ms: clients().filter_map(|r| r.xact).min().map(|us| self.since(us)),
            longest_statement_ms: clients()
                .filter(at_work)
                .filter_map(|r| r.asked)
                .min()
                .map(|us| self.since(us)),
            resting: clients().filter(waits_for("ClientRead")).map(|r| r.resting).sum(),
            writing: clients().filter(waits_for("ClientWrite")).map(|r| r.count).sum(),
        })
    }
}
