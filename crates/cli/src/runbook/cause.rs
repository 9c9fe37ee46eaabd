//! The section of one cause: its page from the registry, with this service's commands and thresholds between the lines.
//! Not in here: which causes there are, and in which order (`applies`, `order`).

use super::platform::{Kit, Line, does};
use super::subject::Subject;
use super::text::{ms, share, shell};
use crate::drills::table;
use crate::render::page::markdown;
use pgmedic_model::{Deed, Room};
use pgmedic_path::{Cause, rooms};

/// What a page calls its parts, and what a runbook does. `References` are left to `pgmedic explain`.
const PARTS: [(&str, &str); 5] = [
    ("What it is", "Symptoms"),
    ("What proves it", "Diagnosis"),
    ("What mends it", "Remedies"),
    ("What makes it worse", "Danger"),
    ("What prevents it", "Prevention"),
];

/// The section.
pub(super) fn section(cause: &Cause, s: &Subject, kit: &Kit) -> String {
    let page = markdown(cause.page);
    let mut out = format!("### {}\n\n{}", cause.id, cause.title());
    if cause.latent {
        out += " It breaks nothing yet: the server's next start ends at it.";
    }
    out += "\n";
    for (heading, part) in PARTS {
        let Some(text) = under(&page, heading) else { continue };
        out += &format!("\n**{part}**\n\n{}\n", linked(text, cause));
        match part {
            "Diagnosis" => out += &shell(&looks(cause, s, kit)),
            "Remedies" => out += &mends(cause, s, kit),
            "Prevention" => out += &here(cause.id, s),
            _ => {}
        }
    }
    out
}

/// Other causes that a page names lead to their sections.
fn linked(text: &str, own: &Cause) -> String {
    let others = rooms::causes().filter(|cause| cause.id != own.id);
    others.fold(text.to_owned(), |text, cause| {
        text.replace(&format!("`{}`", cause.id), &format!("[{0}](#{0})", cause.id))
    })
}

/// What a page has under a heading.
fn under<'p>(page: &'p str, heading: &str) -> Option<&'p str> {
    let (_, rest) = page.split_once(&format!("\n## {heading}\n"))?;
    Some(rest.split("\n## ").next().unwrap_or(rest).trim())
}

/// Where to look, by the room.
fn looks(cause: &Cause, s: &Subject, kit: &Kit) -> Vec<Line> {
    let (host, port) = s.address();
    let pick = |lines: &[Line], most: usize| lines.iter().take(most).cloned().collect::<Vec<_>>();
    let line = |says: &str, command: String| Line { says: says.to_owned(), command };
    match cause.room {
        Room::App => {
            let ready = s
                .ready
                .as_ref()
                .map(|ready| line("readiness, with its reason", format!("curl -sS -m 5 {ready}")));
            let metrics =
                s.metrics.as_ref().map(|m| line("the pool", format!("curl -sS -m 5 {m} | grep ^pg_pool_")));
            [ready.into_iter().collect(), metrics.into_iter().collect(), pick(&kit.api_log, 1)].concat()
        }
        Room::Dns => pick(&kit.resolve, 3),
        Room::Network => vec![line(
            "does anything answer, and how soon? 0 yes, 1 it refuses logins, 2 nothing",
            format!("pg_isready -t 3 -h {host} -p {port}; echo $?"),
        )],
        Room::Proxy => [pick(&kit.around, 1), pick(&kit.state, 2)].concat(),
        Room::Tls => vec![line(
            "the certificate that is shown",
            format!(
                "openssl s_client -starttls postgres -connect {host}:{port} </dev/null | openssl x509 -noout -subject -issuer -dates -ext subjectAltName"
            ),
        )],
        Room::Startup | Room::Server => [pick(&kit.db_log, 1), pick(&kit.state, 1)].concat(),
        Room::Admission | Room::Sessions => pick(&kit.psql, 1),
        Room::Storage => pick(&kit.disk, 3),
    }
}

/// What pgmedic does about it, which a drill proves, and the platform's own command for the same.
fn mends(cause: &Cause, s: &Subject, kit: &Kit) -> String {
    let remedies = table::find(cause.id).map_or(&[][..], |drill| drill.mends);
    let mut out = String::new();
    let mut lines = Vec::new();
    for remedy in remedies {
        let (deed, by_hand): (_, &[Line]) = match *remedy {
            "recycle-api-pool" | "restart-largest-holder" => (Some(Deed::RestartApi), &kit.restart_api),
            "restart-proxy" | "restart-pooler" => (Some(Deed::RestartProxy), &kit.restart_proxy),
            "start-database" => (Some(Deed::StartDb), &kit.start_db),
            "extend-volume" => (Some(Deed::ExtendVolume), &kit.extend),
            _ => (None, &[]),
        };
        if deed.is_none_or(|deed| does(s, deed)) {
            lines.push(Line {
                says: "pgmedic does it: shows whom it touches, asks, and proves it by walking again"
                    .to_owned(),
                command: format!("pgmedic fix {} --only {remedy}", s.whom),
            });
        }
        lines.extend(by_hand.iter().cloned());
        if *remedy == "terminate-idle-sessions" {
            out += "\nBy hand: [the statement that ends idle sessions](#end-idle-sessions).\n";
        }
    }
    // Nothing needs to be mended by a drill for a person to buy time.
    if ["disk-filling", "wal-volume-full"].contains(&cause.id) && !remedies.contains(&"extend-volume") {
        lines.extend(kit.extend.iter().cloned());
    }
    out + &shell(&lines)
}

/// What this service's configuration has to do with it.
fn here(id: &str, s: &Subject) -> String {
    let p = &s.policy;
    let text = match id {
        "idle-sessions" | "slots-exhausted" | "slots-nearly-exhausted" => format!(
            "`idle_after` {}, `keep_free` {} of the ordinary slots, at most {} sessions in one fix",
            ms(p.idle_after_ms),
            share(p.keep_free),
            p.max_terminations
        ),
        "idle-in-transaction" => {
            format!("`idle_in_transaction_after` {}", ms(p.idle_in_transaction_after_ms))
        }
        "long-queries" => format!("`long_query_after` {}", ms(p.long_query_after_ms)),
        "disk-full" | "disk-filling" | "wal-volume-full" => match p.max_volume_gb {
            Some(most) => format!("pgmedic extends a volume to at most {most} GB (`max_volume_gb`)"),
            None => "no `max_volume_gb` is set: pgmedic extends no volume, a person does".to_owned(),
        },
        "pools-exceed-slots" => match (s.budget.machines, s.budget.pool_max) {
            (Some(machines), Some(max)) => format!(
                "{machines} machines × pool max {max} = {} connections; `pgmedic audit {}` does the whole sum",
                machines.saturating_mul(max),
                s.whom
            ),
            _ => format!("`pgmedic audit {}` does the sum", s.whom),
        },
        _ => return String::new(),
    };
    format!("\nHere: {text}.\n")
}
