//! The queries of an audit, and the reading of their answers. Not in here: sending them.

use super::composite::{Columns, ReadError, Us};
use super::uncommented;
use crate::audit::facts::{HbaRule, RoleView, SetFor, SettingView};
use pgmedic_model::Timestamp;
use std::collections::BTreeMap;

const QUERIES: &str = include_str!("audit.sql");

/// The settings that an audit looks at. Of no other is a value kept.
pub(crate) const NAMES: [&str; 27] = [
    "archive_mode",
    "authentication_timeout",
    "autovacuum",
    "autovacuum_freeze_max_age",
    "client_connection_check_interval",
    "fsync",
    "full_page_writes",
    "idle_in_transaction_session_timeout",
    "idle_replication_slot_timeout",
    "idle_session_timeout",
    "lock_timeout",
    "log_lock_waits",
    "max_connections",
    "max_prepared_transactions",
    "max_slot_wal_keep_size",
    "max_wal_size",
    "password_encryption",
    "reserved_connections",
    "ssl",
    "statement_timeout",
    "superuser_reserved_connections",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_user_timeout",
    "temp_file_limit",
    "transaction_timeout",
];

/// The queries for a server of this `server_version_num`, in the order in which they are to be sent, each as one simple
/// query.
pub(crate) struct Queries {
    /// For [`told`].
    pub(crate) told: String,
    /// For [`hba`].
    pub(crate) hba: String,
}

/// The queries.
pub(crate) fn queries(version_num: u32) -> Queries {
    let file = if version_num < 160_000 { "NULL" } else { "file_name" };
    let names: Vec<String> = NAMES.iter().map(|name| format!("'{name}'")).collect();
    let sql = uncommented(QUERIES).replace("{HBA_FILE}", file).replace("{NAMES}", &names.join(","));
    let mut each = sql.split(';').map(|query| {
        format!("SET LOCAL DateStyle TO ISO;\nSET LOCAL client_encoding TO SQL_ASCII;\n{}", query.trim())
    });
    let mut next = || each.next().unwrap_or_default();
    Queries { told: next(), hba: next() }
}

/// What every role may ask.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) settings: BTreeMap<String, SettingView>,
    pub(crate) roles: Vec<RoleView>,
    pub(crate) set_for: Vec<SetFor>,
    pub(crate) owners: BTreeMap<String, u64>,
}

type Rows = [Vec<Option<String>>];

/// Reads the first answer.
pub(crate) fn told(rows: &Rows) -> Result<Told, ReadError> {
    let mut told = Told::default();
    for (at, row) in rows.iter().enumerate() {
        let (tag, mut c) = super::answer::tagged(at, row)?;
        match tag {
            "setting" => {
                let name = c.never_null(Columns::text)?;
                let view = SettingView {
                    value: c.text()?.unwrap_or_default(),
                    unit: c.text()?,
                    boot: c.text()?,
                    source: c.never_null(Columns::text)?,
                    file: c.text()?,
                };
                told.settings.insert(name, view);
            }
            "role" => told.roles.push(RoleView {
                name: c.never_null(Columns::text)?,
                bootstrap: c.never_null(Columns::boolean)?,
                superuser: c.never_null(Columns::boolean)?,
                replication: c.never_null(Columns::boolean)?,
                limit: c.never_null(Columns::number)?,
                valid_until: c.time()?.map(timestamp),
                monitors: c.boolean()?.unwrap_or_default(),
                signals: c.boolean()?.unwrap_or_default(),
                reserves: c.boolean()?.unwrap_or_default(),
            }),
            "set_for" => told.set_for.extend(set_for(&mut c)?),
            "owner" => {
                told.owners.insert(c.never_null(Columns::text)?, c.never_null(Columns::number)?);
            }
            _ => return Err(ReadError::Untagged(at)),
        }
    }
    Ok(told)
}

/// None for every setting that is not looked at: nothing of it is kept, its value may be a secret.
fn set_for(c: &mut Columns<'_>) -> Result<Option<SetFor>, ReadError> {
    let (database, role) = (c.text()?, c.text()?);
    let setting = c.text()?.unwrap_or_default();
    let Some((name, value)) = setting.split_once('=') else { return Ok(None) };
    let (name, value) = (name.to_owned(), value.to_owned());
    Ok(NAMES.contains(&name.as_str()).then_some(SetFor { database, role, name, value }))
}

fn timestamp(us: Us) -> Timestamp {
    Timestamp(us / 1000)
}

/// Reads the rules of pg_hba.conf.
pub(crate) fn hba(rows: &Rows) -> Result<Vec<HbaRule>, ReadError> {
    let mut rules = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let (tag, mut c) = super::answer::tagged(at, row)?;
        if tag != "rule" {
            return Err(ReadError::Untagged(at));
        }
        rules.push(HbaRule {
            file: c.text()?,
            line: c.number()?.unwrap_or_default(),
            kind: c.text()?.unwrap_or_default(),
            databases: c.text()?.unwrap_or_default(),
            roles: c.text()?.unwrap_or_default(),
            address: c.text()?,
            netmask: c.text()?,
            method: c.text()?.unwrap_or_default(),
        });
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(tag: &str, record: &str) -> Vec<Option<String>> {
        vec![Some(tag.to_owned()), Some(record.to_owned())]
    }

    #[test]
    fn two_queries_for_every_version() {
        for (version, file) in [(120_000, "NULL"), (160_000, "file_name")] {
            let q = queries(version);
            assert!(q.hba.contains(&format!("ROW({file}, line_number")), "{}", q.hba);
            assert!(q.told.contains("'transaction_timeout'") && !q.told.contains('{'), "{}", q.told);
        }
    }

    #[test]
    fn what_is_told_is_read_and_no_other_setting_is_kept() {
        let rows = [
            row("setting", "(statement_timeout,0,ms,0,default,)"),
            row("role", "(app,f,t,f,-1,\"2026-12-01 00:00:00+00\",t,f,t)"),
            row("set_for", "(,app,statement_timeout=30s)"),
            row("set_for", "(shop,,\"app.token=very secret\")"),
            row("owner", "(app,12)"),
        ];
        let told = told(&rows).unwrap();
        assert_eq!(told.settings["statement_timeout"].unit.as_deref(), Some("ms"));
        assert_eq!(
            (told.roles[0].superuser, told.roles[0].valid_until.map(|t| t.to_string()).as_deref()),
            (true, Some("2026-12-01T00:00:00.000Z"))
        );
        assert_eq!((told.set_for.len(), told.owners["app"]), (1, 12));
        assert!(!format!("{told:?}").contains("secret"));
        let rules = hba(&[row("rule", "(,3,host,all,all,0.0.0.0,0.0.0.0,trust)")]).unwrap();
        assert_eq!((rules[0].line, rules[0].method.as_str()), (3, "trust"));
        assert!(super::told(&[row("x", "()")]).is_err() && hba(&[row("hba", "()")]).is_err());
    }
}
