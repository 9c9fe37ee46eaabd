//! The sentences by which an API's log tells of its database: one table, each row with who says it and a sample that
//! the test holds it to. Matched without regard to case, since loggers change it.

use super::evidence::LogPattern;
use pgmedic_model::pooler_words::{self, Words};

/// A sentence and what it means.
pub(super) struct Row {
    /// What it means.
    pub(super) pattern: LogPattern,
    /// Texts that the line must hold, all of them, in lower case.
    texts: &'static [&'static str],
    /// True where other parts than a database driver say it too: the line must name a database besides.
    common: bool,
    /// Who says it, in which versions.
    #[cfg_attr(not(test), expect(dead_code, reason = "kept beside the sentence that it vouches for"))]
    origin: &'static str,
    /// A line as it is logged.
    #[cfg_attr(not(test), expect(dead_code, reason = "what the test holds the row to"))]
    sample: &'static str,
}

macro_rules! rows {
    ($($pattern:ident $([$common:ident])?: $($text:literal)&+, $origin:literal, $sample:literal;)*) => {
        &[$(Row {
            pattern: LogPattern::$pattern,
            texts: &[$($text),+],
            common: false $(|| stringify!($common).len() > 0)?,
            origin: $origin,
            sample: $sample,
        },)*]
    };
}

/// The table. The first row that fits a line wins, so what a pool says of a driver's error stands before it.
pub(super) const TABLE: &[Row] = rows! {
    NotInitialised: "database not initialised", "the runbook's API", "[error] /api/v1/jobs: Error: Database not initialised";
    NotInitialised: "database not initialized", "the runbook's API, in American spelling", "Error: Database not initialized. Call connect() first.";

    PoolTimeout: "pool timed out while waiting for an open connection", "sqlx 0.5 to 0.8", "PoolTimedOut: pool timed out while waiting for an open connection";
    PoolTimeout: "timeout occurred while waiting for a slot to become available", "deadpool 0.9 to 0.13", "Timeout occurred while waiting for a slot to become available";
    PoolTimeout: "timed out waiting for connection", "r2d2 0.8", "Error(None): timed out waiting for connection";
    PoolTimeout: "timed out in bb8", "bb8 0.7 to 0.9", "Timed out in bb8";
    PoolTimeout: "connection is not available, request timed out after", "HikariCP 2 to 6", "java.sql.SQLTransientConnectionException: HikariPool-1 - Connection is not available, request timed out after 30000ms.";
    PoolTimeout: "queuepool limit of size", "SQLAlchemy 1 and 2", "sqlalchemy.exc.TimeoutError: QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00";
    PoolTimeout: "couldn't get a connection after", "psycopg_pool 3", "psycopg_pool.PoolTimeout: couldn't get a connection after 30.00 sec";
    PoolTimeout: "psycopg2.pool.poolerror: connection pool exhausted", "psycopg2 2", "psycopg2.pool.PoolError: connection pool exhausted";
    PoolTimeout: "could not obtain a connection from the pool within", "ActiveRecord 5 to 8", "ActiveRecord::ConnectionTimeoutError: could not obtain a connection from the pool within 5.000 seconds (waited 5.001 seconds); all pooled connections were in use";
    PoolTimeout: "could not obtain a database connection within", "ActiveRecord 3 and 4", "ActiveRecord::ConnectionTimeoutError: could not obtain a database connection within 5.000 seconds (waited 5.000 seconds)";
    PoolTimeout: "timed out fetching a new connection from the connection pool", "Prisma 3 to 6 (P2024)", "Timed out fetching a new connection from the connection pool. (Current connection pool timeout: 10, connection limit: 5)";
    PoolTimeout: "knex: timeout acquiring a connection", "Knex 0.95 to 3", "KnexTimeoutError: Knex: Timeout acquiring a connection. The pool is probably full. Are you missing a .transacting(trx) call?";
    PoolTimeout: "sequelizeconnectionacquiretimeouterror", "Sequelize 5 and 6", "SequelizeConnectionAcquireTimeoutError [SequelizeConnectionAcquireTimeoutError]: Operation timeout";
    PoolTimeout: "connection not available and request was dropped from queue", "Ecto, db_connection 2", "** (DBConnection.ConnectionError) connection not available and request was dropped from queue after 1548ms.";
    PoolTimeout: "the connection pool has been exhausted", "Npgsql 3 to 9", "Npgsql.NpgsqlException (0x80004005): The connection pool has been exhausted, either raise 'Max Pool Size' (currently 100) or 'Timeout' (currently 15 seconds)";

    NameResolution: "could not translate host name", "libpq 9 to 18", "could not translate host name \"renderflow-db.internal\" to address: Name or service not known";
    NameResolution: "failed to resolve host '", "psycopg 3", "psycopg.OperationalError: failed to resolve host 'renderflow-db.internal': [Errno -2] Name or service not known";
    NameResolution: "failed to connect to `" & "hostname resolving error", "pgx 4 and 5", "failed to connect to `host=db.internal user=app database=app`: hostname resolving error (lookup db.internal on 10.0.0.2:53: no such host)";
    NameResolution: "tcp connect (" & ":nxdomain", "Postgrex 0.15 to 0.19", "(DBConnection.ConnectionError) tcp connect (renderflow-db.internal:5432): non-existing domain - :nxdomain";
    NameResolution [common]: "getaddrinfo enotfound", "Node.js 12 to 24", "Error: getaddrinfo ENOTFOUND renderflow-db.internal";
    NameResolution [common]: "getaddrinfo eai_again", "Node.js 12 to 24", "Error: getaddrinfo EAI_AGAIN renderflow-db.internal";
    NameResolution [common]: "failed to lookup address information", "Rust std 1", "error communicating with database: failed to lookup address information: Name or service not known";
    NameResolution [common]: "name or service not known", "glibc's gai_strerror", "socket.gaierror: [Errno -2] Name or service not known: renderflow-db.internal";
    NameResolution [common]: "temporary failure in name resolution", "glibc's gai_strerror", "socket.gaierror: [Errno -3] Temporary failure in name resolution (postgres)";
    NameResolution [common]: "unknownhostexception", "Java 8 to 25", "Caused by: java.net.UnknownHostException: renderflow-db.internal";

    Refused: "connection to server" & "failed: connection refused", "libpq 14 to 18", "connection to server at \"db.internal\" (10.0.0.7), port 5432 failed: Connection refused";
    Refused: "could not connect to server: connection refused", "libpq 9 to 13", "could not connect to server: Connection refused";
    Refused: "error connecting to server: connection refused", "tokio-postgres 0.7", "error connecting to server: Connection refused (os error 111)";
    Refused: "error communicating with database: connection refused", "sqlx 0.5 to 0.8", "error communicating with database: Connection refused (os error 111)";
    Refused: "failed to connect to `" & "connection refused", "pgx 4 and 5", "failed to connect to `host=db user=app database=app`: dial error (dial tcp 10.0.0.7:5432: connect: connection refused)";
    Refused: "the postmaster is accepting tcp/ip connections", "pgJDBC 42", "org.postgresql.util.PSQLException: Connection to db:5432 refused. Check that the hostname and port are correct and that the postmaster is accepting TCP/IP connections.";
    Refused: "tcp connect (" & ":econnrefused", "Postgrex 0.15 to 0.19", "(DBConnection.ConnectionError) tcp connect (localhost:5432): connection refused - :econnrefused";
    Refused [common]: "connect econnrefused", "Node.js 12 to 24 (postgres.js, node-postgres)", "Error: connect ECONNREFUSED 10.0.0.7:5432";
    Refused [common]: "connection refused", "strerror(ECONNREFUSED)", "OSError: [Errno 111] Connection refused while connecting to postgres";

    ConnectTimeout: "connect_timeout" & "write", "postgres.js 3", "Error: write CONNECT_TIMEOUT renderflow-db.internal:5432";
    ConnectTimeout: "timeout exceeded when trying to connect", "node-postgres (pg-pool 2 and 3)", "Error: timeout exceeded when trying to connect";
    ConnectTimeout: "connection terminated due to connection timeout", "node-postgres 8", "Error: Connection terminated due to connection timeout";
    ConnectTimeout: "connection to server" & "timeout expired", "libpq 14 to 18", "connection to server at \"db.internal\" (10.0.0.7), port 5432 failed: timeout expired";
    ConnectTimeout: "could not connect to server: connection timed out", "libpq 9 to 13", "could not connect to server: Connection timed out";
    ConnectTimeout: "connection timeout expired", "psycopg 3", "psycopg.errors.ConnectionTimeout: connection timeout expired";
    ConnectTimeout: "error connecting to server: connection timed out", "tokio-postgres 0.7", "error connecting to server: connection timed out";
    ConnectTimeout: "timeout occurred while creating a new object", "deadpool 0.9 to 0.13", "Timeout occurred while creating a new object";
    ConnectTimeout: "failed to connect to `" & "timeout", "pgx 4 and 5", "failed to connect to `host=db user=app database=app`: dial error (timeout: dial tcp 10.0.0.7:5432: i/o timeout)";
    ConnectTimeout: "was reached but timed out", "Prisma 2 to 6 (P1002)", "The database server at `db`:`5432` was reached but timed out.";
    ConnectTimeout: "tcp connect (" & "timeout", "Postgrex 0.15 to 0.19", "(DBConnection.ConnectionError) tcp connect (db.internal:5432): timeout";
    ConnectTimeout [common]: "connect etimedout", "Node.js 12 to 24", "Error: connect ETIMEDOUT 10.0.0.7:5432";
    ConnectTimeout [common]: "connect timed out", "Java 8 to 25", "Caused by: java.net.SocketTimeoutException: Connect timed out (postgresql)";
    ConnectTimeout [common]: "connection timed out", "strerror(ETIMEDOUT)", "error communicating with database: Connection timed out (os error 110)";
};

/// Words of Postgres and PgBouncer that other software says too; they count only on a line with `FATAL`.
const ALSO_SAID_BY_OTHERS: &[Words] = &[
    Words::DatabaseDisabled,
    Words::NoEncryption,
    Words::NoSpaceLeft,
    Words::ReadOnlyFileSystem,
    Words::TerminatedBySignal,
];

/// Words that make a line one about a database.
const DATABASE: &[&str] =
    &["postgres", "database", "pgbouncer", "sqlalchemy", "asyncpg", "psycopg", "hikari", ":5432", ":6432"];

/// Words that say that the API has its database (again).
const CONNECTED: &[&str] = &[
    "connected to database",
    "connected to the database",
    "connected to postgres",
    "database connected",
    "database is connected",
    "database connection established",
    "database connection restored",
    "database connection recovered",
    "connection to database restored",
    "connection to database established",
    "reconnected to",
    "database reconnected",
    "database initialised",
    "database initialized",
    "database ready",
    "database is ready",
    "database recovered",
    "db connected",
    "db ready",
    "\"db\":\"connected\"",
    "db=connected",
    "db: connected",
];

/// Words that turn one of [`CONNECTED`] into its opposite, or into a wish.
const NOT: &[&str] = &[
    "not ",
    "n't ",
    "fail",
    "error",
    "unable",
    "lost",
    "cannot",
    "disconnected",
    "never",
    "wait",
    "trying",
    "until",
];

/// What a line says of the database, if it says something known. `target` is the database's host, as the API names it.
pub(super) fn meaning(line: &str, target: &str) -> Option<LogPattern> {
    let lower = line.to_ascii_lowercase();
    // A server's own words tell more than the driver's about them.
    if let Some(words) = pooler_words::meaning(line)
        && (!ALSO_SAID_BY_OTHERS.contains(&words) || line.contains("FATAL"))
    {
        return Some(LogPattern::ServerFatal);
    }
    let names_a_database = || {
        DATABASE.iter().any(|word| lower.contains(word))
            || (!target.is_empty() && lower.contains(&target.to_ascii_lowercase()))
    };
    TABLE
        .iter()
        .find(|row| row.texts.iter().all(|text| lower.contains(text)) && (!row.common || names_a_database()))
        .map(|row| row.pattern)
}

/// True where the line says that the API has its database (again).
pub(super) fn says_connected(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    CONNECTED.iter().any(|words| lower.contains(words)) && !NOT.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_found_by_its_sample_and_says_whose_it_is() {
        for row in TABLE {
            assert_eq!(meaning(row.sample, "renderflow-db.internal"), Some(row.pattern), "{}", row.sample);
            assert!(row.texts.iter().all(|text| *text == text.to_lowercase()), "{:?}", row.texts);
            assert!(!row.origin.is_empty());
        }
    }

    #[test]
    fn a_servers_words_are_its_own() {
        for line in [
            "PostgresError: sorry, too many clients already",
            "error: remaining connection slots are reserved for roles with the SUPERUSER attribute",
            "FATAL:  the database system is starting up (SQLSTATE 57P03)",
            "connection to server at \"db\" (10.0.0.7), port 5432 failed: FATAL:  database \"app\" does not exist",
            "FATAL: could not open file \"base/5/2601\": Read-only file system",
        ] {
            assert_eq!(meaning(line, "db"), Some(LogPattern::ServerFatal), "{line}");
        }
    }

    #[test]
    fn other_troubles_than_the_databases_are_left_alone() {
        for line in [
            "Error: connect ECONNREFUSED 127.0.0.1:6379",
            "redis: dial tcp 10.0.0.9:6379: connect: connection refused",
            "feature flags is disabled",
            "upload failed: No space left on device",
            "upstream connection timed out while reading https://example.com/",
            "GET /api/v1/ready 503 2ms",
        ] {
            assert_eq!(meaning(line, "db.internal"), None, "{line}");
        }
    }

    #[test]
    fn connected_again_is_told_from_not_connected() {
        for line in
            ["INFO Database connected", "[db] reconnected to renderflow-db.internal", r#"{"db":"connected"}"#]
        {
            assert!(says_connected(line), "{line}");
        }
        for line in [
            "Database not initialised",
            "error: database connected twice",
            "could not be connected to database",
            r#"{"db":"disconnected"}"#,
            "waiting until database ready",
        ] {
            assert!(!says_connected(line), "{line}");
        }
    }
}
