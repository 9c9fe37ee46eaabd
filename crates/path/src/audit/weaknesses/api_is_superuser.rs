//! `api-is-superuser`: the API's role is a superuser.

use crate::audit::view::View;
use crate::audit::{changes, weakness};
use crate::cause::Proof;
use crate::evidence::Evidence;
use crate::paste::identifier;
use pgmedic_model::{AuditFinding, Change, Confidence, Nearness, Needs, ObjectKind, Risk, Severity};

weakness! {
    /// The API's role is a superuser: no limit holds it, and it takes the slots that are kept for rescue.
    ///
    /// ## What it is
    /// A superuser is exempt from CONNECTION LIMIT and may use `superuser_reserved_connections`. `fly postgres attach`
    /// makes the API's role one by default.
    ///
    /// ## What breaks
    /// When its pools fill the server, they fill the reserve as well: nobody gets in to mend it, health checks that log in as
    /// a superuser fail, and HAProxy cuts every session for it. `pg_signal_backend` may not end its sessions.
    ///
    /// ## What proves it
    /// `pg_roles.rolsuper` of the role that the API goes in by.
    ///
    /// ## What mends it
    /// `alter role … nosuperuser`, where the role owns what it uses. Where it does not, rights on the others' tables come
    /// first. The role that initdb made stays a superuser: then the API needs a role of its own.
    ///
    /// ## References
    /// Postgres manual: "Role Attributes", "ALTER ROLE", `superuser_reserved_connections`; flyctl, `postgres attach --superuser`.
    "api-is-superuser" in Admission, proved by Proof::Drill;
}

fn find(e: &Evidence) -> Option<AuditFinding> {
    let view = View::of(e)?;
    let supers: Vec<_> =
        view.api_roles().into_iter().filter_map(|r| view.role(r)).filter(|r| r.superuser).collect();
    let names: Vec<&str> = supers.iter().map(|r| r.name.as_str()).collect();
    let first = supers.first()?;
    let summary = format!(
        "the API goes in as {}, a superuser: no limit holds it, and it takes the {} slots kept for rescue",
        names.join(", "),
        view.facts.admission.superuser_reserved
    );
    let fact = view.fact("pg_roles", format!("{}: rolsuper", first.name)).value(true);
    Some(
        AuditFinding::new(WEAKNESS.id, WEAKNESS.room, summary, fact)
            .weighs(Severity::Warning, Confidence::Certain)
            .breaks(Nearness::Load, "with the slots full, not even a superuser gets in to mend it")
            .mended_by(supers.iter().map(|role| demote(&view, &role.name, role.bootstrap))),
    )
}

fn demote(view: &View<'_>, role: &str, bootstrap: bool) -> Change {
    let others: u64 = view.told.owners.iter().filter(|(owner, _)| *owner != role).map(|(_, n)| n).sum();
    let only = !view.told.roles.iter().any(|r| r.superuser && r.name != role);
    let values = ("superuser", "nosuperuser");
    let person =
        |how: String| changes::person(ObjectKind::Role, role, "superuser", values, how, Needs::NewSessions);
    let name = identifier(role);
    if bootstrap || only {
        let why = if bootstrap { "initdb made it" } else { "it is the only superuser" };
        return person(format!(
            "give the API a role of its own ({why}): create role … login; grant it what it uses; change DATABASE_URL"
        ));
    }
    if others > 0 {
        return person(format!(
            "{others} relations of this database are others': first grant select, insert, update, delete on all tables in schema … to {name}, \
             then alter role {name} nosuperuser"
        ));
    }
    let change = changes::sql(
        changes::role(role),
        "superuser",
        values,
        format!("alter role {name} nosuperuser"),
        format!("alter role {name} superuser"),
        Needs::NewSessions,
        Risk::Privilege,
    );
    changes::noting(
        change,
        "run as another superuser; what only a superuser may (create extension, copy from a file) then fails",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::facts::{AuditFacts, RoleView};
    use crate::audit::view::tests::audited;
    use pgmedic_model::By;

    fn app(told: &mut AuditFacts) {
        told.roles.iter_mut().filter(|r| r.name == "app").for_each(|r| r.superuser = true);
    }

    #[test]
    fn api_is_superuser_and_is_demoted_where_it_owns_what_it_uses() {
        assert!(find(&audited(|_| {})).is_none());
        let found = find(&audited(app)).unwrap();
        assert_eq!(found.changes[0].statement, "alter role \"app\" nosuperuser");
        assert_eq!(found.changes[0].undo, "alter role \"app\" superuser");
        let shared = find(&audited(|told| {
            app(told);
            told.owners.insert("migrator".into(), 40);
        }))
        .unwrap();
        assert_eq!(shared.changes[0].by, By::Person);
        assert!(shared.changes[0].statement.starts_with("40 relations"));
    }

    #[test]
    fn api_is_superuser_that_must_stay_one() {
        let changes: [fn(&mut RoleView); 2] =
            [|r| r.bootstrap = r.name == "app", |r| r.superuser = r.name == "app"];
        for change in changes {
            let found = find(&audited(|told| {
                app(told);
                told.roles.iter_mut().for_each(change);
            }));
            assert_eq!(found.unwrap().changes[0].by, By::Person);
        }
    }
}
