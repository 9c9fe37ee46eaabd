//! How a document of drills was made: the command, the day, the class of machine, the versions of the parts. No
//! machine's name.

use pgmedic_lab::programs;
use pgmedic_model::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// How a document was made.
#[derive(Debug, Serialize)]
pub(crate) struct Made {
    /// When.
    at: Timestamp,
    /// The command line after the program's name.
    command: String,
    machine: Machine,
    /// Each part's name and version, in its own words.
    versions: BTreeMap<&'static str, String>,
}

/// The class of machine.
#[derive(Debug, Serialize)]
struct Machine {
    /// Processors that this process may use.
    cores: usize,
    /// Memory in MB; 0 where the system does not tell.
    memory_mb: u64,
    /// `Linux 6.1`.
    system: String,
}

impl Made {
    /// Now, here, by this process.
    pub(crate) fn here() -> Self {
        let given = crate::arguments::given();
        let command: Vec<_> = given.iter().skip(1).map(|argument| argument.to_string_lossy()).collect();
        let mut versions = programs::versions();
        versions.insert("pgmedic", env!("CARGO_PKG_VERSION").to_owned());
        Self {
            at: pgmedic_path::clock::now(),
            command: format!("pgmedic {}", command.join(" ")),
            machine: Machine::here(),
            versions,
        }
    }
}

impl Machine {
    fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        // `MemTotal:       24602340 kB` (proc_meminfo(5)).
        let memory = read("/proc/meminfo");
        let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kb = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
        let release = read("/proc/sys/kernel/osrelease");
        let version: Vec<&str> = release.trim().split(['.', '-']).take(2).collect();
        Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_mb: kb / 1024,
            system: format!("Linux {}", version.join(".")),
        }
    }
}
