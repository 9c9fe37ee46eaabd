//! A throwaway Postgres of any version in a folder of its own, on a unix socket alone, and sessions on it.

use pgmedic_lab::process::{self, Account, Launch, Server as Process};
use pgmedic_lab::{LabError, wait};
use pgmedic_model::target::Tls;
use pgmedic_model::{Host, Policy, SslMode, Target};
use pgmedic_path::rooms::dns::probe::Resolver;
use pgmedic_path::rooms::startup::session::{self as own, Reply};
use pgmedic_path::route;
use pgmedic_path::sql::{self, facts::SqlFacts};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

const PATIENCE: Duration = Duration::from_secs(30);

/// The port names the socket; nothing listens on TCP.
const PORT: u16 = 5432;

/// Every setting that a scenario needs. Nothing is made durable.
const SETTINGS: &str = "listen_addresses = ''
fsync = off
autovacuum = off
max_connections = 300
superuser_reserved_connections = 5
max_prepared_transactions = 20
max_replication_slots = 5
max_wal_senders = 5
wal_level = logical
archive_mode = on
archive_command = '/bin/false'
dynamic_shared_memory_type = mmap
shared_buffers = 16MB
max_wal_size = 48MB
min_wal_size = 32MB
hot_standby = on
";

/// A running server. Ends with it: the process first, then the folder.
pub(crate) struct Server {
    process: Option<Process>,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) bin: PathBuf,
    pub(crate) major: u32,
    account: Option<Account>,
    folder: tempfile::TempDir,
}

/// What a statement gives, in text.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

impl Server {
    /// Makes a cluster with the programs of `bin` and starts it.
    pub(crate) fn start(bin: &Path) -> Self {
        let mut server = Self::empty(bin);
        let mut initdb = process::tool(bin.join("initdb").as_os_str(), server.account.as_ref()).unwrap();
        initdb.args([
            "--username=postgres",
            "--auth=trust",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
            "-D",
        ]);
        process::run("initdb", initdb.arg(server.data()).current_dir("/")).unwrap();
        server.add_settings(SETTINGS);
        if server.major >= 16 {
            server.add_settings("reserved_connections = 7\n");
        }
        server.up();
        let postgres = server.postgres();
        postgres.run(
            "create role monitor login in role pg_monitor; create role app login; create role other login",
        );
        postgres.run("create database shop owner app");
        server.session("app", "shop").run("create table jobs (id int primary key, n int); insert into jobs select g, 0 from generate_series(1, 9) g");
        server
    }

    /// Everything but the data directory.
    fn empty(bin: &Path) -> Self {
        let version =
            process::run("postgres", std::process::Command::new(bin.join("postgres")).arg("-V")).unwrap();
        let number = version.split_whitespace().nth(2).and_then(sql::version_num).unwrap();
        let account = Account::for_servers().unwrap();
        let folder = tempfile::Builder::new().prefix("pgmedic-sql-").tempdir().unwrap();
        Account::give(account.as_ref(), folder.path()).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (runtime, major) = (Arc::new(runtime), number / 10_000);
        Self { process: None, runtime, bin: bin.to_owned(), major, account, folder }
    }

    /// A hot standby, from a copy of the data directory while the server is down.
    pub(crate) fn standby(&mut self) -> Self {
        self.down();
        let mut standby = Self::empty(&self.bin);
        let mut copy = process::tool("cp".as_ref(), self.account.as_ref()).unwrap();
        process::run("cp", copy.arg("-a").arg(self.data()).arg(standby.data()).current_dir("/")).unwrap();
        self.up();
        standby.add_settings(&format!(
            "primary_conninfo = 'host={} port={PORT} user=postgres application_name=standby'\n",
            self.folder.path().display()
        ));
        std::fs::write(standby.data().join("standby.signal"), "").unwrap();
        standby.up();
        standby
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// Appends to the configuration.
    pub(crate) fn add_settings(&self, settings: &str) {
        let path = self.data().join("postgresql.conf");
        let old = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, old + settings).unwrap();
    }

    /// Starts it and waits until it answers.
    pub(crate) fn up(&mut self) {
        let launch = Launch {
            name: "postgres",
            program: self.bin.join("postgres"),
            arguments: vec!["-D".into(), self.data().into(), "-k".into(), self.folder().into()],
            folder: self.folder.path(),
            log: &self.folder.path().join("log"),
            account: self.account.as_ref(),
            end: Signal::QUIT,
        };
        let mut process = launch.start().unwrap();
        wait::until("a ready Postgres", PATIENCE, || {
            process.expect_alive()?;
            Ok(self.try_session("postgres", "postgres", "setup").map(drop).map_err(|e| e.to_string()))
        })
        .unwrap();
        self.process = Some(process);
    }

    /// Stops it in order.
    pub(crate) fn down(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::INT).unwrap();
            process.wait_ended(PATIENCE).unwrap();
        }
    }

    fn try_session(
        &self,
        user: &str,
        database: &str,
        application: &str,
    ) -> Result<Session, tokio_postgres::Error> {
        self.session_at(self.folder(), PORT, user, database, application)
    }

    /// Logs in at a socket.
    pub(crate) fn session_at(
        &self,
        folder: &Path,
        port: u16,
        user: &str,
        database: &str,
        application: &str,
    ) -> Result<Session, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(folder).port(port).user(user).dbname(database).application_name(application);
        let client = self.runtime.block_on(async {
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(connection);
            Ok::<_, tokio_postgres::Error>(client)
        })?;
        let mut session = Session {
            client: Some(Arc::new(client)),
            runtime: Arc::clone(&self.runtime),
            pid: 0,
            pooled: port != PORT,
        };
        session.pid =
            session.run("select pg_catalog.pg_backend_pid()")[0][0].as_deref().unwrap().parse().unwrap();
        Ok(session)
    }

    /// Logs in.
    pub(crate) fn session(&self, user: &str, database: &str) -> Session {
        self.try_session(user, database, "web").unwrap()
    }

    /// Logs in so many times.
    pub(crate) fn sessions(&self, count: usize, user: &str, database: &str) -> Vec<Session> {
        (0..count).map(|_| self.session(user, database)).collect()
    }

    /// The superuser.
    pub(crate) fn postgres(&self) -> Session {
        self.try_session("postgres", "postgres", "setup").unwrap()
    }

    /// Logs in as pgmedic does.
    pub(crate) fn pgmedic(&self, user: &str, database: &str) -> Pgmedic {
        self.pgmedic_at(PORT, user, database)
    }

    /// Logs in as pgmedic does, at another socket in this server's folder.
    pub(crate) fn pgmedic_at(&self, port: u16, user: &str, database: &str) -> Pgmedic {
        let target = Target {
            host: Host::Socket(self.folder().display().to_string()),
            hostaddr: None,
            port,
            user: user.to_owned(),
            database: database.to_owned(),
            password: None,
            tls: Tls { mode: SslMode::Disable, ..Tls::default() },
            options: None,
            wants_standby: false,
            replication: None,
        };
        let resolver = Resolver::default();
        let opened = route::open(&target, &resolver, None, tokio::time::Instant::now() + PATIENCE);
        let (seen, session) = self.runtime.block_on(opened);
        let session = session.unwrap_or_else(|| panic!("{user} is not let in: {seen:?}"));
        let (runtime, pooled) = (Arc::clone(&self.runtime), port != PORT);
        let mut pgmedic = Pgmedic { session: Some(session), runtime, pid: 0, pooled };
        pgmedic.pid =
            pgmedic.run("select pg_catalog.pg_backend_pid()")[0][0].as_deref().unwrap().parse().unwrap();
        pgmedic
    }

    /// What the statement tells this role in this database, on a connection of its own.
    pub(crate) fn facts(&self, user: &str, database: &str) -> SqlFacts {
        self.pgmedic(user, database).facts(self.major, &Policy::default())
    }

    /// Waits until a statement of the superuser gives true.
    pub(crate) fn wait_true(&self, statement: &str) {
        let session = self.postgres();
        wait::until_true(statement, PATIENCE, || session.run(statement)[0][0].as_deref() == Some("t"))
            .unwrap();
    }

    /// Waits until nobody but the superuser's scenario is left from before.
    pub(crate) fn wait_alone(&self) {
        self.wait_true(
            "select count(*) = 1 from pg_stat_activity where backend_type = 'client backend' and datid is not null",
        );
    }

    /// Waits until so many sessions wait for a lock.
    pub(crate) fn wait_waiting(&self, count: usize) {
        self.wait_true(&format!(
            "select count(*) = {count} from pg_stat_activity where wait_event_type = 'Lock'"
        ));
    }
}

/// One connection.
pub(crate) struct Session {
    client: Option<Arc<Client>>,
    runtime: Arc<Runtime>,
    pub(crate) pid: i32,
    /// The backend is a pooler's and stays.
    pooled: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.client = None;
        gone(self.pid, self.pooled);
    }
}

impl Session {
    /// Runs SQL to its end.
    pub(crate) fn run(&self, statement: &str) -> Rows {
        self.try_run(statement).unwrap_or_else(|e| panic!("{statement}: {e:?}"))
    }

    fn try_run(&self, statement: &str) -> Result<Rows, tokio_postgres::Error> {
        let messages = self.runtime.block_on(self.client.as_ref().unwrap().simple_query(statement))?;
        let row = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect())
            }
            _ => None,
        };
        Ok(messages.iter().filter_map(row).collect())
    }

    /// Starts SQL and does not wait for its end, which comes when the session is cut off.
    pub(crate) fn begin(&self, statement: &str) {
        let (client, statement) = (self.client.clone(), statement.to_owned());
        self.runtime.spawn(async move { drop(client.unwrap().simple_query(&statement).await) });
    }
}

/// A connection of pgmedic's own.
pub(crate) struct Pgmedic {
    session: Option<own::Session>,
    runtime: Arc<Runtime>,
    pid: i32,
    pooled: bool,
}

impl Drop for Pgmedic {
    fn drop(&mut self) {
        self.session = None;
        gone(self.pid, self.pooled);
    }
}

impl Pgmedic {
    /// Runs SQL to its end.
    pub(crate) fn run(&mut self, statement: &str) -> Rows {
        let session = self.session.as_mut().unwrap();
        let asked = session.simple_query(statement, tokio::time::Instant::now() + PATIENCE);
        match self.runtime.block_on(asked).reply {
            Reply::Rows { rows, .. } => rows,
            reply => panic!("{statement}: {reply:?}"),
        }
    }

    /// What the statement tells here.
    pub(crate) fn facts(&mut self, major: u32, policy: &Policy) -> SqlFacts {
        let rows = self.run(&sql::statement(major * 10_000));
        let mut account = sql::read(rows).unwrap_or_else(|e| panic!("{e}"));
        if account.wants_locks() {
            let rows = self.run(&sql::lock_statement(account.sees_all()));
            account.add_locks(&rows).unwrap_or_else(|e| panic!("{e}: {rows:?}"));
        }
        account.into_facts(policy)
    }
}

/// Waits until a backend is gone: the next count must not find it.
fn gone(pid: i32, pooled: bool) {
    let backend = PathBuf::from(format!("/proc/{pid}"));
    if !pooled && !std::thread::panicking() {
        wait::until_true("the end of a backend", PATIENCE, || !backend.exists()).unwrap();
    }
}

/// Ends sessions that wait or sleep, which would not notice that their client is gone.
pub(crate) fn end(server: &Server, sessions: Vec<Session>) {
    let pids: Vec<String> = sessions.iter().map(|s| s.pid.to_string()).collect();
    server
        .postgres()
        .run(&format!("select pg_terminate_backend(pid) from unnest('{{{}}}'::int[]) pid", pids.join(",")));
    drop(sessions);
}

/// The folders to test with: this machine's, and those of PGMEDIC_PG_BINS.
pub(crate) fn folders() -> Result<Vec<PathBuf>, LabError> {
    let named = std::env::var_os("PGMEDIC_PG_BINS").unwrap_or_default();
    let mut folders = vec![pgmedic_lab::programs::postgres_folder()?];
    folders.extend(std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()));
    Ok(folders)
}
