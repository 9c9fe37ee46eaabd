//! THE table of connection parameters: what libpq knows, its environment variable, and what pgmedic does with it.
//!
//! From the Postgres manual, "Parameter Key Words" and "Environment Variables" of libpq, version 18.

/// What pgmedic does with a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Decides where or how the walk goes.
    Walk,
    /// Holds a secret.
    Secret,
    /// Known and without effect on the walk, which has its own timeouts, name and attempts.
    Ignored,
}

/// One parameter.
#[derive(Debug)]
pub(super) struct Parameter {
    /// Its key word.
    pub(super) key: &'static str,
    /// Its environment variable, where pgmedic reads one.
    pub(super) env: Option<&'static str>,
    /// What pgmedic does with it.
    pub(super) usage: Use,
}

const fn walk(key: &'static str, env: &'static str) -> Parameter {
    Parameter { key, env: Some(env), usage: Use::Walk }
}

const fn bare(key: &'static str) -> Parameter {
    Parameter { key, env: None, usage: Use::Walk }
}

const fn ignored(key: &'static str) -> Parameter {
    Parameter { key, env: None, usage: Use::Ignored }
}

const fn secret(key: &'static str, env: Option<&'static str>) -> Parameter {
    Parameter { key, env, usage: Use::Secret }
}

/// Every parameter of libpq.
pub(super) const LIBPQ: &[Parameter] = &[
    walk("host", "PGHOST"),
    walk("hostaddr", "PGHOSTADDR"),
    walk("port", "PGPORT"),
    walk("dbname", "PGDATABASE"),
    walk("user", "PGUSER"),
    secret("password", Some("PGPASSWORD")),
    walk("passfile", "PGPASSFILE"),
    walk("service", "PGSERVICE"),
    walk("servicefile", "PGSERVICEFILE"),
    walk("options", "PGOPTIONS"),
    bare("replication"),
    walk("sslmode", "PGSSLMODE"),
    walk("sslrootcert", "PGSSLROOTCERT"),
    walk("sslcert", "PGSSLCERT"),
    walk("sslkey", "PGSSLKEY"),
    walk("sslnegotiation", "PGSSLNEGOTIATION"),
    walk("sslsni", "PGSSLSNI"),
    walk("channel_binding", "PGCHANNELBINDING"),
    secret("sslpassword", None),
    secret("oauth_client_secret", None),
    secret("scram_client_key", None),
    secret("scram_server_key", None),
    ignored("require_auth"),
    ignored("connect_timeout"),
    ignored("client_encoding"),
    ignored("application_name"),
    ignored("fallback_application_name"),
    ignored("keepalives"),
    ignored("keepalives_idle"),
    ignored("keepalives_interval"),
    ignored("keepalives_count"),
    ignored("tcp_user_timeout"),
    ignored("gssencmode"),
    ignored("gsslib"),
    ignored("gssdelegation"),
    ignored("krbsrvname"),
    ignored("requiressl"),
    ignored("requirepeer"),
    ignored("sslcompression"),
    ignored("sslcertmode"),
    ignored("sslcrl"),
    ignored("sslcrldir"),
    ignored("sslkeylogfile"),
    ignored("ssl_min_protocol_version"),
    ignored("ssl_max_protocol_version"),
    ignored("min_protocol_version"),
    ignored("max_protocol_version"),
    walk("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ignored("load_balance_hosts"),
    ignored("oauth_issuer"),
    ignored("oauth_client_id"),
    ignored("oauth_scope"),
];

/// What drivers add to a URL beyond libpq. An API's own `DATABASE_URL` must be walkable as it is.
/// Prisma's "Connection URLs" reference; sqlx's `PgConnectOptions`; node-postgres' `pg-connection-string`.
pub(super) const DRIVERS: &[&str] = &[
    "schema",
    "connection_limit",
    "pool_timeout",
    "socket_timeout",
    "pgbouncer",
    "statement_cache_size",
    "sslaccept",
    "sslidentity",
    "statement-cache-capacity",
    "uselibpqcompat",
];

/// The libpq parameter of a key word.
pub(super) fn known(key: &str) -> Option<&'static Parameter> {
    LIBPQ.iter().find(|p| p.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_parameter_stands_twice() {
        let mut keys: Vec<_> = LIBPQ.iter().map(|p| p.key).chain(DRIVERS.iter().copied()).collect();
        keys.sort_unstable();
        let before = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), before);
    }
}
