//! `timeouts-missing`: nothing ends the API's transactions, statements and waits for locks.

use crate::audit::view::View;
use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::{AuditFinding, Confidence, Nearness, Risk, Severity};

weakness! {
    /// Nothing ends the API's idle transactions, endless statements or waits for locks.
    ///
    /// ## What it is
    /// `idle_in_transaction_session_timeout`, `statement_timeout`, `lock_timeout` and, from 17 on, `transaction_timeout` are 0
    /// by default: never. They belong to the API's role, not into postgresql.conf, where they would end dumps, migrations
    /// and replication's helpers as well.
    ///
    /// ## What breaks
    /// One request that forgets its transaction holds its locks for ever; the next ALTER TABLE queues behind it, everybody
    /// queues behind that, the pools run dry, the slots run out.
    ///
    /// ## What proves it
    /// `pg_settings.reset_val` and `pg_db_role_setting`: what a new session of the role gets in the service's database.
    ///
    /// ## What mends it
    /// `alter role … set …`: it holds for new sessions, so within a pool's lifetime for all. A migration that needs longer
    /// says so itself: `set local statement_timeout = 0`. Under a pooler in transaction mode these hold as well, because the
    /// pooler logs in as the role; `idle_session_timeout` is not advised there, for it ends the pooler's idle connections.
    ///
    /// ## References
    /// Postgres manual: "Client Connection Defaults" (statement behaviour), "ALTER ROLE".
    "timeouts-missing" in Sessions, proved by Proof::Drill;
}

/// What is advised, the most needed first. A lock is waited for less long than a statement may take.
const ADVISED: [(&str, &str, Risk); 4] = [
    ("idle_in_transaction_session_timeout", "60s", Risk::Bounds),
    ("statement_timeout", "30s", Risk::Limits),
    ("lock_timeout", "10s", Risk::Limits),
    ("transaction_timeout", "10min", Risk::Limits),
];

fn find(e: &Evidence) -> Option<AuditFinding> {
    let view = View::of(e)?;
    let mut missing: Vec<&str> = Vec::new();
    let mut all = Vec::new();
    let roles = view.api_roles();
    for role in &roles {
        for (setting, advised, risk) in ADVISED {
            if view.effective(role, setting).is_some_and(|now| now.number == Some(0.0)) {
                missing.push(setting);
                all.extend(changes::for_role(&view, role, setting, advised, risk));
            }
        }
    }
    missing.dedup();
    let worst = missing.first()?;
    let summary = format!("sessions of {} have no {}", roles.join(", "), missing.join(", "));
    let fact = view.fact("pg_settings", format!("{worst} of role {}: 0, which is never", roles.join(", ")));
    let note = "a migration that needs longer sets its own: set local statement_timeout = 0";
    let all = all.into_iter().map(|c| match c.setting.as_str() {
        "statement_timeout" | "transaction_timeout" => changes::noting(c, note),
        _ => c,
    });
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, summary, fact.value(0))
            .weighs(Severity::Warning, Confidence::Certain)
            .breaks(
                Nearness::Fault,
                "one forgotten transaction holds its locks for ever, and everybody queues behind it",
            )
            .mended_by(all),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::facts::SettingView;
    use crate::audit::view::tests::{audited, set};

    #[test]
    fn timeouts_missing_are_set_for_the_role() {
        assert!(find(&audited(|_| {})).is_none());
        let found = find(&audited(|told| {
            set(told, "statement_timeout", "0");
            set(told, "idle_in_transaction_session_timeout", "0");
        }))
        .unwrap();
        let statements: Vec<_> = found.changes.iter().map(|c| c.statement.as_str()).collect();
        assert_eq!(
            statements,
            [
                "alter role \"app\" set idle_in_transaction_session_timeout = '60s'",
                "alter role \"app\" set statement_timeout = '30s'"
            ]
        );
        assert_eq!(found.changes[0].undo, "alter role \"app\" reset idle_in_transaction_session_timeout");
        let newer = SettingView { value: "0".into(), unit: Some("ms".into()), ..SettingView::default() };
        let found = find(&audited(|told| drop(told.settings.insert("transaction_timeout".into(), newer))));
        assert_eq!(found.unwrap().changes[0].setting, "transaction_timeout");
    }
}
