//! A healthy server that works hard: sessions that write and now and then wait a moment for each other's locks, seven
//! of ten slots taken, logins that come and go, autovacuum, checkpoints, base backups, dumps and a streaming replica.
//!
//! Not in here: anything that a check should find.

use crate::error::LabError;
use crate::postgres::{DATABASE, Postgres, ROLE};
use crate::process;
use crate::sessions::{Login, Sessions};
use crate::{Lab, wait};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Sessions that write.
const WRITERS: u32 = 12;
/// Sessions that come and go.
const VISITORS: u32 = 10;
/// Rows that the writers fight over: fewer than writers, so that some wait.
const HOT_ROWS: u32 = 8;
/// A writer's pause between two transactions: load, and not a machine that does nothing else.
const PAUSE: Duration = Duration::from_millis(4);
/// How long a visitor stays, and how long it stays away.
const VISIT: Duration = Duration::from_millis(40);
/// Time between two rounds of maintenance.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(250);

/// What the load has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Transactions of the writers, each with an update, a select and an insert.
    pub transactions: u64,
    /// Logins of the visitors.
    pub logins: u64,
    /// Times that a session was seen to wait for another's lock.
    pub lock_waits: u64,
    /// `CHECKPOINT`.
    pub checkpoints: u64,
    /// `VACUUM ANALYZE` by hand; autovacuum goes on beside it.
    pub vacuums: u64,
    /// pg_basebackup; 0 where it is not among the server's programs.
    pub base_backups: u64,
    /// pg_dump; 0 where it is not among the server's programs.
    pub dumps: u64,
    /// Replicas that stream.
    pub replicas: u64,
    /// What failed of all this. On a healthy server nothing should.
    pub failures: u64,
}

#[derive(Debug, Default)]
struct Counts {
    transactions: AtomicU64,
    logins: AtomicU64,
    lock_waits: AtomicU64,
    checkpoints: AtomicU64,
    vacuums: AtomicU64,
    base_backups: AtomicU64,
    dumps: AtomicU64,
    failures: AtomicU64,
    over: AtomicBool,
}

impl Counts {
    fn over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Counts what went well, or a failure.
    fn count<T, E>(&self, outcome: &Result<T, E>, done: &AtomicU64) {
        let counter = if outcome.is_ok() { done } else { &self.failures };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Load that lasts until it is dropped.
#[derive(Debug)]
pub struct Load {
    counts: Arc<Counts>,
    keeper: Option<JoinHandle<()>>,
    _standby: Postgres,
    _idle: Sessions,
}

impl Load {
    /// Puts load on a lab: the writers by the API's own way, the others straight to the server. Comes back once all
    /// of it is under way.
    ///
    /// # Errors
    /// Where the server does not take part.
    pub fn start(lab: &Lab) -> Result<Self, LabError> {
        let postgres = lab.postgres();
        prepare(postgres)?;
        let standby = Postgres::standby_of(postgres, lab.folder(), lab.runtime().handle().clone())?;
        let counts = Arc::new(Counts::default());
        let api = Login::of_api(postgres);
        for n in 0..WRITERS {
            let writer = api.clone().through(lab.front_port()).named("renderflow-worker");
            lab.runtime().spawn(write(Arc::clone(&counts), writer, n));
        }
        for _ in 0..VISITORS {
            lab.runtime().spawn(visit(Arc::clone(&counts), api.clone().named("renderflow-cron")));
        }
        let idle = Sessions::open(postgres, &api, idle_sessions(postgres)?)?;
        let keeper = Keeper {
            counts: Arc::clone(&counts),
            postgres: Arc::clone(postgres),
            backup: lab.folder().join("backup"),
        };
        let keeper = Some(std::thread::spawn(move || keeper.keep()));
        let load = Self { counts, keeper, _standby: standby, _idle: idle };
        wait::until_true("load on the server", Duration::from_secs(20), || {
            let done = load.done();
            done.transactions > 0 && done.logins > 0 && done.checkpoints > 0
        })?;
        Ok(load)
    }

    /// What it has done so far.
    #[must_use]
    pub fn done(&self) -> Done {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.counts;
        Done {
            transactions: get(&counts.transactions),
            logins: get(&counts.logins),
            lock_waits: get(&counts.lock_waits),
            checkpoints: get(&counts.checkpoints),
            vacuums: get(&counts.vacuums),
            base_backups: get(&counts.base_backups),
            dumps: get(&counts.dumps),
            replicas: 1,
            failures: get(&counts.failures),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.counts.over.store(true, Ordering::Relaxed);
        if let Some(keeper) = self.keeper.take() {
            // It ends after the step that it is at; a panic in it is counted nowhere and harms nobody.
            let _ended = keeper.join();
        }
    }
}

/// The tables, and an autovacuum that does not wait for long.
fn prepare(postgres: &Postgres) -> Result<(), LabError> {
    postgres.sql_in(
        DATABASE,
        &format!(
            "create table accounts (id int primary key, balance bigint not null); \
             create table history (at timestamptz default now(), account int, note text); \
             insert into accounts select n, 0 from generate_series(1, 2000) n; \
             alter table accounts owner to {ROLE}; alter table history owner to {ROLE}"
        ),
    )?;
    postgres.sql("alter system set autovacuum = on")?;
    postgres.sql("alter system set autovacuum_naptime = '1s'")?;
    postgres.reload()
}

/// As many as take seven of ten ordinary slots together with who works.
fn idle_sessions(postgres: &Postgres) -> Result<usize, LabError> {
    let slots = "select ((current_setting('max_connections')::int \
                 - current_setting('superuser_reserved_connections')::int) * 7 / 10)::text";
    let wanted: usize = postgres.value(slots)?.parse().unwrap_or_default();
    Ok(wanted.saturating_sub((WRITERS + VISITORS) as usize))
}

/// Writes until the load is over.
async fn write(counts: Arc<Counts>, login: Login, n: u32) {
    let mut client = None;
    for round in n.. {
        if counts.over() {
            return;
        }
        let open = match client.take() {
            Some(open) => open,
            None => match login.client().await {
                Ok(open) => open,
                Err(_) => {
                    counts.failures.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(VISIT).await;
                    continue;
                }
            },
        };
        let hot = round * 7 % HOT_ROWS + 1;
        let transaction = format!(
            "begin; update accounts set balance = balance + 1 where id = {hot}; \
             select sum(balance) from accounts where id between {hot} and {hot} + 500; \
             insert into history (account, note) values ({hot}, repeat('x', 200)); commit"
        );
        let outcome = open.simple_query(&transaction).await;
        counts.count(&outcome, &counts.transactions);
        client = outcome.is_ok().then_some(open);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Logs in, asks, stays a moment and leaves, until the load is over.
async fn visit(counts: Arc<Counts>, login: Login) {
    while !counts.over() {
        let asked = async {
            let client = login.client().await?;
            let statement = "select count(*) from accounts";
            let answered = client.simple_query(statement).await;
            tokio::time::sleep(VISIT).await;
            answered.map(drop).map_err(|e| LabError::sql(statement, &e))
        };
        counts.count(&asked.await, &counts.logins);
        tokio::time::sleep(VISIT).await;
    }
}

/// Who does what administrators do.
struct Keeper {
    counts: Arc<Counts>,
    postgres: Arc<Postgres>,
    backup: PathBuf,
}

impl Keeper {
    /// Round after round until the load is over.
    fn keep(&self) {
        let (counts, postgres) = (&self.counts, &self.postgres);
        while !counts.over() {
            self.did(&counts.checkpoints, postgres.sql("checkpoint").map(drop));
            let vacuum = "vacuum analyze accounts, history";
            self.did(&counts.vacuums, postgres.sql_in(DATABASE, vacuum).map(drop));
            self.did(&counts.base_backups, self.back_up());
            self.did(&counts.dumps, self.dump());
            std::thread::sleep(BETWEEN_ROUNDS);
        }
    }

    /// Counts a step; one whose program is not here was none.
    fn did(&self, done: &AtomicU64, outcome: Result<(), LabError>) {
        if !matches!(outcome, Err(LabError::MissingProgram { .. })) {
            self.counts.count(&outcome, done);
        }
        self.see_lock_waits();
    }

    /// Adds the sessions that wait for a lock at this moment.
    fn see_lock_waits(&self) {
        let waiting = "select count(*)::text from pg_stat_activity where wait_event_type = 'Lock'";
        let seen = self.postgres.value(waiting).ok().and_then(|n| n.parse().ok()).unwrap_or(0);
        self.counts.lock_waits.fetch_add(seen, Ordering::Relaxed);
    }

    fn back_up(&self) -> Result<(), LabError> {
        let taken = self.client("pg_basebackup", |command| {
            command.args(["--checkpoint=fast", "--no-sync", "--wal-method=stream", "-U", "replicator", "-D"]);
            command.arg(&self.backup);
        });
        remove(&self.backup)?;
        taken
    }

    fn dump(&self) -> Result<(), LabError> {
        self.client("pg_dump", |command| {
            command.args(["-U", "postgres", "-f", "/dev/null", DATABASE]);
        })
    }

    /// Runs one of the server's own client programs over the unix socket or loopback.
    fn client(
        &self,
        program: &'static str,
        arguments: impl FnOnce(&mut std::process::Command),
    ) -> Result<(), LabError> {
        let path = self.postgres.program(program)?;
        let mut command = process::tool(path.as_os_str(), self.postgres.account())?;
        let host =
            if program == "pg_dump" { self.postgres.sockets().as_os_str() } else { "127.0.0.1".as_ref() };
        command.arg("-h").arg(host).arg("-p").arg(self.postgres.port().to_string());
        arguments(&mut command);
        process::run(program, command.current_dir("/")).map(drop)
    }
}

/// Removes a folder, if it is there.
fn remove(folder: &Path) -> Result<(), LabError> {
    match std::fs::remove_dir_all(folder) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(LabError::Io { what: folder.display().to_string(), source })
        }
        _ => Ok(()),
    }
}
