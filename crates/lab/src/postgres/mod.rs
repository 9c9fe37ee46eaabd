//! A real Postgres on loopback: made from the template, started, asked, reloaded, stopped, killed.
//!
//! Roles: the superuser `postgres` (unix socket, trust), `renderflow` (ordinary, owns the database of that name),
//! `monitor` (pg_monitor), `rescue` (superuser), `replicator`; all but the first prove [`PASSWORD`] over TCP.

mod settings;
mod standby;
mod template;

use crate::certificates::{Authority, Validity};
use crate::error::{LabError, Tried as _};
use crate::process::{self, Account, Launch, Server};
use crate::{ports, programs, wait};
use rustix::process::Signal;
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// The API's role.
pub const ROLE: &str = "renderflow";
/// The API's database.
pub const DATABASE: &str = "renderflow";
/// The password of every role of the lab.
pub const PASSWORD: &str = "only-for-the-lab-7f3a";
/// How long a server may take to start, stop or reload.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often another port is tried where somebody took ours first.
const PORT_TRIES: usize = 5;

/// A Postgres server of the lab.
#[derive(Debug)]
pub struct Postgres {
    bin: PathBuf,
    account: Option<Account>,
    data: PathBuf,
    sockets: PathBuf,
    log: PathBuf,
    port: u16,
    runtime: Handle,
    server: Mutex<Option<Server>>,
    last_end: Mutex<Option<ExitStatus>>,
}

/// Rows of text, as the simple protocol gives them.
pub type Rows = Vec<Vec<Option<String>>>;

/// How a running server is asked to stop (Postgres manual, "Shutting Down the Server").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Waits for its clients.
    Smart,
    /// Ends its clients' sessions and checkpoints.
    Fast,
    /// Leaves everything to recovery.
    Immediate,
}

impl Postgres {
    /// Makes a server in `folder` (which the servers' account owns) and starts it. Its data goes to `data`, where
    /// that is given: a mount of its own.
    ///
    /// # Errors
    /// Where a program is missing or the server does not come up.
    pub fn start(folder: &Path, data: Option<&Path>, runtime: Handle) -> Result<Self, LabError> {
        let (mut server, template) = Self::prepare(folder, data, "primary", runtime)?;
        template::copy(&template, &server.data, server.account.as_ref())?;
        if data.is_some() {
            server.move_wal_to(&folder.join("wal"))?;
        }
        server.configure()?;
        for _ in 1..PORT_TRIES {
            match server.up() {
                Err(LabError::Ended { said, .. }) if said.contains("Address already in use") => {
                    server.port = ports::free()?;
                    server.configure()?;
                }
                outcome => return outcome.map(|()| server),
            }
        }
        server.up().map(|()| server)
    }

    /// Makes another server in the place of `other`, which is stopped: the same port, roles and database, and an identity
    /// of its own.
    ///
    /// # Errors
    /// Where a program is missing or the server does not come up.
    pub fn in_place_of(other: &Self, folder: &Path, runtime: Handle) -> Result<Self, LabError> {
        let (mut server, _) = Self::prepare(folder, None, "another", runtime)?;
        template::another(&server.bin, server.account.as_ref(), &server.data)?;
        server.port = other.port;
        server.configure()?;
        server.up()?;
        Ok(server)
    }

    /// Everything but the data directory.
    fn prepare(
        folder: &Path,
        data: Option<&Path>,
        name: &str,
        runtime: Handle,
    ) -> Result<(Self, PathBuf), LabError> {
        let bin = programs::postgres_folder()?;
        let account = Account::for_servers()?;
        let template = template::template(&bin, account.as_ref())?;
        let sockets = folder.join(format!("{name}-socket"));
        std::fs::create_dir(&sockets).tried(|| sockets.display().to_string())?;
        Account::give(account.as_ref(), &sockets)?;
        let data = data.map_or_else(|| folder.join(name), |mount| mount.join("data"));
        let log = folder.join(format!("{name}.log"));
        let server = Mutex::new(None);
        let port = ports::free()?;
        let last_end = Mutex::default();
        Ok((Self { bin, account, data, sockets, log, port, runtime, server, last_end }, template))
    }

    /// Moves WAL to a place of its own: where the data's volume runs full, the server then says so (53100) and lives
    /// on; WAL on the same volume may end it first.
    fn move_wal_to(&self, wal: &Path) -> Result<(), LabError> {
        let here = self.data.join("pg_wal");
        let mut mv = process::tool("mv".as_ref(), self.account.as_ref())?;
        process::run("mv", mv.arg(&here).arg(wal).current_dir("/"))?;
        std::os::unix::fs::symlink(wal, &here).tried(|| here.display().to_string())
    }

    /// Writes the configuration files.
    fn configure(&self) -> Result<(), LabError> {
        self.write("postgresql.conf", &settings::postgresql_conf(self.port, &self.sockets))?;
        self.write("pg_hba.conf", &settings::hba())
    }

    /// Writes a file of the data directory.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn write(&self, name: &str, text: &str) -> Result<(), LabError> {
        let path = self.data.join(name);
        std::fs::write(&path, text).tried(|| path.display().to_string())?;
        Account::give(self.account.as_ref(), &path)
    }

    /// Removes a file of the data directory, if it is there.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn remove(&self, name: &str) -> Result<(), LabError> {
        match std::fs::remove_file(self.data.join(name)) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(LabError::Io { what: name.to_owned(), source })
            }
            _ => Ok(()),
        }
    }

    /// Writes a key: nobody but the server may read it, or it will not be used.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn write_key(&self, name: &str, text: &str) -> Result<(), LabError> {
        self.write(name, text)?;
        let path = self.data.join(name);
        let only_us = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, only_us).tried(|| path.display().to_string())
    }

    fn running(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the server and does not wait for it to answer.
    ///
    /// # Errors
    /// Where it cannot be run.
    pub fn launch(&self) -> Result<(), LabError> {
        self.launch_by(&[])
    }

    /// The same by a program that becomes the server in the end: `unshare --mount …`.
    ///
    /// # Errors
    /// Where it cannot be run.
    pub(crate) fn launch_by(&self, wrapper: &[OsString]) -> Result<(), LabError> {
        let launch = Launch {
            name: "postgres",
            program: self.bin.join("postgres"),
            arguments: vec!["-D".into(), self.data.clone().into()],
            folder: &self.data,
            log: &self.log,
            account: self.account.as_ref(),
            end: Signal::QUIT,
        };
        *self.running() = Some(launch.start_by(wrapper)?);
        Ok(())
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    /// Where it ends, or does not answer in time.
    pub fn up(&self) -> Result<(), LabError> {
        self.launch()?;
        self.wait_ready()
    }

    /// Starts the server where it does not run, and waits until it answers. A postmaster that died leaves backends behind,
    /// and a new one refuses the directory until the last of them is gone.
    ///
    /// # Errors
    /// Where it does not come up in time.
    pub fn ensure_up(&self) -> Result<(), LabError> {
        if self.is_alive() {
            return self.wait_ready();
        }
        wait::until("a Postgres that starts", PATIENCE / 2, || match self.up() {
            Err(ended @ LabError::Ended { .. }) => Ok(Err(ended)),
            outcome => outcome.map(Ok::<(), LabError>),
        })
    }

    /// Waits until the server answers a query.
    ///
    /// # Errors
    /// Where it ends, or does not answer in time.
    pub fn wait_ready(&self) -> Result<(), LabError> {
        wait::until("a ready Postgres", PATIENCE, || {
            self.running().as_mut().map_or(Ok(()), Server::expect_alive)?;
            Ok(self.sql("select 1").map(drop))
        })
    }

    /// Stops the server; a smart stop is only asked for, not waited for.
    ///
    /// # Errors
    /// Where it does not end in time.
    pub fn stop(&self, how: Stop) -> Result<(), LabError> {
        let signal = match how {
            Stop::Smart => Signal::TERM,
            Stop::Fast => Signal::INT,
            Stop::Immediate => Signal::QUIT,
        };
        self.signal(signal)?;
        if how == Stop::Smart { Ok(()) } else { self.wait_stopped() }
    }

    /// Waits until the server has ended.
    ///
    /// # Errors
    /// Where it does not end in time.
    pub fn wait_stopped(&self) -> Result<(), LabError> {
        let ended = self.running().as_mut().map_or(Ok(()), |server| server.wait_ended(PATIENCE));
        ended?;
        let last = self.running().take().as_mut().and_then(Server::ended);
        *self.last_end.lock().unwrap_or_else(PoisonError::into_inner) = last;
        Ok(())
    }

    /// How the postmaster last ended; None while it runs.
    #[must_use]
    pub fn ended(&self) -> Option<ExitStatus> {
        match self.running().as_mut() {
            Some(server) => server.ended(),
            None => *self.last_end.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// True while the postmaster lives.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.running().as_mut().is_some_and(|server| server.expect_alive().is_ok())
    }

    /// Sends the postmaster a signal.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn signal(&self, signal: Signal) -> Result<(), LabError> {
        self.running().as_ref().ok_or(LabError::PartAbsent("a running Postgres"))?.signal(signal)
    }

    /// The postmaster's process id.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn pid(&self) -> Result<u32, LabError> {
        self.running().as_ref().map(Server::pid).ok_or(LabError::PartAbsent("a running Postgres"))
    }

    /// Waits until the server answers again after a crash of one of its processes: until then it lets nobody in.
    ///
    /// # Errors
    /// Where it does not, in time.
    pub fn wait_recovered(&self) -> Result<(), LabError> {
        wait::until_true("a server that ended its sessions", PATIENCE, || self.sql("select 1").is_err())?;
        self.wait_ready()
    }

    /// Has the configuration read again, and waits until a new session sees it.
    ///
    /// # Errors
    /// Where the server does not take it up in time.
    pub fn reload(&self) -> Result<(), LabError> {
        let loaded = "select extract(epoch from pg_conf_load_time())::text";
        let before = self.sql(loaded)?;
        self.signal(Signal::HUP)?;
        wait::until("a reloaded configuration", PATIENCE, || {
            Ok(self.sql(loaded).and_then(|now| {
                let same =
                    LabError::Late { what: loaded.into(), waited: Duration::ZERO, last: String::new() };
                if now == before { Err(same) } else { Ok(()) }
            }))
        })
    }

    /// Replaces the access rules for TCP and reloads; the unix socket stays open to the lab.
    ///
    /// # Errors
    /// Where the server does not take it up in time.
    pub fn set_hba(&self, rules: &str) -> Result<(), LabError> {
        self.write("pg_hba.conf", &format!("local all all trust\n{rules}"))?;
        self.reload()
    }

    /// Puts the lab's own access rules back and reloads.
    ///
    /// # Errors
    /// Where the server does not take it up in time.
    pub fn reset_hba(&self) -> Result<(), LabError> {
        self.write("pg_hba.conf", &settings::hba())?;
        self.reload()
    }

    /// Offers TLS with a certificate for the database's name.
    ///
    /// # Errors
    /// Where the certificate cannot be made, or the server does not take it up in time.
    pub fn offer_tls(&self, authority: &Authority) -> Result<(), LabError> {
        self.show_certificate(authority, crate::dns::NAME, Validity::InDate)?;
        self.write("tls.conf", "ssl = on\n")?;
        self.reload()
    }

    /// Puts a certificate in place; it is shown from the next reload on.
    ///
    /// # Errors
    /// Where it cannot be made or written.
    pub fn show_certificate(
        &self,
        authority: &Authority,
        name: &str,
        validity: Validity,
    ) -> Result<(), LabError> {
        let pair = authority.sign(name, validity)?;
        self.write("server.crt", &pair.certificate)?;
        self.write_key("server.key", &pair.key)
    }

    /// Runs SQL as the superuser over the unix socket, in the database `postgres`.
    ///
    /// # Errors
    /// Where the server refuses.
    pub fn sql(&self, statement: &str) -> Result<Rows, LabError> {
        self.sql_in("postgres", statement)
    }

    /// Runs SQL as the superuser over the unix socket, in `database`.
    ///
    /// # Errors
    /// Where the server refuses.
    pub fn sql_in(&self, database: &str, statement: &str) -> Result<Rows, LabError> {
        let refused = |e: tokio_postgres::Error| LabError::sql(statement, &e);
        self.runtime.block_on(async {
            let (client, connection) =
                self.superuser(database).connect(tokio_postgres::NoTls).await.map_err(refused)?;
            let driver = tokio::spawn(connection);
            let messages = client.simple_query(statement).await.map_err(refused);
            drop(client);
            // The session is gone before we go on: it must not be in the way of what is drilled.
            let _ended = driver.await;
            Ok(messages?.iter().filter_map(row).collect())
        })
    }

    /// The superuser's way in over the unix socket.
    fn superuser(&self, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.sockets).port(self.port).user("postgres").dbname(database);
        config.application_name("lab").connect_timeout(Duration::from_secs(5));
        // A fault may have made every transaction of the database read-only.
        config.options("-c default_transaction_read_only=off");
        config
    }

    /// One value of one row.
    ///
    /// # Errors
    /// Where the server refuses, or there is no such value.
    pub fn value(&self, statement: &str) -> Result<String, LabError> {
        let first = self.sql(statement)?.into_iter().next().and_then(|row| row.into_iter().next()).flatten();
        let none = LabError::Sql { statement: statement.to_owned(), said: "no value".to_owned(), code: None };
        first.ok_or(none)
    }

    /// Waits until a statement, run as the superuser, gives true.
    ///
    /// # Errors
    /// Where it does not in time, or the server refuses.
    pub fn wait_true(&self, what: &str, statement: &str) -> Result<(), LabError> {
        wait::until(what, PATIENCE, || self.value(statement).map(|v| if v == "t" { Ok(()) } else { Err(v) }))
    }

    /// A program of the same version as the server, `pgbench`.
    ///
    /// # Errors
    /// Where it is not among the server's programs.
    pub fn program(&self, program: &'static str) -> Result<PathBuf, LabError> {
        let path = self.bin.join(program);
        if path.exists() {
            Ok(path)
        } else {
            Err(LabError::MissingProgram { program, package: "postgresql" })
        }
    }

    /// TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A loopback address besides 127.0.0.1 that the server listens on, of this process alone.
    #[must_use]
    pub fn own_address(&self) -> Ipv4Addr {
        ports::own_address()
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The server's log.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The unix socket's directory.
    #[must_use]
    pub fn sockets(&self) -> &Path {
        &self.sockets
    }

    /// Who the server runs as, where that is not who we are.
    #[must_use]
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// The runtime that asks it.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

/// The columns of a row message.
pub(crate) fn row(message: &tokio_postgres::SimpleQueryMessage) -> Option<Vec<Option<String>>> {
    let tokio_postgres::SimpleQueryMessage::Row(row) = message else { return None };
    Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect())
}
