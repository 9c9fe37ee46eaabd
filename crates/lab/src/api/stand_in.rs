//! A stand-in for the runbook's API, with the defects that pools have and `renderflow` has not: it hands out connections
//! that ended, says connected without having asked, prepares statements for good. A pool of at most ten real connections,
//! `/api/v1/ready`, `/metrics` and a log. It runs inside of this process and reaches its database as any API does: by name,
//! through whatever is in between, with a password.

mod connect;
mod held;

use super::{POOL_MAX, Place, locked};
use crate::error::{LabError, Tried as _};
use connect::{connect, words};
pub use held::CheckedOut;
use held::Held;
use held::Requests;
use pgmedic_model::Timestamp;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Statement};

/// What one readiness request may take, from the pool's queue to the answer of `select 1`.
const READY_WITHIN: Duration = Duration::from_secs(1);
/// What a request may wait for a connection of the pool.
const ACQUIRE_WITHIN: Duration = Duration::from_millis(800);
/// The longest request that is read, in bytes.
const LONGEST_REQUEST: usize = 8192;

/// The stand-in.
#[derive(Debug)]
pub struct StandIn {
    address: SocketAddr,
    log: PathBuf,
    state: Arc<State>,
    listening: Mutex<Option<JoinHandle<()>>>,
    runtime: Handle,
}

#[derive(Debug)]
struct State {
    /// Where its pool finds the database.
    place: Mutex<Place>,
    /// Where its settings say: what it finds when it starts.
    configured: Mutex<Place>,
    /// Connections that requests hold.
    out: Mutex<Vec<Weak<Held>>>,
    slots: Arc<Semaphore>,
    idle: tokio::sync::Mutex<Vec<Pooled>>,
    waiting: AtomicUsize,
    trusting: AtomicBool,
    lying: AtomicBool,
    preparing: AtomicBool,
    untested: AtomicBool,
    log: Mutex<std::fs::File>,
}

/// A connection of the pool, with the statement that it was prepared for.
#[derive(Debug)]
struct Pooled {
    client: Client,
    /// What reads and writes its socket.
    driver: JoinHandle<()>,
    prepared: Option<Statement>,
}

impl Pooled {
    fn ended(&self) -> bool {
        self.client.is_closed()
    }

    /// `select 1`, by the prepared statement where there is one.
    async fn ask(&self) -> Result<(), String> {
        match &self.prepared {
            Some(statement) => self.client.query(statement, &[]).await.map(drop),
            None => self.client.simple_query("select 1").await.map(drop),
        }
        .map_err(|e| words(&e))
    }
}

impl StandIn {
    /// Starts it.
    ///
    /// # Errors
    /// Where it cannot listen or write its log.
    pub(super) fn start(folder: &Path, place: Place, runtime: Handle) -> Result<Self, LabError> {
        let log = folder.join("api.log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log);
        let state = State {
            configured: Mutex::new(place.clone()),
            place: Mutex::new(place),
            out: Mutex::default(),
            slots: Arc::new(Semaphore::new(POOL_MAX)),
            idle: tokio::sync::Mutex::default(),
            waiting: AtomicUsize::new(0),
            trusting: AtomicBool::new(false),
            lying: AtomicBool::new(false),
            preparing: AtomicBool::new(false),
            untested: AtomicBool::new(false),
            log: Mutex::new(file.tried(|| log.display().to_string())?),
        };
        let address = (Ipv4Addr::LOCALHOST, crate::ports::free()?).into();
        let api = Self { address, log, state: Arc::new(state), listening: Mutex::default(), runtime };
        api.listen()?;
        Ok(api)
    }

    /// Listens (again).
    ///
    /// # Errors
    /// Where the port is taken.
    pub(super) fn listen(&self) -> Result<(), LabError> {
        let listener = self.runtime.block_on(TcpListener::bind(self.address));
        let listener = listener.tried(|| format!("the API's listener at {}", self.address))?;
        let state = Arc::clone(&self.state);
        let task = self.runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(Arc::clone(&state), stream));
            }
        });
        *locked(&self.listening) = Some(task);
        Ok(())
    }

    /// Stops listening: the API is gone, as far as anybody can tell.
    pub(super) fn stop(&self) {
        if let Some(task) = locked(&self.listening).take() {
            task.abort();
            let _aborted = self.runtime.block_on(task);
        }
    }

    /// Gives it another place to find its database at, and takes its open connections away: a new `DATABASE_URL`
    /// and a restart.
    pub(super) fn redeploy(&self, place: Place) {
        *locked(&self.state.configured) = place.clone();
        *locked(&self.state.place) = place;
        self.restart();
    }

    /// Takes its pool away: it runs on as one whose pool was never made, until it is started anew.
    pub(super) fn lose_pool(&self) {
        *locked(&self.state.place) = Place::Uninitialised;
        self.restart();
    }

    /// Ends its process and starts it anew: whatever it had is gone, its settings and its defects are not.
    ///
    /// # Errors
    /// Where it cannot listen again.
    pub(super) fn start_anew(&self) -> Result<(), LabError> {
        self.stop();
        let out: Vec<Weak<Held>> = std::mem::take(&mut *locked(&self.state.out));
        for held in out.iter().filter_map(Weak::upgrade) {
            for (pooled, _permit) in std::mem::take(&mut *locked(&held)) {
                pooled.driver.abort();
            }
        }
        self.restart();
        let configured = locked(&self.state.configured).clone();
        *locked(&self.state.place) = configured;
        self.listen()
    }

    /// Takes its open connections away; it finds its database where it did.
    pub(super) fn restart(&self) {
        self.runtime.block_on(async { self.state.idle.lock().await.clear() });
    }

    /// Whether its pool trusts what it keeps: then it hands out sessions that have ended, and never opens one anew.
    pub fn trust_pool(&self, trust: bool) {
        self.state.trusting.store(trust, Ordering::Relaxed);
    }

    /// Closes the sockets of the connections that it keeps, behind its pool's back.
    pub fn lose_sockets(&self) {
        self.runtime.block_on(async {
            for pooled in self.state.idle.lock().await.iter_mut() {
                pooled.driver.abort();
                let _aborted = (&mut pooled.driver).await;
            }
        });
    }

    /// Whether its readiness says connected without having asked.
    pub fn lie(&self, lie: bool) {
        self.state.lying.store(lie, Ordering::Relaxed);
    }

    /// Whether it prepares its statement when it connects, as many drivers do by themselves.
    pub fn prepare_statements(&self, prepare: bool) {
        self.state.preparing.store(prepare, Ordering::Relaxed);
    }

    /// Has requests check out every connection of its pool.
    ///
    /// # Errors
    /// Where one cannot be opened.
    pub fn check_out_all(&self) -> Result<CheckedOut, LabError> {
        self.check_out(POOL_MAX)
    }

    /// Has so many requests use its pool at once, which then keeps as many connections.
    ///
    /// # Errors
    /// Where one cannot be opened.
    pub fn warm(&self, connections: usize) -> Result<(), LabError> {
        self.check_out(connections).map(drop)
    }

    fn check_out(&self, connections: usize) -> Result<CheckedOut, LabError> {
        let held = Arc::<Held>::default();
        locked(&self.state.out).push(Arc::downgrade(&held));
        let out = CheckedOut { state: Arc::clone(&self.state), held, runtime: self.runtime.clone() };
        for _ in 0..connections {
            let taken = self.runtime.block_on(async {
                let (pooled, permit) = self.state.check_out().await?;
                pooled.ask().await.map(|()| (Arc::new(pooled), permit))
            });
            let statement = "a connection of the API's pool".to_owned();
            locked(&out.held).push(taken.map_err(|said| LabError::Sql { statement, said, code: None })?);
        }
        Ok(out)
    }

    /// Has one request use a connection of its pool.
    ///
    /// # Errors
    /// Where it fails.
    pub fn use_once(&self) -> Result<(), LabError> {
        let statement = "a request of the API's".to_owned();
        let used = self.runtime.block_on(self.state.select_one());
        used.map_err(|said| LabError::Sql { statement, said, code: None })
    }

    /// Whether it calls itself ready, with its reason where it does not. Its log tells as much.
    ///
    /// # Errors
    /// Its reason.
    pub(super) fn is_ready(&self) -> Result<(), String> {
        self.runtime.block_on(self.state.ready())
    }

    /// So many requests at a time, each followed by another, and waits until as many wait for a connection.
    ///
    /// # Errors
    /// Where they do not come to wait.
    pub(super) fn keep_asking(&self, requests: usize) -> Result<Requests, LabError> {
        let ask = || {
            let state = Arc::clone(&self.state);
            self.runtime.spawn(async move {
                loop {
                    drop(state.ready().await);
                    tokio::task::yield_now().await;
                }
            })
        };
        let asking = Requests((0..requests).map(|_| ask()).collect());
        crate::wait::until("requests that wait", READY_WITHIN * 5, || {
            let waiting = self.state.waiting.load(Ordering::Relaxed);
            Ok(if waiting >= requests { Ok(()) } else { Err(waiting.to_string()) })
        })?;
        Ok(asking)
    }

    /// Whether its pool looks at a connection before it hands it out. One that does not drops it once it has failed.
    pub fn test_on_checkout(&self, test: bool) {
        self.state.untested.store(!test, Ordering::Relaxed);
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its log.
    #[must_use]
    pub(super) fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Reads one request and answers it.
async fn serve(state: Arc<State>, mut stream: TcpStream) {
    let mut request = Vec::new();
    while !request.windows(4).any(|w| w == b"\r\n\r\n") && request.len() < LONGEST_REQUEST {
        match stream.read_buf(&mut request).await {
            Ok(1..) => {}
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&request);
    let path = head.split_whitespace().nth(1).unwrap_or_default();
    let (status, kind, body) = match path {
        "/api/v1/ready" => match state.ready().await {
            Ok(()) => ("200 OK", "application/json", r#"{"status":"ready","db":"connected"}"#.to_owned()),
            Err(reason) => {
                let body =
                    serde_json::json!({ "status": "not_ready", "db": "disconnected", "reason": reason });
                ("503 Service Unavailable", "application/json", body.to_string())
            }
        },
        "/metrics" => ("200 OK", "text/plain; version=0.0.4", state.metrics().await),
        _ => ("404 Not Found", "text/plain", String::new()),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    // A client that is gone by now has its reasons.
    drop(stream.write_all(answer.as_bytes()).await);
    drop(stream.shutdown().await);
}

impl State {
    /// `select 1` on a connection of the pool.
    async fn ready(&self) -> Result<(), String> {
        if self.lying.load(Ordering::Relaxed) {
            return Ok(());
        }
        let outcome = tokio::time::timeout(READY_WITHIN, self.select_one()).await;
        let outcome = outcome.unwrap_or_else(|_| Err("connection timeout: no answer within 1 s".to_owned()));
        match &outcome {
            Ok(()) => self.write("INFO database connected"),
            Err(reason) => self.write(&format!("ERROR database query failed: {reason}")),
        }
        outcome
    }

    async fn select_one(&self) -> Result<(), String> {
        let (pooled, _permit) = self.check_out().await?;
        let answer = pooled.ask().await;
        if self.trusting.load(Ordering::Relaxed) || answer.is_ok() {
            self.idle.lock().await.push(pooled);
        }
        answer
    }

    /// A connection of the pool and the right to it: one that is kept, else a new one.
    async fn check_out(&self) -> Result<(Pooled, OwnedSemaphorePermit), String> {
        let place = locked(&self.place).clone();
        let permit = {
            let _waiting = Waiting::begin(&self.waiting);
            let acquired =
                tokio::time::timeout(ACQUIRE_WITHIN, Arc::clone(&self.slots).acquire_owned()).await;
            // sqlx's words.
            let late = |_| "pool timed out while waiting for an open connection".to_owned();
            acquired.map_err(late)?.map_err(|e| e.to_string())?
        };
        let trusting = self.trusting.load(Ordering::Relaxed);
        let as_it_is = trusting || self.untested.load(Ordering::Relaxed);
        let kept = {
            let mut idle = self.idle.lock().await;
            std::iter::from_fn(|| idle.pop()).find(|pooled| as_it_is || !pooled.ended())
        };
        let pooled = match kept {
            Some(pooled) => pooled,
            None => {
                let (client, driver) = connect(place).await?;
                let prepared = match self.preparing.load(Ordering::Relaxed) {
                    true => Some(client.prepare("select 1").await.map_err(|e| words(&e))?),
                    false => None,
                };
                Pooled { client, driver, prepared }
            }
        };
        Ok((pooled, permit))
    }

    /// The pool's gauges in Prometheus' text format.
    async fn metrics(&self) -> String {
        let idle = self.idle.lock().await.len();
        let in_use = POOL_MAX - self.slots.available_permits();
        let waiting = self.waiting.load(Ordering::Relaxed);
        let gauges = [
            ("max", POOL_MAX),
            ("size", idle + in_use),
            ("idle", idle),
            ("in_use", in_use),
            ("waiting", waiting),
        ];
        gauges.map(|(name, n)| format!("# TYPE pg_pool_{name} gauge\npg_pool_{name} {n}\n")).concat()
    }

    /// Writes a line to the log.
    fn write(&self, line: &str) {
        let now = Timestamp::from_system(SystemTime::now());
        let mut log = locked(&self.log);
        // An API whose log cannot be written serves on.
        drop(writeln!(log, "{now} {line}"));
    }
}

/// A request that waits for a connection, for as long as it is there.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
