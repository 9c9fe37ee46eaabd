//! Fly.io: apps of Machines, the database on Fly's own Postgres image. Sources: flyctl ad0172f, `internal/command/`;
//! postgres-flex d263c9e, `config/haproxy.cfg`, `bin/`, `internal/flypg/pg.go` (local logins as `postgres` are trusted).

use super::{API_WORDS, DB_WORDS, Kit, line};
use crate::runbook::subject::Subject;
use pgmedic_path::paste::argument;

/// Its commands.
pub(super) fn kit(s: &Subject, api: Option<&str>, db: Option<&str>) -> Kit {
    let mut kit = Kit::default();
    if let Some(db) = db {
        of_db(&mut kit, db, &s.database());
        repairs(&mut kit, db);
    }
    if let Some(api) = api {
        of_api(&mut kit, api, s.ready.as_deref());
    }
    if let (Some(api), Some(name)) = (api, s.host_name()) {
        let name = argument(&name);
        kit.resolve = vec![line(
            "what a program in the API's machine is answered (libc only, whichever nameserver it asked)",
            format!("fly ssh console --app {api} -C \"getent hosts {name}\""),
        )];
        kit.resolve.extend(db.into_iter().flat_map(|db| {
            [
                line(
                    "what Fly's resolver says, asked by itself; its image has dig, the API's may not",
                    format!("fly ssh console --app {db} -C \"dig AAAA {name} @fdaa::3\""),
                ),
                line(
                    "which machines the name stands for",
                    format!("fly ssh console --app {db} -C \"dig +short TXT vms.{db}.internal @fdaa::3\""),
                ),
                line(
                    "a machine that is stopped is in no name: start it",
                    format!("fly machine list --app {db}"),
                ),
            ]
        }));
    }
    kit
}

fn of_api(kit: &mut Kit, api: &str, ready: Option<&str>) {
    kit.state.push(line("the API's machines", format!("fly machine list --app {api}")));
    kit.api_log =
        vec![line("the API's log", format!("fly logs --app {api} --no-tail | grep -iE \"{API_WORDS}\""))];
    kit.restart_api = vec![
        line("its machines", format!("fly machine list --app {api}")),
        line(
            "ONE of them; waits for its health checks",
            format!("fly machine restart MACHINE_ID --app {api}"),
        ),
        line(
            "wait for it to be well before the next",
            ready.map_or_else(
                || format!("fly checks list --app {api}"),
                |ready| format!("curl -sS -m 5 {ready}"),
            ),
        ),
    ];
}

fn of_db(kit: &mut Kit, db: &str, database: &str) {
    kit.state.push(line("the database's machines: role, state, checks", format!("fly status --app {db}")));
    kit.state.push(line(
        "what its own checks say: `connections: N used, R reserved, M max`, disk, role. Needs no login of yours",
        format!("fly checks list --app {db}"),
    ));
    kit.db_log =
        vec![line("the database's log", format!("fly logs --app {db} --no-tail | grep -E \"{DB_WORDS}\""))];
    kit.psql = vec![line(
        "psql as a superuser, THROUGH the proxy (5432); paste the SQL there",
        format!("fly postgres connect --app {db} --database {database}"),
    )];
    kit.around = vec![
        line(
            "psql as a superuser, AROUND the proxy (5433), on a database machine",
            format!("fly ssh console --app {db} --pty -C \"psql -p 5433 -U postgres -d {database}\""),
        ),
        line(
            "or from here: a tunnel to 5433; then psql -h 127.0.0.1 -p 15433 -U postgres",
            format!("fly proxy 15433:5433 --app {db}"),
        ),
    ];
    kit.disk = vec![
        line(
            "free bytes of the volume, as Postgres' host sees it",
            format!("fly ssh console --app {db} -C \"df -h /data\""),
        ),
        line("free inodes", format!("fly ssh console --app {db} -C \"df -i /data\"")),
        line(
            "what WAL takes of it",
            format!("fly ssh console --app {db} -C \"du -sh /data/postgresql/pg_wal\""),
        ),
        line("the volumes, their ids and sizes", format!("fly volumes list --app {db}")),
    ];
}

fn repairs(kit: &mut Kit, db: &str) {
    kit.restart_proxy = vec![
        line(
            "HAProxy alone, on the database's machine: asks it to end, its supervisor starts it anew within a second",
            format!("fly ssh console --app {db} -C \"restart-haproxy\""),
        ),
        line(
            "where it does not even answer its stats socket (the line above says so)",
            format!("fly ssh console --app {db} -C \"pkill -KILL -x haproxy\""),
        ),
    ];
    kit.start_db = vec![
        line("is the machine stopped?", format!("fly machine list --app {db}")),
        line("a stopped machine", format!("fly machine start MACHINE_ID --app {db}")),
        line(
            "a started machine whose postmaster is gone: nothing in it starts Postgres again. FREE SPACE FIRST",
            format!("fly machine restart MACHINE_ID --app {db}"),
        ),
    ];
    kit.restart_db = vec![
        line(
            "one machine, replicas before the primary; waits for its health checks",
            format!("fly machine restart MACHINE_ID --app {db}"),
        ),
        line(
            "or all of them in that order; it refuses where no leader is found. There is no failover first",
            format!("fly postgres restart --app {db}"),
        ),
    ];
    kit.extend = vec![
        line("the id and the present size of the volume", format!("fly volumes list --app {db}")),
        line(
            "to SIZE_GB in all (5 more: -s +5). Every member has its own volume",
            format!("fly volumes extend VOLUME_ID -s SIZE_GB --app {db}"),
        ),
        line(
            "has it arrived? Only where flyctl says so, the machine must be stopped and started",
            format!("fly ssh console --app {db} -C \"df -h /data\""),
        ),
    ];
}
