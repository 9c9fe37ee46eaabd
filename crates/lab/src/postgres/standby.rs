//! A hot standby of a server: a base backup, made into a standby and started. Not in here: what leads clients to it.

use super::{PATIENCE, Postgres};
use crate::error::{LabError, Tried as _};
use crate::{process, wait};
use std::path::Path;
use tokio::runtime::Handle;

impl Postgres {
    /// Makes a hot standby of `primary` and starts it: with pg_basebackup, or file by file where that is not among the
    /// server's programs.
    ///
    /// # Errors
    /// Where the primary gives no backup or the standby does not come up.
    pub fn standby_of(primary: &Self, folder: &Path, runtime: Handle) -> Result<Self, LabError> {
        let (standby, _) = Self::prepare(folder, None, "standby", runtime)?;
        let program = standby.bin.join("pg_basebackup");
        if program.is_file() {
            standby.back_up(primary, &program)?
        } else {
            standby.copy_of(primary)?
        }
        standby.configure()?;
        standby.up()?;
        wait::until_true("a streaming standby", PATIENCE, || {
            let streaming = "select 1 from pg_stat_replication where state = 'streaming'";
            primary.sql(streaming).is_ok_and(|rows| !rows.is_empty())
        })?;
        Ok(standby)
    }

    /// By pg_basebackup.
    fn back_up(&self, primary: &Self, program: &Path) -> Result<(), LabError> {
        let mut basebackup = process::tool(program.as_os_str(), self.account.as_ref())?;
        basebackup.args([
            "--checkpoint=fast",
            "--no-sync",
            "--wal-method=stream",
            "--write-recovery-conf",
            "-D",
        ]);
        basebackup.arg(&self.data).args(["-h", "127.0.0.1", "-U", "replicator", "-p"]);
        process::run("pg_basebackup", basebackup.arg(primary.port.to_string()).current_dir("/")).map(drop)
    }

    /// File by file, while one session holds the backup open (Postgres manual, "Making a Base Backup Using the Low Level
    /// API"; the functions lost their `start` and `stop` in front with 15).
    fn copy_of(&self, primary: &Self) -> Result<(), LabError> {
        let new = primary.value("select current_setting('server_version_num')::int >= 150000")?;
        let (start, stop) = if new == "t" {
            ("select pg_backup_start('lab', true)", "select labelfile from pg_backup_stop(false)")
        } else {
            (
                "select pg_start_backup('lab', true, false)",
                "select labelfile from pg_stop_backup(false, false)",
            )
        };
        let refused = |e: tokio_postgres::Error| LabError::sql(start, &e);
        let label = self.runtime.block_on(async {
            let (session, connection) =
                primary.superuser("postgres").connect(tokio_postgres::NoTls).await.map_err(refused)?;
            tokio::spawn(connection);
            session.simple_query(start).await.map_err(refused)?;
            let copied = self.copy_files(&primary.data);
            let messages = session.simple_query(stop).await.map_err(refused)?;
            let label = messages.iter().filter_map(super::row).flatten().flatten().next();
            copied.map(|()| label.unwrap_or_default())
        })?;
        self.own_wal()?;
        self.remove("postmaster.pid")?;
        self.write("backup_label", &label)?;
        self.write("standby.signal", "")?;
        let source = format!("host=127.0.0.1 port={} user=replicator", primary.port);
        self.write("postgresql.auto.conf", &format!("primary_conninfo = '{source}'\n"))
    }

    fn copy_files(&self, from: &Path) -> Result<(), LabError> {
        let mut cp = process::tool("cp".as_ref(), self.account.as_ref())?;
        cp.args(["-a", "--reflink=auto"]).arg(from).arg(&self.data).current_dir("/");
        process::run("cp", &mut cp).map(drop)
    }

    /// A primary whose WAL is elsewhere leaves a link in the copy: the standby has its own.
    fn own_wal(&self) -> Result<(), LabError> {
        let wal = self.data.join("pg_wal");
        if !wal.is_symlink() {
            return Ok(());
        }
        std::fs::remove_file(&wal).tried(|| wal.display().to_string())?;
        std::fs::create_dir(&wal).tried(|| wal.display().to_string())?;
        process::Account::give(self.account.as_ref(), &wal)
    }
}
