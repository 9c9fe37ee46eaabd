//! `timeouts-global`: a timeout that is set for everybody ends what it should not.

use crate::audit::view::{View, shown};
use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use pgmedic_model::{AuditFinding, Confidence, Nearness, Needs, Risk, Severity};

weakness! {
    /// A timeout is set for every session of the server: it ends what it should not.
    ///
    /// ## What it is
    /// `statement_timeout`, `lock_timeout`, `transaction_timeout` and `idle_session_timeout` in postgresql.conf hold for
    /// dumps, migrations, poolers, exporters and foreign servers too. The manual advises against each there.
    ///
    /// ## What breaks
    /// The backup that takes longer than the timeout, for months without anybody reading its log; a pooler's idle
    /// connection, which the next client finds dead.
    ///
    /// ## What proves it
    /// `pg_settings`: the server's own value is not 0 and comes from a file or the command line.
    ///
    /// ## What mends it
    /// Set it for the API's role (`alter role … set …`), and reset it for the server.
    ///
    /// ## References
    /// Postgres manual: "Client Connection Defaults": `statement_timeout`, `idle_session_timeout`.
    "timeouts-global" in Sessions, proved by Proof::Drill;
}

const OF_A_ROLE: [&str; 4] =
    ["statement_timeout", "lock_timeout", "transaction_timeout", "idle_session_timeout"];

fn find(e: &Evidence) -> Option<AuditFinding> {
    let view = View::of(e)?;
    let me = &view.facts.me;
    let of_everybody = |name: &&str| {
        // Not where it is the asking role's own; pgmedic bounds its session by two of them and hides where they are from.
        let own = view.told.set_for.iter().any(|s| {
            s.name == **name
                && s.role.as_ref().is_none_or(|r| *r == me.role)
                && s.database.as_ref().is_none_or(|d| *d == me.database)
        });
        let configured = ["configuration file", "command line", "session"];
        !own && view
            .setting(name)
            .is_some_and(|s| s.number().is_some_and(|n| n > 0.0) && configured.contains(&s.source.as_str()))
    };
    let names: Vec<&str> = OF_A_ROLE.iter().filter(|n| of_everybody(n)).copied().collect();
    let first = view.setting(names.first()?)?;
    let summary = format!("{} hold(s) for every session, backups and poolers too", names.join(", "));
    let fact =
        view.fact("pg_settings", format!("{} = {} for the whole server", names.first()?, shown(first)));
    let mut all = Vec::new();
    for name in &names {
        let value = view.setting(name).map(shown).unwrap_or_default();
        for role in view.api_roles().iter().filter(|_| *name != "idle_session_timeout" || !view.pooled()) {
            all.extend(changes::for_role(&view, role, name, &value, Risk::Bounds));
        }
        all.extend(changes::for_server(&view, name, "0", Needs::Reload, Risk::Bounds));
    }
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, summary, fact)
            .weighs(Severity::Warning, Confidence::Certain)
            .breaks(Nearness::Fault, "a dump, a migration or a pooler's connection is ended by it")
            .mended_by(all),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::view::tests::{audited, set};

    #[test]
    fn timeouts_global_go_to_the_role() {
        assert!(find(&audited(|_| {})).is_none());
        let found = find(&audited(|told| set(told, "idle_session_timeout", "300000"))).unwrap();
        let statements: Vec<_> = found.changes.iter().map(|c| c.statement.as_str()).collect();
        assert_eq!(
            statements,
            [
                "alter role \"app\" set idle_session_timeout = '300s'",
                "alter system set idle_session_timeout = '0'"
            ]
        );
    }
}
