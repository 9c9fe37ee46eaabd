//! Where a connection goes and how: libpq's connection parameters as one value.
//!
//! Not in here: reading the environment or a file. [`Settings`] takes their contents as values.

use crate::Secret;
use serde::{Deserialize, Serialize};

mod error;
mod files;
mod parameters;
mod parse;
mod settings;
#[cfg(test)]
mod tests;

pub use error::{Place, TargetError};
pub use parse::is_connection_string;
pub use settings::{FileText, Settings, Surroundings};

/// The peer's host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Host {
    /// A name that must be resolved.
    Name(String),
    /// A literal IPv4 or IPv6 address.
    Address(std::net::IpAddr),
    /// The directory of a unix socket, `/var/run/postgresql`; an abstract one begins with `@`.
    Socket(String),
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(std::net::IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Address(ip) => write!(f, "{ip}"),
            Self::Socket(directory) => f.write_str(directory),
        }
    }
}

/// libpq's `sslmode` (Postgres manual, "SSL Support", protection provided in different modes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// Plain first, TLS if the server insists.
    Allow,
    /// TLS first, plain if the server has none. libpq's default.
    #[default]
    Prefer,
    /// TLS or nothing; the certificate is not checked unless a root certificate file exists.
    Require,
    /// TLS, and the chain must lead to a trusted root.
    VerifyCa,
    /// As `VerifyCa`, and the certificate must carry the host's name.
    VerifyFull,
}

impl SslMode {
    /// The mode as libpq writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// libpq's `channel_binding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelBinding {
    /// Never SCRAM-SHA-256-PLUS.
    Disable,
    /// When the server offers it. The default.
    #[default]
    Prefer,
    /// Refuse to log in without it.
    Require,
}

/// The TLS half of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// `sslmode`.
    pub mode: SslMode,
    /// `sslrootcert`: a PEM file, or `system`. None: libpq's `~/.postgresql/root.crt` if it exists.
    pub root_cert: Option<String>,
    /// `sslcert`: a PEM file. None: libpq's `~/.postgresql/postgresql.crt` if it exists.
    pub cert: Option<String>,
    /// `sslkey`: a PEM file. None: libpq's `~/.postgresql/postgresql.key` if it exists.
    pub key: Option<String>,
    /// `sslnegotiation=direct` (libpq 17): ClientHello at once, no SSLRequest.
    pub direct: bool,
    /// `channel_binding`.
    pub channel_binding: ChannelBinding,
    /// `sslsni`: send the host's name in the ClientHello. True by default.
    pub no_sni: bool,
}

/// Everything needed to walk to a database. The password is masked by its type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Where.
    pub host: Host,
    /// `hostaddr`: connect here, but check names against `host`.
    pub hostaddr: Option<std::net::IpAddr>,
    /// TCP port, or the number in the socket's name.
    pub port: u16,
    /// Role to log in as.
    pub user: String,
    /// Database to log in to.
    pub database: String,
    /// Password, if one was given or found in a password file.
    pub password: Option<Secret>,
    /// TLS settings.
    pub tls: Tls,
    /// `options`: further settings as libpq passes them (`-c search_path=x`).
    pub options: Option<String>,
    /// `target_session_attrs` asks for a standby (`standby`, `prefer-standby`) or for what only reads (`read-only`): to be led
    /// to one is then no failure. pgmedic itself goes wherever it is led.
    pub wants_standby: bool,
    /// `replication`: none, or the value as given.
    pub replication: Option<String>,
}

impl Target {
    /// `host:port`, or the socket's path: what a person would call the place.
    #[must_use]
    pub fn address(&self) -> String {
        match &self.host {
            Host::Socket(directory) => format!("{directory}/.s.PGSQL.{}", self.port),
            host => format!("{host}:{}", self.port),
        }
    }

    /// The same role, database and settings by way of another address: `host:port`, `[v6]:port` or
    /// `/socket/directory:port`.
    ///
    /// # Errors
    /// Where the text is not of that form.
    pub fn by_way_of(&self, address: &str) -> Result<Self, TargetError> {
        let wrong = |problem: &str| TargetError { place: Place::Whole, problem: problem.to_owned() };
        let form = "not of the form host:port ([address]:port for IPv6)";
        if address.contains(',') {
            return Err(wrong(parse::SEVERAL));
        }
        let (host, port) = address.rsplit_once(':').ok_or_else(|| wrong(form))?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(|| wrong(form))?;
        let host = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
            Some(v6) => Host::Address(v6.parse::<std::net::Ipv6Addr>().map_err(|_| wrong(form))?.into()),
            None if host.starts_with(['/', '@']) && host.len() > 1 => Host::Socket(host.to_owned()),
            None if host.is_empty() || host.contains([':', '/', '@', '?', ' ']) => return Err(wrong(form)),
            None => host.parse().map_or_else(|_| Host::Name(host.to_owned()), Host::Address),
        };
        Ok(Self { host, hostaddr: None, port, ..self.clone() })
    }

    /// `postgres://user@host:port/database`: the target without its secrets, for people.
    #[must_use]
    pub fn display(&self) -> String {
        match &self.host {
            Host::Socket(_) => format!("postgres://{}@/{} at {}", self.user, self.database, self.address()),
            _ => format!("postgres://{}@{}/{}", self.user, self.address(), self.database),
        }
    }
}
