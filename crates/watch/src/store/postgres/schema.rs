//! The schema `pgmedic` of a store that watchers share, by version.

use tokio_postgres::{GenericClient, Transaction};

/// The version that this pgmedic knows.
const VERSION: usize = STEPS.len();
/// One step each. A step is never changed once it was released.
const STEPS: [&str; 2] = [FIRST, SECOND];
/// Who brings the schema up, keeps an incident or drops what is old does it alone: `pgmedic` in ASCII.
pub(super) const TURN: i64 = 0x0070_676d_6564_6963;
/// Who drops what is old.
pub(super) const PRUNING: i64 = TURN + 1;

const FIRST: &str = "
create schema if not exists pgmedic;
create table pgmedic.version (version integer not null);
insert into pgmedic.version values (1);
create table pgmedic.incident (
    id text primary key, watcher text not null, service text not null, cause text not null, opened_at bigint not null,
    updated_at bigint not null, closed_at bigint, places text[] not null, body text not null, report text);
create index on pgmedic.incident (opened_at);
create index on pgmedic.incident (closed_at);
create table pgmedic.incident_service (
    service text, id text references pgmedic.incident on delete cascade, primary key (service, id));
create index on pgmedic.incident_service (id);
create table pgmedic.outbox (
    watcher text, id bigint, receiver text not null, incident text not null, put_at bigint not null,
    due bigint not null, tries integer not null, body text not null, primary key (watcher, id));
create index on pgmedic.outbox (incident);
create table pgmedic.look (
    service text not null, at bigint not null, kind text not null, status text not null,
    elapsed_ms double precision not null, lag_ms double precision not null, roots text not null, failed boolean not null);
create index on pgmedic.look (service, at);
create index on pgmedic.look (failed, at);
create table pgmedic.fix (
    number bigint generated always as identity primary key, service text not null, incident text not null,
    automatic boolean not null, by_whom text not null, at bigint not null, ended_at bigint, applied integer,
    recovered boolean);
create index on pgmedic.fix (service, at);
create table pgmedic.lease (service text primary key, watcher text not null, until timestamptz not null);
";

const SECOND: &str = "
create table pgmedic.subject (
    id bigint generated always as identity primary key, service text not null, server text not null, name text not null,
    unit text not null, last bigint not null, unique (service, server, name));
create table pgmedic.sample (
    step bigint, slot bigint, subject bigint, at bigint not null, value double precision not null,
    primary key (step, slot, subject));
update pgmedic.version set version = 2;
";

/// Brings the schema to this version.
///
/// # Errors
/// Where the server refuses; in words, where a later pgmedic made it.
pub(super) async fn bring_up(turn: &Transaction<'_>) -> Result<(), super::Trouble> {
    turn.execute("select pg_advisory_xact_lock($1)", &[&TURN]).await?;
    for step in STEPS.iter().skip(version(turn).await?.unwrap_or(0)) {
        turn.batch_execute(step).await?;
    }
    Ok(())
}

/// Sees that the schema is of a version that is known and has what is `needed`, and changes nothing.
///
/// # Errors
/// As [`bring_up`]; in words, where there is none, or not yet.
pub(super) async fn is_known(client: &impl GenericClient, needed: usize) -> Result<(), super::Trouble> {
    let words = match version(client).await? {
        Some(version) if version >= needed => return Ok(()),
        Some(_) => "pgmedic watch has not brought it to this version yet",
        None => "it has no schema pgmedic: pgmedic watch makes it",
    };
    Err(super::Trouble::Words(words.to_owned()))
}

/// The version that is there. None where there is none.
async fn version(client: &impl GenericClient) -> Result<Option<usize>, super::Trouble> {
    let there: bool =
        client.query_one("select to_regclass('pgmedic.version') is not null", &[]).await?.get(0);
    if !there {
        return Ok(None);
    }
    let version: i32 = client.query_one("select max(version) from pgmedic.version", &[]).await?.get(0);
    let version = usize::try_from(version).unwrap_or(0);
    if version > VERSION {
        return Err(super::Trouble::Words(format!(
            "its schema pgmedic is of a later pgmedic (version {version}, this one knows {VERSION})"
        )));
    }
    Ok(Some(version))
}
