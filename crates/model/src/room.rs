//! The ten rooms that a connection passes, outside in. Their order is the order of every report, metric and page.

use serde::{Deserialize, Serialize};

/// One stage on the path of a connection from the API to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Room {
    /// The API itself: readiness, logs, its own pool.
    App,
    /// The name, as the API resolves it.
    Dns,
    /// One TCP attempt to each address.
    Network,
    /// The hop in front of the server: HAProxy, Fly proxy, PgBouncer.
    Proxy,
    /// The TLS handshake and the certificate.
    Tls,
    /// Authentication, pg_hba, database.
    Startup,
    /// Slots: max_connections, reserves, limits per role and per database.
    Admission,
    /// The server's own state: starting, recovering, read-only.
    Server,
    /// What the admitted sessions do: idle, locked, long.
    Sessions,
    /// Data, WAL, slots, temporary files, inodes.
    Storage,
}

impl Room {
    /// The ten rooms in the order of the path.
    pub const ALL: [Self; 10] = [
        Self::App,
        Self::Dns,
        Self::Network,
        Self::Proxy,
        Self::Tls,
        Self::Startup,
        Self::Admission,
        Self::Server,
        Self::Sessions,
        Self::Storage,
    ];

    /// The room's name as it stands in reports and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Dns => "dns",
            Self::Network => "network",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Startup => "startup",
            Self::Admission => "admission",
            Self::Server => "server",
            Self::Sessions => "sessions",
            Self::Storage => "storage",
        }
    }
}

impl std::fmt::Display for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What was found in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoomStatus {
    /// Looked at, and well.
    Ok,
    /// Looked at; works, with something to mend.
    Warning,
    /// Looked at; the path breaks here.
    Failed,
    /// An earlier room failed, so this one could not be entered.
    NotReached,
    /// Nothing is configured to look with; the summary says what would be needed.
    NotSeen,
}

impl RoomStatus {
    /// The status as it stands in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::NotReached => "not-reached",
            Self::NotSeen => "not-seen",
        }
    }
}
