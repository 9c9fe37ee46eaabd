//! From what was given to a target: service file, environment, password file and defaults, in libpq's order.
//!
//! Everything comes in as a value; the caller reads the environment and the files.

use super::error::{Place, TargetError, shown};
use super::files::{password_for, service_section};
use super::parameters::LIBPQ;
use super::parse::SEVERAL;
use super::{ChannelBinding, Host, SslMode, Target, Tls};
use crate::Secret;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A text and where it was read.
#[derive(Clone)]
pub struct FileText {
    /// The path, for errors.
    pub path: String,
    /// The text.
    pub text: String,
}

/// What libpq would find on this host.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// The name of the operating system's user.
    pub os_user: Option<String>,
    /// The directory that holds the default unix socket, where there is one.
    pub socket_directory: Option<String>,
    /// The password file's text, where it may be used.
    pub password_file: Option<FileText>,
}

/// A value and where it is from.
#[derive(Clone, PartialEq, Eq)]
struct Given {
    value: String,
    place: Place,
}

/// Connection parameters as given, before defaults. `Debug` shows the keys alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings {
    given: BTreeMap<&'static str, Given>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.given.keys()).finish()
    }
}

impl Settings {
    /// Sets a parameter that the connection string gives; a later one wins.
    pub(super) fn put_given(&mut self, key: &'static str, value: String) {
        self.given.insert(key, Given { value, place: Place::Parameter(key.to_owned()) });
    }

    /// A parameter's value, where it was given and is not empty.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.given.get(key).map(|given| given.value.as_str()).filter(|value| !value.is_empty())
    }

    /// Fills in what a service file says of the service that `service` (or `PGSERVICE`) names. The first file that
    /// has it wins; what was given before stays.
    ///
    /// # Errors
    /// Where no file has the service, or a line of its section cannot be read.
    pub fn fill_from_service(&mut self, name: &str, files: &[FileText]) -> Result<(), TargetError> {
        for file in files {
            if let Some(section) = service_section(name, file)? {
                for (key, value, place) in section {
                    self.given.entry(key).or_insert(Given { value, place });
                }
                return Ok(());
            }
        }
        let looked: Vec<_> = files.iter().map(|f| f.path.as_str()).collect();
        let place =
            self.given.get("service").map_or(Place::Environment("PGSERVICE".to_owned()), |g| g.place.clone());
        let read = if looked.is_empty() { "no service file was found".to_owned() } else { looked.join(", ") };
        Err(TargetError::at(place, format!("service {} is not defined (read: {read})", shown(name))))
    }

    /// Fills in what the environment says; what was given before stays.
    pub fn fill_from_environment(&mut self, variable: &dyn Fn(&str) -> Option<String>) {
        for parameter in LIBPQ {
            let Some(name) = parameter.env else { continue };
            if !self.given.contains_key(parameter.key)
                && let Some(value) = variable(name)
            {
                self.given.insert(parameter.key, Given { value, place: Place::Environment(name.to_owned()) });
            }
        }
    }

    /// The environment variables that [`Self::fill_from_environment`] asks for.
    pub fn environment_variables() -> impl Iterator<Item = &'static str> {
        LIBPQ.iter().filter_map(|p| p.env)
    }

    /// The target, with libpq's defaults for what is still open.
    ///
    /// # Errors
    /// Where a value is not one of those that its parameter takes, or two contradict each other.
    pub fn resolve(&self, around: &Surroundings) -> Result<Target, TargetError> {
        let hostaddr = self.hostaddr()?;
        let host = match (self.get("host"), hostaddr) {
            (Some(host), _) => self.host(host)?,
            (None, Some(ip)) => Host::Address(ip),
            (None, None) => match &around.socket_directory {
                Some(directory) => Host::Socket(directory.clone()),
                None => Host::Name("localhost".to_owned()),
            },
        };
        let port = self.port()?;
        let user = match self.get("user").or(around.os_user.as_deref()) {
            Some(user) => user.to_owned(),
            None => return Err(TargetError::at(Place::Whole, "no user is given, and this one has no name")),
        };
        let database = self.get("dbname").unwrap_or(&user).to_owned();
        let password = match self.get("password") {
            Some(password) => Some(Secret::new(password)),
            None => around.password_file.as_ref().and_then(|file| {
                password_for(&file.text, &host_in_password_file(&host), port, &database, &user)
            }),
        };
        Ok(Target {
            hostaddr: if matches!(host, Host::Socket(_)) { None } else { hostaddr },
            host,
            port,
            user,
            database,
            password,
            tls: self.tls()?,
            options: self.get("options").map(str::to_owned),
            wants_standby: self
                .get("target_session_attrs")
                .is_some_and(|wanted| matches!(wanted, "standby" | "prefer-standby" | "read-only")),
            replication: self.get("replication").map(str::to_owned),
        })
    }

    fn error(&self, key: &str, problem: impl Into<String>) -> TargetError {
        let place = self.given.get(key).map_or(Place::Parameter(key.to_owned()), |given| given.place.clone());
        TargetError::at(place, problem)
    }

    fn host(&self, host: &str) -> Result<Host, TargetError> {
        if host.starts_with(['/', '@']) {
            return Ok(Host::Socket(host.to_owned()));
        }
        if host.contains(',') {
            return Err(self.error("host", SEVERAL));
        }
        if host.chars().any(|c| c.is_whitespace() || c.is_control() || "/?#=&@".contains(c)) {
            return Err(self.error("host", "a host's name holds no spaces and none of / ? # = & @"));
        }
        Ok(host.parse().map_or_else(|_| Host::Name(host.to_owned()), Host::Address))
    }

    fn hostaddr(&self) -> Result<Option<IpAddr>, TargetError> {
        let Some(text) = self.get("hostaddr") else { return Ok(None) };
        if text.contains(',') {
            return Err(self.error("hostaddr", SEVERAL));
        }
        match text.parse() {
            Ok(ip) => Ok(Some(ip)),
            Err(_) => Err(self
                .error("hostaddr", format!("{} is not an IP address; a name belongs in host", shown(text)))),
        }
    }

    fn port(&self) -> Result<u16, TargetError> {
        let Some(text) = self.get("port") else { return Ok(5432) };
        text.trim().parse().ok().filter(|port| *port > 0).ok_or_else(|| {
            let problem = if text.contains(',') {
                SEVERAL.to_owned()
            } else {
                format!("{} is not a port from 1 to 65535", shown(text))
            };
            self.error("port", problem)
        })
    }

    fn tls(&self) -> Result<Tls, TargetError> {
        let root_cert = self.get("sslrootcert").map(str::to_owned);
        let system = root_cert.as_deref() == Some("system");
        let default = if system { SslMode::VerifyFull } else { SslMode::default() };
        let mode = self.word("sslmode", default, &MODES)?;
        // Both rules: fe-connect.c, pqConnectOptions2.
        if system && mode != SslMode::VerifyFull {
            return Err(self.error("sslmode", "with sslrootcert=system only verify-full may be used"));
        }
        let direct = self.word("sslnegotiation", false, &[("postgres", false), ("direct", true)])?;
        if direct && mode < SslMode::Require {
            let problem = "sslnegotiation=direct needs sslmode require, verify-ca or verify-full";
            return Err(self.error("sslnegotiation", problem));
        }
        Ok(Tls {
            mode,
            root_cert,
            cert: self.get("sslcert").map(str::to_owned),
            key: self.get("sslkey").map(str::to_owned),
            direct,
            channel_binding: self.word("channel_binding", ChannelBinding::default(), &BINDINGS)?,
            no_sni: self.word("sslsni", false, &[("1", false), ("0", true)])?,
        })
    }

    /// A parameter that takes one of a few words.
    fn word<T: Copy>(&self, key: &str, default: T, words: &[(&'static str, T)]) -> Result<T, TargetError> {
        let Some(text) = self.get(key) else { return Ok(default) };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let near = crate::nearest::nearest(text, all.iter().copied());
        let near = near.map_or(String::new(), |word| format!("; nearest: {word}"));
        Err(self.error(key, format!("{} is none of {}{near}", shown(text), all.join(", "))))
    }
}

const MODES: [(&str, SslMode); 6] = [
    ("disable", SslMode::Disable),
    ("allow", SslMode::Allow),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

const BINDINGS: [(&str, ChannelBinding); 3] = [
    ("disable", ChannelBinding::Disable),
    ("prefer", ChannelBinding::Prefer),
    ("require", ChannelBinding::Require),
];

/// The host as a password file names it: `localhost` for the default socket directory (fe-connect.c,
/// `passwordFromFile`). Debian's default directory and upstream's both count.
fn host_in_password_file(host: &Host) -> String {
    match host {
        Host::Socket(directory) if ["/tmp", "/var/run/postgresql"].contains(&directory.as_str()) => {
            "localhost".to_owned()
        }
        Host::Address(ip) => ip.to_string(),
        host => host.to_string(),
    }
}
