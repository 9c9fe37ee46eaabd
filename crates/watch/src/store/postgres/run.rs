//! What is done with the schema.

use super::{Shared, Trouble, lease, samples, schema};
use crate::alerts::Entry;
use crate::http::{Filter, Looked};
use crate::incident::Incident;
use crate::policy::Done;
use crate::seen::Kind;
use crate::store::entry::{Found, Put};
use crate::store::op::{Answer, Op, put_together, taken_apart};
use crate::store::sqlite::{kind_word, status_of};
use pgmedic_model::{Ms, Status, Timestamp};
use tokio_postgres::{Client, GenericClient, Row, Transaction};

pub(super) use crate::store::sqlite::what;

/// Does one thing.
pub(super) async fn run(store: &mut Shared, client: &mut Client, op: Op) -> Result<Answer, Trouble> {
    match op {
        Op::Put(incident, entries) => put(store, client, incident.as_deref(), &entries).await,
        Op::Looks(rows) => looks(client, &rows).await,
        Op::Samples(rows) => samples::keep(client, &rows).await,
        Op::Settle { delivered, tried } => settle(store, client, &delivered, &tried).await,
        Op::Leads(service) => led(store, client, service).await.map(Answer::Led),
        Op::Renew => lease::renew(store, client).await,
        Op::Prune(now) => prune(store, client, now).await.map(Answer::Size),
        Op::Begin(b, at) => {
            let sql = "insert into pgmedic.fix (service, incident, automatic, by_whom, at) values ($1, $2, $3, $4, $5)
                       returning number";
            let row = client.query_one(sql, &[&b.service, &b.incident, &b.automatic, &b.by, &at.0]).await?;
            Ok(Answer::Number(row.get(0)))
        }
        Op::Ended { number, applied, recovered, at } => {
            let applied = i32::try_from(applied).unwrap_or(i32::MAX);
            let sql = "update pgmedic.fix set ended_at = $2, applied = $3, recovered = $4 where number = $1";
            client.execute(sql, &[&number, &at.0, &applied, &recovered]).await?;
            Ok(Answer::Nothing)
        }
        asked => read(store, client, asked).await,
    }
}

/// Answers what only reads.
async fn read(store: &Shared, client: &Client, op: Op) -> Result<Answer, Trouble> {
    match op {
        Op::Pending { after, limit } => {
            let sql = "select id, receiver, incident, put_at, due, tries, body from pgmedic.outbox
                       where watcher = $1 and id > $2 order by id limit $3";
            let rows = client.query(sql, &[&store.watcher, &after, &number(limit)]).await?;
            Ok(Answer::Entries(rows.iter().map(entry).collect()))
        }
        Op::Done { service, since } => {
            let sql = "select at, ended_at, automatic, applied, number from pgmedic.fix where service = $1 and at >= $2 order by at";
            let rows = client.query(sql, &[&service, &since.0]).await?;
            Ok(Answer::Done(rows.iter().map(done).collect()))
        }
        Op::LooksOf { service, since, limit } => {
            let sql = "select at, kind, status, elapsed_ms, lag_ms, roots from pgmedic.look
                       where service = $1 and at >= $2 order by at desc limit $3";
            let rows = client.query(sql, &[&service, &since.0, &number(limit)]).await?;
            Ok(Answer::Looks(rows.iter().map(looked).collect()))
        }
        // What another watcher wrote last is that one's to go on with.
        Op::Restore(since) => {
            let sql = "select body, report from pgmedic.incident
                       where watcher = $1 and (closed_at is null or closed_at >= $2) order by id";
            let rows = client.query(sql, &[&store.watcher, &since.0]).await?;
            Ok(Answer::Incidents(rows.iter().map(incident).collect::<Result<_, _>>()?))
        }
        of_incidents => look_up(client, of_incidents).await,
    }
}

/// Answers what anybody may ask, who watches or not.
pub(super) async fn look_up(client: &Client, op: Op) -> Result<Answer, Trouble> {
    match op {
        Op::Incidents(filter) => incidents(client, &filter).await.map(Answer::Incidents),
        Op::SamplesOf { service, server, now } => samples::of(client, &service, &server, now).await,
        Op::Find { id, whole } => find(client, &id, whole).await.map(Answer::Found),
        _ => Ok(Answer::Nothing),
    }
}

async fn put(
    store: &mut Shared,
    client: &mut Client,
    incident: Option<&Incident>,
    entries: &[Entry],
) -> Result<Answer, Trouble> {
    let turn = client.transaction().await?;
    if let Some(incident) = incident {
        // Two watchers that find the same at the same moment come one after the other.
        turn.execute("select pg_advisory_xact_lock($1)", &[&schema::TURN]).await?;
        let put = keep(&turn, &store.watcher, incident).await?;
        if put == Put::Kept {
            store.followed.remove(&incident.service);
        } else {
            if matches!(put, Put::Elsewhere(_)) {
                store.followed.insert(incident.service.clone());
                if let Put::Elsewhere(Some(other)) = &put {
                    store.followed.insert(other.service.clone());
                }
            }
            // The lease that was taken to adopt it stays.
            turn.commit().await?;
            return Ok(Answer::Put(put));
        }
    }
    let sql = "insert into pgmedic.outbox (watcher, id, receiver, incident, put_at, due, tries, body)
               values ($1, $2, $3, $4, $5, $6, $7, $8)
               on conflict (watcher, id) do update set due = excluded.due, tries = excluded.tries, body = excluded.body";
    for e in entries {
        let tries = i32::try_from(e.tries).unwrap_or(i32::MAX);
        let row: [&(dyn tokio_postgres::types::ToSql + Sync); 8] =
            [&store.watcher, &e.id, &e.receiver, &e.incident, &e.put_at.0, &e.due.0, &tries, &e.body];
        turn.execute(sql, &row).await?;
    }
    turn.commit().await?;
    Ok(Answer::Put(Put::Kept))
}

/// Keeps an incident, where this watcher speaks for it and nobody has opened it before.
async fn keep(turn: &Transaction<'_>, watcher: &str, i: &Incident) -> Result<Put, Trouble> {
    let mine = turn.query_opt("select service from pgmedic.incident where id = $1", &[&i.id]).await?;
    let services: Vec<&str> = i.services.keys().map(String::as_str).collect();
    if mine.is_none() {
        let sql = "select body, report, service from pgmedic.incident o
                   where o.closed_at is null and o.watcher <> $1 and o.cause = $2 and (o.places && $3
                       or exists (select from pgmedic.incident_service s where s.id = o.id and s.service = any($4)))
                   order by o.opened_at limit 1";
        if let Some(row) = turn.query_opt(sql, &[&watcher, &i.cause, &i.places, &services]).await? {
            let other = Box::new(incident(&row)?);
            let speaks = lease::take(turn, &other.service, watcher).await?;
            return Ok(if speaks { Put::Adopt(other) } else { Put::Elsewhere(Some(other)) });
        }
    }
    let service: &str = mine.as_ref().map_or(&i.service, |row| row.get(0));
    if !lease::take(turn, service, watcher).await? {
        return Ok(Put::Elsewhere(None));
    }
    let (body, report) = taken_apart(i)?;
    let sql = "insert into pgmedic.incident as i
                   (id, watcher, service, cause, opened_at, updated_at, closed_at, places, body, report)
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
               on conflict (id) do update set watcher = excluded.watcher, cause = excluded.cause,
                   updated_at = excluded.updated_at, closed_at = excluded.closed_at, places = excluded.places,
                   body = excluded.body, report = coalesce(i.report, excluded.report)";
    let closed = i.closed_at.map(|at| at.0);
    let row: [&(dyn tokio_postgres::types::ToSql + Sync); 10] = [
        &i.id,
        &watcher,
        &i.service,
        &i.cause,
        &i.opened_at.0,
        &i.updated_at.0,
        &closed,
        &i.places,
        &body,
        &report,
    ];
    turn.execute(sql, &row).await?;
    let sql = "insert into pgmedic.incident_service (service, id) select unnest($1::text[]), $2 on conflict do nothing";
    turn.execute(sql, &[&services, &i.id]).await?;
    Ok(Put::Kept)
}

async fn led(store: &mut Shared, client: &Client, service: String) -> Result<Option<String>, Trouble> {
    if lease::take(client, &service, &store.watcher).await? {
        store.followed.remove(&service);
        return Ok(None);
    }
    let row = client.query_opt("select watcher from pgmedic.lease where service = $1", &[&service]).await?;
    store.followed.insert(service);
    Ok(Some(row.map_or_else(|| "given up a moment ago".to_owned(), |row| row.get(0))))
}

async fn looks(client: &mut Client, rows: &[(std::sync::Arc<str>, Looked)]) -> Result<Answer, Trouble> {
    let column = |of: fn(&(std::sync::Arc<str>, Looked)) -> String| rows.iter().map(of).collect::<Vec<_>>();
    let services = column(|(service, _)| service.to_string());
    let at: Vec<i64> = rows.iter().map(|(_, look)| look.at.0).collect();
    let kinds = column(|(_, look)| kind_word(look.kind).to_owned());
    let status = column(|(_, look)| look.status.as_str().to_owned());
    let elapsed: Vec<f64> = rows.iter().map(|(_, look)| look.elapsed_ms.0).collect();
    let lag: Vec<f64> = rows.iter().map(|(_, look)| look.lag_ms.0).collect();
    let roots = column(|(_, look)| look.roots.join(" "));
    let failed: Vec<bool> = rows.iter().map(|(_, look)| look.status != Status::Ok).collect();
    let sql = "insert into pgmedic.look (service, at, kind, status, elapsed_ms, lag_ms, roots, failed)
               select * from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::float8[], $6::float8[],
                                    $7::text[], $8::boolean[])";
    client.execute(sql, &[&services, &at, &kinds, &status, &elapsed, &lag, &roots, &failed]).await?;
    Ok(Answer::Nothing)
}

async fn settle(
    store: &Shared,
    client: &mut Client,
    delivered: &[i64],
    tried: &[(i64, u32, Timestamp)],
) -> Result<Answer, Trouble> {
    let turn = client.transaction().await?;
    let sql = "delete from pgmedic.outbox where watcher = $1 and id = any($2)";
    turn.execute(sql, &[&store.watcher, &delivered]).await?;
    for (id, tries, due) in tried {
        let tries = i32::try_from(*tries).unwrap_or(i32::MAX);
        let sql = "update pgmedic.outbox set tries = $3, due = $4 where watcher = $1 and id = $2";
        turn.execute(sql, &[&store.watcher, id, &tries, &due.0]).await?;
    }
    turn.commit().await?;
    Ok(Answer::Nothing)
}

/// Drops what is too old, and beyond what the limit holds: half of it for looks of 256 bytes, half for incidents of 32 kB, and
/// a quarter more for samples of 128 bytes. Rows
/// are counted, not bytes: what a delete frees is used again after a vacuum, and does not make a table smaller.
async fn prune(store: &Shared, client: &mut Client, now: Timestamp) -> Result<u64, Trouble> {
    let before = |span: std::time::Duration| now.0 - i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 2);
    let (incidents, looks) = (before(store.keep.incidents), before(store.keep.looks));
    let most = |bytes: u64| i64::try_from(store.keep.limit / 2 / bytes).unwrap_or(i64::MAX);
    let turn = client.transaction().await?;
    let alone: bool =
        turn.query_one("select pg_try_advisory_xact_lock($1)", &[&schema::PRUNING]).await?.get(0);
    if alone {
        turn.execute("delete from pgmedic.look where not failed and at < $1", &[&looks]).await?;
        turn.execute("delete from pgmedic.look where failed and at < $1", &[&incidents]).await?;
        let sql = "delete from pgmedic.look where not failed and at <= coalesce((select at from pgmedic.look where not failed
                       order by at desc offset $1 limit 1), -1)";
        turn.execute(sql, &[&most(512)]).await?;
        turn.execute(&sql.replace("not failed", "failed"), &[&most(512)]).await?;
        turn.execute("delete from pgmedic.incident where closed_at < $1", &[&incidents]).await?;
        let sql = "delete from pgmedic.incident where closed_at <= (select closed_at from pgmedic.incident
                       where closed_at is not null order by closed_at desc offset $1 limit 1)";
        turn.execute(sql, &[&most(32 << 10)]).await?;
        turn.execute("delete from pgmedic.fix where at < $1", &[&incidents]).await?;
        samples::prune(&turn, now, most(256)).await?;
        turn.execute("delete from pgmedic.lease where until < clock_timestamp() - interval '1 day'", &[])
            .await?;
    }
    turn.commit().await?;
    let sql = "select coalesce(sum(pg_total_relation_size(oid)), 0)::bigint from pg_class
               where relnamespace = 'pgmedic'::regnamespace and relkind = 'r'";
    let bytes: i64 = client.query_one(sql, &[]).await?.get(0);
    Ok(u64::try_from(bytes).unwrap_or(0))
}

async fn incidents(client: &Client, f: &Filter) -> Result<Vec<Incident>, Trouble> {
    let sql = "select body, null::text from pgmedic.incident
               where ($1::text is null or id in (select id from pgmedic.incident_service where service = $1))
                 and ($2::boolean is null or (closed_at is null) = $2)
               order by opened_at desc, id desc limit $3";
    let limit = if f.limit == 0 { 100 } else { f.limit.min(1000) };
    client.query(sql, &[&f.service, &f.open, &number(limit)]).await?.iter().map(incident).collect()
}

async fn find(client: &impl GenericClient, id: &str, whole: bool) -> Result<Found, Trouble> {
    let sql = "select id from pgmedic.incident where id = $1 or (not $2 and starts_with(id, $1)) order by id limit 11";
    let rows = client.query(sql, &[&id, &whole]).await?;
    let mut ids: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    if ids.iter().any(|found| found == id) {
        ids = vec![id.to_owned()];
    }
    match &ids[..] {
        [] => Ok(Found::Nothing),
        [one] => {
            let sql = "select body, report from pgmedic.incident where id = $1";
            Ok(Found::One(Box::new(incident(&client.query_one(sql, &[one]).await?)?)))
        }
        _ => {
            ids.truncate(10);
            Ok(Found::Several(ids))
        }
    }
}

/// A row of body and report.
pub(super) fn incident(row: &Row) -> Result<Incident, Trouble> {
    let (body, report): (&str, Option<&str>) = (row.get(0), row.get(1));
    Ok(put_together(body, report)?)
}

pub(super) fn entry(row: &Row) -> Entry {
    Entry {
        id: row.get(0),
        receiver: row.get(1),
        incident: row.get(2),
        put_at: Timestamp(row.get(3)),
        due: Timestamp(row.get(4)),
        tries: u32::try_from(row.get::<_, i32>(5)).unwrap_or(0),
        body: row.get(6),
    }
}

fn done(row: &Row) -> (i64, Done) {
    let done = Done {
        at: Timestamp(row.get(0)),
        ended_at: row.get::<_, Option<i64>>(1).map(Timestamp),
        automatic: row.get(2),
        applied: row.get::<_, Option<i32>>(3).map(|n| u32::try_from(n).unwrap_or(0)),
    };
    (row.get(4), done)
}

fn looked(row: &Row) -> Looked {
    let (kind, roots): (&str, &str) = (row.get(1), row.get(5));
    Looked {
        at: Timestamp(row.get(0)),
        kind: if kind == kind_word(Kind::Look) { Kind::Look } else { Kind::Walk },
        status: status_of(row.get(2)),
        elapsed_ms: Ms(row.get(3)),
        lag_ms: Ms(row.get(4)),
        roots: roots.split_whitespace().map(str::to_owned).collect(),
    }
}

fn number(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
