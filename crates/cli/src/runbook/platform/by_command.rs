//! Whatever the kind: commands, paths and logs that `pgmedic.toml` names go before what the platform would do.

use super::{API_WORDS, DB_WORDS, Kit, Line, configured, line};
use crate::runbook::subject::Subject;
use pgmedic_model::Deed;
use pgmedic_path::paste::argument;
use std::path::Path;

/// Puts them in.
pub(super) fn add(s: &Subject, kit: &mut Kit) {
    for (deed, lines) in [
        (Deed::RestartApi, &mut kit.restart_api),
        (Deed::RestartProxy, &mut kit.restart_proxy),
        (Deed::StartDb, &mut kit.start_db),
        (Deed::RestartDb, &mut kit.restart_db),
        (Deed::ExtendVolume, &mut kit.extend),
    ] {
        if let Some(command) = configured(s, deed) {
            *lines = vec![command];
        }
    }
    let grep = |path: &Path, words: &str| {
        format!("tail -n 1000 {} | grep -iE '{words}'", argument(&path.display().to_string()))
    };
    if let Some(path) = &s.api_log {
        kit.api_log = vec![line("the API's log", grep(path, API_WORDS))];
    }
    if let Some(path) = &s.paths.log {
        kit.db_log = vec![line("the server's log", grep(path, DB_WORDS))];
    }
    if let Some(path) = &s.paths.proxy_log {
        let shown = argument(&path.display().to_string());
        kit.state.push(line("the proxy's log", format!("tail -n 50 {shown}")));
    }
    if let Some(path) = &s.paths.data_directory {
        kit.disk = disk(&path.display().to_string());
    }
}

/// Space and inodes of a folder of this host, and what WAL takes of it.
fn disk(data: &str) -> Vec<Line> {
    let data = argument(data);
    vec![
        line("free bytes", format!("df -h {data} {data}/pg_wal/")),
        line("free inodes", format!("df -i {data} {data}/pg_wal/")),
        line("what WAL takes of it", format!("du -sh {data}/pg_wal/")),
    ]
}
