//! Samples of what grows, in the schema. Two watchers of one service write into the same slots, in the same order.

use super::Trouble;
use crate::store::op::Answer;
use crate::store::samples::{GONE, NOTED, Row, Sample, TIERS, series};
use pgmedic_model::Timestamp;
use tokio_postgres::{Client, GenericClient};

/// Keeps them, of each slot the highest.
pub(super) async fn keep(client: &mut Client, rows: &[Sample]) -> Result<Answer, Trouble> {
    let services: Vec<&str> = rows.iter().map(|s| &*s.service).collect();
    let servers: Vec<&str> = rows.iter().map(|s| &*s.server).collect();
    let names: Vec<&str> = rows.iter().map(|s| s.subject.as_str()).collect();
    let units: Vec<&str> = rows.iter().map(|s| s.unit.as_str()).collect();
    let at: Vec<i64> = rows.iter().map(|s| s.at.0).collect();
    let values: Vec<f64> = rows.iter().map(|s| s.value).collect();
    let steps: Vec<i64> = TIERS.iter().map(|tier| tier.step).collect();
    let turn = client.transaction().await?;
    let sql = "insert into pgmedic.subject as s (service, server, name, unit, last)
               select service, server, name, min(unit), max(at)
               from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
                   as v (service, server, name, unit, at)
               group by 1, 2, 3 order by 1, 2, 3
               on conflict (service, server, name) do update set last = excluded.last
               where s.last < excluded.last - $6::bigint";
    turn.execute(sql, &[&services, &servers, &names, &units, &at, &NOTED]).await?;
    let sql = "insert into pgmedic.sample as q (step, slot, subject, at, value)
               select distinct on (t.step, v.at / t.step, s.id) t.step, v.at / t.step, s.id, v.at, v.value
               from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::float8[])
                   as v (service, server, name, at, value)
               join pgmedic.subject s using (service, server, name) cross join unnest($6::bigint[]) as t (step)
               order by t.step, v.at / t.step, s.id, v.value desc, v.at
               on conflict (step, slot, subject) do update set at = excluded.at, value = excluded.value
               where q.value < excluded.value";
    turn.execute(sql, &[&services, &servers, &names, &at, &values, &steps]).await?;
    turn.commit().await?;
    Ok(Answer::Nothing)
}

/// Those of a service.
pub(super) async fn of(
    client: &Client,
    service: &str,
    server: &str,
    now: Timestamp,
) -> Result<Answer, Trouble> {
    let sql = "select s.name, s.unit, q.at, q.value
               from pgmedic.subject s cross join generate_series($4::bigint, $5::bigint) as slot (n)
               join pgmedic.sample q on q.step = $3::bigint and q.slot = slot.n and q.subject = s.id
               where s.service = $1 and ($2 = '' or s.server in ('', $2))";
    let row = |row: &tokio_postgres::Row| Row {
        subject: row.get(0),
        unit: row.get(1),
        at: Timestamp(row.get(2)),
        value: row.get(3),
    };
    let mut tiers = Vec::with_capacity(TIERS.len());
    for tier in TIERS {
        let (from, to) = (tier.oldest(now), tier.slot(now) + 1);
        let rows = client.query(sql, &[&service, &server, &tier.step, &from, &to]).await?;
        tiers.push(rows.iter().map(row).collect());
    }
    Ok(Answer::Samples(series(tiers)))
}

/// Drops what is too old, and of the coarsest tier what is beyond so many rows.
pub(super) async fn prune(db: &impl GenericClient, now: Timestamp, most: i64) -> Result<(), Trouble> {
    for tier in TIERS {
        let sql = "delete from pgmedic.sample where step = $1 and slot < $2";
        db.execute(sql, &[&tier.step, &tier.oldest(now)]).await?;
    }
    if let Some(coarsest) = TIERS.last() {
        let sql = "delete from pgmedic.sample where step = $1 and slot <= (select slot from pgmedic.sample
                       where step = $1 order by slot desc offset $2 limit 1)";
        db.execute(sql, &[&coarsest.step, &most]).await?;
    }
    db.execute("delete from pgmedic.subject where last < $1", &[&now.0.saturating_sub(GONE)]).await?;
    Ok(())
}
