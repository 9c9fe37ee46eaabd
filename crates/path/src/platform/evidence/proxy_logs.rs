//! What the logs of a proxy in front of the server say: HAProxy's and PgBouncer's. Not in here: reading them
//! (`haproxy_log`, `pooler_log`), and what follows from them (`rooms/proxy`).

use pgmedic_model::haproxy_words::HaproxyWords;
use pgmedic_model::{Ms, Timestamp};
use serde::{Deserialize, Serialize};

/// The end of HAProxy's log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HaproxyLogView {
    /// The file.
    pub path: String,
    /// Lines of HAProxy among those read.
    pub lines: u64,
    /// Sessions that ended, alike ones as one, in the order of their newest line; at most 40.
    pub endings: Vec<HaproxyEnding>,
    /// What HAProxy says of itself and its servers, alike ones as one, likewise; at most 40.
    pub events: Vec<HaproxyEvent>,
}

/// Sessions of one frontend, backend and server that ended alike (configuration manual, 8.2.2 and 8.5).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HaproxyEnding {
    /// Frontend's name.
    pub frontend: String,
    /// Backend's name.
    pub backend: String,
    /// Server's name. None where no server was chosen (`<NOSRV>`).
    pub server: Option<String>,
    /// Who ended it, and in which state it was: `--`, `cD`, `sD`, `SC`, `sQ`, …. What they mean: `haproxy_words::ended`.
    pub flags: String,
    /// How many of the lines read.
    pub count: u64,
    /// When the newest of them ended. None where the line's clock cannot be tied to ours.
    pub at: Option<Timestamp>,
    /// The newest one's time in the queue (`Tw`). None where it was given up before.
    pub queue_ms: Option<Ms>,
    /// The newest one's time to connect to the server (`Tc`). None where it never was connected.
    pub connect_ms: Option<Ms>,
    /// The newest one's whole time (`Tt`).
    pub total_ms: Ms,
    /// The shortest and the longest whole time of them.
    pub total_range_ms: (Ms, Ms),
    /// Bytes that the newest one was sent from the server.
    pub bytes: u64,
    /// Attempts that the newest one repeated on the server.
    pub retries: u64,
    /// Before the newest one in the server's queue and in the backend's.
    pub queued: (u64, u64),
    /// The newest line, masked, at most 200 characters.
    pub last: String,
}

/// A message of HAProxy about itself or a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HaproxyEvent {
    /// What it means.
    pub words: HaproxyWords,
    /// The newest one's time. None where the line has none, or its clock cannot be tied to ours.
    pub at: Option<Timestamp>,
    /// The proxy it is about.
    pub proxy: Option<String>,
    /// The server it is about.
    pub server: Option<String>,
    /// How many of the lines read.
    pub count: u64,
    /// The newest message, masked, at most 200 characters.
    pub message: String,
}

/// The end of PgBouncer's log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolerLogView {
    /// The file.
    pub path: String,
    /// Lines of PgBouncer among those read.
    pub lines: u64,
    /// What it says of failures, alike ones as one, in the order of their newest line; at most 40.
    pub entries: Vec<PoolerLogEntry>,
}

/// A message of PgBouncer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolerLogEntry {
    /// The newest one's time. None where its clock cannot be tied to ours.
    pub at: Option<Timestamp>,
    /// `LOG`, `WARNING`, `ERROR`, `FATAL`, ….
    pub level: String,
    /// Whose connection it is about. None where it is about none.
    pub side: Option<PoolerSide>,
    /// The connection's database, as PgBouncer's configuration names it.
    pub database: Option<String>,
    /// The connection's user.
    pub user: Option<String>,
    /// The connection's other end: the server with its port, the client without.
    pub peer: Option<String>,
    /// The message, masked, at most 300 characters. What it means: `pooler_words::says`.
    pub message: String,
    /// How many of the lines read.
    pub count: u64,
}

/// A side of PgBouncer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolerSide {
    /// A client's connection to PgBouncer.
    Client,
    /// PgBouncer's connection to a server.
    Server,
}
