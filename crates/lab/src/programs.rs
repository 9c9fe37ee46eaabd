//! Finding the programs that the lab runs, and saying what to install where one is missing.

use crate::error::LabError;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs outside of Postgres, each with the Debian package that has it.
const PACKAGES: &[(&str, &str)] = &[
    ("setpriv", "util-linux"),
    ("haproxy", "haproxy"),
    ("pgbouncer", "pgbouncer"),
    ("dnsmasq", "dnsmasq-base"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("mount", "mount"),
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("mkfs.ext4", "e2fsprogs"),
    ("prlimit", "util-linux"),
    ("unshare", "util-linux"),
];

/// Finds a program on PATH, or where daemons are kept that an ordinary user's PATH leaves out.
///
/// # Errors
/// [`LabError::MissingProgram`] with the package to install.
pub fn find(program: &'static str) -> Result<PathBuf, LabError> {
    let package = PACKAGES.iter().find(|(name, _)| *name == program).map_or(program, |(_, package)| package);
    folders()
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
        .ok_or(LabError::MissingProgram { program, package })
}

/// The parts that are here, each with its version in its own words: `15.18`, `2.6.12-1+deb12u2`.
#[must_use]
pub fn versions() -> BTreeMap<&'static str, String> {
    let postgres = postgres_folder().ok().map(|folder| ("postgres", folder.join("postgres"), "-V"));
    let others = [("haproxy", "-v"), ("pgbouncer", "-V"), ("dnsmasq", "-v")];
    let others = others.into_iter().filter_map(|(name, flag)| Some((name, find(name).ok()?, flag)));
    postgres
        .into_iter()
        .chain(others)
        .filter_map(|(name, program, flag)| {
            let said = Command::new(program).arg(flag).output().ok()?.stdout;
            let said = String::from_utf8_lossy(&said).into_owned();
            // The first word that begins with a figure: each of them names itself before it.
            let figure = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
            said.split_whitespace().find(figure).map(|version| (name, version.to_owned()))
        })
        .collect()
}

/// The environment variable that names `renderflow`. Where it names no program, there is none.
pub const RENDERFLOW: &str = "PGMEDIC_RENDERFLOW";

/// Finds the example API, `renderflow`: where [`RENDERFLOW`] says, else beside our own program (or above it, where cargo
/// keeps its tests), else on PATH. It is no Debian package, and a lab does without it where it is not here.
#[must_use]
pub fn renderflow() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(RENDERFLOW) {
        return Some(PathBuf::from(named)).filter(|path| path.is_file());
    }
    let own = std::env::current_exe().ok()?;
    let beside = own.ancestors().skip(1).take(2).map(Path::to_path_buf);
    beside.chain(folders()).map(|folder| folder.join("renderflow")).find(|path| path.is_file())
}

/// The folders of PATH, and after them those of the system's daemons.
fn folders() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named: Vec<PathBuf> = std::env::split_paths(&path).collect();
    named.into_iter().chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
}

/// Finds the folder of Postgres' server programs: `PGMEDIC_PG_BIN`, else PATH, else the newest of Debian's.
///
/// # Errors
/// [`LabError::MissingProgram`] where there is none.
pub fn postgres_folder() -> Result<PathBuf, LabError> {
    let named = std::env::var_os("PGMEDIC_PG_BIN").map(PathBuf::from).filter(|folder| is_server(folder));
    named.or_else(on_path).or_else(debians_newest).ok_or(LabError::MissingProgram {
        program: "postgres (or PGMEDIC_PG_BIN, the folder that has it)",
        package: "postgresql",
    })
}

/// True where a folder has what it takes to make and run a server.
fn is_server(folder: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file())
}

/// The real folder of the first `initdb` on PATH; a symlink on PATH leads to it.
fn on_path() -> Option<PathBuf> {
    folders()
        .filter_map(|folder| folder.join("initdb").canonicalize().ok())
        .filter_map(|initdb| initdb.parent().map(Path::to_path_buf))
        .find(|folder| is_server(folder))
}

/// `/usr/lib/postgresql/<major>/bin`, the greatest major.
fn debians_newest() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let major = |entry: &std::fs::DirEntry| entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok());
    versions
        .filter_map(|entry| Some((major(&entry)?, entry.path().join("bin"))))
        .filter(|(_, folder)| is_server(folder))
        .max()
        .map(|(_, folder)| folder)
}
