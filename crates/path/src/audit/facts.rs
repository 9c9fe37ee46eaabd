//! What the server tells an audit besides its account of itself: settings as new sessions get them, login roles, what is
//! set for roles and databases, the rules of pg_hba.conf. Not in here: asking (`sql::audit`), and what is weak in it.

use crate::evidence::Seen;
use pgmedic_model::{Ms, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditFacts {
    /// When it was asked.
    pub at: Timestamp,
    /// How long that took.
    pub elapsed_ms: Ms,
    /// The way in that it was asked on: an address.
    pub place: String,
    /// Settings by name. One that this version lacks is not there.
    pub settings: BTreeMap<String, SettingView>,
    /// Roles that may log in, at most 1,000.
    pub roles: Vec<RoleView>,
    /// Which of these settings are set for a role, a database or both (`pg_db_role_setting`).
    pub set_for: Vec<SetFor>,
    /// How many relations each role owns in this database; empty where the catalogue is too large to be counted.
    pub owners: BTreeMap<String, u64>,
    /// The rules of pg_hba.conf that can be read, at most 500.
    pub hba: Seen<Vec<HbaRule>>,
}

impl AuditFacts {
    /// The role of that name.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<&RoleView> {
        self.roles.iter().find(|role| role.name == name)
    }
}

/// One setting (`pg_settings`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingView {
    /// `reset_val`: as a new session of the asking role in the asking database gets it.
    pub value: String,
    /// `unit`: `ms`, `s`, `kB`, `8kB`, `MB`; None where it has none.
    pub unit: Option<String>,
    /// `boot_val`: where nobody sets it.
    pub boot: Option<String>,
    /// `source`: `default`, `configuration file`, `command line`, …; `session` for what pgmedic bounds itself by.
    pub source: String,
    /// `sourcefile`. None where the role may not see it.
    pub file: Option<String>,
}

impl SettingView {
    /// As a number, in ms or bytes where the unit is one of time or size. None for what is no number.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        number(&self.value, self.unit.as_deref())
    }
}

/// A setting's text as a number: in ms or bytes where it is one of time or size. -1 stays -1.
#[must_use]
pub fn number(text: &str, unit: Option<&str>) -> Option<f64> {
    const UNITS: [(&str, f64); 10] = [
        ("ms", 1.0),
        ("min", 60_000.0),
        ("s", 1000.0),
        ("h", 3_600_000.0),
        ("d", 86_400_000.0),
        ("8kB", 8192.0),
        ("kB", 1024.0),
        ("MB", 1_048_576.0),
        ("GB", 1_073_741_824.0),
        ("TB", 1_099_511_627_776.0),
    ];
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c))).unwrap_or(text.len());
    let (digits, own) = text.split_at(end);
    let value: f64 = digits.parse().ok()?;
    let factor = |name: &str| UNITS.iter().find(|(unit, _)| *unit == name).map(|(_, factor)| *factor);
    match (own.trim(), unit) {
        _ if value < 0.0 => Some(value),
        ("", None) => Some(value),
        ("", Some(unit)) => Some(value * factor(unit)?),
        (own, _) => Some(value * factor(own)?),
    }
}

/// A role that may log in (`pg_roles`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleView {
    /// `rolname`.
    pub name: String,
    /// The one that initdb made: it stays a superuser.
    pub bootstrap: bool,
    /// `rolsuper`.
    pub superuser: bool,
    /// `rolreplication`.
    pub replication: bool,
    /// `rolconnlimit`; -1 none.
    pub limit: i64,
    /// `rolvaliduntil`; None where it has no end.
    pub valid_until: Option<Timestamp>,
    /// Member of `pg_monitor`; true for a superuser.
    pub monitors: bool,
    /// Member of `pg_signal_backend`; true for a superuser.
    pub signals: bool,
    /// May use the slots of `reserved_connections` (`pg_use_reserved_connections`, Postgres 16+); true for a superuser there.
    #[serde(default)]
    pub reserves: bool,
}

/// A setting that is set for a role, a database, or a role in a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetFor {
    /// The database; None for every one.
    pub database: Option<String>,
    /// The role; None for every one.
    pub role: Option<String>,
    /// The setting.
    pub name: String,
    /// The value, as it was given.
    pub value: String,
}

/// A rule of pg_hba.conf.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HbaRule {
    /// The file (16+).
    pub file: Option<String>,
    /// The line.
    pub line: u64,
    /// `local`, `host`, `hostssl`, ….
    pub kind: String,
    /// Databases, with commas.
    pub databases: String,
    /// Roles, with commas.
    pub roles: String,
    /// The address: an address, a name, `all`, `samehost`, `samenet`. None for `local`.
    pub address: Option<String>,
    /// The netmask, where the address is a network.
    pub netmask: Option<String>,
    /// `trust`, `scram-sha-256`, `md5`, `password`, `peer`, ….
    pub method: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_in_ms_and_bytes() {
        for (text, unit, wanted) in [
            ("60", Some("s"), Some(60_000.0)),
            ("60000", Some("ms"), Some(60_000.0)),
            ("1min", Some("ms"), Some(60_000.0)),
            ("16", Some("MB"), Some(16_777_216.0)),
            ("10GB", None, Some(10_737_418_240.0)),
            ("-1", Some("kB"), Some(-1.0)),
            ("3", None, Some(3.0)),
            ("on", None, None),
            ("5 parsecs", None, None),
        ] {
            assert_eq!(number(text, unit), wanted, "{text} {unit:?}");
        }
    }
}
