//! A CONNECTION LIMIT of a role or a database that is used up: what both have in common.
//! Not in here: `max_connections` and its reserves (`slots`).

use crate::evidence::Evidence;
use crate::paste::{identifier, psql};
use crate::rooms::admission::slots;
use crate::said;
use crate::sql::facts::{AdmissionFacts, LimitFacts, SqlFacts};
use pgmedic_model::pooler_words::Words;
use pgmedic_model::{
    Action, Confidence, Fact, Finding, LimitOf, RemedyKind, RemedyPlan, Room, Severity, Source, Timestamp,
};

/// Whose limit.
pub(crate) struct Limited {
    /// The cause's id.
    pub(crate) id: &'static str,
    /// `role` or `database`, as ALTER calls it.
    pub(crate) what: &'static str,
    /// The column of pg_stat_activity that counts against it.
    pub(crate) column: &'static str,
    /// The refusal's words.
    pub(crate) words: Words,
    /// The service's own role or database.
    pub(crate) own: fn(&Evidence) -> &str,
    /// The one that the asking session is of.
    pub(crate) asking: fn(&SqlFacts) -> &str,
    /// The limits in the server's account.
    pub(crate) limits: fn(&AdmissionFacts) -> &[LimitFacts],
}

/// The service is refused by its limit (critical), or another role or database is at its own (warning).
pub(crate) fn judge(e: &Evidence, limited: &Limited) -> Option<Finding> {
    let name = (limited.own)(e);
    let refused = said::errors(e).find(|s| s.to_the_service() && s.says(limited.words));
    let Some(refused) = refused else { return another_at_its_limit(e, limited) };
    let view = e.told().and_then(|(facts, at, place)| {
        let limit = counted(limited, facts).into_iter().find(|l| l.name == name && l.limit >= 0);
        limit.map(|l| (l, at, place))
    });
    let quoted = identifier(name);
    let summary = view.as_ref().map_or_else(
        || {
            format!(
                "{} {quoted} has used up its CONNECTION LIMIT; how high that is cannot be seen from outside",
                limited.what
            )
        },
        |(l, _, _)| {
            format!(
                "{} {quoted} has used up its CONNECTION LIMIT: {} of {} sessions",
                limited.what, l.used, l.limit
            )
        },
    );
    let mut finding = Finding::new(
        limited.id,
        Room::Admission,
        Severity::Critical,
        Confidence::Certain,
        summary,
        refused.fact(),
    )
    .and_all(view.as_ref().map(|(l, at, place)| fact(limited, l, *at, place)))
    .mended_by(look(e, limited, name));
    if let Some((l, _, _)) = &view {
        finding = finding.mended_by(raise(e, limited, l));
    }
    Some(finding)
}

/// The limits with their use, pgmedic's own sessions left out.
fn counted(limited: &Limited, facts: &SqlFacts) -> Vec<LimitFacts> {
    let mut limits = (limited.limits)(&facts.admission).to_vec();
    for l in limits.iter_mut().filter(|l| l.name == (limited.asking)(facts)) {
        l.used = l.used.saturating_sub(facts.admission.own);
    }
    limits
}

fn another_at_its_limit(e: &Evidence, limited: &Limited) -> Option<Finding> {
    let (facts, at, place) = e.told()?;
    // A limit of 0 is a fence that someone put up, -1 is none, -2 an invalid database.
    let full = |l: &LimitFacts| l.limit > 0 && i64::try_from(l.used).is_ok_and(|n| n >= l.limit);
    let full = &counted(limited, facts).into_iter().find(full)?;
    let summary = format!(
        "{} {} has used up its CONNECTION LIMIT ({} sessions): its next login is refused",
        limited.what,
        identifier(&full.name),
        full.limit
    );
    let proof = fact(limited, full, at, place);
    Some(
        Finding::new(limited.id, Room::Admission, Severity::Warning, Confidence::Certain, summary, proof)
            .mended_by(look(e, limited, &full.name))
            .mended_by(raise(e, limited, full)),
    )
}

fn fact(limited: &Limited, l: &LimitFacts, at: Timestamp, place: &str) -> Fact {
    let text = format!(
        "{} {}: {} sessions, CONNECTION LIMIT {}",
        limited.what,
        identifier(&l.name),
        l.used,
        l.limit
    );
    Fact::new(Source::Sql, at, place, text).value(l.used)
}

fn look(e: &Evidence, limited: &Limited, name: &str) -> RemedyPlan {
    let sql = format!(
        "select application_name, client_addr, state, count(*), max(now() - state_change) as longest from \
         pg_stat_activity where {} = {} group by 1, 2, 3 order by 4 desc",
        limited.column,
        crate::paste::literal(name)
    );
    RemedyPlan::by_hand(
        "see-who-holds-slots",
        RemedyKind::Advice,
        format!("see whose sessions of this {} they are: a leak is mended in its application", limited.what),
        psql(e, &sql),
    )
}

/// A quarter more, and at least five: it takes effect at once, for the next login.
fn raise(e: &Evidence, limited: &Limited, l: &LimitFacts) -> RemedyPlan {
    let higher = (l.limit + (l.limit / 4).max(5)).min(i64::from(i32::MAX));
    let sql = format!("alter {} {} connection limit {higher}", limited.what, identifier(&l.name));
    let raise = RemedyPlan::by_hand(
        if limited.what == "role" { "raise-role-limit" } else { "raise-database-limit" },
        RemedyKind::Settings,
        format!(
            "raise the limit from {} to {higher}, if the ordinary slots have room for it; no restart",
            l.limit
        ),
        psql(e, &sql),
    );
    // More sessions for one role are fewer for the others: where the ordinary slots have no room for them, a person decides.
    let room =
        slots::count(e).is_some_and(|s| i64::try_from(s.free()).is_ok_and(|free| free >= higher - l.limit));
    let of = if limited.what == "role" { LimitOf::Role } else { LimitOf::Database };
    let action = Action::RaiseLimit { of, name: l.name.clone(), from: l.limit, to: higher };
    // A limit of 0 is a fence that somebody put up: they are asked first.
    if room && l.limit > 0 { raise.doing(action) } else { raise }
}
