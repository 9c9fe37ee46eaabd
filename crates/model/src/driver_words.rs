//! The sentences by which an API's log tells of its database: one table of what drivers and pools say, each row with who
//! says it, in which versions, where that is from, and a sample that the test holds it to. Matched without regard to case,
//! since loggers change it. What servers and PgBouncer say themselves: `pooler_words`.
// tidy: long, because one table is one file.

use crate::pooler_words::{self, Words};
use serde::{Deserialize, Serialize};

/// The sentences known in an API's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogPattern {
    /// `Database not initialised`.
    NotInitialised,
    /// A connection attempt timed out.
    ConnectTimeout,
    /// A pool's acquire timed out: it waited for one of its connections to come free.
    PoolTimeout,
    /// Connection refused.
    Refused,
    /// Name resolution failed.
    NameResolution,
    /// A connection that the pool had was closed or reset.
    ConnectionLost,
    /// A prepared statement is missing, or its name is taken.
    PreparedStatementLost,
    /// The driver has no password, or one that it could not prove itself with.
    AuthenticationFailed,
    /// The server has no slot left, by the driver's words.
    TooManyConnections,
    /// TLS did not come about.
    TlsFailed,
    /// A server's `FATAL`, by its text.
    ServerFatal,
}

/// A sentence and what it means.
pub struct Row {
    /// What it means.
    pub pattern: LogPattern,
    /// Texts that the line must hold, all of them, in lower case.
    pub texts: &'static [&'static str],
    /// True where other parts than a database driver say it too: the line must name a database besides.
    pub common: bool,
    /// Who says it.
    pub driver: &'static str,
    /// In which versions.
    pub versions: &'static str,
    /// Where that is from: a file of its source, its manual, or our own recording.
    pub origin: &'static str,
    /// A line as it is logged. In a recorded one the host may be changed, and where the row needs a database beside it
    /// one is named.
    pub sample: &'static str,
}

macro_rules! rows {
    ($($pattern:ident $([$common:ident])?: $($text:literal)&+, $driver:literal, $versions:literal, $origin:literal, $sample:literal;)*) => {
        &[$(Row {
            pattern: LogPattern::$pattern,
            texts: &[$($text),+],
            common: false $(|| stringify!($common).len() > 0)?,
            driver: $driver,
            versions: $versions,
            origin: $origin,
            sample: $sample,
        },)*]
    };
}

/// The table. The first row that fits a line wins, so what a pool says of a driver's error stands before it.
pub const TABLE: &[Row] = rows! {
    NotInitialised: "database not initialised", "the runbook's API", "1", "the runbook", "[error] /api/v1/jobs: Error: Database not initialised";
    NotInitialised: "database not initialized", "the runbook's API, American spelling", "1", "the runbook", "Error: Database not initialized. Call connect() first.";

    PreparedStatementLost: "prepared statement \"" & "does not exist", "Postgres (26000)", "12 to 18", "recorded on 15.18", "PostgresError: prepared statement \"s1\" does not exist";
    PreparedStatementLost: "prepared statement \"" & "already exists", "Postgres (42P05)", "12 to 18", "recorded on 15.18", "ERROR: prepared statement \"lrupsc_1_0\" already exists (SQLSTATE 42P05)";
    PreparedStatementLost: "prepared statement did not exist", "PgBouncer", "1.21 to 1.25", "src/prepare.c", "FATAL: prepared statement did not exist (08P01)";
    PreparedStatementLost: "prepared statement name is already in use", "PgBouncer", "1.21 to 1.25", "src/prepare.c", "FATAL: prepared statement name is already in use (08P01)";
    PreparedStatementLost: "bind message supplies" & "parameters, but prepared statement \"", "Postgres (08P01)", "12 to 18", "src/backend/tcop/postgres.c", "error: bind message supplies 2 parameters, but prepared statement \"\" requires 1";

    PoolTimeout: "no connection within" & ": queue; pool: ", "pgmedic-pool", "0.1", "crates/pool/src/error.rs", "ERROR /api/v1/jobs: no connection within 10.0 s: queue; pool: 10 of 10 open: 10 in use, 0 idle; 0 opening, 12 waiting";
    PoolTimeout: "pool timed out while waiting for an open connection", "sqlx", "0.5 to 0.8", "sqlx-core/src/error.rs", "PoolTimedOut: pool timed out while waiting for an open connection";
    PoolTimeout: "timeout occurred while waiting for a slot to become available", "deadpool", "0.9 to 0.13", "deadpool/src/managed/errors.rs", "Timeout occurred while waiting for a slot to become available";
    PoolTimeout: "timed out waiting for connection", "r2d2 (Diesel)", "0.8", "r2d2/src/lib.rs", "Error(None): timed out waiting for connection";
    PoolTimeout: "timed out in bb8", "bb8", "0.7 to 0.9", "bb8/src/api.rs", "Timed out in bb8";
    PoolTimeout: "connection is not available, request timed out after", "HikariCP", "2 to 6", "recorded on 2.7.9", "java.sql.SQLTransientConnectionException: HikariPool-1 - Connection is not available, request timed out after 507ms.";
    PoolTimeout: "queuepool limit of size", "SQLAlchemy", "1 and 2", "recorded on 2.1.9", "sqlalchemy.exc.TimeoutError: QueuePool limit of size 1 overflow 0 reached, connection timed out, timeout 0.50 (Background on this error at: https://sqlalche.me/e/21/3o7r)";
    PoolTimeout: "couldn't get a connection after", "psycopg_pool", "3", "recorded on 3.3.3", "psycopg_pool.PoolTimeout: couldn't get a connection after 0.50 sec";
    PoolTimeout: "psycopg_pool" & "requests waiting", "psycopg_pool", "3", "recorded on 3.3.3", "psycopg_pool.TooManyRequests: the pool 'pool-4' has already 1 requests waiting";
    PoolTimeout: "psycopg2.pool.poolerror: connection pool exhausted", "psycopg2", "2", "recorded on 2.9.13", "psycopg2.pool.PoolError: connection pool exhausted";
    PoolTimeout: "could not obtain a connection from the pool within", "ActiveRecord", "5 to 8", "activerecord/lib/active_record/connection_adapters/abstract/connection_pool.rb", "ActiveRecord::ConnectionTimeoutError: could not obtain a connection from the pool within 5.000 seconds (waited 5.001 seconds); all pooled connections were in use";
    PoolTimeout: "could not obtain a database connection within", "ActiveRecord", "3 and 4", "activerecord/lib/active_record/connection_adapters/abstract/connection_pool.rb", "ActiveRecord::ConnectionTimeoutError: could not obtain a database connection within 5.000 seconds (waited 5.000 seconds)";
    PoolTimeout: "timed out fetching a new connection from the connection pool", "Prisma (P2024)", "3 to 6", "Prisma error reference", "Timed out fetching a new connection from the connection pool. (Current connection pool timeout: 10, connection limit: 5)";
    PoolTimeout: "knex: timeout acquiring a connection", "Knex", "0.95 to 3", "recorded on 3.3.0", "KnexTimeoutError: Knex: Timeout acquiring a connection. The pool is probably full. Are you missing a .transacting(trx) call?";
    PoolTimeout: "sequelizeconnectionacquiretimeouterror", "Sequelize", "5 and 6", "recorded on 6.37.8", "SequelizeConnectionAcquireTimeoutError: Operation timeout";
    PoolTimeout: "timeout exceeded when trying to connect", "node-postgres (pg-pool)", "2 and 3", "recorded on 3.14.0", "Error: timeout exceeded when trying to connect";
    PoolTimeout: "connection not available and request was dropped from queue", "Ecto (db_connection)", "2", "db_connection/lib/db_connection/connection_pool.ex", "** (DBConnection.ConnectionError) connection not available and request was dropped from queue after 1548ms.";
    PoolTimeout: "timed out because it queued and checked out the connection for longer than", "Ecto (db_connection)", "2", "db_connection/lib/db_connection/holder.ex", "Postgrex.Protocol (#PID<0.201.0>) disconnected: ** (DBConnection.ConnectionError) client #PID<0.411.0> timed out because it queued and checked out the connection for longer than 15000ms";
    PoolTimeout: "the connection pool has been exhausted, either raise", "Npgsql", "3 to 10", "Npgsql/PoolingDataSource.cs", "Npgsql.NpgsqlException (0x80004005): The connection pool has been exhausted, either raise 'Max Pool Size' (currently 100) or 'Timeout' (currently 15 seconds) in your connection string.";

    NameResolution: ": dns: the name does not resolve: ", "pgmedic-pool", "0.1", "crates/pool/src/reason.rs", "ERROR database down: renderflow-db.internal:5432: dns: the name does not resolve: failed to lookup address information: Name or service not known";
    NameResolution: "could not translate host name", "libpq", "9 to 18", "recorded on 18", "psycopg2.OperationalError: could not translate host name \"nosuch.invalid\" to address: Name or service not known";
    NameResolution: "failed to resolve host '", "psycopg", "3", "recorded on 3.3.9", "psycopg.OperationalError: failed to resolve host 'nosuch.invalid': [Errno -2] Name or service not known";
    NameResolution: "failed to connect to `" & "hostname resolving error", "pgx", "4 and 5", "pgx/pgconn/pgconn.go", "failed to connect to `host=db.internal user=app database=app`: hostname resolving error (lookup db.internal on 10.0.0.2:53: no such host)";
    NameResolution: "tcp connect (" & ":nxdomain", "Postgrex", "0.15 to 0.20", "postgrex/lib/postgrex/protocol.ex", "(DBConnection.ConnectionError) tcp connect (renderflow-db.internal:5432): non-existing domain - :nxdomain";
    NameResolution: "sequelizehostnotfounderror", "Sequelize", "5 and 6", "recorded on 6.37.8", "SequelizeHostNotFoundError: getaddrinfo ENOTFOUND nosuch.invalid";
    NameResolution [common]: "getaddrinfo enotfound", "Node.js (postgres.js, node-postgres)", "12 to 24", "recorded on 20.20", "Error: getaddrinfo ENOTFOUND renderflow-db.internal";
    NameResolution [common]: "getaddrinfo eai_again", "Node.js (postgres.js, node-postgres)", "12 to 24", "nodejs doc/api/errors.md", "Error: getaddrinfo EAI_AGAIN renderflow-db.internal";
    NameResolution [common]: "failed to lookup address information", "Rust std (sqlx, tokio-postgres)", "1", "library/std/src/sys/net", "error communicating with database: failed to lookup address information: Name or service not known";
    NameResolution [common]: "name or service not known", "glibc's gai_strerror (asyncpg)", "2", "recorded on asyncpg 0.32.0", "socket.gaierror: [Errno -2] Name or service not known (postgres)";
    NameResolution [common]: "temporary failure in name resolution", "glibc's gai_strerror", "2", "sysdeps/posix/gai_strerror.c", "socket.gaierror: [Errno -3] Temporary failure in name resolution (postgres)";
    NameResolution [common]: "unknownhostexception", "Java (pgJDBC)", "8 to 25", "recorded on pgJDBC 42.5.5", "Caused by: java.net.UnknownHostException: renderflow-db.internal";
    NameResolution [common]: "dial tcp: lookup" & "no such host", "Go net (lib/pq, database/sql)", "1", "net/dnsclient_unix.go", "dial tcp: lookup renderflow-db.internal on 10.0.0.2:53: no such host";

    Refused: ": connect: econnrefused 111: ", "pgmedic-pool", "0.1", "crates/pool/src/reason.rs", "ERROR database down: 127.0.0.1:5432: connect: ECONNREFUSED 111: nothing listens there";
    Refused: "connection to server" & "failed: connection refused", "libpq", "14 to 18", "recorded on 18", "psycopg2.OperationalError: connection to server at \"127.0.0.1\", port 21599 failed: Connection refused";
    Refused: "could not connect to server: connection refused", "libpq", "9 to 13", "src/interfaces/libpq/fe-connect.c", "could not connect to server: Connection refused";
    Refused: "error connecting to server: connection refused", "tokio-postgres", "0.7", "tokio-postgres/src/error/mod.rs", "error connecting to server: Connection refused (os error 111)";
    Refused: "error communicating with database: connection refused", "sqlx", "0.5 to 0.8", "sqlx-core/src/error.rs", "error communicating with database: Connection refused (os error 111)";
    Refused: "failed to connect to `" & "connection refused", "pgx", "4 and 5", "pgx/pgconn/errors.go", "failed to connect to `host=db user=app database=app`: dial error (dial tcp 10.0.0.7:5432: connect: connection refused)";
    Refused: "the postmaster is accepting tcp/ip connections", "pgJDBC", "42", "recorded on 42.5.5", "org.postgresql.util.PSQLException: Connection to 127.0.0.1:21599 refused. Check that the hostname and port are correct and that the postmaster is accepting TCP/IP connections.";
    Refused: "tcp connect (" & ":econnrefused", "Postgrex", "0.15 to 0.20", "postgrex/lib/postgrex/protocol.ex", "(DBConnection.ConnectionError) tcp connect (localhost:5432): connection refused - :econnrefused";
    Refused: "sequelizeconnectionrefusederror", "Sequelize", "5 and 6", "recorded on 6.37.8", "SequelizeConnectionRefusedError: connect ECONNREFUSED 127.0.0.1:21599";
    Refused: "can't reach database server at", "Prisma (P1001)", "2 to 6", "Prisma error reference", "Error: P1001: Can't reach database server at `db.internal:5432`";
    Refused: "npgsqlexception" & "failed to connect to", "Npgsql", "3 to 10", "Npgsql/Internal/NpgsqlConnector.cs", "Npgsql.NpgsqlException (0x80004005): Failed to connect to 10.0.0.7:5432";
    Refused [common]: "connect econnrefused", "Node.js (postgres.js, node-postgres)", "12 to 24", "recorded on 20.20", "Error: connect ECONNREFUSED 127.0.0.1:5432";
    Refused [common]: "connect call failed (", "Python asyncio (asyncpg)", "3.7 to 3.14", "recorded on asyncpg 0.32.0", "ConnectionRefusedError: [Errno 111] Connect call failed ('127.0.0.1', 21599) while opening asyncpg pool";
    Refused [common]: "connection refused", "strerror(ECONNREFUSED)", "any", "errno(3)", "OSError: [Errno 111] Connection refused while connecting to postgres";

    ConnectTimeout: ": connect: no answer within ", "pgmedic-pool", "0.1", "crates/pool/src/reason.rs", "ERROR database down: 10.0.0.7:5432: connect: no answer within 10.0 s";
    ConnectTimeout: ": startup: no answer within ", "pgmedic-pool", "0.1", "crates/pool/src/reason.rs", "ERROR database down: 10.0.0.7:5432: startup: no answer within 10.0 s";
    ConnectTimeout: "connect_timeout" & "write", "postgres.js", "3", "recorded on 3.4.9", "Error: write CONNECT_TIMEOUT 127.0.0.1:21598";
    ConnectTimeout: "connection terminated due to connection timeout", "node-postgres (pg-pool)", "3", "recorded on 3.14.0", "Error: Connection terminated due to connection timeout";
    ConnectTimeout: "sequelizeconnectionerror" & "timeout expired", "Sequelize", "5 and 6", "recorded on 6.37.8", "SequelizeConnectionError: timeout expired";
    ConnectTimeout: "connection to server" & "timeout expired", "libpq", "14 to 18", "recorded on 18", "psycopg2.OperationalError: connection to server at \"127.0.0.1\", port 21598 failed: timeout expired";
    ConnectTimeout: "could not connect to server: connection timed out", "libpq", "9 to 13", "src/interfaces/libpq/fe-connect.c", "could not connect to server: Connection timed out";
    ConnectTimeout: "connection timeout expired", "psycopg", "3", "recorded on 3.3.9", "psycopg.errors.ConnectionTimeout: connection timeout expired";
    ConnectTimeout: "psycopg_pool" & "pool initialization incomplete after", "psycopg_pool", "3", "recorded on 3.3.3", "psycopg_pool.PoolTimeout: pool initialization incomplete after 1 sec";
    ConnectTimeout: "error connecting to server: connection timed out", "tokio-postgres", "0.7", "tokio-postgres/src/error/mod.rs", "error connecting to server: connection timed out";
    ConnectTimeout: "timeout occurred while creating a new object", "deadpool", "0.9 to 0.13", "deadpool/src/managed/errors.rs", "Timeout occurred while creating a new object";
    ConnectTimeout: "failed to connect to `" & "timeout", "pgx", "4 and 5", "pgx/pgconn/errors.go", "failed to connect to `host=db user=app database=app`: dial error (timeout: dial tcp 10.0.0.7:5432: i/o timeout)";
    ConnectTimeout: "failed to connect to `" & "context deadline exceeded", "pgx", "4 and 5", "pgx/pgconn/errors.go", "failed to connect to `user=app database=app`: 10.0.0.7:5432 (db): dial error: context deadline exceeded";
    ConnectTimeout: "was reached but timed out", "Prisma (P1002)", "2 to 6", "Prisma error reference", "The database server at `db`:`5432` was reached but timed out.";
    ConnectTimeout: "tcp connect (" & "timeout", "Postgrex", "0.15 to 0.20", "postgrex/lib/postgrex/protocol.ex", "(DBConnection.ConnectionError) tcp connect (db.internal:5432): timeout";
    ConnectTimeout: "psqlexception" & "connection attempt timed out", "pgJDBC (loginTimeout)", "42", "recorded on 42.5.5", "org.postgresql.util.PSQLException: Connection attempt timed out.";
    ConnectTimeout [common]: "connect etimedout", "Node.js (postgres.js, node-postgres)", "12 to 24", "nodejs doc/api/errors.md", "Error: connect ETIMEDOUT 10.0.0.7:5432";
    ConnectTimeout [common]: "connect timed out", "Java (pgJDBC)", "8 to 25", "recorded on pgJDBC 42.5.5", "Caused by: java.net.SocketTimeoutException: Connect timed out (postgresql)";
    ConnectTimeout [common]: "dial tcp" & "i/o timeout", "Go net (lib/pq, database/sql)", "1", "net/net.go", "dial tcp 10.0.0.7:5432: i/o timeout";
    ConnectTimeout [common]: "connection timed out", "strerror(ETIMEDOUT)", "any", "errno(3)", "error communicating with database: Connection timed out (os error 110)";

    ConnectionLost: "write connection_closed", "postgres.js", "3", "recorded on 3.4.9", "Error: write CONNECTION_CLOSED 127.0.0.1:21540";
    ConnectionLost: "client has encountered a connection error and is not queryable", "node-postgres", "8", "recorded on 8.23.1", "Error: Client has encountered a connection error and is not queryable";
    ConnectionLost: "server closed the connection unexpectedly", "libpq", "9 to 18", "recorded on 18", "psycopg2.OperationalError: server closed the connection unexpectedly";
    ConnectionLost: "connection was closed in the middle of operation", "asyncpg", "0.20 to 0.32", "recorded on 0.32.0", "asyncpg.exceptions.ConnectionDoesNotExistError: connection was closed in the middle of operation";
    ConnectionLost: "asyncpg" & "connection is closed", "asyncpg", "0.20 to 0.32", "recorded on 0.32.0", "asyncpg.exceptions._base.InterfaceError: connection is closed";
    ConnectionLost: "psycopg" & "connection is closed", "psycopg", "3", "recorded on 3.3.9", "psycopg.OperationalError: the connection is closed";
    ConnectionLost: "psycopg2" & "connection already closed", "psycopg2", "2", "recorded on 2.9.13", "psycopg2.InterfaceError: connection already closed";
    ConnectionLost: "an i/o error occurred while sending to the backend", "pgJDBC", "42", "recorded on 42.5.5", "org.postgresql.util.PSQLException: An I/O error occurred while sending to the backend.";
    ConnectionLost: "psqlexception" & "this connection has been closed", "pgJDBC", "42", "recorded on 42.5.5", "org.postgresql.util.PSQLException: This connection has been closed.";
    ConnectionLost: "tcp recv (idle): closed", "Postgrex", "0.15 to 0.20", "postgrex/lib/postgrex/protocol.ex", "Postgrex.Protocol (#PID<0.322.0>) disconnected: ** (DBConnection.ConnectionError) tcp recv (idle): closed";
    ConnectionLost: "dbconnection.connectionerror" & "tcp recv: closed", "Postgrex", "0.15 to 0.20", "postgrex/lib/postgrex/protocol.ex", "** (DBConnection.ConnectionError) tcp recv: closed";
    ConnectionLost: "dbconnection.connectionerror" & "tcp send: closed", "Postgrex", "0.15 to 0.20", "postgrex/lib/postgrex/protocol.ex", "** (DBConnection.ConnectionError) tcp send: closed (the connection was closed by the pool, possibly due to a timeout or because the pool has been terminated)";
    ConnectionLost: "failed to receive message: unexpected eof", "pgx", "5", "pgx/pgconn/pgconn.go", "failed to receive message: unexpected EOF";
    ConnectionLost: "driver: bad connection", "Go database/sql", "1", "database/sql/driver/driver.go", "driver: bad connection";
    ConnectionLost: "npgsqlexception" & "exception while reading from stream", "Npgsql", "3 to 10", "Npgsql/Internal/NpgsqlReadBuffer.cs", "Npgsql.NpgsqlException (0x80004005): Exception while reading from stream";
    ConnectionLost: "pg::unabletosend" & "no connection to the server", "Ruby pg (ActiveRecord)", "1", "src/interfaces/libpq/fe-exec.c", "PG::UnableToSend: no connection to the server";
    ConnectionLost: "error communicating with database" & "connection reset by peer", "sqlx", "0.5 to 0.8", "sqlx-core/src/error.rs", "error communicating with database: Connection reset by peer (os error 104)";
    ConnectionLost: "error communicating with database" & "expected to read", "sqlx", "0.5 to 0.8", "sqlx-core/src/net/socket/mod.rs", "error communicating with database: expected to read 5 bytes, got 0 bytes at EOF";
    ConnectionLost: "error communicating with the server", "tokio-postgres", "0.7", "tokio-postgres/src/error/mod.rs", "error communicating with the server: Connection reset by peer (os error 104)";
    ConnectionLost: "ssl connection has been closed unexpectedly", "libpq", "9 to 18", "src/interfaces/libpq/fe-secure-openssl.c", "psycopg2.OperationalError: SSL connection has been closed unexpectedly";
    ConnectionLost: "ssl syscall error: eof detected", "libpq", "9 to 18", "src/interfaces/libpq/fe-secure-openssl.c", "psycopg2.OperationalError: SSL SYSCALL error: EOF detected";
    ConnectionLost: "ssl recv (idle): closed", "Postgrex", "0.15 to 0.20", "postgrex/lib/postgrex/protocol.ex", "** (DBConnection.ConnectionError) ssl recv (idle): closed";
    ConnectionLost: "server has closed the connection", "Prisma (P1017)", "2 to 6", "Prisma error reference", "Error: P1017: Server has closed the connection.";
    ConnectionLost [common]: "connection closed", "tokio-postgres", "0.7", "tokio-postgres/src/error/mod.rs", "database query failed: connection closed";
    ConnectionLost [common]: "connection terminated unexpectedly", "node-postgres", "8", "recorded on 8.23.1", "Error: Connection terminated unexpectedly (postgres)";
    ConnectionLost [common]: "read econnreset", "Node.js (postgres.js, node-postgres)", "12 to 24", "nodejs doc/api/errors.md", "Error: read ECONNRESET at TCP.onStreamRead, postgres pool";
    ConnectionLost [common]: "connection reset by peer", "strerror(ECONNRESET)", "any", "errno(3)", "read tcp 10.0.0.2:51222->10.0.0.7:5432: read: connection reset by peer";

    AuthenticationFailed: "fe_sendauth: no password supplied", "libpq", "9 to 18", "recorded on 18", "connection to server at \"127.0.0.1\", port 21501 failed: fe_sendauth: no password supplied";
    AuthenticationFailed: "sasl: scram-server-first-message: client password must be a", "node-postgres", "8", "recorded on 8.23.1", "Error: SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string";
    AuthenticationFailed: "authentication failed against database server", "Prisma (P1000)", "2 to 6", "Prisma error reference", "Error: P1000: Authentication failed against database server at `db`, the provided database credentials for `app` are not valid.";
    AuthenticationFailed: "npgsqlexception" & "no password has been provided but the backend requires one", "Npgsql", "3 to 10", "Npgsql/Internal/NpgsqlConnector.Auth.cs", "Npgsql.NpgsqlException (0x80004005): No password has been provided but the backend requires one (in SASL/SCRAM-SHA-256)";
    AuthenticationFailed: "server requested password-based authentication, but no password was provided", "pgJDBC", "42", "pgjdbc/src/main/java/org/postgresql/core/v3/AuthenticationPluginManager.java", "org.postgresql.util.PSQLException: The server requested SCRAM-based authentication, but the password is an empty string; The server requested password-based authentication, but no password was provided.";

    TooManyConnections: "too many database connections opened", "Prisma (P2037)", "4 to 6", "Prisma error reference", "Too many database connections opened: connection limit of the server";

    TlsFailed: "the server does not support ssl connections", "node-postgres", "8", "recorded on 8.23.1", "Error: The server does not support SSL connections";
    TlsFailed: "server does not support ssl, but ssl was required", "libpq", "9 to 18", "src/interfaces/libpq/fe-connect.c", "connection to server at \"db\", port 5432 failed: server does not support SSL, but SSL was required";
    TlsFailed: "psqlexception" & "the server does not support ssl", "pgJDBC", "42", "pgjdbc/src/main/java/org/postgresql/core/v3/ConnectionFactoryImpl.java", "org.postgresql.util.PSQLException: The server does not support SSL.";
    TlsFailed: "error performing tls handshake", "tokio-postgres", "0.7", "tokio-postgres/src/error/mod.rs", "error performing TLS handshake: server does not support TLS";
};

/// What a server or PgBouncer tells its client in words that nobody else uses. Their other words count only on a line with
/// `FATAL`.
const SAID_BY_NO_OTHER: &[Words] = &[
    Words::QueryWaitTimeout,
    Words::MaxClientConn,
    Words::ClientLimitOfDatabaseOrUser,
    Words::UnsupportedStartupParameter,
    Words::ServerLoginFailing,
    Words::PoolerShuttingDown,
    Words::ServerConnectionLost,
    Words::SlotsReserved,
    Words::TooManyClients,
    Words::RoleLimit,
    Words::DatabaseLimit,
    Words::NoHbaEntry,
    Words::HbaRejects,
    Words::RoleNotPermittedToLogIn,
    Words::RoleDoesNotExist,
    Words::DatabaseDoesNotExist,
    Words::DatabaseNotAccepting,
    Words::DatabaseInvalid,
    Words::ConnectNotGranted,
    Words::StartingUp,
    Words::InRecovery,
    Words::ShuttingDown,
    Words::NotYetAccepting,
    Words::NotAcceptingConnections,
    Words::CouldNotFork,
    Words::SharedMemoryFull,
    Words::InitFile,
    Words::PostmasterGone,
];

/// Of a failed login: Postgres quotes the role, an API's own logins do not read like that.
const LOGIN_FAILED: &str = "authentication failed for user \"";

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
#[must_use]
pub fn meaning(line: &str, target: &str) -> Option<LogPattern> {
    // A server's own words tell more than the driver's about them.
    let of_a_server = pooler_words::meaning(line).is_some_and(|words| {
        SAID_BY_NO_OTHER.contains(&words) || line.contains(LOGIN_FAILED) || line.contains("FATAL")
    });
    if of_a_server {
        return Some(LogPattern::ServerFatal);
    }
    row(line, target).map(|row| row.pattern)
}

/// The row of the table that a line fits.
fn row(line: &str, target: &str) -> Option<&'static Row> {
    let lower = line.to_ascii_lowercase();
    let names_a_database = || {
        DATABASE.iter().any(|word| lower.contains(word))
            || (!target.is_empty() && lower.contains(&target.to_ascii_lowercase()))
    };
    TABLE
        .iter()
        .find(|row| row.texts.iter().all(|text| lower.contains(text)) && (!row.common || names_a_database()))
}

/// True where the line says that the API has its database (again).
#[must_use]
pub fn says_connected(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    CONNECTED.iter().any(|words| lower.contains(words)) && !NOT.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "renderflow-db.internal";

    #[test]
    fn each_row_alone_is_found_by_its_sample_and_says_whose_it_is() {
        for row in TABLE {
            let found = super::row(row.sample, TARGET).map(|found| found.sample);
            assert_eq!(found, Some(row.sample), "another row comes first");
            assert_eq!(meaning(row.sample, TARGET), Some(row.pattern), "{}", row.sample);
            assert!(row.texts.iter().all(|text| *text == text.to_lowercase()), "{:?}", row.texts);
            assert!(![row.driver, row.versions, row.origin].contains(&""), "{}", row.sample);
        }
    }

    #[test]
    fn a_row_that_others_say_too_needs_a_database_beside_it() {
        for row in TABLE.iter().filter(|row| row.common) {
            assert_eq!(
                super::row(&row.texts.join(" "), TARGET).map(|found| found.sample),
                None,
                "{:?}",
                row.texts
            );
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
            "PostgresError: password authentication failed for user \"app\"",
            "FATAL: SASL authentication failed",
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
            "GET /docs/connection-timeout 200 3ms",
            "POST /api/v1/login 401 wrong password for user app",
            "request timed out after 30000ms: GET https://api.example.com/v1/render",
            "upstream timed out (110: Connection timed out) while connecting to upstream",
            "WebSocket connection closed (1006)",
            "redis: connection pool timeout",
            "ioredis: Error: connect ETIMEDOUT",
            "Error: read ECONNRESET at TLSWrap.onStreamRead",
            "amqp: connection terminated unexpectedly",
            "kafka: client has run out of available brokers to talk to: EOF",
            "Timeout of 2000ms exceeded",
            "INFO pool: 8 idle, 2 in use, 0 waiting",
            "INFO acquired connection in 3ms",
            "DEBUG Connection keep-alive: timeout=5, max=100",
            "smtp: authentication failed: 535 5.7.8",
            "S3: getaddrinfo ENOTFOUND bucket.s3.example.com",
            "lookup api.example.com on 10.0.0.2:53: no such host",
            "job 17 waiting for a slot",
            "sftp: Connection refused",
            "net/http: TLS handshake timeout",
            "template prepared in 3ms",
            "circuit breaker \"payments\" is open: too many connections",
            "mongo: server selection error: context deadline exceeded",
            "kernel: Out of memory: Killed process 7",
            "INFO Listening on port 5432x",
            "DNS lookup failed: cdn.example.com",
            "new connection to server example.com",
            "SMTP server login failed: 535 bad credentials",
            "accept: Too many open files",
            "SSL required for webhooks",
            "login rejected by 2FA",
            "request body contains errors",
            "password authentication failed for user bob@example.com",
            "kafka: SASL authentication failed",
            "received shutdown request",
            "connection matched rule 7",
            "could not access file /tmp/x",
            "avatar.png has invalid permissions",
            "no such user: bob",
            "config was not reloaded",
            "could not create any thumbnails",
            "nginx: peer is incompatible",
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
