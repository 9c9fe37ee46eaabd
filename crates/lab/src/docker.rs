//! A real Docker engine of the lab's own: its socket, its data, its containers, none of them the machine's. Needs root.
//!
//! It has a mount namespace of its own, so that its mounts end with it, and one cgroup that all its containers are below,
//! by which what is left of them is found. No network is made and no image is fetched: the one image is a few links, and
//! the machine's programs are mounted into it read-only.

use crate::error::{LabError, Tried as _};
use crate::janitor::Janitor;
use crate::process::{self, Account, Launch, Server, is_root};
use crate::{programs, wait};
use rustix::process::Signal;
use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long an engine, or a Postgres in it, may take to come up.
const PATIENCE: Duration = Duration::from_secs(30);
/// The one image.
const IMAGE: &str = "pgmedic-lab";
/// Where Postgres keeps its data in a container.
pub const DATA: &str = "/var/lib/postgresql/data";
/// The engine's socket, in its folder.
const SOCKET: &str = "docker.sock";
/// The setting by which an older engine keeps its key elsewhere than in /etc/docker.
const KEY_PATH: &str = "deprecated-key-path";
/// Where cgroups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

static STARTED: AtomicU32 = AtomicU32::new(0);

/// A running engine. Its fields end in the order in which they stand.
#[derive(Debug)]
pub struct Docker {
    server: Server,
    socket: PathBuf,
    client: PathBuf,
    cgroup: String,
    folder: tempfile::TempDir,
    _janitor: Janitor,
}

impl Docker {
    /// Starts an engine and waits until it answers.
    ///
    /// # Errors
    /// [`LabError::NeedsRoot`], [`LabError::MissingProgram`], or [`LabError::Ended`] with the engine's words where this
    /// machine does not let one run.
    pub fn start() -> Result<Self, LabError> {
        if !is_root() {
            return Err(LabError::NeedsRoot("a Docker engine"));
        }
        let client = programs::find("docker")?;
        let folder = tempfile::Builder::new().prefix("pgmedic-docker-").tempdir();
        let folder = folder.tried(|| "the engine's folder".to_owned())?;
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("pgmedic-lab-{}-{number}", std::process::id());
        let janitor = Janitor::start(folder.path())?;
        janitor.note(&end_containers(&cgroup))?;
        // Engines before 25 would write a key to /etc/docker; later ones know neither the key nor the setting.
        let settings = serde_json::json!({ KEY_PATH: folder.path().join("key.json") }).to_string();
        let server = match launch(folder.path(), &cgroup, &settings) {
            Err(LabError::Ended { said, .. }) if said.contains(KEY_PATH) => {
                launch(folder.path(), &cgroup, "{}")?
            }
            outcome => outcome?,
        };
        let socket = folder.path().join(SOCKET);
        let engine = Self { server, socket, client, cgroup, folder, _janitor: janitor };
        engine.make_image()?;
        Ok(engine)
    }

    /// Its address, as `DOCKER_HOST` has it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Process id of the engine.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Runs the docker client against it.
    ///
    /// # Errors
    /// [`LabError::Ended`] with what it said.
    pub fn ask(&self, arguments: &[&str]) -> Result<String, LabError> {
        let mut client = Command::new(&self.client);
        client.env("DOCKER_CONFIG", self.folder.path()).arg("-H").arg(self.host()).args(arguments);
        process::run(&format!("docker {}", arguments.first().unwrap_or(&"")), &mut client)
    }

    /// Starts a container by the machine's own programs, without a network.
    ///
    /// # Errors
    /// Where the engine refuses.
    pub fn run(&self, name: &str, options: &[&str], command: &[&str]) -> Result<(), LabError> {
        let mut arguments = vec!["run", "-d", "--name", name, "--network", "none"];
        let mounts = mounts();
        arguments.extend(mounts.iter().flat_map(|mount| ["-v", mount.as_str()]));
        arguments.extend(options);
        arguments.push(IMAGE);
        arguments.extend(command);
        self.ask(&arguments).map(drop)
    }

    /// Starts a Postgres whose data is on the volume `NAME-data`, and waits until it answers on its socket, which is in
    /// the data directory.
    ///
    /// # Errors
    /// Where the engine refuses, or Postgres does not come up.
    pub fn run_postgres(&self, name: &str, options: &[&str]) -> Result<(), LabError> {
        let bin = programs::postgres_folder()?;
        let account = Account::for_servers()?.ok_or(LabError::NeedsRoot("a Docker engine"))?;
        let (uid, gid) = (account.uid, account.gid);
        let bin = bin.display();
        let inner = format!(
            "[ -e {DATA}/PG_VERSION ] || {bin}/initdb -D {DATA} -A trust -U postgres -N >/dev/null; \
             exec {bin}/postgres -D {DATA} -c fsync=off -c unix_socket_directories={DATA} -c listen_addresses="
        );
        let outer = format!(
            "chown {uid}:{gid} {DATA}; cd /; exec setpriv --reuid={uid} --regid={gid} --clear-groups sh -c '{inner}'"
        );
        let volume = format!("{name}-data:{DATA}");
        let data = format!("PGDATA={DATA}");
        let mut all = vec!["-v", volume.as_str(), "-e", data.as_str()];
        all.extend(options);
        self.run(name, &all, &["sh", "-c", &outer])?;
        wait::until(&format!("an answering Postgres in {name}"), PATIENCE, || {
            Ok(self.ask(&["exec", name, "psql", "-h", DATA, "-U", "postgres", "-Atc", "select 1"]))
        })
        .map(drop)
    }

    /// A member of a container's account, by a template of the docker client: `{{.State.Status}}`.
    ///
    /// # Errors
    /// Where the engine refuses.
    pub fn inspect(&self, name: &str, template: &str) -> Result<String, LabError> {
        Ok(self.ask(&["inspect", "-f", template, name])?.trim().to_owned())
    }

    /// Waits until a member of a container's account is this.
    ///
    /// # Errors
    /// Where it is not in time.
    pub fn wait(&self, name: &str, template: &str, wanted: &str) -> Result<(), LabError> {
        wait::until(&format!("{name} {wanted}"), PATIENCE, || {
            let now = self.inspect(name, template)?;
            Ok(if now == wanted { Ok(()) } else { Err(now) })
        })
    }

    /// The image: links to where the machine's programs are mounted, and an empty account.
    fn make_image(&self) -> Result<(), LabError> {
        let root = self.folder.path().join("image");
        let made = || -> std::io::Result<()> {
            for folder in ["etc", "tmp", "usr", "proc", "sys", "dev", "run", "var/lib"] {
                std::fs::create_dir_all(root.join(folder))?;
            }
            for name in ["bin", "sbin", "lib", "lib64"] {
                let here = Path::new("/").join(name);
                if let Ok(target) = std::fs::read_link(&here) {
                    std::os::unix::fs::symlink(target, root.join(name))?;
                } else if here.is_dir() {
                    std::fs::create_dir(root.join(name))?;
                }
            }
            let all = std::fs::read_to_string("/etc/passwd")?;
            let kept: String = all
                .lines()
                .filter(|line| line.starts_with("root:") || line.starts_with("postgres:"))
                .map(|line| format!("{line}\n"))
                .collect();
            std::fs::write(root.join("etc/passwd"), kept)
        };
        made().tried(|| root.display().to_string())?;
        let archive = self.folder.path().join("image.tar");
        let mut tar = Command::new("tar");
        process::run("tar", tar.arg("-C").arg(&root).arg("-cf").arg(&archive).arg("."))?;
        self.ask(&["import", &archive.display().to_string(), IMAGE]).map(drop)
    }
}

impl Drop for Docker {
    /// Its containers first: an engine that ends waits for them to end by themselves.
    fn drop(&mut self) {
        if let Ok(all) = self.ask(&["ps", "-aq"]) {
            let mut arguments = vec!["rm", "-f", "-v"];
            arguments.extend(all.split_whitespace());
            let _gone = arguments.len() > 3 && self.ask(&arguments).is_ok();
        }
        let _gone = self.server.signal(Signal::TERM);
        let _late = self.server.wait_ended(PATIENCE);
        let mut end = Command::new("/bin/sh");
        let _nothing_left = process::run("sh", end.arg("-c").arg(end_containers(&self.cgroup)));
    }
}

/// Starts an engine in a folder, in a mount namespace of its own, and waits until somebody listens on its socket.
fn launch(folder: &Path, cgroup: &str, settings: &str) -> Result<Server, LabError> {
    let (unshare, dockerd) = (programs::find("unshare")?, programs::find("dockerd")?);
    let at = |name: &str| folder.join(name);
    std::fs::write(at("daemon.json"), settings).tried(|| "daemon.json".to_owned())?;
    let value = |key: &str, name: &str| format!("--{key}={}", at(name).display());
    let options = [
        value("config-file", "daemon.json"),
        value("data-root", "data"),
        value("exec-root", "exec"),
        value("pidfile", "pid"),
        format!("--host=unix://{}", at(SOCKET).display()),
        format!("--cgroup-parent=/{cgroup}"),
    ];
    let without =
        ["bridge=none", "iptables=false", "ip6tables=false", "ip-forward=false", "userland-proxy=false"];
    let mut arguments: Vec<OsString> = ["--mount", "--propagation", "private", "--"].map(Into::into).to_vec();
    arguments.push(dockerd.into());
    arguments.extend(options.map(Into::into));
    arguments.extend(without.map(|setting| format!("--{setting}").into()));
    let log = at("dockerd.log");
    let name = "dockerd";
    let launch =
        Launch { name, program: unshare, arguments, folder, log: &log, account: None, end: Signal::TERM };
    let mut server = launch.start()?;
    wait::until("an answering engine", PATIENCE, || {
        server.expect_alive()?;
        Ok(UnixStream::connect(at(SOCKET)).map(drop))
    })?;
    Ok(server)
}

/// The machine's folders that hold programs, read-only at the same paths.
fn mounts() -> Vec<String> {
    let mut folders = vec![PathBuf::from("/usr")];
    let real = |name: &&str| Path::new(name).is_dir() && std::fs::read_link(name).is_err();
    folders.extend(["/lib", "/lib64", "/bin", "/sbin"].into_iter().filter(real).map(PathBuf::from));
    folders.extend(programs::postgres_folder().ok().filter(|bin| !bin.starts_with("/usr")).and_then(|bin| {
        // Its libraries and its share lie beside it.
        bin.parent().map(Path::to_path_buf)
    }));
    folders.iter().map(|folder| format!("{0}:{0}:ro", folder.display())).collect()
}

/// Shell text that ends what is left in the containers' cgroup, of either hierarchy, and removes it. What was killed takes
/// a moment to be gone, and until then its cgroup cannot be removed.
fn end_containers(cgroup: &str) -> String {
    format!(
        "n=0; while [ $n -lt 30 ]; do n=$((n + 1)); left=; \
         for d in {CGROUPS}/{cgroup} {CGROUPS}/*/{cgroup}; do [ -d $d ] || continue; \
         for f in $(find $d -name cgroup.procs 2>/dev/null); do for p in $(cat $f); do kill -KILL $p; done; done; \
         find $d -depth -type d -exec rmdir {{}} + ; [ -d $d ] && left=1; done 2>/dev/null; \
         [ -z \"$left\" ] && break; sleep 0.1; done; true"
    )
}
