//! What to look at, in the order in which it is looked at. Not in here: what mends (`remedies`).

use super::platform::{Kit, Platform};
use super::sql;
use super::subject::Subject;
use super::text::{Correction, shell};

/// The chapter.
pub(super) fn chapter(s: &Subject, kit: &Kit) -> String {
    let mut out = "## Diagnosis\n\n### What the API says\n".to_owned();
    let mut api: Vec<_> = s
        .ready
        .iter()
        .map(|ready| {
            super::platform::line(
                "readiness: its status, and `db` in its body",
                format!("curl -sS -m 5 -w '\\n%{{http_code}}\\n' {ready}"),
            )
        })
        .collect();
    api.extend(kit.api_log.iter().cloned());
    if api.is_empty() {
        out += "\nNeither `ready` nor the API's platform is configured: look where its log is, for `Database not initialised` \
                and for connection timeout errors.\n";
    }
    out += &shell(&api);
    out += "\n### What runs, and what the server says\n";
    let server = [&kit.state[..], &kit.db_log].concat();
    if server.is_empty() {
        out += "\nNo platform is configured: the server's log and its host are looked at by hand.\n";
    }
    out += &shell(&server);
    out += &console(s, kit);
    out += &connections(s);
    out += "\n### Who waits for whom, and what runs\n\nLocks first: ending idle sessions does nothing for slots that locks hold.\n\n";
    out += &sql::locks();
    out += "\n";
    out += &sql::running();
    out += "\n### Which server it is, and whether it may write\n\n";
    out += &sql::standing();
    out
}

/// The ways into psql.
fn console(s: &Subject, kit: &Kit) -> String {
    let mut out = "\n### Into the database\n\nOpen psql, then paste the SQL of this page there.\n".to_owned();
    if s.door.is_none() && s.database() == "DATABASE" {
        out += "`DATABASE` is the last part of the URL that the API has; `\\l` lists what there is.\n";
    }
    out += &shell(&kit.psql);
    if !kit.around.is_empty() {
        out += "\nPast whatever stands in front, where the way above hangs:\n";
        out += &shell(&kit.around);
    }
    if let (Platform::Fly { db: Some(db), .. }, Some(psql)) = (&s.platform, kit.psql.first()) {
        let correction = Correction {
            who: "The old runbook",
            says: format!("fly postgres connect --app {db} -c \"SHOW max_connections;\""),
            why: "`-c` is flyctl's own `--config`, the path of a fly.toml: the command ends with `config file not found at \
                  specified path` and never reaches the database (read in flyctl ad0172f). And without `-c` it is one login \
                  more, as a superuser, through the same proxy: it takes one of the three slots that are kept for \
                  superusers, hangs where the proxy hangs, is refused where every slot is taken, and says `no active leader \
                  found` where the role check fails."
                .to_owned(),
            instead: format!(
                "open it once, keep it open, paste: `{}`. Where that hangs or is refused, around the proxy, as above. Where it is \
                 refused there, too, it is [all-slots-exhausted](#all-slots-exhausted).",
                psql.command
            ),
        };
        out += &correction.text();
    }
    out
}

/// How many connections there are, and whose.
fn connections(s: &Subject) -> String {
    let mut out = "\n### Connection count, max connections, and who has them\n\n".to_owned();
    out += &sql::counts();
    out += &Correction {
        who: super::old(s),
        says: "SELECT count(*) FROM pg_stat_activity;\nSHOW max_connections;".to_owned(),
        why: "The first counts the server's background processes, too (103 were shown for 98 clients). The second is more than \
              an ordinary role may have: `superuser_reserved_connections` and, from 16 on, `reserved_connections` are kept \
              back, and a role or a database may have a limit of its own."
            .to_owned(),
        instead: "compare `clients` with `ordinary_slots`, above. `pg_isready` is no answer: it says \"accepting\" with \
                  every slot taken."
            .to_owned(),
    }
    .text();
    out += "\n<a id=\"who\"></a>Active connections by application and state, with their roles, and for how long:\n\n";
    out += &sql::holders();
    out
}
