//! Processes as proc(5) shows them: who runs, in which state, with which command line and descriptors.
//!
//! Every read is bounded, and a process that vanishes while it is looked at is simply not there. Not in here: sockets
//! (`listeners`), and what a process title means (`titles`).

use super::evidence::ProcessView;
use pgmedic_model::{Secret, mask};
use std::collections::HashSet;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Most processes looked at. The kernel's default pid_max on a small host is 32 768.
const MOST_PROCESSES: usize = 65_536;
/// Most bytes of a command line.
const MOST_ARGUMENT_BYTES: u64 = 64 << 10;
/// Most descriptors looked at in one process.
const MOST_DESCRIPTORS: usize = 65_536;
/// Bytes for which room is made before a file is read.
const FIRST_READ: usize = 4096;
/// Longest command shown, in characters.
const COMMAND_LIMIT: usize = 200;

/// One row of /proc/PID/stat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    /// Process id in this pid namespace.
    pub(super) pid: u32,
    /// Its parent.
    pub(super) parent: u32,
    /// State letter.
    pub(super) state: char,
    /// `comm`.
    pub(super) program: String,
    /// `starttime`: clock ticks after boot.
    pub(super) start_ticks: u64,
}

impl Process {
    /// True where `comm` is that of a Postgres server's process, postmaster or child.
    pub(super) fn is_postgres(&self) -> bool {
        matches!(self.program.as_str(), "postgres" | "postmaster" | "edb-postgres")
    }
}

/// Reads a file's start, at most `limit` bytes.
pub(super) fn read_start(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    // Files of /proc tell no size: with room at hand most are read at once.
    let mut bytes = Vec::with_capacity(usize::try_from(limit).unwrap_or(FIRST_READ).min(FIRST_READ));
    std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a file's start as text, at most `limit` bytes; what is not UTF-8 is replaced.
pub(super) fn read_text(path: &Path, limit: u64) -> std::io::Result<String> {
    read_start(path, limit).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// A file or folder of /proc/PID.
pub(super) fn of(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// Parses /proc/PID/stat. `comm` stands in parentheses and may itself hold spaces and parentheses.
pub(super) fn parse_stat(text: &str) -> Option<Process> {
    let (head, tail) = text.rsplit_once(')')?;
    let (pid, program) = head.split_once(" (")?;
    let mut fields = tail.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    // proc(5): starttime is field 22; state was field 3 and ppid field 4.
    let start_ticks = fields.nth(17)?.parse().ok()?;
    Some(Process { pid: pid.parse().ok()?, parent, state, program: program.to_owned(), start_ticks })
}

/// The process with this id, if there is one.
pub(super) fn process(pid: u32) -> Option<Process> {
    parse_stat(&read_text(&of(pid, "stat"), 4096).ok()?)
}

/// Every process, until the time is up. The flag is true where the list is not whole.
pub(super) fn processes(until: Instant) -> (Vec<Process>, bool) {
    let Ok(entries) = std::fs::read_dir("/proc") else { return (Vec::new(), true) };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if found.len() >= MOST_PROCESSES || Instant::now() >= until {
            return (found, true);
        }
        found.extend(process(pid));
    }
    (found, false)
}

/// The children of a process (proc(5), `/proc/PID/task/TID/children`); none where the kernel does not tell.
pub(super) fn children(pid: u32) -> Vec<u32> {
    let text = read_text(&of(pid, &format!("task/{pid}/children")), MOST_ARGUMENT_BYTES).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// The command line as it stands now (a Postgres child has written its title over it). Empty for kernel threads.
pub(super) fn arguments(pid: u32) -> Option<Vec<String>> {
    let bytes = read_start(&of(pid, "cmdline"), MOST_ARGUMENT_BYTES).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.trim_end_matches(['\0', ' ']).split('\0').map(str::to_owned).collect())
}

/// Time since boot in clock ticks of 1/100 s (USER_HZ is 100 on every architecture that Postgres is packaged for).
pub(super) fn ticks_since_boot() -> Option<u64> {
    let text = read_text(Path::new("/proc/uptime"), 128).ok()?;
    let (seconds, hundredths) = text.split_ascii_whitespace().next()?.split_once('.')?;
    Some(seconds.parse::<u64>().ok()? * 100 + hundredths.parse::<u64>().ok()?)
}

/// The inodes of the sockets that a process holds. Err where its descriptors may not be read.
pub(super) fn socket_inodes(pid: u32, until: Instant) -> std::io::Result<HashSet<u64>> {
    let mut inodes = HashSet::new();
    for entry in std::fs::read_dir(of(pid, "fd"))?.flatten().take(MOST_DESCRIPTORS) {
        if Instant::now() >= until {
            break;
        }
        let Ok(link) = std::fs::read_link(entry.path()) else { continue };
        inodes.extend(link.to_str().and_then(socket_inode));
    }
    Ok(inodes)
}

/// `socket:[25708]`.
fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// How often a process gave up its CPU and had it taken (proc(5), /proc/PID/status): it has not run where this stands still.
pub(super) fn switches(pid: u32) -> Option<u64> {
    let status = read_text(&of(pid, "status"), 16 << 10).ok()?;
    let count =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    Some(count("voluntary_ctxt_switches:")? + count("nonvoluntary_ctxt_switches:")?)
}

/// Open descriptors and the soft limit. None where they may not be read.
pub(super) fn descriptors(pid: u32) -> Option<(u64, u64)> {
    let limits = read_text(&of(pid, "limits"), 4096).ok()?;
    let row = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = match row.split_ascii_whitespace().next()? {
        "unlimited" => u64::MAX,
        number => number.parse().ok()?,
    };
    let folder = of(pid, "fd");
    // Since Linux 6.2 the folder's size is the number of open descriptors; before, it is 0.
    let open = match std::fs::metadata(&folder).ok()?.size() {
        0 => std::fs::read_dir(&folder).ok()?.take(MOST_DESCRIPTORS).count() as u64,
        size => {
            std::fs::read_dir(&folder).ok()?;
            size
        }
    };
    Some((open, soft))
}

/// A process as evidence shows it. The state is read anew: it may have changed since the list was made.
pub(super) fn view(process: &Process, established: Option<u64>) -> ProcessView {
    let state = self::process(process.pid).map_or('X', |now| now.state);
    let command = arguments(process.pid).map(|words| shown(&words));
    ProcessView {
        pid: process.pid,
        program: process.program.clone(),
        state,
        command: command.unwrap_or_default(),
        established,
        descriptors: descriptors(process.pid),
    }
}

/// A command line in one line without what may be a secret: `--password=x`, `--password x`, passwords in URLs.
pub(super) fn shown(words: &[String]) -> String {
    let names_a_secret =
        |word: &str| mask::excerpt(&format!("{word}=x"), COMMAND_LIMIT).ends_with(Secret::MASK);
    let mut line = String::new();
    let mut value_follows = false;
    for word in words {
        line.push_str(if value_follows { Secret::MASK } else { word });
        line.push(' ');
        value_follows =
            !value_follows && word.starts_with('-') && !word.contains('=') && names_a_secret(word);
    }
    mask::excerpt(&line, COMMAND_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_past_a_program_name_with_spaces_and_parentheses() {
        let tail =
            "T 17 42 42 0 -1 4194560 2021 0 3 0 1 2 0 0 20 0 1 0 98765 226910208 4711 18446744073709551615";
        assert_eq!(
            parse_stat(&format!("4242 (a (b) c) {tail}")),
            Some(Process {
                pid: 4242,
                parent: 17,
                state: 'T',
                program: "a (b) c".into(),
                start_ticks: 98_765
            })
        );
        assert_eq!(parse_stat("4242 (cut"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn this_process_sees_itself() {
        let me = std::process::id();
        let (all, cut) = processes(Instant::now() + std::time::Duration::from_secs(5));
        assert!(!cut && all.iter().any(|p| p.pid == me));
        let (open, soft) = descriptors(me).expect("own descriptors");
        assert!(open >= 3 && soft >= open, "{open} of {soft}");
        let before = switches(me).expect("own status");
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(switches(me).expect("own status") >= before);
        assert!(ticks_since_boot().expect("uptime") >= process(me).expect("self").start_ticks);
    }

    #[test]
    fn a_vanished_process_is_not_there() {
        assert_eq!(process(u32::MAX), None);
        assert_eq!(arguments(u32::MAX), None);
        assert_eq!(descriptors(u32::MAX), None);
        assert!(socket_inodes(u32::MAX, Instant::now()).is_err());
    }

    #[test]
    fn a_command_line_shows_its_options_and_no_secret() {
        for (line, expected) in [
            ("postgres -D /data -p 5432", "postgres -D /data -p 5432"),
            ("postgres -c ssl_passphrase_command=hunter2", "postgres -c ssl_passphrase_command=***"),
            ("proxy --password hunter2 -v", "proxy --password *** -v"),
            ("proxy --token=hunter2 postgres://a:hunter2@h/db", "proxy --token=*** postgres://a:***@h/db"),
        ] {
            let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(shown(&words), expected);
        }
        assert_eq!(shown(&["x".repeat(1000)]).chars().count(), COMMAND_LIMIT);
    }

    #[test]
    fn only_sockets_count_as_sockets() {
        assert_eq!(socket_inode("socket:[25708]"), Some(25_708));
        assert_eq!(socket_inode("pipe:[25708]"), None);
    }
}
