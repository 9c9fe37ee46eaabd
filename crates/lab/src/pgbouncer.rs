//! A real PgBouncer in front of the server, in transaction mode, with its admin console.

use crate::error::{LabError, Tried as _};
use crate::postgres::{DATABASE, PASSWORD, Postgres, ROLE, Rows};
use crate::process::{Account, Launch, Server};
use crate::{Guard, ports, programs, wait};
use rustix::process::Signal;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

const PATIENCE: Duration = Duration::from_secs(10);
/// The role that may read the console; it may change nothing.
pub const STATS_ROLE: &str = "stats";
/// The role that may command the console.
pub const ADMIN_ROLE: &str = "pooladmin";

/// A PgBouncer of the lab.
#[derive(Debug)]
pub struct Pgbouncer {
    program: PathBuf,
    account: Option<Account>,
    port: u16,
    pool_size: u32,
    folder: PathBuf,
    file: PathBuf,
    log: PathBuf,
    runtime: Handle,
    server: Mutex<Option<Server>>,
}

impl Pgbouncer {
    /// Starts one in front of `postgres`, with `pool_size` server connections and room for `max_clients`.
    ///
    /// # Errors
    /// Where it is not installed or does not come up.
    pub fn start(
        folder: &Path,
        postgres: &Postgres,
        pool_size: u32,
        max_clients: u32,
    ) -> Result<Self, LabError> {
        let program = programs::find("pgbouncer")?;
        let account = Account::for_servers()?;
        let port = ports::free()?;
        let (file, users, log) =
            (folder.join("pgbouncer.ini"), folder.join("userlist.txt"), folder.join("pgbouncer.log"));
        let list =
            [ROLE, "monitor", STATS_ROLE, ADMIN_ROLE].map(|user| format!("\"{user}\" \"{PASSWORD}\"\n"));
        let configuration = format!(
            "[databases]\n{DATABASE} = host=127.0.0.1 port={upstream} dbname={DATABASE}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = {users}\nadmin_users = {ADMIN_ROLE}\n\
             stats_users = {STATS_ROLE}\npool_mode = transaction\ndefault_pool_size = {pool_size}\n\
             max_client_conn = {max_clients}\nserver_login_retry = 1\n\
             ignore_startup_parameters = extra_float_digits,options\n",
            upstream = postgres.port(),
            users = users.display(),
        );
        for (path, text) in [(&file, configuration), (&users, list.concat())] {
            std::fs::write(path, text).tried(|| path.display().to_string())?;
            Account::give(account.as_ref(), path)?;
        }
        let runtime = postgres.runtime().clone();
        let pooler = Self {
            program,
            account,
            port,
            pool_size,
            folder: folder.to_owned(),
            file,
            log,
            runtime,
            server: Mutex::default(),
        };
        pooler.launch()?;
        Ok(pooler)
    }

    /// Starts its process and waits until the console answers.
    fn launch(&self) -> Result<(), LabError> {
        let launch = Launch {
            name: "pgbouncer",
            program: self.program.clone(),
            arguments: vec![self.file.clone().into()],
            folder: &self.folder,
            log: &self.log,
            account: self.account.as_ref(),
            end: Signal::TERM,
        };
        *self.running() = Some(launch.start()?);
        wait::until("an answering PgBouncer", PATIENCE, || {
            self.running().as_mut().map_or(Ok(()), Server::expect_alive)?;
            Ok(self.console("SHOW VERSION").map(drop))
        })
    }

    /// Kills it, however it is, and starts it with the configuration that it has: what a supervisor does.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn kill_and_start(&self) -> Result<(), LabError> {
        if let Some(mut old) = self.running().take() {
            old.signal(Signal::KILL)?;
            old.wait_ended(PATIENCE)?;
        }
        self.launch()
    }

    fn running(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn signal(&self, signal: Signal) -> Result<(), LabError> {
        self.running().as_ref().ok_or(LabError::PartAbsent("a running PgBouncer"))?.signal(signal)
    }

    /// `default_pool_size`.
    #[must_use]
    pub fn pool_size(&self) -> usize {
        usize::try_from(self.pool_size).unwrap_or(usize::MAX)
    }

    /// Commands the console as its administrator (pgbouncer manual, "Admin console").
    ///
    /// # Errors
    /// Where it refuses.
    pub fn console(&self, command: &str) -> Result<Rows, LabError> {
        let refused = |e: tokio_postgres::Error| LabError::sql(command, &e);
        let mut config = tokio_postgres::Config::new();
        config.hostaddr(Ipv4Addr::LOCALHOST.into()).port(self.port).dbname("pgbouncer");
        config.user(ADMIN_ROLE).password(PASSWORD).connect_timeout(PATIENCE);
        self.runtime.block_on(async {
            let (client, connection) = config.connect(tokio_postgres::NoTls).await.map_err(refused)?;
            tokio::spawn(connection);
            let messages = client.simple_query(command).await.map_err(refused)?;
            Ok(messages.iter().filter_map(crate::postgres::row).collect())
        })
    }

    /// Puts `new` in the place of `old` in its configuration and has it read that anew, until the guard undoes it.
    ///
    /// # Errors
    /// Where the configuration has no `old`, or it cannot be written or read anew.
    pub fn reconfigure(self: &Arc<Self>, old: &str, new: &str) -> Result<Guard, LabError> {
        self.replace(old, new)?;
        let (pooler, old, new) = (Arc::clone(self), old.to_owned(), new.to_owned());
        Ok(Guard::undone_by(move || pooler.replace(&new, &old)))
    }

    fn replace(&self, old: &str, new: &str) -> Result<(), LabError> {
        let what = || self.file.display().to_string();
        let text = std::fs::read_to_string(&self.file).tried(what)?;
        if !text.contains(old) {
            return Err(LabError::PartAbsent("such a line in its PgBouncer's configuration"));
        }
        std::fs::write(&self.file, text.replacen(old, new, 1)).tried(what)?;
        self.console("RELOAD").map(drop)
    }

    /// Waits until `SHOW POOLS` has at least `count` in the column of this name, for the API's pool.
    ///
    /// # Errors
    /// Where it has not in time.
    pub fn wait_pool(&self, column: PoolColumn, count: u64) -> Result<(), LabError> {
        wait::until(&format!("{column:?} {count}"), PATIENCE, || {
            let rows = self.console("SHOW POOLS")?;
            let of_api = rows.iter().find(|row| row.first().is_some_and(|d| d.as_deref() == Some(DATABASE)));
            let now = of_api.and_then(|row| row.get(column as usize)?.as_ref()?.parse::<u64>().ok());
            Ok(if now >= Some(count) { Ok(()) } else { Err(format!("{now:?}")) })
        })
    }
}

/// Columns of `SHOW POOLS` in PgBouncer 1.18, by their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolColumn {
    /// Clients that are served or need nothing.
    ClientsActive = 2,
    /// Clients that wait for a server connection.
    ClientsWaiting = 3,
}
