//! An audit: evidence in, weaknesses out, nearest first, each with what mends it. Pure, as a diagnosis is.
//!
//! A weakness is no cause: it breaks nothing yet, so that it has no drill and no place among the roles of a diagnosis, and
//! it is mended by changes (a statement with its undo, a line, a decision), not by remedies. What is broken already
//! (`diagnose`) and what the next start would end at (`latent`) stand in an audit by their own ids. Not in here: asking
//! (`walk`, `sql::audit`), and how a report or a script is written (`cli`).

pub(crate) mod budget;
pub(crate) mod changes;
pub mod facts;
pub mod growth;
pub(crate) mod view;
pub mod weaknesses;

use crate::cause::Proof;
use crate::evidence::{Evidence, Seen};
use crate::{diagnose, latent, report};
use pgmedic_model::{
    AuditFinding, AuditReport, By, Change, Finding, Nearness, Needs, Object, ObjectKind, Risk, Role, Room,
    Severity, Status,
};

/// A way in which a service that is well will lose its database, or lose more than it must.
pub struct Weakness {
    /// The id: the file's name, the page's name.
    pub id: &'static str,
    /// The room it is in.
    pub room: Room,
    /// The page in Markdown: first a sentence, then the fixed headings.
    pub page: &'static str,
    /// How it is proved: `Drill` stands for the test on a real server.
    pub proof: Proof,
    /// Finds it in the evidence, or does not. Pure: no I/O, no clock.
    pub find: fn(&Evidence) -> Option<AuditFinding>,
}

impl Weakness {
    /// The headings that every page has, in this order.
    pub const HEADINGS: [&'static str; 5] =
        ["What it is", "What breaks", "What proves it", "What mends it", "References"];

    /// The page's first sentence.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.page.trim_start().lines().next().unwrap_or_default().trim()
    }
}

/// Declares a file's weakness, as `cause!` does a cause. The file has `fn find(e: &Evidence) -> Option<AuditFinding>`.
macro_rules! weakness {
    ($(#[doc = $page:expr])* $id:literal in $room:ident, proved by $proof:expr;) => {
        $(#[doc = $page])*
        pub static WEAKNESS: crate::audit::Weakness = crate::audit::Weakness {
            id: $id,
            room: pgmedic_model::Room::$room,
            page: concat!($($page, "\n"),*),
            proof: $proof,
            find,
        };
    };
}
pub(crate) use weakness;

/// The audit of what a walk saw. The verdict is the worst severity; unknown where nothing was found because too little was
/// seen.
#[must_use]
pub fn audit(e: &Evidence) -> AuditReport {
    let mut findings: Vec<AuditFinding> =
        diagnose(e).iter().filter(|f| f.role == Role::Root).map(|f| broken(f, Nearness::Now)).collect();
    findings.extend(latent(e).iter().map(|f| broken(f, Nearness::Restart)));
    findings.extend(weaknesses::all().filter_map(|weakness| (weakness.find)(e)));
    findings.sort_by_key(|f| {
        (
            f.nearness,
            f.breaks_at.unwrap_or(pgmedic_model::Timestamp(i64::MAX)),
            std::cmp::Reverse(f.severity),
            f.room,
        )
    });
    let status = match findings.iter().map(|f| f.severity).max() {
        Some(Severity::Critical) => Status::Critical,
        Some(Severity::Warning) => Status::Warning,
        None if e.facts().is_none() || e.audit.get().is_none() => Status::Unknown,
        None => Status::Ok,
    };
    AuditReport {
        schema: AuditReport::SCHEMA.to_owned(),
        service: e.service.clone(),
        target: e.target.url.clone(),
        started_at: e.started_at,
        elapsed_ms: e.elapsed_ms,
        status,
        findings,
        budget: budget::sum(e),
        forecast: growth::forecasts(e),
        unseen: unseen(e),
    }
}

/// What a diagnosis found, in an audit's words: its remedies are a person's, or `pgmedic fix`'s.
fn broken(f: &Finding, nearness: Nearness) -> AuditFinding {
    let proof = f.evidence.first().cloned();
    let (severity, what) = match nearness {
        Nearness::Restart => (Severity::Critical, "the server does not come up again"),
        _ => (f.severity, "it is so now: pgmedic check tells more"),
    };
    let change = |r: &pgmedic_model::RemedyPlan| Change {
        object: Object { kind: ObjectKind::Service, name: String::new() },
        setting: r.remedy.clone(),
        current: String::new(),
        advised: r.plan.clone(),
        by: By::Person,
        statement: r.command.clone(),
        undo: String::new(),
        needs: Needs::Nothing,
        risk: Risk::Limits,
        note: String::new(),
    };
    let fallback = || pgmedic_model::Fact::new(pgmedic_model::Source::Sql, Default::default(), "", "");
    let mut found = AuditFinding::new(&f.cause, f.room, f.summary.clone(), proof.unwrap_or_else(fallback))
        .breaks(nearness, what)
        .weighs(severity, f.confidence)
        .mended_by(f.remedies.iter().map(change));
    found.evidence.extend(f.evidence.iter().skip(1).cloned());
    found
}

/// What could not be seen: what a check could not, and what the audit asked for besides.
fn unseen(e: &Evidence) -> Vec<String> {
    let mut list = report::unseen(e);
    let mut add = |what: &str, why: &str| list.push(format!("{what}: {why}"));
    if let Seen::NotSeen(why) = &e.audit {
        add("settings and roles", why);
    }
    match &e.preflight {
        Seen::NotSeen(why) => add("the next start", why),
        Seen::Seen(ahead) => {
            if let Seen::NotSeen(why) = &ahead.hba {
                add("pg_hba.conf", why);
            }
            if let Seen::NotSeen(why) = &ahead.settings {
                add("the configuration files", why);
            }
        }
    }
    if let (Some(role), Seen::Seen(told)) = (&e.budget.role, &e.audit)
        && told.role(role).is_none()
    {
        add("the API's role", &format!("{role} of [service.budget] is none that may log in here"));
    }
    if let Some(why) = budget::unknown(e) {
        add("connection budget", &why);
    }
    list
}
