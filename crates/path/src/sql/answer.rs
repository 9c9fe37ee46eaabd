//! The rows of the server's answer, read into what they stand for. Counting, naming and judging is not in here.

use super::composite::{Columns, ReadError, Us};
use super::crowd::CrowdRow;
use super::locks::LockRow;
use std::collections::HashMap;

/// The server's account of itself, as it was told. It becomes facts by [`Account::into_facts`].
#[derive(Default)]
pub struct Account {
    pub(super) server: ServerRow,
    pub(super) sessions: Vec<SessionRow>,
    /// In a brief account, in the sessions' place.
    pub(super) crowd: Vec<CrowdRow>,
    pub(super) prepared: Vec<PreparedRow>,
    pub(super) databases: Vec<DatabaseRow>,
    pub(super) roles: Vec<RoleRow>,
    pub(super) set_for: Vec<SettingRow>,
    pub(super) slots: Vec<SlotRow>,
    pub(super) pending_restart: Vec<String>,
    pub(super) waits: Vec<WaitRow>,
    pub(super) locks: Vec<LockRow>,
    pub(super) locks_not_seen: Option<String>,
}

/// Reads the rows that [`super::statement`] answers with. Each row is let go as soon as it is read.
///
/// # Errors
/// [`ReadError`] where they are no such answer.
pub fn read(rows: Vec<Vec<Option<String>>>) -> Result<Account, ReadError> {
    let mut account = Account::default();
    let mut server = None;
    for (at, row) in rows.into_iter().enumerate() {
        let (tag, mut columns) = tagged(at, &row)?;
        let c = &mut columns;
        match tag {
            "session" => account.sessions.push(SessionRow::read(c)?),
            "crowd" => account.crowd.push(CrowdRow::read(c)?),
            "prepared" => account.prepared.push(PreparedRow::read(c)?),
            "database" => account.databases.push(DatabaseRow::read(c)?),
            "role" => account.roles.push(RoleRow::read(c)?),
            "set_for" => account.set_for.extend(SettingRow::read(c)?),
            "slot" => account.slots.push(SlotRow::read(c)?),
            "pending_restart" => account.pending_restart.push(c.never_null(Columns::text)?),
            "server" => server = Some(ServerRow::read(c)?),
            _ => return Err(ReadError::Untagged(at)),
        }
    }
    account.server = server.ok_or(ReadError::NoServer)?;
    Ok(account)
}

impl Account {
    /// True where somebody waits for a lock or a transaction is prepared, so that the locks are worth asking for
    /// ([`super::lock_statement`]). A role that does not see who waits has them asked for where slots run short.
    #[must_use]
    pub fn wants_locks(&self) -> bool {
        let unseen = || !self.sees_all() && self.is_short_of_slots();
        // A brief account names nobody to whom they would be of use.
        if self.is_brief() {
            return false;
        }
        !self.prepared.is_empty() || self.sessions.iter().any(SessionRow::waits) || unseen()
    }

    /// Adds the rows that [`super::lock_statement`] answers with.
    ///
    /// # Errors
    /// [`ReadError`] where they are no such answer; then the account is as it was.
    pub fn add_locks(&mut self, rows: &[Vec<Option<String>>]) -> Result<(), ReadError> {
        let (mut waits, mut locks) = (Vec::new(), Vec::new());
        for (at, row) in rows.iter().enumerate() {
            let (tag, mut columns) = tagged(at, row)?;
            match tag {
                "wait" => waits.push(WaitRow::read(&mut columns)?),
                "lock" => locks.push(LockRow::read(&mut columns)?),
                _ => return Err(ReadError::Untagged(at)),
            }
        }
        (self.waits, self.locks) = (waits, locks);
        Ok(())
    }

    /// Says why the locks were asked for and not told.
    pub fn locks_not_seen(&mut self, why: String) {
        self.locks_not_seen = Some(why);
    }
}

pub(super) fn tagged(at: usize, row: &[Option<String>]) -> Result<(&str, Columns<'_>), ReadError> {
    match row {
        [Some(tag), Some(record)] => Ok((tag, Columns::of(tag, record)?)),
        _ => Err(ReadError::Untagged(at)),
    }
}

/// The server as a whole.
#[derive(Default)]
pub(super) struct ServerRow {
    pub(super) now: Us,
    pub(super) started: Us,
    pub(super) role: String,
    pub(super) database: String,
    pub(super) pid: i32,
    /// None where the role that grants it is missing, as in some forks.
    pub(super) stats: Option<bool>,
    pub(super) signals: Option<bool>,
    pub(super) standby: bool,
    pub(super) replayed: Option<Us>,
    /// Where the WAL has come to: written, or received on a standby.
    pub(super) wal: Option<i64>,
    pub(super) system_identifier: Option<String>,
    /// The pid and the status of the WAL receiver. Without a receiver both are None, for a plain role the status is.
    pub(super) receiver: (Option<i32>, Option<String>),
    /// Postgres 15+.
    pub(super) archiver: Option<ArchiverRow>,
    pub(super) database_bytes: Option<u64>,
    pub(super) settings: HashMap<&'static str, String>,
}

impl ServerRow {
    fn read(c: &mut Columns<'_>) -> Result<Self, ReadError> {
        let mut row = Self {
            now: c.never_null(Columns::time)?,
            started: c.never_null(Columns::time)?,
            role: c.never_null(Columns::text)?,
            database: c.never_null(Columns::text)?,
            pid: c.never_null(Columns::number)?,
            stats: c.boolean()?,
            signals: c.boolean()?,
            standby: c.never_null(Columns::boolean)?,
            replayed: c.time()?,
            wal: c.lsn()?,
            system_identifier: c.text()?,
            receiver: match c.record()? {
                Some(mut receiver) => (receiver.number()?, receiver.text()?),
                None => (None, None),
            },
            archiver: c.record()?.map(|mut archiver| ArchiverRow::read(&mut archiver)).transpose()?,
            database_bytes: c.number()?,
            settings: HashMap::new(),
        };
        for name in super::SETTINGS.into_iter().chain(["data_directory"]) {
            row.settings.extend(c.text()?.map(|value| (name, value)));
        }
        Ok(row)
    }
}

/// `pg_stat_get_archiver()`.
pub(super) struct ArchiverRow {
    pub(super) archived: u64,
    pub(super) failed: u64,
    pub(super) archived_at: Option<Us>,
    pub(super) failed_at: Option<Us>,
}

impl ArchiverRow {
    /// Between the count and the time stands the name of the last file.
    fn read(c: &mut Columns<'_>) -> Result<Self, ReadError> {
        let archived = c.never_null(Columns::number)?;
        c.text()?;
        let archived_at = c.time()?;
        let failed = c.never_null(Columns::number)?;
        c.text()?;
        Ok(Self { archived, failed, archived_at, failed_at: c.time()? })
    }
}

/// One backend. An oid is a text here; what joins two of them never looks into it.
#[derive(Default)]
pub(super) struct SessionRow {
    pub(super) pid: i32,
    pub(super) datid: Option<String>,
    pub(super) role_id: Option<String>,
    pub(super) role: Option<String>,
    pub(super) application: Option<String>,
    pub(super) state: Option<String>,
    pub(super) wait_event_type: Option<String>,
    pub(super) wait_event: Option<String>,
    pub(super) backend_type: Option<String>,
    pub(super) client_addr: Option<String>,
    /// -1 on a unix socket.
    pub(super) client_port: Option<i32>,
    pub(super) started: Option<Us>,
    pub(super) xact: Option<Us>,
    pub(super) asked: Option<Us>,
    pub(super) since: Option<Us>,
    /// Unmasked: for [`pgmedic_model::MaskedSql`] and nothing else.
    pub(super) query: Option<String>,
}

impl SessionRow {
    fn read(c: &mut Columns<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            pid: c.never_null(Columns::number)?,
            datid: c.text()?,
            role_id: c.text()?,
            role: c.text()?,
            application: c.text()?,
            state: c.text()?,
            wait_event_type: c.text()?,
            wait_event: c.text()?,
            backend_type: c.text()?,
            client_addr: c.text()?,
            client_port: c.number()?,
            started: c.time()?,
            xact: c.time()?,
            asked: c.time()?,
            since: c.time()?,
            query: c.text()?,
        })
    }

    /// It waits for a lock.
    pub(super) fn waits(&self) -> bool {
        self.wait_event_type.as_deref() == Some("Lock")
    }
}

/// A waiter and `pg_blocking_pids()` of it.
pub(super) struct WaitRow {
    pub(super) pid: i32,
    pub(super) blocked_by: Vec<i32>,
}

impl WaitRow {
    fn read(c: &mut Columns<'_>) -> Result<Self, ReadError> {
        Ok(Self { pid: c.never_null(Columns::number)?, blocked_by: c.numbers()?.unwrap_or_default() })
    }
}

/// `pg_prepared_xact()`.
pub(super) struct PreparedRow {
    pub(super) transaction: String,
    pub(super) gid: String,
    pub(super) prepared: Us,
    pub(super) owner: String,
    pub(super) dbid: String,
}

impl PreparedRow {
    fn read(c: &mut Columns<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            transaction: c.never_null(Columns::text)?,
            gid: c.never_null(Columns::text)?,
            prepared: c.never_null(Columns::time)?,
            owner: c.never_null(Columns::text)?,
            dbid: c.never_null(Columns::text)?,
        })
    }
}

/// `pg_database`.
pub(super) struct DatabaseRow {
    pub(super) oid: String,
    pub(super) name: String,
    pub(super) connections: i64,
    pub(super) allows: bool,
    pub(super) xids: i64,
    pub(super) mxids: i64,
    /// Postgres 15+.
    pub(super) temp_bytes: Option<u64>,
}

impl DatabaseRow {
    fn read(c: &mut Columns<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            oid: c.never_null(Columns::text)?,
            name: c.never_null(Columns::text)?,
            connections: c.never_null(Columns::number)?,
            allows: c.never_null(Columns::boolean)?,
            xids: c.never_null(Columns::number)?,
            mxids: c.never_null(Columns::number)?,
            temp_bytes: c.number()?,
        })
    }
}

/// `pg_roles`.
pub(super) struct RoleRow {
    pub(super) oid: String,
    pub(super) name: String,
    pub(super) superuser: bool,
    pub(super) connections: i64,
}

impl RoleRow {
    fn read(c: &mut Columns<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            oid: c.never_null(Columns::text)?,
            name: c.never_null(Columns::text)?,
            superuser: c.never_null(Columns::boolean)?,
            connections: c.never_null(Columns::number)?,
        })
    }
}

/// Where `default_transaction_read_only` is set (`pg_db_role_setting`).
pub(super) struct SettingRow {
    pub(super) datid: String,
    pub(super) role_id: String,
    pub(super) role: String,
    pub(super) value: String,
}

impl SettingRow {
    /// None for every other setting: nothing of it is kept.
    fn read(c: &mut Columns<'_>) -> Result<Option<Self>, ReadError> {
        let (datid, role_id) = (c.never_null(Columns::text)?, c.never_null(Columns::text)?);
        let (role, setting) = (c.never_null(Columns::text)?, c.text()?.unwrap_or_default());
        let value = setting.strip_prefix("default_transaction_read_only=").map(str::to_owned);
        Ok(value.map(|value| Self { datid, role_id, role, value }))
    }
}

/// `pg_get_replication_slots()`.
pub(super) struct SlotRow {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) datid: Option<String>,
    pub(super) active: bool,
    pub(super) temporary: bool,
    pub(super) wal_status: Option<String>,
    pub(super) safe_wal_bytes: Option<i64>,
    pub(super) inactive_since: Option<Us>,
    pub(super) restart: Option<i64>,
    pub(super) xmin_age: Option<i64>,
}

impl SlotRow {
    fn read(c: &mut Columns<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            name: c.never_null(Columns::text)?,
            kind: c.never_null(Columns::text)?,
            datid: c.text()?,
            active: c.never_null(Columns::boolean)?,
            temporary: c.never_null(Columns::boolean)?,
            wal_status: c.text()?,
            safe_wal_bytes: c.number()?,
            inactive_since: c.time()?,
            restart: c.lsn()?,
            xmin_age: c.number()?.max(c.number()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(tag: &str, record: &str) -> Vec<Option<String>> {
        vec![Some(tag.to_owned()), Some(record.to_owned())]
    }

    #[test]
    fn another_answer_is_an_error_and_not_a_panic() {
        assert_eq!(read(Vec::new()).err(), Some(ReadError::NoServer));
        for rows in [
            vec![vec![]],
            vec![vec![None, None]],
            vec![vec![Some("1".to_owned())]],
            vec![row("1", "()")],
            vec![row("wait", "(1,{})")],
            vec![row("server", "")],
            vec![row("server", "()")],
            vec![row("server", "(,,,,,,,,,,,,,,,,,,,,,,,,,,,,)")],
            vec![row("session", "(1)")],
            vec![row("database", "(5,postgres,-1,t,16,x,0)")],
        ] {
            assert!(read(rows.clone()).is_err(), "{rows:?}");
        }
    }

    #[test]
    fn locks_that_cannot_be_read_leave_the_account_as_it_was() {
        let mut account = Account::default();
        assert_eq!(account.add_locks(&[row("wait", "(17,\"{18,0}\")")]), Ok(()));
        assert!(account.add_locks(&[row("wait", "(19,{})"), row("lock", "(x)")]).is_err());
        let waits: Vec<_> = account.waits.iter().map(|w| (w.pid, w.blocked_by.as_slice())).collect();
        assert_eq!(waits, [(17, [18, 0].as_slice())]);
    }

    #[test]
    fn of_settings_only_the_one_asked_for_is_kept() {
        for (setting, kept) in [
            ("default_transaction_read_only=on", Some("on")),
            ("\"app.token=very secret\"", None),
            ("", None),
        ] {
            let record = format!("(0,10,postgres,{setting})");
            let found = SettingRow::read(&mut Columns::of("set_for", &record).unwrap()).unwrap();
            assert_eq!(found.map(|row| row.value).as_deref(), kept);
        }
    }
}
