//! The runbook for people, in Markdown: what `pgmedic runbook` writes. From the registry of causes, the table of drills, the
//! policy and the platform's commands, so that it cannot go stale; a pure function of a `Subject`.
//!
//! Not in here: reading the configuration (`commands/runbook`), and what pgmedic itself does (`pgmedic_path::fix`).

mod applies;
mod cause;
mod diagnosis;
#[cfg(test)]
mod fixture;
mod order;
mod platform;
mod prevention;
mod remedies;
mod sql;
mod subject;
mod text;
mod triage;

use applies::left_out;
use order::OCCASIONS;
use pgmedic_path::{Cause, rooms};
use platform::{Kit, Platform};
pub(crate) use subject::Subject;
use text::{ms, share};

/// The whole runbook.
pub(crate) fn markdown(s: &Subject) -> String {
    let kit = platform::kit(s);
    let chapters = [
        head(s),
        one_screen(s, &kit),
        symptoms(s),
        diagnosis::chapter(s, &kit),
        remedies::chapter(s, &kit),
        causes(s, &kit),
        prevention::chapter(s),
        omissions(s),
        sources(s),
    ];
    let text = chapters.iter().map(|chapter| chapter.trim_end()).collect::<Vec<_>>().join("\n\n");
    mend_links(&text, s) + "\n"
}

/// Who gave the advice that is corrected.
fn old(s: &Subject) -> &'static str {
    if matches!(s.platform, Platform::Fly { .. }) { "The old runbook" } else { "Many a runbook" }
}

/// A link to the section of a cause that is left out leads to its page.
fn mend_links(text: &str, s: &Subject) -> String {
    let out = rooms::causes().filter(|cause| left_out(cause, s).is_some());
    out.fold(text.to_owned(), |text, cause| {
        text.replace(&format!("[{0}](#{0})", cause.id), &format!("`pgmedic explain {}`", cause.id))
    })
}

fn head(s: &Subject) -> String {
    let p = &s.policy;
    let mut rows = vec![("platform", s.platform.title())];
    rows.push((
        "way in",
        match &s.door {
            Some(door) => format!(
                "`{}` as `{}` to `{}`",
                s.address().0 + ":" + &s.address().1,
                door.user,
                door.database
            ),
            None => format!("`{}`: this page was written without looking it up", s.psql),
        },
    ));
    rows.extend(s.rescue.as_ref().map(|rescue| ("where slots are short", format!("`{rescue}`"))));
    rows.extend(s.direct.as_ref().map(|(host, port)| ("around the proxy", format!("`{host}:{port}`"))));
    rows.extend(s.pooler.as_ref().map(|pooler| ("PgBouncer's console", format!("`psql {pooler}`"))));
    rows.extend(s.ready.as_ref().map(|ready| ("readiness", format!("`{ready}`"))));
    rows.push((
        "sessions",
        format!(
            "idle for over {} may be ended, until {} of the slots are free, at most {}; in a transaction {}, a query {} is long",
            ms(p.idle_after_ms),
            share(p.keep_free),
            p.max_terminations,
            ms(p.idle_in_transaction_after_ms),
            ms(p.long_query_after_ms)
        ),
    ));
    let volume = p.max_volume_gb.map_or("none may be extended".to_owned(), |most| format!("up to {most} GB"));
    rows.push(("volumes", volume));
    if let Some(max) = s.budget.pool_max {
        let machines =
            s.budget.machines.map_or(String::new(), |machines| format!(" on each of {machines} machines"));
        rows.push(("pool", format!("max {max}{machines}")));
    }
    let rows: String =
        rows.iter().map(|(what, text)| format!("| {what} | {} |\n", text.replace('|', "\\|"))).collect();
    format!(
        "# Database connection issues: {}\n\n\
         Written by `pgmedic runbook {}` (pgmedic {}) from the configuration and the pages of `pgmedic explain`, offline. Do not edit \
         it: write it anew.\n\n| | |\n|---|---|\n{rows}",
        s.name,
        s.whom,
        env!("CARGO_PKG_VERSION"),
    )
}

fn one_screen(s: &Subject, kit: &Kit) -> String {
    format!(
        "## In one screen\n\n```sh\npgmedic check {whom}         # where it breaks, and why\n\
         pgmedic fix {whom} --plan    # what would mend it, and whom it would touch; nothing is done\n\
         pgmedic fix {whom}           # asks about each step, and proves that it is mended\n```\n\n\
         By hand:\n\n{}\n\
         Never tonight: restart the database before its free space was seen · restart every machine at once · `kill -9` \
         a process of Postgres · delete in `pg_wal`, or `postmaster.pid` · end sessions by age alone.\n",
        triage::table(s, kit),
        whom = s.whom
    )
}

fn symptoms(s: &Subject) -> String {
    let path =
        s.ready.as_ref().and_then(|ready| ready.split_once("://")).and_then(|(_, rest)| rest.split_once('/'));
    let probe = path.map_or("/api/v1/ready".to_owned(), |(_, path)| format!("/{path}"));
    format!(
        "## Symptoms\n\n\
         - Alert `DatabaseConnectionFailure` (of `pgmedic watch`, or of the rules that `pgmedic rules prometheus` writes): it names the \
         cause, which is a section here.\n\
         - API readiness probe (`{probe}`) returns 503 with `db: \"disconnected\"`: [readiness-failing](#readiness-failing), mostly \
         only the symptom of another.\n\
         - Application logs: `Database not initialised` ([api-not-initialised](#api-not-initialised): mend the database; then \
         restart an instance that does not try again by itself), or connection timeout errors.\n\
         - No symptom at all: `pg_isready` says \"accepting\" and an exporter `pg_up 1` with every slot taken.\n"
    )
}

fn causes(s: &Subject, kit: &Kit) -> String {
    let mut out = "## Every cause\n\n\
        A section for each cause that this service can have. The order is a judgement, for nobody has counted incidents: first \
        the four faults that the old runbook was written for, then by what brings a cause about, the commonest occasion first; \
        within an occasion in the order of the path, from the API to the disk.\n\n"
        .to_owned();
    let four: Vec<&Cause> = order::four().map(|(_, cause)| cause).collect();
    let mut groups = vec![("The old runbook's four", "What the remedies above are for.", four)];
    groups.extend(OCCASIONS.iter().map(|o| (o.title, o.why, order::of(o).collect())));
    groups.push((
        "At the next start",
        "Nothing is broken yet: `pgmedic audit` reports them.",
        order::rest().collect(),
    ));
    let groups: Vec<(&str, &str, Vec<&Cause>)> = groups
        .into_iter()
        .map(|(title, why, all)| {
            (title, why, all.into_iter().filter(|c| left_out(c, s).is_none()).collect::<Vec<_>>())
        })
        .filter(|(_, _, all)| !all.is_empty())
        .collect();
    for (title, _, all) in &groups {
        let links: Vec<String> = all.iter().map(|cause| format!("[{0}](#{0})", cause.id)).collect();
        out += &format!("- **{title}**: {}\n", links.join(", "));
    }
    for (title, why, all) in &groups {
        out += &format!("\n## {title}\n\n{why}\n");
        for cause in all {
            out += &format!("\n{}", cause::section(cause, s, kit));
        }
    }
    out
}

fn omissions(s: &Subject) -> String {
    let mut out = "## What is left out\n\n".to_owned();
    let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
    for cause in rooms::causes() {
        let Some(why) = left_out(cause, s) else { continue };
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, ids)) => ids.push(cause.id),
            None => reasons.push((why, vec![cause.id])),
        }
    }
    if reasons.is_empty() {
        return out + "Nothing: by its configuration this service can have every cause that pgmedic knows.\n";
    }
    out += "Judged by the configuration alone. If it is wrong about the service, mend it and write this anew; the pages are there in any \
            case (`pgmedic explain CAUSE`).\n\n";
    for (why, ids) in reasons {
        out +=
            &format!("- {why}: {}\n", ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", "));
    }
    out
}

fn sources(s: &Subject) -> String {
    let commands = match s.platform {
        Platform::Fly { .. } => {
            "Fly's commands were checked against the sources of flyctl ad0172f (2026-08-21) and postgres-flex d263c9e \
                                 (2026-07-14), not run against Fly. "
        }
        Platform::Kubernetes { .. } | Platform::Docker { .. } | Platform::Systemd { .. } => {
            "The platform's commands were written from its manual and not all of them run: try them once by day. "
        }
        Platform::Host | Platform::Unknown => "",
    };
    format!(
        "## Where this is from\n\nThe sections are the pages of `pgmedic explain`, whose references stand there; each cause is found on a \
         real Postgres that a drill has broken, or its page says why not. {commands}The SQL is run on a real Postgres by pgmedic's \
         tests, by the role that each block names. Words in capitals (`MACHINE_ID`, `VOLUME_ID`, `SIZE_GB`, `SIZE`, `CLAIM`, `HOST`, `DATABASE`) are to be filled in.\n"
    )
}
