//! What weaknesses ask of the evidence again and again: the API's roles, a setting as a role gets it, facts to cite.
//! Not in here: what is weak.

use super::facts::{AuditFacts, RoleView, SettingView, number};
use crate::evidence::Evidence;
use crate::sql::facts::SqlFacts;
use pgmedic_model::{Fact, Source};

/// The server's account, and what it told the audit.
#[derive(Clone, Copy)]
pub(crate) struct View<'e> {
    pub(crate) e: &'e Evidence,
    pub(crate) facts: &'e SqlFacts,
    pub(crate) told: &'e AuditFacts,
}

/// Where a value that holds for a role is set, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    RoleInDatabase,
    Role,
    Database,
    Everyone,
    Server,
}

/// A setting as a role's sessions in the service's database get it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Effective {
    /// In ms or bytes where it is one of time or size.
    pub(crate) number: Option<f64>,
    /// For a person: `0`, `60s`.
    pub(crate) text: String,
    pub(crate) scope: Scope,
}

impl<'e> View<'e> {
    /// None where the server told no account, or not what the audit asked.
    pub(crate) fn of(e: &'e Evidence) -> Option<Self> {
        Some(Self { e, facts: e.facts()?, told: e.audit.get()? })
    }

    /// The roles of the API: the configured one; those that have sessions in the service's database where pgmedic goes in
    /// by a role of its own; else the one that it goes in by.
    pub(crate) fn api_roles(&self) -> Vec<&'e str> {
        let me = self.facts.me.role.as_str();
        if let Some(role) = &self.e.budget.role {
            return vec![role];
        }
        let own = self.told.role(me).is_some_and(|r| r.monitors && !r.superuser);
        let groups = self.facts.admission.groups.iter();
        let others = groups.filter(|g| g.database == self.facts.me.database && !g.role.is_empty());
        let mut roles: Vec<&str> = others.map(|g| g.role.as_str()).collect();
        roles.sort_unstable();
        roles.dedup();
        if own && !roles.is_empty() && !roles.contains(&me) { roles } else { vec![me] }
    }

    /// A role that may log in.
    pub(crate) fn role(&self, name: &str) -> Option<&'e RoleView> {
        self.told.role(name)
    }

    pub(crate) fn setting(&self, name: &str) -> Option<&'e SettingView> {
        self.told.settings.get(name)
    }

    /// A setting's number, in ms or bytes, as this session would get it: the server's own where no role has one.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.setting(name)?.number()
    }

    /// What a role's sessions in the service's database get. None where this version has no such setting, or where that
    /// cannot be told: only the server's value for the asking role was seen, and a setting of that role's hides it.
    pub(crate) fn effective(&self, role: &str, name: &str) -> Option<Effective> {
        let setting = self.setting(name)?;
        let me = &self.facts.me;
        let database = me.database.as_str();
        let unit = setting.unit.as_deref();
        if let Some((scope, value)) = self.set_for(role, database, name) {
            return Some(Effective { number: number(value, unit), text: value.to_owned(), scope });
        }
        let hidden = me.role != role && self.set_for(&me.role, database, name).is_some();
        (!hidden).then(|| Effective { number: setting.number(), text: shown(setting), scope: Scope::Server })
    }

    /// The strongest of what is set for a role in a database (manual, "ALTER ROLE").
    fn set_for(&self, role: &str, database: &str, name: &str) -> Option<(Scope, &'e str)> {
        let scopes = [
            (Scope::RoleInDatabase, Some(database), Some(role)),
            (Scope::Role, None, Some(role)),
            (Scope::Database, Some(database), None),
            (Scope::Everyone, None, None),
        ];
        scopes.into_iter().find_map(|(scope, database, role)| {
            let is = |s: &&super::facts::SetFor| {
                s.name == name && s.database.as_deref() == database && s.role.as_deref() == role
            };
            self.told.set_for.iter().find(is).map(|s| (scope, s.value.as_str()))
        })
    }

    /// What the server told, as a fact.
    pub(crate) fn fact(&self, view: &str, text: impl Into<String>) -> Fact {
        Fact::new(Source::Sql, self.told.at, format!("{view} at {}", self.told.place), text)
    }

    /// Why a pooler stands before the server, where one does.
    pub(crate) fn pooled(&self) -> bool {
        self.e.pooler.get().is_some() || self.e.front.startup.as_ref().is_some_and(|s| s.pooler.is_some())
    }
}

/// A setting's value as a person writes it: `60s`, `10GB`, `on`.
pub(crate) fn shown(setting: &SettingView) -> String {
    let plain = setting.value.parse::<f64>().is_ok_and(|n| n > 0.0);
    match setting.unit.as_deref() {
        Some("8kB") | None => setting.value.clone(),
        Some(unit) if plain => match (unit, setting.value.parse::<u64>().unwrap_or(1)) {
            ("ms", n) if n % 1000 == 0 => format!("{}s", n / 1000),
            ("kB", n) if n % 1024 == 0 => format!("{}MB", n / 1024),
            (unit, n) => format!("{n}{unit}"),
        },
        Some(_) => setting.value.clone(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::audit::facts::SetFor;
    use crate::evidence::Seen;
    use crate::evidence::fixture::{AT, healthy, nameserver};
    use crate::rooms::dns::evidence::AnswerOutcome;

    /// The healthy walk of an audit of a server that is set well, as `docs/reference-configuration.md` has it, changed by
    /// `change`.
    pub(crate) fn audited(change: impl FnOnce(&mut AuditFacts)) -> Evidence {
        let mut e = healthy();
        e.front.dns.nameservers.push(nameserver(54, &AnswerOutcome::NoData, &AnswerOutcome::NoData));
        let setting = |value: &str, unit: Option<&str>| SettingView {
            value: value.to_owned(),
            unit: unit.map(str::to_owned),
            boot: None,
            source: "configuration file".to_owned(),
            file: None,
        };
        let ms = Some("ms");
        let settings = [
            ("statement_timeout", setting("30000", ms)),
            ("lock_timeout", setting("10000", ms)),
            ("idle_in_transaction_session_timeout", setting("60000", ms)),
            ("idle_session_timeout", setting("0", ms)),
            ("tcp_keepalives_idle", setting("60", Some("s"))),
            ("tcp_keepalives_interval", setting("10", Some("s"))),
            ("tcp_keepalives_count", setting("3", None)),
            ("tcp_user_timeout", setting("90000", ms)),
            ("client_connection_check_interval", setting("10000", ms)),
            ("max_slot_wal_keep_size", setting("10240", Some("MB"))),
            ("max_wal_size", setting("1024", Some("MB"))),
            ("temp_file_limit", setting("5242880", Some("kB"))),
            ("superuser_reserved_connections", setting("3", None)),
            ("autovacuum", setting("on", None)),
            ("fsync", setting("on", None)),
            ("full_page_writes", setting("on", None)),
        ];
        let role = |name: &str, limit: i64| RoleView { name: name.to_owned(), limit, ..RoleView::default() };
        let mut told = AuditFacts {
            at: AT,
            elapsed_ms: pgmedic_model::Ms(1.0),
            place: e.front.address.clone(),
            settings: settings.into_iter().map(|(name, view)| (name.to_owned(), view)).collect(),
            roles: vec![
                RoleView { bootstrap: true, superuser: true, ..role("postgres", -1) },
                role("app", 80),
                RoleView { monitors: true, signals: true, ..role("pgmedic", 5) },
            ],
            set_for: ["statement_timeout=30s", "lock_timeout=10s", "idle_in_transaction_session_timeout=60s"]
                .into_iter()
                .filter_map(|text| text.split_once('='))
                .map(|(name, value)| SetFor {
                    database: None,
                    role: Some("app".to_owned()),
                    name: name.to_owned(),
                    value: value.to_owned(),
                })
                .collect(),
            owners: std::iter::once(("app".to_owned(), 12)).collect(),
            hba: Seen::Seen(Vec::new()),
        };
        for name in ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"] {
            told.settings.entry(name.to_owned()).and_modify(|s| s.source = "user".to_owned());
        }
        change(&mut told);
        e.audit = Seen::Seen(told);
        e
    }

    /// Lets a setting have another value.
    pub(crate) fn set(told: &mut AuditFacts, name: &str, value: &str) {
        told.settings.entry(name.to_owned()).and_modify(|s| value.clone_into(&mut s.value));
        told.set_for.retain(|s| s.name != name);
    }

    #[test]
    fn the_strongest_setting_holds() {
        let put = |told: &mut AuditFacts, database: Option<&str>, role: Option<&str>, value: &str| {
            told.set_for.push(SetFor {
                database: database.map(str::to_owned),
                role: role.map(str::to_owned),
                name: "idle_session_timeout".to_owned(),
                value: value.to_owned(),
            });
        };
        let e = audited(|told| {
            put(told, None, None, "5min");
            put(told, Some("renderflow"), None, "4min");
            put(told, None, Some("app"), "3min");
        });
        let view = View::of(&e).unwrap();
        let of_app = view.effective("app", "idle_session_timeout").unwrap();
        assert_eq!((of_app.number, of_app.scope), (Some(180_000.0), Scope::Role));
        let of_other = view.effective("other", "idle_session_timeout").unwrap();
        assert_eq!((of_other.text.as_str(), of_other.scope), ("4min", Scope::Database));
        // What the asking role has of its own hides the server's value from others.
        assert_eq!(view.effective("other", "statement_timeout"), None);
        assert_eq!(view.effective("app", "no_such_setting"), None);
    }

    #[test]
    fn the_apis_roles_are_those_that_work_where_pgmedic_has_its_own() {
        let e = audited(|_| {});
        assert_eq!(View::of(&e).unwrap().api_roles(), ["app"]);
        let mut e = audited(|_| {});
        e.budget.role = Some("api".to_owned());
        assert_eq!(View::of(&e).unwrap().api_roles(), ["api"]);
    }
}
