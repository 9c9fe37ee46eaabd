//! The data directory that every lab's server is a copy of: made once, kept in the temp folder.

use super::{DATABASE, PASSWORD, ROLE};
use crate::error::{LabError, Tried as _};
use crate::process::{self, Account};
use std::hash::{Hash as _, Hasher as _};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// WAL segments of 1 MB make the copy small, and slots and full WAL volumes quick to bring about.
const INITDB: &[&str] =
    &["--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--wal-segsize=1"];

/// The roles and the database, as statements for single-user mode (one a line).
fn roles_and_database() -> String {
    format!(
        "CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'\n\
         CREATE ROLE monitor LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_monitor\n\
         CREATE ROLE rescue LOGIN SUPERUSER PASSWORD '{PASSWORD}'\n\
         CREATE ROLE replicator LOGIN REPLICATION PASSWORD '{PASSWORD}'\n\
         CREATE DATABASE {DATABASE} OWNER {ROLE}\n"
    )
}

/// What stands in the database: the table that requests are kept in.
fn tables() -> String {
    format!(
        "CREATE TABLE jobs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload text)\n\
         ALTER TABLE jobs OWNER TO {ROLE}\n"
    )
}

/// A cluster of the same recipe and another identity: initdb gives each its own `system_identifier`.
///
/// # Errors
/// Where initdb fails.
pub(super) fn another(bin: &Path, account: Option<&Account>, data: &Path) -> Result<(), LabError> {
    make(bin, account, data)
}

/// The template of this Postgres and recipe; made now where it is not there yet.
///
/// # Errors
/// Where initdb fails, or somebody else owns the place.
pub(super) fn template(bin: &Path, account: Option<&Account>) -> Result<PathBuf, LabError> {
    let version =
        process::run("postgres --version", std::process::Command::new(bin.join("postgres")).arg("-V"))?;
    let mut recipe = std::hash::DefaultHasher::new();
    (version, bin, INITDB, roles_and_database(), tables()).hash(&mut recipe);
    let uid = account.map_or_else(|| rustix::process::geteuid().as_raw(), |a| a.uid);
    let home = std::env::temp_dir().join(format!("pgmedic-lab-template-{uid}"));
    own_folder(&home, account, uid)?;
    let _only_one = lock(&home)?;
    let ready = home.join(format!("{:016x}", recipe.finish()));
    if !ready.is_dir() {
        let raw = home.join("unfinished");
        if raw.exists() {
            std::fs::remove_dir_all(&raw).tried(|| raw.display().to_string())?;
        }
        make(bin, account, &raw)?;
        std::fs::rename(&raw, &ready).tried(|| ready.display().to_string())?;
    }
    Ok(ready)
}

/// A folder that only the servers' account may enter. One that somebody else made is not used: the temp folder is
/// open to everybody, and whoever owns the template owns every lab.
fn own_folder(home: &Path, account: Option<&Account>, uid: u32) -> Result<(), LabError> {
    match std::fs::DirBuilder::new().mode(0o700).create(home) {
        Ok(()) => return Account::give(account, home),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(LabError::Io { what: home.display().to_string(), source }),
    }
    let is = std::fs::symlink_metadata(home).tried(|| home.display().to_string())?;
    // Root gives the folder away right after making it; another lab may look in between.
    let ours = is.is_dir() && (is.uid() == uid || is.uid() == rustix::process::geteuid().as_raw());
    if ours && is.mode() & 0o077 == 0 { Ok(()) } else { Err(LabError::NotOurs(home.display().to_string())) }
}

/// Keeps other labs out until it is dropped.
fn lock(home: &Path) -> Result<std::fs::File, LabError> {
    let path = home.join("lock");
    let open = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = open.tried(|| path.display().to_string())?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
        .tried(|| path.display().to_string())?;
    Ok(file)
}

/// Runs initdb and fills the cluster in single-user mode, which needs no port and no waiting.
fn make(bin: &Path, account: Option<&Account>, data: &Path) -> Result<(), LabError> {
    let mut initdb = process::tool(bin.join("initdb").as_os_str(), account)?;
    process::run("initdb", initdb.args(INITDB).arg("-D").arg(data).current_dir("/"))?;
    single_user(bin, account, data, "postgres", &roles_and_database())?;
    single_user(bin, account, data, DATABASE, &tables())
}

/// Runs statements in single-user mode (postgres(1), "Single-User Mode").
fn single_user(
    bin: &Path,
    account: Option<&Account>,
    data: &Path,
    database: &str,
    statements: &str,
) -> Result<(), LabError> {
    let what = || "postgres --single".to_owned();
    let mut command = process::tool(bin.join("postgres").as_os_str(), account)?;
    command.args(["--single", "-c", "fsync=off", "-c", "password_encryption=scram-sha-256", "-D"]).arg(data);
    command.arg(database).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().tried(what)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(statements.as_bytes()).tried(what)?;
    }
    let output = child.wait_with_output().tried(what)?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    // Single-user mode goes on after an error and ends with 0.
    if output.status.success() && !said.contains("ERROR") {
        return Ok(());
    }
    Err(LabError::Ended { what: what(), status: output.status.to_string(), said })
}

/// Copies the template; shares its blocks where the filesystem can.
///
/// # Errors
/// Where the copy fails.
pub(super) fn copy(template: &Path, data: &Path, account: Option<&Account>) -> Result<(), LabError> {
    let mut cp = process::tool("cp".as_ref(), account)?;
    process::run("cp", cp.args(["-a", "--reflink=auto"]).arg(template).arg(data).current_dir("/")).map(drop)
}
