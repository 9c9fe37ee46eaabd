//! `no-own-role`: pgmedic has no role of its own that gets in and sees when it matters.

use crate::audit::view::View;
use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::{AuditFinding, Change, Confidence, Nearness, Needs, ObjectKind, Risk};

weakness! {
    /// pgmedic has no role of its own: when the slots are full it is refused with the API, or does not see who holds them.
    ///
    /// ## What it is
    /// pgmedic needs `pg_monitor` (to see every session) and, for `fix`, `pg_signal_backend` (to end one that is no
    /// superuser's). The API's role has neither, and a superuser is more than it needs. A connection limit keeps any monitor
    /// from becoming the problem.
    ///
    /// ## What breaks
    /// At 3 a.m. the diagnosis says what it could not see.
    ///
    /// ## What proves it
    /// The role that this audit went in by: what it may see and do, and whether a `rescue` role is configured.
    ///
    /// ## What mends it
    /// The statements of the audit make the role `pgmedic`: it has no password yet (`\password pgmedic` in psql), and does
    /// nothing until `pgmedic.toml` names it in `rescue` (or `database`, with the API's role in `[service.budget]`). From 16 on
    /// `reserved_connections` with `pg_use_reserved_connections` keeps it a slot; before, only a superuser has one.
    ///
    /// ## References
    /// Postgres manual: "Predefined Roles", "CREATE ROLE", `reserved_connections` (16+).
    "no-own-role" in Admission, proved by Proof::Drill;
}

/// The role that is advised.
const OWN: &str = "pgmedic";

fn find(e: &Evidence) -> Option<AuditFinding> {
    let view = View::of(e)?;
    let me = &view.facts.me;
    let sees = me.sees_all && me.may_signal && !me.superuser;
    if sees || e.rescue_configured {
        return None;
    }
    let lacks = match (me.superuser, me.sees_all) {
        (true, _) => "is a superuser, more than a monitor needs",
        (_, false) => "may not see other roles' sessions",
        _ => "may not end other roles' sessions",
    };
    let summary = format!("pgmedic goes in as {}, which {lacks}, and no rescue role is configured", me.role);
    let fact = view.fact(
        "pg_roles",
        format!(
            "{}: superuser {}, sees all {}, may signal {}",
            me.role, me.superuser, me.sees_all, me.may_signal
        ),
    );
    let name = changes::person(
        ObjectKind::File,
        "pgmedic.toml",
        "rescue",
        ("none", "\"env:RESCUE_DATABASE_URL\""),
        format!("\\password {OWN} in psql; then rescue = \"env:RESCUE_DATABASE_URL\", a URL of role {OWN}"),
        Needs::Nothing,
    );
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, summary, fact)
            .weighs(pgmedic_model::Severity::Warning, Confidence::Certain)
            .breaks(
                Nearness::Load,
                "with the slots full pgmedic is refused like the API, and does not see who holds them",
            )
            .mended_by(make(&view))
            .mended_by([name]),
    )
}

/// The statements that make the role, as far as it is not there.
fn make(view: &View<'_>) -> Vec<Change> {
    let there = view.role(OWN);
    let sql = |setting: &str, values: (&str, &str), statement: String, undo: String| {
        changes::sql(changes::role(OWN), setting, values, statement, undo, Needs::Nothing, Risk::Adds)
    };
    let mut all = Vec::new();
    if there.is_none() {
        all.push(sql(
            "role",
            ("missing", "login, connection limit 5"),
            format!("create role {OWN} login connection limit 5"),
            format!("drop role {OWN}"),
        ));
    }
    for (right, has) in [
        ("pg_monitor", there.is_some_and(|r| r.monitors)),
        ("pg_signal_backend", there.is_some_and(|r| r.signals)),
    ] {
        if !has {
            let (grant, revoke) = (format!("grant {right} to {OWN}"), format!("revoke {right} from {OWN}"));
            all.push(sql(right, ("not granted", "granted"), grant, revoke));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::view::tests::audited;
    use crate::evidence::{QueryEvidence, QueryOutcome};

    #[test]
    fn no_own_role_is_made_once() {
        let with = |rescue: bool, made: bool, signals: bool| {
            let mut e = audited(|told| told.roles.retain(|r| made || r.name != "pgmedic"));
            e.rescue_configured = rescue;
            if let Some(QueryEvidence { outcome: QueryOutcome::Answered(facts), .. }) = &mut e.front.query {
                facts.me.may_signal = signals;
            }
            find(&e)
        };
        assert!(with(true, false, false).is_none() && with(false, true, true).is_none());
        let statements = |f: AuditFinding| f.changes.into_iter().map(|c| c.statement).collect::<Vec<_>>();
        let made = statements(with(false, false, false).unwrap());
        assert_eq!(made[0], "create role pgmedic login connection limit 5");
        assert_eq!(made[1..3], ["grant pg_monitor to pgmedic", "grant pg_signal_backend to pgmedic"]);
        assert_eq!(statements(with(false, true, false).unwrap()).len(), 1, "only to be named");
    }
}
