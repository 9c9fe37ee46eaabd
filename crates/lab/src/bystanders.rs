//! Bystanders: sessions that have nothing to do with a fault and that no remedy may end, held while one is tried. Each is
//! known by its process and the moment at which that began: the kernel tells whether it is still there, also while the
//! server lets nobody in to be asked.
//!
//! Not in here: whether a loss is a remedy's fault (`cli`'s drills).

use crate::error::{LabError, Tried as _};
use crate::postgres::{Postgres, ROLE};
use crate::sessions::Login;
use crate::wait;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// How long the server may take to let one in, and to answer the superuser's question.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two questions of the one that is never idle for long.
const OFTEN: Duration = Duration::from_millis(100);
/// What the busy one does, again and again: far shorter than anything that is long.
const WORK: &str = "select pg_sleep(0.2)";
/// Where they come from, but for the replica: an address of their own.
const FROM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// The application whose sessions a policy protects. `billing*`
pub const PROTECTED: &str = "billing-7";

/// Sessions that should outlive whatever is done. Dropped, they are gone.
#[derive(Debug)]
pub struct Bystanders {
    all: Vec<Bystander>,
    superuser: Option<Arc<Client>>,
    /// Those that can be made to look like somebody else's.
    ordinary: Vec<Arc<Client>>,
    /// Keeps the replica's connection open.
    _replica: Option<TcpStream>,
    runtime: Handle,
}

/// One of them.
#[derive(Debug)]
struct Bystander {
    what: &'static str,
    process: Process,
    /// Statements of it that were cancelled.
    cancelled: Arc<AtomicU32>,
    /// What it does; holds its connection.
    life: Option<JoinHandle<()>>,
    _client: Option<Arc<Client>>,
}

impl Drop for Bystander {
    fn drop(&mut self) {
        if let Some(life) = &self.life {
            life.abort();
        }
    }
}

/// A process that cannot be taken for another: by its id and when it began, in the kernel's ticks (proc(5), `starttime`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    pid: i32,
    began: u64,
}

impl Process {
    fn of(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything; the fields are counted from behind it. The third is the state.
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let alive = !matches!(fields.first(), Some(&"Z" | &"X"));
        let began = fields.get(19)?.parse().ok()?;
        alive.then_some(Self { pid, began })
    }

    fn lives(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// What a bystander does once it is in.
#[derive(Clone, Copy)]
enum Life {
    /// Nothing.
    Rests,
    /// This, again and again, with a pause.
    Repeats(&'static str, Duration),
}

impl Bystanders {
    /// Lets them in: a superuser, a replica, a protected application, one that holds an advisory lock, one that is always at
    /// work, and one that never idles for long.
    ///
    /// # Errors
    /// Where one is not let in.
    pub fn open(postgres: &Postgres) -> Result<Self, LabError> {
        let runtime = postgres.runtime().clone();
        let mut some =
            Self { all: Vec::new(), superuser: None, ordinary: Vec::new(), _replica: None, runtime };
        let login = |user: &str, application: &str| Login {
            user: user.to_owned(),
            database: "postgres".to_owned(),
            application: application.to_owned(),
            from: FROM,
            to: (Ipv4Addr::LOCALHOST, postgres.port()).into(),
            machines: 1,
        };
        let superuser = some.add("a superuser's session", &login("rescue", "psql"), Life::Rests)?;
        some.superuser = Some(superuser);
        some.add("a protected application's session", &login("monitor", PROTECTED), Life::Rests)?;
        let keeper = some.add("a session with an advisory lock", &login(ROLE, "scheduler"), Life::Rests)?;
        let lock = "select pg_advisory_lock(77)";
        some.runtime.block_on(keeper.simple_query(lock)).map_err(|e| LabError::sql(lock, &e))?;
        let work = Life::Repeats(WORK, Duration::ZERO);
        some.add("a session at work", &login(ROLE, "importer"), work)?;
        let question = Life::Repeats("select 1", OFTEN);
        let ticker = some.add("a session that never idles for long", &login(ROLE, "ticker"), question)?;
        some.ordinary.extend([keeper, ticker]);
        let (replica, pid) = replica(postgres.port())?;
        some._replica = Some(replica);
        some.note("a replica's walsender", pid, None, None)?;
        Ok(some)
    }

    fn add(&mut self, what: &'static str, login: &Login, life: Life) -> Result<Arc<Client>, LabError> {
        let asked = "select pg_backend_pid()::text";
        let (client, pid) = self.runtime.block_on(async {
            let client = login.client().await?;
            let rows = client.simple_query(asked).await.map_err(|e| LabError::sql(asked, &e))?;
            let pid = rows
                .iter()
                .find_map(crate::postgres::row)
                .and_then(|row| row.first()?.as_ref()?.parse().ok());
            Ok::<_, LabError>((Arc::new(client), pid.unwrap_or_default()))
        })?;
        let cancelled = Arc::<AtomicU32>::default();
        let task = match life {
            Life::Rests => None,
            Life::Repeats(statement, pause) => {
                let (client, cancelled) = (Arc::clone(&client), Arc::clone(&cancelled));
                Some(self.runtime.spawn(repeat(client, statement, pause, cancelled)))
            }
        };
        self.note(what, pid, task, Some((Arc::clone(&client), cancelled)))?;
        Ok(client)
    }

    fn note(
        &mut self,
        what: &'static str,
        pid: i32,
        life: Option<JoinHandle<()>>,
        client: Option<(Arc<Client>, Arc<AtomicU32>)>,
    ) -> Result<(), LabError> {
        let process = Process::of(pid).ok_or(LabError::PartAbsent("a backend of this bystander"))?;
        let (client, cancelled) = client.map_or_else(Default::default, |(c, n)| (Some(c), n));
        self.all.push(Bystander { what, process, cancelled, life, _client: client });
        Ok(())
    }

    /// Forgets those that are gone, and what was cancelled: from here on it counts. Gives how many are there.
    pub fn count_from_here(&mut self) -> usize {
        self.all.retain(|one| one.process.lives());
        self.all.iter().for_each(|one| one.cancelled.store(0, Ordering::Relaxed));
        self.all.len()
    }

    /// What was done to them since: who is gone, and whose statement was cancelled.
    #[must_use]
    pub fn harmed(&self) -> Vec<String> {
        let harm = |one: &Bystander| {
            let pid = one.process.pid;
            match (one.process.lives(), one.cancelled.load(Ordering::Relaxed)) {
                (false, _) => Some(format!("{} (pid {pid}) is gone", one.what)),
                (true, 0) => None,
                (true, n) => Some(format!("{n} statement(s) of {} (pid {pid}) were cancelled", one.what)),
            }
        };
        self.all.iter().filter_map(harm).collect()
    }

    /// Gives the one with the lock and the one that never idles the name of another application: then only what they hold
    /// and do tells them from its sessions.
    pub fn look_like(&self, application: &str) {
        let statement = format!("set application_name = '{application}'");
        for client in &self.ordinary {
            let renamed = async { tokio::time::timeout(PATIENCE, client.simple_query(&statement)).await };
            // One that cannot hear it keeps its name, and is no less a bystander.
            drop(self.runtime.block_on(renamed));
        }
    }

    /// Asks, as the superuser that is in, until a statement gives true. False where nobody can be asked, or it does not in
    /// time.
    #[must_use]
    pub fn see(&self, statement: &str) -> bool {
        let Some(client) = self.superuser.as_ref().filter(|client| !client.is_closed()) else { return false };
        let ask = || {
            let asked = self
                .runtime
                .block_on(async { tokio::time::timeout(PATIENCE, client.simple_query(statement)).await });
            match asked {
                Ok(Ok(rows)) => Ok(rows
                    .iter()
                    .find_map(crate::postgres::row)
                    .is_some_and(|row| row == [Some("t".to_owned())])),
                Ok(Err(e)) => Err(LabError::sql(statement, &e)),
                Err(late) => Err(LabError::Late {
                    what: statement.to_owned(),
                    waited: PATIENCE,
                    last: late.to_string(),
                }),
            }
        };
        wait::until("what a superuser sees", PATIENCE, || {
            ask().map(|is| if is { Ok(()) } else { Err("not yet") })
        })
        .is_ok()
    }

    /// Who they are, for a statement: `1,2,3`.
    #[must_use]
    pub fn pids(&self) -> String {
        self.all.iter().map(|one| one.process.pid.to_string()).collect::<Vec<_>>().join(",")
    }
}

/// One statement again and again, until its session ends.
async fn repeat(client: Arc<Client>, statement: &'static str, pause: Duration, cancelled: Arc<AtomicU32>) {
    while !client.is_closed() {
        if let Err(e) = client.simple_query(statement).await {
            if e.code() == Some(&SqlState::QUERY_CANCELED) {
                cancelled.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(OFTEN).await;
        }
        tokio::time::sleep(pause).await;
    }
}

/// A walsender's connection, and its pid: a startup with `replication`, answered up to ReadyForQuery (Postgres manual,
/// "Message Formats"; the lab's access rules ask this role for no password).
fn replica(port: u16) -> Result<(TcpStream, i32), LabError> {
    let what = || format!("a replica's login at port {port}");
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).tried(what)?;
    stream.set_read_timeout(Some(PATIENCE)).tried(what)?;
    let parameters = b"user\0replicator\0replication\0true\0application_name\0standby1\0\0";
    let length = u32::try_from(parameters.len() + 8).unwrap_or_default();
    let startup = [&length.to_be_bytes()[..], &196_608_u32.to_be_bytes(), parameters].concat();
    stream.write_all(&startup).tried(what)?;
    let mut pid = 0;
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head).tried(what)?;
        let [kind, a, b, c, d] = head;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or_default().saturating_sub(4);
        let mut body = vec![0; length.min(64 << 10)];
        stream.read_exact(&mut body).tried(what)?;
        match (kind, body.as_slice()) {
            (b'K', [a, b, c, d, ..]) => pid = i32::from_be_bytes([*a, *b, *c, *d]),
            (b'Z', _) => return Ok((stream, pid)),
            (b'E', said) => {
                let said = String::from_utf8_lossy(said).replace('\0', " ");
                return Err(LabError::Sql { statement: what(), said, code: None });
            }
            _ => {}
        }
    }
}
