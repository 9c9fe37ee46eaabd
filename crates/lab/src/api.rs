//! The runbook's API, as small as it can be: a pool of at most ten real connections, `/api/v1/ready`, `/metrics` and a
//! log. It runs inside of this process and reaches its database as any API does: by name, through whatever is in
//! between, with a password.

use crate::dns;
use crate::error::{LabError, Tried as _};
use crate::postgres::{DATABASE, PASSWORD, ROLE};
use pgmedic_model::Timestamp;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls};

/// The pool's size, as the runbook's Prevention has it.
const POOL_MAX: usize = 10;
/// What one readiness request may take, from the pool's queue to the answer of `select 1`.
const READY_WITHIN: Duration = Duration::from_secs(1);
/// The longest request that is read, in bytes.
const LONGEST_REQUEST: usize = 8192;

/// Where the API finds its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At an address.
    At(SocketAddr),
    /// At a name, which it asks a nameserver for.
    Named {
        /// The nameserver.
        nameserver: SocketAddr,
        /// The port.
        port: u16,
    },
    /// Nowhere: the pool was never made.
    Uninitialised,
}

/// The API.
#[derive(Debug)]
pub struct Api {
    address: SocketAddr,
    log: PathBuf,
    state: Arc<State>,
    listening: Mutex<Option<JoinHandle<()>>>,
    runtime: Handle,
}

#[derive(Debug)]
struct State {
    place: Mutex<Place>,
    slots: Semaphore,
    idle: tokio::sync::Mutex<Vec<Client>>,
    waiting: AtomicUsize,
    trusting: AtomicBool,
    log: Mutex<std::fs::File>,
}

impl Api {
    /// Starts it.
    ///
    /// # Errors
    /// Where it cannot listen or write its log.
    pub fn start(folder: &Path, place: Place, runtime: Handle) -> Result<Self, LabError> {
        let log = folder.join("api.log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log);
        let state = State {
            place: Mutex::new(place),
            slots: Semaphore::new(POOL_MAX),
            idle: tokio::sync::Mutex::default(),
            waiting: AtomicUsize::new(0),
            trusting: AtomicBool::new(false),
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
    pub fn listen(&self) -> Result<(), LabError> {
        let listener = self.runtime.block_on(TcpListener::bind(self.address));
        let listener = listener.tried(|| format!("the API's listener at {}", self.address))?;
        let state = Arc::clone(&self.state);
        let task = self.runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(Arc::clone(&state), stream));
            }
        });
        *self.listening.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(())
    }

    /// Stops listening: the API is gone, as far as anybody can tell.
    pub fn stop(&self) {
        if let Some(task) = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
            let _aborted = self.runtime.block_on(task);
        }
    }

    /// Gives it another place to find its database at, and takes its open connections away: a new `DATABASE_URL`
    /// and a restart.
    pub fn redeploy(&self, place: Place) {
        *self.state.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
        self.restart();
    }

    /// Takes its open connections away; it finds its database where it did.
    pub fn restart(&self) {
        self.runtime.block_on(async { self.state.idle.lock().await.clear() });
    }

    /// Whether its pool trusts what it keeps: then it hands out sessions that have ended, and never opens one anew.
    pub fn trust_pool(&self, trust: bool) {
        self.state.trusting.store(trust, Ordering::Relaxed);
    }

    /// Its readiness endpoint.
    #[must_use]
    pub fn ready_url(&self) -> String {
        format!("http://{}/api/v1/ready", self.address)
    }

    /// Its metrics endpoint.
    #[must_use]
    pub fn metrics_url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Api {
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
        let outcome = tokio::time::timeout(READY_WITHIN, self.select_one()).await;
        let outcome = outcome.unwrap_or_else(|_| Err("connection timeout: no answer within 1 s".to_owned()));
        match &outcome {
            Ok(()) => self.write("INFO database connected"),
            Err(reason) => self.write(&format!("ERROR {reason}")),
        }
        outcome
    }

    async fn select_one(&self) -> Result<(), String> {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let slot = self.slots.acquire().await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let _slot = slot.map_err(|e| e.to_string())?;
        let trusting = self.trusting.load(Ordering::Relaxed);
        let kept = self.idle.lock().await.pop().filter(|client| trusting || !client.is_closed());
        let client = match kept {
            Some(client) => client,
            None => connect(place).await?,
        };
        let answer = client.simple_query("select 1").await.map_err(|e| words(&e));
        if trusting || answer.is_ok() {
            self.idle.lock().await.push(client);
        }
        answer.map(drop)
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
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        // An API whose log cannot be written serves on.
        drop(writeln!(log, "{now} {line}"));
    }
}

/// Opens a connection.
async fn connect(place: Place) -> Result<Client, String> {
    let (addresses, port) = match place {
        Place::Uninitialised => return Err("Database not initialised".to_owned()),
        Place::At(address) => (vec![address.ip()], address.port()),
        Place::Named { nameserver, port } => (resolve(nameserver).await?, port),
    };
    let mut config = Config::new();
    // As libpq does, it tries each address in turn.
    for ip in addresses {
        config.hostaddr(ip);
    }
    config.port(port).user(ROLE).password(PASSWORD).dbname(DATABASE);
    config.application_name("renderflow-api").connect_timeout(READY_WITHIN);
    let (client, connection) = config.connect(NoTls).await.map_err(|e| words(&e))?;
    tokio::spawn(connection);
    Ok(client)
}

/// The addresses of the database's name; in getaddrinfo(3)'s words where there is none.
async fn resolve(nameserver: SocketAddr) -> Result<Vec<IpAddr>, String> {
    let within = READY_WITHIN / 2;
    let answer = tokio::task::spawn_blocking(move || dns::ask(nameserver, dns::NAME, within)).await;
    let failed = |why: &str| format!("getaddrinfo {}: {why}", dns::NAME);
    match answer.map_err(|e| e.to_string())? {
        Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
        Ok(Ok(_) | Err(simple_dns::RCODE::NameError)) => Err(failed("ENOTFOUND")),
        Ok(Err(_)) | Err(_) => Err(failed("EAI_AGAIN")),
    }
}

/// An error with what caused it: the driver's own words alone say little.
fn words(e: &tokio_postgres::Error) -> String {
    match (e.as_db_error(), std::error::Error::source(e)) {
        (Some(db), _) => format!("{} {}: {}", db.severity(), db.code().code(), db.message()),
        (None, Some(source)) => format!("{e}: {source}"),
        (None, None) => e.to_string(),
    }
}
