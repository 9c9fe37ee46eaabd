//! Who speaks for a service.

use super::{LEASE, Shared, Trouble};
use crate::alerts::Entry;
use crate::store::op::Answer;
use std::collections::BTreeMap;
use tokio_postgres::{Client, GenericClient, Transaction};

/// Takes a service's lease, or renews it. False where another watcher has it.
pub(super) async fn take(db: &impl GenericClient, service: &str, watcher: &str) -> Result<bool, Trouble> {
    let sql = "insert into pgmedic.lease as l (service, watcher, until)
               values ($1, $2, clock_timestamp() + make_interval(secs => $3))
               on conflict (service) do update set watcher = excluded.watcher, until = excluded.until
               where l.watcher = excluded.watcher or l.until < clock_timestamp()
               returning true";
    Ok(db.query_opt(sql, &[&service, &watcher, &LEASE]).await?.is_some())
}

/// Renews what this watcher has, and takes what it follows and nobody has any more.
pub(super) async fn renew(store: &mut Shared, client: &mut Client) -> Result<Answer, Trouble> {
    let turn = client.transaction().await?;
    let mine = "update pgmedic.lease set until = clock_timestamp() + make_interval(secs => $2)
                where watcher = $1 and until >= clock_timestamp()";
    turn.execute(mine, &[&store.watcher, &LEASE]).await?;
    let followed: Vec<&str> = store.followed.iter().map(String::as_str).collect();
    let free = "update pgmedic.lease set watcher = $1, until = clock_timestamp() + make_interval(secs => $2)
                where service in (select service from pgmedic.lease
                                  where service = any($3) and until < clock_timestamp() and watcher <> $1
                                  for update skip locked)
                returning service";
    let rows = turn.query(free, &[&store.watcher, &LEASE, &followed]).await?;
    let services: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let entries =
        if services.is_empty() { Vec::new() } else { inherit(&turn, &store.watcher, &services).await? };
    turn.commit().await?;
    for service in &services {
        store.followed.remove(service);
    }
    Ok(Answer::TakenOver(services, entries))
}

/// The alerts of these services that another watcher had not delivered are this one's.
async fn inherit(turn: &Transaction<'_>, watcher: &str, services: &[String]) -> Result<Vec<Entry>, Trouble> {
    let sql = "select o.watcher, o.id from pgmedic.outbox o join pgmedic.incident i on i.id = o.incident
               where o.watcher <> $1 and i.service = any($2) order by o.id for update of o skip locked";
    let orphans = turn.query(sql, &[&watcher, &services]).await?;
    let mut entries = BTreeMap::new();
    for row in &orphans {
        let (whose, id): (&str, i64) = (row.get(0), row.get(1));
        // Its number may be taken here; the order in which a receiver is told of an incident stays.
        let sql = "update pgmedic.outbox set watcher = $1, id = case
                       when exists (select from pgmedic.outbox m where m.watcher = $1 and m.id = $3)
                       then (select max(m.id) + 1 from pgmedic.outbox m where m.watcher = $1) else $3 end
                   where watcher = $2 and id = $3
                   returning id, receiver, incident, put_at, due, tries, body";
        let entry = super::run::entry(&turn.query_one(sql, &[&watcher, &whose, &id]).await?);
        entries.insert(entry.id, entry);
    }
    Ok(entries.into_values().collect())
}
