//! Docker: containers by name, compose services, or `project/service`. Sources: docker(1) and docker-compose's `--help`, 28.

use super::{API_WORDS, DB_WORDS, Kit, line};
use crate::runbook::subject::Subject;
use pgmedic_path::paste::argument;

/// A command on a container, or on a service of a compose project.
fn on(engine: &str, name: &str, verb: &str, more: &str) -> String {
    let more = if more.is_empty() { String::new() } else { format!(" {more}") };
    match name.split_once('/') {
        Some((project, service)) => {
            format!("docker{engine} compose -p {} {verb} {}{more}", argument(project), argument(service))
        }
        None => format!("docker{engine} {verb} {}{more}", argument(name)),
    }
}

/// Its commands.
pub(super) fn kit(s: &Subject, [api, db, proxy]: [Option<&str>; 3], engine: Option<&str>) -> Kit {
    let mut kit = Kit::default();
    let engine = engine.map_or(String::new(), |host| format!(" --host {}", argument(host)));
    let on = |name: &str, verb: &str, more: &str| on(&engine, name, verb, more);
    kit.state.push(line("what runs, what ended, and how", format!("docker{engine} ps --all")));
    if let Some(api) = api {
        let log = format!("{} 2>&1 | grep -iE '{API_WORDS}'", on(api, "logs --tail 1000", ""));
        kit.api_log = vec![line("the API's log", log)];
        kit.restart_api = vec![line("one container at a time", on(api, "restart", ""))];
        if let Some(name) = s.host_name() {
            let get = format!("getent ahosts {}", argument(&name));
            kit.resolve =
                vec![line("what a program in the API's container is answered", on(api, "exec", &get))];
        }
    }
    if let Some(proxy) = proxy {
        kit.restart_proxy = vec![line("the proxy alone", on(proxy, "restart", ""))];
    }
    if let Some(db) = db {
        if !db.contains('/') {
            let state = on(db, "inspect --format '{{json .State}}'", "");
            kit.state.push(line("the database's end, OOM kill and health", state));
        }
        let log = format!("{} 2>&1 | grep -E '{DB_WORDS}'", on(db, "logs --tail 1000", ""));
        kit.db_log = vec![line("the server's log", log)];
        let inside = if db.contains('/') { "exec" } else { "exec -it" };
        let psql = on(db, inside, &format!("psql -U postgres -d {}", s.database()));
        kit.psql =
            vec![line("psql in the database's container (POSTGRES_USER, where it is not postgres)", psql)];
        let data = |program: &str| on(db, "exec", &format!("{program} /var/lib/postgresql/data"));
        kit.disk = vec![line("free bytes", data("df -h")), line("free inodes", data("df -i"))];
        kit.start_db = vec![line("after its log and its space were looked at", on(db, "start", ""))];
        kit.restart_db =
            vec![line("its own stop signal first, ten seconds later the kernel's", on(db, "restart", ""))];
    }
    kit
}
