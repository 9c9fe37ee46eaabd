//! systemd: units of this host. Sources: systemctl(1), journalctl(1), 252.

use super::{API_WORDS, DB_WORDS, Kit, line};
use crate::runbook::subject::Subject;
use pgmedic_path::paste::argument;

/// Its commands.
pub(super) fn kit(s: &Subject, [api, db, proxy]: [Option<&str>; 3]) -> Kit {
    let mut kit = Kit::default();
    let journal = |unit: &str| format!("journalctl --unit {} --lines 1000 --no-pager", argument(unit));
    for unit in [db, api, proxy].into_iter().flatten() {
        kit.state.push(line("", format!("systemctl status --no-pager {}", argument(unit))));
    }
    if let Some(api) = api {
        kit.api_log = vec![line("the API's log", format!("{} | grep -iE '{API_WORDS}'", journal(api)))];
        kit.restart_api = vec![line("the API", format!("systemctl restart {}", argument(api)))];
    }
    if let Some(proxy) = proxy {
        kit.restart_proxy = vec![line("the proxy alone", format!("systemctl restart {}", argument(proxy)))];
    }
    if let Some(db) = db {
        kit.db_log = vec![line("the server's log", format!("{} | grep -E '{DB_WORDS}'", journal(db)))];
        kit.start_db = vec![line(
            "after its log and its space were looked at",
            format!("systemctl start {}", argument(db)),
        )];
        kit.restart_db = vec![line("", format!("systemctl restart {}", argument(db)))];
    }
    kit.psql = vec![
        line("as the superuser over the socket", format!("sudo -u postgres psql -d {}", s.database())),
        line("as the API", format!("psql {}", s.psql)),
    ];
    kit
}
