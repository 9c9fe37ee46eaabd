//! The first screen: what one sees, the first command, the section. A row whose cause the service cannot have is left out.

use super::applies::left_out;
use super::order::find;
use super::platform::{Kit, Line};
use super::subject::Subject;

/// Which of a service's commands comes first.
#[derive(Clone, Copy)]
enum First {
    ApiLog,
    DbLog,
    Psql,
    Around,
    State,
    Disk,
    Resolve,
    /// `pg_isready`.
    Knock,
    /// Nothing but patience, or a person to be asked.
    Nothing(&'static str),
}

/// What one sees, what to do first, and the cause that it most often is; the first of them that the service can have.
const ROWS: [(&str, First, &[&str]); 16] = [
    ("`remaining connection slots are reserved …`", First::Psql, &["slots-exhausted"]),
    ("`sorry, too many clients already`", First::State, &["all-slots-exhausted"]),
    ("connected, then silence", First::Around, &["proxy-hung", "server-hung"]),
    ("connected, then closed without a byte", First::State, &["proxy-without-backend", "server-down"]),
    ("`Connection refused`", First::State, &["server-down"]),
    ("`could not translate host name`, `ENOTFOUND`, `EAI_AGAIN`", First::Resolve, &["name-not-found"]),
    ("no answer at all, `timeout expired`", First::Knock, &["packets-dropped"]),
    ("`No space left on device`", First::Disk, &["disk-full"]),
    ("`cannot execute … in a read-only transaction`", First::Disk, &["read-only-by-setting"]),
    ("`Database not initialised`", First::ApiLog, &["api-not-initialised"]),
    ("the pool's time-out, while slots are free", First::Psql, &["pool-starved"]),
    ("everything waits, nothing fails", First::Psql, &["lock-pile-up"]),
    ("`query_wait_timeout`", First::Nothing("`SHOW POOLS` on its console"), &["pooler-pool-exhausted"]),
    ("`password authentication failed`", First::DbLog, &["wrong-password"]),
    ("`starting up`, `in recovery mode`", First::Nothing("wait; do not restart"), &["server-recovering"]),
    ("`certificate verify failed`", First::Nothing("do not turn the check off"), &["certificate-expired"]),
];

/// The table.
pub(super) fn table(s: &Subject, kit: &Kit) -> String {
    let mut out = "| you see | first | then |\n|---|---|---|\n".to_owned();
    for (sees, first, causes) in ROWS {
        let can_have = |id: &&&str| find(id).is_some_and(|cause| left_out(cause, s).is_none());
        let Some(id) = causes.iter().find(can_have) else { continue };
        out += &format!("| {sees} | {} | [{id}](#{id}) |\n", command(first, s, kit));
    }
    out
}

fn command(first: First, s: &Subject, kit: &Kit) -> String {
    let of = |lines: &[Line]| lines.first().map(|line| line.command.clone());
    let found = match first {
        First::ApiLog => of(&kit.api_log),
        First::DbLog => of(&kit.db_log),
        First::Psql => of(&kit.psql),
        First::Around => of(&kit.around),
        First::State => of(&kit.state),
        First::Disk => of(&kit.disk),
        First::Resolve => of(&kit.resolve),
        First::Knock => {
            let (host, port) = s.address();
            Some(format!("pg_isready -t 3 -h {host} -p {port}"))
        }
        First::Nothing(words) => return words.to_owned(),
    };
    // What is behind a bar narrows it down; and a bar would end the cell.
    let brief = |command: String| {
        let first = command.split(" | ").next().unwrap_or_default().trim_end_matches(" 2>&1");
        format!("`{}`", first.replace('|', "\\|"))
    };
    found.map_or_else(|| format!("`pgmedic check {}`", s.whom), brief)
}
