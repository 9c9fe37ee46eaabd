//! This host as libpq sees it: environment, service files, password file, user, sockets. The only reader of them.

use pgmedic_model::target::{FileText, Settings, Surroundings as Found};
use pgmedic_model::{Target, TargetError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where a server's unix socket is looked for: Debian's directory, then upstream's.
const SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// What libpq would find here, read when asked for; and what is worth a word to the user.
#[derive(Default)]
pub(crate) struct Surroundings {
    /// Things ignored that the user may count on, such as a password file that others can read.
    pub(crate) notes: Vec<String>,
}

impl Surroundings {
    /// An environment variable. One that is not UTF-8 counts as unset.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    /// Where pgmedic keeps what it remembers: `PGMEDIC_STATE`, else `pgmedic` in `XDG_STATE_HOME`, else in
    /// `~/.local/state` (XDG Base Directory Specification: relative paths do not count). None without a home.
    pub(crate) fn state_folder(&self) -> Option<PathBuf> {
        let folder = |name| std::env::var_os(name).filter(|text| !text.is_empty()).map(PathBuf::from);
        let xdg = || folder("XDG_STATE_HOME").filter(|path| path.is_absolute());
        let state = || xdg().or_else(|| Some(home()?.join(".local/state")));
        folder("PGMEDIC_STATE").or_else(|| Some(state()?.join("pgmedic")))
    }

    /// True where any variable of libpq names a connection.
    pub(crate) fn names_a_connection(&self) -> bool {
        ["PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE", "PGPORT", "PGUSER"]
            .iter()
            .any(|name| self.variable(name).is_some_and(|value| !value.is_empty()))
    }

    /// True where a server's default socket is on this host.
    pub(crate) fn has_default_socket(&self) -> bool {
        socket_directory("5432").is_some()
    }

    /// A target from a connection string, or from the environment alone.
    pub(crate) fn target(&mut self, text: Option<&str>) -> Result<Target, TargetError> {
        let mut settings = text.map_or_else(|| Ok(Settings::default()), Settings::parse)?;
        let variable = |name: &str| std::env::var(name).ok();
        let service = settings.get("service").map(str::to_owned).or_else(|| variable("PGSERVICE"));
        if let Some(name) = service.filter(|name| !name.is_empty()) {
            let files = service_files(&settings);
            settings.fill_from_service(&name, &files)?;
        }
        settings.fill_from_environment(&variable);
        let password_file = match settings.get("password") {
            Some(_) => None,
            None => self.password_file(settings.get("passfile")),
        };
        settings.resolve(&Found {
            os_user: os_user(),
            socket_directory: socket_directory(settings.get("port").unwrap_or("5432")),
            password_file,
        })
    }

    /// The password file, unless group or others may touch it (Postgres manual, "The Password File").
    fn password_file(&mut self, named: Option<&str>) -> Option<FileText> {
        let path = named.map(PathBuf::from).or_else(|| Some(home()?.join(".pgpass")))?;
        let metadata = std::fs::metadata(&path).ok()?;
        let shown = path.display().to_string();
        let mut ignore = |why: &str| {
            let note = format!("the password file {shown} {why}; it is ignored");
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
            None
        };
        if !metadata.is_file() {
            return ignore("is not a plain file");
        }
        if metadata.mode() & 0o077 != 0 {
            return ignore("may be read or written by others (its mode must be 0600 or less)");
        }
        match std::fs::read_to_string(&path) {
            Ok(text) => Some(FileText { path: shown, text }),
            Err(error) => ignore(&format!("cannot be read ({error})")),
        }
    }
}

/// The service files that exist: the user's own, then the system's.
fn service_files(settings: &Settings) -> Vec<FileText> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let own = settings
        .get("servicefile")
        .map(PathBuf::from)
        .or_else(|| variable("PGSERVICEFILE"))
        .or_else(|| Some(home()?.join(".pg_service.conf")));
    let system = variable("PGSYSCONFDIR").unwrap_or_else(|| PathBuf::from("/etc/postgresql-common"));
    [own, Some(system.join("pg_service.conf"))]
        .into_iter()
        .flatten()
        .filter_map(|path| {
            let text = std::fs::read_to_string(&path).ok()?;
            Some(FileText { path: path.display().to_string(), text })
        })
        .collect()
}

/// The first directory with a socket for that port.
fn socket_directory(port: &str) -> Option<String> {
    let found = |directory: &&&str| Path::new(directory).join(format!(".s.PGSQL.{port}")).exists();
    SOCKET_DIRECTORIES.iter().find(found).map(|directory| (*directory).to_owned())
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// The user's name as /etc/passwd has it, else as the environment has it.
pub(crate) fn os_user() -> Option<String> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let listed = std::fs::read_to_string("/etc/passwd").ok().and_then(|text| {
        let mine = |line: &&str| line.split(':').nth(2) == Some(uid.as_str());
        text.lines().find(mine).and_then(|line| line.split(':').next()).map(str::to_owned)
    });
    let named = |name| std::env::var(name).ok().filter(|user| !user.is_empty());
    listed.or_else(|| named("LOGNAME")).or_else(|| named("USER"))
}
