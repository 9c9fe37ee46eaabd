//! Settings, from the environment and nowhere else.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A setting that is missing or wrong. Never the value of `DATABASE_URL`: it has a password in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Without it there is no database.
    #[error("DATABASE_URL is not set: postgres://user:password@host:port/database")]
    NoDatabase,
    /// It cannot be read.
    #[error("{name} is {value:?}: {wanted}")]
    Wrong {
        /// Which.
        name: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        wanted: &'static str,
    },
}

/// The settings.
#[derive(Clone)]
pub struct Config {
    /// `DATABASE_URL`. It is not shown.
    pub database_url: String,
    /// `HOST` (default 127.0.0.1; on Fly `::`) and `PORT` (default 3000).
    pub listen: SocketAddr,
    /// `RENDERFLOW_DRILL=1`: it may be made to leak ([`crate::drill`]).
    pub drill: bool,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("database_url", &"***")
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Reads the settings from what gives an environment variable's value.
    ///
    /// # Errors
    /// [`ConfigError`] with the variable and what it may be.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let database_url = given("DATABASE_URL").ok_or(ConfigError::NoDatabase)?;
        let host = match given("HOST") {
            None => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Some(value) => value.parse().map_err(|_| ConfigError::Wrong {
                name: "HOST",
                value,
                wanted: "an address of this host, as in 127.0.0.1 or ::",
            })?,
        };
        let port = match given("PORT") {
            None => 3000,
            Some(value) => value.parse().map_err(|_| ConfigError::Wrong {
                name: "PORT",
                value,
                wanted: "a port from 0 to 65535",
            })?,
        };
        let drill = given("RENDERFLOW_DRILL").is_some_and(|value| value == "1");
        Ok(Self { database_url, listen: SocketAddr::new(host, port), drill })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let find = |name: &str| given.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Config::from_env(find)
    }

    #[test]
    fn without_a_host_it_is_this_host_only() {
        let config = read(&[("DATABASE_URL", "postgres://u:hunter2@h/d")]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:3000");
        assert!(!config.drill, "nobody can make it leak who was not asked for");
        assert!(!format!("{config:?}").contains("hunter2"));
        let fly = read(&[("DATABASE_URL", "postgres://h/d"), ("HOST", "::"), ("PORT", "8080")]).unwrap();
        assert_eq!(fly.listen.to_string(), "[::]:8080");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        assert_eq!(read(&[("DATABASE_URL", "")]).unwrap_err(), ConfigError::NoDatabase);
        let wrong = |given| read(&[("DATABASE_URL", "postgres://h/d"), given]).unwrap_err().to_string();
        assert_eq!(wrong(("PORT", "http")), "PORT is \"http\": a port from 0 to 65535");
        assert!(wrong(("HOST", "localhost")).starts_with("HOST is \"localhost\""));
    }
}
