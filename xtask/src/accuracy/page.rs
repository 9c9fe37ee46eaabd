//! The page: tables from what the runs wrote. Pure.

use super::document::{Document, Drill, Fate, Pair, Row};
use pgmedic_path::{Cause, Proof, rooms};
use std::collections::BTreeMap;

/// One run, and what it wrote or why it wrote nothing.
pub(super) struct Ran {
    pub(super) name: String,
    pub(super) document: Result<Document, String>,
}

/// Every run on one Postgres.
pub(super) struct Edition {
    pub(super) major: String,
    pub(super) drills: Vec<Ran>,
    /// Empty where pairs are not run on it.
    pub(super) pairs: Vec<Ran>,
}

/// Every run.
pub(super) struct Accuracy {
    pub(super) editions: Vec<Edition>,
    pub(super) healthy: Ran,
}

impl Ran {
    fn drill(&self) -> Option<&Drill> {
        self.document.as_ref().ok()?.drills.first()
    }

    fn pair(&self) -> Option<&Pair> {
        self.document.as_ref().ok()?.pairs.first()
    }

    fn rows(&self) -> &[Row] {
        self.document.as_ref().map_or(&[], |document| &document.healthy)
    }

    /// Why it counts as missed, where it does.
    fn miss(&self) -> Option<String> {
        let document = match &self.document {
            Ok(document) => document,
            Err(why) => return Some(format!("crashed: {why}")),
        };
        let ends = document.drills.iter().map(|d| (&d.status, &d.detail));
        let mut ends = ends.chain(document.pairs.iter().map(|p| (&p.status, &p.detail)));
        let failed = ends.find(|(status, _)| *status == "failed");
        failed.map(|(_, detail)| detail.clone().unwrap_or_default())
    }
}

impl Accuracy {
    fn runs(&self) -> impl Iterator<Item = (&str, &Ran)> {
        self.editions.iter().flat_map(|e| e.drills.iter().chain(&e.pairs).map(|ran| (e.major.as_str(), ran)))
    }

    /// What was not found, or found where nothing was wrong: a line each.
    pub(super) fn misses(&self) -> Vec<String> {
        let one = |(major, ran): (&str, &Ran)| {
            ran.miss().map(|why| format!("Postgres {major}, {}: {why}", ran.name))
        };
        let mut misses: Vec<String> = self.runs().filter_map(one).collect();
        misses.extend(self.healthy.document.as_ref().err().map(|why| format!("healthy checks: {why}")));
        for row in self.healthy.rows() {
            misses.extend(row.detail.iter().map(|detail| format!("healthy checks {}: {detail}", row.layout)));
            misses.extend(row.alarms.iter().map(|alarm| {
                let found = alarm.report.findings.iter().map(|f| format!("{}: {}", f.cause, f.summary));
                let found = found.collect::<Vec<_>>().join("; ");
                let (layout, check, status) = (&row.layout, alarm.check, &alarm.report.status);
                format!("false alarm {layout}, check {check}: {status}: {found}")
            }));
        }
        misses
    }
}

/// The page in Markdown.
pub(super) fn render(accuracy: &Accuracy, quick: bool) -> String {
    let command = if quick { "cargo xtask accuracy --quick" } else { "make accuracy" };
    [
        format!("<!-- Written by `{command}`. Do not edit. -->\n\n# How often pgmedic is right\n"),
        made(accuracy, command),
        "## One fault at a time\n".to_owned(),
        sums(accuracy),
        causes(accuracy),
        "## Two faults at once\n".to_owned(),
        pairs(accuracy),
        "## Nothing wrong\n".to_owned(),
        healthy(&accuracy.healthy),
        "## Causes without a drill\n".to_owned(),
        without_drill(),
        missed(accuracy),
    ]
    .into_iter()
    .filter(|part| !part.is_empty())
    .collect::<Vec<_>>()
    .join("\n")
}

/// How the page was made: from what the runs say of themselves.
fn made(accuracy: &Accuracy, command: &str) -> String {
    let runs = accuracy.runs().map(|(_, ran)| ran).chain(std::iter::once(&accuracy.healthy));
    let all: Vec<_> = runs.filter_map(|ran| ran.document.as_ref().ok()).map(|d| &d.made).collect();
    let Some(first) = all.first() else { return "No run wrote anything.\n".to_owned() };
    let days: Vec<&str> = all.iter().map(|made| made.at.get(..10).unwrap_or_default()).collect();
    let (from, to) = (days.iter().min().copied(), days.iter().max().copied());
    let days = if from == to {
        from.unwrap_or_default().to_owned()
    } else {
        format!("{} to {}", from.unwrap_or_default(), to.unwrap_or_default())
    };
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (part, version) in all.iter().flat_map(|made| &made.versions) {
        let known = versions.entry(part).or_default();
        if !known.contains(&version.as_str()) {
            known.push(version);
        }
    }
    let versions = versions.iter().map(|(part, known)| format!("{part} {}", known.join(", ")));
    let machine = &first.machine;
    format!(
        "Made by `{command}` on {days}, {} cores, {} MB of memory, {}. Parts: {}. Each drill is a process of its own: a \
         throwaway lab of real parts, the fault, one walk with a timeout of 3 s, the fault away, and the service well \
         again. The time is that of the walk and its diagnosis.\n",
        machine.cores,
        machine.memory_mb,
        machine.system,
        versions.collect::<Vec<_>>().join("; "),
    )
}

/// A line of counts for each version.
fn sums(accuracy: &Accuracy) -> String {
    let mut text = table(&[
        "Postgres",
        "faults",
        "found as expected",
        "missed",
        "false roots",
        "median time",
        "longest",
        "not run",
    ]);
    for edition in &accuracy.editions {
        let drills: Vec<&Drill> = edition.drills.iter().filter_map(Ran::drill).collect();
        let unable = drills.iter().filter(|d| d.status != "passed" && d.status != "failed").count();
        let found = drills.iter().filter(|d| d.status == "passed").count();
        let missed = edition.drills.iter().filter(|ran| ran.miss().is_some()).count();
        let false_roots: usize = drills.iter().map(|drill| false_roots(drill)).sum();
        let mut spans: Vec<f64> = drills.iter().filter_map(|drill| drill.check_ms).collect();
        spans.sort_by(f64::total_cmp);
        let median = spans.get(spans.len() / 2).copied();
        text += &row(&[
            edition.major.clone(),
            edition.drills.len().to_string(),
            found.to_string(),
            missed.to_string(),
            false_roots.to_string(),
            median.map_or_else(String::new, span),
            spans.last().copied().map_or_else(String::new, span),
            unable.to_string(),
        ]);
    }
    text
}

/// Roots that a drill should not have evoked. One that breaks two things has two, and passes with no others.
fn false_roots(drill: &Drill) -> usize {
    if drill.status == "passed" {
        return 0;
    }
    drill.roots.iter().filter(|root| **root != drill.expected).count()
}

/// The causes that a drill proves, by version.
fn causes(accuracy: &Accuracy) -> String {
    let majors = accuracy.editions.iter().map(|edition| edition.major.clone());
    let heads: Vec<String> = ["room", "cause"].map(str::to_owned).into_iter().chain(majors).collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let mut text = table(&heads);
    for cause in rooms::causes().filter(|cause| cause.proof == Proof::Drill) {
        let cells = accuracy.editions.iter().map(|edition| {
            let ran = edition.drills.iter().find(|ran| ran.name == cause.id);
            ran.map_or_else(|| "no drill ran".to_owned(), cell)
        });
        let name = format!("[{}](causes/{}.md)", cause.id, cause.id);
        text += &row(&[cause.room.to_string(), name].into_iter().chain(cells).collect::<Vec<_>>());
    }
    text
}

/// One drill on one version.
fn cell(ran: &Ran) -> String {
    let Some(drill) = ran.drill() else { return "**crashed**".to_owned() };
    let time = drill.check_ms.map_or_else(String::new, span);
    match drill.status.as_str() {
        "passed" if drill.role == "root" => format!("root, {time}"),
        "passed" => format!("{} to {}, {time}", drill.role, drill.expected),
        "failed" if drill.roots.is_empty() => "**missed**".to_owned(),
        "failed" if drill.roots == [drill.drill.as_str()] => format!("**failed**, root, {time}"),
        "failed" => format!("**missed**: {}", drill.roots.join(", ")),
        other => other.to_owned(),
    }
}

/// The pairs, version by version.
fn pairs(accuracy: &Accuracy) -> String {
    let mut text = "Of two faults at once each must be a root of its own, or be explained by the other, or stand behind \
                    it where no way in and no window leads: then the one that hides it is named, and no other root.\n\n"
        .to_owned();
    text += &table(&[
        "Postgres",
        "pairs",
        "both are roots",
        "one explains the other",
        "one hides the other",
        "missed",
        "false roots",
        "cannot last together",
    ]);
    let with_pairs: Vec<&Edition> = accuracy.editions.iter().filter(|e| !e.pairs.is_empty()).collect();
    for edition in &with_pairs {
        let pairs: Vec<&Pair> = edition.pairs.iter().filter_map(Ran::pair).collect();
        let passed = || pairs.iter().filter(|pair| pair.status == "passed");
        let with = |words: &[&str]| {
            passed().filter(|pair| pair.faults.iter().any(|f| words.contains(&f.came_out.as_str()))).count()
        };
        let (hidden, explained) = (with(&["hidden"]), with(&["symptom", "contributing"]));
        text += &row(&[
            edition.major.clone(),
            edition.pairs.len().to_string(),
            (passed().count() - hidden - explained).to_string(),
            explained.to_string(),
            hidden.to_string(),
            edition.pairs.iter().filter(|ran| ran.miss().is_some()).count().to_string(),
            pairs.iter().map(|pair| pair.false_roots.len()).sum::<usize>().to_string(),
            pairs.iter().filter(|pair| pair.status == "apart").count().to_string(),
        ]);
    }
    let Some(newest) = with_pairs.last() else { return text };
    text += "\n";
    let majors = with_pairs.iter().map(|edition| edition.major.as_str());
    text += &table(&["one", "the other"].into_iter().chain(majors).collect::<Vec<_>>());
    for (n, ran) in newest.pairs.iter().enumerate() {
        let (a, b) = ran.name.split_once('+').unwrap_or((ran.name.as_str(), ""));
        let cells = with_pairs.iter().map(|edition| edition.pairs.get(n).map_or_else(String::new, pair_cell));
        text += &row(&[a.to_owned(), b.to_owned()].into_iter().chain(cells).collect::<Vec<_>>());
    }
    text
}

/// One pair on one version.
fn pair_cell(ran: &Ran) -> String {
    let Some(pair) = ran.pair() else { return "**crashed**".to_owned() };
    let time = pair.check_ms.map_or_else(String::new, span);
    match pair.status.as_str() {
        "passed" => {
            let beside: Vec<String> = pair.faults.iter().filter_map(beside).collect();
            if beside.is_empty() { format!("both, {time}") } else { format!("{}, {time}", beside.join(", ")) }
        }
        "failed" => {
            let missed =
                pair.faults.iter().filter(|fate| fate.came_out == "missed").map(|fate| fate.drill.as_str());
            let wrong = pair.false_roots.iter().map(String::as_str);
            let missed: Vec<&str> = missed.chain(wrong).collect();
            format!("**missed**: {}", missed.join(", "))
        }
        "apart" => pair.detail.clone().unwrap_or_default(),
        other => other.to_owned(),
    }
}

/// A fault that is no root, in a clause.
fn beside(fate: &Fate) -> Option<String> {
    let behind = fate.behind.as_deref().unwrap_or_default();
    match fate.came_out.as_str() {
        "root" => None,
        "hidden" => Some(format!("{behind} hides {}", fate.drill)),
        "symptom" => Some(format!("{behind} explains {}", fate.drill)),
        _ => Some(format!("{} contributes to {behind}", fate.drill)),
    }
}

/// The healthy checks.
fn healthy(ran: &Ran) -> String {
    let rows = ran.rows();
    let (checks, alarms) = rows.iter().fold((0, 0), |(c, a), row| (c + row.checks, a + row.alarms.len()));
    let postgres = ran.document.as_ref().ok().and_then(|d| d.made.versions.get("postgres").cloned());
    let mut text = format!(
        "{checks} checks of a healthy service under load on Postgres {}, in one process, one after another: \
         **{alarms} false alarms**. Whatever a check finds there counts as one.\n\n",
        postgres.unwrap_or_default()
    );
    text += &table(&[
        "between the API and the server",
        "checks",
        "false alarms",
        "median",
        "99 %",
        "longest",
        "meanwhile",
    ]);
    for r in rows {
        let load = r.load.iter().flatten().map(|(what, n)| format!("{n} {}", what.replace('_', " ")));
        text += &row(&[
            r.layout.clone(),
            r.checks.to_string(),
            r.alarms.len().to_string(),
            span(r.check_ms.median),
            span(r.check_ms.p99),
            span(r.check_ms.max),
            load.collect::<Vec<_>>().join(", "),
        ]);
    }
    text
}

/// The causes that no real fault proves here, and why.
fn without_drill() -> String {
    let list: Vec<&Cause> = rooms::causes().filter(|cause| cause.proof != Proof::Drill).collect();
    let mut text = format!(
        "{} causes are proved on recorded or scripted evidence alone, and are counted nowhere above.\n\n",
        list.len()
    );
    text += &table(&["room", "cause", "why"]);
    for cause in list {
        let Proof::None(why) = cause.proof else { continue };
        text += &row(&[
            cause.room.to_string(),
            format!("[{}](causes/{}.md)", cause.id, cause.id),
            why.to_owned(),
        ]);
    }
    text
}

/// What went wrong, in words.
fn missed(accuracy: &Accuracy) -> String {
    let misses = accuracy.misses();
    if misses.is_empty() {
        return String::new();
    }
    let lines = misses.iter().map(|miss| format!("- {}\n", miss.replace('\n', " ")));
    format!("## Missed\n\n{}", lines.collect::<String>())
}

/// A table's head.
fn table(heads: &[&str]) -> String {
    format!("| {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len()))
}

/// A table's row. A bar in a cell would end it.
fn row(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// Milliseconds as people read them.
fn span(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.2} s", ms / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(name: &str, body: &str) -> Ran {
        let made = r#""made": { "at": "2026-11-23T17:00:00Z", "command": "pgmedic drill x",
            "machine": { "cores": 2, "memory_mb": 4000, "system": "Linux 6.1" }, "versions": { "postgres": "15.18" } }"#;
        let parts =
            ["drills", "pairs", "healthy"].iter().filter(|part| !body.contains(&format!("\"{part}\"")));
        let rest: String = parts.map(|part| format!(", \"{part}\": []")).collect();
        let document = serde_json::from_str(&format!("{{ {made}, {body}{rest} }}"));
        Ran { name: name.to_owned(), document: document.map_err(|e: serde_json::Error| e.to_string()) }
    }

    fn drill(name: &str, status: &str, roots: &str) -> Ran {
        ran(
            name,
            &format!(
                r#""drills": [{{ "drill": "{name}", "status": "{status}", "expected": "{name}", "role": "root",
               "roots": [{roots}], "check_ms": 12.4, "detail": "as it was" }}]"#
            ),
        )
    }

    fn of(drills: Vec<Ran>, pairs: Vec<Ran>, alarms: &str) -> Accuracy {
        let healthy = ran(
            "healthy",
            &format!(
                r#""healthy": [{{ "layout": "through a proxy", "checks": 7, "alarms": [{alarms}],
               "check_ms": {{ "median": 9.0, "p99": 20.0, "max": 1500.0 }}, "load": {{ "lock_waits_seen": 3 }},
               "detail": null }}]"#
            ),
        );
        Accuracy { editions: vec![Edition { major: "15".to_owned(), drills, pairs }], healthy }
    }

    const HIDDEN: &str = r#""pairs": [{ "pair": ["name-not-found", "wrong-password"], "status": "passed",
        "faults": [{ "drill": "name-not-found", "came_out": "root", "behind": null },
                   { "drill": "wrong-password", "came_out": "hidden", "behind": "name-not-found" }],
        "false_roots": [], "check_ms": 1234.0, "detail": null }]"#;

    #[test]
    fn what_was_found_stands_on_the_page_with_its_time() {
        let all = of(
            vec![drill("name-not-found", "passed", "\"name-not-found\"")],
            vec![ran("name-not-found+wrong-password", HIDDEN)],
            "",
        );
        let page = render(&all, false);
        assert!(
            page.contains("| dns | [name-not-found](causes/name-not-found.md) | root, 12 ms |"),
            "{page}"
        );
        assert!(page.contains("| 15 | 1 | 1 | 0 | 0 | 12 ms | 12 ms | 0 |"), "{page}");
        assert!(page.contains("| name-not-found hides wrong-password, 1.23 s |"), "{page}");
        assert!(page.contains("| 15 | 1 | 0 | 0 | 1 | 0 | 0 | 0 |"), "{page}");
        assert!(page.contains("7 checks") && page.contains("**0 false alarms**"), "{page}");
        assert!(page.contains("2 cores, 4000 MB of memory, Linux 6.1. Parts: postgres 15.18"), "{page}");
        assert!(all.misses().is_empty() && !page.contains("## Missed"));
    }

    #[test]
    fn what_was_missed_is_said_and_counted() {
        let alarm = r#"{ "check": 3, "report": { "status": "warning",
            "findings": [{ "cause": "idle-sessions", "summary": "a | b" }] } }"#;
        let crashed = Ran { name: "role-missing".to_owned(), document: Err("it said nothing".to_owned()) };
        let all =
            of(vec![drill("name-not-found", "failed", "\"resolver-silent\""), crashed], Vec::new(), alarm);
        assert_eq!(all.misses().len(), 3, "{:?}", all.misses());
        let page = render(&all, true);
        assert!(page.contains("**missed**: resolver-silent") && page.contains("**crashed**"), "{page}");
        assert!(page.contains("| 15 | 2 | 0 | 2 | 1 |"), "{page}");
        assert!(page.contains("false alarm through a proxy, check 3: warning: idle-sessions: a"), "{page}");
    }
}
