//! What this host shows of the database (or the API) when the door is shut: processes, listeners, volumes, logs.

mod proxy_logs;

pub use proxy_logs::{
    HaproxyEnding, HaproxyEvent, HaproxyLogView, PoolerLogEntry, PoolerLogView, PoolerSide,
};

use pgmedic_model::{Ms, SqlState, Timestamp};
use serde::{Deserialize, Serialize};

/// Everything seen through this host's window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostEvidence {
    /// When it was looked at.
    pub at: Timestamp,
    /// How long the look took.
    pub elapsed_ms: Ms,
    /// Why this host may be looked at: `platform.kind = "host"`, `the target is a loopback address`, ….
    pub why: String,
    /// The listener that the front target's address leads to.
    pub front_listener: Option<ListenerView>,
    /// The listener that the `direct` address leads to.
    pub direct_listener: Option<ListenerView>,
    /// True where the front target's address is this host's and the tables of listeners were read: then a missing
    /// `front_listener` means that nothing listens there.
    #[serde(default)]
    pub front_listener_sought: bool,
    /// The same for `direct_listener`.
    #[serde(default)]
    pub direct_listener_sought: bool,
    /// Where nothing listens at the front's address: listeners on the same port at other addresses of this host.
    #[serde(default)]
    pub front_elsewhere: Vec<ListenerView>,
    /// The same for `direct`.
    #[serde(default)]
    pub direct_elsewhere: Vec<ListenerView>,
    /// Connections refused for a full accept queue since boot, on the whole host (`ListenOverflows` of
    /// /proc/net/netstat). Looked at only where a queue is full.
    #[serde(default)]
    pub accept_overflows: Option<u64>,
    /// The service's connections with data that nobody acknowledges, the walk's own left out; at most 32.
    #[serde(default)]
    pub unheard: Vec<FlowView>,
    /// Connections of the service's proxy and server whose clients answer no keepalive probes, at most 500.
    #[serde(default)]
    pub mute: Vec<MuteView>,
    /// The process behind the front listener, where it is not the postmaster: a proxy or a pooler.
    pub proxy: Option<ProcessView>,
    /// Where that process has TCP connections of its own making: the servers behind it. None where its descriptors may
    /// not be read.
    #[serde(default)]
    pub proxy_upstream: Option<Vec<String>>,
    /// Where that process is connecting to, its SYN unanswered.
    #[serde(default)]
    pub proxy_connecting: Vec<String>,
    /// What HAProxy's own stats socket says, where the proxy is a HAProxy whose configuration names one.
    pub haproxy: Option<HaproxyView>,
    /// The end of HAProxy's log, where the proxy is a HAProxy whose log is a file of this host.
    #[serde(default)]
    pub haproxy_log: Option<HaproxyLogView>,
    /// The end of PgBouncer's log, where the proxy is a PgBouncer whose log is a file of this host.
    #[serde(default)]
    pub pooler_log: Option<PoolerLogView>,
    /// The postmaster.
    pub postmaster: Option<ProcessView>,
    /// Why this is the service's postmaster: `listens on 127.0.0.1:5432`, `the only one on this host`, ….
    pub postmaster_by: Option<String>,
    /// `data_directory`.
    pub data_directory: Option<String>,
    /// `system_identifier` as `global/pg_control` of the data directory has it.
    #[serde(default)]
    pub system_identifier: Option<String>,
    /// Last line of `postmaster.pid`: `ready`, `starting`, `stopping`, `standby`.
    pub postmaster_status: Option<String>,
    /// postmaster.pid of the data directory, where no postmaster runs that it names.
    #[serde(default)]
    pub lock_file: Option<LockFileView>,
    /// `standby.signal` or `recovery.signal` stands in the data directory (12+): what recovers there is a standby or a
    /// restore. None where the directory could not be read.
    #[serde(default)]
    pub recovery_signal: Option<bool>,
    /// Client backends by their process titles. None where titles were not looked at (the server told by SQL).
    pub backends: Option<Vec<TitleGroup>>,
    /// Children of the postmaster of whose client no startup packet has come yet. None where titles were not looked at.
    #[serde(default)]
    pub unstarted: Option<u64>,
    /// Children of the postmaster of any kind that were started within the last ten seconds. None where it was not told.
    #[serde(default)]
    pub started_lately: Option<u64>,
    /// The addresses of the clients that are connected to the postmaster, with how many connections each has; the most
    /// first, at most 10.
    #[serde(default)]
    pub peers: Vec<(String, u64)>,
    /// Other children of the postmaster by their titles: `startup recovering 0000…`, `checkpointer`, ….
    pub auxiliaries: Vec<String>,
    /// `max_connections` as the configuration on disk or the command line has it.
    pub max_connections: Option<u64>,
    /// `superuser_reserved_connections`, likewise; Postgres' default 3 where it is not set.
    pub superuser_reserved: Option<u64>,
    /// `reserved_connections`, likewise; default 0.
    pub reserved: Option<u64>,
    /// The postmaster's control group.
    #[serde(default)]
    pub resources: Option<ResourceView>,
    /// Pressure on this host. Empty where it was not looked at or the kernel does not tell.
    #[serde(default)]
    pub pressure: Vec<Pressure>,
    /// Processes of Postgres that the OOM killer ended in the last ten minutes, by the kernel's log. None where that was not
    /// read, or may not be.
    #[serde(default)]
    pub oom_killed: Option<Vec<OomKill>>,
    /// Processes of the server that are stopped, or stuck in the kernel each time they were looked at.
    #[serde(default)]
    pub stuck: Vec<ProcessView>,
    /// The private key that the server's TLS is set to use. None where TLS is off, or the settings were not read.
    #[serde(default)]
    pub key_file: Option<KeyFileView>,
    /// Filesystems of the data directory, of WAL and of tablespaces.
    pub volumes: Vec<VolumeView>,
    /// The server's log.
    pub log: Option<ServerLogView>,
    /// What could not be looked at, and why.
    pub blind: Vec<String>,
}

/// A listening socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerView {
    /// `127.0.0.1:5432`, or the unix socket's path.
    pub address: String,
    /// Connections that the kernel has completed and the process has not accepted (`ss -ltn`'s Recv-Q).
    pub recv_q: u64,
    /// The most that may wait (Send-Q of a listener). None where it cannot be read.
    pub backlog: Option<u64>,
    /// The listening process. None where its descriptors may not be read.
    pub pid: Option<u32>,
    /// Its `comm`.
    #[serde(default)]
    pub program: Option<String>,
}

impl ListenerView {
    /// True where the accept queue takes no more: the kernel drops SYNs and last acknowledgements from here on
    /// (listen(2); the queue is full with one more than the backlog, `sk_acceptq_is_full`).
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.backlog.is_some_and(|backlog| self.recv_q > backlog)
    }
}

/// Which end of a connection this host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowEnd {
    /// The service's proxy or server.
    Server,
    /// A client of the service, or a proxy towards its server.
    Client,
}

/// A connection with data that its other end does not acknowledge although it was sent again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowView {
    /// Which end this host has.
    pub end: FlowEnd,
    /// This end.
    pub local: String,
    /// The other end.
    pub remote: String,
    /// Bytes in the send queue.
    pub unacknowledged_bytes: u64,
    /// How often in a row it was tried in vain.
    pub tries: u64,
    /// The other end's window is shut and it does not answer the probes of it.
    pub window_shut: bool,
    /// The process that holds it. None where nobody does any more, or its descriptors may not be read.
    pub pid: Option<u32>,
    /// Its `comm`.
    pub program: Option<String>,
    /// Nobody holds it any more: its process has closed it, or ended.
    #[serde(default)]
    pub orphan: bool,
}

/// A connection at rest whose other end does not answer the probes that ask whether it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MuteView {
    /// This end.
    pub local: String,
    /// The client.
    pub remote: String,
    /// Keepalive probes in a row without an answer.
    pub probes: u64,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessView {
    /// Process id.
    pub pid: u32,
    /// `comm`: `postgres`, `haproxy`, `pgbouncer`.
    pub program: String,
    /// State letter of /proc/PID/stat (proc(5)): `S` sleeping, `T` stopped, `D` uninterruptible, `Z` zombie, ….
    pub state: char,
    /// The command line without what may be a secret, at most 200 characters.
    pub command: String,
    /// Connections that it has established on the front listener's port.
    pub established: Option<u64>,
    /// Open descriptors, and the soft limit, where they may be read.
    pub descriptors: Option<(u64, u64)>,
}

impl ProcessView {
    /// True where the process cannot run: stopped by a signal or a debugger, or stuck in the kernel.
    #[must_use]
    pub const fn is_frozen(&self) -> bool {
        matches!(self.state, 'T' | 't' | 'D')
    }
}

/// A postmaster.pid that no running postmaster answers for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockFileView {
    /// The pid on its first line. None where there is none: the file is empty.
    pub pid: Option<u32>,
    /// The process that has this pid now.
    pub process: Option<ProcessView>,
}

/// HAProxy's own account (management guide, sections 9.1 and 9.3).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HaproxyView {
    /// The stats socket.
    pub socket: String,
    /// Why it did not answer, if it did not.
    pub failure: Option<String>,
    /// `CurrConns` of `show info`.
    pub current: Option<u64>,
    /// `Maxconn` of `show info`.
    pub max: Option<u64>,
    /// The frontends and servers of `show stat`.
    pub rows: Vec<HaproxyRow>,
    /// `Uptime_sec` of `show info`: since it was started or reloaded.
    #[serde(default)]
    pub uptime_s: Option<u64>,
    /// The timeouts of the frontend that clients come to, by its configuration on disk.
    #[serde(default)]
    pub timeouts: HaproxyTimeouts,
}

/// Timeouts of HAProxy (configuration manual, 4.2). None where none is set: then there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HaproxyTimeouts {
    /// `timeout client`: the client sends and takes nothing.
    pub client_ms: Option<Ms>,
    /// `timeout server`: the server does.
    pub server_ms: Option<Ms>,
    /// `timeout tunnel`: in place of both once a session is established.
    pub tunnel_ms: Option<Ms>,
    /// `timeout queue`, else `timeout connect`: a client waits for a server with room.
    pub queue_ms: Option<Ms>,
}

impl HaproxyTimeouts {
    /// How long an established session may idle.
    #[must_use]
    pub fn idle_ms(&self) -> Option<Ms> {
        let shorter = |a: Ms, b: Ms| if a.0 <= b.0 { a } else { b };
        let both = match (self.client_ms, self.server_ms) {
            (Some(client), Some(server)) => Some(shorter(client, server)),
            (one, other) => one.or(other),
        };
        self.tunnel_ms.or(both)
    }
}

/// One row of `show stat`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaproxyRow {
    /// Proxy's name.
    pub proxy: String,
    /// `FRONTEND`, `BACKEND` or the server's name.
    pub server: String,
    /// `UP`, `DOWN`, `MAINT (resolution)`, `no check`, `OPEN`, ….
    pub status: String,
    /// Result of the last health check: `L4CON`, `L7TOUT`, ….
    pub check: String,
    /// Current sessions.
    pub sessions: u64,
    /// Session limit. None where there is none.
    pub limit: Option<u64>,
    /// Waiting in the queue.
    pub queued: u64,
    /// How often its check has found it down since HAProxy was started (`chkdown`).
    #[serde(default)]
    pub downs: Option<u64>,
    /// Seconds since it last went up or down (`lastchg`).
    #[serde(default)]
    pub since_change_s: Option<u64>,
}

impl HaproxyRow {
    /// True for a server, which a frontend's and a backend's row are not.
    #[must_use]
    pub fn is_server(&self) -> bool {
        self.server != "FRONTEND" && self.server != "BACKEND"
    }

    /// True for a server that HAProxy sends nobody to.
    #[must_use]
    pub fn is_out(&self) -> bool {
        self.status.starts_with("DOWN") || self.status.starts_with("MAINT")
    }
}

/// Client backends of one role, database, client and state, by their process titles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TitleGroup {
    /// Role.
    pub role: String,
    /// Database.
    pub database: String,
    /// Client address without its port; `[local]`.
    pub client: String,
    /// `idle`, `idle in transaction`, `SELECT`, `SELECT waiting`, `startup`, `authentication`, ….
    pub activity: String,
    /// How many.
    pub count: u64,
}

/// A control group's memory and CPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResourceView {
    /// Its name, as /proc/PID/cgroup has it; that of the memory controller where each has one of its own (version 1).
    pub group: String,
    /// Its name for the CPU controller.
    pub cpu_group: String,
    /// Processes of it that any OOM killer ended, since it was made; of the whole host where it is the root group.
    pub oom_kills: Option<u64>,
    /// The most memory that it may use, in bytes. None where there is no limit.
    pub memory_limit: Option<u64>,
    /// What it uses, in bytes.
    pub memory_used: Option<u64>,
    /// CPUs that it may use. None where it may use all.
    pub cpus: Option<f64>,
    /// Share of the periods in which it wanted to run and was held back, from 0 to 1, while it was looked at. None where
    /// there is no quota, or it did not want to run.
    pub throttled: Option<f64>,
}

/// Pressure stall information of one resource (kernel documentation, "PSI"): averages of the last ten seconds, in percent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pressure {
    /// `cpu`, `io`, `memory`.
    pub resource: String,
    /// Some task waited.
    pub some: f64,
    /// Every task waited.
    pub full: Option<f64>,
}

/// The OOM killer ended a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OomKill {
    /// Its pid, in the kernel's own pid namespace.
    pub pid: u32,
    /// `comm`.
    pub program: String,
    /// When, to the accuracy of the time since boot.
    pub at: Timestamp,
    /// Its control group was at its limit; else the host was out of memory.
    pub by_group: bool,
}

/// The file of a server's private key (`ssl_key_file`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFileView {
    /// The file, as the server names it.
    pub path: String,
    /// What stands there. None where nothing does.
    pub found: Option<KeyFileStat>,
    /// User id that the server runs as: the owner of its data directory, which no other may start it in.
    pub server: u32,
}

/// What stat(2) says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFileStat {
    /// A regular file.
    pub regular: bool,
    /// Permission bits, `0o600`.
    pub mode: u32,
    /// User id of its owner.
    pub owner: u32,
}

/// What a filesystem is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeUse {
    /// The data directory.
    #[default]
    Data,
    /// pg_wal, where it is a filesystem of its own.
    Wal,
    /// A tablespace.
    Tablespace,
    /// The log directory, where it is a filesystem of its own.
    Log,
}

/// A filesystem as statvfs(3) has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeView {
    /// What it is used for.
    pub holds: VolumeUse,
    /// The path that was asked for.
    pub path: String,
    /// Where the filesystem is mounted.
    pub mount: Option<String>,
    /// Its type: `ext4`, `tmpfs`.
    pub kind: Option<String>,
    /// `f_blocks * f_frsize`.
    pub total_bytes: u64,
    /// `f_bavail * f_frsize`: free for an ordinary user (`f_bfree` counts root's reserve).
    pub available_bytes: u64,
    /// `(f_bfree - f_bavail) * f_frsize`: free, but root's reserve (or beyond a quota).
    #[serde(default)]
    pub reserved_bytes: u64,
    /// `f_files`; 0 where the filesystem does not count.
    pub total_inodes: u64,
    /// `f_favail`.
    pub available_inodes: u64,
    /// Mounted (or remounted) read-only.
    pub read_only: bool,
    /// Bytes in it by what holds them, where it could be read in time: `pg_wal`, `base`, `pgsql_tmp`, `log`.
    pub held: Vec<(String, u64)>,
    /// WAL files in it that wait to be archived (`pg_wal/archive_status/*.ready`), where what holds it was read.
    #[serde(default)]
    pub to_archive: Option<u64>,
    /// When it was measured, where that was later than the look at this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_at: Option<Timestamp>,
}

impl VolumeView {
    /// Share of the bytes that an ordinary user may use that are used, as df(1) counts: from 0 to 1. 0 where the
    /// filesystem does not count.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share of a volume needs no more than 52 bits")]
    pub fn used_share(&self) -> f64 {
        share(self.total_bytes.saturating_sub(self.reserved_bytes) as f64, self.available_bytes as f64)
    }

    /// Share of the inodes that are used, likewise.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share of a volume needs no more than 52 bits")]
    pub fn used_inodes_share(&self) -> f64 {
        share(self.total_inodes as f64, self.available_inodes as f64)
    }
}

fn share(total: f64, free: f64) -> f64 {
    if total > 0.0 { (1.0 - free / total).clamp(0.0, 1.0) } else { 0.0 }
}

/// The end of the server's log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerLogView {
    /// The file.
    pub path: String,
    /// The newest FATAL and PANIC lines and abnormal ends of processes, oldest first, at most 20, masked.
    pub entries: Vec<ServerLogEntry>,
    /// Logins refused for want of a slot in the three seconds before its newest entry. 0 where its lines have no time.
    #[serde(default)]
    pub turned_away: u64,
}

/// One entry of the server's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerLogEntry {
    /// When, by the line itself. None where the line has no time that can be read.
    pub at: Option<Timestamp>,
    /// `FATAL`, `PANIC`, `LOG`, ….
    pub severity: String,
    /// SQLSTATE, where log_line_prefix has `%e`.
    pub code: Option<SqlState>,
    /// The message with its DETAIL, masked, at most 300 characters.
    pub message: String,
}
