//! A real HAProxy in front of the server: TCP mode, in the foreground, with a stats socket.

use crate::error::{LabError, Tried as _};
use crate::process::{Account, Launch, Server};
use crate::{ports, programs, wait};
use rustix::process::Signal;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// What a fault may set in the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Lines of the section `global`.
    pub global: &'static str,
    /// Lines of the section `defaults`.
    pub defaults: &'static str,
    /// Words of the `server` line.
    pub server: &'static str,
}

impl Tuning {
    /// Nobody is cut off, and nobody is turned away but for the frontend's own limit.
    pub const CALM: Self =
        Self { global: "", defaults: "timeout client 1h\n  timeout server 1h", server: "" };
}

/// A HAProxy of the lab: one frontend, one backend `postgres` with the one server `primary`.
#[derive(Debug)]
pub struct Haproxy {
    port: u16,
    upstream: u16,
    max_connections: u32,
    check: &'static str,
    folder: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    server: Mutex<Option<Server>>,
    /// What it was last started with.
    tuning: Mutex<Tuning>,
}

impl Haproxy {
    /// Starts one in front of `upstream`, with room for `max_connections` clients, and waits until it finds the
    /// server up. With `protocol_check` it asks in Postgres' protocol (`option pgsql-check`), else for TCP only.
    ///
    /// # Errors
    /// Where it is not installed or does not come up.
    pub fn start(
        folder: &Path,
        upstream: u16,
        max_connections: u32,
        protocol_check: bool,
    ) -> Result<Self, LabError> {
        let proxy = Self {
            port: ports::free()?,
            upstream,
            max_connections,
            check: if protocol_check { "option pgsql-check user monitor" } else { "" },
            folder: folder.to_owned(),
            socket: folder.join("haproxy.sock"),
            log: folder.join("haproxy.log"),
            server: Mutex::new(None),
            tuning: Mutex::new(Tuning::CALM),
        };
        proxy.restart(Tuning::CALM)?;
        Ok(proxy)
    }

    fn running(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops it, if it runs, and starts it on the same port with these settings.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn restart(&self, tuning: Tuning) -> Result<(), LabError> {
        *self.running() = None;
        let server = self.launch(tuning, None)?;
        *self.running() = Some(server);
        self.wait_up()
    }

    /// Kills it, however it is, and starts it with the configuration that it had: what a supervisor does. It waits until
    /// the new one listens; whether that finds its server is not its concern.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn kill_and_start(&self) -> Result<(), LabError> {
        if let Some(mut old) = self.running().take() {
            old.signal(Signal::KILL)?;
            old.wait_ended(PATIENCE)?;
        }
        let tuning = *self.tuning.lock().unwrap_or_else(PoisonError::into_inner);
        let server = self.launch(tuning, None)?;
        *self.running() = Some(server);
        self.wait_listening()
    }

    /// Starts a new process beside the old one, which it asks to finish (`-sf`), and waits for the old one's end.
    ///
    /// # Errors
    /// Where the new one does not come up, or the old one does not end.
    pub fn reload(&self, tuning: Tuning) -> Result<(), LabError> {
        let old = self.running().take();
        let server = self.launch(tuning, old.as_ref().map(Server::pid))?;
        *self.running() = Some(server);
        self.wait_up()?;
        old.map_or(Ok(()), |mut old| old.wait_ended(PATIENCE))
    }

    fn launch(&self, tuning: Tuning, finish: Option<u32>) -> Result<Server, LabError> {
        *self.tuning.lock().unwrap_or_else(PoisonError::into_inner) = tuning;
        let (port, upstream, room) = (self.port, self.upstream, self.max_connections);
        let Tuning { global, defaults, server } = tuning;
        let configuration = format!(
            "global\n  maxconn {room}\n  stats socket {} mode 600 level admin\n  \
             log stdout format raw local0\n  {global}\n\
             defaults\n  mode tcp\n  log global\n  option tcplog\n  timeout connect 2s\n  {defaults}\n\
             frontend postgres\n  bind 127.0.0.1:{port}\n  default_backend postgres\n\
             backend postgres\n  {}\n  server primary 127.0.0.1:{upstream} check inter 300ms fastinter 50ms \
             rise 1 fall 1 {server}\n",
            self.socket.display(),
            self.check,
        );
        let file = self.folder.join("haproxy.cfg");
        std::fs::write(&file, configuration).tried(|| file.display().to_string())?;
        let mut arguments: Vec<OsString> = vec!["-db".into(), "-f".into(), file.into()];
        if let Some(old) = finish {
            arguments.extend(["-sf".into(), old.to_string().into()]);
        }
        let account = Account::for_servers()?;
        let launch = Launch {
            name: "haproxy",
            program: programs::find("haproxy")?,
            arguments,
            folder: &self.folder,
            log: &self.log,
            account: account.as_ref(),
            end: Signal::TERM,
        };
        launch.start()
    }

    fn wait_up(&self) -> Result<(), LabError> {
        self.wait_listening()?;
        self.wait_server("UP")
    }

    fn wait_listening(&self) -> Result<(), LabError> {
        wait::until("a listening HAProxy", PATIENCE, || {
            self.running().as_mut().map_or(Ok(()), Server::expect_alive)?;
            Ok(TcpStream::connect(("127.0.0.1", self.port)).map(drop))
        })
    }

    /// The frontend's port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn signal(&self, signal: Signal) -> Result<(), LabError> {
        self.running().as_ref().ok_or(LabError::PartAbsent("a running HAProxy"))?.signal(signal)
    }

    /// Asks the stats socket (HAProxy management guide, section 9.3).
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn ask(&self, command: &str) -> Result<String, LabError> {
        let what = || format!("HAProxy: {command}");
        let mut socket = UnixStream::connect(&self.socket).tried(what)?;
        socket.set_read_timeout(Some(PATIENCE)).tried(what)?;
        socket.write_all(format!("{command}\n").as_bytes()).tried(what)?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).tried(what)?;
        Ok(answer)
    }

    /// Points the backend's server at another port of this host.
    ///
    /// # Errors
    /// Where HAProxy refuses.
    pub fn point_at(&self, port: u16) -> Result<(), LabError> {
        let said = self.ask(&format!("set server postgres/primary addr 127.0.0.1 port {port}"))?;
        if said.contains("changed") || said.contains("no need") || said.trim().is_empty() {
            return Ok(());
        }
        Err(LabError::Ended { what: "set server".to_owned(), status: "refused".to_owned(), said })
    }

    /// Waits until so many sessions are on the backend's server.
    ///
    /// # Errors
    /// Where there are not in time.
    pub fn wait_sessions(&self, count: u64) -> Result<(), LabError> {
        wait::until(&format!("{count} sessions through HAProxy"), PATIENCE, || {
            // Column 5 of the CSV (management guide, section 9.1) is `scur`.
            let now = self.primary(4)?;
            Ok(if now == count.to_string() { Ok(()) } else { Err(now) })
        })
    }

    /// A column of the backend's server in `show stat`, counted from 0.
    fn primary(&self, column: usize) -> Result<String, LabError> {
        let stat = self.ask("show stat")?;
        let row = stat.lines().find(|line| line.starts_with("postgres,primary,")).unwrap_or_default();
        Ok(row.split(',').nth(column).unwrap_or_default().to_owned())
    }

    /// Waits until the backend's server has a status (`UP`, `DOWN`) as `show stat` has it.
    ///
    /// # Errors
    /// Where it has not in time.
    pub fn wait_server(&self, status: &str) -> Result<(), LabError> {
        wait::until(&format!("HAProxy's server {status}"), PATIENCE, || {
            // Column 18 of the CSV (management guide, section 9.1) is the status: `UP`, `UP 1/3`, `DOWN`, ….
            let now = match self.primary(17) {
                // The frontend may listen before the stats socket is there, and a restart leaves the old one behind.
                Err(LabError::Io { source, .. }) => return Ok(Err(source.to_string())),
                answer => answer?,
            };
            Ok(if now.starts_with(status) { Ok(()) } else { Err(now) })
        })
    }

    /// A number of `show info`, by its name.
    ///
    /// # Errors
    /// Where it does not answer or has no such number.
    pub fn info(&self, name: &str) -> Result<u64, LabError> {
        let info = self.ask("show info")?;
        let found =
            info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.trim().parse().ok());
        found.ok_or_else(|| LabError::Late { what: name.to_owned(), waited: Duration::ZERO, last: info })
    }
}
