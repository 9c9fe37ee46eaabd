//! The documents: a list of machines, of volumes, of log lines; each made when it is asked for.

use super::flycheck::Outcome;
use super::machine::{Machine, now};
use super::{API_APP, API_MACHINE, DB_APP, DB_MACHINE, Generation, State, VOLUME, held};
use crate::api::Api;
use pgmedic_model::Timestamp;
use rustix::fs::StatVfs;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Lines that the logs endpoint gives.
const LINES: usize = 100;
/// What the API's own check may take.
const WITHIN: Duration = Duration::from_millis(500);

impl State {
    /// An app's machines; None for an app that is not here.
    pub(super) fn machines(&self, app: &str) -> Option<Value> {
        match app {
            DB_APP => Some(json!([self.db_machine()])),
            API_APP => Some(self.api_machines()),
            _ => None,
        }
    }

    fn db_machine(&self) -> Value {
        // A machine whose main process is Postgres ends with it.
        if let (Generation::Plain, Some(status)) = (self.generation, self.postgres.ended()) {
            held(&self.db_machine).stop(false, Some(status));
        }
        let image = match self.generation {
            Generation::Flex => "flyio/postgres-flex",
            Generation::Ha => "flyio/postgres",
            Generation::Plain => "library/postgres",
        };
        let is_started = held(&self.db_machine).is_started;
        let checks = if is_started && self.generation != Generation::Plain {
            vec![check("pg", self.pg_check()), check("role", self.role_check()), check("vm", self.vm_check())]
        } else {
            Vec::new()
        };
        let mut document = machine(&held(&self.db_machine), image, checks);
        document["config"]["mounts"] = json!([{ "volume": VOLUME, "path": "/data", "name": "pg_data" }]);
        if self.unreachable.load(Ordering::Acquire) {
            document["host_status"] = json!("unreachable");
            document["incomplete_config"] = document["config"].take();
        }
        document
    }

    fn api_machines(&self) -> Value {
        let of = |one: &Machine, api: Option<&Arc<Api>>| {
            let checked = api.filter(|_| one.is_started);
            let ready = checked.map(|api| check("servicecheck-00-http-3000", ready(api)));
            machine(one, "renderflow-api", ready.into_iter().collect())
        };
        let first = of(&held(&self.api_machine), self.api.as_ref());
        let second = held(&self.second_api).as_ref().map(|(one, api)| of(one, Some(api)));
        std::iter::once(first).chain(second).collect()
    }

    /// One machine of an app.
    pub(super) fn one_machine(&self, app: &str, id: &str) -> Option<Value> {
        self.machines(app)?.as_array()?.iter().find(|one| one["id"] == id).cloned()
    }

    /// An app's volumes.
    pub(super) fn volumes(&self, app: &str) -> Option<Value> {
        match app {
            API_APP => Some(json!([])),
            DB_APP => Some(self.statvfs().map_or_else(|| json!([]), |stat| json!([volume(&stat)]))),
            _ => None,
        }
    }

    /// The last lines of an app's log.
    pub(super) fn logs(&self, app: &str) -> Option<Value> {
        let (lines, instance) = match app {
            DB_APP => (lines(self.postgres.log(), "postgres | "), DB_MACHINE),
            API_APP => (self.api.as_ref().map(|api| lines(api.log(), "")).unwrap_or_default(), API_MACHINE),
            _ => return None,
        };
        let entry = |(at, message): (Timestamp, String)| {
            json!({ "id": "1", "type": "log", "attributes": { "timestamp": at, "message": message, "level": "info",
                "instance": instance, "region": "ord", "meta": { "instance": instance, "region": "ord" } } })
        };
        let data: Vec<Value> = lines.into_iter().map(entry).collect();
        Some(json!({ "data": data, "meta": { "next_token": "1795403529000000000" } }))
    }
}

/// The volume's document.
fn volume(stat: &StatVfs) -> Value {
    let bytes = stat.f_blocks * stat.f_frsize;
    json!({
        "id": VOLUME, "name": "pg_data", "state": "created", "size_gb": bytes.div_ceil(1 << 30).max(1), "region": "ord",
        "zone": "a1b2", "encrypted": true, "attached_machine_id": DB_MACHINE, "attached_alloc_id": null,
        "created_at": "2026-01-05T10:00:00.000Z", "blocks": stat.f_blocks, "block_size": stat.f_frsize,
        "blocks_free": stat.f_bfree, "blocks_avail": stat.f_bavail, "fstype": "ext4", "snapshot_retention": 5,
        "auto_backup_enabled": true, "host_status": "ok",
    })
}

/// A machine's document.
fn machine(machine: &Machine, image: &str, checks: Vec<Value>) -> Value {
    json!({
        "id": machine.id, "name": machine.name, "state": if machine.is_started { "started" } else { "stopped" },
        "region": "ord", "instance_id": "01H1", "private_ip": "fdaa:0:1::3", "created_at": "2026-01-05T10:00:00Z",
        "updated_at": now(),
        "config": { "env": {}, "guest": { "cpu_kind": "shared", "cpus": 1, "memory_mb": 256 },
            "metadata": { "fly_platform_version": "v2", "fly_process_group": "app" },
            "restart": { "policy": "always" }, "services": [], "mounts": [], "image": image },
        "image_ref": { "registry": "registry-1.docker.io", "repository": image, "tag": "latest", "digest": "sha256:0",
            "labels": null },
        "events": machine.events, "checks": checks, "host_status": "ok", "cordoned": false,
    })
}

fn check(name: &str, outcome: Outcome) -> Value {
    let (status, output) = match outcome {
        Ok(output) => ("passing", output),
        Err(output) => ("critical", output),
    };
    json!({ "name": name, "status": status, "output": output, "updated_at": now() })
}

/// The API's own health check, run: a GET of its readiness.
fn ready(api: &Api) -> Outcome {
    let url = api.ready_url();
    let rest = url.strip_prefix("http://").unwrap_or(&url);
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    let asked = || -> std::io::Result<String> {
        let address = address.parse().map_err(std::io::Error::other)?;
        let mut stream = TcpStream::connect_timeout(&address, WITHIN)?;
        stream.set_read_timeout(Some(WITHIN))?;
        stream.write_all(
            format!("GET /{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes(),
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let shown = format!("HTTP GET http://172.19.0.2:3000/{path}");
    let answer = asked().map_err(|error| format!("{shown}: {error}"))?;
    let status = answer.lines().next().unwrap_or_default().trim_start_matches("HTTP/1.1 ").to_owned();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let said = format!("{shown}: {status} Output: {body:?}");
    if status.starts_with("200") { Ok(said) } else { Err(said) }
}

/// The last lines of a file, each with its time: its own where it begins with one, else that of the line above it.
fn lines(path: &Path, prefix: &str) -> Vec<(Timestamp, String)> {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut at = Timestamp(0);
    let all: Vec<(Timestamp, String)> = text
        .lines()
        .map(|line| {
            at = own_time(line).unwrap_or(at);
            (at, format!("{prefix}{line}"))
        })
        .collect();
    all[all.len().saturating_sub(LINES)..].to_vec()
}

/// `2026-11-23T03:12:09.000Z …` or, as Postgres' `%m` in UTC, `2026-11-23 03:12:09.000 UTC …`.
fn own_time(line: &str) -> Option<Timestamp> {
    let mut words = line.splitn(3, ' ');
    let (first, second) = (words.next()?, words.next()?);
    first.parse().ok().or_else(|| format!("{first}T{second}Z").parse().ok())
}
