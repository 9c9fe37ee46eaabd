//! Changes with their statements and undos, so that every weakness writes them alike. Not in here: which are advised.

use super::view::{Scope, View, shown};
use crate::paste::{identifier, literal};
use pgmedic_model::{By, Change, Needs, Object, ObjectKind, Risk};

/// A change for a person: what is to be done, of what, from what to what.
pub(crate) fn person(
    kind: ObjectKind,
    name: &str,
    setting: &str,
    values: (&str, &str),
    statement: impl Into<String>,
    needs: Needs,
) -> Change {
    Change {
        object: Object { kind, name: name.to_owned() },
        setting: setting.to_owned(),
        current: values.0.to_owned(),
        advised: values.1.to_owned(),
        by: By::Person,
        statement: statement.into(),
        undo: String::new(),
        needs,
        risk: Risk::Adds,
        note: String::new(),
    }
}

/// A line of a file, with the line that it replaces as its undo.
pub(crate) fn line(
    file: &str,
    setting: &str,
    values: (&str, &str),
    lines: (&str, &str),
    needs: Needs,
) -> Change {
    Change {
        by: By::Line,
        undo: lines.0.to_owned(),
        ..person(ObjectKind::File, file, setting, values, lines.1, needs)
    }
}

/// A statement of `audit --sql`.
pub(crate) fn sql(
    object: Object,
    setting: &str,
    values: (&str, &str),
    statement: String,
    undo: String,
    needs: Needs,
    risk: Risk,
) -> Change {
    Change {
        object,
        setting: setting.to_owned(),
        current: values.0.to_owned(),
        advised: values.1.to_owned(),
        by: By::Sql,
        statement,
        undo,
        needs,
        risk,
        note: String::new(),
    }
}

/// What to bear in mind.
pub(crate) fn noting(change: Change, note: &str) -> Change {
    Change { note: note.to_owned(), ..change }
}

/// The role as an object.
pub(crate) fn role(name: &str) -> Object {
    Object { kind: ObjectKind::Role, name: name.to_owned() }
}

/// A setting for a role's sessions: where the role has one for this database alone, there; else for the role.
pub(crate) fn for_role(
    view: &View<'_>,
    name: &str,
    setting: &str,
    advised: &str,
    risk: Risk,
) -> Option<Change> {
    let now = view.effective(name, setting)?;
    let within = match now.scope {
        Scope::RoleInDatabase => format!(" in database {}", identifier(&view.facts.me.database)),
        _ => String::new(),
    };
    let of = format!("alter role {}{within}", identifier(name));
    let undo = match now.scope {
        Scope::RoleInDatabase | Scope::Role => format!("{of} set {setting} = {}", literal(&now.text)),
        Scope::Database | Scope::Everyone | Scope::Server => format!("{of} reset {setting}"),
    };
    let statement = format!("{of} set {setting} = {}", literal(advised));
    let object = if within.is_empty() {
        role(name)
    } else {
        Object { kind: ObjectKind::Role, name: format!("{name} in {}", view.facts.me.database) }
    };
    Some(sql(object, setting, (&now.text, advised), statement, undo, Needs::NewSessions, risk))
}

/// A setting of the server. Where it stands on the command line no statement reaches it.
pub(crate) fn for_server(
    view: &View<'_>,
    setting: &str,
    advised: &str,
    needs: Needs,
    risk: Risk,
) -> Option<Change> {
    let now = view.setting(setting)?;
    let current = shown(now);
    let object = Object { kind: ObjectKind::Server, name: String::new() };
    if ["command line", "environment variable"].contains(&now.source.as_str()) {
        let how = format!("where the server is started: {} there goes before any file", now.source);
        return Some(person(object.kind, "", setting, (&current, advised), how, Needs::ServerRestart));
    }
    // Whether postgresql.auto.conf has it is not for every role to see: then its value is put back.
    let by_alter = match (&now.file, now.source.as_str()) {
        (Some(file), _) => file.ends_with("postgresql.auto.conf"),
        (None, source) => source == "configuration file",
    };
    let undo = if by_alter {
        format!("alter system set {setting} = {}", literal(&current))
    } else {
        format!("alter system reset {setting}")
    };
    let statement = format!("alter system set {setting} = {}", literal(advised));
    Some(sql(object, setting, (&current, advised), statement, undo, needs, risk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::facts::SetFor;
    use crate::audit::view::tests::audited;

    #[test]
    fn each_statement_has_the_undo_that_brings_back_what_was() {
        let e = audited(|told| {
            told.set_for.push(SetFor {
                database: Some("renderflow".into()),
                role: Some("app".into()),
                name: "lock_timeout".into(),
                value: "0".into(),
            });
            for (name, source, file) in [
                ("tcp_user_timeout", "configuration file", Some("/data/postgresql.auto.conf")),
                ("fsync", "command line", None),
                ("max_wal_size", "configuration file", Some("/etc/postgresql.conf")),
            ] {
                let setting = told.settings.get_mut(name).unwrap();
                (setting.source, setting.file) = (source.into(), file.map(str::to_owned));
            }
        });
        let view = View::of(&e).unwrap();
        let role = |setting| for_role(&view, "app", setting, "1s", Risk::Bounds).unwrap();
        assert_eq!(
            role("lock_timeout").undo,
            "alter role \"app\" in database \"renderflow\" set lock_timeout = '0'"
        );
        assert_eq!(role("statement_timeout").undo, "alter role \"app\" set statement_timeout = '30s'");
        assert_eq!(role("idle_session_timeout").undo, "alter role \"app\" reset idle_session_timeout");
        let server = |setting| for_server(&view, setting, "1", Needs::Reload, Risk::Bounds).unwrap();
        assert_eq!(server("tcp_user_timeout").undo, "alter system set tcp_user_timeout = '90s'");
        assert_eq!(server("max_wal_size").undo, "alter system reset max_wal_size");
        assert_eq!(server("fsync").by, By::Person);
        assert!(for_server(&view, "no_such", "1", Needs::Reload, Risk::Bounds).is_none());
    }
}
