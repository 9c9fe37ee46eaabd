//! A real HAProxy in front of the server: TCP mode, in the foreground, with a stats socket.

use crate::error::{LabError, Tried as _};
use crate::process::{Account, Launch, Server};
use crate::{ports, programs, wait};
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// A HAProxy of the lab: one frontend, one backend `postgres` with the one server `primary`.
#[derive(Debug)]
pub struct Haproxy {
    port: u16,
    socket: PathBuf,
    log: PathBuf,
    server: Server,
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
        let program = programs::find("haproxy")?;
        let account = Account::for_servers()?;
        let port = ports::free()?;
        let (socket, log, file) =
            (folder.join("haproxy.sock"), folder.join("haproxy.log"), folder.join("haproxy.cfg"));
        let check = if protocol_check { "option pgsql-check user monitor" } else { "" };
        let configuration = format!(
            "global\n  maxconn {max_connections}\n  stats socket {} mode 600 level admin\n\
             defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 1h\n  timeout server 1h\n\
             frontend postgres\n  bind 127.0.0.1:{port}\n  default_backend postgres\n\
             backend postgres\n  {check}\n  server primary 127.0.0.1:{upstream} check inter 300ms fastinter 50ms \
             rise 1 fall 1\n",
            socket.display()
        );
        std::fs::write(&file, configuration).tried(|| file.display().to_string())?;
        let launch = Launch {
            name: "haproxy",
            program,
            arguments: vec!["-db".into(), "-f".into(), file.into()],
            folder,
            log: &log,
            account: account.as_ref(),
            end: Signal::TERM,
        };
        let server = launch.start()?;
        let mut proxy = Self { port, socket, log, server };
        wait::until("a listening HAProxy", PATIENCE, || {
            proxy.server.expect_alive()?;
            Ok(TcpStream::connect(("127.0.0.1", port)).map(drop))
        })?;
        proxy.wait_server("UP")?;
        Ok(proxy)
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
        self.server.signal(signal)
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

    /// Waits until the backend's server has a status (`UP`, `DOWN`) as `show stat` has it.
    ///
    /// # Errors
    /// Where it has not in time.
    pub fn wait_server(&self, status: &str) -> Result<(), LabError> {
        wait::until(&format!("HAProxy's server {status}"), PATIENCE, || {
            let stat = match self.ask("show stat") {
                // The frontend may listen before the stats socket is there.
                Err(LabError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                    return Ok(Err(source.to_string()));
                }
                answer => answer?,
            };
            let row = stat.lines().find(|line| line.starts_with("postgres,primary,")).unwrap_or_default();
            // Column 18 of the CSV (management guide, section 9.1) is the status: `UP`, `UP 1/3`, `DOWN`, ….
            let now = row.split(',').nth(17).unwrap_or_default().to_owned();
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
