//! One file for each verb: from its arguments to its exit code.

pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod drill;
pub(crate) mod explain;
pub(crate) mod fix;
pub(crate) mod incidents;
pub(crate) mod init;
pub(crate) mod man;
pub(crate) mod pause;
pub(crate) mod rules;
pub(crate) mod runbook;
pub(crate) mod watch;
