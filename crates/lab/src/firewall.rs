//! Rules of the host's packet filter, each matched to a port of the lab's own, so that nobody else is touched. Needs
//! root. Not in here: which packets a fault takes.

use crate::process::{self, is_root};
use crate::{Guard, Lab, LabError, programs};
use std::process::Command;

/// Puts a rule at the head of its chain, until the guard takes it away. The rule begins with the chain's name and is as
/// iptables(8) has it; words are split at spaces.
///
/// # Errors
/// [`LabError::NeedsRoot`], or where iptables refuses.
pub(crate) fn rule(lab: &Lab, rule: &str) -> Result<Guard, LabError> {
    if !is_root() {
        return Err(LabError::NeedsRoot("only root may set a firewall's rules"));
    }
    let iptables = programs::find("iptables")?;
    let words: Vec<String> = rule.split_whitespace().map(str::to_owned).collect();
    lab.janitor().note(&format!("'{}' -w -D {rule}", iptables.display()))?;
    process::run("iptables", Command::new(&iptables).args(["-w", "-I"]).args(&words))?;
    Ok(Guard::undone_by(move || {
        process::run("iptables", Command::new(&iptables).args(["-w", "-D"]).args(&words)).map(drop)
    }))
}
