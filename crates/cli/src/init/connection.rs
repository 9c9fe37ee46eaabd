//! What a connection string says that may be written down: everything but its password, which is dropped here.

use pgmedic_model::target::Settings;

/// A connection string without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: Option<String>,
    pub(super) database: Option<String>,
    /// A password stands in it.
    pub(super) has_password: bool,
    /// What has to be changed before pgmedic takes it: `postgresql+asyncpg://`.
    pub(super) foreign_scheme: Option<String>,
}

/// Why a value that looks like a connection string tells nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) String);

/// Schemes as SQLAlchemy, Django and others write them: `postgresql+asyncpg://`, `postgis://`.
fn scheme_of(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let plain = scheme.len() <= 32 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    (plain && !scheme.is_empty()).then_some((scheme, rest))
}

/// True where the value is a connection string to a Postgres, of whatever driver.
pub(super) fn is_postgres(value: &str) -> bool {
    let base = |scheme: &str| {
        let first = scheme.split('+').next().unwrap_or_default().to_ascii_lowercase();
        ["postgres", "postgresql", "postgis", "psql", "pgsql"].contains(&first.as_str())
    };
    scheme_of(value.trim()).is_some_and(|(scheme, _)| base(scheme))
}

impl Connection {
    /// Reads a connection string.
    ///
    /// # Errors
    /// Where it cannot be read; the words quote nothing that may be a password.
    pub(super) fn read(value: &str) -> Result<Self, Unreadable> {
        let value = value.trim();
        let foreign = scheme_of(value).filter(|(scheme, _)| !["postgres", "postgresql"].contains(scheme));
        let text = match foreign {
            Some((_, rest)) => format!("postgresql://{rest}"),
            None => value.to_owned(),
        };
        let settings = Settings::parse(&text).map_err(|error| Unreadable(error.to_string()))?;
        let text = |key: &str| settings.get(key).filter(|text| harmless(text)).map(str::to_owned);
        let host = text("host").or_else(|| text("hostaddr")).unwrap_or_else(|| "localhost".to_owned());
        Ok(Self {
            host,
            port: settings.get("port").and_then(|port| port.parse().ok()).unwrap_or(5432),
            user: text("user"),
            database: text("dbname"),
            has_password: settings.get("password").is_some(),
            foreign_scheme: foreign.map(|(scheme, _)| scheme.to_owned()),
        })
    }

    /// `postgres://user:…@host:port/database`, the password as an ellipsis.
    pub(super) fn shown(&self) -> String {
        let secret = if self.has_password { ":…" } else { "" };
        format!("postgres://{}", self.rest(secret))
    }

    /// The same without any password: it may be written down, and `~/.pgpass` or PGPASSWORD complete it.
    pub(super) fn bare(&self) -> String {
        format!("postgres://{}", self.rest(""))
    }

    fn rest(&self, secret: &str) -> String {
        let user = self.user.as_ref().map_or(String::new(), |user| format!("{}{secret}@", encoded(user)));
        let database =
            self.database.as_ref().map_or(String::new(), |database| format!("/{}", encoded(database)));
        if self.host.starts_with('/') {
            let database = if database.is_empty() { "/".to_owned() } else { database };
            return format!("{user}{database}?host={}&port={}", encoded(&self.host), self.port);
        }
        format!("{user}{}{database}", self.address())
    }

    /// `host:port`, `[v6]:port`, `/socket/directory:port`: as `direct` is written.
    pub(super) fn address(&self) -> String {
        address(&self.host, self.port)
    }

    /// It leads to this host.
    pub(super) fn is_here(&self) -> bool {
        is_loopback(&self.host) || self.host.starts_with('/')
    }

    /// It leads to the same database, by whichever role.
    pub(super) fn same_place(&self, other: &Self) -> bool {
        let host = |c: &Self| if c.is_here() { "localhost".to_owned() } else { c.host.to_ascii_lowercase() };
        host(self) == host(other) && self.port == other.port && self.database == other.database
    }
}

/// `host:port`, an IPv6 address in brackets.
pub(super) fn address(host: &str, port: u16) -> String {
    if host.parse::<std::net::Ipv6Addr>().is_ok() {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Names and addresses of this host.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Nothing that a password has spilt into: names of hosts, roles and databases are short and have no `@`, `:` or spaces.
fn harmless(text: &str) -> bool {
    let v6 = text.parse::<std::net::Ipv6Addr>().is_ok();
    text.len() <= 128
        && (v6 || !text.contains(['@', ':', '$', '{', '}']))
        && !text.chars().any(char::is_whitespace)
}

/// Percent-encoded as far as a URL needs it.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test panics where it fails")]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_written_down_has_no_password() {
        let c = Connection::read("postgresql+asyncpg://app:hunter2@db.internal:6432/shop?ssl=require");
        // SQLAlchemy's own parameters are unknown to libpq: said, and nothing of it shown.
        assert!(!format!("{c:?}").contains("hunter2"));
        let c = Connection::read("postgresql+asyncpg://app:hunter2@db.internal:6432/shop").unwrap();
        assert_eq!(c.shown(), "postgres://app:…@db.internal:6432/shop");
        assert_eq!(c.bare(), "postgres://app@db.internal:6432/shop");
        assert_eq!(c.foreign_scheme.as_deref(), Some("postgresql+asyncpg"));
        let c = Connection::read("host=/var/run/postgresql user=app password=hunter2 dbname=shop").unwrap();
        assert_eq!(c.bare(), "postgres://app@/shop?host=%2Fvar%2Frun%2Fpostgresql&port=5432");
        assert!(c.is_here() && c.has_password);
    }

    #[test]
    fn a_password_that_spills_over_is_shown_nowhere() {
        for text in [
            "postgres://app:hun/ter2@db/shop",
            "postgres://app:12/ter2@db/shop",
            "postgres://app:hun@ter2@db/shop",
            "postgres://app:hun?ter2@db/shop",
            "postgres://app:hun#ter2@db/shop",
            "postgres://app:hun:ter2@db/shop",
            "host=db password=hun ter2",
        ] {
            let told = match Connection::read(text) {
                Ok(connection) => format!("{} {} {connection:?}", connection.shown(), connection.bare()),
                Err(Unreadable(why)) => why,
            };
            assert!(!told.contains("ter2") && !told.contains("hun"), "{text}: {told}");
        }
    }

    #[test]
    fn postgres_is_known_by_its_scheme() {
        for yes in ["postgres://x", "postgresql+psycopg2://x", "postgis://x", " postgresql://x"] {
            assert!(is_postgres(yes), "{yes}");
        }
        for no in ["redis://x", "mysql://x", "postgres", "https://postgres://x", ""] {
            assert!(!is_postgres(no), "{no}");
        }
    }
}
