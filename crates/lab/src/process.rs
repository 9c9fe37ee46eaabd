//! Server processes that cannot outlive the lab: killed on drop, and by the kernel when this process dies.
//!
//! Not in here: what each server needs (its own file) and what is left behind by a kill -9 (`janitor`).

use crate::error::{LabError, Tried as _};
use crate::{programs, wait};
use rustix::process::{Pid, Signal};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Who a server runs as, where that is not who we are.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Account {
    /// Who servers run as that refuse to run as root: the user `postgres` where we are root, else None (ourselves).
    ///
    /// # Errors
    /// [`LabError::MissingProgram`] where we are root and there is no such user.
    pub fn for_servers() -> Result<Option<Self>, LabError> {
        if !is_root() {
            return Ok(None);
        }
        let passwd = std::fs::read_to_string("/etc/passwd").tried(|| "/etc/passwd".to_owned())?;
        let found = passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| *name == "postgres")?;
            let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            Some(Self { name: name.to_owned(), uid, gid })
        });
        let missing = LabError::MissingProgram { program: "the user postgres", package: "postgresql-common" };
        found.map(Some).ok_or(missing)
    }

    /// Gives a file or folder to this account.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn give(account: Option<&Self>, path: &Path) -> Result<(), LabError> {
        let Some(account) = account else { return Ok(()) };
        std::os::unix::fs::chown(path, Some(account.uid), Some(account.gid))
            .tried(|| format!("chown {}", path.display()))
    }
}

/// True where we are root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// How a server is started.
#[derive(Debug)]
pub struct Launch<'a> {
    /// What people call it.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Where it runs; inside of the lab's folder, by which the janitor knows it.
    pub folder: &'a Path,
    /// Where its output goes; appended to.
    pub log: &'a Path,
    /// Who it runs as.
    pub account: Option<&'a Account>,
    /// The signal by which it ends at once and tidily; the kernel sends it when we die.
    pub end: Signal,
}

impl Launch<'_> {
    /// The command line under setpriv(1), which sets the parent-death signal and drops root for us.
    fn command(&self, wrapper: &[OsString], environment: &[(&str, String)]) -> Result<Command, LabError> {
        let setpriv = programs::find("setpriv")?;
        let mut command = match wrapper {
            [] => Command::new(setpriv),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(setpriv);
                command
            }
        };
        command.arg("--pdeathsig").arg(signal_name(self.end));
        command.args(drop_root(self.account)).arg("--").arg(&self.program).args(&self.arguments);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log);
        let log = log.tried(|| self.log.display().to_string())?;
        let second = log.try_clone().tried(|| self.log.display().to_string())?;
        command.current_dir(self.folder).stdin(Stdio::null()).stdout(log).stderr(second);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Ok(command)
    }

    /// Starts it.
    ///
    /// # Errors
    /// Where setpriv or the program cannot be run.
    pub fn start(self) -> Result<Server, LabError> {
        self.start_by(&[])
    }

    /// The same by a program that becomes the server in the end: `unshare --mount …`.
    ///
    /// # Errors
    /// Where it, setpriv or the program cannot be run.
    pub(crate) fn start_by(self, wrapper: &[OsString]) -> Result<Server, LabError> {
        self.start_in(wrapper, &[])
    }

    /// The same with more environment variables.
    ///
    /// # Errors
    /// Where it, setpriv or the program cannot be run.
    pub(crate) fn start_in(
        self,
        wrapper: &[OsString],
        environment: &[(&str, String)],
    ) -> Result<Server, LabError> {
        let child = spawn(self.command(wrapper, environment)?).tried(|| self.name.to_owned())?;
        Ok(Server { name: self.name, log: self.log.to_owned(), end: self.end, child })
    }
}

/// setpriv's arguments that drop root.
fn drop_root(account: Option<&Account>) -> Vec<String> {
    account.map_or_else(Vec::new, |a| {
        vec![format!("--reuid={}", a.uid), format!("--regid={}", a.gid), "--clear-groups".to_owned()]
    })
}

/// A command that runs a tool to its end as the servers' account.
///
/// # Errors
/// Where setpriv is missing and we are root.
pub fn tool(program: &OsStr, account: Option<&Account>) -> Result<Command, LabError> {
    if account.is_none() {
        return Ok(Command::new(program));
    }
    let mut command = Command::new(programs::find("setpriv")?);
    command.args(drop_root(account)).arg("--").arg(program);
    Ok(command)
}

/// Runs a command to its end and gives what it wrote to stdout.
///
/// # Errors
/// [`LabError::Ended`] with what it wrote to stderr, where it fails.
pub fn run(what: &str, command: &mut Command) -> Result<String, LabError> {
    let output = command.stdin(Stdio::null()).output().tried(|| what.to_owned())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(LabError::Ended { what: what.to_owned(), status: output.status.to_string(), said })
}

/// The signal's name as setpriv takes it.
fn signal_name(signal: Signal) -> &'static str {
    match signal {
        Signal::QUIT => "QUIT",
        Signal::TERM => "TERM",
        _ => "KILL",
    }
}

/// A command on its way to the spawning thread, and the way back.
type Order = (Command, mpsc::Sender<std::io::Result<Child>>);

/// Starts a process from one thread that lives as long as this process: the parent-death signal comes when the
/// *thread* that started the child ends (prctl(2)), and a test's or a runtime's threads come and go.
fn spawn(command: Command) -> std::io::Result<Child> {
    static SPAWNER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in inbox {
                // Who asked may be gone by now; then the child is dropped and the janitor ends it.
                drop(reply.send(command.spawn()));
            }
        });
        Mutex::new(orders)
    });
    let (reply, answer) = mpsc::channel();
    let gone = || std::io::Error::other("the spawning thread is gone");
    spawner.lock().unwrap_or_else(PoisonError::into_inner).send((command, reply)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    log: PathBuf,
    end: Signal,
    child: Child,
}

impl Server {
    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// Where the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<(), LabError> {
        send(self.pid(), signal)
    }

    /// An error with the end of its log where it has ended.
    ///
    /// # Errors
    /// [`LabError::Ended`].
    pub fn expect_alive(&mut self) -> Result<(), LabError> {
        match self.child.try_wait() {
            Ok(Some(status)) => Err(LabError::Ended {
                what: self.name.to_owned(),
                status: status.to_string(),
                said: tail(&self.log, 6),
            }),
            Ok(None) => Ok(()),
            Err(source) => Err(LabError::Io { what: self.name.to_owned(), source }),
        }
    }

    /// How it ended; None while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// [`LabError::Late`].
    pub fn wait_ended(&mut self, within: Duration) -> Result<(), LabError> {
        let what = format!("the end of {}", self.name);
        wait::until_true(&what, within, || !matches!(self.child.try_wait(), Ok(None)))
    }
}

impl Drop for Server {
    /// Ends it: tidily if it will, else by force. A stopped process is let go on first, or it could not obey.
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        for signal in [Signal::CONT, self.end] {
            let _gone = self.signal(signal);
        }
        if self.wait_ended(Duration::from_secs(4)).is_err() {
            let _gone = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}

/// Sends a signal to a process by its id. After SIGSTOP it waits until every thread has stopped: one that is still
/// running may accept a connection that is to find nobody.
///
/// # Errors
/// Where there is no such process, it is not ours, or it does not stop.
pub fn send(pid: u32, signal: Signal) -> Result<(), LabError> {
    let what = || format!("{} to process {pid}", signal_name(signal));
    let target = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let target = target.ok_or_else(|| std::io::Error::from_raw_os_error(3)).tried(what)?;
    rustix::process::kill_process(target, signal).tried(what)?;
    if signal == Signal::STOP {
        wait::until_true(&what(), Duration::from_secs(5), || is_stopped(pid))?;
    }
    Ok(())
}

/// True where every thread is in state `T` (proc(5): the letter after the name in parentheses).
fn is_stopped(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        std::fs::read_to_string(thread.path().join("stat"))
            .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T')))
    })
}

/// The last lines of a log, on one line.
#[must_use]
pub fn tail(log: &Path, lines: usize) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join(" | ")
}
