//! What the kernel gives a server and what it took from it: its control group's memory and CPU, pressure on the host, and
//! whom the OOM killer ended.
//!
//! Both hierarchies of control groups are read (kernel documentation, "Control Group v2", "Memory Resource Controller",
//! "CFS Bandwidth Control"). Not in here: what follows from it.

use super::evidence::{OomKill, Pressure, ResourceView};
use super::procfs;
use crate::clock;
use pgmedic_model::Timestamp;
use rustix::fs::{Mode, OFlags};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long throttling is watched for, at least: two of the kernel's periods of 100 ms.
const WATCH: Duration = Duration::from_millis(200);
/// Most records of the kernel's log that are read.
const MOST_RECORDS: usize = 50_000;
/// Most kills that are told, the newest.
const MOST_KILLS: usize = 8;
/// An older kill tells of the past.
const RECENT_MS: i64 = 600_000;
/// A limit from here on is none: version 1 writes the greatest number of pages.
const NO_LIMIT: u64 = 1 << 60;

/// The groups that a process is in: for each controller the folder of its files.
pub(super) struct Groups {
    memory: PathBuf,
    cpu: PathBuf,
    name: String,
    cpu_name: String,
}

impl Groups {
    /// The groups of a process.
    pub(super) fn of(pid: u32) -> Option<Self> {
        Self::parse(
            &procfs::read_text(&procfs::of(pid, "cgroup"), 64 << 10).ok()?,
            Path::new("/sys/fs/cgroup"),
        )
    }

    /// Reads rows like `4:memory:/docker/ab12` and `0::/system.slice/postgresql.service` (cgroups(7)).
    fn parse(text: &str, mount: &Path) -> Option<Self> {
        let below = |folder: PathBuf, path: &str| folder.join(path.trim_start_matches('/'));
        let rows =
            || text.lines().filter_map(|row| row.splitn(3, ':').skip(1).collect::<Vec<_>>().try_into().ok());
        let unified = rows().find(|[controllers, _]: &[&str; 2]| controllers.is_empty());
        let of = |controller: &str| {
            let first = rows().find(|[all, _]: &[&str; 2]| all.split(',').any(|c| c == controller));
            match first {
                Some([all, path]) => Some((below(mount.join(all), path), path)),
                None => unified.map(|[_, path]| (below(mount.to_owned(), path), path)),
            }
        };
        let ((memory, name), (cpu, cpu_name)) = (of("memory")?, of("cpu")?);
        Some(Self { memory, cpu, name: name.to_owned(), cpu_name: cpu_name.to_owned() })
    }

    /// `oom_kill` of memory.events (version 2) or memory.oom_control (version 1): processes of this group that any OOM
    /// killer ended, since the group was made. The root group has neither; there the host's count stands for it.
    fn oom_kills(&self) -> Option<u64> {
        number_of(&self.memory.join("memory.events"), "oom_kill")
            .or_else(|| number_of(&self.memory.join("memory.oom_control"), "oom_kill"))
            .or_else(|| number_of(Path::new("/proc/vmstat"), "oom_kill"))
    }

    fn memory(&self, names: [&str; 2]) -> Option<u64> {
        names.iter().find_map(|name| read(&self.memory.join(name))?.trim().parse().ok())
    }

    /// CPUs that the group may use. None where it may use all.
    fn cpus(&self) -> Option<f64> {
        let (quota, period) = match read(&self.cpu.join("cpu.max")) {
            Some(text) => {
                let (quota, period) = text.trim().split_once(' ')?;
                (quota.parse::<f64>().ok()?, period.parse::<f64>().ok()?)
            }
            None => {
                let number = |name: &str| read(&self.cpu.join(name))?.trim().parse::<f64>().ok();
                (number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
            }
        };
        (quota > 0.0 && period > 0.0).then(|| quota / period)
    }

    /// Periods in which the group wanted to run, and those of them in which it was held back.
    fn periods(&self) -> Option<(u64, u64)> {
        let stat = self.cpu.join("cpu.stat");
        Some((number_of(&stat, "nr_periods")?, number_of(&stat, "nr_throttled")?))
    }
}

/// A first look at a server's CPU, to be ended by [`Watch::end`].
pub(super) struct Watch {
    groups: Groups,
    cpus: Option<f64>,
    begun: Instant,
    periods: Option<(u64, u64)>,
}

impl Watch {
    /// Begins.
    pub(super) fn begin(pid: u32) -> Option<Self> {
        let groups = Groups::of(pid)?;
        let cpus = groups.cpus();
        let periods = cpus.and_then(|_| groups.periods());
        Some(Self { groups, cpus, begun: Instant::now(), periods })
    }

    /// Ends. Where the group has a quota, throttling is watched for at least two periods if the time allows.
    #[expect(clippy::cast_precision_loss, reason = "some periods of 100 ms each")]
    pub(super) fn end(self, until: Instant) -> ResourceView {
        let throttled = self.periods.and_then(|(all, held)| {
            let rest = WATCH.saturating_sub(self.begun.elapsed());
            std::thread::sleep(rest.min(until.saturating_duration_since(Instant::now())));
            let (now, held_now) = self.groups.periods()?;
            let wanted = now.checked_sub(all).filter(|n| *n > 0)?;
            Some((held_now.saturating_sub(held) as f64 / wanted as f64).min(1.0))
        });
        let limit = self.groups.memory(["memory.max", "memory.limit_in_bytes"]).filter(|n| *n < NO_LIMIT);
        ResourceView {
            oom_kills: self.groups.oom_kills(),
            memory_limit: limit,
            memory_used: self.groups.memory(["memory.current", "memory.usage_in_bytes"]),
            cpus: self.cpus,
            throttled,
            group: self.groups.name,
            cpu_group: self.groups.cpu_name,
        }
    }
}

/// Pressure on the host: `/proc/pressure/{cpu,io,memory}`. Empty where the kernel does not tell.
pub(super) fn pressure() -> Vec<Pressure> {
    ["cpu", "io", "memory"]
        .into_iter()
        .filter_map(|resource| {
            let text = read(&Path::new("/proc/pressure").join(resource))?;
            Some(Pressure {
                resource: resource.to_owned(),
                some: avg10(&text, "some")?,
                full: avg10(&text, "full"),
            })
        })
        .collect()
}

/// `some avg10=0.90 avg60=1.38 avg300=3.21 total=3759058445`
fn avg10(text: &str, kind: &str) -> Option<f64> {
    let row = text.lines().find_map(|line| line.strip_prefix(kind))?;
    row.split_ascii_whitespace().find_map(|field| field.strip_prefix("avg10="))?.parse().ok()
}

/// Processes of Postgres that the OOM killer ended lately, oldest first, by the kernel's log. None where it may not be read.
pub(super) fn killed(until: Instant) -> Option<Vec<OomKill>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let log = rustix::fs::open("/dev/kmsg", flags, Mode::empty()).ok()?;
    let booted = clock::now().0 - i64::try_from(procfs::ticks_since_boot()?.checked_mul(10)?).ok()?;
    let oldest = clock::now().0 - RECENT_MS;
    let mut kills = Vec::new();
    let mut buffer = vec![0; 8192];
    for _ in 0..MOST_RECORDS {
        if Instant::now() >= until {
            break;
        }
        match rustix::io::read(&log, &mut buffer) {
            Ok(0) => break,
            Ok(length) => kills.extend(parse_kill(&String::from_utf8_lossy(&buffer[..length]), booted)),
            // The record was overwritten while it was read: the next one follows.
            Err(error) if error == rustix::io::Errno::PIPE => {}
            // EAGAIN: there are no more.
            Err(_) => break,
        }
    }
    kills.retain(|kill: &OomKill| kill.at.0 >= oldest);
    Some(kills.split_off(kills.len().saturating_sub(MOST_KILLS)))
}

/// Reads a record of /dev/kmsg (kernel documentation, ABI/testing/dev-kmsg), `3,1041,9177941942,-;text`, where its text is
/// that of a kill (mm/oom_kill.c, `__oom_kill_process`; since Linux 4.19 the same for a group's limit):
/// `Memory cgroup out of memory: Killed process 4711 (postgres) total-vm:…`.
fn parse_kill(record: &str, booted: i64) -> Option<OomKill> {
    let (head, text) = record.split_once(';')?;
    let (_, after) = text.lines().next()?.split_once("Killed process ")?;
    let (pid, rest) = after.split_once(" (")?;
    let program = rest.split_once(')')?.0;
    let micros: i64 = head.split(',').nth(2)?.parse().ok()?;
    let server = matches!(program, "postgres" | "postmaster" | "edb-postgres");
    server.then_some(OomKill {
        pid: pid.parse().ok()?,
        program: program.to_owned(),
        at: Timestamp(booted.checked_add(micros / 1000)?),
        by_group: text.starts_with("Memory cgroup"),
    })
}

fn read(path: &Path) -> Option<String> {
    procfs::read_text(path, 64 << 10).ok()
}

/// The number that stands after a name at the start of a line: `oom_kill 3`.
fn number_of(path: &Path, name: &str) -> Option<u64> {
    let text = read(path)?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_both_versions_are_found() {
        let mount = Path::new("/sys/fs/cgroup");
        let two = Groups::parse("0::/system.slice/postgresql.service\n", mount).expect("version 2");
        assert_eq!(two.memory, Path::new("/sys/fs/cgroup/system.slice/postgresql.service"));
        let one = "9:name=systemd:/\n4:memory:/docker/ab\n1:cpu,cpuacct:/docker/ab\n0::/\n";
        let one = Groups::parse(one, mount).expect("version 1");
        assert_eq!(one.memory, Path::new("/sys/fs/cgroup/memory/docker/ab"));
        assert_eq!(
            (one.cpu.as_path(), one.name.as_str()),
            (Path::new("/sys/fs/cgroup/cpu,cpuacct/docker/ab"), "/docker/ab")
        );
        assert!(Groups::parse("", mount).is_none());
    }

    #[test]
    fn figures_are_read_as_each_version_writes_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
        let groups = || Groups {
            memory: folder.path().into(),
            cpu: folder.path().into(),
            name: "/x".into(),
            cpu_name: "/x".into(),
        };
        write("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
        write("cpu.cfs_quota_us", "50000\n");
        write("cpu.cfs_period_us", "100000\n");
        write("cpu.stat", "nr_periods 40\nnr_throttled 39\nthrottled_time 7\n");
        assert_eq!(
            (groups().oom_kills(), groups().cpus(), groups().periods()),
            (Some(2), Some(0.5), Some((40, 39)))
        );
        write("memory.events", "low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\n");
        write("cpu.max", "max 100000\n");
        assert_eq!((groups().oom_kills(), groups().cpus()), (Some(1), None));
    }

    #[test]
    fn the_kernels_record_of_a_kill_is_read() {
        // Recorded on Linux 6.18.
        let record = "3,689,14970081785,-;Memory cgroup out of memory: Killed process 7579 (postgres) total-vm:361320kB, \
                      anon-rss:162344kB, file-rss:8000kB, shmem-rss:2920kB, UID:101 pgtables:460kB oom_score_adj:0\n";
        let kill = parse_kill(record, 1_000).expect("a kill");
        assert_eq!((kill.pid, kill.at, kill.by_group), (7579, Timestamp(14_971_081), true));
        assert!(!parse_kill(&record.replace("Memory cgroup out", "Out"), 0).expect("a kill").by_group);
        assert_eq!(parse_kill(&record.replace("(postgres)", "(java)"), 0), None);
        assert_eq!(parse_kill("6,1,2,-;EXT4-fs (loop1): unmounting filesystem", 0), None);
        assert_eq!(parse_kill("", 0), None);
    }

    #[test]
    fn pressure_is_the_average_of_ten_seconds() {
        let text = "some avg10=0.90 avg60=1.38 avg300=3.21 total=3759058445\nfull avg10=12.50 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(
            (avg10(text, "some"), avg10(text, "full"), avg10("", "some")),
            (Some(0.9), Some(12.5), None)
        );
    }
}
