//! `role-unlimited`: the API's role may take every slot.

use crate::audit::view::View;
use crate::audit::{budget, changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::identifier;
use pgmedic_model::{AuditFinding, Confidence, Nearness, Needs, Risk, Severity};

weakness! {
    /// The API's role has no CONNECTION LIMIT: it may take every ordinary slot.
    ///
    /// ## What it is
    /// Without a limit of its own a role may open connections until `max_connections` less the reserves are taken, whoever
    /// else needs one.
    ///
    /// ## What breaks
    /// At the next leak or scale-out of the API everybody else is refused as well: migrations, exporters, other services,
    /// pgmedic's own look.
    ///
    /// ## What proves it
    /// `pg_roles.rolconnlimit = -1`, or a limit that leaves nothing for the others.
    ///
    /// ## What mends it
    /// `alter role … connection limit N`: what the budget says that the API needs, or what leaves room for the others. A
    /// superuser is exempt from it. Sessions that are open stay open.
    ///
    /// ## References
    /// Postgres manual: "ALTER ROLE" (CONNECTION LIMIT); `pg_roles`.
    "role-unlimited" in Admission, proved by Proof::Drill;
}

/// What stays free at least.
const LEAST_KEPT: u64 = 3;

fn find(e: &Evidence) -> Option<AuditFinding> {
    let view = View::of(e)?;
    let ordinary = view.facts.admission.ordinary();
    let kept = budget::kept_for_others(&view).max(LEAST_KEPT).max(ordinary / 10);
    let most = ordinary.saturating_sub(kept).max(1);
    let free = |limit: i64| u64::try_from(limit).map_or(true, |limit| limit >= ordinary);
    let roles: Vec<_> =
        view.api_roles().into_iter().filter_map(|r| view.role(r)).filter(|r| free(r.limit)).collect();
    let first = roles.first()?;
    // What the pools may open by the plan, and never what leaves nothing.
    let advised =
        budget::wanted_of_the_server(&view).map_or(most, |wanted| wanted.min(most)).max(1).to_string();
    let summary = format!(
        "role {} has no connection limit: it may take all {ordinary} ordinary slots, and {kept} should stay free of it",
        first.name
    );
    let fact =
        view.fact("pg_roles", format!("{}: rolconnlimit {}", first.name, first.limit)).value(first.limit);
    let limit = |role: &crate::audit::facts::RoleView| {
        let name = identifier(&role.name);
        let current = if role.limit < 0 { "none".to_owned() } else { role.limit.to_string() };
        changes::sql(
            changes::role(&role.name),
            "connection limit",
            (&current, &advised),
            format!("alter role {name} connection limit {advised}"),
            format!("alter role {name} connection limit {}", role.limit),
            Needs::NewSessions,
            Risk::Limits,
        )
    };
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, summary, fact)
            .weighs(Severity::Warning, Confidence::Certain)
            .breaks(Nearness::Load, "migrations, exporters and pgmedic are refused together with the API")
            .mended_by(roles.iter().map(|role| limit(role))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::budget::tests::planned;

    #[test]
    fn role_unlimited_gets_what_the_budget_wants_or_what_leaves_room() {
        let advised =
            |max, pool, limit| find(&planned(max, pool, limit)).map(|f| f.changes[0].statement.clone());
        assert_eq!(advised(25, Some(10), -1).unwrap(), "alter role \"app\" connection limit 19");
        assert_eq!(advised(200, Some(10), -1).unwrap(), "alter role \"app\" connection limit 61");
        assert_eq!(advised(100, None, 97).unwrap(), "alter role \"app\" connection limit 88");
        assert_eq!(advised(100, Some(10), 80), None);
        assert_eq!(
            find(&planned(25, None, -1)).unwrap().changes[0].undo,
            "alter role \"app\" connection limit -1"
        );
    }
}
