//! One line on stderr for whatever happens, for a person or as JSON. A thread writes it: a stderr that nobody reads delays
//! no look. Not in here: what happens (`pgmedic_watch::engine::News`).

use crate::args::LogFormat;
use crate::output;
use crate::render::json::plain;
use crate::render::text::visible;
use pgmedic_model::{Severity, StepOutcome, Timestamp};
use pgmedic_path::clock;
use pgmedic_watch::alerts::Told;
use pgmedic_watch::engine::News;
use pgmedic_watch::incident::{Act, Change, Incident};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Lines that wait to be written; those beyond are counted, and lost.
const BACKLOG: usize = 1024;
/// How long the last lines have.
const LAST: Duration = Duration::from_millis(200);

/// Who writes.
#[derive(Debug)]
pub(super) struct Teller {
    format: LogFormat,
    lines: SyncSender<Line>,
    lost: AtomicU64,
}

#[derive(Debug)]
enum Line {
    Text(String),
    /// Everything before it is written when this is answered.
    Flush(SyncSender<()>),
}

impl Teller {
    pub(super) fn new(format: LogFormat) -> Self {
        let (lines, read) = sync_channel(BACKLOG);
        // Without a thread the lines are lost, and the watch goes on.
        let _none = std::thread::Builder::new().name("stderr".to_owned()).spawn(move || write(&read));
        Self { format, lines, lost: AtomicU64::new(0) }
    }

    pub(super) fn tell(&self, news: &News<'_>) {
        let now = clock::now();
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            self.send(
                self.line(now, &News::Trouble(&format!("{lost} line(s) could not be written to stderr"))),
            );
        }
        self.send(self.line(now, news));
    }

    fn send(&self, line: String) {
        if self.lines.try_send(Line::Text(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits for a moment until everything is written.
    pub(super) fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.lines.try_send(Line::Flush(done)).is_ok() {
            let _late = written.recv_timeout(LAST);
        }
    }

    fn line(&self, now: Timestamp, news: &News<'_>) -> String {
        match self.format {
            LogFormat::Human => format!("{now} {}\n", visible(&human(news))),
            LogFormat::Json => {
                let mut value = machine(news);
                if let Value::Object(members) = &mut value {
                    members.insert("schema".to_owned(), json!("pgmedic.log/1"));
                    members.insert("at".to_owned(), json!(now));
                }
                format!("{}\n", plain(&value.to_string()))
            }
        }
    }
}

fn write(lines: &Receiver<Line>) {
    while let Ok(line) = lines.recv() {
        match line {
            Line::Text(text) => output::stderr(&text),
            Line::Flush(done) => {
                // Whoever waited has left.
                let _gone = done.try_send(());
            }
        }
    }
}

fn human(news: &News<'_>) -> String {
    match news {
        News::Started { services, listen, open } => {
            let at = listen.map_or(String::new(), |at| format!(", http://{at}"));
            let open = if *open == 0 { String::new() } else { format!(", {open} incident(s) open") };
            format!("watching {services} service(s){at}{open}")
        }
        News::Incident(change, incident) => of_incident(*change, incident),
        News::Acted(id, act) => {
            let Act { remedy, target, detail, by, .. } = act;
            let word = act.outcome.map_or("begun", outcome);
            format!("{word} {id} {}: {remedy} on {target}, by {by}: {detail}", act.service)
        }
        News::Fixed { incident, service, summary } => format!("fixed {incident} {service}: {summary}"),
        News::Held(incident, why) => format!("held {} {}: {why}", incident.id, incident.service),
        News::Alert(told) => {
            format!("alert {} {} {}: {}", word(told.told), told.incident, told.receiver, told.words)
        }
        News::Reloaded { added, removed, changed, later } => {
            let later = if later.is_empty() {
                String::new()
            } else {
                format!("; at the next start: {}", later.join(", "))
            };
            format!("reloaded: {added} service(s) added, {removed} removed, {changed} changed{later}")
        }
        News::Refused(why) => format!("the configuration is refused, and the one before stays: {why}"),
        News::Trouble(why) => format!("trouble: {why}"),
        News::Stopping => "ending".to_owned(),
    }
}

fn of_incident(change: Change, incident: &Incident) -> String {
    let Incident { id, cause, service, summary, .. } = incident;
    let severity = severity(incident.severity);
    let more = match incident.services.len() {
        0 | 1 => String::new(),
        many => format!(" and {} more", many - 1),
    };
    let proof = match (change, &incident.proof) {
        (Change::Closed, Some(proof)) => format!(" ({proof})"),
        _ => String::new(),
    };
    format!("{} {id} {severity} {cause} {service}{more}: {summary}{proof}", changed(change))
}

fn machine(news: &News<'_>) -> Value {
    match news {
        News::Started { services, listen, open } => {
            json!({ "event": "started", "services": services, "listen": listen, "open": open })
        }
        News::Incident(change, incident) => json!({
            "event": changed(*change), "incident": incident.id, "severity": severity(incident.severity),
            "cause": incident.cause, "service": incident.service, "services": incident.services.len(),
            "summary": incident.summary, "flaps": incident.flaps, "escalated": incident.escalated,
        }),
        News::Acted(id, act) => json!({
            "event": "act", "incident": id, "service": act.service, "remedy": act.remedy, "kind": act.kind.as_str(),
            "target": act.target, "outcome": act.outcome, "detail": act.detail, "by": act.by,
        }),
        News::Fixed { incident, service, summary } => {
            json!({ "event": "fixed", "incident": incident, "service": service, "summary": summary })
        }
        News::Held(incident, why) => {
            json!({ "event": "held", "incident": incident.id, "service": incident.service, "why": why })
        }
        News::Alert(told) => json!({
            "event": "alert", "incident": told.incident, "receiver": told.receiver, "outcome": word(told.told),
            "words": told.words,
        }),
        News::Reloaded { added, removed, changed, later } => {
            json!({ "event": "reloaded", "added": added, "removed": removed, "changed": changed, "later": later })
        }
        News::Refused(why) => json!({ "event": "refused", "why": why }),
        News::Trouble(why) => json!({ "event": "trouble", "why": why }),
        News::Stopping => json!({ "event": "stopping" }),
    }
}

const fn changed(change: Change) -> &'static str {
    match change {
        Change::Opened => "opened",
        Change::Updated => "updated",
        Change::Closed => "closed",
    }
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

const fn outcome(outcome: StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Applied => "applied",
        StepOutcome::Refused => "refused",
        StepOutcome::Failed => "failed",
        StepOutcome::NotNeeded => "not needed",
    }
}

const fn word(told: Told) -> &'static str {
    match told {
        Told::Sent => "sent",
        Told::Retried => "retried",
        Told::Lost => "lost",
    }
}
