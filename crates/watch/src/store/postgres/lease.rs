//! Who speaks for a service.

use super::{LEASE, Shared, Trouble};
use crate::alerts::Entry;
use crate::incident::Incident;
use crate::store::op::{Answer, Fell};
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

/// Renews what this watcher has, takes what it watches or follows and nobody speaks for, and with it what others left of that.
pub(super) async fn renew(store: &mut Shared, client: &mut Client) -> Result<Answer, Trouble> {
    let turn = client.transaction().await?;
    let mine = "update pgmedic.lease set until = clock_timestamp() + make_interval(secs => $2)
                where watcher = $1 and until >= clock_timestamp() and (service = any($3) or cardinality($3) = 0
                    or exists (select from pgmedic.incident i
                               where i.service = lease.service and i.watcher = $1 and i.closed_at is null))";
    // What is watched no more is let go, once nothing of it is open.
    let watched: Vec<&str> = store.watched.iter().map(String::as_str).collect();
    turn.execute(mine, &[&store.watcher, &LEASE, &watched]).await?;
    let wanted: Vec<&str> = store.watched.union(&store.followed).map(String::as_str).collect();
    // Leases that hold are let be, unlocked: two watchers must not wait for each other's. One that ran out long ago was dropped.
    let free = "insert into pgmedic.lease as l (service, watcher, until)
                select service, $1, clock_timestamp() + make_interval(secs => $2) from (
                    select service from pgmedic.lease
                    where service = any($3) and watcher <> $1 and until < clock_timestamp()
                    union select service from pgmedic.incident i
                    where service = any($3) and closed_at is null and watcher <> $1
                        and not exists (select from pgmedic.lease o where o.service = i.service)
                ) as nobodys order by service
                on conflict (service) do update set watcher = excluded.watcher, until = excluded.until
                where l.watcher <> excluded.watcher and l.until < clock_timestamp()
                returning service";
    let rows = turn.query(free, &[&store.watcher, &LEASE, &wanted]).await?;
    let services: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let entries = inherit(&turn, &store.watcher).await?;
    let incidents = take_up(&turn, &store.watcher).await?;
    turn.commit().await?;
    for service in &services {
        store.followed.remove(service);
    }
    Ok(Answer::Fell(Fell { services, entries, incidents }))
}

/// The alerts that another watcher had not delivered are this one's where it speaks for their service.
async fn inherit(turn: &Transaction<'_>, watcher: &str) -> Result<Vec<Entry>, Trouble> {
    let sql = "select o.watcher, o.id from pgmedic.outbox o join pgmedic.incident i on i.id = o.incident
               join pgmedic.lease l on l.service = i.service
               where o.watcher <> $1 and l.watcher = $1 order by o.id for update of o skip locked";
    let orphans = turn.query(sql, &[&watcher]).await?;
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

/// The open incidents that another watcher left, where this one speaks for their service. They are its own once it puts them.
async fn take_up(turn: &Transaction<'_>, watcher: &str) -> Result<Vec<Incident>, Trouble> {
    let sql = "select i.body, i.report from pgmedic.incident i join pgmedic.lease l on l.service = i.service
               where l.watcher = $1 and i.watcher <> $1 and i.closed_at is null order by i.id";
    turn.query(sql, &[&watcher]).await?.iter().map(super::run::incident).collect()
}
