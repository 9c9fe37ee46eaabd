//! What pgmedic itself costs, under the names that every exporter has. What cannot be read is left out.

use super::page::Page;
use super::table as t;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::fs;

/// Writes the process' own metrics.
#[expect(clippy::cast_precision_loss, reason = "CPU time")]
pub(super) fn write(page: &mut Page) {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    page.family(&t::PROCESS_CPU);
    page.sample("", &[], cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let number = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    // One of the entries is the listing's own descriptor.
    let open = fs::read_dir("/proc/self/fd").map(|list| (list.count() as u64).saturating_sub(1)).ok();
    let kilobytes = |name: &str| number(name).map(|kb| kb * 1024);
    for (family, value) in [
        (&t::PROCESS_RESIDENT, kilobytes("VmRSS")),
        (&t::PROCESS_VIRTUAL, kilobytes("VmSize")),
        (&t::PROCESS_FDS, open),
        (&t::PROCESS_MAX_FDS, getrlimit(Resource::Nofile).current),
        (&t::PROCESS_THREADS, number("Threads")),
    ] {
        page.family(family);
        if let Some(value) = value {
            page.sample("", &[], value);
        }
    }
}
