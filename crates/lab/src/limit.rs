//! A limit of the kernel's on a server of the lab, lowered and put back by prlimit(1). Its children inherit it from then
//! on. The tool runs as the server's own user: even root needs a capability for the limits of another one's process.

use crate::error::LabError;
use crate::postgres::Postgres;
use crate::process::{self, Account};
use crate::programs;

/// Which limit (getrlimit(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `RLIMIT_NPROC`: processes of the user.
    Processes,
    /// `RLIMIT_NOFILE`: one more than the highest descriptor.
    Descriptors,
    /// `RLIMIT_AS`: bytes of address space.
    AddressSpace,
}

impl Resource {
    /// prlimit's option.
    const fn option(self) -> &'static str {
        match self {
            Self::Processes => "--nproc",
            Self::Descriptors => "--nofile",
            Self::AddressSpace => "--as",
        }
    }
}

/// A lowered soft limit of a postmaster; dropped, it is what it was before.
#[derive(Debug)]
pub struct Lowered {
    pid: u32,
    account: Option<Account>,
    resource: Resource,
    before: String,
}

impl Lowered {
    /// Sets the soft limit. The hard one stays, so that the soft one may be put back.
    ///
    /// # Errors
    /// Where the server does not run or prlimit(1) fails.
    pub fn set(postgres: &Postgres, resource: Resource, to: u64) -> Result<Self, LabError> {
        let (pid, account) = (postgres.pid()?, postgres.account().cloned());
        let ask = ["--output=SOFT", "--noheadings", "--raw", resource.option()];
        let before = prlimit(pid, account.as_ref(), &ask)?.trim().to_owned();
        let lowered = Self { pid, account, resource, before };
        lowered.soft(&to.to_string())?;
        Ok(lowered)
    }

    fn soft(&self, to: &str) -> Result<(), LabError> {
        let option = format!("{}={to}:", self.resource.option());
        prlimit(self.pid, self.account.as_ref(), &[&option]).map(drop)
    }
}

impl Drop for Lowered {
    fn drop(&mut self) {
        // A process that is gone has no limits.
        let _gone = self.soft(&self.before);
    }
}

fn prlimit(pid: u32, account: Option<&Account>, arguments: &[&str]) -> Result<String, LabError> {
    let mut command = process::tool(programs::find("prlimit")?.as_os_str(), account)?;
    process::run("prlimit", command.arg("--pid").arg(pid.to_string()).args(arguments))
}
